"""What an expert changed: a rough annotation beside its corrected one.

Objects are instances of fat and bone, connected pieces of bg, and all the cell of an image.
An object of the one map and one of the other are the same object when they share more than
half of their union: no object can then have two partners (Kirillov et al. 2019, "Panoptic
Segmentation", section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, BONE, CELL, CLASS_NAMES, FAT
from annotator.core.objects import freeze
from annotator.core.runs import Runs, runs_of

FATES = ("kept", "moved", "relabelled", "added", "deleted")
"""Of objects: unchanged; of the same class, with another boundary; of another class; new; gone."""
_CLASSES = len(CLASS_NAMES)


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """Pixels and objects of one image, or of several, by what an expert did with them.

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


def sum_corrections(corrections: Iterable[Correction]) -> Correction | None:
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


def compare_maps(
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

    Returns
    -------
    Correction

    References
    ----------
    Kirillov et al. 2019, "Panoptic Segmentation", CVPR, section 4.1, for the matching.

    Examples
    --------
    >>> rough = np.array([[1, 1, 1, 1, 2]], np.uint8)
    >>> fixed = np.array([[1, 1, 1, 2, 2]], np.uint8)
    >>> found = compare_maps(rough, np.ones((1, 5), np.int32), fixed, np.ones((1, 5), np.int32))
    >>> found.to_dict()["fat"]["objects"]["moved"], round(found.dice(1), 3)
    (1, 0.857)
    """
    if rough is corrected and rough_instances is instances:
        background = _pieces_of_background(rough)
        runs = runs_of(rough, instances, *_none_left_out([background]))
        untouched = _objects(runs, rough, instances, background)
        return _Overlaps.of(untouched, untouched, runs.lengths).correction()
    pieces = [_pieces_of_background(classes) for classes in (rough, corrected)]
    runs = runs_of(rough, rough_instances, corrected, instances, *_none_left_out(pieces))
    before = _objects(runs, rough, rough_instances, pieces[0])
    after = _objects(runs, corrected, instances, pieces[1])
    overlaps = _Overlaps.of(before, after, runs.lengths)
    left, alone = overlaps.without_partner()
    if left.any() and alone.any():
        runs, before, after = _parted(runs, before, after, left, alone)
        overlaps = _Overlaps.of(before, after, runs.lengths)
    return overlaps.correction()


@dataclass(frozen=True, slots=True, eq=False)
class _Map:
    """Objects of one map: the number of each run, and their classes by number.

    Number 0 is what is unlabelled, and its class the fifth.
    """

    numbers: NDArray[np.int32]
    codes: NDArray[np.uint8]


def _pieces_of_background(classes: NDArray[np.uint8]) -> NDArray[np.int32] | None:
    """Connected pieces of bg from 1 on, (H, W) int32; None where there is no bg."""
    background = (classes == BG).view(np.uint8)
    if not background.any():
        return None
    pieces: NDArray[np.int32] = np.asarray(
        cv2.connectedComponents(background, connectivity=8)[1], np.int32
    )
    return pieces


def _none_left_out(maps: Iterable[NDArray[np.int32] | None]) -> list[NDArray[np.int32]]:
    return [one for one in maps if one is not None]


def _objects(
    runs: Runs,
    classes: NDArray[np.uint8],
    instances: NDArray[np.int32],
    pieces: NDArray[np.int32] | None,
) -> _Map:
    """Number the objects of a map: instances of fat and bone, pieces of bg, cell."""
    held = runs.of(classes)
    numbers, codes = _instances(held, runs.of(instances))
    count = len(codes) - 1
    pieces_of_bg = 0
    if pieces is not None:
        background, piece = held == BG, runs.of(pieces)
        numbers[background] = count + piece[background]
        pieces_of_bg = int(piece.max())
    numbers[held == CELL] = count + pieces_of_bg + 1
    regions = [BG] * pieces_of_bg + [CELL]
    return _Map(numbers, np.concatenate([codes, np.array(regions, np.uint8)]))


def _instances(
    classes: NDArray[np.uint8], instances: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Number fat and bone from 1 on without gaps, and the class of each number."""
    own = (classes == FAT) | (classes == BONE)
    found, numbers = np.unique(instances[own], return_inverse=True)
    codes = np.full(len(found) + 1, _CLASSES, np.uint8)
    codes[numbers + 1] = classes[own]
    numbered = np.zeros(len(classes), np.int32)
    numbered[own] = numbers + 1
    return numbered, codes


@dataclass(frozen=True, slots=True, eq=False)
class _Overlaps:
    """Pairs of objects of two maps that share pixels, and how many pixels they share.

    ``first`` and ``second`` are the numbers of the objects of each pair, ``shared`` and
    ``union`` its pixels, all (P,) int64.
    """

    before: _Map
    after: _Map
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    shared: NDArray[np.int64]
    union: NDArray[np.int64]

    @classmethod
    def of(cls, before: _Map, after: _Map, lengths: NDArray[np.int64]) -> _Overlaps:
        width = len(after.codes)
        key = before.numbers.astype(np.int64) * width + after.numbers
        keys, pair = np.unique(key, return_inverse=True)
        shared = np.zeros(len(keys), np.int64)
        np.add.at(shared, pair, lengths)
        first, second = keys // width, keys % width
        union = _sizes(first, shared)[first] + _sizes(second, shared)[second] - shared
        return cls(before, after, first, second, shared, union)

    @property
    def partners(self) -> NDArray[np.bool_]:
        """Pairs that are one object, (P,) bool."""
        real: NDArray[np.bool_] = (self.first > 0) & (self.second > 0)
        return real & (2 * self.shared > self.union)

    def without_partner(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Objects without a partner by number, of each map."""
        return (
            _others(self.before, self.first, self.partners),
            _others(self.after, self.second, self.partners),
        )

    def correction(self) -> Correction:
        """Count pixels and objects by their fate."""
        old, new = self.before.codes[self.first], self.after.codes[self.second]
        pixels = np.zeros((_CLASSES + 1, _CLASSES + 1), np.int64)
        np.add.at(pixels, (old, new), self.shared)
        objects = np.zeros((_CLASSES, len(FATES)), np.int64)
        relabelled = np.zeros((_CLASSES, _CLASSES), np.int64)
        moved_px = np.zeros(_CLASSES, np.int64)
        one, differ = self.partners, self.union - self.shared
        same = one & (old == new)
        for fate, chosen in enumerate((same & (differ == 0), same & (differ > 0), one & ~same)):
            objects[:, fate] = np.bincount(old[chosen], minlength=_CLASSES)
        np.add.at(relabelled, (old[one & ~same], new[one & ~same]), 1)
        np.add.at(moved_px, old[same], differ[same])
        left, alone = self.without_partner()
        objects[:, FATES.index("added")] = np.bincount(self.after.codes[alone], minlength=_CLASSES)
        objects[:, FATES.index("deleted")] = np.bincount(
            self.before.codes[left], minlength=_CLASSES
        )
        return Correction(pixels, objects, relabelled, moved_px)


def _sizes(numbers: NDArray[np.int64], shared: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels of each object."""
    sizes = np.zeros(int(numbers.max()) + 1, np.int64)
    np.add.at(sizes, numbers, shared)
    return sizes


def _others(
    objects: _Map, numbers: NDArray[np.int64], partners: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    found = np.zeros(len(objects.codes), np.bool_)
    found[numbers] = True
    found[numbers[partners]] = False
    found[0] = False
    return found


def _parted(
    runs: Runs,
    before: _Map,
    after: _Map,
    left: NDArray[np.bool_],
    alone: NDArray[np.bool_],
) -> tuple[Runs, _Map, _Map]:
    """Let the pieces of a corrected object without a partner be the rough objects that lie there.

    Small objects are sent to CVAT as one shape when there are too many for it: untouched,
    each of its pieces is still the object that it was.
    """
    numbers = runs.spread(after.numbers)
    pieces = _pieces_of(np.where(alone, np.arange(len(alone)), 0).astype(np.int32)[numbers])
    finer = runs_of(runs.spread(before.numbers), numbers, pieces)
    before = _Map(finer.of(runs.spread(before.numbers)), before.codes)
    after, piece = _Map(finer.of(numbers), after.codes), finer.of(pieces)
    codes = np.full(int(piece.max()) + 1, _CLASSES, np.uint8)
    codes[piece] = np.where(piece > 0, after.codes[after.numbers], _CLASSES)
    rest = _Map(np.where(left[before.numbers], before.numbers, 0).astype(np.int32), before.codes)
    found = _Overlaps.of(rest, _Map(piece, codes), finer.lengths)
    owner = np.zeros(len(codes), np.int32)
    owner[piece] = np.where(piece > 0, after.numbers, 0)
    parted = np.zeros(len(after.codes), np.bool_)
    parted[owner[found.second[found.partners]]] = True
    parts = np.where(parted[after.numbers], piece + len(after.codes), after.numbers)
    return finer, before, _Map(parts.astype(np.int32), np.concatenate([after.codes, codes]))


def _pieces_of(owners: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number the connected pieces of every owner but 0, (H, W) int32."""
    pieces, so_far = np.zeros(owners.shape, np.int32), 0
    for owner, where in _windows(owners):
        own = (owners[where] == owner).view(np.uint8)
        count, found = cv2.connectedComponents(own, connectivity=8)
        np.add(found, so_far, out=pieces[where], where=own.view(np.bool_))
        so_far += count - 1
    return pieces


def _windows(owners: NDArray[np.int32]) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Every owner but 0, and the least window that holds all of its pixels."""
    held = np.flatnonzero(owners)
    if not held.size:
        return
    by_owner = held[np.argsort(owners.ravel()[held], kind="stable")]
    values = owners.ravel()[by_owner]
    first = np.flatnonzero(np.diff(values, prepend=0))
    rows, columns = np.divmod(by_owner, owners.shape[1])
    edges = [
        reduce.reduceat(along, first)
        for along in (rows, columns)
        for reduce in (np.minimum, np.maximum)
    ]
    for owner, top, bottom, left, right in zip(values[first], *edges, strict=True):
        yield int(owner), (slice(top, bottom + 1), slice(left, right + 1))
