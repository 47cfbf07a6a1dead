"""What a worker measures of one image: its label map, and its picture where it is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import strange_codes
from annotator.core.errors import ImageError, StudyError
from annotator.core.label_maps import fit_instances
from annotator.imaging.codecs import decode_png
from annotator.measurements.flags import scores
from annotator.measurements.morphometry import Adipocytes, Measured, measure
from annotator.measurements.white_sensitivity import Flips, flips, sampled
from annotator.numbers.pixels_again import pixels_again
from annotator.settings.images import ReadSettings

# Of what is kept: raised when a figure is measured otherwise.
FORMAT = 3

_NO_PICTURE = "its picture is not where it was: no bands, no scores"
_OTHER_PICTURE = "its file holds other pixels now: no bands, no scores"


@dataclass(frozen=True, slots=True)
class MeasureJob:
    """An image to measure.

    Parameters
    ----------
    name, image_id : str
    picture : Path
        Its file, which may be gone.
    shape : (int, int)
        Height and width.
    um_per_px : float or None
    codes : Path
        Its label map.
    instances : Path
        Its instances, which may be missing.
    """

    name: str
    image_id: str
    picture: Path
    shape: tuple[int, int]
    um_per_px: float | None
    codes: Path
    instances: Path


@dataclass(frozen=True, slots=True)
class MeasuredImage:
    """What was measured.

    Parameters
    ----------
    labels : Measured
    flips : Flips or None
        What follows the white reference; None where the picture was not at hand.
    scores : mapping of str to float
        Evidence for the flags, empty there.
    note : str
        Why the picture was not looked at.
    """

    labels: Measured
    flips: Flips | None
    scores: Mapping[str, float]
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; :meth:`from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> MeasuredImage:
        """Read what :meth:`to_dict` made.

        Raises
        ------
        KeyError, TypeError
            When it is something else.
        """
        labels, moved = body["labels"], body["flips"]
        return cls(
            Measured(dict(labels["areas_px"]), Adipocytes(**labels["adipocytes"])),
            None if moved is None else Flips(**moved),
            dict(body["scores"]),
            str(body["note"]),
        )


@dataclass(frozen=True, slots=True)
class MeasureTask:
    """Measure an image; can be sent to another process."""

    settings: ReadSettings

    def __call__(self, job: MeasureJob) -> MeasuredImage:
        """Read the maps, then the picture.

        Raises
        ------
        StudyError
            When a map holds something else.
        """
        classes, instances = read_maps(job.codes, job.instances, job.shape)
        labels = measure(classes, instances, job.um_per_px)
        pixels, note = self._pixels(job)
        if pixels is None:
            return MeasuredImage(labels, None, {}, note)
        seen = sampled(pixels, classes)
        return MeasuredImage(labels, flips(seen), scores(seen))

    def _pixels(self, job: MeasureJob) -> tuple[NDArray[np.uint8] | None, str]:
        try:
            pixels = pixels_again(job.picture, job.image_id, job.shape, self.settings)
        except ImageError:
            return None, _NO_PICTURE
        return pixels, "" if pixels is not None else _OTHER_PICTURE


def read_maps(
    codes: Path, instances: Path, shape: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Read a label map and its instances, from ``truth/`` or ``rough/``.

    Where instances are missing, or the codes were changed since, they follow: see
    :func:`annotator.core.label_maps.fit_instances`.

    Raises
    ------
    StudyError
        When a file holds something else.
    """
    classes = _read(codes, "uint8")
    if classes.shape != shape:
        raise StudyError(
            f"{codes.name}: expected labels of {shape}, as the image is, got {classes.shape}; "
            "save it anew, or take it away"
        )
    if strange_codes(classes).any():
        raise StudyError(f"{codes.name}: expected codes 0-3 and 255; save it as grey with these")
    numbers = np.zeros(classes.shape, np.int32)
    if instances.exists():
        numbers = _read(instances, "uint16").astype(np.int32)
    if numbers.shape != classes.shape:
        raise StudyError(
            f"instances/{instances.name}: expected {classes.shape} as in the labels, got "
            f"{numbers.shape}; take it away"
        )
    return classes, fit_instances(classes, numbers)


def _read(path: Path, kind: str) -> NDArray[Any]:
    try:
        found = decode_png(path.read_bytes())
    except OSError as error:
        raise StudyError(f"{path.name}: cannot be read ({error.strerror}); restore it") from error
    except StudyError as error:
        raise StudyError(f"{path.name}: {error}; save it anew, or take it away") from error
    if found.dtype != kind:
        raise StudyError(f"{path.name}: expected {kind}, got {found.dtype}; save it anew")
    return found
