"""Where the files of a study lie now that study and slides were moved together."""

from __future__ import annotations

from pathlib import Path, PurePath

from annotator.imaging.slide_region import SlideRegion

# How far above the study the slides may lie, in folders.
_ABOVE = 3


class MovedFiles:
    """Finds files whose folder is gone, in the folders around a study.

    Study and slides often stand side by side in one folder that gets another name or place.
    The path to a file then ends as it did, and begins with a folder above the study. What is
    found there may still be another picture: its pixels are compared wherever they are used.
    A place that may not be looked into counts as one where nothing is.

    Parameters
    ----------
    study : Path
        Folder of the study.
    """

    def __init__(self, study: Path) -> None:
        self._above = study.absolute().parents[:_ABOVE]
        self._moved: dict[PurePath, Path | None] = {}

    def place(self, source: str) -> str:
        """Where a file lies: where it lay, or where its folder was found; else unchanged."""
        path = Path(source)
        region = SlideRegion.from_path(path)
        if region is not None:
            return str(Path(self.place(str(region.slide))) / path.name)
        folder = path.parent
        if folder not in self._moved:
            self._moved[folder] = None if _lies(folder) else self._found(path)
        moved = self._moved[folder]
        there = None if moved is None else moved / path.name
        return str(there) if there is not None and _lies(there) else source

    def _found(self, path: Path) -> Path | None:
        """The folder above the study in which the longest end of a path exists."""
        parts = path.parts[1:]
        for start in range(len(parts)):
            for above in self._above:
                candidate = above.joinpath(*parts[start:])
                if _lies(candidate):
                    return candidate.parent
        return None


def _lies(path: Path) -> bool:
    """Whether there is something that may be looked at."""
    try:
        return path.exists()
    except OSError:
        return False
