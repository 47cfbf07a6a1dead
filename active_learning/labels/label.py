"""What people and machines said of objects: append-only, and which of it counts.

Nothing said is ever taken back. Of all that was said of one object, the latest of the
strongest source counts: a person before a corrected mask, a corrected mask before the seed
groups, the seed groups before a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from annotator.core.labels import SKIP, Label, ObjectKey
from annotator.core.objects import freeze

PRECEDENCE = ("model", "seed", "truth", "person")
"""The sources, weakest first."""

# By whom two authors can disagree: machines have no opinion of their own.
_PEOPLE = ("truth", "person")


@dataclass(frozen=True, slots=True, eq=False)
class LabelArrays:
    """One label an object, as parallel arrays.

    Parameters
    ----------
    image_ids : (M,) str
    object_ids : (M,) int32
    codes : (M,) uint8
        0-3, and 4 mixed, 5 skip.
    sources : (M,) str
    """

    image_ids: NDArray[np.str_]
    object_ids: NDArray[np.int32]
    codes: NDArray[np.uint8]
    sources: NDArray[np.str_]

    def __post_init__(self) -> None:
        m = len(self.object_ids)
        kinds = {"image_ids": "U", "object_ids": "i4", "codes": "u1", "sources": "U"}
        for name, kind in kinds.items():
            array = getattr(self, name)
            if array.shape != (m,) or array.dtype.kind != kind[0]:
                raise ValueError(f"{name} must be ({m},) {kind}, got {array.shape} {array.dtype}")
            object.__setattr__(self, name, freeze(array))

    def __len__(self) -> int:
        return len(self.object_ids)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An object of which people said different things.

    Parameters
    ----------
    image_id : str
    object_id : int
    opinions : tuple of (str, int)
        Author and code, by author.
    """

    image_id: str
    object_id: int
    opinions: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two people agree on the objects that both of them labelled.

    Parameters
    ----------
    authors : (str, str)
    objects, agreed : int
    kappa : float or None
        Cohen's, in -1..1; None where both used one and the same class throughout, so that
        chance alone would agree as well.
    """

    authors: tuple[str, str]
    objects: int
    agreed: int
    kappa: float | None


def strength(label: Label) -> int:
    """Rank of the source, 0 for the weakest."""
    return PRECEDENCE.index(label.source)


def current(labels: Iterable[Label]) -> tuple[Label, ...]:
    """The label that counts of each object, in order of image and object.

    See :func:`counting`.

    Parameters
    ----------
    labels : iterable of Label
        In the order in which they were given.

    Examples
    --------
    >>> seeded = Label("i", 1, 2, "seed", 0, "groups", "2026-01-01T00:00:00+00:00")
    >>> mine = replace(seeded, code=1, source="person", author="eva")
    >>> later = replace(seeded, code=0, time="2026-01-02T00:00:00+00:00")
    >>> [(label.object_id, label.code) for label in current([seeded, mine, later])]
    [(1, 1)]
    """
    of_object: dict[ObjectKey, list[Label]] = {}
    for label in labels:
        of_object.setdefault(label.key, []).append(label)
    return tuple(counting(of_object[key]) for key in sorted(of_object))


def counting(labels: Sequence[Label]) -> Label:
    """The label that counts, of one or more that are of one object.

    The latest of the strongest source; of two at the same time, the one that comes later
    here. Whoever skips an object takes their own word back, and not that of another one:
    while anybody from the same source says something, a skip does not count.

    Parameters
    ----------
    labels : sequence of Label
        In the order in which they were given.

    Examples
    --------
    >>> eva = Label("i", 1, 1, "person", 0, "eva", "2026-01-01T00:00:00+00:00")
    >>> bob = replace(eva, code=SKIP, author="bob", time="2026-01-02T00:00:00+00:00")
    >>> counting([eva, bob]).author
    'eva'
    """
    if len(labels) == 1:
        return labels[0]
    order = sorted(range(len(labels)), key=lambda at: (labels[at].time, at))
    last = {(labels[at].source, labels[at].author): rank for rank, at in enumerate(order)}
    candidates = [(labels[order[rank]], rank) for rank in last.values()]
    return max(
        candidates,
        key=lambda candidate: (strength(candidate[0]), candidate[0].code != SKIP, candidate[1]),
    )[0]


def latest_of_each(labels: Iterable[Label]) -> tuple[Label, ...]:
    """The last word of each author and source on each object, in order of these."""
    last: dict[tuple[str, int, str, str], Label] = {}
    for label in labels:
        key = (*label.key, label.source, label.author)
        if key not in last or label.time >= last[key].time:
            last[key] = label
    return tuple(last[key] for key in sorted(last))


def trainable(labels: Iterable[Label]) -> tuple[Label, ...]:
    """The labels that count and name a class: mixed and skipped objects are left out."""
    return tuple(label for label in current(labels) if label.is_class)


def to_arrays(labels: Sequence[Label]) -> LabelArrays:
    """Labels as parallel arrays, in the same order."""
    return LabelArrays(
        np.array([label.image_id for label in labels], np.str_),
        np.array([label.object_id for label in labels], np.int32),
        np.array([label.code for label in labels], np.uint8),
        np.array([label.source for label in labels], np.str_),
    )


def disagreements(labels: Iterable[Label]) -> tuple[Disagreement, ...]:
    """Objects of which two people or more say different things, each by the last word.

    Whoever skipped an object said nothing of it.
    """
    return tuple(
        Disagreement(*key, tuple(sorted(codes.items())))
        for key, codes in sorted(_opinions(labels).items())
        if len(set(codes.values())) > 1
    )


def cohen_kappa(labels: Iterable[Label]) -> tuple[Agreement, ...]:
    """Agreement of every two people who labelled an object in common, by their names.

    Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological
    Measurement 20 (1960) 37-46. Mixed counts as a class of its own.
    """
    opinions = [codes for _, codes in sorted(_opinions(labels).items())]
    authors = sorted({author for codes in opinions for author in codes})
    pairs = (_agreement(opinions, first, second) for first, second in combinations(authors, 2))
    return tuple(agreement for agreement in pairs if agreement.objects)


def _opinions(labels: Iterable[Label]) -> dict[ObjectKey, dict[str, int]]:
    """The code that each person gives each object: own word before own mask."""
    best: dict[tuple[ObjectKey, str], Label] = {}
    for label in latest_of_each(labels):
        if label.source not in _PEOPLE:
            continue
        other = best.get((label.key, label.author))
        if other is None or strength(label) > strength(other):
            best[label.key, label.author] = label
    opinions: dict[ObjectKey, dict[str, int]] = {}
    for (key, author), label in best.items():
        if label.code != SKIP:
            opinions.setdefault(key, {})[author] = label.code
    return opinions


def _agreement(opinions: Sequence[Mapping[str, int]], first: str, second: str) -> Agreement:
    shared = [
        (codes[first], codes[second]) for codes in opinions if first in codes and second in codes
    ]
    agreed = sum(a == b for a, b in shared)
    kappa = None
    if len({code for pair in shared for code in pair}) > 1:
        from sklearn.metrics import cohen_kappa_score

        kappa = float(cohen_kappa_score(*zip(*shared, strict=True)))
    return Agreement((first, second), len(shared), agreed, kappa)


def moved(label: Label, object_id: int, mask_key: str, objects_key: str) -> Label:
    """The same label on another object: author and time stay, the origin is noted."""
    return replace(
        label,
        object_id=object_id,
        mask_key=mask_key,
        objects_key=objects_key,
        id=0,
        origin=label.id,
    )
