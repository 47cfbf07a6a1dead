"""The white of an image: found whatever the slide's own colour is, and never in the stain."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.color import rgb2lab

from annotator.core.objects import Image
from annotator.imaging.appearance import Appearance
from annotator.imaging.white import blurred, to_lab, white_reference, whiteness

SHAPE = (160, 200)
SLIDES = {
    "grey 205": (205, 205, 205),
    "grey 220": (220, 220, 220),
    "grey 250": (250, 250, 250),
    "saturated": (255, 255, 255),
    "dim blue": (205, 208, 222),
    "bright blue": (232, 238, 250),
    "bright yellow": (250, 246, 228),
    "dim yellow": (215, 210, 196),
    "lilac": (236, 230, 238),
}


def stained(shape=SHAPE, colour=(205, 130, 175), seed=0):
    """Eosinophilic tissue with dark nuclei, (H, W, 3) uint8; no white in it."""
    rng = np.random.default_rng(seed)
    pixels = np.array(colour, np.float32) + rng.normal(0, 6, (*shape, 1))
    nuclei = np.zeros(shape, np.uint8)
    for y, x in rng.integers((0, 0), shape, (shape[0] * shape[1] // 150, 2)).tolist():
        cv2.circle(nuclei, (x, y), 4, 1, -1)
    pixels[nuclei > 0] = (95, 60, 130)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def with_disks(white, seed=0):
    """Stained tissue with three white disks, and where they are."""
    pixels, disks = stained(seed=seed).astype(np.float32), np.zeros(SHAPE, np.uint8)
    for x, y, radius in ((50, 50, 30), (130, 60, 34), (80, 120, 28)):
        cv2.circle(disks, (x, y), radius, 1, -1)
    noise = np.random.default_rng(seed + 1).normal(0, 1.5, (np.count_nonzero(disks), 3))
    pixels[disks > 0] = np.array(white) + noise
    return np.clip(pixels, 0, 255).astype(np.uint8), disks > 0


def flat(colour, shape=(64, 64)):
    return np.full((*shape, 3), colour, np.uint8)


def white_mask(pixels):
    """White pixels, one by one, (H, W) bool."""
    return Appearance(Image.from_pixels(pixels)).white


@pytest.mark.parametrize("slide", SLIDES.values(), ids=SLIDES)
def test_the_white_of_any_slide_is_found(slide):
    pixels, disks = with_disks(slide)
    reference = white_reference(pixels)
    assert reference.found
    assert np.abs(np.array(reference.rgb) - slide).max() <= 3
    got = white_mask(pixels)
    assert np.count_nonzero(got & disks) / np.count_nonzero(got | disks) > 0.98


@pytest.mark.parametrize("slide", SLIDES.values(), ids=SLIDES)
def test_whiteness_is_0_at_the_white_and_beyond_the_threshold_in_the_stain(slide):
    pixels, disks = with_disks(slide)
    reference = white_reference(pixels)
    assert whiteness(flat(slide), reference).max() == pytest.approx(0, abs=0.5)
    assert whiteness(pixels, reference)[~disks].min() > reference.threshold


def test_brighter_than_white_is_white_too():
    reference = white_reference(with_disks((220, 220, 220))[0])
    assert whiteness(flat((240, 240, 240)), reference).max() == pytest.approx(0, abs=0.5)


def test_whiteness_grows_with_darkness_and_with_stain():
    reference = white_reference(with_disks((236, 236, 236))[0])
    greys = [whiteness(flat((v, v, v)), reference).max() for v in (236, 210, 180, 150)]
    pinks = [whiteness(flat((236, v, 236)), reference).max() for v in (236, 220, 200, 170)]
    assert greys == sorted(greys) and pinks == sorted(pinks)
    # A fold greys a lumen by 26 levels, a stain of 26 levels in green is tissue.
    assert greys[1] < reference.threshold < whiteness(flat((236, 200, 236)), reference).max()


def test_the_same_content_on_another_slide_is_cut_alike():
    one, disks = with_disks((246, 246, 246))
    # A darker lamp: every channel by the same factor.
    two = (one * 0.85).astype(np.uint8)
    for pixels in (one, two):
        assert (white_mask(pixels) != disks).mean() < 0.01


@pytest.mark.parametrize(
    "colour", [(205, 130, 175), (214, 140, 185), (150, 110, 170), (225, 165, 200)]
)
def test_an_image_without_white_is_not_called_white(colour):
    pixels = stained(colour=colour)
    reference = white_reference(pixels)
    assert not reference.found
    assert white_mask(pixels).mean() < 0.01


def test_a_field_of_bone_alone_is_not_called_white():
    assert white_mask(flat((214, 140, 185))).mean() == 0


def test_all_white_is_white_and_all_black_is_not():
    white = white_reference(flat((255, 255, 255)))
    assert white.found
    assert white.lab == pytest.approx((100, 0, 0), abs=0.1)
    assert white_mask(flat((255, 255, 255))).all()
    black = white_reference(flat((0, 0, 0)))
    assert not black.found
    assert not white_mask(flat((0, 0, 0))).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (7, 3), (32, 32)])
@pytest.mark.parametrize("colour", [(236, 230, 238), (205, 130, 175)])
def test_tiny_images_get_a_reference(shape, colour):
    pixels = flat(colour, shape)
    distance = whiteness(pixels, white_reference(pixels))
    assert distance.shape == shape and distance.dtype == np.float32
    assert np.isfinite(distance).all()


def test_a_small_white_share_is_enough():
    pixels = stained((300, 300))
    pixels[:25, :25] = (230, 226, 232)
    reference = white_reference(pixels)
    assert reference.found
    assert reference.rgb == pytest.approx((230, 226, 232), abs=3)


def test_two_runs_are_equal_and_the_pixels_stay_as_they_are():
    pixels, _ = with_disks((236, 230, 238))
    before = pixels.copy()
    assert white_reference(pixels) == white_reference(pixels)
    assert np.array_equal(pixels, before)


def test_lab_is_that_of_the_standard():
    # CIELAB D65 of sRGB red, and of mid-grey.
    colours = np.array([[[255, 0, 0], [119, 119, 119]]], np.uint8)
    assert to_lab(colours)[0] == pytest.approx(
        np.array([[53.24, 80.09, 67.20], [50.03, 0.0, 0.0]]), abs=0.3
    )


def test_a_tiny_blur_changes_nothing_and_a_real_one_keeps_the_mean():
    plane = np.zeros((21, 21), np.float32)
    plane[10, 10] = 100
    assert blurred(plane, 0.2) is plane
    soft = blurred(plane, 1.5)
    assert soft.max() < 20
    assert soft.sum() == pytest.approx(100, rel=1e-4)


# CIELAB


def every_seventh_colour():
    """Colours over the whole cube, (1, N, 3) uint8, black and white among them."""
    steps = np.append(np.arange(0, 252, 7), 255).astype(np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)


def test_lab_is_that_of_scikit_image():
    """Its white is rounded to five digits, which is worth 0.005 in b*."""
    colours = every_seventh_colour()
    assert np.abs(to_lab(colours) - rgb2lab(colours)).max() < 0.006


def test_greys_have_no_colour():
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    lab = to_lab(greys)
    assert np.abs(lab[..., 1:]).max() < 1e-3
    assert (np.diff(lab[0, :, 0]) > 0.2).all()


def test_close_colours_stay_apart():
    """A thousand neighbours of a pale pink are a thousand colours, as far apart as they are."""
    step = np.arange(10)
    near = np.stack(np.meshgrid(step, step, step), axis=-1).reshape(1, -1, 3)
    colours = (near + np.array([225, 200, 215])).astype(np.uint8)
    lab = to_lab(colours)
    assert len(np.unique(lab.reshape(-1, 3), axis=0)) == 1000
    exact = rgb2lab(colours)
    np.testing.assert_allclose(lab[0, 1:] - lab[0, :-1], exact[0, 1:] - exact[0, :-1], atol=0.001)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (20, 60), (61, 131), (301, 517)])
def test_equal_colours_are_equal_in_lab_wherever_they_lie(shape):
    for colour in [(240, 240, 240), (190, 90, 160), (3, 1, 2), (12, 200, 90)]:
        lab = to_lab(flat(colour, shape))
        assert lab.shape == (*shape, 3)
        assert (lab == to_lab(flat(colour, (1, 1)))).all()


def test_lab_of_a_picture_is_that_of_its_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (203, 5, 3), np.uint8)
    by_row = np.concatenate([to_lab(row[None]) for row in pixels])
    assert np.array_equal(to_lab(pixels), by_row)
    assert np.array_equal(to_lab(pixels[::2, ::2]), by_row[::2, ::2])
