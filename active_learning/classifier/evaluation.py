"""How good given classes are, with intervals that know objects of a group are alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learning.classifier.examples import CLASSES
from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES
from annotator.core.intervals import Estimate, PatientBootstrap
from annotator.settings.learning import TrainSettings

Counts = NDArray[np.int64]
Matrices = Counts | Floats


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Figures of one class, 0..1; None where there is nothing to divide by.

    Parameters
    ----------
    name : str
    precision : float or None
        Of the objects given this class, the share that has it.
    recall : float or None
        Of the objects that have this class, the share given it.
    f1 : float or None
        Harmonic mean of the two; None for a class that no object has.
    support : int
        Objects that have the class.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """A bar of the reliability curve: objects with a confidence in [low, high).

    The last one holds 1 too. Where there is no object, confidence and accuracy are None.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class ClassEvaluation:
    """Everything that is said about given classes.

    Parameters
    ----------
    objects, groups : int
    accuracy, balanced_accuracy, macro_f1 : Estimate
        Share of objects that are right; mean recall and mean F1 of the classes present.
    classes : tuple of four ClassScore
    confusion : 4 x 4 int
        Objects by true class (rows) and by given class.
    ece : float
        Expected calibration error, 0..1: the mean gap between confidence and accuracy
        over the bars, weighted by their objects (Guo et al. 2017, equation 3).
    reliability : tuple of ReliabilityBin
    notes : tuple of str
        What limits these figures, in words.
    """

    objects: int
    groups: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: Estimate
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    ece: float
    reliability: tuple[ReliabilityBin, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ClassEvaluation:
        """Read what :meth:`to_dict` wrote; KeyError, TypeError or ValueError if damaged."""
        names = ("accuracy", "balanced_accuracy", "macro_f1")
        estimates = {name: Estimate(**content[name]) for name in names}
        return cls(
            objects=int(content["objects"]),
            groups=int(content["groups"]),
            classes=tuple(ClassScore(**one) for one in content["classes"]),
            confusion=tuple(tuple(int(n) for n in row) for row in content["confusion"]),
            ece=float(content["ece"]),
            reliability=tuple(ReliabilityBin(**one) for one in content["reliability"]),
            notes=tuple(str(note) for note in content["notes"]),
            **estimates,
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same held-out objects.

    Parameters
    ----------
    new, old : float
        Macro-F1 of each.
    difference : Estimate
        New minus old, with its interval.
    verdict : str
        ``better`` or ``worse`` when the interval lies on one side of 0, else ``level``.
    """

    new: float
    old: float
    difference: Estimate
    verdict: str


def evaluate(
    codes: NDArray[np.uint8],
    probabilities: Floats,
    groups: NDArray[np.str_],
    settings: TrainSettings,
    notes: Sequence[str] = (),
) -> ClassEvaluation:
    """Judge probabilities against the classes that objects have.

    Intervals are percentiles of a bootstrap over groups (Efron and Tibshirani 1993,
    chapter 13): whole groups are drawn again, since objects of one image resemble
    each other.

    Parameters
    ----------
    codes : (M,) uint8
        The class that each object has, M of 1 or more.
    probabilities : (M, 4) float64
        That a model gave to the classes.
    groups : (M,) str
    settings : TrainSettings
    notes : sequence of str
        To be kept with the figures.

    Raises
    ------
    ValueError
        When there is no object, or the lengths differ.

    Examples
    --------
    Two patients; the object of the second is taken for fat, and is cell:

    >>> truth, probabilities = np.array([1, 2], np.uint8), np.eye(4)[[1, 1]]
    >>> found = evaluate(truth, probabilities, np.array(["a", "b"]), TrainSettings())
    >>> found.accuracy.value, found.classes[2].recall, found.ece
    (0.5, 0.0, 0.5)
    """
    _must_fit(codes, probabilities, groups)
    given = probabilities.argmax(axis=1).astype(np.uint8)
    # All figures follow from confusion matrices, which add up over groups: a bootstrap only sums.
    matrices = _by_group(codes, given, groups)
    whole = matrices.sum(axis=0)
    bootstrap = _bootstrap(groups, settings, confusion=matrices)
    bins = _reliability(probabilities.max(axis=1), given == codes, settings.bins)
    return ClassEvaluation(
        objects=len(codes),
        groups=len(matrices),
        accuracy=bootstrap.estimate(lambda sums: accuracy(sums["confusion"])),
        balanced_accuracy=bootstrap.estimate(lambda sums: balanced_accuracy(sums["confusion"])),
        macro_f1=bootstrap.estimate(lambda sums: macro_f1(sums["confusion"])),
        classes=_class_scores(whole),
        confusion=tuple(tuple(row) for row in whole.tolist()),
        ece=_ece(bins),
        reliability=bins,
        notes=tuple(notes),
    )


def compare(
    codes: NDArray[np.uint8],
    new: Floats,
    old: Floats,
    groups: NDArray[np.str_],
    settings: TrainSettings,
) -> Comparison:
    """Whether one model's macro-F1 is beyond another's on the same objects.

    Paired: in each bootstrap sample both models see the same groups. With one group
    there is no interval, and the verdict is ``level``.

    Parameters
    ----------
    codes : (M,) uint8
        The class that each object has.
    new, old : (M, 4) float64
        Probabilities from each model.
    groups : (M,) str
    settings : TrainSettings

    Raises
    ------
    ValueError
        When there is no object, or the lengths differ.

    Examples
    --------
    >>> truth, groups = np.array([1, 2], np.uint8), np.array(["a", "b"])
    >>> found = compare(truth, np.eye(4)[[1, 2]], np.eye(4)[[1, 1]], groups, TrainSettings())
    >>> found.new, round(found.old, 2), found.verdict
    (1.0, 0.33, 'level')
    """
    for probabilities in (new, old):
        _must_fit(codes, probabilities, groups)
    of_new, of_old = (
        _by_group(codes, probabilities.argmax(axis=1).astype(np.uint8), groups)
        for probabilities in (new, old)
    )
    # One bootstrap of both: each draw holds the same groups for the two.
    bootstrap = _bootstrap(groups, settings, new=of_new, old=of_old)
    difference = bootstrap.estimate(lambda sums: macro_f1(sums["new"]) - macro_f1(sums["old"]))
    value_new, value_old = (float(macro_f1(side.sum(axis=0))) for side in (of_new, of_old))
    return Comparison(value_new, value_old, difference, _verdict(difference))


def _verdict(difference: Estimate) -> str:
    if difference.low is not None and difference.low > 0:
        return "better"
    if difference.high is not None and difference.high < 0:
        return "worse"
    return "level"


def _must_fit(codes: NDArray[np.uint8], probabilities: Floats, groups: NDArray[np.str_]) -> None:
    m = len(codes)
    if not m or probabilities.shape != (m, CLASSES) or groups.shape != (m,):
        raise ValueError(
            f"expected one or more objects, ({m}, {CLASSES}) probabilities and ({m},) groups, "
            f"got {probabilities.shape} and {groups.shape}"
        )


# Figures from confusion matrices, (..., 4, 4): one, or a stack of them


def confusion_of(codes: NDArray[np.uint8], given: NDArray[np.uint8]) -> Counts:
    """Objects by true class (rows) and given class, (4, 4) int64.

    Parameters
    ----------
    codes, given : (M,) uint8
        True and given class of each object, 0..3.

    Examples
    --------
    >>> confusion_of(np.array([0, 1, 1], np.uint8), np.array([0, 1, 2], np.uint8))[:2].tolist()
    [[1, 0, 0, 0], [0, 1, 1, 0]]
    """
    cells = codes.astype(np.int64) * CLASSES + given
    return np.bincount(cells, minlength=CLASSES**2).reshape(CLASSES, CLASSES).astype(np.int64)


def accuracy(matrices: Matrices) -> Floats:
    """Share of the objects whose given class is the true one, (...) float64 0..1.

    Examples
    --------
    >>> matrix = confusion_of(np.array([1, 1, 1, 2], np.uint8), np.array([1, 1, 2, 2], np.uint8))
    >>> float(accuracy(matrix)), round(float(balanced_accuracy(matrix)), 2)
    (0.75, 0.83)
    """
    hits = np.trace(matrices, axis1=-2, axis2=-1)
    result: Floats = hits / np.maximum(matrices.sum(axis=(-2, -1)), 1)
    return result


def balanced_accuracy(matrices: Matrices) -> Floats:
    """Mean recall of the classes present, (...) float64 0..1: rare ones weigh as much as others.

    Examples
    --------
    >>> float(balanced_accuracy(np.diag([0, 90, 10, 0]))), float(balanced_accuracy(np.ones((4, 4))))
    (1.0, 0.25)
    """
    return _mean_present(matrices, _over(_hits(matrices), matrices.sum(axis=-1)))


def macro_f1(matrices: Matrices) -> Floats:
    """Mean F1 of the classes present, (...) float64 0..1.

    A class is present when an object has it. One that is given though no object has it
    lowers no precision, only the recall of the classes whose objects it was given to.

    Examples
    --------
    >>> float(macro_f1(np.diag([3, 4, 0, 0])))
    1.0
    """
    return _mean_present(matrices, _f1(matrices))


def _hits(matrices: Matrices) -> Floats:
    return np.diagonal(matrices, axis1=-2, axis2=-1).astype(np.float64)


def _f1(matrices: Matrices) -> Floats:
    both = matrices.sum(axis=-1) + matrices.sum(axis=-2)
    return _over(2 * _hits(matrices), both)


def _over(part: Matrices, whole: Matrices) -> Floats:
    """A share; 0 of nothing. Counts are whole numbers, so a 1 replaces 0 alone."""
    result: Floats = part / np.maximum(whole, 1)
    return result


def _mean_present(matrices: Matrices, values: Floats) -> Floats:
    present = matrices.sum(axis=-1) > 0
    result: Floats = (values * present).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1)
    return result


def _class_scores(matrix: Counts) -> tuple[ClassScore, ...]:
    given, support, f1 = matrix.sum(axis=0), matrix.sum(axis=1), _f1(matrix)
    return tuple(
        ClassScore(
            name,
            precision=_share(matrix[at, at], given[at]),
            recall=_share(matrix[at, at], support[at]),
            f1=float(f1[at]) if support[at] else None,
            support=int(support[at]),
        )
        for at, name in enumerate(CLASS_NAMES)
    )


def _share(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None


# Intervals


def _bootstrap(
    groups: NDArray[np.str_], settings: TrainSettings, **matrices: Counts
) -> PatientBootstrap:
    """From confusion matrices of each group, (G, 4, 4), to estimates over the groups."""
    sums = {name: counts.astype(np.float64) for name, counts in matrices.items()}
    names = np.unique(groups).tolist()
    return PatientBootstrap(sums, names, settings.resamples, settings.random_state)


def _by_group(
    codes: NDArray[np.uint8], given: NDArray[np.uint8], groups: NDArray[np.str_]
) -> Counts:
    """Confusion matrix of each group, (G, 4, 4), in the order of their names."""
    which = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    count = int(which.max()) + 1
    # One number for group, true and given class: a single count makes all matrices.
    cells = (which * CLASSES + codes) * CLASSES + given
    flat = np.bincount(cells, minlength=count * CLASSES**2)
    return flat.reshape(count, CLASSES, CLASSES).astype(np.int64)


# Calibration


def _reliability(
    confidence: Floats, right: NDArray[np.bool_], count: int
) -> tuple[ReliabilityBin, ...]:
    """Bars of equal width over 0..1."""
    # A confidence of exactly 1 belongs to the last bar, not to one beyond it.
    at = np.minimum((confidence * count).astype(np.int64), count - 1)
    sizes = np.bincount(at, minlength=count).tolist()
    sums = np.bincount(at, confidence, minlength=count).tolist()
    hits = np.bincount(at, right, minlength=count).tolist()
    return tuple(
        ReliabilityBin(
            low=k / count,
            high=(k + 1) / count,
            count=n,
            confidence=sums[k] / n if n else None,
            accuracy=hits[k] / n if n else None,
        )
        for k, n in enumerate(sizes)
    )


def _ece(bins: Sequence[ReliabilityBin]) -> float:
    """Mean gap between confidence and accuracy, weighted by the objects in each bar."""
    total = sum(one.count for one in bins)
    gaps = [
        one.count * abs(one.confidence - one.accuracy)
        for one in bins
        if one.confidence is not None and one.accuracy is not None
    ]
    return math.fsum(gaps) / total
