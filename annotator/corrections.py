"""What an expert changed: a rough annotation beside its corrected one.

Objects are instances of fat and bone, connected pieces of bg, and all the cell of an image.
An object of the one map and one of the other are the same object when they share more than
half of their union: no object can then have two partners (Kirillov et al. 2019, "Panoptic
Segmentation", section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.objects import freeze
from annotator.schema import BG, CELL, CLASS_NAMES, UNLABELLED

FATES = ("kept", "moved", "relabelled", "added", "deleted")
"""Of objects: unchanged; of the same class, with another boundary; of another class; new; gone."""
_CLASSES = len(CLASS_NAMES)
_FEW = 1 << 22  # pairs that are counted in a table; more are sorted


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """What became of the pixels and objects of one image, or of several together.

    Parameters
    ----------
    pixels : (5, 5) int64
        By rough class (row) and corrected class (column); the fifth is "unlabelled".
    objects : (4, 5) int64
        By class and fate, see :data:`FATES`. A relabelled object counts for its rough class.
    relabelled : (4, 4) int64
        Relabelled objects by rough class (row) and corrected class (column).
    moved_px : (4,) int64
        Pixels by which moved objects differ from what they were.
    """

    pixels: NDArray[np.int64]
    objects: NDArray[np.int64]
    relabelled: NDArray[np.int64]
    moved_px: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("pixels", "objects", "relabelled", "moved_px"):
            object.__setattr__(self, name, freeze(getattr(self, name)))

    def dice(self, code: int, labelled_only: bool = False) -> float | None:
        """Dice of a class, rough against corrected; None where neither has it.

        Parameters
        ----------
        code : int
        labelled_only : bool
            Leave out the pixels that the corrected mask leaves open.
        """
        table = self.pixels[:, :_CLASSES] if labelled_only else self.pixels
        whole = int(table[code].sum() + table[:, code].sum())
        return 2 * int(table[code, code]) / whole if whole else None

    def to_dict(self) -> dict[str, Any]:
        """Plain figures by class, for JSON."""
        return {name: self._of_class(code) for code, name in enumerate(CLASS_NAMES)}

    def _of_class(self, code: int) -> dict[str, Any]:
        row, column = self.pixels[code].tolist(), self.pixels[:, code].tolist()
        to = {n: v for n, v in zip(CLASS_NAMES, self.relabelled[code].tolist(), strict=True) if v}
        return {
            "dice": self.dice(code),
            "dice_labelled": self.dice(code, labelled_only=True),
            "pixels": {
                "rough": sum(row),
                "corrected": sum(column),
                "kept": row[code],
                "relabelled": sum(row[:_CLASSES]) - row[code],
                "relabelled_to_this": sum(column[:_CLASSES]) - row[code],
                "added": column[_CLASSES],
                "deleted": row[_CLASSES],
                "boundary_moved": int(self.moved_px[code]),
            },
            "objects": dict(zip(FATES, self.objects[code].tolist(), strict=True))
            | {"relabelled_to": to},
        }


def together(corrections: Iterable[Correction]) -> Correction | None:
    """Sum over images; None where there are none."""
    found = list(corrections)
    if not found:
        return None
    return Correction(
        sum((c.pixels for c in found), np.zeros((5, 5), np.int64)),
        sum((c.objects for c in found), np.zeros((4, 5), np.int64)),
        sum((c.relabelled for c in found), np.zeros((4, 4), np.int64)),
        sum((c.moved_px for c in found), np.zeros(4, np.int64)),
    )


def compare(
    rough: NDArray[np.uint8],
    rough_instances: NDArray[np.int32],
    corrected: NDArray[np.uint8],
    instances: NDArray[np.int32],
) -> Correction:
    """Compare two annotations of one image.

    Parameters
    ----------
    rough, corrected : (H, W) uint8
        Codes 0-3; 255 unlabelled.
    rough_instances, instances : (H, W) int32
        Number of the instance of fat and bone; elsewhere it does not count.

    Examples
    --------
    >>> rough = np.array([[1, 1, 1, 1, 2]], np.uint8)
    >>> fixed = np.array([[1, 1, 1, 2, 2]], np.uint8)
    >>> found = compare(rough, np.ones((1, 5), np.int32), fixed, np.ones((1, 5), np.int32))
    >>> found.to_dict()["fat"]["objects"]["moved"], round(found.dice(1), 3)
    (1, 0.857)
    """
    before, after = _Objects.of(rough, rough_instances), _Objects.of(corrected, instances)
    pairs = _match(before.numbers, after.numbers)
    pairs, after = _match_pieces(before, after, pairs)
    objects = np.zeros((_CLASSES, len(FATES)), np.int64)
    relabelled = np.zeros((_CLASSES, _CLASSES), np.int64)
    moved_px = np.zeros(_CLASSES, np.int64)
    for first, second, differ in pairs.tolist():
        old, new = before.codes[first], after.codes[second]
        objects[old, _fate(old == new, differ)] += 1
        relabelled[old, new] += old != new
        moved_px[old] += differ * (old == new)
    objects[:, FATES.index("deleted")] = before.count_others(pairs[:, 0])
    objects[:, FATES.index("added")] = after.count_others(pairs[:, 1])
    return Correction(_confusion(rough, corrected), objects, relabelled, moved_px)


def _fate(same_class: bool, differ: int) -> int:
    if not same_class:
        return FATES.index("relabelled")
    return FATES.index("moved" if differ else "kept")


def _confusion(rough: NDArray[np.uint8], corrected: NDArray[np.uint8]) -> NDArray[np.int64]:
    rows, columns = (np.minimum(codes, _CLASSES) for codes in (rough, corrected))
    size = _CLASSES + 1
    counts = np.bincount((rows * np.uint8(size) + columns).ravel(), minlength=size * size)
    return counts.reshape(size, size).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Objects:
    """Objects of one map: their numbers by pixel, 0 for none, and their classes by number."""

    numbers: NDArray[np.int32]
    codes: NDArray[np.uint8]

    @classmethod
    def of(cls, classes: NDArray[np.uint8], instances: NDArray[np.int32]) -> _Objects:
        labelled = classes != UNLABELLED
        regions = (classes == BG) | (classes == CELL)
        own = np.where(labelled & ~regions, instances, 0)
        used = np.zeros(int(own.max(initial=0)) + 1, np.bool_)
        used[own] = True
        used[0] = False
        numbers = np.cumsum(used, dtype=np.int32)[own] * (own > 0)
        _, pieces = cv2.connectedComponents((classes == BG).view(np.uint8), connectivity=8)
        count = int(numbers.max(initial=0))
        numbers = np.where(pieces > 0, pieces + count, numbers)
        cell = max(count, int(numbers.max(initial=0))) + 1
        numbers = np.where(classes == CELL, cell, numbers).astype(np.int32)
        return cls(numbers, _codes_of(numbers, classes))

    def count_others(self, taken: NDArray[np.int64]) -> NDArray[np.int64]:
        """Objects of each class that are not among those numbers, (4,) int64."""
        here = np.bincount(self.numbers.ravel(), minlength=len(self.codes)) > 0
        here[0] = False
        here[taken] = False
        return np.bincount(self.codes[here], minlength=_CLASSES)[:_CLASSES].astype(np.int64)


def _codes_of(numbers: NDArray[np.int32], classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    codes = np.zeros(int(numbers.max(initial=0)) + 1, np.uint8)
    codes[numbers] = classes
    return codes


def _match(before: NDArray[np.int32], after: NDArray[np.int32]) -> NDArray[np.int64]:
    """Objects that share more than half of their union: number, number, pixels that differ."""
    width = int(after.max(initial=0)) + 1
    key = before.astype(np.int64) * width + after
    if (int(before.max(initial=0)) + 1) * width <= _FEW:
        counts = np.bincount(key.ravel())
        keys = np.flatnonzero(counts)
        shared = counts[keys]
    else:
        keys, shared = np.unique(key, return_counts=True)
    first, second = keys // width, keys % width
    sizes = (np.bincount(m.ravel())[n] for m, n in ((before, first), (after, second)))
    union = sum(sizes) - shared
    same = (first > 0) & (second > 0) & (2 * shared > union)
    return np.stack([first, second, union - shared], axis=1)[same].astype(np.int64)


def _match_pieces(
    before: _Objects, after: _Objects, pairs: NDArray[np.int64]
) -> tuple[NDArray[np.int64], _Objects]:
    """Let the pieces of an instance without a partner be the rough objects that lie there.

    Small objects are sent to CVAT as one shape when there are too many for it: untouched,
    each of its pieces is still the object that it was.
    """
    left = np.where(np.isin(before.numbers, pairs[:, 0]), 0, before.numbers)
    alone = np.where(np.isin(after.numbers, pairs[:, 1]), 0, after.numbers)
    if not left.any() or not alone.any():
        return pairs, after
    from skimage.measure import label

    pieces = label(alone, background=0, connectivity=2).astype(np.int32)
    found = _match(left, pieces)
    owner = np.zeros(int(pieces.max()) + 1, np.int32)
    owner[pieces] = alone
    parted = np.unique(owner[found[:, 1]])
    where = np.isin(alone, parted) & (alone > 0)
    base = int(after.numbers.max(initial=0))
    numbers = np.where(where, pieces + base, after.numbers).astype(np.int32)
    classes = after.codes[after.numbers]
    found[:, 1] += base
    return np.concatenate([pairs, found]), _Objects(numbers, _codes_of(numbers, classes))
