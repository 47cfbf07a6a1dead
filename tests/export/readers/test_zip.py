"""Hostile archives: each refused, with its reason, before anything of it is read."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest
from support.cvat_archives import zip_of

from annotator.core.errors import UsageError
from export.readers.zip import Limits, open_archive

SMALL = Limits(entries=3, total_bytes=3000, entry_bytes=2000, ratio=10, ratio_from=100)


def refused(path: Path, limits: Limits = SMALL) -> str:
    with pytest.raises(UsageError) as caught, open_archive(path, limits):
        pass
    return str(caught.value)


def test_files_are_read_by_name(tmp_path: Path) -> None:
    with open_archive(zip_of(tmp_path / "x.zip", {"b/c.txt": "two", "a.txt": "one"})) as archive:
        assert archive.names == ("a.txt", "b/c.txt")
        assert "a.txt" in archive
        assert archive.read("b/c.txt") == b"two"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil.txt", "leads out of its folder"),
        ("a/../../evil.txt", "leads out of its folder"),
        ("a\\..\\evil.txt", "leads out of its folder"),
        ("/etc/passwd", "absolute name"),
        ("C:/evil.txt", "absolute name"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, why: str) -> None:
    message = refused(zip_of(tmp_path / "x.zip", {name: "x"}))
    assert why in message
    assert message.endswith("nothing was changed")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("labelmap.txt")
        entry.create_system = 3
        entry.external_attr = (kind | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    assert "link" in refused(path)


def test_bombs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    assert "times as large" in refused(zip_of(path, {"a": "0" * 1900}))
    assert "2100 bytes unpacked" in refused(zip_of(path, {"a": "0" * 2100}))
    loose = Limits(entries=3, total_bytes=3000, entry_bytes=2000, ratio=10_000)
    assert "3800 bytes unpacked" in refused(zip_of(path, {"a": "0" * 1900, "b": "1" * 1900}), loose)
    assert "at most 3 files" in refused(zip_of(path, dict.fromkeys("abcd", "x")))


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a", "1")
        archive.writestr("a", "2")
    assert "'a'" in refused(path)


def test_encrypted_files_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", {"a": "x"})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 8
    data[at : at + 2] = struct.pack("<H", 1)
    path.write_bytes(data)
    assert "is encrypted" in refused(path)


def test_a_size_that_lies_is_found(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", {"a": "0" * 1000})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 10)
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"x\.zip"), open_archive(path) as archive:
        archive.read("a")


def test_damaged_content_is_found(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", {"a": "abcdefgh" * 9})
    data = bytearray(path.read_bytes())
    data[35] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"x\.zip"), open_archive(path) as archive:
        archive.read("a")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    assert "x.zip" in refused(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "none.zip" in refused(tmp_path / "none.zip")
