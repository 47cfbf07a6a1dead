"""Where the objects of an image are: their pixels, what lies around them, their outlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.objects import ImageObjects
from features._outline import Outlines, outlines
from features._segments import Segments, Stretches, joined, segments, transposed

# The ring scales with the object between these bounds; nearby means twice as far.
RING_SHARE, RING_RANGE, NEAR = 0.1, (4.0, 32.0), 2.0
PROFILE_INSIDE, PROFILE_OUTSIDE = 4, 8


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Objects of one image, taken apart.

    Parameters
    ----------
    objects : ImageObjects
    inside : Segments
        Pixels of the objects, row by row.
    columns : Segments
        The same pixels column by column, numbered on the transposed image.
    breaks : (P,) bool
        Inside pixels that begin a run.
    across, down : Stretches
        Runs of `inside` and of `columns`.
    depth : (P,) float32
        Distance of each inside pixel from the nearest pixel outside, px, >= 1. The
        border of the image does not count as outside.
    outside : Segments
        Pixels around each object, up to two ring widths (at least 8 px) away.
    distance : (R,) float32
        Distance of each outside pixel from the object, px, >= 1.
    ring : (N,) float64
        Ring width of each object, px: 0.1 sqrt(area), in 4..32.
    areas : (N,) int64
    outlines : Outlines
    """

    objects: ImageObjects
    inside: Segments
    columns: Segments
    breaks: NDArray[np.bool_]
    across: Stretches
    down: Stretches
    depth: NDArray[np.float32]
    outside: Segments
    distance: NDArray[np.float32]
    ring: Floats
    areas: NDArray[np.int64]
    outlines: Outlines

    def deepest(self) -> NDArray[np.float32]:
        """Largest depth of each object, px, (N,) float32.

        Examples
        --------
        >>> from annotator.core.objects import objects_from_masks
        >>> square = objects_from_masks("a1", (9, 9), [((2, 2), np.ones((5, 5), bool))])
        >>> geometry(square, pixel_numbers((9, 9))).deepest().tolist()
        [3.0]
        """
        starts = np.cumsum(self.areas) - self.areas
        largest: NDArray[np.float32] = np.maximum.reduceat(self.depth, starts)
        return largest

    def parts(self) -> dict[str, Stretches]:
        """Runs of the parts of objects that :mod:`features._means` knows."""
        width = self.objects.shape[1]
        around = self.outside.breaks(width)
        ring = self.in_ring()
        return {
            "inside": self.across,
            "near": self.inside.runs(self.breaks, self.core(1)),
            "deep": self.inside.runs(self.breaks, self.core(3)),
            "ring": self.outside.runs(around, ring),
            "beyond": self.outside.runs(around, ~ring),
        }

    def in_ring(self) -> NDArray[np.bool_]:
        """Outside pixels within one ring width, (R,) bool.

        Examples
        --------
        Of one pixel in a row the ring is 4 px wide; what lies around it reaches twice as far.

        >>> from annotator.core.objects import objects_from_masks
        >>> pixel = objects_from_masks("a1", (1, 20), [((0, 10), np.ones((1, 1), bool))])
        >>> where = geometry(pixel, pixel_numbers((1, 20)))
        >>> where.outside.flat[where.in_ring()].tolist()
        [6, 7, 8, 9, 11, 12, 13, 14]
        """
        near: NDArray[np.bool_] = self.distance <= self.widths()
        return near

    def widths(self) -> NDArray[np.float32]:
        """Ring width of each outside pixel's object, px, (R,) float32.

        Examples
        --------
        >>> from annotator.core.objects import objects_from_masks
        >>> large = objects_from_masks("a1", (90, 90), [((5, 5), np.ones((80, 80), bool))])
        >>> np.unique(geometry(large, pixel_numbers((90, 90))).widths()).tolist()
        [8.0]
        """
        return self.ring.astype(np.float32)[self.outside.owner]

    def core(self, radius: int) -> NDArray[np.bool_]:
        """Inside pixels where a square window sees no pixel outside, or the deepest there are.

        Parameters
        ----------
        radius : int
            Of the window, px: 1 for 3 x 3, 3 for 7 x 7.

        Returns
        -------
        (P,) bool
            At least one of each object.

        Notes
        -----
        The corner of a window lies 1.41 radii away, and distances are right to 2 %, so such
        pixels are 1.5 radii deep.

        Examples
        --------
        >>> from annotator.core.objects import objects_from_masks
        >>> square = objects_from_masks("a1", (9, 9), [((2, 2), np.ones((5, 5), bool))])
        >>> where = geometry(square, pixel_numbers((9, 9)))
        >>> [int(where.core(radius).sum()) for radius in (1, 2)]
        [9, 1]
        """
        bound = np.minimum(self.deepest(), np.float32(1.5 * radius))
        core: NDArray[np.bool_] = self.depth >= bound[self.inside.owner]
        return core


