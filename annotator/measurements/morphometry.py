"""Measurements of one label map: areas, cellularity by a second equation, adipocytes.

Pure functions on arrays; nothing here knows a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.class_areas import class_areas
from annotator.core.classes import BONE, FAT, UNLABELLED
from annotator.core.objects import BoolMask
from annotator.core.runs import Runs, runs_of

_LEAST_PX = 8
"""Of smaller outlines, a few corners, a circularity has no meaning."""


@dataclass(frozen=True, slots=True)
class Adipocytes:
    """Number, size and shape of the adipocytes of one image.

    Parameters
    ----------
    count : int
        All of them, also those that the border of the image, or black in it, cuts.
    whole : int
        Those that neither the border, nor black, nor an excluded region cuts.
    unit : {"um2", "px"}
        Of the areas; ``um2`` only where the scale is known.
    mean_area, median_area : float or None
        Of the measured ones; None where there is none.
    circularity : float or None
        Mean over the measured ones of at least eight pixels, 0..1; see :func:`circularities`.
    at_bone : int
        Whole ones that touch bone.
    areas_px : tuple of int
        Pixels of each measured one, ascending. Measured are the whole ones that do not touch
        bone: nobody knows how large a cut one is, and beside bone the outline is the bone's as
        much as the cell's.
    """

    count: int
    whole: int
    unit: str
    mean_area: float | None
    median_area: float | None
    circularity: float | None
    at_bone: int = 0
    areas_px: tuple[int, ...] = ()

    @property
    def measured(self) -> int:
        """Those whose size and shape are measured."""
        return len(self.areas_px)


@dataclass(frozen=True, slots=True)
class MapMeasures:
    """The measurements of one label map.

    Parameters
    ----------
    areas_px : mapping
        Pixels of bg, fat, cell, bone and unlabelled.
    adipocytes : Adipocytes
    black_px : int
        Unlabelled ones that are black in the picture: no tissue.
    """

    areas_px: Mapping[str, int]
    adipocytes: Adipocytes
    black_px: int = 0

    @property
    def areas_without_black(self) -> dict[str, int]:
        """The areas with black as background, which it is for all that concerns tissue.

        Examples
        --------
        >>> none = Adipocytes(0, 0, "px", None, None, None)
        >>> MapMeasures({"bg": 1, "cell": 5, "unlabelled": 3}, none, 2).areas_without_black
        {'bg': 3, 'cell': 5, 'unlabelled': 1}
        """
        areas, black = self.areas_px, self.black_px
        moved = {"bg": areas["bg"] + black, "unlabelled": areas["unlabelled"] - black}
        return {**areas, **moved}


def measure(
    classes: NDArray[np.uint8],
    instances: NDArray[np.int32],
    um_per_px: float | None,
    excluded: BoolMask | None = None,
    black: BoolMask | None = None,
) -> MapMeasures:
    """Areas of the classes, and the instances of fat counted and measured.

    Parameters
    ----------
    classes : (H, W) uint8
        Codes 0-3 and 255.
    instances : (H, W) int32
        0 for none.
    um_per_px : float or None
        None where the scale is unknown; areas of adipocytes then stay in pixels.
    excluded : (H, W) bool, optional
        Pixels that count nowhere; they are 255 in `classes`, and in no area.
    black : (H, W) bool, optional
        What is black in the picture, and no tissue.

    Returns
    -------
    MapMeasures

    Examples
    --------
    >>> classes = np.array([[0, 1, 1, 255]], np.uint8)
    >>> found = measure(classes, np.array([[0, 7, 7, 0]], np.int32), None)
    >>> found.areas_px, found.adipocytes.count
    ({'bg': 1, 'fat': 2, 'cell': 0, 'bone': 0, 'unlabelled': 1}, 1)
    """
    runs = runs_of(classes, instances)
    codes = runs.of(classes)
    owner = np.where(codes == FAT, runs.of(instances), 0)
    areas = class_areas(codes, runs.lengths)
    fat = _fat(runs, owner)
    at_bone = None
    if areas["bone"]:
        at_bone = np.isin(fat.ids, _fat_beside(classes == BONE, classes, instances))
    whole = _inside_the_border(fat, instances.shape)
    no_tissue = 0
    if excluded is not None:
        areas["unlabelled"] -= int(np.count_nonzero(excluded))
        whole &= ~np.isin(fat.ids, _fat_beside(excluded, classes, instances))
    if black is not None:
        no_tissue = int((black & (classes == UNLABELLED)).sum())
        whole &= ~np.isin(fat.ids, _fat_beside(black, classes, instances))
    return MapMeasures(
        areas, _adipocytes(instances, fat, whole, at_bone, um_per_px), black_px=no_tissue
    )


def percentages(areas: Mapping[str, float]) -> dict[str, float]:
    """Areas in percent of the image; they sum to 100.

    Parameters
    ----------
    areas : mapping of str to float
        In any unit; not all 0.

    Examples
    --------
    >>> percentages({"bg": 1, "fat": 3})
    {'bg': 25.0, 'fat': 75.0}
    """
    total = sum(areas.values())
    return {name: 100.0 * area / total for name, area in areas.items()}


def second_cellularity(areas: Mapping[str, float]) -> float | None:
    """Cell over the tissue without bone and artefact, 0..1; None without such tissue.

    Slide, plasma bubbles, tears and staining artefacts are all background, so what is left
    of the image without bone and background is cell, fat, and what nobody labelled: that is
    tissue of an unknown kind, and never background. Where all is labelled, both equations
    say the same; their difference is what the open pixels are worth.

    Parameters
    ----------
    areas : mapping of str to float
        Of ``fat``, ``cell`` and ``unlabelled`` at least, in any unit.

    Examples
    --------
    >>> second_cellularity({"bg": 5, "fat": 1, "cell": 2, "bone": 4, "unlabelled": 1})
    0.5
    """
    tissue = areas["cell"] + areas["fat"] + areas["unlabelled"]
    return areas["cell"] / tissue if tissue else None


@dataclass(frozen=True, slots=True, eq=False)
class _Fat:
    """Ids (N,), pixels (N,) and half-open boxes (N, 4) x0 y0 x1 y1 of the instances of fat."""

    ids: NDArray[np.int64]
    areas: NDArray[np.int64]
    boxes: NDArray[np.int64]


def _fat(runs: Runs, owner: NDArray[np.int32]) -> _Fat:
    """From the runs of an image and the adipocyte of each, 0 for none."""
    held = owner > 0
    ids, which = np.unique(owner[held], return_inverse=True)
    width, lengths = runs.shape[1], runs.lengths[held]
    top, x0 = np.divmod(runs.starts[held], width)
    bottom, last = np.divmod(runs.starts[held] + lengths - 1, width)
    # A run that goes on in the next row touches both sides of the image.
    x0, x1 = np.where(bottom > top, 0, x0), np.where(bottom > top, width, last + 1)
    boxes = np.zeros((len(ids), 4), np.int64)
    boxes[:, :2] = np.iinfo(np.int64).max
    np.minimum.at(boxes[:, 0], which, x0)
    np.minimum.at(boxes[:, 1], which, top)
    np.maximum.at(boxes[:, 2], which, x1)
    np.maximum.at(boxes[:, 3], which, bottom + 1)
    areas = np.bincount(which, lengths, len(ids)).astype(np.int64)
    return _Fat(ids.astype(np.int64), areas, boxes)


def _fat_beside(
    mask: BoolMask, classes: NDArray[np.uint8], instances: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Ids of the adipocytes that have a pixel beside one of a mask, diagonals included."""
    beside = cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
    return np.unique(instances[beside & (classes == FAT)])


