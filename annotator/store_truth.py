"""The corrected masks in ``truth/``: written whole, and never over one without keeping it.

::

    truth/NAME.png                       class codes, 255 where nobody says
    truth/earlier/NAME.TIME-HASH.png     what stood there before, by when it was replaced
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from annotator.encoded import decode_png
from annotator.errors import StudyError
from annotator.files import Writer, storage_error, write_atomic


@dataclass(frozen=True, slots=True)
class SavedTruth:
    """What came of saving a mask.

    Parameters
    ----------
    status : str
        ``new``, ``replaced`` or ``unchanged``.
    kept : Path or None
        Where the earlier mask lies now, if there was another.
    """

    status: str
    kept: Path | None = None


class TruthStore:
    """The ``truth/`` folder of a study."""

    def __init__(self, study: Path, write: Writer = write_atomic) -> None:
        self._folder = study / "truth"
        self._write = write

    def path(self, name: str) -> Path:
        """Where the corrected mask of an image lies."""
        return self._folder / f"{name}.png"

    def exists(self, name: str) -> bool:
        """Whether an image has a corrected mask."""
        return self.path(name).exists()

    def save(self, name: str, data: bytes) -> SavedTruth:
        """Write a mask, and keep the one that is there unless it says the same.

        Parameters
        ----------
        name : str
            Of the image in the study.
        data : bytes
            A grey PNG of class codes.

        Raises
        ------
        StorageError
            When the place refuses; the earlier mask is still there.
        """
        path = self.path(name)
        earlier = _read(path)
        if earlier is None:
            self._write(path, data)
            return SavedTruth("new")
        if earlier == data or _same(earlier, data):
            return SavedTruth("unchanged")
        # The copy first: whenever a run is killed, no mask is lost.
        kept = self._keep(name, earlier)
        self._write(path, data)
        return SavedTruth("replaced", kept)

    def _keep(self, name: str, data: bytes) -> Path:
        digest = hashlib.sha256(data).hexdigest()[:12]
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = self._folder / "earlier" / f"{name}.{stamp}-{digest}.png"
        self._write(path, data)
        return path


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(path, error) from error


def _same(earlier: bytes, data: bytes) -> bool:
    """Whether two PNG say the same, however they were packed."""
    try:
        first, second = decode_png(earlier), decode_png(data)
    except StudyError:
        return False
    return first.dtype == second.dtype and np.array_equal(first, second)
