"""Sample a part of a large picture on a coarser grid, each pixel as the mean of its area.

A slide is read in parts, and neighbouring parts overlap. So a sample must not depend on the part
in which it was asked for, to the last bit: its weights are those of its place in the whole
picture, and the sums are taken in one order.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# Edges are rounded to this share of a pixel: the same place, computed in two ways, is one place.
_STEPS = 1024
_ROWS = 256  # samples made at a time, so that temporary copies stay small


@dataclass(frozen=True, slots=True, eq=False)
class AxisSampling:
    """Which pixels each sample along one axis is the mean of, and with which weights.

    Parameters
    ----------
    start, stop : int
        The pixels of the picture that are needed, half-open.
    weights : (samples, stop - start) sparse float32
        Each row adds up to 1.
    plain_factor : int
        How many whole pixels each sample is the mean of; 0 where it is no whole number.
    """

    start: int
    stop: int
    weights: sparse.csr_array
    plain_factor: int


def sample_axis(first: float, step: float, count: int, size: int) -> AxisSampling:
    """Lay samples along one axis of a picture.

    Parameters
    ----------
    first : float
        Where the first sample begins, px of the picture.
    step : float
        From one sample to the next, px of the picture. A step below 1 asks for more samples than
        there are pixels: they are interpolated between two of them.
    count : int
        Of the samples.
    size : int
        Of the picture along this axis, px. What lies beyond counts as its last pixel.

    Examples
    --------
    >>> axis = sample_axis(2.0, 1.5, 2, 10)
    >>> axis.start, axis.stop, (3 * axis.weights.toarray()).round().tolist()
    (2, 5, [[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    """
    low = first + np.arange(count) * step
    high = low + step
    if step < 1:
        low, high = (low + high - 1) / 2, (low + high + 1) / 2
    begin = np.round(low * _STEPS).astype(np.int64)
    end = np.maximum(np.round(high * _STEPS).astype(np.int64), begin + 1)
    start = int(np.clip(begin[0] // _STEPS, 0, size - 1))
    stop = int(np.clip(-(-end[-1] // _STEPS), start + 1, size))
    return AxisSampling(start, stop, _weights(begin, end, start, stop), _plain(begin, end, stop))


def _plain(begin: NDArray[np.int64], end: NDArray[np.int64], stop: int) -> int:
    """The whole number of whole pixels in each sample, or 0."""
    factor = int(end[0] - begin[0])
    is_plain = (
        factor % _STEPS == 0
        and begin[0] >= 0
        and end[-1] <= stop * _STEPS
        and not (begin % _STEPS).any()
        and ((end - begin) == factor).all()
    )
    return factor // _STEPS if is_plain else 0


def _weights(
    begin: NDArray[np.int64], end: NDArray[np.int64], start: int, stop: int
) -> sparse.csr_array:
    """Share of each pixel in each sample, (samples, pixels); rows add up to 1."""
    most = int((-(-end // _STEPS) - begin // _STEPS).max())
    pixel = begin[:, None] // _STEPS + np.arange(most)
    inside = np.minimum(end[:, None], (pixel + 1) * _STEPS) - np.maximum(
        begin[:, None], pixel * _STEPS
    )
    share = np.maximum(inside, 0) / (end - begin)[:, None]
    row = np.repeat(np.arange(len(begin)), most)
    # Beyond the picture its last pixel goes on.
    column = np.clip(pixel, start, stop - 1).ravel() - start
    kept = share.ravel() > 0
    entries = (share.ravel()[kept].astype(np.float32), (row[kept], column[kept]))
    return sparse.csr_array(entries, shape=(len(begin), stop - start))


def sample_areas(
    pixels: NDArray[np.uint8], down: AxisSampling, across: AxisSampling
) -> NDArray[np.uint8]:
    """Sample the pixels that two axes ask for.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        Rows ``down.start`` to ``down.stop`` and columns ``across.start`` to ``across.stop`` of the
        picture.
    down, across : AxisSampling
        Of its rows and of its columns.

    Returns
    -------
    (h, w, 3) uint8

    Examples
    --------
    >>> pixels = np.repeat(np.array([[[0], [100], [40], [60]]], np.uint8), 3, axis=2)
    >>> sample_areas(pixels, sample_axis(0, 1, 1, 1), sample_axis(0, 2, 2, 4))[..., 0].tolist()
    [[50, 50]]
    """
    factor = down.plain_factor
    if factor and factor == across.plain_factor:
        return pixels if factor == 1 else _means(pixels, factor)
    channels = pixels.shape[2]
    shape = down.weights.shape[0], across.weights.shape[0], channels
    sampled = np.empty(shape, np.uint8)
    columns = across.weights
    for top in range(0, shape[0], _ROWS):
        rows = down.weights[top : top + _ROWS]
        needed = rows.indices
        first, last = int(needed.min()), int(needed.max()) + 1
        strip = pixels[first:last].astype(np.float32).reshape(last - first, -1)
        reduced = (rows[:, first:last] @ strip).reshape(rows.shape[0], -1, channels)
        turned = np.ascontiguousarray(reduced.swapaxes(0, 1)).reshape(reduced.shape[1], -1)
        both = (columns @ turned).reshape(shape[1], rows.shape[0], channels)
        sampled[top : top + _ROWS] = np.floor(both + np.float32(0.5)).swapaxes(0, 1)
    return sampled


def _means(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    reduced = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, np.uint8)
