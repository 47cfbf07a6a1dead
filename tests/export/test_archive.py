"""What stands at the target after a success, a failure, a refusal."""

import errno
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from annotator.core.errors import ExportError, StorageError
from export.archive import MANIFEST, FolderSink, folder_at, storage_errors, zip_at

NOISE = np.random.default_rng(0).bytes(20_000)


@contextmanager
def small_disk() -> Iterator[None]:
    """No file may grow beyond 2 kB, as if the disk were full.

    Only around the call that has to fail: the test runner writes files, too.
    """
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_folder(out: Path, files: dict[str, str], overwrite: bool = False) -> None:
    with folder_at(out, overwrite) as sink:
        for name, text in files.items():
            sink.write(name, text)


def contents(out: Path) -> dict[str, str]:
    files = (p for p in out.rglob("*") if p.is_file() and p.name != MANIFEST)
    return {p.relative_to(out).as_posix(): p.read_text() for p in files}


def test_entries_stream_copy_and_write(tmp_path: Path) -> None:
    (tmp_path / "in.bin").write_bytes(NOISE)
    with zip_at(tmp_path / "deep" / "a.zip") as sink:
        sink.write("text é.txt", "骨\n")
        sink.copy("in.bin", tmp_path / "in.bin")
        with sink.stream("s.json") as target:
            target.write(b"[1,")
            target.write(b"2]")
    with zipfile.ZipFile(tmp_path / "deep" / "a.zip") as archive:
        assert archive.testzip() is None
        assert archive.read("text é.txt").decode() == "骨\n"
        assert archive.read("in.bin") == NOISE
        assert archive.read("s.json") == b"[1,2]"


def test_an_archive_that_exists_is_refused_and_stays(tmp_path: Path) -> None:
    out = tmp_path / "a.zip"
    out.write_text("mine")
    with pytest.raises(ExportError, match=r"a\.zip"), zip_at(out) as sink:
        sink.write("a", "b")
    assert out.read_text() == "mine"
    with zip_at(out, overwrite=True) as sink:
        sink.write("a", "b")
    assert zipfile.is_zipfile(out)
    with pytest.raises(ExportError, match=tmp_path.name), zip_at(tmp_path, overwrite=True):
        pass


def test_a_failure_leaves_the_old_archive_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "a.zip"
    out.write_text("mine")
    with pytest.raises(ZeroDivisionError), zip_at(out, overwrite=True) as sink:
        sink.write("a", "b")
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
    assert out.read_text() == "mine"


def test_a_disk_without_space_is_a_storage_error(tmp_path: Path) -> None:
    full = pytest.raises(StorageError, match=r"a\.zip|maps")
    with full, small_disk(), zip_at(tmp_path / "a.zip") as archive:
        archive.write("noise", NOISE)
    with full, small_disk(), folder_at(tmp_path / "maps") as folder:
        folder.write("noise", NOISE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "message"),
    [(errno.ENOSPC, "full"), (errno.EACCES, "permission"), (errno.EROFS, "read-only")],
)
def test_what_the_system_says_is_put_in_words(code: int, message: str) -> None:
    with pytest.raises(StorageError, match=message), storage_errors(Path("x.zip")):
        raise OSError(code, "as the system says it")


def test_a_path_through_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused = pytest.raises(StorageError, match="file")
    with refused, zip_at(tmp_path / "file" / "a.zip") as sink:
        sink.write("a", "b")
    with refused:
        write_folder(tmp_path / "file" / "maps", {"a": "b"})
    with pytest.raises(ExportError, match="file"):
        write_folder(tmp_path / "file", {"a": "b"})


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"\ba\b"), zip_at(tmp_path / "a.zip") as sink:
        sink.write("a", "b")
        sink.write("a", "c")
    sink = FolderSink(tmp_path)
    sink.write("a", "b")
    with pytest.raises(ExportError, match=r"\ba\b"):
        sink.write("a", "c")


def test_an_earlier_export_is_replaced_and_what_it_no_longer_holds_goes(tmp_path: Path) -> None:
    out = tmp_path / "maps"
    write_folder(out, {"a": "1", "sub/b": "1"})
    (out / "notes.txt").write_text("mine")
    write_folder(out, {"a": "2", "c": "2"})
    assert contents(out) == {"a": "2", "c": "2", "notes.txt": "mine"}
    assert json.loads((out / MANIFEST).read_text())["sha256"].keys() == {"a", "c"}
    assert [p.name for p in tmp_path.iterdir()] == ["maps"]


def test_a_file_that_a_person_changed_stops_the_export(tmp_path: Path) -> None:
    out = tmp_path / "maps"
    write_folder(out, {"a": "1", "b": "1"})
    (out / "a").write_text("corrected")
    with pytest.raises(ExportError, match=r"1 .*a …"):
        write_folder(out, {"a": "2", "b": "2"})
    assert contents(out) == {"a": "corrected", "b": "1"}
    write_folder(out, {"a": "2", "b": "2"}, overwrite=True)
    assert contents(out) == {"a": "2", "b": "2"}


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_text("mine")
    with pytest.raises(ExportError, match=tmp_path.name):
        write_folder(tmp_path, {"a": "1"})
    assert contents(tmp_path) == {"photo.png": "mine"}
    write_folder(tmp_path, {"a": "1"}, overwrite=True)
    assert contents(tmp_path) == {"photo.png": "mine", "a": "1"}


def test_a_foreign_file_in_our_folder_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "maps"
    write_folder(out, {"a": "1"})
    (out / "b").write_text("mine")
    with pytest.raises(ExportError, match=r"\bb\b"):
        write_folder(out, {"a": "2", "b": "2"})
    assert contents(out) == {"a": "1", "b": "mine"}


def test_a_file_that_a_person_took_away_comes_back(tmp_path: Path) -> None:
    out = tmp_path / "maps"
    write_folder(out, {"a": "1", "b": "1"})
    (out / "a").unlink()
    write_folder(out, {"a": "1", "b": "1"})
    assert contents(out) == {"a": "1", "b": "1"}


@pytest.mark.parametrize("text", ["", "[]", '{"sha256": 3}', '{"sha256": {"../x": "y"}}'])
def test_a_manifest_that_makes_no_sense_counts_as_none(tmp_path: Path, text: str) -> None:
    out = tmp_path / "maps"
    out.mkdir()
    (tmp_path / "x").write_text("mine")
    (out / MANIFEST).write_text(text)
    with pytest.raises(ExportError, match="maps"):
        write_folder(out, {"a": "1"})
    write_folder(out, {"a": "1"}, overwrite=True)
    assert (tmp_path / "x").read_text() == "mine"


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    out = tmp_path / "maps"
    write_folder(out, {"a": "1"})
    with pytest.raises(ZeroDivisionError), folder_at(out) as sink:
        sink.write("a", "2")
        raise ZeroDivisionError
    assert contents(out) == {"a": "1"}
    assert [p.name for p in tmp_path.iterdir()] == ["maps"]
