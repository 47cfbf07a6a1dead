"""Two maps of one image: how they are read, and what is counted of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import FAT, UNLABELLED
from annotator.core.errors import StudyError, UsageError
from annotator.evaluation.boundaries import MOST_TOLERANCE_PX, boundary_counts
from annotator.evaluation.instances import Matched, Numbers, match
from annotator.evaluation.pixels import Codes, Counts, confusion
from annotator.imaging.label_map_files import (
    read_codes,
    read_instances,
    refuse_black_and_white,
)
from annotator.study.excluded_area import ExcludedArea, codes_without_excluded


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far apart two boundaries may lie and still be one.

    Parameters
    ----------
    px : float
        0..100.
    um : float or None
        Instead, where an image's scale is known.

    Raises
    ------
    UsageError
        When a figure cannot be used.

    Examples
    --------
    >>> Tolerance(4.0, 2.0).of(0.5), Tolerance(3.0, 2.0).of(None)
    (4.0, 3.0)
    """

    px: float = 4.0
    um: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.px <= MOST_TOLERANCE_PX:
            raise UsageError(
                f"expected a tolerance in 0..{MOST_TOLERANCE_PX:g} px, got {self.px:g}"
            )
        if self.um is not None and not self.um > 0:
            raise UsageError(f"expected a tolerance above 0 um, got {self.um:g}")

    def of(self, um_per_px: float | None) -> float:
        """The tolerance in pixels for an image.

        Raises
        ------
        UsageError
            When that is too many.
        """
        if self.um is None or um_per_px is None:
            return self.px
        return Tolerance(self.um / um_per_px).px


@dataclass(frozen=True, slots=True)
class Maps:
    """Where a label map lies, and its instances if they are known."""

    classes: Path
    instances: Path


@dataclass(frozen=True, slots=True)
class Pair:
    """Two maps of one image.

    Parameters
    ----------
    name, patient, source : str
        See :class:`annotator.evaluation.results.ImageFigures`.
    predicted, truth : Maps
    um_per_px : float or None
    image : Path or None
        The picture itself, where that is known.
    image_id : str
        Hash of the pixels that the maps are of; empty where that is not known.
    shape : (int, int) or None
        Height and width of the image, where they are known.
    excluded : ExcludedArea or None
        What is excluded of the image; both maps are open there.
    """

    name: str
    patient: str
    source: str
    predicted: Maps
    truth: Maps
    um_per_px: float | None = None
    image: Path | None = None
    image_id: str = ""
    shape: tuple[int, int] | None = None
    excluded: ExcludedArea | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What was counted in one image.

    Parameters
    ----------
    confusion : (4, 5) int64
        See :func:`annotator.evaluation.pixels.confusion`.
    boundaries : (4, 4) int64
        See :func:`annotator.evaluation.boundaries.boundary_counts`.
    fat : Matched
        Adipocytes.
    labelled : float
        Share of the image that the truth labels, 0..1.
    tolerance_px : float
    numbered : (bool, bool)
        Whether there was a file of instances, of the truth and of what was predicted.
    """

    confusion: Counts
    boundaries: Counts
    fat: Matched
    labelled: float
    tolerance_px: float
    numbered: tuple[bool, bool]


# Counting


def count(pair: Pair, tolerance: Tolerance) -> Counted:
    """Read both maps of a pair and count.

    Raises
    ------
    UsageError
        When a map is missing, of another size, or holds something else.
    """
    truth, true_numbers = read_maps(pair.truth, pair.shape)
    _refuse_black_and_white(pair.truth, truth)
    predicted, numbers = read_maps(pair.predicted)
    if pair.excluded is not None:
        truth, true_numbers = left_open(truth, true_numbers, pair.excluded)
        predicted, numbers = left_open(predicted, numbers, pair.excluded)
    if predicted.shape != truth.shape:
        raise UsageError(
            f"{pair.predicted.classes}: expected {truth.shape} px as the truth, got "
            f"{predicted.shape}; make both of the same picture"
        )
    px = tolerance.of(pair.um_per_px)
    is_open = truth == UNLABELLED
    return Counted(
        confusion(truth, predicted),
        boundary_counts(truth, predicted, px),
        match(true_numbers, numbers, is_open),
        1 - float(np.count_nonzero(is_open)) / is_open.size,
        px,
        (pair.truth.instances.exists(), pair.predicted.instances.exists()),
    )


def _refuse_black_and_white(maps: Maps, codes: Codes) -> None:
    try:
        refuse_black_and_white(maps.classes, codes, maps.instances)
    except StudyError as error:
        raise UsageError(str(error)) from error


def left_open(codes: Codes, numbers: Numbers, excluded: ExcludedArea) -> tuple[Codes, Numbers]:
    """Codes and adipocytes of an image, both (H, W), without what is excluded.

    Maps of another size stay as they are: whoever compares sizes refuses them.
    """
    if codes.shape != excluded.shape:
        return codes, numbers
    return codes_without_excluded(codes, excluded), np.where(excluded.mask(), 0, numbers)


def read_maps(maps: Maps, shape: tuple[int, int] | None = None) -> tuple[Codes, Numbers]:
    """Codes of an image, and the number of the adipocyte of each pixel, both (H, W).

    An adipocyte has its number where its file says so and the pixel is fat; fat without one
    is parted into its connected pieces (by the sides of pixels).

    Parameters
    ----------
    maps : Maps
    shape : (int, int), optional
        Height and width that the codes must have.

    Raises
    ------
    UsageError
        When a file is missing or holds something else.
    """
    numbers: Numbers | None = None
    try:
        codes = read_codes(maps.classes, shape)
        if maps.instances.exists():
            numbers = read_instances(maps.instances, codes.shape, ("uint8", "uint16"))
    except StudyError as error:
        raise UsageError(str(error)) from error
    fat = codes == FAT
    if numbers is None:
        return codes, _pieces(fat)
    # In place, and as the file has them: new arrays of this size cost more than the product.
    np.multiply(numbers, fat, out=numbers)
    return codes, _all_numbered(fat, numbers)


def _all_numbered(fat: NDArray[np.bool_], numbers: Numbers) -> Numbers:
    orphans = fat & (numbers == 0)
    if not orphans.any():
        return numbers
    numbered = numbers.astype(np.int32)
    np.copyto(numbered, _pieces(orphans) + np.int32(numbers.max()), where=orphans)
    return numbered


def _pieces(fat: NDArray[np.bool_]) -> NDArray[np.int32]:
    found = cv2.connectedComponents(fat.view(np.uint8), connectivity=4)[1]
    return np.asarray(found, np.int32)
