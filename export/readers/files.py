"""Files to read: those of a folder, a single one, or those in an archive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from annotator.core.errors import UsageError
from export.archive import MANIFEST
from export.readers.zip import DEFAULT_LIMITS, Limits


class Files(Protocol):
    """Named files whose bytes can be read."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all files, sorted."""

    def read(self, name: str) -> bytes:
        """Bytes of one file; UsageError when it cannot be read."""


class FilesOnDisk:
    """The files of a folder, or one file.

    Parameters
    ----------
    path : Path
        Of the folder, with all below it, or of the file.
    limits : Limits
        How large a file may be.
    """

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        root = path if path.is_dir() else path.parent
        self._paths = {
            one.relative_to(root).as_posix(): one
            for one in found
            if one.is_file() and one.name != MANIFEST and not one.name.startswith(".")
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all files, with their folders, sorted."""
        return tuple(sorted(self._paths))

    def read(self, name: str) -> bytes:
        """Bytes of one file.

        Raises
        ------
        UsageError
            When it cannot be read, or is too large.
        """
        path = self._paths[name]
        try:
            size = path.stat().st_size
            if size > self._limits.entry_bytes:
                raise UsageError(f"{name}: {size} bytes, more than {self._limits.entry_bytes}")
            return path.read_bytes()
        except OSError as error:
            raise UsageError(f"{name}: cannot be read: {error.strerror or error}") from error


@contextmanager
def open_on_disk(path: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[FilesOnDisk]:
    """Open a folder or a file; a UsageError inside the block gets its name in front."""
    try:
        yield FilesOnDisk(path, limits)
    except UsageError as error:
        # Of a single file the message has the name already.
        where = f"{path.parent}/" if str(error).startswith(path.name) else f"{path}: "
        raise UsageError(f"{where}{error}; nothing was changed") from error
