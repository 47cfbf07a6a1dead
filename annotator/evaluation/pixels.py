"""Agreement of two label maps pixel by pixel: confusion, Dice, IoU.

All figures come from confusion matrices of true class (rows: bg, fat, cell, bone) and of
what was said (columns: the same, and unlabelled). Pixels that the truth leaves open are in
none of them.
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
    """Pixels by true class and by what was said.

    Parameters
    ----------
    truth, predicted : (H, W) uint8
        Codes 0-3; 255 for open. Pixels open in the truth are left out; those that only the
        prediction leaves open are in the last column.

    Returns
    -------
    (4, 5) int64

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
    true, said = (np.minimum(runs.of(codes), CLASSES) for codes in (truth, predicted))
    # Sums of whole numbers: exact as floats up to 2^53 pixels.
    joint = true * np.uint8(CLASSES + 1) + said
    counts = np.bincount(joint, runs.lengths, (CLASSES + 1) ** 2)
    return counts.reshape(CLASSES + 1, CLASSES + 1)[:CLASSES].astype(np.int64)


# Figures of one matrix (4, 5), or of a stack of them (..., 4, 5)


def dice(matrices: Floats | Counts) -> Floats:
    """Dice of each class, (..., 4); NaN for a class that is in neither map.

    Examples
    --------
    >>> both = np.zeros((4, 5)); both[1, 1] = both[1, 4] = both[2, 1] = 1
    >>> dice(both).round(2).tolist()
    [nan, 0.5, 0.0, nan]
    """
    hits, true, said = _parts(matrices)
    return over(2 * hits, true + said)


def iou(matrices: Floats | Counts) -> Floats:
    """Intersection over union of each class, (..., 4); NaN for a class in neither map."""
    hits, true, said = _parts(matrices)
    return over(hits, true + said - hits)


def accuracy(matrices: Floats | Counts) -> Floats:
    """Share of the pixels that are right, (...)."""
    hits, true, _ = _parts(matrices)
    return over(hits.sum(axis=-1), true.sum(axis=-1))


def mean_of_present(values: Floats, matrices: Floats | Counts) -> Floats:
    """Mean of figures by class, (..., 4), over the classes that the truth has, (...)."""
    present = matrices.sum(axis=-1) > 0
    return over(np.where(present, values, 0.0).sum(axis=-1), present.sum(axis=-1))


def cellularity(matrices: Floats | Counts) -> tuple[Floats, Floats]:
    """cell / (cell + fat) of the truth and of what was said, in percent, (...); NaN of neither.

    Examples
    --------
    >>> both = np.zeros((4, 5)); both[1, 1], both[2, 2], both[1, 2] = 1, 2, 1
    >>> [round(float(one), 1) for one in cellularity(both)]
    [50.0, 75.0]
    """
    _, true, said = _parts(matrices)
    first, second = (100 * cellularities(one[..., CELL], one[..., FAT]) for one in (true, said))
    return first, second


def _parts(matrices: Floats | Counts) -> tuple[Floats, Floats, Floats]:
    """Right pixels, pixels of the truth and of what was said, by class, (..., 4)."""
    whole = matrices.astype(np.float64)
    hits = np.diagonal(whole, axis1=-2, axis2=-1)
    return hits, whole.sum(axis=-1), whole.sum(axis=-2)[..., :CLASSES]
