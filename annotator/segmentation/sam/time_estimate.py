"""How long SAM takes on this machine: one picture encoded and eight prompts, timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from annotator.segmentation.sam.proposer import PromptModel, grid_points
from annotator.settings.sam import SamSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SamSpeed:
    """Seconds to encode a tile, and to decode a prompt and cut its masks out."""

    tile_seconds: float
    prompt_seconds: float


def measure_speed(
    model: PromptModel,
    settings: SamSettings,
    shape: tuple[int, int],
    clock: Callable[[], float] = time.perf_counter,
) -> SamSpeed:
    """Time a loaded model on a picture of a tile's height and width in pixels.

    Pale discs on pink, a prompt in each. Other programs slow it as they will slow the batch.
    """
    from annotator.segmentation.sam.mask_upscaling import MaskRule, cut
    from annotator.segmentation.sam.model import Embedding, Prompts

    points = grid_points(4, shape)[::2]
    rule = MaskRule(settings.stability_score_thresh, settings.stability_score_offset)
    pixels = np.full((*shape, 3), (220, 170, 200), np.uint8)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    for x, y in points:
        pixels[np.hypot(columns - x, rows - y) < min(shape) / 16] = 245

    def encode() -> Embedding:
        embedding = model.encode(pixels)
        # Reading a number waits for a device that works behind our back.
        float(embedding.features.flatten()[0])
        return embedding

    def ask() -> None:
        for start in range(0, len(points), settings.points_per_batch):
            some = Prompts(points[start : start + settings.points_per_batch])
            decoded = model.decode(embedding, some, settings.pred_iou_thresh)
            cut(decoded, embedding.resize, some.points, rule)

    tile_seconds, embedding = _timed(encode, clock)
    return SamSpeed(tile_seconds, _timed(ask, clock)[0] / len(points))


def _timed(work: Callable[[], T], clock: Callable[[], float]) -> tuple[float, T]:
    """Seconds of work that takes a second; quicker work is done again, without the start."""
    for _ in range(2):
        start = clock()
        result, seconds = work(), clock() - start
        if seconds >= 1:
            break
    return seconds, result