def _inside_the_border(fat: _Fat, shape: tuple[int, ...]) -> BoolMask:
    """Which adipocytes the border of the image does not cut, (N,) bool."""
    height, width = shape
    starts, ends = fat.boxes[:, :2] > 0, fat.boxes[:, 2:] < (width, height)
    return np.asarray(np.hstack([starts, ends]).all(axis=1))


def _adipocytes(
    instances: NDArray[np.int32],
    fat: _Fat,
    whole: BoolMask,
    at_bone: BoolMask | None,
    um_per_px: float | None,
) -> Adipocytes:
    measured = whole if at_bone is None else whole & ~at_bone
    areas = fat.areas[measured]
    scale, unit = (1.0, "px") if um_per_px is None else (um_per_px**2, "um2")
    large = np.flatnonzero(measured & (fat.areas >= _LEAST_PX))
    outlines = [_outline(instances, int(fat.ids[k]), fat.boxes[k].tolist()) for k in large]
    rounds = circularities(outlines) if outlines else np.empty(0)
    return Adipocytes(
        count=len(fat.ids),
        whole=int(whole.sum()),
        unit=unit,
        mean_area=float(areas.mean()) * scale if len(areas) else None,
        median_area=float(np.median(areas)) * scale if len(areas) else None,
        circularity=float(rounds.mean()) if len(rounds) else None,
        at_bone=int(whole.sum() - measured.sum()),
        areas_px=tuple(np.sort(areas).tolist()),
    )


