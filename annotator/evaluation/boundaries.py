"""Agreement of two label maps along the boundaries of their classes.

Boundary F1 after Csurka, Larlus and Perronnin 2013, "What is a good evaluation measure for
semantic segmentation?", BMVC, who take it from Martin, Fowlkes and Malik 2004: of the
boundary pixels of each map, the share that lies within a tolerance of the other's.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES, UNLABELLED
from annotator.core.intervals import over
from annotator.core.objects import BoolMask

Codes = NDArray[np.uint8]
_Bits = NDArray[np.uint8]

MOST_TOLERANCE_PX = 100.0
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def boundary_counts(truth: Codes, predicted: Codes, tolerance: float) -> NDArray[np.int64]:
    """Boundary pixels of each class in both maps, and those near one of the other map.

    A boundary pixel belongs to the class and has one of its four neighbours outside it; the
    border of the image is no boundary. Where the truth is open, the end of a class is
    unknown: seams no wider than the tolerance are closed by the nearest class in both maps, and
    what lies within the tolerance of wider open parts is left out.

    Parameters
    ----------
    truth, predicted : (H, W) uint8
        Codes 0-3; 255 for open.
    tolerance : float
        Pixels, 0 or more; Euclidean distance between pixels.

    Returns
    -------
    (4, 4) int64
        By class: predicted boundary pixels near a true one, all of them; true ones near a
        predicted one, all of them.

    Examples
    --------
    Two strips of fat in cell, one pixel apart:

    >>> truth = np.full((8, 12), 2, np.uint8)
    >>> predicted = truth.copy()
    >>> truth[:, 3:7] = predicted[:, 4:8] = 1
    >>> boundary_counts(truth, predicted, 1.0)[1].tolist()
    [16, 16, 16, 16]
    >>> boundary_counts(truth, predicted, 0.5)[1].tolist()
    [0, 16, 0, 16]
    """
    first, second, left_out = _closed(truth, predicted, tolerance)
    open_left = None if left_out is None else first == UNLABELLED
    counts = np.zeros((len(CLASS_NAMES), 4), np.int64)
    # Class by class: the boundary between fat and cell counts for both.
    for code in range(len(CLASS_NAMES)):
        here, there = first == code, second == code
        if not here.any() and not there.any():
            continue
        true, given = boundary(here, open_left), boundary(there)
        for at, one, other in ((0, given, true), (2, true, given)):
            counted = one if left_out is None else _without(one, left_out)
            counts[code, at] = _within(counted, other, tolerance)
            counts[code, at + 1] = cv2.countNonZero(counted)
    return counts


def boundary_f1(counts: Floats) -> Floats:
    """Boundary F1 of each class: harmonic mean of precision and recall of boundary pixels, 0..1.

    Parameters
    ----------
    counts : (..., 4, 4) float64
        From :func:`boundary_counts`.

    Returns
    -------
    (..., 4) float64
        NaN for a class without a boundary in either map.

    References
    ----------
    Csurka, Larlus and Perronnin 2013, "What is a good evaluation measure for semantic
    segmentation?", BMVC, section 3.

    Examples
    --------
    >>> boundary_f1(np.array([[8.0, 10, 6, 10], [0, 0, 0, 5], [0, 0, 0, 0]])).round(3).tolist()
    [0.686, 0.0, nan]
    """
    near_given, given, near_true, true = (counts[..., at] for at in range(4))
    precision, recall = (
        np.where(whole > 0, over(near, whole), 0.0)
        for near, whole in ((near_given, given), (near_true, true))
    )
    harmonic = np.nan_to_num(over(2 * precision * recall, precision + recall))
    return np.where(given + true > 0, harmonic, np.nan)


def boundary(mask: BoolMask, beside: BoolMask | None = None) -> _Bits:
    """Pixels of a mask with one of four neighbours outside it.

    Parameters
    ----------
    mask : (H, W) bool
    beside : (H, W) bool, optional
        Neighbours that do not count.

    Returns
    -------
    (H, W) uint8
        1 on the boundary, else 0.

    Examples
    --------
    >>> boundary(np.array([[1, 1, 1, 0, 0]], bool)).tolist()
    [[0, 0, 1, 0, 0]]
    """
    inside = mask.view(np.uint8)
    whole = inside if beside is None else (mask | beside).view(np.uint8)
    # Beyond the image everything counts as inside: its border is no boundary.
    inner: _Bits = np.asarray(cv2.erode(whole, _CROSS), np.uint8)
    return _without(inside, inner)


def _without(bits: _Bits, others: _Bits) -> _Bits:
    """Bits, 0 or 1 in bytes, that are none of the others: what is below 0 becomes 0."""
    return np.asarray(cv2.subtract(bits, others), np.uint8)


def disc(radius: float) -> _Bits:
    """Pixels within a distance of the middle one.

    Parameters
    ----------
    radius : float
        Pixels, 0 or more.

    Returns
    -------
    (2 R + 1, 2 R + 1) uint8, R the radius rounded down
        1 within the distance, else 0.

    Examples
    --------
    >>> disc(1.0).tolist()
    [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    """
    half = math.floor(radius)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    # Squared, so that a whole radius takes in the pixels exactly at it, whatever a root rounds to.
    inside: _Bits = (x * x + y * y <= radius * radius).astype(np.uint8)
    return inside


def _within(counted: _Bits, other: _Bits, distance: float) -> int:
    """How many of some pixels are within a distance of one of the others."""
    if not other.any():
        return 0
    return int(cv2.countNonZero(counted & _dilated(other, distance)))


def _dilated(pixels: _Bits, distance: float) -> _Bits:
    return np.asarray(cv2.dilate(pixels, disc(distance)), np.uint8)


def _closed(truth: Codes, predicted: Codes, tolerance: float) -> tuple[Codes, Codes, _Bits | None]:
    """Both maps with open seams closed, and a mask of boundary to leave out; None for none."""
    is_open = (truth == UNLABELLED).view(np.uint8)
    if not is_open.any():
        return truth, predicted, None
    if is_open.all():
        return truth, predicted, is_open
    distance, nearest = cv2.distanceTransformWithLabels(
        is_open, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # The middle of a seam of w pixels is at most (w + 1) / 2 from what is labelled.
    half = (tolerance + 1) / 2
    wide = _dilated((np.asarray(distance) > half).view(np.uint8), half) & is_open
    seam = _places(_without(is_open, wide))
    # Both maps are filled from the same pixels: a seam must not make them differ.
    source = _nearest_labelled(seam, is_open, np.asarray(nearest, np.int32))
    first, second = truth.copy(), predicted.copy()
    for filled in (first, second):
        filled.ravel()[seam] = filled.ravel()[source]
    return first, second, _dilated(wide, max(tolerance, 1.0)) if wide.any() else None


def _nearest_labelled(
    pixels: NDArray[np.intp], is_open: _Bits, nearest: NDArray[np.int32]
) -> NDArray[np.intp]:
    """The labelled pixel that is nearest to each of some open ones, by places in the flat map."""
    # It lies beside an open one: only those few are looked up.
    beside = _places(_without(_dilated(is_open, 1.5), is_open))
    labels = nearest.ravel()
    place = np.zeros(int(labels[beside].max()) + 1, np.intp)
    place[labels[beside]] = beside
    return place[labels[pixels]]


def _places(bits: _Bits) -> NDArray[np.intp]:
    """Where bits are 1, in the flat map."""
    return np.flatnonzero(bits.view(np.bool_))
