"""The white region that an object is a part of.

Proposals cut a long gap beside a trabecula into pieces, and each piece alone may look as
round as an adipocyte; the gap does not.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.objects import BoolMask
from features._segments import Floats
from features.table import Column

_NO_REGION = "NaN where the object's deepest pixel is not white"
# Bridges up to so many pixels wide do not join two regions.
_BRIDGE = 5

COLUMNS = (
    Column(
        "region_log_area_nominal_um2",
        "ln um2",
        f"any, {_NO_REGION}",
        "Natural logarithm of the region's area at the scale that is known or guessed.",
    ),
    Column("region_log_ratio", "1", f"any, {_NO_REGION}", "ln of region's over object's area."),
    Column("region_solidity", "1", f"0..1, {_NO_REGION}", "Area over the area of its hull."),
    Column(
        "region_axis_ratio",
        "1",
        f"0..1, {_NO_REGION}",
        "Minor over major axis of the ellipse with its second moments.",
    ),
    Column("region_sides", "1", f"0..4, {_NO_REGION}", "Sides of the image that it touches."),
    Column(
        "region_circularity",
        "1",
        f"0..1, {_NO_REGION}",
        "4 pi area / perimeter^2 of the region, holes not filled, over its outer contour.",
    ),
    Column(
        "region_depth_share",
        "1",
        f">= 0, {_NO_REGION}",
        "Distance of the object's deepest pixel from the region's edge, over sqrt(its area).",
    ),
)
_MEASURED = ("solidity", "axis_ratio", "sides", "circularity")


def region(
    white: BoolMask, deepest: NDArray[np.int64], areas: NDArray[np.int64], um_per_px: float
) -> dict[str, Floats]:
    """Columns of :data:`COLUMNS`, (N,) float64 each.

    Parameters
    ----------
    white : (H, W) bool
        White pixels of the image.
    deepest : (N,) int64
        Index, in the ravelled image, of a pixel deepest inside each object.
    areas : (N,) int64
        Pixels of each object.
    um_per_px : float
        Known or guessed.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_BRIDGE, _BRIDGE))
    loose = np.asarray(cv2.morphologyEx(white.view(np.uint8), cv2.MORPH_OPEN, kernel), np.uint8)
    _, found, boxes, _ = cv2.connectedComponentsWithStats(loose, connectivity=4)
    labels, stats = np.asarray(found, np.int32), np.asarray(boxes, np.int32)
    mine = labels.reshape(-1)[deepest]
    used, at = np.unique(mine, return_inverse=True)
    size = stats[used, cv2.CC_STAT_AREA].astype(np.float64)
    shapes = np.array([_shape(labels, stats[label], label) for label in used.tolist()])
    inside = _distance(loose).reshape(-1)[deepest].astype(np.float64)
    columns = {
        "region_log_area_nominal_um2": np.log(size * um_per_px**2)[at],
        "region_log_ratio": np.log(size[at] / areas),
        "region_depth_share": inside / np.sqrt(size[at]),
    }
    columns |= {f"region_{name}": shapes[at, i] for i, name in enumerate(_MEASURED)}
    return {name: np.where(mine > 0, column, np.nan) for name, column in columns.items()}


def _shape(labels: NDArray[np.int32], box: NDArray[np.int32], label: int) -> tuple[float, ...]:
    """:data:`_MEASURED` of one region; NaN for label 0, which is none."""
    if not label:
        return (np.nan,) * len(_MEASURED)
    x, y, width, height, area = box.tolist()
    crop = (labels[y : y + height, x : x + width] == label).view(np.uint8)
    contours, _ = cv2.findContours(crop, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)
    sides = (x == 0) + (y == 0) + (x + width == labels.shape[1]) + (y + height == labels.shape[0])
    length = max(cv2.arcLength(outline, True), 1.0)
    # The hull of pixel centres misses half a pixel all around.
    hull = cv2.convexHull(outline)
    hull_area = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
    return (
        min(area / hull_area, 1.0),
        _axis_ratio(crop),
        float(sides),
        min(4 * np.pi * area / length**2, 1.0),
    )


def _axis_ratio(crop: NDArray[np.uint8]) -> float:
    moments = cv2.moments(crop, binaryImage=True)
    # A pixel is a square with a second moment of its own.
    xx, yy = moments["mu20"] / moments["m00"] + 1 / 12, moments["mu02"] / moments["m00"] + 1 / 12
    xy = moments["mu11"] / moments["m00"]
    middle, spread = (xx + yy) / 2, float(np.hypot((xx - yy) / 2, xy))
    return float(np.sqrt(max(middle - spread, 0.0) / (middle + spread)))


def _distance(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Distance from the nearest pixel outside, px; beyond the image nothing is outside."""
    around = np.pad(mask, 1, mode="edge")
    if around.all():
        return np.full(mask.shape, np.hypot(*mask.shape) / 2, np.float32)
    return np.asarray(cv2.distanceTransform(around, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32)
