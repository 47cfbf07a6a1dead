"""The light is found where nothing lies in its way, and never in pale tissue."""

from __future__ import annotations

import numpy as np
import pytest
from support.odd_pictures import WHITE, drawn_tissue, under_light

from annotator.imaging.light import balanced, cut_off_share, find_light

TUNGSTEN, WARM, BLUE, DAYLIGHT = (1, 0.93, 0.75), (1, 0.85, 0.6), (0.8, 0.92, 1), (0.65, 0.85, 1)
CASTS = {TUNGSTEN: "warm", WARM: "warm", BLUE: "blue", DAYLIGHT: "blue", (0.9, 1, 0.85): "green"}


def test_white_light_needs_no_correction():
    pixels = drawn_tissue()
    light = find_light(pixels)
    assert light is not None and light.cast == ""
    np.testing.assert_allclose(light.rgb, WHITE, atol=2)
    assert balanced(pixels, light) is pixels


@pytest.mark.parametrize("gamma", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("gains", CASTS)
def test_a_cast_is_found_and_taken_out(gains: tuple[float, float, float], gamma: float):
    light = find_light(under_light(drawn_tissue(), gains, gamma))
    assert light is not None and light.cast == CASTS[gains]
    white = 255 * (np.array(WHITE) / 255) ** gamma * gains
    np.testing.assert_allclose(light.rgb, white, atol=3)
    # Slide comes out as an even grey.
    slide = np.round(light.rgb).astype(np.uint8).reshape(1, 1, 3)
    assert np.ptp(balanced(slide, light)) <= 1


GROUNDS = [(205, 150, 195), (230, 190, 215), (225, 120, 150)]


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("gains", [(1, 1, 1), *CASTS])
def test_pale_tissue_is_never_taken_for_light(
    ground: tuple[int, int, int], gains: tuple[float, float, float]
):
    assert find_light(under_light(drawn_tissue(ground, lumens=False), gains)) is None


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("gains", [(1, 1, 1), TUNGSTEN, BLUE])
def test_tissue_as_flat_as_slide_is_not_taken_for_light(
    ground: tuple[int, int, int], gains: tuple[float, float, float]
):
    flat = drawn_tissue(ground)
    flat[:] = ground
    flat[:80] = drawn_tissue(ground, lumens=False)[:80]
    assert find_light(under_light(flat, gains)) is None


def test_dust_that_shines_does_not_hide_the_light():
    pixels = drawn_tissue()
    pixels[::40, ::40] = 255
    light = find_light(pixels)
    assert light is not None
    np.testing.assert_allclose(light.rgb, WHITE, atol=3)


def test_a_field_that_is_lit_unevenly_shows_its_light():
    x = np.linspace(-1, 1, 400)
    slide = 212 - 24 * (x[:, None] ** 2 + x**2)
    light = find_light(np.repeat(slide[..., None], 3, axis=2).astype(np.uint8))
    assert light is not None and light.cast == ""


def test_a_noisy_camera_sees_the_light():
    noise = np.random.default_rng(4).normal(0, 8, (400, 400, 3))
    light = find_light(np.clip(drawn_tissue() + noise, 0, 255).astype(np.uint8))
    assert light is not None
    np.testing.assert_allclose(light.rgb, WHITE, atol=4)


def test_a_dim_picture_is_made_brighter():
    dim = (drawn_tissue() * 0.4).astype(np.uint8)
    light = find_light(dim)
    assert light is not None and light.is_dim and light.cast == ""
    slide = np.round(light.rgb).astype(np.uint8).reshape(1, 1, 3)
    np.testing.assert_allclose(balanced(slide, light)[0, 0], 235, atol=1)


def test_a_picture_in_the_dark_has_no_light():
    assert find_light((drawn_tissue() * 0.15).astype(np.uint8)) is None


@pytest.mark.parametrize(
    ("exposure", "low", "high"), [(1.0, 0, 0.01), (1.15, 0, 0.1), (1.5, 0.4, 1)]
)
def test_too_much_light_cuts_stain_off(exposure: float, low: float, high: float):
    bright = np.clip(drawn_tissue() * exposure, 0, 255).astype(np.uint8)
    assert low <= cut_off_share(bright) <= high
