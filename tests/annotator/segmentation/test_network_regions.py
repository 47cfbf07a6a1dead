"""Adipocytes by the depth that a network tells, and bone in whole pieces."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from annotator.core.classes import BG, BONE, CELL, FAT
from annotator.core.objects import Image
from annotator.imaging.appearance import Appearance
from annotator.segmentation.network.architecture import DEPTH, LINE
from annotator.segmentation.network_regions import adipocytes, bone_pieces
from annotator.segmentation.superpixel import SuperpixelProposer

SHAPE = (120, 200)


def seen(planes: NDArray[np.float32], um_per_px: float = 1.0) -> Appearance:
    image = Image.from_pixels(np.full((*planes.shape[1:], 3), 240, np.uint8), um_per_px)
    return Appearance(image).seen_by("network", planes)


def fat(centres: list[tuple[int, int]], radius: float = 30) -> NDArray[np.float32]:
    """Planes of round adipocytes in cell."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = np.min([np.hypot(x - cx, y - cy) for cx, cy in centres], axis=0)
    planes = np.zeros((6, *SHAPE), np.float32)
    planes[DEPTH] = np.clip(1 - away / radius, 0, 1)
    planes[FAT] = away < radius
    planes[CELL] = 1 - planes[FAT]
    return planes


def test_adipocytes_that_touch_are_told_apart():
    labels = adipocytes(seen(fat([(50, 60), (105, 60)])))
    assert len(np.unique(labels)) == 3
    assert labels[60, 50] != labels[60, 105]


@pytest.mark.parametrize("um_per_px", [0.25, 0.5, 1.0])
def test_a_fold_across_an_adipocyte_does_not_cut_it(um_per_px: float):
    planes = fat([(80, 60)], 50)
    planes[LINE, :, 70:73] = 0.4
    planes[DEPTH, :, 70:73] *= 0.8
    assert len(np.unique(adipocytes(seen(planes, um_per_px)))) == 2


def test_adipocytes_end_where_the_fat_does():
    planes = fat([(50, 60), (105, 60)])
    labels = adipocytes(seen(planes))
    np.testing.assert_array_equal(labels > 0, planes[FAT] > 0.5)


def test_a_network_that_sees_no_fat_gives_no_adipocyte():
    planes = fat([(50, 60)])
    planes[CELL], planes[FAT], planes[DEPTH] = 1, 0, 0
    assert not adipocytes(seen(planes)).any()


def test_bone_is_one_piece_with_its_lacunae_and_two_where_it_is_parted():
    planes = np.zeros((6, *SHAPE), np.float32)
    planes[BONE] = 1
    planes[BONE, 60:64, 20:26], planes[CELL, 60:64, 20:26] = 0, 1
    planes[BONE, :, 100:112], planes[BG, :, 100:112] = 0, 1
    labels = bone_pieces(seen(planes))
    assert len(np.unique(labels)) == 3
    assert labels[61, 22] == labels[10, 10] != labels[10, 150]
    assert not labels[:, 104:108].any()


def test_the_proposer_takes_what_a_network_sees_before_what_colour_shows():
    planes = fat([(50, 60), (105, 60)])
    appearance = seen(planes)
    first, second, *_ = SuperpixelProposer().propose(appearance)
    labels = adipocytes(appearance)
    for number, (where, mask) in enumerate((first, second), 1):
        np.testing.assert_array_equal(labels[where] == number, mask)
