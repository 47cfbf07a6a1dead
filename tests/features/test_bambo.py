"""The published seven, faults included."""

import cv2
import numpy as np
import pytest
from support.draw import disc, placed

from annotator.core.objects import Image
from annotator.imaging.appearance import Appearance
from annotator.settings.annotation import DescribeSettings
from features.describe import describe


def published(bgr: np.ndarray, mask: np.ndarray) -> list[float]:
    """The published steps on a full blacked-out copy of the frame."""
    canvas = cv2.bitwise_and(bgr, bgr, mask=mask.astype(np.uint8))
    pink = cv2.countNonZero(cv2.inRange(canvas, (150, 50, 150), (255, 150, 255)))
    white = cv2.countNonZero(cv2.inRange(canvas, (200, 200, 200), (255, 255, 255)))
    purple = cv2.countNonZero(cv2.inRange(canvas, (100, 0, 100), (180, 100, 180)))
    total = pink + white + purple
    shares = [pink / total, white / total, purple / total] if total else [0.0, 0.0, 0.0]
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    outline = max(contours, key=cv2.contourArea)
    length = cv2.arcLength(outline, True)
    round_ = 4 * np.pi * cv2.contourArea(outline) / length**2 if length else 0.0
    _, spread = cv2.meanStdDev(canvas)
    return [*shares, round_ * shares[1], *spread.ravel()]


@pytest.mark.slow
def test_table_equals_the_published_steps() -> None:
    rng = np.random.default_rng(4)
    pixels = rng.integers(40, 256, (90, 110, 3), dtype=np.uint8)
    pixels[30:60, 30:70] = (245, 240, 248)
    image = Image.from_pixels(pixels)
    objects = placed(
        image,
        ((20, 30), disc(18)),
        ((0, 0), np.ones((5, 5), bool)),
        ((50, 9), np.ones((1, 1), bool)),
    )
    table = describe(Appearance(image), objects, DescribeSettings("bambo"))
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    for i in range(3):
        np.testing.assert_allclose(table.X[i], published(bgr, objects.full_mask(i)), atol=1e-9)


def test_the_spread_measures_size_as_published() -> None:
    image = Image.from_pixels(np.full((100, 100, 3), 200, np.uint8))
    objects = placed(image, ((10, 10), disc(5)), ((30, 30), disc(20)))
    table = describe(Appearance(image), objects, DescribeSettings("bambo"))
    small, large = table.column("bambo_red_std")
    share = disc(5).sum() / 10_000
    assert small == pytest.approx(200 * np.sqrt(share * (1 - share)))
    assert large > 3 * small
