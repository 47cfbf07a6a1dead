"""Read a zip archive of unknown origin so that it can do no harm.

Nothing is unpacked to disk. The table of contents is checked first: sizes, names, links. Then
entries are read into memory by name, up to the size that the table gives.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from annotator.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may hold at most; far more than CVAT exports of a study.

    Parameters
    ----------
    entries : int
        Number of files.
    total_bytes, entry_bytes : int
        Unpacked size of all files together, and of one.
    ratio : int
        Unpacked over packed size, for files above `ratio_from` bytes: a zip bomb has thousands.
        Run lengths and label pictures stay below 100.
    ratio_from : int
        Bytes, unpacked.
    """

    entries: int = 200_000
    total_bytes: int = 16 << 30
    entry_bytes: int = 2 << 30
    ratio: int = 250
    ratio_from: int = 16 << 20


DEFAULT_LIMITS = Limits()


class Entries(Protocol):
    """Files by name, of an archive or of a folder."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all files, with ``/`` between folders, sorted."""

    def __contains__(self, name: str) -> bool: ...

    def read(self, name: str) -> bytes:
        """Bytes of one file; UsageError where it cannot be read."""


class Unzipped:
    """An open archive whose table of contents was checked."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        entries = (e for e in archive.infolist() if not e.is_dir())
        self._entries = {entry.filename: entry for entry in entries}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all files in it, sorted."""
        return tuple(sorted(self._entries))

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def read(self, name: str) -> bytes:
        """Bytes of one file.

        Raises
        ------
        UsageError
            When it is damaged, or packed with a method that is not supported.
        """
        try:
            return self._archive.read(self._entries[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise UsageError(f"{name} in the archive is damaged ({error}); export again") from error
        except (NotImplementedError, RuntimeError) as error:
            raise UsageError(f"{name} in the archive cannot be read: {error}") from error


@contextmanager
def open_archive(path: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[Unzipped]:
    """Open a zip of unknown origin; a UsageError inside the block gets the file's name in front.

    Parameters
    ----------
    path : Path
    limits : Limits

    Yields
    ------
    Unzipped

    Raises
    ------
    UsageError
        When it is no zip, or could do harm.
    """
    with _opened(path) as archive:
        try:
            _check(archive.infolist(), limits)
            yield Unzipped(archive)
        except UsageError as error:
            raise UsageError(f"{path}: {error}; nothing was changed") from error


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise UsageError(f"{path}: expected a zip as CVAT exports it: {error}") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error


def _check(entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(entries) > limits.entries:
        raise UsageError(f"expected at most {limits.entries} files in it, got {len(entries)}")
    seen: set[str] = set()
    for entry in entries:
        reason = _fault(entry, limits)
        if reason is None and entry.filename in seen:
            reason = "is there twice"
        if reason is not None:
            raise UsageError(f"refused: {entry.filename!r} {reason}")
        seen.add(entry.filename)
    total = sum(entry.file_size for entry in entries)
    if total > limits.total_bytes:
        raise UsageError(f"refused: {total} bytes unpacked, more than {limits.total_bytes}")


def _fault(entry: zipfile.ZipInfo, limits: Limits) -> str | None:
    """Why an entry is refused; None where it may be read."""
    name = entry.orig_filename
    if name.startswith(("/", "\\")) or name[1:2] == ":":
        return "has an absolute name"
    if "\\" in name or "\0" in name or ".." in name.split("/"):
        return "has a name that leads out of its folder"
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, not a file"
    if entry.flag_bits & 1:
        return "is encrypted"
    if entry.file_size > limits.entry_bytes:
        return f"has {entry.file_size} bytes unpacked, more than {limits.entry_bytes}"
    if entry.file_size > max(limits.ratio_from, limits.ratio * entry.compress_size):
        return f"is {entry.file_size // max(1, entry.compress_size)} times as large unpacked"
    return None
