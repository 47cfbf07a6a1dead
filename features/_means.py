"""Means and spreads of planes over parts of objects: one pass over each plane serves all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from features._planes import Layers
from features._segments import Stretches, divide


@dataclass(frozen=True, slots=True)
class Mean:
    """A column that is the mean of a plane.

    Parameters
    ----------
    name : str
        Of the column.
    plane : str
        Of the layer in :class:`features._planes.Planes`.
    part : str
        Where: ``inside``; ``near`` and ``deep`` (where windows of 3 and of 7 px lie inside);
        ``ring``; ``beyond`` (the ring).
    scale : float
        The mean is multiplied by this.
    std : str
        Name of another column: the standard deviation there, not scaled. Empty for none.
    """

    name: str
    plane: str
    part: str
    scale: float = 1.0
    std: str = ""


def means(
    layers: Layers, parts: Mapping[str, Stretches], wanted: Sequence[Mean]
) -> dict[str, Floats]:
    """Columns that are means of planes over parts of N objects.

    Parameters
    ----------
    layers : mapping of str to (H, W)
        Planes of the image.
    parts : mapping of str to Stretches
        Runs of each part of the objects, see :meth:`features._geometry.Geometry.parts`.
    wanted : sequence of Mean

    Returns
    -------
    dict of str to (N,) float64
        NaN where an object has no such pixel.

    Examples
    --------
    >>> from features._segments import joined
    >>> pixels = joined([np.array([0, 1]), np.array([5])])
    >>> plane = np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 8.0]])
    >>> column = Mean("l_mean", "l", "inside", std="l_std")
    >>> table = means({"l": plane}, {"inside": pixels.runs(pixels.breaks(3))}, [column])
    >>> table["l_mean"].tolist(), table["l_std"].tolist()
    ([2.0, 8.0], [1.0, 0.0])
    """
    sizes = {name: runs.groups.sum(runs.length) for name, runs in parts.items()}
    columns: dict[str, Floats] = {}
    for plane in dict.fromkeys(column.plane for column in wanted):
        users = [column for column in wanted if column.plane == plane]
        # A standard deviation needs the sum of squares, too: E[x2] - E[x]2.
        running = RunningSum(layers[plane])
        spreads = [column for column in users if column.std]
        squares = RunningSum(np.square(layers[plane], dtype=np.float64)) if spreads else running
        for column in users:
            mean = divide(running.over(parts[column.part]), sizes[column.part])
            columns[column.name] = mean * column.scale
            if column.std:
                square = divide(squares.over(parts[column.part]), sizes[column.part])
                # Rounding takes the difference a little below 0 where all is flat.
                columns[column.std] = np.sqrt(np.maximum(square - mean**2, 0))
    return columns


class RunningSum:
    """Running sum along the rows of a plane, from which runs take theirs.

    Sums run on through the whole image, in whole numbers: bytes and booleans in int32, floats
    as multiples of 2**-32 in int64. Nothing is rounded on the way, where a sum wraps around
    differences are still right, and an addition of whole numbers is several times as fast as
    one of floats, which waits for the one before.

    Parameters
    ----------
    plane : (H, W)
        bool, uint8 or float; a row of it adds up to less than 2**31.
    """

    def __init__(self, plane: NDArray[Any]) -> None:
        flat = plane.reshape(-1)
        self.unit = 1.0
        if plane.itemsize == 1:
            self.sums: NDArray[Any] = cv2.integral(flat.view(np.uint8).reshape(1, -1))[1]
            return
        self.unit = 2.0**-32
        self.sums = np.zeros(len(flat) + 1, np.int64)
        np.multiply(flat, 2.0**32, out=self.sums[1:], casting="unsafe")
        np.cumsum(self.sums, out=self.sums)

    def over(self, runs: Stretches) -> Floats:
        """Sum of the plane over each object's runs, (N,) float64.

        Examples
        --------
        >>> from features._segments import joined
        >>> pixels = joined([np.array([0, 1]), np.array([5])])
        >>> plane = np.array([[1, 3, 0], [0, 0, 8]], np.uint8)
        >>> RunningSum(plane).over(pixels.runs(pixels.breaks(3))).tolist()
        [4.0, 8.0]
        """
        sums = self.sums[runs.flat + runs.length] - self.sums[runs.flat]
        return runs.groups.sum(sums) * self.unit
