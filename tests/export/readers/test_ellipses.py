"""Circles and ellipses by the centres of their pixels."""

import math

import numpy as np
import pytest

from annotator.core.errors import UsageError
from export.readers.ellipses import exact_ellipse

FRAME = (60, 80)


def whole(crop, frame=FRAME):
    canvas = np.zeros(frame, bool)
    if crop is not None:
        (x0, y0, x1, y1), mask = crop
        canvas[y0:y1, x0:x1] = mask
    return canvas


@pytest.mark.parametrize("turn", [0.0, 30.0, 90.0, 200.0])
def test_a_pixel_belongs_where_its_centre_lies(turn: float) -> None:
    centre, axes = (40.3, 28.7), (20.0, 7.5)
    expected = np.zeros(FRAME, bool)
    for y in range(FRAME[0]):
        for x in range(FRAME[1]):
            dx, dy = x + 0.5 - centre[0], y + 0.5 - centre[1]
            angle = math.atan2(dy, dx) - math.radians(turn)
            radius = math.hypot(dx, dy)
            along, across = radius * math.cos(angle), radius * math.sin(angle)
            expected[y, x] = (along / axes[0]) ** 2 + (across / axes[1]) ** 2 <= 1
    assert np.array_equal(whole(exact_ellipse(centre, axes, turn, FRAME)), expected)


def test_it_is_cut_at_the_border_and_may_have_no_pixel() -> None:
    found = whole(exact_ellipse((0.0, 0.0), (5.0, 5.0), 0.0, FRAME))
    assert found[0, 4]
    assert not found[4, 4]
    assert found.sum() == round(math.pi * 25 / 4)
    assert exact_ellipse((100.0, 30.0), (5.0, 5.0), 0.0, FRAME) is None
    assert exact_ellipse((10.0, 10.0), (0.0, 5.0), 0.0, FRAME) is None
    assert exact_ellipse((10.0, 10.0), (0.1, 0.1), 0.0, FRAME) is None


@pytest.mark.parametrize(
    ("centre", "axes", "turn"),
    [
        ((1e9, 0.0), (5.0, 5.0), 0.0),
        ((10.0, 10.0), (-1.0, 5.0), 0.0),
        ((10.0, 10.0), (1e9, 5.0), 0.0),
        ((10.0, 10.0), (math.nan, 5.0), 0.0),
        ((10.0, 10.0), (5.0, 5.0), math.inf),
    ],
)
def test_what_cannot_be_is_refused(
    centre: tuple[float, float], axes: tuple[float, float], turn: float
) -> None:
    with pytest.raises(UsageError):
        exact_ellipse(centre, axes, turn, FRAME)
