"""Colour, alpha, depth and orientation, on arrays."""

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageOps

from annotator.core.errors import ImageError
from annotator.imaging.convert import RawImage, last_line, orient, to_rgb

RGB = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3) * 4


def with_alpha(alpha):
    return np.dstack([RGB, np.broadcast_to(np.uint8(alpha), RGB.shape[:2])])


def test_rgb_passes_through_without_a_note():
    pixels, notes = to_rgb(RawImage(RGB, "rgb"))
    assert np.array_equal(pixels, RGB)
    assert notes == ()


def test_straight_alpha_is_laid_over_white():
    alpha = np.arange(20, dtype=np.uint8).reshape(4, 5) * 13
    pixels, notes = to_rgb(RawImage(with_alpha(alpha), "rgb", "straight"))
    share = alpha[..., None] / 255
    assert np.abs(pixels - (RGB * share + 255 * (1 - share))).max() <= 0.5
    assert notes == ("alpha channel laid over white",)


def test_premultiplied_alpha_is_laid_over_white():
    alpha = np.full((4, 5), 128, np.uint8)
    half = np.dstack([RGB // 2, alpha])
    pixels, _ = to_rgb(RawImage(half, "rgb", "premultiplied"))
    assert np.array_equal(pixels, RGB // 2 + 127)


def test_premultiplied_colours_above_their_alpha_saturate():
    wrong = np.dstack([np.full((4, 5, 3), 200, np.uint8), np.full((4, 5), 100, np.uint8)])
    pixels, _ = to_rgb(RawImage(wrong, "rgb", "premultiplied"))
    assert (pixels == 255).all()


def test_opaque_alpha_changes_no_pixel():
    pixels, notes = to_rgb(RawImage(with_alpha(255), "rgb", "straight"))
    assert np.array_equal(pixels, RGB)
    assert notes == ("opaque alpha channel dropped",)


def test_alpha_that_hides_everything_is_refused():
    with pytest.raises(ImageError, match=r"alpha.* 0 "):
        to_rgb(RawImage(with_alpha(0), "rgb", "straight"))


def test_tall_pictures_are_blended_in_every_strip():
    tall = np.zeros((700, 2, 4), np.uint8)
    tall[..., 3] = 51
    pixels, _ = to_rgb(RawImage(tall, "rgb", "straight"))
    assert (pixels == 204).all()


def test_grey_is_expanded_with_its_alpha():
    grey = np.dstack([np.full((4, 5), 100, np.uint8), np.full((4, 5), 51, np.uint8)])
    pixels, notes = to_rgb(RawImage(grey, "grey", "straight"))
    assert (pixels == round(100 * 0.2 + 255 * 0.8)).all()
    assert "greyscale expanded" in notes[0]


@pytest.mark.parametrize("alpha", [None, "straight"])
def test_full_range_16_bit_colour_keeps_its_upper_byte(alpha):
    eight = with_alpha(200) if alpha else RGB
    eight = eight.copy()
    eight[0, 0, 0] = 250
    wide = eight.astype(np.uint16) * 256 + 17
    pixels, notes = to_rgb(RawImage(wide, "rgb", alpha))
    expected, _ = to_rgb(RawImage(eight, "rgb", alpha))
    assert np.array_equal(pixels, expected)
    assert "16-bit" in notes[0]


@pytest.mark.parametrize("top", [4095, 16383, 32767])
def test_16_bit_colour_that_uses_fewer_bits_is_refused(top):
    with pytest.raises(ImageError, match=f"{top} .*65535"):
        to_rgb(RawImage(np.full((4, 5, 3), top, np.uint16), "rgb"))


def test_an_alpha_channel_does_not_make_16_bits_full_range():
    dark = np.full((4, 5, 4), 4095, np.uint16)
    dark[..., 3] = 65535
    with pytest.raises(ImageError, match="4095"):
        to_rgb(RawImage(dark, "rgb", "straight"))


def test_16_bit_greyscale_is_refused():
    with pytest.raises(ImageError, match="16-bit grey"):
        to_rgb(RawImage(np.full((4, 5, 1), 60000, np.uint16), "grey"))


def test_cmyk_without_a_profile_is_refused():
    with pytest.raises(ImageError, match=r"RGB.*CMYK"):
        to_rgb(RawImage(with_alpha(9), "cmyk"))


def test_cmyk_with_a_broken_profile_is_refused():
    with pytest.raises(ImageError, match=r"RGB.*CMYK"):
        to_rgb(RawImage(with_alpha(9), "cmyk", icc=b"junk"))


def test_a_broken_rgb_profile_is_ignored_with_a_note():
    pixels, notes = to_rgb(RawImage(RGB, "rgb", icc=b"junk"))
    assert np.array_equal(pixels, RGB)
    assert "cannot be used" in notes[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_agrees_with_pillow(orientation):
    picture = PillowImage.fromarray(RGB)
    picture.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(orient(RGB, orientation), expected)
    pixels, notes = to_rgb(RawImage(RGB, "rgb", orientation=orientation))
    assert np.array_equal(pixels, expected)
    assert pixels.flags.c_contiguous
    assert notes == (() if orientation == 1 else (f"turned upright (orientation {orientation})",))


@pytest.mark.parametrize("orientation", [0, 9, -1, 70000])
def test_an_orientation_that_does_not_exist_is_none(orientation):
    pixels, notes = to_rgb(RawImage(RGB, "rgb", orientation=orientation))
    assert np.array_equal(pixels, RGB)
    assert notes == ()


def test_last_line_is_short():
    assert last_line(ValueError("x" * 1000)) == "x" * 200
