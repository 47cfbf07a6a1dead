"""Writes are whole or not at all, and a refusal says what to do."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
from pathlib import Path

import pytest

from annotator.core.errors import StorageError
from annotator.core.files import TEMPORARY, remove_leftovers, sha256, storage_error, write_atomic


def test_a_file_is_written_and_replaced(tmp_path: Path):
    path = tmp_path / "deep" / "a.bin"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


def test_a_write_beyond_the_limit_leaves_the_old_file_and_no_rest(tmp_path: Path):
    path = tmp_path / "a.bin"
    write_atomic(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match=r"a\.bin"):
            write_atomic(path, bytes(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_is_a_storage_error(tmp_path: Path):
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(StorageError, match=r"a\.bin"):
        write_atomic(tmp_path / "a.bin", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_refusal_says_what_to_do(code, advice):
    assert advice in str(storage_error(Path("x"), OSError(code, os.strerror(code))))


def test_leftovers_of_killed_writes_go_and_nothing_else(tmp_path: Path):
    ours = tmp_path / f".a.png.77{TEMPORARY}"
    theirs = [tmp_path / "a.tmp", tmp_path / f"notes{TEMPORARY}"]
    for path in (ours, *theirs):
        path.write_bytes(b"x")
    assert remove_leftovers(tmp_path) == 1
    assert not ours.exists()
    assert all(path.exists() for path in theirs)


def test_hash_of_a_file_and_of_none(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    assert sha256(tmp_path / "b") is None
