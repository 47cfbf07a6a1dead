"""Paint shapes of CVAT into one class and one instance a pixel, as its server paints them.

Shapes are painted by ascending ``z_order``, and those of one ``z_order`` in the order in which
the server created them (their ids); later ones lie on top. Holes stay open, and a pixel under
no shape is unlabelled.

Each kind of shape is turned into pixels with the function that the server uses, so that every
pixel agrees:

- polygons: ``frPyObjects`` of pycocotools on points rounded to 2 decimals;
- rectangles: the polygon of their corners, turned about their centre;
- ellipses: ``cv2.ellipse`` with centre and half axes rounded to whole pixels, halves to even.

Boxes here are half-open ``x0 y0 x1 y1``; the box of a mask shape of CVAT is inclusive and is
converted by :mod:`export.readers.rle`.
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
EXCLUDED = 254
"""Code of a shape that excludes its pixels: they have no class, whatever else is drawn there."""
KINDS = ("mask", "polygon", "rectangle", "ellipse")
"""Types of shapes that have an area; others cannot be painted."""
_LONGEST_OUTLINE = 500


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One shape as pixels, to be painted.

    Parameters
    ----------
    code : int
        Class, 0-3; 255 for a shape that says of its pixels that they are none of our classes; or
        :data:`EXCLUDED`.
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1`` in the image, px.
    mask : (h, w) bool
        Its pixels in the box.
    z_order : int
        Higher lies on top.
    order : int
        Among shapes of one z_order, higher lies on top: the id on the server, or the position in
        a file.
    group : int
        Shapes of one group and class are one instance; 0 for none.
    is_box : bool
        Whether it was drawn as an upright or turned rectangle.
    """

    code: int
    box: Box
    mask: BoolMask
    z_order: int = 0
    order: int = 0
    group: int = 0
    is_box: bool = False

    @property
    def where(self) -> tuple[slice, slice]:
        """Rows and columns of the box in the image."""
        x0, y0, x1, y1 = self.box
        return slice(y0, y1), slice(x0, x1)


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """The pixels of one image after all of its shapes were painted.

    Parameters
    ----------
    classes : (H, W) uint8
        Codes 0-3; 255 where nothing is painted. That is not background: nobody judged it.
    instances : (H, W) int32
        A number for each instance of every class, from 1; 0 where nothing is painted.
    tied_px : int
        Pixels where two shapes of different classes and equal z_order lie on top, so that only
        `order` decides which is seen.
    excluded : (H, W) bool or None
        Pixels under shapes that exclude; None where there is no such shape.
    """

    classes: NDArray[np.uint8]
    instances: NDArray[np.int32]
    tied_px: int = 0
    excluded: BoolMask | None = None

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
    """Paint shapes on an empty image.

    Parameters
    ----------
    marks : iterable of Mark
        In any order.
    frame : (int, int)
        Height and width of the image, px.

    Returns
    -------
    Painted
        (H, W).

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
        instance = np.int32(number.setdefault(key, len(number) + 1))
        # Faster than an assignment through a boolean index.
        np.copyto(classes[mark.where], np.uint8(mark.code), where=mark.mask)
        drawn = instance if mark.code != UNLABELLED else np.int32(0)
        np.copyto(instances[mark.where], drawn, where=mark.mask)
    excluded = _excluded(ordered, frame)
    if excluded is not None:
        # Whatever lies on top: who excludes a place means all that is drawn there.
        classes[excluded], instances[excluded] = UNLABELLED, 0
    return Painted(classes, instances, _tied(ordered, frame), excluded)


def split_excluded(codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], BoolMask | None]:
    """Take the pixels that are excluded out of a picture of codes.

    Parameters
    ----------
    codes : (H, W) uint8
        Of classes, 255, or :data:`EXCLUDED`.

    Returns
    -------
    classes : (H, W) uint8
        255 where pixels are excluded.
    excluded : (H, W) bool or None
        None where none is.

    Examples
    --------
    >>> classes, excluded = split_excluded(np.array([[1, 254]], np.uint8))
    >>> classes.tolist(), excluded.tolist()
    ([[1, 255]], [[False, True]])
    """
    excluded: BoolMask = codes == EXCLUDED
    if not excluded.any():
        return codes, None
    return np.where(excluded, np.uint8(UNLABELLED), codes), excluded


def _excluded(marks: Iterable[Mark], frame: tuple[int, int]) -> BoolMask | None:
    """Pixels under the shapes that exclude, (H, W) bool; None where there is none."""
    excluding = [mark for mark in marks if mark.code == EXCLUDED]
    if not excluding:
        return None
    excluded = np.zeros(frame, np.bool_)
    for mark in excluding:
        excluded[mark.where] |= mark.mask
    return excluded


def _tied(ordered: Sequence[Mark], frame: tuple[int, int]) -> int:
    """Pixels where shapes of two classes and one z_order lie on top."""
    ordered = [mark for mark in ordered if mark.code != EXCLUDED]
    if len({mark.z_order for mark in ordered}) == len(ordered):
        return 0
    tied = np.zeros(frame, np.bool_)
    top = np.full(frame, UNLABELLED, np.uint8)
    for _, layer in groupby(ordered, key=lambda m: m.z_order):
        same_z = list(layer)
        for mark in same_z:
            # What lies below this z_order is hidden, so a tie there does not count.
            np.copyto(tied[mark.where], np.False_, where=mark.mask)
            np.copyto(top[mark.where], np.uint8(UNLABELLED), where=mark.mask)
        for mark in same_z:
            below = top[mark.where]
            tied[mark.where] |= mark.mask & (below != UNLABELLED) & (below != mark.code)
            np.copyto(below, np.uint8(mark.code), where=mark.mask)
    return int(np.count_nonzero(tied))


def crop_of_shape(
    kind: str, points: Sequence[float], frame: tuple[int, int], rotation: float = 0.0
) -> Crop | None:
    """The pixels of a shape, from the points of CVAT's API.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    points : sequence of float
        Px. Of a mask: run lengths with the inclusive box behind. Of a polygon: ``x y`` of each
        corner. Of a rectangle: ``x0 y0 x1 y1``. Of an ellipse: centre, right end and upper end,
        ``cx cy right top``.
    frame : (int, int)
        Height and width of the image, px.
    rotation : float
        Degrees, clockwise.

    Returns
    -------
    (box, mask) or None
        Tight half-open box ``x0 y0 x1 y1`` and (h, w) bool; None where the shape has no pixel.

    Raises
    ------
    UsageError
        When the points cannot be those of such a shape in such an image.

    Examples
    --------
    >>> box, mask = crop_of_shape("rectangle", [2.0, 1.0, 5.0, 3.0], (10, 10))
    >>> box, mask.shape
    ((2, 1, 5, 3), (2, 3))
    """
    if kind == "mask":
        box, mask = decode_points(points, frame)
        # Nearly every mask fills its box: four sides are looked at sooner than all pixels.
        if mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any():
            return box, mask
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
    """Refuse coordinates that are not finite or lie farther from the image than its own size.

    Raises
    ------
    UsageError
        With the first such coordinate.
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
    """Corners of a rectangle that is turned about its centre.

    Parameters
    ----------
    points : sequence of float
        ``x0 y0 x1 y1``, px.
    rotation : float
        Degrees, clockwise, since y points down.

    Returns
    -------
    list of float
        ``x y`` of four corners.

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
    """The pixels of the union of polygons.

    Parameters
    ----------
    rings : sequence of sequence of float
        ``x y`` of the corners of each polygon, px.
    frame : (int, int)
        Height and width of the image, px.

    Returns
    -------
    (box, mask) or None
        Tight half-open box ``x0 y0 x1 y1`` and (h, w) bool; None where there is no pixel.

    Raises
    ------
    UsageError
        When a polygon has fewer than three corners, or an outline longer than any that a person
        draws.

    Examples
    --------
    >>> box, mask = polygon([[0, 0, 4, 0, 4, 2, 0, 2]], (10, 10))
    >>> box, int(mask.sum())
    ((0, 0, 4, 2), 8)
    """
    for ring in rings:
        if len(ring) < 6 or len(ring) % 2:
            raise UsageError(f"expected a polygon of at least 3 corners, got {len(ring)} numbers")
        refuse_endless(ring, frame)
    rounded = [np.round(np.asarray(ring, np.float64), 2).tolist() for ring in rings]
    # The canvas ends just beyond the polygon: the time goes with its size, and the pixels inside
    # are the same.
    height = _reach(rounded, 1, frame[0])
    width = _reach(rounded, 0, frame[1])
    found = coco_mask.frPyObjects(rounded, height, width)
    merged = coco_mask.merge(found) if len(found) > 1 else found[0]
    return crop_of_runs(runs_of_text(merged["counts"]), (height, width))


def refuse_endless(ring: Sequence[float], frame: tuple[int, int]) -> None:
    """Refuse an outline whose length would take endless time and memory; few bytes can hold it.

    Raises
    ------
    UsageError
        With the length.
    """
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
    """The pixels of an ellipse.

    Parameters
    ----------
    centre : (float, float)
        ``x y``, px.
    axes : (float, float)
        Half axes along x and y before it is turned, px.
    rotation : float
        Degrees, clockwise.
    frame : (int, int)
        Height and width of the image, px.

    Returns
    -------
    (box, mask) or None
        Tight half-open box ``x0 y0 x1 y1`` and (h, w) bool; None where there is no pixel.

    Raises
    ------
    UsageError
        When the half axes are negative or much larger than the image.

    Examples
    --------
    >>> box, mask = ellipse((5.0, 5.0), (3.0, 1.0), 0.0, (10, 10))
    >>> box
    (2, 4, 9, 7)
    """
    if not (min(axes) >= 0 and max(axes) <= 2 * max(frame) and math.isfinite(rotation)):
        raise UsageError(f"expected half axes of an ellipse near the image, got {axes}")
    canvas = np.zeros(frame, np.uint8)
    middle, half = (round(centre[0]), round(centre[1])), (round(axes[0]), round(axes[1]))
    cv2.ellipse(canvas, middle, half, rotation, 0, 360, 1, thickness=-1)
    mask = canvas.astype(np.bool_)
    tight = tight_box(mask)
    return None if tight is None else _cut((0, 0, frame[1], frame[0]), mask, tight)


def _reach(rings: Sequence[Sequence[float]], first: int, most: int) -> int:
    """Rows or columns, counted from the edge of the image, that hold the polygon."""
    farthest = max(max(ring[first::2]) for ring in rings)
    return min(most, max(1, math.ceil(farthest) + 2))


def _cut(box: Box, mask: BoolMask, tight: Box) -> Crop:
    """Cut a mask to a tight box that is counted from the corner of its own box."""
    x0, y0, x1, y1 = tight
    moved = (box[0] + x0, box[1] + y0, box[0] + x1, box[1] + y1)
    return moved, mask[y0:y1, x0:x1].copy()
