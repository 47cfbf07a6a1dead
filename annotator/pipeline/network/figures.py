"""How good a network is on patients that it has not seen, as the paper's Table 3 says it.

Every image counts alike within its patient, and every patient alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES
from annotator.core.intervals import Estimate, PatientBootstrap, over
from annotator.evaluation import pixels

FIGURES = ("dice", "mean_iou", "cellularity_error")
"""Of Table 3: mean Dice, mean IoU over the classes of the truth, |cellularity error|, all 0..1."""
PAPER = {"dice": (0.832, 0.099), "mean_iou": (0.712, 0.144), "cellularity_error": (0.059, 0.088)}
"""What the paper's Table 3 has, mean and standard deviation."""


@dataclass(frozen=True, slots=True)
class ImageScores:
    """One map beside its truth.

    Parameters
    ----------
    name, patient : str
    dice, mean_iou : float or None
        Means over the classes that the truth has; None where it has none.
    cellularity_error : float or None
        Absolute, 0..1; None where either has neither cell nor fat.
    classes : mapping of str to float or None
        Dice of each class; None where neither map has it.
    """

    name: str
    patient: str
    dice: float | None
    mean_iou: float | None
    cellularity_error: float | None
    classes: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class PatientMean:
    """A figure over patients.

    Parameters
    ----------
    mean : Estimate
        With its 95 % interval over patients.
    sd : float or None
        Standard deviation of the patients; None for fewer than two.
    patients : int
    """

    mean: Estimate
    sd: float | None
    patients: int


@dataclass(frozen=True, slots=True)
class NetworkComparison:
    """Two networks on the same unseen images.

    Parameters
    ----------
    new, old : float
        Mean Dice over patients.
    difference : Estimate
        New minus old, with its interval over patients.
    verdict : {"better", "worse", "level"}
        Better or worse when the interval lies on one side of 0.
    images, patients : int
    """

    new: float
    old: float
    difference: Estimate
    verdict: str
    images: int
    patients: int


def image_scores(
    name: str, patient: str, truth: NDArray[np.uint8], predicted: NDArray[np.uint8]
) -> ImageScores:
    """Score one map, (H, W) uint8, against its truth.

    Examples
    --------
    >>> truth = np.array([[1, 1, 2, 2]], np.uint8)
    >>> found = image_scores("a", "p", truth, np.array([[1, 1, 2, 1]], np.uint8))
    >>> round(found.dice, 3), round(found.cellularity_error, 2)
    (0.733, 0.25)
    """
    matrix = pixels.confusion(truth, predicted)
    dice, iou = pixels.dice(matrix), pixels.iou(matrix)
    true, said = pixels.cellularity(matrix)
    return ImageScores(
        name,
        patient,
        _known(pixels.mean_of_present(dice, matrix)),
        _known(pixels.mean_of_present(iou, matrix)),
        _known(abs(true - said) / 100),
        {each: _known(value) for each, value in zip(CLASS_NAMES, dice, strict=True)},
    )


def table3(scores: Sequence[ImageScores]) -> dict[str, PatientMean]:
    """The figures of Table 3, by :data:`FIGURES`."""
    return {name: _patient_mean([getattr(one, name) for one in scores], scores) for name in FIGURES}


def class_means(scores: Sequence[ImageScores]) -> dict[str, PatientMean]:
    """Dice of each class, over the images that have it in either map."""
    return {
        name: _patient_mean([one.classes[name] for one in scores], scores) for name in CLASS_NAMES
    }


def compare_networks(
    new: Sequence[ImageScores], old: Sequence[ImageScores]
) -> NetworkComparison | None:
    """Compare two networks on the images that both were scored on; None where there are none.

    Examples
    --------
    >>> def scored(dice):
    ...     return [ImageScores(n, n, d, d, 0.0, {}) for n, d in zip("abc", dice, strict=True)]
    >>> compare_networks(scored([0.9, 0.8, 0.9]), scored([0.7, 0.7, 0.8])).verdict
    'better'
    """
    before = {one.name: one for one in old}
    pairs = [
        (one, before[one.name])
        for one in new
        if one.name in before and None not in (one.dice, before[one.name].dice)
    ]
    if not pairs:
        return None
    scores = [one for one, _ in pairs]
    differences = [float(a.dice or 0) - float(b.dice or 0) for a, b in pairs]
    difference = _patient_mean(differences, scores)
    new_mean, old_mean = (
        _patient_mean([pair[side].dice for pair in pairs], scores).mean.known for side in (0, 1)
    )
    return NetworkComparison(
        new_mean,
        old_mean,
        difference.mean,
        _verdict(difference.mean),
        len(pairs),
        difference.patients,
    )


def figures_values(figures: dict[str, PatientMean]) -> dict[str, Any]:
    """As JSON values."""
    return {name: asdict(one) for name, one in figures.items()}


def _verdict(difference: Estimate) -> str:
    if difference.low is not None and difference.low > 0:
        return "better"
    if difference.high is not None and difference.high < 0:
        return "worse"
    return "level"


def _patient_mean(values: Sequence[float | None], scores: Sequence[ImageScores]) -> PatientMean:
    """Mean over patients of the mean over their images that have the figure."""
    by_patient: dict[str, list[float]] = {}
    for value, one in zip(values, scores, strict=True):
        if value is not None:
            by_patient.setdefault(one.patient, []).append(value)
    if not by_patient:
        return PatientMean(Estimate(None), None, 0)
    means: Floats = np.array([np.mean(each) for each in by_patient.values()])
    bootstrap = PatientBootstrap({"sum": means, "n": np.ones(len(means))}, [*by_patient])
    return PatientMean(
        bootstrap.estimate(lambda sums: over(sums["sum"], sums["n"])),
        float(means.std(ddof=1)) if len(means) > 1 else None,
        len(means),
    )


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
