"""Microns per pixel of an image whose file says nothing: by its nuclei, looked over by a network.

The size of nuclei tells the scale well where there are nuclei, and is far too fine where other
dark blobs are taken for them: lacunae and lines of bone, printing, whole cells in an overview.
A network tells at each pixel how many microns it takes one to span, and how sure it is of it:
adipocytes, the lines in bone and the width of a core speak, bare slide does not. It hardly errs
by much and is never exact: its answers for the image and for smaller copies lean towards the
middle of what it was trained on, and a line through them, fitted on fields of known scale that
it did not learn from, takes that back. Where the two are far apart the network is believed.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.scale_source import FoundScale
from annotator.imaging.scale import WITHOUT_NUCLEI, nuclei_um_per_px
from annotator.imaging.white import WhiteReference
from annotator.segmentation.network.network_file import starter_network
from annotator.segmentation.network.prediction import NetworkPredictor

FINEST_UM, COARSEST_UM = 0.15, 12.0
"""Scales that are looked for, um per px."""
SCALE_FIT = "scale_fit"
"""Where the card of a network keeps the line through its answers: slopes, and the offset."""
SHRINKS = (1, 2, 4, 8)
"""How many times smaller the copies are."""
# No copy is smaller than this many pixels along a side; of a larger one the middle is seen.
_SMALLEST, _LARGEST = 16, 768
# Nuclei tell a scale in between, um per px: finer ones no common scanner gives, and in coarser
# images they are too few pixels wide to be measured.
_NUCLEI_UM = (0.2, 0.8)
# Nuclei are believed up to so many octaves from the network; up to so many the two agree.
_FAR, _NEAR = 1.9, 0.8

Floats = NDArray[np.float64]


def found_scale(
    predictor: NetworkPredictor, pixels: NDArray[np.uint8], white: WhiteReference
) -> FoundScale:
    """Find the microns per pixel of an image in its pixels.

    Parameters
    ----------
    predictor : NetworkPredictor
        Of a network that knows scales, with a fit in its card.
    pixels : (H, W, 3) uint8
        RGB.
    white : WhiteReference
        Of the image.
    """
    fit = np.asarray(predictor.network.card[SCALE_FIT], np.float64)
    seen = float(scale_readings(predictor, pixels) @ fit[:-1] + fit[-1])
    nuclei = nuclei_um_per_px(pixels, white)
    um, by, is_sure = _weighed(nuclei, 2**seen)
    return FoundScale(round(float(np.clip(um, FINEST_UM, COARSEST_UM)), 4), by, is_sure)


def _weighed(nuclei: float | None, network: float) -> tuple[float, str, bool]:
    """Microns per pixel by nuclei and by a network together, who is believed, whether sure."""
    if nuclei is None or nuclei < _NUCLEI_UM[0]:
        # Nothing but texture: the mean of what the network says and of what is usual.
        return (network * WITHOUT_NUCLEI) ** 0.5, "network", False
    off = abs(float(np.log2(nuclei / network)))
    if off > _FAR:
        return network, "network", False
    if nuclei < _NUCLEI_UM[1]:
        return nuclei, "nuclei", off <= _NEAR
    return (nuclei * network) ** 0.5, "both", off <= _NEAR


def scale_readings(predictor: NetworkPredictor, pixels: NDArray[np.uint8]) -> Floats:
    """What a network says of an image and of each smaller copy, (4,) float64.

    Binary logarithms of the microns per pixel, as each of them shows it; where a copy would be
    too small, the answer for the smallest one that is not.
    """
    readings: list[float] = []
    for shrink in SHRINKS:
        if readings and min(pixels.shape[:2]) // shrink < _SMALLEST:
            readings.append(readings[-1])
        else:
            said, width = predictor.scale_planes(_copy(pixels, shrink))
            readings.append(_weighted_median(said.ravel(), np.exp2(-width.ravel())))
    return np.array(readings)


def fit_scale(readings: Floats, um_per_px: Floats) -> list[float]:
    """The line through a network's answers for fields of known scale.

    Parameters
    ----------
    readings : (N, 4) float64
        See :func:`scale_readings`.
    um_per_px : (N,) float64

    Returns
    -------
    list of float
        Four slopes and the offset, by least squares with a little ridge.

    Examples
    --------
    >>> true = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
    >>> said = np.repeat(0.5 * np.log2(true)[:, None] + 1, 4, axis=1)
    >>> slopes = fit_scale(said, true)
    >>> bool(abs(said[0] @ slopes[:4] + slopes[4] + 2) < 0.05)
    True
    """
    columns = np.hstack([readings, np.ones((len(readings), 1))])
    ridge = np.diag([0.05] * readings.shape[1] + [0.0])
    slopes = np.linalg.solve(columns.T @ columns + ridge, columns.T @ np.log2(um_per_px))
    return [round(float(each), 4) for each in slopes]


def _copy(pixels: NDArray[np.uint8], shrink: int) -> NDArray[np.uint8]:
    """A smaller copy of the middle of an image."""
    side = _LARGEST * shrink
    top, left = (max((length - side) // 2, 0) for length in pixels.shape[:2])
    middle = pixels[top : top + side, left : left + side]
    height, width = (max(length // shrink, 1) for length in middle.shape[:2])
    small = cv2.resize(middle, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _weighted_median(values: NDArray[np.float32], weights: NDArray[np.float32]) -> float:
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][np.searchsorted(sums, sums[-1] / 2)])


@cache
def starter_predictor() -> NetworkPredictor:
    """The starter network, which finds the scale whatever network names the classes."""
    return NetworkPredictor(starter_network())
