from __future__ import annotations

import numpy as np
import pytest

from active_learning.classifier import gaussian_kernel as kernels
from active_learning.classifier.gaussian_kernel import gaussian_kernel, kernel_matrix


def drawn(count: int, seed: int = 0):
    # as scaled features: out to 4 units, two objects alike
    X = np.clip(np.random.default_rng(seed).normal(0, 2, (count, 5)), -4, 4)
    X[-1] = X[0]
    return X


@pytest.mark.parametrize("tile", [1, 7, 40, 1000])
def test_the_kernel_is_that_of_scikit_learn_whatever_the_tiles(monkeypatch, tile):
    from sklearn.metrics.pairwise import rbf_kernel

    monkeypatch.setattr(kernels, "_TILE", tile)
    first, second = drawn(40), drawn(30, seed=1)
    assert gaussian_kernel(first, second, 0.1) == pytest.approx(
        rbf_kernel(first, second, 0.1), abs=1e-12
    )
    assert kernel_matrix(first, 0.1) == pytest.approx(rbf_kernel(first, gamma=0.1), abs=1e-12)


@pytest.mark.parametrize("tile", [7, 1000])
def test_the_matrix_is_symmetric_with_ones_for_like_objects(monkeypatch, tile):
    monkeypatch.setattr(kernels, "_TILE", tile)
    kernel = kernel_matrix(drawn(40), 0.5)
    assert np.array_equal(kernel, kernel.T)
    assert (np.diag(kernel) == 1).all()
    assert kernel.max() == 1 and kernel[0, -1] == pytest.approx(1, abs=1e-12)


def test_no_objects_have_an_empty_kernel():
    assert gaussian_kernel(drawn(3)[:0], drawn(3), 1.0).shape == (0, 3)
    assert kernel_matrix(drawn(3)[:0], 1.0).shape == (0, 0)
