"""The outlines of many objects as one array of points.

A point, a step or a hull edge is *free* when it does not run along the border of
the image. A cut adipocyte is judged by its free outline: where the border cuts it,
the outline says nothing about the cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.objects import BoolMask, ImageObjects
from features._segments import Groups

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rings:
    """Closed rings of points, one after the other.

    Parameters
    ----------
    x, y : (Q,) int64
        Pixel centres.
    start, size : (Q,) int64
        First position and length of the ring that the point belongs to.
    groups : Groups
        Objects of the points.
    side : (Q,) uint8
        Bits for the sides of the image that the point lies on: left, right, top, bottom.
    """

    x: Ints
    y: Ints
    start: Ints
    size: Ints
    groups: Groups
    side: NDArray[np.uint8]

    def shifted(self, by: Ints | int) -> Ints:
        """Position of the point `by` places further on the same ring, (Q,).

        Examples
        --------
        >>> from annotator.core.objects import objects_from_masks
        >>> square = objects_from_masks("a1", (9, 9), [((2, 2), np.ones((2, 2), bool))])
        >>> outlines(square).outer.shifted(1).tolist()
        [1, 2, 3, 0]
        """
        return self.start + (np.arange(len(self.x)) - self.start + by) % self.size

    def largest(self, values: Floats) -> Floats:
        """Largest of (Q,) values of each object, (N,) float64.

        Examples
        --------
        >>> from annotator.core.objects import objects_from_masks
        >>> square = objects_from_masks("a1", (9, 9), [((2, 4), np.ones((2, 2), bool))])
        >>> rings = outlines(square).outer
        >>> rings.largest(rings.x.astype(np.float64)).tolist()
        [5.0]
        """
        return np.maximum.reduceat(values, self.groups.starts)


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Outer outlines, convex hulls and holes of N objects.

    Parameters
    ----------
    outer, hull : Rings
    pieces, holes : (N,) int64
        Connected parts (8-neighbours) and holes (4-neighbours).
    filled : (N,) int64
        Pixels with the holes filled.
    """

    outer: Rings
    hull: Rings
    pieces: Ints
    holes: Ints
    filled: Ints


def outlines(objects: ImageObjects) -> Outlines:
    """Trace all objects (cv2.findContours, every boundary pixel).

    Parameters
    ----------
    objects : ImageObjects
        At least one.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_masks
    >>> ring = np.ones((3, 3), bool)
    >>> ring[1, 1] = False
    >>> traced = outlines(objects_from_masks("a1", (9, 9), [((2, 2), ring)]))
    >>> traced.holes.tolist(), traced.filled.tolist()
    ([1], [9])
    """
    outer, hulls, pieces, holes, filled = [], [], [], [], []
    for (x0, y0, _, _), crop in zip(objects.boxes.tolist(), objects.crops, strict=True):
        grey = crop.view(np.uint8)
        contours, tree = cv2.findContours(
            grey, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(x0, y0)
        )
        parents = tree.reshape(-1, 4)[:, 3].tolist()
        outside = [c for c, parent in zip(contours, parents, strict=True) if parent < 0]
        outer.append(outside)
        hulls.append([cv2.convexHull(outside[0] if len(outside) == 1 else np.vstack(outside))])
        pieces.append(len(outside))
        holes.append(len(contours) - len(outside))
        filled.append(_filled_area(crop) if holes[-1] else int(np.count_nonzero(crop)))
    return Outlines(
        _rings(outer, objects.shape),
        _rings(hulls, objects.shape),
        np.array(pieces),
        np.array(holes),
        np.array(filled),
    )


def _filled_area(crop: BoolMask) -> int:
    """Pixels of a mask with its holes filled."""
    # Flooded from outside; what the flood does not reach is the mask or its holes.
    padded = np.pad(crop, 1).view(np.uint8).copy()
    cv2.floodFill(padded, None, (0, 0), (2,))
    return int(np.count_nonzero(padded != 2))


def _rings(groups: list[list[NDArray[Any]]], shape: tuple[int, int]) -> Rings:
    """Join the contours of each object; a contour is (n, 1, 2) int32, x and y."""
    flat = [c.reshape(-1, 2) for group in groups for c in group]
    lengths = np.array([len(c) for c in flat], np.int64)
    owner = np.repeat(np.arange(len(groups), dtype=np.int32), [len(g) for g in groups])
    points = np.concatenate(flat).astype(np.int64)
    x, y = points[:, 0], points[:, 1]
    start = np.cumsum(lengths) - lengths
    side = (x == 0) * 1 + (x == shape[1] - 1) * 2 + (y == 0) * 4 + (y == shape[0] - 1) * 8
    return Rings(
        x,
        y,
        np.repeat(start, lengths),
        np.repeat(lengths, lengths),
        Groups.of(np.repeat(owner, lengths), len(groups)),
        side.astype(np.uint8),
    )


