"""Black at the border of a picture is no tissue."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.core.classes import BONE, FAT, UNLABELLED
from annotator.core.label_maps import LabelMaps
from annotator.segmentation.black_frame import black_frame, leave_open


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(60, 240, (120, 160, 3)).astype(np.uint8)


def test_bars_and_corners_are_black():
    pixels = picture()
    pixels[:20] = 0
    pixels[-20:] = 12
    expected = np.zeros((120, 160), bool)
    expected[:20] = expected[-20:] = True
    np.testing.assert_array_equal(black_frame(pixels), expected)


def test_the_field_of_an_eyepiece_is_left():
    y, x = np.ogrid[:120, :160]
    outside = np.hypot(y - 60, x - 80) > 58
    pixels = picture()
    pixels[outside] = 3
    np.testing.assert_array_equal(black_frame(pixels), outside)


@pytest.mark.parametrize("window", [np.s_[40:60, 40:60], np.s_[0:3, 0:3]])
def test_pigment_within_tissue_and_specks_at_the_border_stay(window: tuple[slice, slice]):
    pixels = picture()
    pixels[window] = 0
    assert not black_frame(pixels).any()


def test_a_black_picture_is_black_everywhere():
    assert black_frame(np.zeros((50, 60, 3), np.uint8)).all()


def test_black_loses_class_and_instance_and_the_rest_keeps_them():
    classes = np.array([[BONE, BONE, FAT, FAT]], np.uint8)
    maps = LabelMaps(classes, np.array([[7, 7, 9, 9]], np.int32))
    opened = leave_open(maps, np.array([[True, False, False, False]]))
    assert opened.classes.tolist() == [[UNLABELLED, BONE, FAT, FAT]]
    assert opened.instances.tolist() == [[0, 7, 9, 9]]
    assert leave_open(maps, np.zeros((1, 4), bool)) is maps
