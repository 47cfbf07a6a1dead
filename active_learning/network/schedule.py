"""How fast a training goes along: learning rates."""

from __future__ import annotations

import numpy as np

_WARM_UP = 0.1
# Of the highest learning rate: where one-cycle begins, and where it ends.
_FIRST_RATE, _LAST_RATE = 1 / 25, 1e-4


def one_cycle(part: float) -> float:
    """Share of the highest learning rate: up along a cosine, then down to almost nothing.

    Smith and Topin, "Super-convergence: very fast training of neural networks using large
    learning rates", 2019.

    Parameters
    ----------
    part : float
        Of the whole training, 0..1.

    Examples
    --------
    >>> [round(one_cycle(part), 3) for part in (0.0, 0.1, 0.55, 1.0)]
    [0.04, 1.0, 0.5, 0.0]
    """
    if part < _WARM_UP:
        low, high, along = _FIRST_RATE, 1.0, part / _WARM_UP
    else:
        low, high, along = 1.0, _LAST_RATE, (part - _WARM_UP) / (1 - _WARM_UP)
    return float(low + (high - low) * (1 - np.cos(np.pi * min(along, 1.0))) / 2)
