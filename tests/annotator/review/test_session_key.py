from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from annotator.review.session_key import FILE, LENGTH, kept_key


def test_a_key_is_made_once_and_its_owners_alone(tmp_path: Path) -> None:
    key = kept_key(tmp_path / "new")
    assert len(key) == LENGTH
    assert kept_key(tmp_path / "new") == key
    assert (tmp_path / "new" / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE]


def test_a_key_that_others_can_read_is_made_anew(tmp_path: Path) -> None:
    key = kept_key(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    assert kept_key(tmp_path) != key
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"short", b"x" * (LENGTH + 1)])
def test_a_damaged_key_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    (tmp_path / FILE).chmod(0o600)
    key = kept_key(tmp_path)
    assert len(key) == LENGTH and key != content
    assert kept_key(tmp_path) == key


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"x" * LENGTH)
    theirs.chmod(0o600)
    (tmp_path / FILE).symlink_to(theirs)
    assert kept_key(tmp_path) != b"x" * LENGTH


def test_where_nothing_can_be_kept_a_passing_key_does(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    place = tmp_path / "file" / "folder"
    assert len(kept_key(place)) == LENGTH
    assert kept_key(place) != kept_key(place)


def test_many_that_begin_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: kept_key(tmp_path / "new"), range(16)))
    assert len(keys) == 1
