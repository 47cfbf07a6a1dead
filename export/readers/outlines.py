"""Pixels of polygons with holes: a pixel belongs to a polygon when its centre lies inside.

Where an outline runs along the edges of pixels, as in our own GeoJSON, the pixels come back
exactly. The polygons of CVAT follow another rule, its server's: :mod:`export.readers.painting`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.core.errors import UsageError
from annotator.core.objects import BoolMask, tight_box
from export.readers.painting import Crop, check_points, refuse_endless

Rings = Sequence[Sequence[tuple[float, float]]]


def crop_of_polygons(polygons: Sequence[Rings], frame: tuple[int, int]) -> Crop | None:
    """The pixels of the union of polygons with holes.

    Parameters
    ----------
    polygons : sequence of sequence of rings
        Of each polygon its outer ring and its holes; of each ring the corners ``(x, y)``, px. The
        last may be the first again.
    frame : (int, int)
        Height and width of the image, px. What lies outside is cut off.

    Returns
    -------
    (box, mask) or None
        Tight half-open box ``x0 y0 x1 y1`` and (h, w) bool; None where there is no pixel.

    Raises
    ------
    UsageError
        When a ring has fewer than three corners, or cannot be of such an image.

    Examples
    --------
    >>> square, hole = [(0, 0), (4, 0), (4, 4), (0, 4)], [(1, 1), (3, 1), (3, 3), (1, 3)]
    >>> box, mask = crop_of_polygons([[square, hole]], (9, 9))
    >>> box, int(mask.sum())
    ((0, 0, 4, 4), 12)
    """
    edges = [_edges(rings, frame) for rings in polygons]
    if not edges:
        return None
    x0, y0, x1, y1 = _window(np.concatenate(edges), frame)
    if x0 >= x1 or y0 >= y1:
        return None
    mask = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for of_polygon in edges:
        # Each in a window of its own: the parts of a class can be many and small.
        left, top, right, bottom = _window(of_polygon, frame)
        if left < right and top < bottom:
            inside = _inside(of_polygon - np.array([left, top] * 2), (bottom - top, right - left))
            mask[top - y0 : bottom - y0, left - x0 : right - x0] |= inside
    tight = tight_box(mask)
    if tight is None:
        return None
    left, top, right, bottom = tight
    box = (x0 + left, y0 + top, x0 + right, y0 + bottom)
    return box, mask[top:bottom, left:right].copy()


def _edges(rings: Rings, frame: tuple[int, int]) -> NDArray[np.float64]:
    """Edges of all rings of a polygon, (E, 4) float64 ``x0 y0 x1 y1``."""
    found = []
    for ring in rings:
        points = np.array(ring, np.float64).reshape(-1, 2)
        if len(np.unique(points, axis=0)) < 3:
            raise UsageError(f"expected a ring of at least 3 corners, got {len(points)}")
        check_points(points.ravel().tolist(), frame)
        refuse_endless(points.ravel().tolist(), frame)
        found.append(np.hstack([points, np.roll(points, -1, axis=0)]))
    if not found:
        raise UsageError("expected a polygon with an outer ring, got none")
    return np.concatenate(found)


def _window(edges: NDArray[np.float64], frame: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of the image that holds the edges, (E, 4); half-open ``x0 y0 x1 y1``."""
    points = edges.reshape(-1, 2)
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    height, width = frame
    x0, y0 = np.maximum(low, 0).astype(int).tolist()
    x1, y1 = np.minimum(high, (width, height)).astype(int).tolist()
    return x0, y0, x1, y1


def _inside(edges: NDArray[np.float64], shape: tuple[int, int]) -> BoolMask:
    """Pixels whose centre the edges go round an odd number of times, bool of this shape.

    Each edge is cut with the middle line of each row that it passes; right of such a cut, inside
    and outside change places. Edges are half-open in y, so that a corner cuts a line once.
    """
    height, width = shape
    below = edges[:, 1] <= edges[:, 3]
    x0, y0, x1, y1 = np.where(below, edges.T, edges[:, [2, 3, 0, 1]].T)
    first = np.clip(np.ceil(y0 - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(y1 - 0.5), 0, height).astype(np.int64)
    counts = last - first
    which = np.repeat(np.arange(len(edges)), counts)
    rows = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    part = (rows + 0.5 - y0[which]) / (y1 - y0)[which]
    cuts = x0[which] + part * (x1 - x0)[which]
    columns = np.clip(np.ceil(cuts - 0.5), 0, width).astype(np.int64)
    flat = np.bincount(rows * (width + 1) + columns, minlength=height * (width + 1))
    turns = flat.reshape(height, width + 1)[:, :width]
    mask: BoolMask = np.cumsum(turns, axis=1) % 2 == 1
    return mask
