"""Grey reconstruction beside skimage's: the same bits, whatever the shape of the ground."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.morphology import reconstruction

from annotator.imaging.reconstruction import reconstruct


def same_as_skimage(marker, ceiling):
    expected = reconstruction(marker, ceiling, method="dilation")
    got = reconstruct(marker, ceiling)
    assert got.dtype == np.float32
    return np.array_equal(got, expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 3), (64, 64), (121, 87)])
@pytest.mark.parametrize("seed", range(3))
def test_noise(shape, seed):
    rng = np.random.default_rng(seed)
    ceiling = rng.random(shape, np.float32)
    assert same_as_skimage(ceiling * rng.random(shape, np.float32), ceiling)


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_the_depth_of_discs_that_run_into_each_other(share):
    mask = np.zeros((160, 220), np.uint8)
    for x, y, radius in np.random.default_rng(0).integers((0, 0, 4), (220, 160, 40), (25, 3)):
        cv2.circle(mask, (int(x), int(y)), int(radius), 1, -1)
    depth = cv2.GaussianBlur(cv2.distanceTransform(mask, cv2.DIST_L2, 5), (0, 0), 1.0)
    assert same_as_skimage(depth * np.float32(share), depth)


def test_a_winding_that_is_longer_than_all_steps():
    ceiling = np.zeros((99, 99), np.float32)
    ceiling[::2] = 1
    ceiling[1::4, -1] = ceiling[3::4, 0] = 1
    marker = np.zeros_like(ceiling)
    marker[0, 0] = 1
    assert same_as_skimage(marker, ceiling)
    assert reconstruct(marker, ceiling)[-1].min() == 1


def test_the_arguments_stay_as_they_are():
    ceiling = np.arange(48, dtype=np.float32).reshape(6, 8)
    marker = ceiling / 2
    reconstruct(marker, ceiling)
    assert np.array_equal(marker * 2, ceiling)
