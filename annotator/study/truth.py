"""The corrected masks in ``truth/``: written whole, and never over one without keeping it.

::

    truth/NAME.png                          class codes, 255 where nobody says
    truth/instances/NAME.png                16 bits, instances of fat and bone, 0 none
    truth/earlier/NAME.TIME-HASH.png        what stood there before, by when it was replaced
    truth/earlier/instances/NAME.TIME-HASH.png

Who reads classes alone needs nothing else. Instances are there where a pull brought them; a
person may change the classes beside them: the instances then follow when they are read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from annotator.core.errors import StudyError
from annotator.core.files import Writer, remove_leftovers, storage_error, write_atomic
from annotator.core.label_maps import LabelMaps, compact
from annotator.core.runs import runs_of
from annotator.imaging.codecs import decode_png, encode_png
from annotator.imaging.label_map_files import read_label_maps


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


@dataclass(frozen=True, slots=True)
class TruthFiles:
    """The bytes of one corrected mask.

    Parameters
    ----------
    codes : bytes
        A grey PNG of class codes, 8 bits.
    instances : bytes or None
        A grey PNG of instances, 16 bits; None where they are not known.
    """

    codes: bytes
    instances: bytes | None = None


def truth_files(stitched: LabelMaps) -> TruthFiles:
    """Pack a corrected mask; instances keep their numbers where 16 bits hold them.

    Raises
    ------
    StudyError
        When there are more than 65,535 instances.
    """
    instances = stitched.instances
    small = instances.max() <= np.iinfo(np.uint16).max
    numbers = instances.astype(np.uint16) if small else compact(instances)
    return TruthFiles(encode_png(stitched.classes), encode_png(numbers))


class TruthStore:
    """The ``truth/`` folder of a study."""

    def __init__(self, study: Path, write: Writer = write_atomic) -> None:
        self._folder = study / "truth"
        self._write = write

    def path(self, name: str) -> Path:
        """Where the corrected mask of an image lies."""
        return self._folder / f"{name}.png"

    def instances_path(self, name: str) -> Path:
        """Where the instances of the corrected mask of an image lie, if they are known."""
        return self._folder / "instances" / f"{name}.png"

    def exists(self, name: str) -> bool:
        """Whether an image has a corrected mask."""
        return self.path(name).exists()

    def read(self, name: str) -> LabelMaps | None:
        """Classes and instances of a corrected mask; None where there is none.

        Where the instances are not known, or a person changed the classes since, they follow:
        see :func:`annotator.core.label_maps.fit_instances`.

        Raises
        ------
        StudyError
            When a file cannot be read, or holds something else.
        """
        if not self.exists(name):
            return None
        return read_label_maps(self.path(name), self.instances_path(name))

    def save(self, name: str, files: TruthFiles) -> SavedTruth:
        """Write a mask, and keep the one that is there unless it says the same.

        Parameters
        ----------
        name : str
            Of the image in the study.
        files : TruthFiles

        Raises
        ------
        StorageError
            When the place refuses; the earlier mask is still there.
        """
        path, beside = self.path(name), self.instances_path(name)
        earlier, numbers = _read(path), _read(beside)
        if earlier is None:
            self._put(name, files)
            return SavedTruth("new")
        same = _same(earlier, files.codes)
        if same and (files.instances is None or _same_parts(numbers, files.instances)):
            return SavedTruth("unchanged")
        if same and numbers is None:
            self._put(name, files)
            return SavedTruth("unchanged")
        # The copies first: whenever a run is killed, no mask is lost.
        kept = self._keep(name, earlier, numbers)
        self._put(name, files)
        return SavedTruth("replaced", kept)

    def tidy(self) -> None:
        """Remove what a killed run left behind; the study must be held."""
        inside = (".", "instances", "earlier", "earlier/instances")
        for folder in (self._folder / name for name in inside):
            remove_leftovers(folder)

    def _put(self, name: str, files: TruthFiles) -> None:
        """The instances first: with other classes they are fitted to them when they are read."""
        beside = self.instances_path(name)
        if files.instances is not None:
            self._write(beside, files.instances)
        elif beside.exists():
            beside.unlink()
        self._write(self.path(name), files.codes)

    def _keep(self, name: str, codes: bytes, instances: bytes | None) -> Path:
        digest = hashlib.sha256(codes + (instances or b"")).hexdigest()[:12]
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = self._folder / "earlier" / f"{name}.{stamp}-{digest}.png"
        if instances is not None:
            self._write(path.parent / "instances" / path.name, instances)
        self._write(path, codes)
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
    if earlier == data:
        return True
    try:
        first, second = decode_png(earlier), decode_png(data)
    except StudyError:
        return False
    return first.dtype == second.dtype and np.array_equal(first, second)


def _same_parts(earlier: bytes | None, data: bytes) -> bool:
    """Whether two instance maps part the image alike, whatever their numbers."""
    if earlier is None or earlier == data:
        return earlier is not None
    try:
        first, second = decode_png(earlier), decode_png(data)
    except StudyError:
        return False
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    runs = runs_of(first, second)
    pairs = {*zip(runs.of(first).tolist(), runs.of(second).tolist(), strict=True)}
    alone = all((a == 0) == (b == 0) for a, b in pairs)
    return alone and len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
