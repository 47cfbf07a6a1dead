"""Pieces grow as far as a disk reaches."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from annotator.imaging.masks import grown


@pytest.mark.parametrize("reach", [1.0, 1.5, 3.5, 6.0])
def test_pieces_grow_by_the_exact_distance_to_the_nearest(reach):
    rng = np.random.default_rng(0)
    numbers = np.where(rng.random((120, 150)) < 0.01, rng.integers(1, 9, (120, 150)), 0)
    numbers = numbers.astype(np.int32)
    far, (y, x) = ndi.distance_transform_edt(numbers == 0, return_indices=True)
    found = grown(numbers, reach)
    assert np.array_equal(found > 0, far <= reach)
    # Between two that are as near, either is right; by steps, now and then a near one.
    assert (found != np.where(far <= reach, numbers[y, x], 0)).mean() < 0.02
    assert np.array_equal(found[numbers > 0], numbers[numbers > 0])


def test_nothing_grows_to_nothing():
    assert not grown(np.zeros((4, 5), np.int32), 2.0).any()
