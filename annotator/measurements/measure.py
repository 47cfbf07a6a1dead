"""Measure one image in a worker: its label map, and its picture where that is at hand.

The pixels are read a shorter way where that gives the same ones: the content hash decides.
Plain 8-bit RGB as PNG is decoded by libpng alone, in half the time of the way through
:mod:`annotator.imaging.read`; should its hash not be the image's (a profile, an orientation,
another picture), the long way is taken, with all its checks.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from annotator.core.errors import ImageError, StudyError
from annotator.core.label_maps import LabelMaps
from annotator.core.objects import Image, image_id
from annotator.imaging.clear_view import clear_view
from annotator.imaging.label_map_files import read_label_maps
from annotator.imaging.read import read_image
from annotator.measurements.flags import picture_scores, scores
from annotator.measurements.morphometry import Adipocytes, MapMeasures, measure
from annotator.measurements.white_sensitivity import Flips, flips, sampled
from annotator.settings.images import ReadSettings
from annotator.study.excluded_area import ExcludedArea, without_excluded

# Of saved measurements: raised when a figure is measured in another way.
FORMAT = 5

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
    excluded : ExcludedArea or None
        What counts nowhere.
    """

    name: str
    image_id: str
    picture: Path
    shape: tuple[int, int]
    um_per_px: float | None
    codes: Path
    instances: Path
    excluded: ExcludedArea | None = None


@dataclass(frozen=True, slots=True)
class MeasuredImage:
    """The measurements of one image.

    Parameters
    ----------
    labels : MapMeasures
    flips : Flips or None
        Pixels that change class with the white reference; None where the picture was not
        at hand.
    scores : mapping of str to float
        Evidence for the flags, 0..1; empty where the picture was not at hand.
    note : str
        Why the picture was not used; empty where it was.
    """

    labels: MapMeasures
    flips: Flips | None
    scores: Mapping[str, float]
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; :meth:`from_dict` reads them."""
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
        fat = labels["adipocytes"]
        adipocytes = Adipocytes(**fat | {"areas_px": tuple(fat["areas_px"])})
        return cls(
            MapMeasures(dict(labels["areas_px"]), adipocytes, int(labels["black_px"])),
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
        maps = _read_maps(job)
        excluded = None if job.excluded is None else job.excluded.mask()
        pixels, note = self._pixels(job)
        if pixels is None:
            labels = measure(maps.classes, maps.instances, job.um_per_px, excluded)
            return MeasuredImage(labels, None, {}, note)
        view = clear_view(Image(job.image_id, pixels))
        black = view.black
        if black is not None and excluded is not None:
            black = black & ~excluded
        labels = measure(maps.classes, maps.instances, job.um_per_px, excluded, black)
        seen = sampled(view.image.pixels, maps.classes, view.black)
        moved = flips(seen)
        if excluded is not None:
            moved = _of_counted(moved, maps.classes.size, sum(labels.areas_px.values()))
        return MeasuredImage(labels, moved, scores(seen) | picture_scores(view))

    def _pixels(self, job: MeasureJob) -> tuple[NDArray[np.uint8] | None, str]:
        try:
            pixels = pixels_again(job.picture, job.image_id, job.shape, self.settings)
        except ImageError:
            return None, _NO_PICTURE
        return pixels, "" if pixels is not None else _OTHER_PICTURE


def _of_counted(moved: Flips, whole: int, counted: int) -> Flips:
    """Shares of the whole image as shares of the pixels that count."""
    share = whole / counted if counted else 0.0
    return Flips(*(value * share for value in astuple(moved)))


def _read_maps(job: MeasureJob) -> LabelMaps:
    try:
        label_maps = read_label_maps(job.codes, job.instances, job.shape)
        return without_excluded(label_maps, job.excluded)
    except StudyError as error:
        # It may stand in a report that is given away: without the folders of this machine.
        raise StudyError(str(error).replace(f"{job.codes.parent}{os.sep}", "")) from error


_SIGNATURE = b"\x89PNG\r\n\x1a\n"


_HEAD = 33


def pixels_again(
    path: Path, known_id: str, shape: tuple[int, int], settings: ReadSettings
) -> NDArray[np.uint8] | None:
    """Read an image that the study knows.

    Parameters
    ----------
    path : Path
    known_id : str
        Its content hash.
    shape : (int, int)
        Height and width, as the study knows them.
    settings : ReadSettings

    Returns
    -------
    (H, W, 3) uint8 or None
        RGB; None where the file holds other pixels now.

    Raises
    ------
    ImageError
        When there is no image there that can be read.
    """
    quick = _quick(path, shape)
    if quick is not None and image_id(quick) == known_id:
        return quick
    found = read_image(path, settings)
    return found.pixels if found.id == known_id else None


def _quick(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8] | None:
    """Plain 8-bit RGB of this size, or None; what else is wrong the long way says."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            if not _is_plain(head, shape):
                return None
            data = head + file.read()
        pixels = np.asarray(imagecodecs.png_decode(data))
    except (OSError, ValueError, RuntimeError):
        return None
    return pixels if pixels.shape == (*shape, 3) and pixels.dtype == np.uint8 else None


def _is_plain(head: bytes, shape: tuple[int, int]) -> bool:
    """By the header, before anything is decoded: a PNG of this size, 8 bits, RGB.

    Examples
    --------
    >>> size = struct.pack(">II", 4, 3)
    >>> head = _SIGNATURE + b"\\0\\0\\0\\rIHDR" + size + b"\\x08\\x02" + bytes(7)
    >>> _is_plain(head, (3, 4)), _is_plain(head, (4, 3)), _is_plain(b"BM", (3, 4))
    (True, False, False)
    """
    if len(head) < _HEAD or not head.startswith(_SIGNATURE):
        return False
    width, height, depth, kind = struct.unpack(">IIBB", head[16:26])
    return (height, width, depth, kind) == (*shape, 8, 2)
