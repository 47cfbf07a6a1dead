"""Intervals over patients: whole patients are drawn again, with all their images.

Images of one patient resemble each other. Drawn one by one they would make intervals that
are too narrow (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 8
and 13; Davison and Hinkley 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats

Sums = Mapping[str, Floats]
"""By name, a value of each image (N, ...), or the totals of each draw (R, ...)."""
Statistic = Callable[[Sums], Floats]
"""From totals (R, ...) to a figure of each draw, (R,) or (R, C); NaN where it is undefined."""

RESAMPLES = 2000
SEED = 20_260
FEWEST_PATIENTS = 2
"""One patient says nothing of others."""
_TAILS = (2.5, 97.5)
# Below this share of draws in which a figure exists, its interval would be of other data.
_ENOUGH = 0.95


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95 % interval.

    Parameters
    ----------
    value : float or None
        None where there is nothing to measure.
    low, high : float or None
        None where there are too few patients to say, too.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


class Resampled:
    """Figures of what was counted in each image, with intervals over the patients.

    Every figure is a function of sums over images, so that a draw is a sum of patients.

    Parameters
    ----------
    counted : mapping of str to (N, ...) array
        What was counted in each image. Sums of integers below 2^53 are exact.
    patients : sequence of str
        Of each image.
    resamples : int
        Draws.
    seed : int
        The same draws for the same number of patients.

    Examples
    --------
    >>> counted = {"right": np.array([3.0, 1.0, 4.0]), "all": np.array([4.0, 2.0, 4.0])}
    >>> found = Resampled(counted, ["a", "a", "b"])
    >>> found.figure(lambda sums: sums["right"] / sums["all"])
    Figure(value=0.8, low=0.6666666666666666, high=1.0)
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
        times = _times(len(names), resamples, seed)
        self._drawn = {
            name: np.tensordot(times, values, axes=1) for name, values in by_patient.items()
        }

    def figure(self, statistic: Statistic) -> Figure:
        """One figure with its interval."""
        return self.figures(lambda sums: statistic(sums)[:, None])[0]

    def figures(self, statistic: Statistic) -> tuple[Figure, ...]:
        """Several figures with their intervals, such as one a class."""
        with np.errstate(divide="ignore", invalid="ignore"):
            values, drawn = statistic(self._whole)[0], statistic(self._drawn)
        return tuple(_figure(value, drawn[:, at]) for at, value in enumerate(values.tolist()))


def over(part: Floats, whole: Floats) -> Floats:
    """A share; NaN of nothing.

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
    np.add.at(sums, of, values)
    return sums


def _times(count: int, resamples: int, seed: int) -> Floats:
    """How often each patient is in each draw, (R, P); no draw of too few."""
    if count < FEWEST_PATIENTS:
        return np.zeros((0, count))
    generator = np.random.default_rng(seed)
    times = generator.multinomial(count, np.full(count, 1 / count), size=resamples)
    return times.astype(np.float64)


def _figure(value: float, drawn: Floats) -> Figure:
    if not np.isfinite(value):
        return Figure(None)
    known = drawn[np.isfinite(drawn)]
    if not len(known) or len(known) < _ENOUGH * len(drawn):
        return Figure(value)
    low, high = np.percentile(known, _TAILS).tolist()
    return Figure(value, low, high)
