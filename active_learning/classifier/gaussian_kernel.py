"""The Gaussian kernel of many objects at once, by products of matrices."""

from __future__ import annotations

import numpy as np

from annotator.core.arrays import Floats

# Objects on each side of a tile: three tiles of 8 MB stay in the processor's cache, which
# makes a large matrix four times as fast as one product and three passes over all of it.
_TILE = 1000


def gaussian_kernel(first: Floats, second: Floats, gamma: float) -> Floats:
    """``exp(-gamma |a - b|^2)`` of each row a and each row b, (M, N) float64.

    Parameters
    ----------
    first : (M, F) float64
    second : (N, F) float64
    gamma : float
        Above 0.

    Examples
    --------
    >>> first, second = np.array([[0.0, 3.0]]), np.array([[4.0, 0.0], [0.0, 3.0]])
    >>> gaussian_kernel(first, second, 0.1).round(3).tolist()
    [[0.082, 1.0]]
    """
    kernel = np.empty((len(first), len(second)))
    left, right = _left(first, gamma), _right(second, gamma)
    for rows in _tiles(len(first)):
        for columns in _tiles(len(second)):
            _fill(kernel[rows, columns], left[rows], right[:, columns])
    return kernel


def kernel_matrix(X: Floats, gamma: float) -> Floats:
    """The Gaussian kernel of each two of M objects, (M, M) float64, symmetric to the last bit.

    Parameters
    ----------
    X : (M, F) float64
    gamma : float
        Above 0.

    Examples
    --------
    >>> kernel_matrix(np.array([[0.0], [1.0]]), 2.0).round(3).tolist()
    [[1.0, 0.135], [0.135, 1.0]]
    """
    kernel = np.empty((len(X), len(X)))
    left, right = _left(X, gamma), _right(X, gamma)
    tiles = _tiles(len(X))
    for at, rows in enumerate(tiles):
        for columns in tiles[at:]:
            _fill(kernel[rows, columns], left[rows], right[:, columns])
            if columns != rows:
                kernel[columns, rows] = kernel[rows, columns].T
        # Two products of the same rows may differ in the last bit.
        own = kernel[rows, rows]
        own[:] = np.minimum(own, own.T)
    np.fill_diagonal(kernel, 1.0)
    return kernel


def _tiles(count: int) -> list[slice]:
    return [slice(start, min(start + _TILE, count)) for start in range(0, count, _TILE)]


def _left(X: Floats, gamma: float) -> Floats:
    """Rows whose products with the columns of :func:`_right` are ``-gamma |a - b|^2``."""
    return np.column_stack([2 * gamma * X, -gamma * (X**2).sum(axis=1), np.ones(len(X))])


def _right(X: Floats, gamma: float) -> Floats:
    columns = np.column_stack([X, np.ones(len(X)), -gamma * (X**2).sum(axis=1)])
    return np.ascontiguousarray(columns.T)


def _fill(tile: Floats, left: Floats, right: Floats) -> None:
    exponents = left @ right
    # Of an object with itself it may come out a little above 0.
    np.minimum(exponents, 0.0, out=exponents)
    np.exp(exponents, out=tile)
