"""Agreement of two label maps pixel by pixel: confusion, Dice, IoU.

All figures come from confusion matrices of true class (rows: bg, fat, cell, bone) and
predicted class (columns: the same, and unlabelled). Pixels that the truth leaves open (255)
are in none of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.class_areas import cellularities
from annotator.core.classes import CELL, CLASS_NAMES, FAT
from annotator.core.intervals import over
from annotator.core.runs import runs_of

Codes = NDArray[np.uint8]
Counts = NDArray[np.int64]

CLASSES = len(CLASS_NAMES)


def confusion(truth: Codes, predicted: Codes) -> Counts:
    """Count pixels by true class and predicted class.

    Parameters
    ----------
    truth, predicted : (H, W) uint8
        Codes 0-3; 255 for open. Pixels open in the truth are left out; those that only the
        prediction leaves open are in the last column.

    Returns
    -------
    (4, 5) int64
        Pixels by true class (rows) and predicted class (columns; the last: unlabelled).

    Raises
    ------
    ValueError
        When the shapes differ.

    Examples
    --------
    >>> truth = np.array([[0, 1, 1, 255]], np.uint8)
    >>> confusion(truth, np.array([[0, 1, 255, 3]], np.uint8))[:2].tolist()
    [[1, 0, 0, 0, 0], [0, 1, 0, 0, 1]]
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"expected two maps of one shape, got {truth.shape}, {predicted.shape}")
    # 255 becomes 4 on either side: the joint codes of a pixel are then one small number.
    runs = runs_of(truth, predicted)
    true, given = (np.minimum(runs.of(codes), CLASSES) for codes in (truth, predicted))
    # Sums of whole numbers: exact as floats up to 2^53 pixels.
    joint = true * np.uint8(CLASSES + 1) + given
    counts = np.bincount(joint, runs.lengths, (CLASSES + 1) ** 2)
    return counts.reshape(CLASSES + 1, CLASSES + 1)[:CLASSES].astype(np.int64)


# Figures of one matrix (4, 5), or of a stack of them (..., 4, 5)


def dice(matrices: Floats | Counts) -> Floats:
    """Dice coefficient of each class, 2 TP / (2 TP + FP + FN), 0..1.

    Parameters
    ----------
    matrices : (..., 4, 5) int64 or float64
        From :func:`confusion`.

    Returns
    -------
    (..., 4) float64
        NaN for a class that is in neither map.

    References
    ----------
    Dice 1945, "Measures of the amount of ecologic association between species", Ecology 26,
    297-302.

    Examples
    --------
    >>> both = np.zeros((4, 5)); both[1, 1] = both[1, 4] = both[2, 1] = 1
    >>> dice(both).round(2).tolist()
    [nan, 0.5, 0.0, nan]
    """
    hits, true, predicted = _parts(matrices)
    return over(2 * hits, true + predicted)


def iou(matrices: Floats | Counts) -> Floats:
    """Intersection over union of each class, TP / (TP + FP + FN), 0..1.

    Parameters
    ----------
    matrices : (..., 4, 5) int64 or float64
        From :func:`confusion`.

    Returns
    -------
    (..., 4) float64
        NaN for a class that is in neither map.

    References
    ----------
    Jaccard 1912, "The distribution of the flora in the alpine zone", New Phytologist 11, 37-50.

    Examples
    --------
    >>> both = np.zeros((4, 5)); both[1, 1] = both[1, 4] = both[2, 1] = 1
    >>> iou(both).round(2).tolist()
    [nan, 0.33, 0.0, nan]
    """
    hits, true, predicted = _parts(matrices)
    return over(hits, true + predicted - hits)


def accuracy(matrices: Floats | Counts) -> Floats:
    """Share of the labelled pixels whose predicted class is the true one, 0..1.

    Parameters
    ----------
    matrices : (..., 4, 5) int64 or float64

    Returns
    -------
    (...) float64
        NaN where no pixel is labelled.

    Examples
    --------
    >>> both = np.zeros((4, 5)); both[1, 1], both[2, 1] = 3, 1
    >>> float(accuracy(both))
    0.75
    """
    hits, true, _ = _parts(matrices)
    return over(hits.sum(axis=-1), true.sum(axis=-1))


def mean_of_present(values: Floats, matrices: Floats | Counts) -> Floats:
    """Mean of a figure over the classes that the truth has.

    Parameters
    ----------
    values : (..., 4) float64
        The figure by class; NaN counts only for a class that the truth does not have.
    matrices : (..., 4, 5) int64 or float64

    Returns
    -------
    (...) float64
        NaN where the truth has no class.

    Examples
    --------
    >>> both = np.zeros((4, 5)); both[1, 1] = both[2, 2] = 1
    >>> float(mean_of_present(np.array([np.nan, 1.0, 0.5, np.nan]), both))
    0.75
    """
    present = matrices.sum(axis=-1) > 0
    return over(np.where(present, values, 0.0).sum(axis=-1), present.sum(axis=-1))


def cellularity(matrices: Floats | Counts) -> tuple[Floats, Floats]:
    """Cell / (cell + fat) of the truth and of the prediction, in percent.

    Parameters
    ----------
    matrices : (..., 4, 5) int64 or float64

    Returns
    -------
    truth, predicted : (...) float64
        0..100; NaN where there is neither cell nor fat.

    Examples
    --------
    >>> both = np.zeros((4, 5)); both[1, 1], both[2, 2], both[1, 2] = 1, 2, 1
    >>> [round(float(one), 1) for one in cellularity(both)]
    [50.0, 75.0]
    """
    _, *sides = _parts(matrices)
    truth, predicted = (100 * cellularities(one[..., CELL], one[..., FAT]) for one in sides)
    return truth, predicted


def _parts(matrices: Floats | Counts) -> tuple[Floats, Floats, Floats]:
    """Pixels that agree, those of the truth and those of the prediction, by class, (..., 4)."""
    whole = matrices.astype(np.float64)
    hits = np.diagonal(whole, axis1=-2, axis2=-1)
    return hits, whole.sum(axis=-1), whole.sum(axis=-2)[..., :CLASSES]
