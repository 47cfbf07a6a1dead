"""Rows that an earlier table of the same image holds already, so that they are not made again.

A threshold of the cell mask or of the pruning changes few objects. What an object looks like
depends on its own pixels and on the image; only :mod:`features.neighbours` and the count of
neighbours depend on the other objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.objects import BoolMask, ImageObjects
from features._geometry import ring_reach
from features.surround import seen_ids
from features.table import FeatureTable


@dataclass(frozen=True, slots=True, eq=False)
class EarlierTable:
    """Objects of an image and their features, as an earlier run left them.

    The caller vouches that they come of the same pixels at the same scale.

    Parameters
    ----------
    objects : ImageObjects
    table : FeatureTable
        One row an object, in the same order.
    """

    objects: ImageObjects
    table: FeatureTable


@dataclass(frozen=True, slots=True, eq=False)
class KnownRows:
    """Which rows of a new table an earlier one holds.

    Parameters
    ----------
    earlier : FeatureTable
    row : (N,) int64
        Of each object in the earlier table; -1 where it is not there.
    changed_around : (N,) bool
        Objects that are there, but have other neighbours now, maybe.
    """

    earlier: FeatureTable
    row: NDArray[np.int64]
    changed_around: BoolMask

    def column(self, name: str) -> Floats:
        """Values of a column, (N,) float64; NaN where the earlier table has no such object."""
        known = self.row >= 0
        values = np.full(len(self.row), np.nan)
        values[known] = self.earlier.column(name)[self.row[known]]
        return values


def known_rows(earlier: EarlierTable, objects: ImageObjects, seen: NDArray[np.int32]) -> KnownRows:
    """Find the objects whose masks an earlier table has, and what changed around them.

    Parameters
    ----------
    earlier : EarlierTable
    objects : ImageObjects
        N of them.
    seen : (H, W) int32
        Id of the object seen at each pixel, from :func:`features.surround.seen_ids`.

    Examples
    --------
    The third object is new; it lies beside the second, and far from the first.

    >>> from annotator.core.objects import objects_from_masks
    >>> parts = [((2, x), np.ones((4, 4), bool)) for x in (2, 40, 45)]
    >>> before = objects_from_masks("a1", (9, 60), parts[:2])
    >>> now = objects_from_masks("a1", (9, 60), parts)
    >>> rows = np.array(["a1"] * 2), before.ids, np.array([[0.5], [0.7]])
    >>> table = FeatureTable(*rows, ("area_share",), "0")
    >>> known = known_rows(EarlierTable(before, table), now, seen_ids(now))
    >>> known.row.tolist(), known.changed_around.tolist(), known.column("area_share").tolist()
    ([0, 1, -1], [False, True, False], [0.5, 0.7, nan])
    """
    places = _by_mask(earlier.objects)
    found = _by_mask(objects)
    row = np.full(len(objects), -1, np.int64)
    for mask, at in found.items():
        row[at] = places.get(mask, -1)
    changed = _seen_otherwise(earlier.objects, objects, seen, row)
    return KnownRows(earlier.table, row, (row >= 0) & _near(objects, changed))


def _by_mask(objects: ImageObjects) -> dict[tuple[tuple[int, ...], bytes], int]:
    """Position of each object by its box and mask; copies of another one are left out."""
    masks = [
        (tuple(box), crop.tobytes())
        for box, crop in zip(objects.boxes.tolist(), objects.crops, strict=True)
    ]
    places = {mask: at for at, mask in enumerate(masks)}
    if len(places) < len(masks):
        copies = {mask for at, mask in enumerate(masks) if places[mask] != at}
        places = {mask: at for mask, at in places.items() if mask not in copies}
    return places


def _seen_otherwise(
    before: ImageObjects, objects: ImageObjects, seen: NDArray[np.int32], row: NDArray[np.int64]
) -> BoolMask:
    """Pixels at which another object is seen than before, or one that is new, (H, W) bool."""
    known = row >= 0
    earlier_seen = seen_ids(before)
    # Rows of the earlier table stand for the objects: ids may have changed. 0: none is seen.
    now = np.zeros(int(max(objects.ids.max(initial=0), seen.max(initial=0))) + 1, np.int32)
    now[objects.ids] = np.where(known, row + 1, -1)
    then = np.zeros(int(before.ids.max(initial=0)) + 1, np.int32)
    then[before.ids] = np.arange(1, len(before) + 1)
    changed: BoolMask = now[seen] != then[earlier_seen]
    return changed


def _near(objects: ImageObjects, pixels: BoolMask) -> BoolMask:
    """Objects whose ring may reach one of the pixels, (N,) bool."""
    height, width = objects.shape
    reach = ring_reach(objects.areas())
    sums = cv2.integral(pixels.view(np.uint8))
    x0, y0, x1, y1 = objects.boxes.T.astype(np.int64)
    left, top = np.maximum(x0 - reach, 0), np.maximum(y0 - reach, 0)
    right, bottom = np.minimum(x1 + reach, width), np.minimum(y1 + reach, height)
    count = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    near: BoolMask = count > 0
    return near
