"""Splits in which no group is on both sides."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learning.classifier.examples import CLASSES, Index
from annotator.core.classes import CLASS_NAMES


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """A part for each object.

    Parameters
    ----------
    part : (M,) int64
        The part, 0 .. count - 1.
    count : int
    notes : tuple of str
        What could not be done as it should, in words.
    """

    part: Index
    count: int
    notes: tuple[str, ...] = ()

    def splits(self) -> list[tuple[Index, Index]]:
        """Row numbers to train on and to test on, once for each part."""
        return [
            (np.flatnonzero(self.part != part), np.flatnonzero(self.part == part))
            for part in range(self.count)
        ]


def holdout(groups: NDArray[np.str_], share: float, seed: int) -> NDArray[np.bool_]:
    """Which objects are kept out of training for good, (M,) bool.

    Each group is in or out by a hash of its own name: adding images never moves one.
    About `share` of the groups are out, so of a handful it may be none.

    Parameters
    ----------
    groups : (M,) str
    share : float
        Of the groups, 0..1.
    seed : int

    Examples
    --------
    >>> few = holdout(np.array(["a", "b", "c", "a"]), 0.5, seed=0)
    >>> more = holdout(np.array(["a", "b", "c", "d", "e"]), 0.5, seed=0)
    >>> bool((few[:3] == more[:3]).all()), bool(few[0] == few[3])
    (True, True)
    """
    names, which = np.unique(groups, return_inverse=True)
    out = np.array([_position(str(name), seed) < share for name in names], np.bool_)
    return out[which]


def _position(name: str, seed: int) -> float:
    """A number in 0..1 that is fixed for a name."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    # 53 bits are what a float holds exactly.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def outer_folds(codes: NDArray[np.uint8], groups: NDArray[np.str_], count: int) -> Folds:
    """Parts to judge a model on: whole groups, every class spread as evenly as they allow.

    With fewer groups than `count` each group is a part. A single group is cut through,
    and the notes say so. A class that lies in one part only is in the notes as well:
    while that part is held out nothing can know the class.

    Parameters
    ----------
    codes : (M,) uint8
        Class of each object, 0..3.
    groups : (M,) str
        Patient or image of each object.
    count : int
        Parts that are wanted, 2 or more.

    Examples
    --------
    >>> codes = np.array([1, 2, 1, 2, 1, 2], np.uint8)
    >>> folds = outer_folds(codes, np.array(["a", "a", "b", "b", "c", "c"]), 3)
    >>> folds.part.tolist(), folds.notes
    ([0, 0, 1, 1, 2, 2], ())
    """
    if len(np.unique(groups)) > 1:
        part, count = _deal(codes, groups, count)
        return Folds(part, count, _unknown(codes, part))
    # Each object is a unit of its own.
    part, count = _deal(codes, np.arange(len(codes)), count)
    note = (
        "all labels come from one group: nothing was held out, and these figures, from "
        "other objects of the same group, are too good; label a second image or patient"
    )
    return Folds(part, count, (note, *_unknown(codes, part)))


def inner_folds(codes: NDArray[np.uint8], groups: NDArray[np.str_], count: int) -> Folds:
    """Parts for tuning and calibration: like :func:`outer_folds`, with all classes in each rest.

    A class whose objects would all lie in one part, because they are all of one group,
    is dealt object by object; the notes say so. Every class needs two objects.

    Parameters
    ----------
    codes : (M,) uint8
        Class of each object, 0..3.
    groups : (M,) str
        Patient or image of each object.
    count : int
        Parts that are wanted, 2 or more.

    Raises
    ------
    ValueError
        When a class has one object alone.

    Examples
    --------
    All bone (3) is of patient "b": its two objects are dealt to different parts.

    >>> codes = np.array([1, 1, 1, 1, 3, 3], np.uint8)
    >>> folds = inner_folds(codes, np.array(["a", "b", "a", "b", "b", "b"]), 2)
    >>> sorted(folds.part[codes == 3].tolist()), folds.notes[0][:28]
    ([0, 1], 'bone: too few groups to tune')
    """
    if (np.bincount(codes, minlength=CLASSES) == 1).any():
        raise ValueError("a class with one object cannot be on both sides of a split")
    units = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    split: list[int] = []
    # Taking one class out of the groups moves the others, so that another class may then lie in
    # one part: again, until none does. Each turn but the last adds one of the four classes.
    while True:
        alone = np.isin(codes, split)
        # Objects that are dealt alone have numbers behind those of the groups.
        own = np.where(alone, len(units) + np.arange(len(units)), units)
        part, dealt = _deal(codes, own, count)
        left = [code for code in _in_one_part(codes, part) if code not in split]
        if not left:
            names = ", ".join(CLASS_NAMES[code] for code in sorted(split))
            note = (
                f"{names}: too few groups to tune and calibrate on others; objects of one "
                "group were on both sides there, so its probabilities may be too sure"
            )
            return Folds(part, dealt, (note,) if split else ())
        split += left


def _deal(codes: NDArray[np.uint8], units: NDArray[Any], count: int) -> tuple[Index, int]:
    """Deal whole units into parts, greedily, the largest first.

    Each unit goes where it raises the sum over parts and classes of (share of the class
    in the part)^2 the least: rare classes weigh as much as common ones (the idea of
    scikit-learn's StratifiedGroupKFold). Ties go to the smaller part, then the first.
    """
    unit_of = np.unique(units, return_inverse=True)[1]
    u = int(unit_of.max(initial=-1)) + 1
    table = np.bincount(unit_of * CLASSES + codes, minlength=u * CLASSES).reshape(u, CLASSES)
    # What share of all objects of a class each unit holds.
    unit_share = table / np.maximum(table.sum(axis=0), 1)
    count = max(min(count, u), 1)
    part_share, sizes, part = np.zeros((count, CLASSES)), np.zeros(count), np.zeros(u, np.int64)
    # Units that hold much of a class first, while every part still has room for them.
    for unit in np.argsort(-(unit_share**2).sum(axis=1), kind="stable").tolist():
        # (a + b)^2 - a^2 grows with a b for the same unit b. Rounded, so that ties are ties
        # on every processor.
        cost = np.round((part_share * unit_share[unit]).sum(axis=1), 12)
        best = int(np.lexsort((sizes, cost))[0])
        part[unit] = best
        part_share[best] += unit_share[unit]
        sizes[best] += table[unit].sum()
    return part[unit_of], count


def _in_one_part(codes: NDArray[np.uint8], part: Index) -> list[int]:
    """Classes whose objects all have the same part."""
    return [code for code in np.unique(codes).tolist() if len(np.unique(part[codes == code])) == 1]


def _unknown(codes: NDArray[np.uint8], part: Index) -> tuple[str, ...]:
    return tuple(
        f"{CLASS_NAMES[code]}: all its labels are in one part, so that nothing could know the "
        "class while it was held out; its scores say nothing before another group has it"
        for code in _in_one_part(codes, part)
    )
