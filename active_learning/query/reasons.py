"""Why an image was chosen, in words that a pathologist understands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES
from annotator.core.objects import BoolMask

# Two classes less apart than this: nobody could tell which it is.
_CLOSE = 0.4
# Disagreement on less of an image's area would read as 0 %.
_SMALL = 0.005
# A class with a smaller share of the objects is worth a word when an image holds it.
_RARE = 0.15
# With so many times more of it than any other image, one is the only one with much.
_MUCH = 4
# The image is among so many of the free ones that are most unlike the labelled ones.
_UNLIKE = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class ObjectPool:
    """All objects, for the reasons.

    Parameters
    ----------
    image : (M,) intp
        Number of the image of each object.
    probabilities : (M, 4) float64
    labelled : (M,) bool
    done : (n,) bool
        Images that are labelled already.
    areas : (M,) float64
        Pixels of each object.
    network : (M, 4) float64 or None
        What the segmentation network holds of each object, where its disagreement with the
        classifier is what counts.
    """

    image: NDArray[np.intp]
    probabilities: Floats
    labelled: BoolMask
    done: BoolMask
    areas: Floats
    network: Floats | None = None


def reasons(pool: ObjectPool, index: int, unlike: float) -> tuple[str, ...]:
    """What speaks for an image, the strongest first; never empty.

    Parameters
    ----------
    pool : ObjectPool
    index : int
        Number of the image.
    unlike : float
        Share of the free images that are more like the labelled ones, 0..1.

    Examples
    --------
    >>> p = np.array([[0.0, 0.5, 0.5, 0.0], [0.0, 0.25, 0.75, 0.0], [0.0, 0.0, 1.0, 0.0]])
    >>> places, unlabelled = np.array([0, 0, 1]), np.zeros(3, bool)
    >>> pool = ObjectPool(places, p, unlabelled, np.zeros(2, bool), np.ones(3))
    >>> reasons(pool, 0, unlike=0.0)
    ('1 of 2 objects is near the border between fat and cell',)
    """
    texts = [
        *(_doubtful(pool, index) if pool.network is None else _disputed(pool, index)),
        *_rare(pool, index),
    ]
    if unlike >= _UNLIKE:
        texts.append("more unlike the images labelled so far than nearly all others")
    return tuple(texts) or ("little in it is doubtful, but less in the images left",)


def _doubtful(pool: ObjectPool, index: int) -> list[str]:
    """Objects between two classes, for the pair of classes that has most of them."""
    rows = (pool.image == index) & ~pool.labelled
    p = pool.probabilities[rows]
    order = np.argsort(-p, axis=1, kind="stable")[:, :2]
    best = np.take_along_axis(p, order, axis=1)
    close = best[:, 0] - best[:, 1] < _CLOSE
    if not close.any():
        return []
    keys = _borders(order[close])
    most = int(np.bincount(keys).argmax())
    first, second = _classes(most)
    near, count = int((keys == most).sum()), int(rows.sum())
    verb = "is" if near == 1 else "are"
    return [f"{near} of {count} objects {verb} near the border between {first} and {second}"]


def _disputed(pool: ObjectPool, index: int) -> list[str]:
    """How much of the area network and classifier name differently, and what most of it may be."""
    rows = (pool.image == index) & ~pool.labelled
    if pool.network is None or not rows.any():
        return []
    named = np.stack([pool.network[rows].argmax(axis=1), pool.probabilities[rows].argmax(axis=1)])
    areas = pool.areas[rows] * (named[0] != named[1])
    share = areas.sum() / pool.areas[rows].sum()
    if share < _SMALL:
        return []
    most = int(np.bincount(_borders(named.T), areas).argmax())
    first, second = _classes(most)
    return [
        f"network and classifier disagree on {100 * share:.0f} % of the area "
        f"(mostly {first} or {second})"
    ]


def _borders(pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    """One number for each pair of classes (K, 2); fat or cell and cell or fat are one border."""
    ordered = np.sort(pairs, axis=1)
    numbers: NDArray[np.intp] = ordered[:, 0] * len(CLASS_NAMES) + ordered[:, 1]
    return numbers


def _classes(border: int) -> tuple[str, str]:
    first, second = divmod(border, len(CLASS_NAMES))
    return CLASS_NAMES[first], CLASS_NAMES[second]


def _rare(pool: ObjectPool, index: int) -> list[str]:
    """Rare classes of which no other free image holds more."""
    p = pool.probabilities
    free = ~pool.labelled & ~pool.done[pool.image]
    size = len(pool.done)
    texts = []
    for code in np.flatnonzero(p.mean(axis=0) < _RARE).tolist():
        # Objects that are more likely of this class than not, in each image.
        counts = np.bincount(pool.image[free & (p[:, code] > 0.5)], minlength=size)
        own, most = int(counts[index]), int(np.delete(counts, index).max(initial=0))
        if not own:
            continue
        about = f"about {own} object" + "s" * (own != 1)
        if own >= _MUCH * most:
            texts.append(f"the only unlabelled image with much {CLASS_NAMES[code]} ({about})")
        elif own > most:
            texts.append(f"more {CLASS_NAMES[code]} than any other unlabelled image ({about})")
    return texts
