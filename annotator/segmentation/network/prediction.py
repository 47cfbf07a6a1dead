"""From an image to the probability of each class at each pixel.

The network sees the image at a few scales and the answers are averaged: the finer ones
follow membranes, the coarser ones know what the whole is. Large images are seen in tiles
that overlap, so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions

from annotator.core.objects import freeze
from annotator.imaging.appearance import Appearance
from annotator.segmentation.network.architecture import CHANNELS, LINE, OUTPUT_STRIDE, STRIDE
from annotator.segmentation.network.graph import PIXELS, PROBABILITIES, network_graph
from annotator.segmentation.network.network_file import SegmentationNetwork, encoder_tensors

SCALES_UM = (0.7, 1.4, 2.8)
"""Microns per pixel that the network sees an image at."""
# Larger than this an image is not made for a finer scale: there is nothing more to see.
_LARGEST = 1.5
# Longest side of a tile, and what two tiles share, px as the network sees them.
_TILE, _OVERLAP = 1024, 128
# A guessed scale is looked over in the middle of the image, px as the network sees them at its
# finest: well where so much is agreed on, too fine where so much more is at four times it.
_MIDDLE, _AGREED, _COARSER, _CLEARER = 400, 0.8, 4.0, 0.2


@dataclass(frozen=True, slots=True)
class _Span:
    """A tile along one axis: what the network sees, and the part of it that is used."""

    start: int
    end: int
    first: int
    last: int


class NetworkPredictor:
    """A network, loaded and ready; one thread.

    Parameters
    ----------
    network : SegmentationNetwork
    threads : int
        That one image is spread over.
    """

    def __init__(self, network: SegmentationNetwork, threads: int = 1) -> None:
        options = SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Kept between images it would hold the largest image's memory for good.
        options.enable_cpu_mem_arena = False
        graph = network_graph(encoder_tensors(), network.decoder)
        self._session = InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.network = network

    def probabilities(self, pixels: NDArray[np.uint8], um_per_px: float) -> NDArray[np.float32]:
        """Probability of each class, and of the line between adipocytes, at each pixel.

        Parameters
        ----------
        pixels : (H, W, 3) uint8
            RGB.
        um_per_px : float
            Known or guessed.

        Returns
        -------
        (5, H, W) float32
            0..1, read-only; the first four add up to 1 at each pixel.
        """
        height, width = pixels.shape[:2]
        total = np.zeros((CHANNELS, height, width), np.float32)
        for scale in SCALES_UM:
            planes = self._at_scale(_shrunk(pixels, _shrink(scale, um_per_px)))
            for channel, plane in zip(total, planes, strict=True):
                channel += cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        total /= len(SCALES_UM)
        result: NDArray[np.float32] = freeze(total)
        return result

    def scale_of(self, appearance: Appearance) -> float:
        """Microns per pixel to look at an image with: known, else guessed and looked over.

        Nuclei are too small to guess from at 5 um per px and coarser, and what is taken for
        them makes the guess far too fine. The network then contradicts itself from one of its
        scales to the next, and at four times the guess it does not.

        Parameters
        ----------
        appearance : Appearance

        Returns
        -------
        float
        """
        um = appearance.network_um_per_px
        if appearance.image.um_per_px is not None:
            return um
        middle = _middle(appearance.image.pixels, um)
        agreed = self._agreement(middle, um)
        if agreed > _AGREED:
            return um
        clearer = self._agreement(middle, _COARSER * um) - agreed > _CLEARER
        return _COARSER * um if clearer else um

    def _agreement(self, pixels: NDArray[np.uint8], um_per_px: float) -> float:
        """Share of the pixels that the finest and the coarsest scale give the same class."""
        height, width = pixels.shape[:2]
        finest, coarsest = (
            np.stack(
                [
                    cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
                    for plane in self._at_scale(_shrunk(pixels, _shrink(scale, um_per_px)))[:LINE]
                ]
            ).argmax(0)
            for scale in (SCALES_UM[0], SCALES_UM[-1])
        )
        return float(np.mean(finest == coarsest))

    def _at_scale(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Answers at half the size of the pixels, tile by tile, (5, H/2, W/2)."""
        height, width = pixels.shape[:2]
        padding = (0, -height % STRIDE, 0, -width % STRIDE)
        padded = cv2.copyMakeBorder(pixels, *padding, cv2.BORDER_REFLECT)
        half = OUTPUT_STRIDE
        answer = np.empty((CHANNELS, padded.shape[0] // half, padded.shape[1] // half), np.float32)
        for y in _spans(padded.shape[0]):
            for x in _spans(padded.shape[1]):
                tile = padded[y.start : y.end, x.start : x.end]
                (found,) = self._session.run([PROBABILITIES], {PIXELS: tile[None]})
                answer[:, y.first // half : y.last // half, x.first // half : x.last // half] = (
                    found[
                        0,
                        :,
                        (y.first - y.start) // half : (y.last - y.start) // half,
                        (x.first - x.start) // half : (x.last - x.start) // half,
                    ]
                )
        return answer[:, : -(-height // half), : -(-width // half)]


def _shrink(scale: float, um_per_px: float) -> float:
    """How many times smaller an image is made to be seen at a scale."""
    return max(scale / um_per_px, 1 / _LARGEST)


def _middle(pixels: NDArray[np.uint8], um_per_px: float) -> NDArray[np.uint8]:
    """The middle of an image: a square of :data:`_MIDDLE` px at the finest scale, or less."""
    side = round(_MIDDLE * _shrink(SCALES_UM[0], um_per_px))
    y, x = (max((length - side) // 2, 0) for length in pixels.shape[:2])
    return np.ascontiguousarray(pixels[y : y + side, x : x + side])


def _shrunk(pixels: NDArray[np.uint8], shrink: float) -> NDArray[np.uint8]:
    height, width = (max(1, round(side / shrink)) for side in pixels.shape[:2])
    how = cv2.INTER_AREA if shrink > 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)


def _spans(length: int) -> Iterator[_Span]:
    """Tiles that cover a side whose length is a multiple of 32, each used up to its middle overlap.

    Examples
    --------
    >>> [(each.start, each.end, each.first, each.last) for each in _spans(96)]
    [(0, 96, 0, 96)]
    >>> [(each.start, each.end, each.first, each.last) for each in _spans(1920)]
    [(0, 1024, 0, 960), (896, 1920, 960, 1920)]
    """
    step = _TILE - _OVERLAP
    starts = range(0, max(length - _OVERLAP, 1), step)
    for at, start in enumerate(starts):
        end = min(start + _TILE, length)
        first = start + _OVERLAP // 2 if at else 0
        last = length if at == len(starts) - 1 else end - _OVERLAP // 2
        yield _Span(start, end, first, last)
