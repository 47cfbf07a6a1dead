"""Labels that the model disputes: confident learning on out-of-fold probabilities.

An object counts for a class when the model gives that class at least the probability
that it gives on average to the objects labelled so; a label is disputed when its
object counts for another class, and not for its own more (Northcutt, Jiang & Chuang
2021, "Confident Learning: Estimating Uncertainty in Dataset Labels", J. Artif. Intell.
Res. 70, equations 2 and 3). A class that the model is unsure of as a whole therefore
does not fill the list. The results are those of ``cleanlab`` with
``filter_by="confident_learning"`` and ``return_indices_ranked_by="normalized_margin"``,
which cannot share an environment with numpy 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES


@dataclass(frozen=True, slots=True)
class LabelError:
    """One label that a person should look at again.

    Parameters
    ----------
    image_id : str
    object_id : int
    given, suggested : int
        Codes 0..3 of the class on the label and of the class that the model sees.
    score : float
        0..1; the larger, the more suspicious.
    why : str
        For a person.
    """

    image_id: str
    object_id: int
    given: int
    suggested: int
    score: float
    why: str


def find_doubts(
    image_ids: NDArray[np.str_],
    object_ids: NDArray[np.int32],
    given: NDArray[np.uint8],
    probabilities: Floats,
) -> tuple[LabelError, ...]:
    """Find disputed labels, the most suspicious first.

    Parameters
    ----------
    image_ids : (M,) str
    object_ids : (M,) int32
    given : (M,) uint8
        Class on the label, 0..3.
    probabilities : (M, 4) float64
        Each row from a model that has not seen the object. A row with a NaN, of an
        object that was in no held-out fold, is left out.

    Raises
    ------
    ValueError
        When the arrays do not belong together, or a code is no class.

    Examples
    --------
    >>> sure = np.array([[0.0, 0.9, 0.1, 0.0]] * 3 + [[0.0, 0.1, 0.9, 0.0]] * 3)
    >>> ids = np.arange(1, 7, dtype=np.int32)
    >>> given = np.array([1, 1, 1, 2, 2, 1], np.uint8)  # the last is a slip
    >>> [(d.object_id, d.suggested) for d in find_doubts(np.full(6, "a"), ids, given, sure)]
    [(6, 2)]
    """
    m = len(given)
    if image_ids.shape != (m,) or object_ids.shape != (m,) or probabilities.shape != (m, 4):
        raise ValueError(
            f"expected {m} image ids, object ids and rows of 4 probabilities, got "
            f"{image_ids.shape}, {object_ids.shape} and {probabilities.shape}"
        )
    if m and given.max() >= len(CLASS_NAMES):
        raise ValueError(f"expected codes 0..3, got {int(given.max())}")
    suggested = confident_classes(given, probabilities)
    rows = np.flatnonzero((suggested >= 0) & (suggested != given))
    score = suspicion(given[rows], probabilities[rows])
    # Ties in the order of the names, so that a list never depends on the input's order.
    order = np.lexsort((object_ids[rows], image_ids[rows], -score))
    return tuple(
        LabelError(
            str(image_ids[row]),
            int(object_ids[row]),
            int(given[row]),
            int(suggested[row]),
            float(score[at]),
            _why(int(given[row]), int(suggested[row]), probabilities[row]),
        )
        for at, row in zip(order.tolist(), rows[order].tolist(), strict=True)
    )


def thresholds(given: NDArray[np.uint8], probabilities: Floats) -> Floats:
    """Mean probability of each class over the objects labelled so, (4,) float64.

    Infinite for a class that no label names: nothing can count for it.

    Parameters
    ----------
    given : (M,) uint8
        Class on the label, 0..3.
    probabilities : (M, 4) float64
        From a model that has not seen the object.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1, 0, 0], [0.7, 0.3, 0, 0], [0.2, 0.8, 0, 0]])
    >>> thresholds(np.array([0, 0, 1], np.uint8), p)
    array([0.8, 0.8, inf, inf])
    """
    classes = range(len(CLASS_NAMES))
    named = [probabilities[given == code, code] for code in classes]
    return np.array([one.mean() if len(one) else np.inf for one in named])


def confident_classes(given: NDArray[np.uint8], probabilities: Floats) -> NDArray[np.int64]:
    """The class that each object counts for, (M,) int64; -1 for none.

    Where an object reaches the threshold of several classes, the most probable of
    these. It stays with its label when that is as probable as any class.

    Parameters
    ----------
    given : (M,) uint8
        Class on the label, 0..3.
    probabilities : (M, 4) float64
        From a model that has not seen the object; a row with a NaN counts for nothing.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1, 0, 0], [0.8, 0.2, 0, 0], [0.1, 0.9, 0, 0], [0.9, 0.1, 0, 0]])
    >>> confident_classes(np.array([0, 0, 1, 1], np.uint8), p).tolist()
    [0, 0, 1, 0]
    """
    usable = np.asarray(np.isfinite(probabilities).all(axis=1))
    known = np.where(usable[:, None], probabilities, -1.0)
    # cleanlab allows for the last bits of the mean in the same way.
    least = thresholds(given[usable], probabilities[usable]) - 1e-6
    # -1 stands for "not reached" and for "not known": below every probability.
    reached = np.where(known >= least, known, -1.0)
    counts = np.where(reached.max(axis=1, initial=-1.0) >= 0, reached.argmax(axis=1), -1)
    own = np.take_along_axis(known, given[:, None].astype(np.int64), axis=1)[:, 0]
    # A label that is the most probable class stays undisputed, also below its own threshold.
    agrees = own >= known.max(axis=1, initial=-1.0)
    return np.where(agrees & usable, given, counts).astype(np.int64)


def suspicion(given: NDArray[np.uint8], probabilities: Floats) -> Floats:
    """1 minus the normalised margin, (M,) float64 0..1.

    The margin is the probability of the label minus the largest of the others, -1..1.

    Parameters
    ----------
    given : (M,) uint8
        Class on the label, 0..3.
    probabilities : (M, 4) float64

    Examples
    --------
    >>> suspicion(np.array([1], np.uint8), np.array([[0.0, 0.2, 0.8, 0.0]]))
    array([0.8])
    """
    at = given[:, None].astype(np.int64)
    own = np.take_along_axis(probabilities, at, axis=1)[:, 0]
    others = probabilities.copy()
    np.put_along_axis(others, at, -np.inf, axis=1)
    result: Floats = (1.0 - (own - others.max(axis=1, initial=-np.inf))) / 2.0
    return result


def _why(given: int, suggested: int, probabilities: Floats) -> str:
    own, other = (round(100 * float(probabilities[code])) for code in (given, suggested))
    return (
        f"labelled {CLASS_NAMES[given]}, which the model gives {own} %; "
        f"objects like it are labelled {CLASS_NAMES[suggested]} ({other} %)"
    )
