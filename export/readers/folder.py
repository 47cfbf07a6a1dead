"""Read a folder of annotations, or one file of them, as if it were an archive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annotator.core.errors import UsageError
from export.readers.zip import DEFAULT_LIMITS, Entries, Limits, open_archive

_KINDS = (".json", ".geojson", ".xml", ".txt", ".png")


class Folder:
    """The annotations and pictures in a folder and the folders in it; hidden files are not seen.

    Parameters
    ----------
    path : Path
    limits : Limits

    Raises
    ------
    UsageError
        When it holds more files than a person would put there.
    """

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._paths: dict[str, Path] = {}
        for found in sorted(path.rglob("*")):
            name = found.relative_to(path).as_posix()
            if is_hidden(name) or not found.is_file():
                continue
            self._paths[name] = found
            if len(self._paths) > limits.entries:
                raise UsageError(f"expected at most {limits.entries} files in it, got more")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all files in it, with ``/`` between folders, sorted."""
        return tuple(sorted(self._paths))

    def __contains__(self, name: str) -> bool:
        return name in self._paths

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


class SingleFile:
    """One file of annotations."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def names(self) -> tuple[str, ...]:
        """The name of the file."""
        return (self._path.name,)

    def __contains__(self, name: str) -> bool:
        return name == self._path.name

    def read(self, name: str) -> bytes:
        """Its bytes.

        Raises
        ------
        UsageError
            When it cannot be read.
        """
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise UsageError(f"{name}: cannot be read: {error.strerror or error}") from error


@contextmanager
def open_entries(path: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[Entries]:
    """Open a zip, a folder, or one file of annotations.

    Raises
    ------
    UsageError
        When it is none of them, or could do harm; a UsageError inside the block gets the name
        in front.
    """
    single = path.suffix.lower() in _KINDS and path.is_file()
    if not single and not path.is_dir():
        with open_archive(path, limits) as archive:
            yield archive
        return
    try:
        yield SingleFile(path) if single else Folder(path, limits)
    except UsageError as error:
        raise UsageError(f"{path}: {error}; nothing was changed") from error


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it lies in, is not meant for people.

    Examples
    --------
    >>> is_hidden("__MACOSX/._a.png"), is_hidden("b/.DS_Store"), is_hidden("b/a.png")
    (True, True, False)
    """
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
