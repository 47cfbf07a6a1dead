"""Which images a person means by files, folders and patterns."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from annotator.core.errors import UsageError
from annotator.imaging.slide_region import SlideRegion

SUFFIXES = {
    "PNG": {".png"},
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "TIFF": {".tif", ".tiff", ".btf", ".tf8", ".svs"},
    "BMP": {".bmp", ".dib"},
}
_ALL_SUFFIXES = frozenset[str]().union(*SUFFIXES.values())


@dataclass(frozen=True, slots=True)
class FoundImages:
    """What a search found.

    Parameters
    ----------
    paths : tuple of Path
        Sorted, every file once. What was named and does not exist is among
        them, so that reading it says so.
    hidden : int
        Hidden files and folders passed over.
    others : int
        Files passed over because their name is not an image's.
    """

    paths: tuple[Path, ...]
    hidden: int = 0
    others: int = 0


def find_images(inputs: Sequence[str]) -> FoundImages:
    """Collect images from files, folders (with all below) and patterns (``**`` too).

    In folders and patterns, hidden entries and files not named like an image are
    counted and passed over. A file that is named is always kept, and so is what does
    not exist or cannot be listed: reading it then says what is wrong. Links to folders
    are followed, each folder is entered once. A file that can be reached by
    several names is listed once, by the first of them.

    Parameters
    ----------
    inputs : sequence of str

    Raises
    ------
    UsageError
        For a pattern that is none.
    """
    search = _Search()
    for text in inputs:
        search.add(text)
    first: dict[str, Path] = {}
    for path in sorted(search.found, key=str):
        first.setdefault(_real(path), path)
    return FoundImages(tuple(first.values()), len(search.hidden), len(search.others))


class _Search:
    """Paths found and passed over so far, and folders already entered."""

    def __init__(self) -> None:
        self.found: set[Path] = set()
        self.hidden: set[Path] = set()
        self.others: set[Path] = set()

    def add(self, text: str) -> None:
        path = Path(text)
        if SlideRegion.from_path(path) is not None:
            self.found.add(path)
        elif _is_folder(path):
            self._walk(path)
        elif re.search(r"[*?\[]", text) and not os.path.lexists(path):
            self._match(path)
        else:
            self.found.add(path)

    def _match(self, pattern: Path) -> None:
        root = Path(pattern.anchor)
        try:
            # in this version of Python, ** does not follow links: no loops
            matches = sorted(root.glob(str(pattern.relative_to(pattern.anchor))))
        except (ValueError, NotImplementedError) as error:
            raise UsageError(
                f"expected a pattern like fields/**/*.png, got {pattern} ({error})"
            ) from error
        if not matches:
            self.found.add(pattern)
        literal = len(pattern.parts) and next(
            i for i, part in enumerate(pattern.parts) if re.search(r"[*?\[]", part)
        )
        for path in matches:
            hidden = [p for p in path.parts[literal:] if p.startswith(".")]
            if hidden:
                self.hidden.add(path)
            elif not _is_folder(path):
                self._sort_in(path)
            elif "**" not in pattern.parts or pattern.name == "**":
                self._walk(path)

    def _walk(self, top: Path) -> None:
        entered: set[tuple[int, int]] = set()
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                status = folder.stat()
                entries = sorted(folder.iterdir())
            except OSError:
                self.found.add(folder)
                continue
            key = (status.st_dev, status.st_ino)
            if key in entered:
                continue
            entered.add(key)
            waiting += self._entries(entries)

    def _entries(self, entries: Sequence[Path]) -> Iterator[Path]:
        for entry in entries:
            if entry.name.startswith("."):
                self.hidden.add(entry)
            elif _is_folder(entry):
                yield entry
            else:
                self._sort_in(entry)

    def _sort_in(self, path: Path) -> None:
        chosen = self.found if path.suffix.lower() in _ALL_SUFFIXES else self.others
        chosen.add(path)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a name that no file can have
        return str(path)
