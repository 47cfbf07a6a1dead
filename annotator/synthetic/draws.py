"""Numbers that spread a set of fields evenly over what laboratories produce."""

from __future__ import annotations

import numpy as np

_PRIMES = (
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103,
)  # fmt: skip


def low_discrepancy(index: int, seed: int) -> list[float]:
    """Low-discrepancy numbers in 0..1: multiples of the square roots of primes, modulo 1.

    Every property is spread evenly over its range by itself, and every pair of them over its
    plane, with far fewer fields than independent draws would need.

    References
    ----------
    Richtmyer, 1951, as in Niederreiter, "Random Number Generation and Quasi-Monte Carlo Methods",
    SIAM 1992, chapter 3.
    """
    start = np.random.default_rng([seed, 71]).random(len(_PRIMES))
    return [float(x) for x in (start + index * np.sqrt(_PRIMES)) % 1.0]


def between(share: float, low: float, high: float) -> float:
    """The value that lies at a share, 0..1, of the way from low to high.

    Examples
    --------
    >>> between(0.5, 2.0, 4.0)
    3.0
    """
    return round(low + (high - low) * share, 4)


def sometimes(share: float, chance: float, low: float, high: float) -> float:
    """0 for all but `chance` of the draws, the others spread evenly from low to high.

    Examples
    --------
    >>> sometimes(0.1, 0.2, 2.0, 4.0), sometimes(0.7, 0.2, 2.0, 4.0)
    (3.0, 0.0)
    """
    return 0.0 if share >= chance else between(share / chance, low, high)
