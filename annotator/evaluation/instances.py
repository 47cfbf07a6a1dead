"""Objects of two maps matched one by one: how many were found, and how well.

Kirillov et al. 2019, "Panoptic Segmentation", CVPR, section 4: objects match where they
share more than half of their union, so that none can have two partners; pixels that the
truth leaves open count for nothing, and a predicted object that lies there by more than
half of its area is no mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.intervals import over
from annotator.core.runs import runs_of

Numbers = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Matched:
    """Counts of matched, missed and extra objects of one image.

    Parameters
    ----------
    matched, missed, extra : int
        In both maps; in the truth alone; in the prediction alone.
    iou : float
        Sum over the matched ones, each 0.5..1.
    left_out : int
        Predicted alone, and lying where the truth is open.
    """

    matched: int
    missed: int
    extra: int
    iou: float
    left_out: int = 0

    @property
    def counts(self) -> tuple[float, ...]:
        """Matched, missed, extra and the sum of IoU, as the figures below take them."""
        return self.matched, self.missed, self.extra, self.iou


def match(truth: Numbers, predicted: Numbers, is_open: NDArray[np.bool_]) -> Matched:
    """Match the objects of two maps.

    Parameters
    ----------
    truth, predicted : (H, W) of whole numbers
        Number of the object of each pixel; 0 for none.
    is_open : (H, W) bool
        Pixels that the truth leaves open.

    Returns
    -------
    Matched

    References
    ----------
    Kirillov et al. 2019, "Panoptic Segmentation", CVPR, section 4.1.

    Examples
    --------
    >>> truth = np.array([[1, 1, 1, 1, 0, 2]], np.int32)
    >>> found = np.array([[7, 7, 7, 0, 0, 0]], np.int32)
    >>> match(truth, found, np.zeros((1, 6), bool))
    Matched(matched=1, missed=1, extra=0, iou=0.75, left_out=0)
    """
    runs = runs_of(truth, predicted, is_open)
    void = runs.of(is_open)
    true, given, lengths = runs.of(truth), runs.of(predicted), runs.lengths
    area_whole = _areas(given, lengths)
    area_open = _areas(given[void], lengths[void], len(area_whole))
    # From here on without the pixels that the truth leaves open.
    true, given, lengths = true[~void], given[~void], lengths[~void]
    area_true, area_given = _areas(true, lengths), _areas(given, lengths, len(area_whole))
    first, second, shared = _pairs(true, given, lengths)
    union = area_true[first] + area_given[second] - shared
    # More than half of the union: no object can have two such partners, so no search is needed.
    hit = 2 * shared > union
    alone = area_whole > 0
    alone[second[hit]] = False
    aside = alone & (2 * area_open > area_whole)
    matched = int(hit.sum())
    return Matched(
        matched,
        int((area_true > 0).sum()) - matched,
        int((alone & ~aside).sum()),
        float((shared[hit] / union[hit]).sum()),
        int(aside.sum()),
    )


# Figures of counts (matched, missed, extra, sum of IoU), (..., 4)


def f1(counts: Floats) -> Floats:
    """F1 of objects, 2 matched / (2 matched + missed + extra), 0..1.

    Parameters
    ----------
    counts : (..., 4) float64
        Matched, missed, extra, sum of IoU; see :attr:`Matched.counts`.

    Returns
    -------
    (...) float64
        NaN where there are no objects.

    Examples
    --------
    >>> counts = np.array([6.0, 2.0, 1.0, 4.8])
    >>> round(float(f1(counts)), 2)
    0.8
    """
    matched, missed, extra = (counts[..., at] for at in range(3))
    return over(2 * matched, 2 * matched + missed + extra)


def precision(counts: Floats) -> Floats:
    """Share of the predicted objects that are matched, 0..1.

    Parameters
    ----------
    counts : (..., 4) float64
        Matched, missed, extra, sum of IoU.

    Returns
    -------
    (...) float64
        NaN where nothing is predicted.

    Examples
    --------
    >>> float(precision(np.array([6.0, 2.0, 2.0, 4.5])))
    0.75
    """
    return over(counts[..., 0], counts[..., 0] + counts[..., 2])


def recall(counts: Floats) -> Floats:
    """Share of the true objects that are matched, 0..1.

    Parameters
    ----------
    counts : (..., 4) float64
        Matched, missed, extra, sum of IoU.

    Returns
    -------
    (...) float64
        NaN where the truth has no object.

    Examples
    --------
    >>> float(recall(np.array([6.0, 2.0, 0.0, 4.5])))
    0.75
    """
    return over(counts[..., 0], counts[..., 0] + counts[..., 1])


def mean_iou(counts: Floats) -> Floats:
    """Mean IoU of the matched objects, 0.5..1.

    Parameters
    ----------
    counts : (..., 4) float64
        Matched, missed, extra, sum of IoU.

    Returns
    -------
    (...) float64
        NaN where nothing is matched.

    Examples
    --------
    >>> float(mean_iou(np.array([6.0, 2.0, 1.0, 4.5])))
    0.75
    """
    return over(counts[..., 3], counts[..., 0])


def panoptic_quality(counts: Floats) -> Floats:
    """Panoptic quality: sum of IoU / (matched + missed / 2 + extra / 2), 0..1.

    Parameters
    ----------
    counts : (..., 4) float64
        Matched, missed, extra, sum of IoU.

    Returns
    -------
    (...) float64
        NaN where there are no objects.

    References
    ----------
    Kirillov et al. 2019, "Panoptic Segmentation", CVPR, equation 1: F1 times the mean IoU.

    Examples
    --------
    >>> float(panoptic_quality(np.array([6.0, 2.0, 2.0, 6.0])))
    0.75
    """
    matched, missed, extra = (counts[..., at] for at in range(3))
    return over(counts[..., 3], matched + (missed + extra) / 2)


def _areas(
    numbers: Numbers, lengths: NDArray[np.int64], count: int | None = None
) -> NDArray[np.int64]:
    """Pixels of each object by its number, without those of none."""
    size = int(numbers.max(initial=0)) + 1 if count is None else count
    areas = np.bincount(numbers, lengths, size).astype(np.int64)
    areas[0] = 0
    return areas


def _pairs(
    first: Numbers, second: Numbers, lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Objects that share pixels, and how many pixels."""
    both = (first > 0) & (second > 0)
    width = int(second.max(initial=0)) + 1
    # One number for each pair of objects; int64, because two int32 numbers may multiply beyond it.
    keys, pair = np.unique(first[both].astype(np.int64) * width + second[both], return_inverse=True)
    shared = np.bincount(pair, lengths[both], len(keys)).astype(np.int64)
    return keys // width, keys % width, shared
