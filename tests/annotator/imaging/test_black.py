"""Black that is no tissue is found, and real darkness stays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.odd_pictures import as_jpeg, drawn_tissue, through_eyepiece

from annotator.imaging.black import black_areas, filled

Pixels = NDArray[np.uint8]


def picture(height: int = 120, width: int = 160) -> Pixels:
    return np.random.default_rng(0).integers(60, 240, (height, width, 3)).astype(np.uint8)


def noisy(pixels: NDArray[np.float64] | Pixels, sigma: float = 2.0) -> Pixels:
    noise = np.random.default_rng(1).normal(0, sigma, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def test_bars_and_corners_are_black():
    pixels = picture()
    pixels[:20] = 0
    pixels[-20:] = 12
    expected = np.zeros((120, 160), bool)
    expected[:20] = expected[-20:] = True
    np.testing.assert_array_equal(black_areas(pixels), expected)


def test_the_field_of_an_eyepiece_is_left():
    y, x = np.ogrid[:120, :160]
    outside = np.hypot(y - 60, x - 80) > 58
    pixels = picture()
    pixels[outside] = 3
    np.testing.assert_array_equal(black_areas(pixels), outside)


def test_a_soft_dark_edge_with_noise_and_compression_is_black_up_to_its_end():
    y, x = np.ogrid[:400, :400]
    far = np.hypot(y - 200, x - 200)
    black = black_areas(as_jpeg(through_eyepiece(drawn_tissue(), 180)))
    assert black[far > 181].mean() > 0.995
    assert not black[far < 160].any()


@pytest.mark.parametrize("window", [np.s_[40:60, 40:60], np.s_[0:3, 0:3]])
def test_pigment_within_tissue_and_specks_at_the_border_stay(window: tuple[slice, slice]):
    pixels = picture()
    pixels[window] = 0
    assert not black_areas(pixels).any()


@pytest.mark.parametrize(
    "windows", [[np.s_[100:164, 130:194]], [np.s_[20:60, 30:90], np.s_[150:240, 200:360]]]
)
def test_lost_tiles_within_the_picture_are_black(windows: list[tuple[slice, slice]]):
    pixels, expected = picture(300, 400), np.zeros((300, 400), bool)
    for window in windows:
        pixels[window], expected[window] = 0, True
    np.testing.assert_array_equal(black_areas(pixels), expected)
    # Compression smears the edge of the tile by a few pixels.
    found = black_areas(as_jpeg(pixels))
    assert np.count_nonzero(found ^ expected) < 0.08 * expected.sum()


def test_tiles_lost_in_the_shape_of_an_l_are_black():
    pixels, expected = picture(300, 400), np.zeros((300, 400), bool)
    for window in (np.s_[64:192, 64:128], np.s_[128:192, 128:256]):
        pixels[window], expected[window] = 0, True
    np.testing.assert_array_equal(black_areas(pixels), expected)


def test_a_bar_between_two_pictures_is_black():
    pixels = picture(300, 400)
    pixels[:, 180:200] = 5
    assert black_areas(pixels)[:, 180:200].all()
    assert black_areas(pixels).sum() == 300 * 20


def test_writing_in_a_bar_belongs_to_the_bar():
    pixels = picture(300, 400)
    pixels[:60] = 0
    cv2.putText(pixels, "40x", (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
    expected = np.zeros((300, 400), bool)
    expected[:60] = True
    np.testing.assert_array_equal(black_areas(pixels), expected)


@pytest.mark.parametrize(
    ("colour", "centre", "why"),
    [
        ((22, 18, 26), (200, 0), "ink at the border"),
        ((12, 10, 14), (200, 150), "ink within"),
        ((38, 12, 36), (0, 0), "calcified bone in a corner"),
        ((30, 20, 8), (399, 150), "haemosiderin at the border"),
    ],
)
def test_dark_tissue_stays(colour: tuple[int, int, int], centre: tuple[int, int], why: str):
    pixels = picture(300, 400)
    cv2.ellipse(pixels, centre, (70, 50), 20, 0, 360, colour, -1)
    assert not black_areas(noisy(pixels)).any(), why


def test_a_black_picture_is_black_everywhere():
    assert black_areas(np.zeros((50, 60, 3), np.uint8)).all()
    assert black_areas(noisy(np.full((200, 300, 3), 14.0), 5.0)).all()


def test_a_dark_picture_of_tissue_is_not_black():
    assert not black_areas((picture(300, 400) * 0.15).astype(np.uint8)).any()


def test_black_is_filled_with_what_lies_beside_it():
    pixels = picture()
    black = np.zeros((120, 160), bool)
    black[:20] = True
    dark = pixels.copy()
    dark[black] = 0
    full = filled(dark, black)
    np.testing.assert_array_equal(full[:20], pixels[21:41][::-1])
    np.testing.assert_array_equal(full[20:], pixels[20:])


def test_more_black_than_picture_is_filled_too():
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:, 45:55] = picture(100, 10)
    black = np.ones((100, 100), bool)
    black[:, 45:55] = False
    assert filled(pixels, black).min() >= 60


def test_where_nothing_is_black_the_picture_is_handed_on():
    pixels = picture()
    assert filled(pixels, np.zeros((120, 160), bool)) is pixels
    assert filled(pixels, np.ones((120, 160), bool)) is pixels
