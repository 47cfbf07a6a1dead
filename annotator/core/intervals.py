"""Estimates with 95 % intervals: by a bootstrap over patients, and of a share by Wilson.

The bootstrap draws whole patients again, with all their images. Images of one patient
resemble each other: drawn one by one they would make intervals that are too narrow (Efron
and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 8 and 13; Davison and
Hinkley 1997, "Bootstrap Methods and their Application", section 3.8).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats

Sums = Mapping[str, Floats]
"""By name, a value of each image (N, ...), or the totals of each draw (R, ...)."""
Statistic = Callable[[Sums], Floats]
"""From totals (R, ...) to a value of each draw, (R,) or (R, C); NaN where it is undefined."""

RESAMPLES = 2000
SEED = 20_260
FEWEST_PATIENTS = 2
"""One patient says nothing of others."""
_TAILS = (2.5, 97.5)
# The 97.5th percentile of the normal distribution.
_Z = 1.959964
# Below this share of draws in which a value exists, its interval would be of other data.
_ENOUGH = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95 % interval.

    Parameters
    ----------
    value : float or None
        None where there is nothing to measure.
    low, high : float or None
        Ends of the interval; None also where there are too few patients to say.

    Examples
    --------
    >>> Estimate(0.8, 0.7, 0.9).known
    0.8
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def known(self) -> float:
        """The value, where there must be one.

        Raises
        ------
        ValueError
            When there is none.
        """
        if self.value is None:
            raise ValueError("expected an estimate with a value, got one without")
        return self.value

    @classmethod
    def of_draws(cls, value: float, drawn: Floats) -> Estimate:
        """The value of the data, and the percentiles 2.5 and 97.5 of its bootstrap draws.

        Parameters
        ----------
        value : float
            NaN where it is undefined: the estimate is then empty.
        drawn : (R,) float64
            The value in each draw, NaN where it is undefined. There is no interval when that
            is in more than 5 % of the draws, or when there are no draws.

        References
        ----------
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.

        Examples
        --------
        >>> Estimate.of_draws(2.0, np.array([1.0, 2.0, 3.0]))
        Estimate(value=2.0, low=1.05, high=2.95)
        >>> Estimate.of_draws(2.0, np.array([]))
        Estimate(value=2.0, low=None, high=None)
        """
        if not np.isfinite(value):
            return cls(None)
        known = drawn[np.isfinite(drawn)]
        if not len(known) or len(known) < _ENOUGH * len(drawn):
            return cls(value)
        low, high = np.percentile(known, _TAILS).tolist()
        return cls(value, low, high)


class PatientBootstrap:
    """Estimates from what was counted in each image, with intervals over the patients.

    Every value is a function of sums over images, so that a draw is a sum of patients.

    Parameters
    ----------
    counted : mapping of str to (N, ...) array
        What was counted in each image. Sums of integers below 2^53 are exact.
    patients : sequence of str
        Of each image, N.
    resamples : int
        Draws.
    seed : int
        The same draws for the same number of patients.

    Attributes
    ----------
    patients : int
        How many there are.

    Examples
    --------
    >>> counted = {"right": np.array([3.0, 1.0, 4.0]), "all": np.array([4.0, 2.0, 4.0])}
    >>> bootstrap = PatientBootstrap(counted, ["a", "a", "b"])
    >>> bootstrap.estimate(lambda sums: sums["right"] / sums["all"])
    Estimate(value=0.8, low=0.6666666666666666, high=1.0)
    """

    def __init__(
        self,
        counted: Sums,
        patients: Sequence[str],
        resamples: int = RESAMPLES,
        seed: int = SEED,
    ) -> None:
        names, of = np.unique(np.array(patients, np.str_), return_inverse=True)
        by_patient = {name: _by_patient(values, of, len(names)) for name, values in counted.items()}
        self.patients = len(names)
        self._whole = {name: values.sum(axis=0)[None] for name, values in by_patient.items()}
        # All draws in one product: (R, P) by (P, ...).
        times = _times(len(names), resamples, seed)
        self._drawn = {
            name: np.tensordot(times, values, axes=1) for name, values in by_patient.items()
        }

    def estimate(self, statistic: Statistic) -> Estimate:
        """One value, (R,) of totals (R, ...), with its interval."""
        return self.estimates(lambda sums: statistic(sums)[:, None])[0]

    def estimates(self, statistic: Statistic) -> tuple[Estimate, ...]:
        """Several values, (R, C) of totals (R, ...), with their intervals, as of each class."""
        # A draw can hold nothing of a class: 0 / 0 is NaN there, and of_draws leaves it out.
        with np.errstate(divide="ignore", invalid="ignore"):
            values, drawn = statistic(self._whole)[0], statistic(self._drawn)
        return tuple(
            Estimate.of_draws(value, drawn[:, at]) for at, value in enumerate(values.tolist())
        )


def wilson_interval(right: int, of: int) -> tuple[float, float]:
    """95 % interval of a share, 0..1, when each of the things counted stands for itself.

    Parameters
    ----------
    right, of : int
        How many have the property, and of how many, 1 or more.

    Returns
    -------
    (low, high) : float

    Raises
    ------
    ValueError
        When there is nothing to count, or more than all of it.

    References
    ----------
    Wilson 1927, "Probable inference, the law of succession, and statistical inference",
    J. Am. Stat. Assoc. 22, 209-212.

    Examples
    --------
    >>> [round(end, 3) for end in wilson_interval(9, 10)]
    [0.596, 0.982]
    """
    if not 0 <= right <= of or not of:
        raise ValueError(f"expected a share of one or more things, got {right} of {of}")
    share, square = right / of, _Z * _Z
    middle = share + square / (2 * of)
    reach = _Z * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return (middle - reach) / (1 + square / of), (middle + reach) / (1 + square / of)


def over(part: Floats, whole: Floats) -> Floats:
    """A share, elementwise: part / whole, and NaN where the whole is 0.

    Parameters
    ----------
    part, whole : (N,) float64, or of any shapes that fit together

    Returns
    -------
    float64 of their common shape

    Examples
    --------
    >>> over(np.array([1.0, 0.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    share = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=share, where=whole != 0)
    return share


def _by_patient(values: Floats, of: NDArray[np.intp], count: int) -> Floats:
    sums = np.zeros((count, *values.shape[1:]))
    # Unlike +=, this adds every image of a patient, wherever it stands.
    np.add.at(sums, of, values)
    return sums


def _times(count: int, resamples: int, seed: int) -> Floats:
    """How often each patient is in each draw, (R, P); no draw of too few."""
    if count < FEWEST_PATIENTS:
        return np.zeros((0, count))
    generator = np.random.default_rng(seed)
    # As many patients as there are, drawn with replacement: sums ask only how often each came.
    times = generator.multinomial(count, np.full(count, 1 / count), size=resamples)
    return times.astype(np.float64)
