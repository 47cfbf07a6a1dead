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
    of : (M,) int64
        The part, 0 .. count - 1.
    count : int
    notes : tuple of str
        What could not be done as it should, in words.
    """

    of: Index
    count: int
    notes: tuple[str, ...] = ()

    def splits(self) -> list[tuple[Index, Index]]:
        """Row numbers to train on and to test on, once for each part."""
        return [
            (np.flatnonzero(self.of != part), np.flatnonzero(self.of == part))
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
    """
    if len(np.unique(groups)) > 1:
        of, count = _deal(codes, groups, count)
        return Folds(of, count, _unknown(codes, of))
    of, count = _deal(codes, np.arange(len(codes)), count)
    note = (
        "all labels come from one group: nothing was held out, and these figures, from "
        "other objects of the same group, are too good; label a second image or patient"
    )
    return Folds(of, count, (note, *_unknown(codes, of)))


def inner_folds(codes: NDArray[np.uint8], groups: NDArray[np.str_], count: int) -> Folds:
    """Parts for tuning and calibration: like :func:`outer_folds`, with all classes in each rest.

    A class whose objects would all lie in one part, because they are all of one group,
    is dealt object by object; the notes say so. Every class needs two objects.

    Raises
    ------
    ValueError
        When a class has one object alone.
    """
    if (np.bincount(codes, minlength=CLASSES) == 1).any():
        raise ValueError("a class with one object cannot be on both sides of a split")
    units = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    split: list[int] = []
    while True:
        alone = np.isin(codes, split)
        # Objects that are dealt alone have numbers behind those of the groups.
        own = np.where(alone, len(units) + np.arange(len(units)), units)
        of, parts = _deal(codes, own, count)
        left = [code for code in _in_one_part(codes, of) if code not in split]
        if not left:
            names = ", ".join(CLASS_NAMES[code] for code in sorted(split))
            note = (
                f"{names}: too few groups to tune and calibrate on others; objects of one "
                "group were on both sides there, so its probabilities may be too sure"
            )
            return Folds(of, parts, (note,) if split else ())
        split += left


def _deal(codes: NDArray[np.uint8], units: NDArray[Any], count: int) -> tuple[Index, int]:
    """Deal whole units into parts, greedily, the largest first.

    Each unit goes where it raises the sum over parts and classes of (share of the class
    in the part)^2 the least: rare classes weigh as much as common ones (the idea of
    scikit-learn's StratifiedGroupKFold). Ties go to the smaller part, then the first.
    """
    which = np.unique(units, return_inverse=True)[1]
    u = int(which.max(initial=-1)) + 1
    table = np.bincount(which * CLASSES + codes, minlength=u * CLASSES).reshape(u, CLASSES)
    share = table / np.maximum(table.sum(axis=0), 1)
    count = max(min(count, u), 1)
    held, sizes, part = np.zeros((count, CLASSES)), np.zeros(count), np.zeros(u, np.int64)
    for unit in np.argsort(-(share**2).sum(axis=1), kind="stable").tolist():
        cost = np.round((held * share[unit]).sum(axis=1), 12)
        best = int(np.lexsort((sizes, cost))[0])
        part[unit] = best
        held[best] += share[unit]
        sizes[best] += table[unit].sum()
    return part[which], count


def _in_one_part(codes: NDArray[np.uint8], of: Index) -> list[int]:
    """Classes whose objects all have the same part."""
    return [code for code in np.unique(codes).tolist() if len(np.unique(of[codes == code])) == 1]


def _unknown(codes: NDArray[np.uint8], of: Index) -> tuple[str, ...]:
    return tuple(
        f"{CLASS_NAMES[code]}: all its labels are in one part, so that nothing could know the "
        "class while it was held out; its scores say nothing before another group has it"
        for code in _in_one_part(codes, of)
    )
