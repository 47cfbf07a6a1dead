"""Shapes of CVAT painted into one class and one instance a pixel, as its server paints them.

Later shapes lie on top: ascending ``z_order``, then the order in which the server gave them
out (their ids). Holes stay open, and where nothing is, the pixel is unlabelled.

The rasters are the server's own, pixel by pixel:

- polygons: ``frPyObjects`` of pycocotools on points rounded to 2 decimals;
- rectangles: the polygon of their corners, turned about their middle;
- ellipses: ``cv2.ellipse`` with centre and half axes rounded to whole pixels, halves to even.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from annotator.core.classes import UNLABELLED
from annotator.core.errors import UsageError
from annotator.core.objects import BoolMask, freeze, tight_box
from export.readers.rle import crop_of_runs, decode_points, runs_of_text

Box = tuple[int, int, int, int]
Crop = tuple[Box, BoolMask]
KINDS = ("mask", "polygon", "rectangle", "ellipse")
"""Types of shapes that have an area; others cannot be painted."""
_LONGEST_OUTLINE = 500


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One shape, ready to paint.

    Parameters
    ----------
    code : int
        Class, 0-3.
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1`` in the image.
    mask : (h, w) bool
    z_order : int
        Higher lies on top.
    order : int
        Among those of one z_order, higher lies on top: the shape's id on the server.
    group : int
        Shapes of one group and class are one instance; 0 for none.
    """

    code: int
    box: Box
    mask: BoolMask
    z_order: int = 0
    order: int = 0
    group: int = 0

    @property
    def where(self) -> tuple[slice, slice]:
        """Rows and columns of the box in the image."""
        x0, y0, x1, y1 = self.box
        return slice(y0, y1), slice(x0, x1)


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """What the shapes of one image come to.

    Parameters
    ----------
    classes : (H, W) uint8
        Codes 0-3; 255 where nothing is painted, which is never background.
    instances : (H, W) int32
        One number an instance, of every class, 0 where nothing is.
    tied_px : int
        Pixels whose class only the order of the file decided: two shapes of different
        classes and one z_order lie on top there.
    """

    classes: NDArray[np.uint8]
    instances: NDArray[np.int32]
    tied_px: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", freeze(self.classes))
        object.__setattr__(self, "instances", freeze(self.instances))

    @property
    def unlabelled_px(self) -> int:
        """Pixels where nothing is painted."""
        return int(np.count_nonzero(self.classes == UNLABELLED))

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is painted."""
        return self.unlabelled_px == self.classes.size


def paint(marks: Iterable[Mark], frame: tuple[int, int]) -> Painted:
    """Paint shapes on an image of height and width `frame`.

    Examples
    --------
    A hole stays open, and what lies above hides what lies below:

    >>> ring = np.array([[True, False, True]])
    >>> below = Mark(1, (0, 0, 3, 1), ring, z_order=0)
    >>> above = Mark(3, (2, 0, 3, 1), np.array([[True]]), z_order=1)
    >>> paint([above, below], (1, 4)).classes.tolist()
    [[1, 255, 3, 255]]
    """
    ordered = sorted(marks, key=lambda m: (m.z_order, m.order))
    classes = np.full(frame, UNLABELLED, np.uint8)
    instances = np.zeros(frame, np.int32)
    number: dict[tuple[int, ...], int] = {}
    for index, mark in enumerate(ordered):
        key = (mark.group, mark.code) if mark.group else (-1, index)
        # A copy of the box with a mask is quicker than an assignment through the mask.
        np.copyto(classes[mark.where], np.uint8(mark.code), where=mark.mask)
        found = np.int32(number.setdefault(key, len(number) + 1))
        np.copyto(instances[mark.where], found, where=mark.mask)
    return Painted(classes, instances, _tied(ordered, frame))


def _tied(ordered: Sequence[Mark], frame: tuple[int, int]) -> int:
    """Pixels where two classes of one z_order lie on top."""
    if len({mark.z_order for mark in ordered}) == len(ordered):
        return 0
    tied = np.zeros(frame, np.bool_)
    top = np.full(frame, UNLABELLED, np.uint8)
    for _, layer in groupby(ordered, key=lambda m: m.z_order):
        same = list(layer)
        for mark in same:
            # What lies below this z_order is hidden, and no tie.
            np.copyto(tied[mark.where], np.False_, where=mark.mask)
            np.copyto(top[mark.where], np.uint8(UNLABELLED), where=mark.mask)
        for mark in same:
            below = top[mark.where]
            tied[mark.where] |= mark.mask & (below != UNLABELLED) & (below != mark.code)
            np.copyto(below, np.uint8(mark.code), where=mark.mask)
    return int(np.count_nonzero(tied))


def crop_of_shape(
    kind: str, points: Sequence[float], frame: tuple[int, int], rotation: float = 0.0
) -> Crop | None:
    """Box and mask of a shape with the points of CVAT's API; None where it has no pixel.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    points : sequence of float
        Runs and box of a mask; ``x y`` of a polygon's corners; ``x0 y0 x1 y1`` of a rectangle;
        centre, right end and upper end (``cx cy right top``) of an ellipse. Pixels.
    frame : (int, int)
        Height and width of the image.
    rotation : float
        Degrees, clockwise.

    Raises
    ------
    UsageError
        When the points cannot be those of such a shape in such an image.
    """
    if kind == "mask":
        box, mask = decode_points(points, frame)
        tight = tight_box(mask)
        return None if tight is None else _cut(box, mask, tight)
    check_points(points, frame)
    if kind == "polygon":
        return polygon([points], frame)
    if kind not in KINDS or len(points) != 4:
        raise UsageError(f"expected 4 numbers of a rectangle or an ellipse, got {len(points)}")
    if kind == "rectangle":
        return polygon([rectangle_corners(points, rotation)], frame)
    cx, cy, right, top = points
    return ellipse((cx, cy), (right - cx, cy - top), rotation, frame)


def check_points(points: Sequence[float], frame: tuple[int, int]) -> None:
    """Refuse coordinates that are no numbers or lie more than one image beyond the image.

    Raises
    ------
    UsageError
        With the first of them.
    """
    height, width = frame
    most = (2 * width, 2 * height)
    for index, value in enumerate(points):
        limit = most[index % 2]
        if not limit / -2 <= value <= limit:
            raise UsageError(
                f"expected coordinates in or near an image of {width} x {height}, got {value}"
            )


def rectangle_corners(points: Sequence[float], rotation: float) -> list[float]:
    """Corners of a rectangle ``x0 y0 x1 y1``, turned about its middle by degrees, clockwise.

    Examples
    --------
    >>> rectangle_corners([0.0, 0.0, 4.0, 2.0], 0.0)
    [0.0, 0.0, 4.0, 0.0, 4.0, 2.0, 0.0, 2.0]
    """
    x0, y0, x1, y1 = points
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    if rotation:
        cx, cy = x0 + (x1 - x0) / 2, y0 + (y1 - y0) / 2
        cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
        corners = [
            (cx + cos * (x - cx) - sin * (y - cy), cy + sin * (x - cx) + cos * (y - cy))
            for x, y in corners
        ]
    return [value for corner in corners for value in corner]


def polygon(rings: Sequence[Sequence[float]], frame: tuple[int, int]) -> Crop | None:
    """Box and mask of the union of rings ``x y x y ...``; None where it has no pixel.

    Raises
    ------
    UsageError
        When a ring has fewer than three corners, or an outline that no hand draws.
    """
    for ring in rings:
        if len(ring) < 6 or len(ring) % 2:
            raise UsageError(f"expected a polygon of at least 3 corners, got {len(ring)} numbers")
        _refuse_endless(ring, frame)
    rounded = [np.round(np.asarray(ring, np.float64), 2).tolist() for ring in rings]
    # Rows and columns beyond the polygon change nothing, but would have to be run over.
    height = _reach(rounded, 1, frame[0])
    width = _reach(rounded, 0, frame[1])
    found = coco_mask.frPyObjects(rounded, height, width)
    merged = coco_mask.merge(found) if len(found) > 1 else found[0]
    return crop_of_runs(runs_of_text(merged["counts"]), (height, width))


def _refuse_endless(ring: Sequence[float], frame: tuple[int, int]) -> None:
    """Time and memory go with the length of the outline, which a few bytes can make endless."""
    points = np.asarray(ring, np.float64).reshape(-1, 2)
    length = float(np.abs(np.diff(points, axis=0)).sum())
    if not length <= _LONGEST_OUTLINE * sum(frame):
        raise UsageError(
            f"expected an outline of at most {_LONGEST_OUTLINE} times the image's width and "
            f"height, got {length:.0f} pixels"
        )


def ellipse(
    centre: tuple[float, float],
    axes: tuple[float, float],
    rotation: float,
    frame: tuple[int, int],
) -> Crop | None:
    """Box and mask of an ellipse with half axes `axes`; None where it has no pixel."""
    if not (min(axes) >= 0 and max(axes) <= 2 * max(frame) and math.isfinite(rotation)):
        raise UsageError(f"expected half axes of an ellipse near the image, got {axes}")
    canvas = np.zeros(frame, np.uint8)
    middle, half = (round(centre[0]), round(centre[1])), (round(axes[0]), round(axes[1]))
    cv2.ellipse(canvas, middle, half, rotation, 0, 360, 1, thickness=-1)
    mask = canvas.astype(np.bool_)
    tight = tight_box(mask)
    return None if tight is None else _cut((0, 0, frame[1], frame[0]), mask, tight)


def _reach(rings: Sequence[Sequence[float]], first: int, most: int) -> int:
    """Rows or columns from the image's edge to just beyond the polygon."""
    farthest = max(max(ring[first::2]) for ring in rings)
    return min(most, max(1, math.ceil(farthest) + 2))


def _cut(box: Box, mask: BoolMask, tight: Box) -> Crop:
    x0, y0, x1, y1 = tight
    moved = (box[0] + x0, box[1] + y0, box[0] + x1, box[1] + y1)
    return moved, mask[y0:y1, x0:x1].copy()
