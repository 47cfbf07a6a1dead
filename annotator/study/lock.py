"""One run at a time writes to a study."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from annotator.core.errors import StudyError
from annotator.core.files import can_write, remove_leftovers, storage_error

# Where runs write; exports may be large trees of other programs' files.
_WRITTEN = (
    ".",
    "objects",
    "rough",
    "rough/instances",
    "rough/overlays",
    "models",
    "report",
    "cvat",
    "cvat/instances",
)


@contextmanager
def held_lock(folder: Path) -> Iterator[None]:
    """Hold ``study.lock``; the system frees it when the process ends, however it ends.

    Raises
    ------
    StudyError
        When another process holds it.
    StorageError
        When the folder, or one in it, cannot be written.
    """
    path = folder / "study.lock"
    _check_writable(folder)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        _take(handle, folder)
        for name in _WRITTEN:
            remove_leftovers(folder / name)
        yield
    finally:
        os.close(handle)


def _check_writable(folder: Path) -> None:
    """Meet a read-only study before any work, not after an hour of it."""
    for place in (*(folder / name for name in _WRITTEN), folder / "study.db"):
        if place.exists() and not can_write(place):
            raise StudyError(
                f"{place}: cannot be written, and a run has to; change the owner or the mode "
                "(chmod -R u+w), or copy the study to a disk that can be written"
            )


def _take(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        with suppress(OSError):
            holder = os.read(handle, 32).decode("ascii", "ignore").strip()
        raise StudyError(
            f"{folder}: another run is writing to this study (process {holder or 'unknown'}); "
            "wait for it, or stop it, and run again"
        ) from error
    os.ftruncate(handle, 0)
    os.write(handle, str(os.getpid()).encode())
