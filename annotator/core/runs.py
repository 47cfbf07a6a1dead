"""Maps of one image as runs of equal pixels: what is counted over runs is counted quickly.

A label map of two million pixels has some ten thousand runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import freeze


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Runs in row-major order; one may go on in the next row.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the maps.
    starts, lengths : (R,) int64
        First pixel of each run, and its pixels.
    """

    shape: tuple[int, int]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", freeze(self.starts))
        object.__setattr__(self, "lengths", freeze(self.lengths))

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """What a map holds in each run, (R,) of its dtype.

        Examples
        --------
        >>> values = np.array([[4, 4, 9]])
        >>> runs_of(values).of(values).tolist()
        [4, 9]
        """
        return values.ravel()[self.starts]

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """The (H, W) map of a value for each run.

        Examples
        --------
        >>> runs_of(np.array([[4, 4, 9]])).spread(np.array([0.5, 2.0])).tolist()
        [[0.5, 0.5, 2.0]]
        """
        return np.repeat(values, self.lengths).reshape(self.shape)


def runs_of(*maps: NDArray[Any]) -> Runs:
    """Runs of pixels in which none of the maps changes.

    Parameters
    ----------
    maps : (H, W) arrays
        At least one, all of one shape, with at least one pixel.

    Examples
    --------
    >>> runs = runs_of(np.array([[1, 1, 2], [2, 2, 2]]), np.array([[0, 0, 0], [0, 0, 5]]))
    >>> runs.starts.tolist(), runs.lengths.tolist()
    ([0, 2, 5], [2, 3, 1])
    """
    edge = np.ones(maps[0].size, np.bool_)
    changes = edge[1:]
    for number, one in enumerate(maps):
        flat = one.ravel()
        if number == 0:
            np.not_equal(flat[1:], flat[:-1], out=changes)
        else:
            changes |= flat[1:] != flat[:-1]
    starts = np.flatnonzero(edge)
    height, width = maps[0].shape
    return Runs((height, width), starts, np.diff(starts, append=edge.size))
