"""Polygons with holes as pixels: counted by hand, against a slow oracle, and never endless."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.core.errors import UsageError
from annotator.core.objects import BoolMask
from export.formats.geojson import polygons
from export.readers.outlines import Rings, crop_of_polygons

FRAME = (12, 16)


def whole(found: list[Rings], frame: tuple[int, int] = FRAME) -> BoolMask:
    mask = np.zeros(frame, np.bool_)
    crop = crop_of_polygons(found, frame)
    if crop is not None:
        (x0, y0, x1, y1), inside = crop
        mask[y0:y1, x0:x1] = inside
    return mask


def rectangle(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]


@pytest.mark.parametrize("seed", range(40))
def test_outlines_along_pixel_edges_give_their_mask_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(FRAME) < rng.choice([0.2, 0.5, 0.8])
    assert np.array_equal(whole(list(polygons(mask))), mask)


@pytest.mark.parametrize("seed", range(20))
def test_a_pixel_belongs_where_its_centre_lies_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-3, 15, (3, 2))
    y, x = np.mgrid[: FRAME[0], : FRAME[1]] + 0.5
    sides = []
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        sides.append((bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0)
    expected = np.all(sides, axis=0) | ~np.any(sides, axis=0)
    assert np.array_equal(whole([[list(map(tuple, corners))]]), expected)


def test_holes_stay_open_and_polygons_that_overlap_are_one() -> None:
    ring = [rectangle(1, 1, 7, 7), rectangle(3, 3, 5, 5)]
    assert whole([ring]).sum() == 36 - 4
    assert whole([[rectangle(1, 1, 5, 5)], [rectangle(3, 3, 7, 7)]]).sum() == 16 + 16 - 4


def test_what_reaches_out_of_the_image_is_cut_off() -> None:
    assert whole([[rectangle(-2, -2, 3, 2)]]).sum() == 6
    assert crop_of_polygons([[rectangle(-5, -5, -1, -1)]], FRAME) is None
    assert crop_of_polygons([[rectangle(2.6, 2.6, 3.4, 3.4)]], FRAME) is None


@pytest.mark.parametrize(
    ("ring", "why"),
    [
        ([(0, 0), (1, 1), (0, 0)], "3 corners"),
        ([(0, 0), (1e9, 0), (0, 5)], "near an image of 16 x 12"),
        ([(0, 0), (float("nan"), 0), (0, 5)], "near an image"),
        ([(0, 0), (16, 12)] * 2000, "outline of at most"),
    ],
)
def test_rings_of_no_such_image_are_refused(ring: list[tuple[float, float]], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        crop_of_polygons([[[*ring, (3, 4)] if "at most" in why else ring]], FRAME)
