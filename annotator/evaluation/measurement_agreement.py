"""How well two ways of measuring one quantity agree: ICC, bias, limits of agreement.

All of it is a function of a few sums over the things measured, so that a bootstrap need
only add up.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.intervals import over

LIMITS = 1.96
"""Standard deviations of a difference within which 95 % of normal differences lie."""
# Of the total: less than this is what rounding leaves of 0.
_NOTHING = 1e-12


def moments(table: Floats) -> dict[str, Floats]:
    """Sums from which the figures below follow, for each thing measured.

    Parameters
    ----------
    table : (N, k) float64
        By thing (row) and way of measuring it (column). A row with NaN counts for nothing.

    Returns
    -------
    dict
        ``n`` (N,), ``sums`` (N, k), ``products`` (N, k, k), and of the first two ways
        ``absolute`` (N,), the absolute difference. To be summed over things.

    Examples
    --------
    >>> parts = moments(np.array([[10.0, 12.0], [np.nan, 21.0]]))
    >>> parts["n"].tolist(), parts["sums"].tolist(), parts["absolute"].tolist()
    ([1.0, 0.0], [[10.0, 12.0], [0.0, 0.0]], [2.0, 0.0])
    """
    known: NDArray[np.bool_] = np.asarray(np.isfinite(table).all(axis=1))
    held = np.where(known[:, None], table, 0.0)
    return {
        "n": known.astype(np.float64),
        "sums": held,
        "products": held[:, :, None] * held[:, None, :],
        "absolute": np.abs(held[:, 1] - held[:, 0]),
    }


def icc(totals: Mapping[str, Floats]) -> Floats:
    """ICC(2,1): two-way random effects, absolute agreement, single measurement.

    The same as ICC(A,1) of McGraw and Wong.

    Parameters
    ----------
    totals : mapping
        Sums of :func:`moments` over things, (..., ) in front. Take the measurements from a
        common value near their mean: large numbers cost digits.

    Returns
    -------
    (...) float64
        NaN for fewer than two things, or where all measurements are the same.

    References
    ----------
    Shrout and Fleiss 1979, "Intraclass Correlations: Uses in Assessing Rater Reliability",
    Psychological Bulletin 86, 420-428. McGraw and Wong 1996, "Forming inferences about some
    intraclass correlation coefficients", Psychological Methods 1, 30-46, table 4.

    Examples
    --------
    The published example: six things, four raters.

    >>> table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9],
    ...          [6, 2, 4, 7]]
    >>> parts = moments(np.array(table, float))
    >>> round(float(icc({name: part.sum(axis=0) for name, part in parts.items()})), 2)
    0.29
    """
    n, sums, products = totals["n"], totals["sums"], totals["products"]
    k = sums.shape[-1]
    base = over(sums.sum(axis=-1) ** 2, n * k)
    whole = np.trace(products, axis1=-2, axis2=-1) - base
    between_things = products.sum(axis=(-2, -1)) / k - base
    between_ways = over((sums**2).sum(axis=-1), n) - base
    # Differences of large sums: what rounding leaves of 0 must not become a ratio of two noises.
    floor = _NOTHING * np.abs(np.trace(products, axis1=-2, axis2=-1))
    rest = np.maximum(whole - between_things - between_ways, 0.0)
    rest = np.where(rest > floor, rest, 0.0)
    things, ways = over(between_things, n - 1), between_ways / (k - 1)
    error = over(rest, (n - 1) * (k - 1))
    spread = things + (k - 1) * error + over(k * (ways - error), n)
    return np.where(whole > floor, over(things - error, spread), np.nan)


def bias(totals: Mapping[str, Floats]) -> Floats:
    """Mean of the second measurement minus the first.

    Parameters
    ----------
    totals : mapping
        Sums of :func:`moments`, (...) in front.

    Returns
    -------
    (...) float64
        In the unit of the measurements; NaN for no thing.

    Examples
    --------
    >>> parts = moments(np.array([[10.0, 12.0], [20.0, 21.0], [30.0, 33.0]]))
    >>> totals = {name: part.sum(axis=0) for name, part in parts.items()}
    >>> float(bias(totals))
    2.0
    """
    return over(totals["sums"][..., 1] - totals["sums"][..., 0], totals["n"])


def mean_absolute(totals: Mapping[str, Floats]) -> Floats:
    """Mean absolute difference of the first two measurements.

    Parameters
    ----------
    totals : mapping
        Sums of :func:`moments`, (...) in front.

    Returns
    -------
    (...) float64
        In the unit of the measurements; NaN for no thing.

    Examples
    --------
    >>> parts = moments(np.array([[10.0, 12.0], [20.0, 18.0]]))
    >>> float(mean_absolute({name: part.sum(axis=0) for name, part in parts.items()}))
    2.0
    """
    return over(totals["absolute"], totals["n"])


def deviation(totals: Mapping[str, Floats]) -> Floats:
    """Standard deviation (n - 1) of the second measurement minus the first.

    Parameters
    ----------
    totals : mapping
        Sums of :func:`moments`, (...) in front.

    Returns
    -------
    (...) float64
        In the unit of the measurements; NaN for fewer than two things.

    Examples
    --------
    >>> parts = moments(np.array([[10.0, 12.0], [20.0, 21.0], [30.0, 33.0]]))
    >>> float(deviation({name: part.sum(axis=0) for name, part in parts.items()}))
    1.0
    """
    n, products = totals["n"], totals["products"]
    squares = products[..., 0, 0] + products[..., 1, 1] - 2 * products[..., 0, 1]
    spread = np.maximum(squares - n * np.nan_to_num(bias(totals)) ** 2, 0.0)
    spread = np.where(spread > _NOTHING * np.maximum(squares, 1.0), spread, 0.0)
    return np.sqrt(over(spread, np.where(n > 1, n - 1, 0.0)))


def limits(totals: Mapping[str, Floats]) -> Floats:
    """Limits of agreement: bias - 1.96 SD and bias + 1.96 SD of the differences.

    Parameters
    ----------
    totals : mapping
        Sums of :func:`moments`, (...) in front.

    Returns
    -------
    (..., 2) float64

    References
    ----------
    Bland and Altman 1986, "Statistical methods for assessing agreement between two methods of
    clinical measurement", Lancet 327, 307-310.

    Examples
    --------
    >>> parts = moments(np.array([[10.0, 12.0], [20.0, 21.0], [30.0, 33.0]]))
    >>> limits({name: part.sum(axis=0) for name, part in parts.items()}).round(2).tolist()
    [0.04, 3.96]
    """
    middle, half = bias(totals), LIMITS * deviation(totals)
    return np.stack([middle - half, middle + half], axis=-1)
