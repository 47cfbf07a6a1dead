"""The scale of a picture, from what a network says of it and of smaller copies."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from annotator.imaging.scale import nuclei_um_per_px
from annotator.imaging.white import white_reference
from annotator.segmentation.network.found_scale import (
    SCALE_FIT,
    SHRINKS,
    FoundScale,
    fit_scale,
    found_scale,
    starter_predictor,
)
from annotator.segmentation.network.network_file import SegmentationNetwork
from annotator.segmentation.network.prediction import NetworkPredictor
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings


class TellsScale(NetworkPredictor):
    """Says of a picture, and of each smaller copy, what it is told to, half of it right."""

    def __init__(self, um_per_px: float, side: int) -> None:
        self.um_per_px, self.side = um_per_px, side
        said = [self.said(um, shrink) for um in (0.25, 1.0, 4.0) for shrink in SHRINKS]
        fit = fit_scale(np.reshape(said, (3, 4)), np.array([0.25, 1.0, 4.0]))
        self.network = SegmentationNetwork({}, "", {SCALE_FIT: fit})

    @staticmethod
    def said(um_per_px: float, shrink: float) -> float:
        return 0.5 + 0.5 * float(np.log2(um_per_px * shrink))

    def scale_planes(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        shape = (1, pixels.shape[0] // 2, pixels.shape[1] // 2)
        said = self.said(self.um_per_px, self.side / pixels.shape[0])
        return np.concatenate([np.full(shape, said), np.zeros(shape)]).astype(np.float32)


def nuclei(radius: int) -> NDArray[np.uint8]:
    """Dark discs on pink tissue, beside slide."""
    pixels = np.full((640, 640, 3), (205, 140, 180), np.uint8)
    pixels[:, 600:] = 242
    for y in range(40, 600, 60):
        for x in range(40, 560, 60):
            cv2.circle(pixels, (x, y), radius, (70, 30, 120), -1)
    return pixels


def found(um_per_px: float, pixels: NDArray[np.uint8]) -> FoundScale:
    predictor = TellsScale(um_per_px, pixels.shape[0])
    return found_scale(predictor, pixels, white_reference(pixels))


@pytest.mark.parametrize("um_per_px", [0.25, 0.5, 2.0, 8.0])
def test_without_nuclei_the_network_and_what_is_usual_meet_half_way(um_per_px: float):
    scale = found(um_per_px, np.full((640, 700, 3), 240, np.uint8))
    assert scale.um_per_px == pytest.approx((0.5 * um_per_px) ** 0.5, rel=0.05)
    assert (scale.by, scale.is_sure) == ("network", False)


def test_nuclei_are_believed_where_the_network_does_not_contradict():
    pixels = nuclei(6)
    by_nuclei = nuclei_um_per_px(pixels, white_reference(pixels))
    assert by_nuclei is not None
    near, further, far = (found(by_nuclei * times, pixels) for times in (1.3, 2.2, 8.0))
    assert (near.um_per_px, near.by, near.is_sure) == (round(by_nuclei, 4), "nuclei", True)
    assert (further.by, further.is_sure) == ("nuclei", False)
    assert (far.by, far.is_sure) == ("network", False)
    assert far.um_per_px == pytest.approx(8 * by_nuclei, rel=0.05)


def test_nuclei_of_a_few_pixels_count_half():
    pixels = nuclei(2)
    by_nuclei = nuclei_um_per_px(pixels, white_reference(pixels))
    assert by_nuclei is not None and by_nuclei >= 0.8
    scale = found(1.5 * by_nuclei, pixels)
    assert scale.by == "both"
    assert scale.um_per_px == pytest.approx(1.5**0.5 * by_nuclei, rel=0.05)


def test_blobs_far_too_large_for_nuclei_say_nothing():
    assert found(0.25, nuclei(25)).by == "network"


@pytest.mark.parametrize("shape", [(1, 1), (40, 3000), (64, 64)])
def test_every_shape_has_a_scale(shape: tuple[int, int]):
    pixels = np.full((*shape, 3), 240, np.uint8)
    scale = found_scale(starter_predictor(), pixels, white_reference(pixels))
    assert 0.15 <= scale.um_per_px <= 12


@pytest.mark.parametrize("um_per_px", [0.4, 0.8, 1.6])
def test_the_starter_finds_the_scale_of_drawn_marrow(um_per_px: float):
    field = make_phantom(PhantomSettings(seed=5, shape=(600, 800), um_per_px=um_per_px))
    pixels = field.image.pixels
    scale = found_scale(starter_predictor(), pixels, white_reference(pixels))
    assert 1 / 1.6 < scale.um_per_px / um_per_px < 1.6