def pixel_numbers(shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number of each pixel of an image, and of its transpose.

    Parameters
    ----------
    shape : (int, int)
        Height and width.

    Returns
    -------
    (H, W) int64 and (W, H) int64
        Each in its own row-major order.

    Examples
    --------
    >>> [numbers.tolist() for numbers in pixel_numbers((2, 3))]
    [[[0, 1, 2], [3, 4, 5]], [[0, 1], [2, 3], [4, 5]]]
    """
    height, width = shape
    index = np.arange(height * width)
    return index.reshape(height, width), index.reshape(width, height)


def geometry(
    objects: ImageObjects, numbers: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> Geometry:
    """Take the objects apart: their pixels, depths, surroundings and outlines.

    Parameters
    ----------
    objects : ImageObjects
        At least one.
    numbers : (H, W) int64 and (W, H) int64
        From :func:`pixel_numbers`: made once an image, not once a batch of objects.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_masks
    >>> square = objects_from_masks("a1", (9, 9), [((2, 2), np.ones((3, 3), bool))])
    >>> where = geometry(square, pixel_numbers((9, 9)))
    >>> where.depth.tolist(), where.ring.tolist()
    ([1.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0], [4.0])
    """
    areas = objects.areas()
    ring = ring_widths(areas)
    depths, near, distances = _distances(objects, ring, numbers[0])
    inside, columns = segments(objects, numbers[0]), transposed(objects, numbers[1])
    breaks = inside.breaks(objects.shape[1])
    return Geometry(
        objects,
        inside,
        columns,
        breaks,
        inside.runs(breaks),
        columns.runs(columns.breaks(objects.shape[0])),
        np.concatenate(depths),
        joined(near),
        np.concatenate(distances),
        ring,
        areas,
        outlines(objects),
    )


def ring_widths(areas: NDArray[np.int64]) -> Floats:
    """Width of the ring of objects with so many pixels, px, (N,) float64.

    Examples
    --------
    >>> ring_widths(np.array([1, 10_000, 1_000_000])).tolist()
    [4.0, 10.0, 32.0]
    """
    widths: Floats = np.clip(RING_SHARE * np.sqrt(areas), *RING_RANGE)
    return widths


def ring_reach(areas: NDArray[np.int64]) -> NDArray[np.int64]:
    """How far beyond an object's box its ring reaches at the most, px, (N,) int64.

    Examples
    --------
    >>> ring_reach(np.array([1, 10_000])).tolist()
    [6, 12]
    """
    # Distances are right to 2 %.
    return np.ceil(1.1 * ring_widths(areas)).astype(np.int64) + 1


def _distances(
    objects: ImageObjects, ring: Floats, index: NDArray[np.int64]
) -> tuple[list[Any], list[Any], list[Any]]:
    """Depth of each object's pixels; numbers and distances of the pixels near it."""
    height, width = objects.shape
    far = float(np.hypot(height, width)) / 2
    depths, near, distances = [], [], []
    for i, (x0, y0, x1, y1) in enumerate(objects.boxes.tolist()):
        reach = NEAR * ring[i]
        margin = int(reach) + 1
        top, left = max(y0 - margin, 0), max(x0 - margin, 0)
        bottom, right = min(y1 + margin, height), min(x1 + margin, width)
        window = np.zeros((bottom - top, right - left), np.uint8)
        crop = objects.crops[i]
        inner = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        window[inner] = crop
        # a window without zeros gives no finite distance: half the diagonal stands in
        depth = cv2.distanceTransform(window, cv2.DIST_L2, 5)[inner][crop]
        depths.append(np.minimum(depth, far, out=depth))
        away = cv2.distanceTransform(window ^ 1, cv2.DIST_L2, 5)
        close = (away <= reach) & (window == 0)
        near.append(index[top:bottom, left:right][close])
        distances.append(away[close])
    return depths, near, distances