def _outline(instances: NDArray[np.int32], number: int, box: list[int]) -> NDArray[np.int32]:
    """The outer outline of one instance, (Q, 2); of several parts the longest."""
    x0, y0, x1, y1 = box
    mask = (instances[y0:y1, x0:x1] == number).view(np.uint8)
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    longest = found[0] if len(found) == 1 else max(found, key=len)
    return np.asarray(longest[:, 0], np.int32)


def circularities(outlines: Sequence[NDArray[np.int32]]) -> NDArray[np.float64]:
    """Compare outlines with circles: 4 pi area / perimeter^2, at most 1, (N,) float64.

    Holes count as filled. The perimeter is 0.980 for a step along the grid, 1.406 for one
    across and -0.091 for a corner (Vossepoel and Smeulders). That chain runs through the
    centres of the boundary pixels, which lie a quarter of a pixel inside a smooth outline on
    average: pi / 2 is added. Drawn discs of 3 to 100 px radius then have 0.98 to 1, squares
    along the grid, the worst case, 7 % too much. The area is the number of pixels inside and on
    the chain, by Pick's theorem.

    Parameters
    ----------
    outlines : sequence of (Q, 2) int32
        Closed chains x, y of every boundary pixel, as ``cv2.findContours`` gives them.

    Returns
    -------
    (N,) float64

    References
    ----------
    Cox 1927, "A method of assigning numerical and percentage values to the degree of roundness
    of sand grains", J. Paleontology 1, 179-183. Vossepoel and Smeulders 1982, "Vector code
    probability and metrication error in the representation of straight lines of finite
    length", Computer Graphics and Image Processing 20, 347-364.

    Examples
    --------
    >>> square = np.array([[0, 0], [0, 1], [0, 2], [1, 2], [2, 2], [2, 1], [2, 0], [1, 0]])
    >>> float(circularities([square]).round(2)[0])  # 9 px; 8 * 0.98 - 4 * 0.091 + pi / 2 around
    1.0
    """
    sizes = np.array([len(one) for one in outlines])
    starts = np.cumsum(sizes) - sizes
    points = np.concatenate(outlines).astype(np.int64)
    following = np.arange(len(points)) + 1
    following[starts + sizes - 1] = starts
    steps = points[following] - points
    corner = (steps[following] != steps).any(axis=1)
    length = np.where(steps.all(axis=1), 1.406, 0.980) - 0.091 * corner
    perimeters = np.add.reduceat(length, starts) + np.pi / 2
    cross = points[:, 0] * points[following, 1] - points[following, 0] * points[:, 1]
    areas = np.abs(np.add.reduceat(cross, starts)) / 2 + sizes / 2 + 1
    return np.minimum(1.0, 4.0 * np.pi * areas / perimeters**2)
