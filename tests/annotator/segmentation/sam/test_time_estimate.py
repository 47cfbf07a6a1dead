"""The estimate is what a loaded model takes: a tile, and prompts that find something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from support.drawn_sam import DrawnModel, disc
from support.random_sam import write_checkpoint

from annotator.segmentation.sam.model import DecodedMasks, Embedding, Prompts
from annotator.segmentation.sam.proposer import load_sam
from annotator.segmentation.sam.time_estimate import measure_speed
from annotator.segmentation.sam.weights import Checkpoint
from annotator.settings.sam import SamSettings


class CornerModel(DrawnModel):
    """Takes any picture for the corner of the drawing."""

    def encode(self, pixels: np.ndarray) -> Embedding:
        assert pixels.dtype == np.uint8
        return super().encode(np.zeros_like(pixels))


class SlowModel(CornerModel):
    """Takes 3 s to encode, and half a second a prompt, by a clock of its own."""

    now: float = 0.0

    def encode(self, pixels: np.ndarray) -> Embedding:
        self.now += 3.0
        return super().encode(pixels)

    def decode(self, embedding: Embedding, prompts: Prompts, least: float) -> DecodedMasks:
        self.now += 0.5 * len(prompts)
        return super().decode(embedding, prompts, least)


def test_seconds_are_those_of_one_tile_and_of_one_prompt() -> None:
    model = SlowModel([disc(40, 60, 30)], [0.95])
    speed = measure_speed(model, SamSettings(), (80, 120), lambda: model.now)
    assert (speed.tile_seconds, speed.prompt_seconds) == (3.0, 0.5)
    assert model.encoded == 1
    assert len(model.asked) == 8


def test_prompts_come_in_the_batches_of_the_settings() -> None:
    model = SlowModel([disc(40, 60, 30)], [0.95])
    sizes: list[int] = []

    def decode(embedding: Embedding, prompts: Prompts, least: float) -> DecodedMasks:
        sizes.append(len(prompts))
        assert least == 0.5
        return DrawnModel.decode(model, embedding, prompts, least)

    model.decode = decode  # type: ignore[method-assign]
    settings = SamSettings(points_per_batch=3, pred_iou_thresh=0.5)
    measure_speed(model, settings, (80, 120), ticks(4.0))
    assert sizes == [3, 3, 2]


def ticks(step: float) -> Callable[[], float]:
    """A clock that goes on by a step each time it is looked at."""
    times = count()
    return lambda: next(times) * step


def test_what_is_quick_is_timed_again_without_the_start() -> None:
    model = CornerModel([disc(40, 60, 30)], [0.95])
    # Start and end of each run: encoding first takes 0.9 s, then 0.2 s; prompts 0.8, then 0.4.
    clock = iter([0.0, 0.9, 1.0, 1.2, 2.0, 2.8, 3.0, 3.4])
    speed = measure_speed(model, SamSettings(), (80, 120), lambda: next(clock))
    assert speed.tile_seconds == pytest.approx(0.2)
    assert speed.prompt_seconds == pytest.approx(0.4 / 8)
    assert model.encoded == 2


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(90, 140), (3, 50), (1, 1)])
def test_a_real_network_takes_some_time(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = write_checkpoint(tmp_path / "small.pth")
    model = load_sam(Checkpoint(path, "0" * 64, path.name, "own"), "cpu")
    loose = replace(SamSettings(), pred_iou_thresh=0.0, stability_score_thresh=0.0)
    speed = measure_speed(model, loose, shape)
    assert 0 < speed.prompt_seconds < 60
    assert 0 < speed.tile_seconds < 60
