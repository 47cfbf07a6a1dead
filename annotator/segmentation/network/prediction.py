"""From an image to the probability of each class at each pixel.

The network sees the image at a few scales and the answers are averaged: the finer ones
follow membranes, the coarser ones know what the whole is. Large images are seen in tiles
that overlap, so that memory stays bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions

from annotator.core.objects import freeze
from annotator.segmentation.network.architecture import (
    CHANNELS,
    CHANNELS_WITHOUT_SCALE,
    OUTPUT_STRIDE,
    PLANES,
    STRIDE,
)
from annotator.segmentation.network.graph import PIXELS, PROBABILITIES, SCALE, network_graph
from annotator.segmentation.network.network_file import SegmentationNetwork, encoder_tensors

SCALES_UM = (0.7, 1.4, 2.8)
"""Microns per pixel that the network sees an image at."""
# Larger than this an image is not made for a finer scale: there is nothing more to see.
_LARGEST = 1.5
# Longest side of a tile, and what two tiles share, px as the network sees them.
_TILE, _OVERLAP = 1024, 128


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
        self.planes = PLANES if network.knows_scale else CHANNELS_WITHOUT_SCALE

    def probabilities(self, pixels: NDArray[np.uint8], um_per_px: float) -> NDArray[np.float32]:
        """Probability of each class, the line between adipocytes, and the depth in them.

        Parameters
        ----------
        pixels : (H, W, 3) uint8
            RGB.
        um_per_px : float
            Known or guessed.

        Returns
        -------
        (6, H, W) float32
            0..1, read-only; the first four add up to 1 at each pixel. A network of an earlier
            version gives no depth, and so five planes.
        """
        height, width = pixels.shape[:2]
        # Of a coarse image the finer scales are all as fine as it can be seen: asked once.
        shrinks = Counter(_shrink(scale, um_per_px) for scale in SCALES_UM)
        seen = [self._at_scale(_shrunk(pixels, shrink)) for shrink in shrinks]
        # Of full size only now, when what the network worked with is gone again.
        total = np.zeros((self.planes, height, width), np.float32)
        for planes, times in zip(seen, shrinks.values(), strict=True):
            for channel, plane in zip(total, planes, strict=True):
                large = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
                channel += large if times == 1 else large * np.float32(times)
        total /= len(SCALES_UM)
        result: NDArray[np.float32] = freeze(total)
        return result

    def scale_planes(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Binary logarithm of the microns per pixel, and of how far that may be off.

        Parameters
        ----------
        pixels : (H, W, 3) uint8
            RGB, seen as they are.

        Returns
        -------
        (2, H/2, W/2) float32

        Raises
        ------
        ValueError
            When the network is of an earlier version, which tells none.
        """
        if not self.network.knows_scale:
            raise ValueError("expected a network that tells scales, got one of format 1")
        return self._answers(pixels, SCALE, CHANNELS - PLANES)

    def _at_scale(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Planes at half the size of the pixels, (6, H/2, W/2)."""
        return self._answers(pixels, PROBABILITIES, self.planes)

    def _answers(
        self, pixels: NDArray[np.uint8], output: str, channels: int
    ) -> NDArray[np.float32]:
        """One of the network's outputs at half the size of the pixels, tile by tile."""
        height, width = pixels.shape[:2]
        padding = (0, -height % STRIDE, 0, -width % STRIDE)
        padded = cv2.copyMakeBorder(pixels, *padding, cv2.BORDER_REFLECT)
        half = OUTPUT_STRIDE
        answer = np.empty((channels, padded.shape[0] // half, padded.shape[1] // half), np.float32)
        for y in _spans(padded.shape[0]):
            for x in _spans(padded.shape[1]):
                tile = padded[y.start : y.end, x.start : x.end]
                (found,) = self._session.run([output], {PIXELS: tile[None]})
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
