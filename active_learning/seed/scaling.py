"""Features on one footing: centred on the median, in units of half the 16-84 % range.

For a normal distribution that is mean and standard deviation; but one trabecula a hundred
times as large as a cell moves neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annotator.core.arrays import Floats
from annotator.core.objects import freeze

# A feature this many scaled units off the median says no more than "far out".
_FAR = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Median and spread of each feature.

    Parameters
    ----------
    centre, scale : (F,) float64
        Median and half the 16-84 % range of each column; the scale is 1 where a
        column is constant.
    """

    centre: Floats
    scale: Floats

    def __post_init__(self) -> None:
        if self.centre.ndim != 1 or self.scale.shape != self.centre.shape:
            raise ValueError(
                f"centre and scale must be (F,), got {self.centre.shape} and {self.scale.shape}"
            )
        object.__setattr__(self, "centre", freeze(self.centre))
        object.__setattr__(self, "scale", freeze(self.scale))

    def __call__(self, X: Floats) -> Floats:
        """Scaled features, (M, F) float64, cut at 4 units; a missing value is the median.

        Parameters
        ----------
        X : (M, F) float64
            Features; NaN where one does not exist for an object.

        Examples
        --------
        >>> Scaling(np.array([10.0]), np.array([2.0]))(np.array([[12.0], [np.nan], [99.0]]))
        array([[1.],
               [0.],
               [4.]])
        """
        scaled: Floats = np.clip(np.nan_to_num((X - self.centre) / self.scale), -_FAR, _FAR)
        return scaled


def fit_scaling(X: Floats) -> Scaling:
    """Measure median and spread of each column; a missing value is left out.

    Parameters
    ----------
    X : (M, F) float64
        Features of M objects, M of 1 or more; NaN where one does not exist.

    Examples
    --------
    >>> fit_scaling(np.array([[0.0, 7.0], [1.0, 7.0], [2.0, 7.0]]))
    Scaling(centre=array([1., 7.]), scale=array([0.68, 1.  ]))
    """
    filled = X.copy()
    # a column without any value would make nanquantile warn
    filled[:, np.count_nonzero(np.isnan(X), axis=0) == len(X)] = 0.0
    low, centre, high = np.nanquantile(filled, [0.16, 0.5, 0.84], axis=0)
    # A constant column says nothing: divided by 1 it stays 0 for all objects.
    return Scaling(centre, np.where(high - low > 1e-9, (high - low) / 2, 1.0))