def perimeters(rings: Rings) -> tuple[Floats, Floats]:
    """Whole and free length of each object's outline.

    The chain runs through pixel centres; the whole length adds pi a ring, which moves it
    half a pixel out to the pixels' edge. The free length stays on the centres.

    Parameters
    ----------
    rings : Rings
        Outer outlines of N objects.

    Returns
    -------
    whole, free : (N,) float64
        px.

    References
    ----------
    A. M. Vossepoel & A. W. M. Smeulders, "Vector code probability and metrication error in
    the representation of straight lines of finite length", Comput. Graph. Image Process. 20,
    1982: 0.980 a straight step, 1.406 a diagonal one, -0.091 a corner.

    Examples
    --------
    A square of 3 x 3 pixels in a corner of the image: two of its sides are free.

    >>> from annotator.core.objects import objects_from_masks
    >>> square = objects_from_masks("a1", (9, 9), [((0, 0), np.ones((3, 3), bool))])
    >>> whole, free = perimeters(outlines(square).outer)
    >>> round(float(whole[0]), 2), round(float(free[0]), 2)
    (10.62, 3.74)
    """
    ahead = rings.shifted(1)
    dx, dy = rings.x[ahead] - rings.x, rings.y[ahead] - rings.y
    steps = np.array([0.0, 0.980, 1.406])[np.abs(dx) + np.abs(dy)]
    # A number for each of the eight directions; a corner is where it changes.
    code = 3 * dx + dy
    corner = code != code[rings.shifted(-1)]
    length = np.maximum(steps - 0.091 * corner, 0)
    free = (rings.side & rings.side[ahead]) == 0
    first = rings.start == np.arange(len(rings.x))
    return rings.groups.sum(length + np.pi * first), rings.groups.sum(length * free)


def hull_measures(rings: Rings) -> tuple[Floats, Floats]:
    """Area of each convex hull, and the length of its free edges.

    The hull of pixel centres is widened by the diamond that spans the middles of a
    pixel's edges (as skimage's ``convex_hull_image`` does), in closed form: the mixed
    area of a polygon and that diamond is half the sum of max(|dx|, |dy|) of its edges.

    Parameters
    ----------
    rings : Rings
        Convex hulls of N objects.

    Returns
    -------
    area : (N,) float64
        To the pixels' edges, px.
    free : (N,) float64
        Through the pixels' centres, px.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_masks
    >>> square = objects_from_masks("a1", (9, 9), [((2, 2), np.ones((3, 3), bool))])
    >>> area, free = hull_measures(outlines(square).hull)
    >>> area.tolist(), free.tolist()
    ([8.5], [8.0])
    """
    ahead = rings.shifted(1)
    dx, dy = rings.x[ahead] - rings.x, rings.y[ahead] - rings.y
    # The shoelace formula gives twice the area of the polygon of pixel centres.
    doubled = rings.groups.sum(rings.x * rings.y[ahead] - rings.x[ahead] * rings.y)
    mixed = rings.groups.sum(np.maximum(np.abs(dx), np.abs(dy)))
    area = np.abs(doubled) / 2 + mixed / 2 + 0.5
    free = (rings.side & rings.side[ahead]) == 0
    return area, rings.groups.sum(np.hypot(dx, dy) * free)


def feret(rings: Rings, directions: int = 36) -> tuple[Floats, Floats]:
    """Largest and smallest caliper width of each hull.

    Parameters
    ----------
    rings : Rings
        Convex hulls of N objects.
    directions : int
        How many, evenly spread; 36 of 5 degrees make the largest width right to 0.1 %.

    Returns
    -------
    longest, shortest : (N,) float64
        px, to the pixels' edges.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_masks
    >>> bar = objects_from_masks("a1", (9, 9), [((2, 2), np.ones((1, 6), bool))])
    >>> [each.round(1).tolist() for each in feret(outlines(bar).hull)]
    [[6.0], [1.0]]
    """
    widths = []
    for angle in np.arange(directions) * (np.pi / directions):
        along = rings.x * np.cos(angle) + rings.y * np.sin(angle)
        # Largest and smallest projection, and half a pixel on either side.
        widths.append(rings.largest(along) + rings.largest(-along) + 1)
    return np.max(widths, axis=0), np.min(widths, axis=0)
