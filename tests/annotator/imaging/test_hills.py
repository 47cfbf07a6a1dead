"""Hills against the flood of scikit-image, which they stand for."""

import cv2
import numpy as np
import pytest
from scipy import ndimage as ndi
from skimage.morphology import reconstruction
from skimage.segmentation import watershed

from annotator.imaging.hills import hills


def depth_of(mask):
    """Smoothed depth of a mask, as white is cut by."""
    return cv2.GaussianBlur(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5), (0, 0), 1.0)


def flooded(height, mask, share):
    """The same by a flood from the maxima of a reconstruction."""
    floor = reconstruction(height * np.float32(share), height, method="dilation")
    tops, _ = ndi.label((height > floor + 1e-4) & mask)
    return watershed(-height, tops, mask=mask)


def same_pieces(one, other):
    """Share of pixels that lie in the same piece in both."""
    both = one.astype(np.int64) * (other.max() + 1) + other
    pairs, counts = np.unique(both[one > 0], return_counts=True)
    best = np.zeros(one.max() + 1, np.int64)
    np.maximum.at(best, pairs // (other.max() + 1), counts)
    return best.sum() / np.count_nonzero(one)


@pytest.mark.parametrize("share", [0.35, 0.6, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_hills_are_those_of_a_flood(seed, share):
    rng = np.random.default_rng(seed)
    mask = np.zeros((300, 400), np.uint8)
    for x, y, r in rng.integers((20, 20, 8), (380, 280, 30), (60, 3)).tolist():
        cv2.circle(mask, (x, y), r, 1, -1)
    mask = mask.astype(bool)
    height = depth_of(mask)
    ours, theirs = hills(height, mask, share), flooded(height, mask, share)
    assert abs(int(ours.max()) - int(theirs.max())) <= 1
    assert same_pieces(ours, theirs) > 0.995 and same_pieces(theirs, ours) > 0.995
    assert np.array_equal(ours > 0, mask)


def test_a_plateau_is_one_hill():
    height = np.pad(np.ones((5, 9), np.float32), 2)
    assert hills(height, height > 0, 0.9).max() == 1


def test_a_plateau_on_a_slope_is_no_hill():
    height = np.array([[9, 8, 5, 5, 5, 4, 1]], np.float32)
    assert np.unique(hills(height, height > 0, 0.9)).tolist() == [1]


def test_three_tops_join_by_the_higher_of_each_two():
    # The pass of 8.5 is more than 0.8 of 10; the one of 6 is not, though it is of 7.
    height = np.array([[10, 8.5, 9, 6, 7]], np.float32)
    assert hills(height, height > 0, 0.8).tolist() == [[1, 1, 1, 1, 2]]


def test_ground_that_is_flat_belongs_to_the_hill_with_the_higher_pass():
    height = np.array([[0, 0, 0, 5, 0, 0, 7, 0]], np.float32)
    assert hills(height, height >= 0, 0.5).tolist() == [[1, 1, 1, 1, 1, 2, 2, 2]]


def test_a_piece_of_the_mask_without_a_top_is_of_no_hill():
    height = np.array([[5, 1, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    mask = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 1]], bool)
    assert hills(height, mask, 0.5).tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_nothing_in_the_mask():
    assert not hills(np.ones((4, 5), np.float32), np.zeros((4, 5), bool), 0.9).any()


def test_two_tops_that_meet_at_a_corner_are_two():
    height = np.array([[5, 0], [0, 5]], np.float32)
    assert hills(height, height > 0, 0.0).tolist() == [[1, 0], [0, 2]]
