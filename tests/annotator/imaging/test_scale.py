"""The working scale: what the file says, else a guess that is good enough to size things by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from annotator.core.objects import Image
from annotator.imaging.appearance import Appearance
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings


@pytest.mark.slow
@pytest.mark.parametrize("um_per_px", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(2))
def test_the_guess_is_within_a_factor_of_the_truth(um_per_px, seed):
    asked = PhantomSettings(seed=seed, shape=(400, 600), um_per_px=um_per_px)
    image = make_phantom(asked).image
    guess = Appearance(replace(image, um_per_px=None)).working_um_per_px
    assert 1 / 1.6 < guess / um_per_px < 1.6
    assert Appearance(image).working_um_per_px == um_per_px


@pytest.mark.parametrize("um_per_px", [0.01, 0.2137, 40.0])
def test_what_the_file_says_is_taken_as_it_is(um_per_px):
    image = Image.from_pixels(np.full((40, 40, 3), 120, np.uint8), um_per_px)
    assert Appearance(image).working_um_per_px == um_per_px


def test_larger_nuclei_mean_finer_pixels():
    field = make_phantom(PhantomSettings(shape=(300, 400), um_per_px=0.5)).image.pixels
    twice = np.repeat(np.repeat(field, 2, axis=0), 2, axis=1)
    one, two = (Appearance(Image.from_pixels(p)).working_um_per_px for p in (field, twice))
    assert one / two == pytest.approx(2.0, rel=0.35)


@pytest.mark.parametrize("value", [0, 90, 236, 255])
@pytest.mark.parametrize("shape", [(1, 1), (32, 32), (200, 200)])
def test_without_nuclei_it_is_half_a_micron(value, shape):
    image = Image.from_pixels(np.full((*shape, 3), value, np.uint8))
    assert Appearance(image).working_um_per_px == 0.5


@pytest.mark.parametrize("radius", [1, 90])
def test_the_guess_stays_in_its_range(radius):
    y, x = np.mgrid[:1200, :1200] if radius > 9 else np.mgrid[:120, :120]
    step = 3 * radius + 2
    dots = np.hypot(y % step - step // 2, x % step - step // 2) <= radius
    pixels = np.where(dots[..., None], (80, 60, 120), (236, 232, 238)).astype(np.uint8)
    assert 0.15 <= Appearance(Image.from_pixels(pixels)).working_um_per_px <= 2.5
