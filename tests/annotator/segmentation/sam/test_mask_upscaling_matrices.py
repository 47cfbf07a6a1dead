import itertools

import numpy as np
import pytest
import torch
from support.resizing import LONGEST, LOW, package_resize, pair, resize_rounding, smooth

from annotator.segmentation.sam.mask_upscaling_matrices import Resize, identity
from annotator.segmentation.sam.model import fit_longest

# Wide, tall, square, 1 px margins to the encoder's side and to each other, tiny.
SHAPES = [(75, 120), (120, 75), (96, 96), (63, 64), (64, 65), (127, 128), (1, 90), (90, 1), (1, 1)]


def dense(resize: Resize, low: torch.Tensor) -> torch.Tensor:
    height, width = resize.low_shape
    return resize.rows @ low[:, :height, :width] @ resize.columns.T


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_packages_two_resizes(shape: tuple[int, int]) -> None:
    low = smooth((5, LOW, LOW), seed=shape[0])
    ours = dense(pair(shape), low)
    theirs = package_resize(low, LONGEST, fit_longest(shape, LONGEST), shape)
    assert ours.shape == theirs.shape == (5, *shape)
    assert bool(((ours - theirs).abs() <= resize_rounding(pair(shape), low)).all())


def test_equals_them_for_an_image_larger_than_the_encoders_side() -> None:
    shape = (501, 800)
    low = smooth((2, 64, 64), seed=1)
    theirs = package_resize(low, 256, fit_longest(shape, 256), shape)
    resize = pair(shape, 256, 64)
    assert bool(((dense(resize, low) - theirs).abs() <= resize_rounding(resize, low)).all())


@pytest.mark.parametrize("shape", SHAPES)
def test_the_weights_of_a_pixel_sum_to_one(shape: tuple[int, int]) -> None:
    resize = pair(shape)
    for weights in (resize.rows, resize.columns):
        assert bool((weights >= 0).all())
        np.testing.assert_allclose(weights.sum(dim=1), 1, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_outside_of_the_band_there_is_no_weight(shape: tuple[int, int]) -> None:
    resize = pair(shape)
    pairs = [(resize.rows, resize.row_band), (resize.columns, resize.column_band)]
    for weights, band in pairs:
        columns = np.arange(weights.shape[1])
        inside = (columns >= band.first[:, None]) & (columns < band.stop[:, None])
        assert not weights.numpy()[~inside].any()
        assert (np.diff(band.first) >= 0).all()
        assert (np.diff(band.stop) >= 0).all()
        assert (band.stop - band.first).max() <= 3


@pytest.mark.parametrize("shape", [(75, 120), (64, 65), (90, 1), (7, 9)])
def test_a_range_of_cells_reaches_the_rows_that_read_from_it(shape: tuple[int, int]) -> None:
    resize = pair(shape)
    weights = resize.rows.numpy()
    ranges = list(itertools.combinations(range(weights.shape[1] + 1), 2))
    first, stop = np.array(ranges).T
    starts, ends = resize.row_band.reached_from(first, stop)
    for (a, b), start, end in zip(ranges, starts, ends, strict=True):
        expected = np.flatnonzero(weights[:, a:b].any(axis=1))
        assert np.arange(start, end).tolist() == expected.tolist()


def test_the_letter_box_is_left_out() -> None:
    resize = pair((64, 128))
    assert resize.low_shape == (16 + 1, 32)
    assert resize.image_shape == (64, 128)


def test_identity_changes_nothing() -> None:
    low = torch.arange(12.0).reshape(1, 3, 4)
    assert torch.equal(dense(identity((3, 4), "cpu"), low), low)
