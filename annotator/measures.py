"""What one label map says: areas, cellularity by two equations, the size of its adipocytes.

Pure functions on arrays; nothing here knows a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.runs import runs_of
from annotator.schema import CLASS_NAMES, FAT, UNLABELLED

AREA_NAMES = (*CLASS_NAMES, "unlabelled")
_LEAST_PX = 8
"""Smaller outlines are a few corners: a circularity of them says nothing."""


@dataclass(frozen=True, slots=True)
class Adipocytes:
    """Number, size and shape of the adipocytes of one image.

    Parameters
    ----------
    count : int
        All of them, also those that the border of the image cuts.
    whole : int
        Those that no border touches; size and circularity are theirs alone, since nobody
        knows how large a cut one is.
    unit : {"um2", "px"}
        Of the areas; ``um2`` only where the scale is known.
    mean_area, median_area : float or None
        None where there is no whole one.
    circularity : float or None
        Mean over the whole ones of at least eight pixels, 0..1; see :func:`circularity`.
    """

    count: int
    whole: int
    unit: str
    mean_area: float | None
    median_area: float | None
    circularity: float | None


def areas_px(classes: NDArray[np.uint8]) -> dict[str, int]:
    """Pixels of bg, fat, cell, bone and unlabelled.

    Parameters
    ----------
    classes : (H, W) uint8
        Codes 0-3 and 255.

    Examples
    --------
    >>> areas_px(np.array([[0, 1, 1, 255]], np.uint8))
    {'bg': 1, 'fat': 2, 'cell': 0, 'bone': 0, 'unlabelled': 1}
    """
    count = np.bincount(classes.ravel(), minlength=UNLABELLED + 1)
    named = {name: int(count[code]) for code, name in enumerate(CLASS_NAMES)}
    return named | {"unlabelled": int(count[UNLABELLED])}


def percentages(areas: Mapping[str, float]) -> dict[str, float]:
    """Areas in percent of the image; they sum to 100.

    Examples
    --------
    >>> percentages({"bg": 1, "fat": 3})
    {'bg': 25.0, 'fat': 75.0}
    """
    total = sum(areas.values())
    return {name: 100.0 * area / total for name, area in areas.items()}


def cellularity(areas: Mapping[str, float]) -> float | None:
    """Cell / (cell + fat), 0..1; None where there is neither.

    Examples
    --------
    >>> cellularity({"cell": 3, "fat": 1})
    0.75
    >>> cellularity({"cell": 0, "fat": 0}) is None
    True
    """
    return _ratio(areas["cell"], areas["cell"] + areas["fat"])


def second_cellularity(areas: Mapping[str, float]) -> float | None:
    """Cell over the tissue without bone and artefact, 0..1; None without such tissue.

    Slide, plasma bubbles, tears and staining artefacts are all background, so what is left
    of the image without bone and background is cell, fat, and what nobody labelled: that is
    tissue of an unknown kind, and never background. Where all is labelled, both equations
    say the same; their difference is what the open pixels are worth.

    Examples
    --------
    >>> second_cellularity({"bg": 5, "fat": 1, "cell": 2, "bone": 4, "unlabelled": 1})
    0.5
    """
    return _ratio(areas["cell"], areas["cell"] + areas["fat"] + areas["unlabelled"])


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def circularity(area: float, perimeter: float) -> float:
    """Compare an outline with a circle: 4 pi area / perimeter^2, at most 1.

    Source: Cox, E. P. (1927), A method of assigning numerical and percentage values to the
    degree of roundness of sand grains, Journal of Paleontology 1, 179-183.

    Examples
    --------
    >>> round(circularity(1.0, 4.0), 3)  # a square
    0.785
    """
    return min(1.0, 4.0 * np.pi * area / perimeter**2)


def outline_length(outline: NDArray[Any]) -> float:
    """Length of a closed chain of boundary pixels, in pixels.

    0.980 for a step along the grid, 1.406 for one across, -0.091 for a corner: Vossepoel,
    A. M., Smeulders, A. W. M. (1982), Vector code probability and metrication error in the
    representation of straight lines of finite length, CGIP 20, 347-364. The chain runs
    through the centres of the pixels; pi is added for the half pixel around it.

    Parameters
    ----------
    outline : (Q, 1, 2) or (Q, 2) int
        As ``cv2.findContours`` gives it, every boundary pixel.
    """
    points = outline.reshape(-1, 2)
    if len(points) < 2:
        return float(np.pi)
    steps = np.roll(points, -1, axis=0) - points
    across = np.count_nonzero(steps.all(axis=1))
    corners = np.count_nonzero((steps != np.roll(steps, 1, axis=0)).any(axis=1))
    return float(0.980 * (len(points) - across) + 1.406 * across - 0.091 * corners + np.pi)


def adipocytes(
    classes: NDArray[np.uint8], instances: NDArray[np.int32], um_per_px: float | None
) -> Adipocytes:
    """Count and measure the instances of fat.

    Parameters
    ----------
    classes : (H, W) uint8
    instances : (H, W) int32
        0 for none.
    um_per_px : float or None
        Where the scale is known; areas stay in pixels where it is not.
    """
    ids, areas, boxes = _fat_instances(classes, instances)
    height, width = classes.shape
    inside = (boxes[:, :2] > 0).all(axis=1) & (boxes[:, 2] < width) & (boxes[:, 3] < height)
    whole = areas[inside]
    scale, unit = (1.0, "px") if um_per_px is None else (um_per_px**2, "um2")
    round_ = [
        _circularity_of(instances, number, box)
        for number, box, area in zip(ids[inside], boxes[inside].tolist(), whole, strict=True)
        if area >= _LEAST_PX
    ]
    return Adipocytes(
        count=len(ids),
        whole=len(whole),
        unit=unit,
        mean_area=float(whole.mean()) * scale if len(whole) else None,
        median_area=float(np.median(whole)) * scale if len(whole) else None,
        circularity=float(np.mean(round_)) if round_ else None,
    )


def _fat_instances(
    classes: NDArray[np.uint8], instances: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Ids (N,), pixels (N,) and half-open boxes (N, 4) x0 y0 x1 y1 of the instances of fat."""
    owner = np.where(classes == FAT, instances, 0)
    # Each row by itself, so that no run goes on in the next one.
    lines = np.broadcast_to(np.arange(owner.shape[0], dtype=np.int32)[:, None], owner.shape)
    runs = runs_of(owner, lines)
    held = runs.of(owner)
    fat = held > 0
    ids, which = np.unique(held[fat], return_inverse=True)
    rows, x0 = np.divmod(runs.starts[fat], owner.shape[1])
    x1 = x0 + runs.lengths[fat]
    boxes = np.empty((len(ids), 4), np.int64)
    boxes[:, :2] = np.iinfo(np.int64).max
    boxes[:, 2:] = 0
    for column, values in ((0, x0), (1, rows)):
        np.minimum.at(boxes[:, column], which, values)
    for column, values in ((2, x1), (3, rows + 1)):
        np.maximum.at(boxes[:, column], which, values)
    areas = np.bincount(which, runs.lengths[fat], len(ids)).astype(np.int64)
    return ids.astype(np.int64), areas, boxes


def _circularity_of(instances: NDArray[np.int32], number: int, box: list[int]) -> float:
    """Of one instance, its holes filled; of several parts the largest."""
    x0, y0, x1, y1 = box
    mask = (instances[y0:y1, x0:x1] == number).view(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=len)
    # The polygon through the centres of the boundary pixels, and half a pixel around it.
    filled = cv2.contourArea(outline) + len(outline) / 2 + 1
    return circularity(filled, outline_length(outline))
