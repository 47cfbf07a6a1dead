"""An image without what disturbs it; an ordinary one is looked at as it is."""

from __future__ import annotations

import numpy as np
import pytest
from support.odd_pictures import as_jpeg, drawn_tissue, under_light

from annotator.core.objects import Image
from annotator.imaging.clear_view import ClearView, clear_view


def view_of(pixels: np.ndarray) -> ClearView:
    return clear_view(Image.from_pixels(pixels))


def test_an_ordinary_image_is_looked_at_as_it_is():
    image = Image.from_pixels(drawn_tissue())
    view = clear_view(image)
    assert view.image is image
    assert view.black is view.unseen is view.one_colour is None
    assert not (view.is_blank or view.is_all_black or view.is_white_doubtful)


def test_black_and_a_cast_are_taken_out_together():
    plain = drawn_tissue()
    odd = under_light(plain, (1, 0.93, 0.75))
    odd[:90] = 0
    view = view_of(odd)
    assert view.black is not None and view.black[:90].all() and not view.black[100:].any()
    # The white of the drawn lumens is a little pink, which balancing takes for the lamp.
    off = view.image.pixels[100:].astype(int) - plain[100:]
    assert np.abs(off).mean() < 5
    assert view.image.pixels[:90].mean() == pytest.approx(plain[:90].mean(), abs=10)


def test_the_id_stays_that_of_the_picture():
    odd = under_light(drawn_tissue(), (0.8, 0.92, 1))
    assert view_of(odd).image.id == Image.from_pixels(odd).id


ONE_COLOUR = [(0, 0, 0), (60, 60, 60), (128, 128, 128), (200, 120, 160), (230, 175, 205)]


@pytest.mark.parametrize("colour", ONE_COLOUR)
def test_of_one_colour_nothing_can_be_told(colour: tuple[int, int, int]):
    view = view_of(as_jpeg(np.full((200, 240, 3), colour, np.uint8)))
    assert view.one_colour == pytest.approx(colour, abs=2)
    assert view.is_blank and view.unseen is not None and view.unseen.all()
    assert not view.is_white_doubtful


def test_one_white_is_empty_slide():
    view = view_of(np.full((200, 240, 3), 255, np.uint8))
    assert view.one_colour == (255, 255, 255)
    assert view.unseen is None and not view.is_blank


def test_empty_slide_with_the_noise_of_a_camera_is_no_fault():
    noise = np.random.default_rng(0).normal(240, 2, (200, 240, 3))
    view = view_of(noise.astype(np.uint8))
    assert view.one_colour is None and not view.is_white_doubtful


def test_white_is_doubtful_where_all_is_stained():
    view = view_of(drawn_tissue(lumens=False))
    assert view.is_white_doubtful and view.unseen is None


def test_a_black_picture_has_no_doubtful_white():
    view = view_of(np.zeros((90, 90, 3), np.uint8))
    assert view.is_all_black and not view.is_white_doubtful
