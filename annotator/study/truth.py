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
from collections.abc import Callable
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
from annotator.study.excluded_area import ExcludedArea, without_excluded

ExcludedOf = Callable[[str], ExcludedArea | None]
"""What is excluded of the image of a name; None where nothing is."""


@dataclass(frozen=True, slots=True)
class SavedTruth:
    """Outcome of saving a mask.

    Parameters
    ----------
    status : str
        ``new``, ``replaced`` or ``unchanged``.
    earlier_copy : Path or None
        Where the earlier mask lies now, if there was another.
    """

    status: str
    earlier_copy: Path | None = None


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


def truth_files(maps: LabelMaps) -> TruthFiles:
    """Pack a corrected mask; instances keep their numbers where 16 bits hold them.

    Raises
    ------
    StudyError
        When there are more than 65,535 instances.

    Examples
    --------
    >>> classes, instances = np.array([[1, 2]], np.uint8), np.array([[70000, 0]], np.int32)
    >>> decode_png(truth_files(LabelMaps(classes, instances)).instances or b"").tolist()
    [[1, 0]]
    """
    instances = maps.instances
    fits = instances.max() <= np.iinfo(np.uint16).max
    numbers = instances.astype(np.uint16) if fits else compact(instances)
    return TruthFiles(encode_png(maps.classes), encode_png(numbers))


class TruthStore:
    """The ``truth/`` folder of a study.

    Parameters
    ----------
    study : Path
    write : Writer
    excluded_of : callable
        What is excluded of an image, by its name; it has no class in what is read.
    """

    def __init__(
        self,
        study: Path,
        write: Writer = write_atomic,
        excluded_of: ExcludedOf = lambda name: None,
    ) -> None:
        self._folder = study / "truth"
        self._write = write
        self._excluded_of = excluded_of

    def path(self, name: str) -> Path:
        """Where the corrected mask of an image lies."""
        return self._folder / f"{name}.png"

    def instances_path(self, name: str) -> Path:
        """Where the instances of the corrected mask of an image lie, if they are known."""
        return self._folder / "instances" / f"{name}.png"

    def exists(self, name: str) -> bool:
        """Whether an image has a corrected mask."""
        return self.path(name).exists()

    def names(self) -> tuple[str, ...]:
        """Names of all corrected masks, also of those that no image of the study has."""
        return tuple(sorted(path.stem for path in self._folder.glob("[!.]*.png")))

    def read(self, name: str, shape: tuple[int, int] | None = None) -> LabelMaps | None:
        """Classes and instances of a corrected mask; None where there is none.

        Where the instances are not known, or a person changed the classes since, they follow:
        see :func:`annotator.core.label_maps.fit_instances`.

        Parameters
        ----------
        name : str
            Of the image in the study.
        shape : (int, int), optional
            Height and width of the image, which the mask must have.

        Raises
        ------
        StudyError
            When a file cannot be read, or holds something else.
        """
        if not self.exists(name):
            return None
        label_maps = read_label_maps(self.path(name), self.instances_path(name), shape)
        return without_excluded(label_maps, self._excluded_of(name))

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
        earlier_codes = _read(self.path(name))
        earlier_instances = _read(self.instances_path(name))
        if earlier_codes is None:
            self._write_files(name, files)
            return SavedTruth("new")
        if _same_pixels(earlier_codes, files.codes):
            if files.instances is None or _same_parts(earlier_instances, files.instances):
                return SavedTruth("unchanged")
            if earlier_instances is None:
                # Instances that become known are no correction: there is nothing to keep.
                self._write_files(name, files)
                return SavedTruth("unchanged")
        # The copies first: whenever a run is killed, no mask is lost.
        copy = self._copy_earlier(name, earlier_codes, earlier_instances)
        self._write_files(name, files)
        return SavedTruth("replaced", copy)

    def set_aside(self, name: str) -> Path | None:
        """Take the mask of an image out of truth: it is kept among the earlier ones.

        Returns
        -------
        Path or None
            Where it lies now; None where there was none.

        Raises
        ------
        StorageError
            When the place refuses; the mask is still there.
        """
        codes, instances = _read(self.path(name)), _read(self.instances_path(name))
        if codes is None:
            return None
        # The copy first: whenever a run is killed, no mask is lost.
        copy = self._copy_earlier(name, codes, instances)
        try:
            self.path(name).unlink()
            self.instances_path(name).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(self.path(name), error) from error
        return copy

    def tidy(self) -> None:
        """Remove what a killed run left behind; call it inside :meth:`Study.writing` alone."""
        inside = (".", "instances", "earlier", "earlier/instances")
        for folder in (self._folder / name for name in inside):
            remove_leftovers(folder)

    def _write_files(self, name: str, files: TruthFiles) -> None:
        """The instances first: with other classes they are fitted to them when they are read."""
        instances = self.instances_path(name)
        if files.instances is not None:
            self._write(instances, files.instances)
        elif instances.exists():
            instances.unlink()
        self._write(self.path(name), files.codes)

    def _copy_earlier(self, name: str, codes: bytes, instances: bytes | None) -> Path:
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


def _same_pixels(earlier: bytes, data: bytes) -> bool:
    """Whether two PNG hold the same pixels, however they were packed."""
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
    # Each id of the one always meets the same id of the other, and none meets none.
    none_meets_none = all((a == 0) == (b == 0) for a, b in pairs)
    one_to_one = len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    return none_meets_none and one_to_one
