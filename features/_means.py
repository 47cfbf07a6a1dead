"""Means and spreads of planes over parts of objects: one pass over each plane serves all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features._planes import Layers
from features._segments import Floats, Runs, divide


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
        Where: ``inside``, ``near`` (deeper than 1 px), ``deep`` (than 3), ``ring`` or
        ``beyond`` (the ring).
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


def means(layers: Layers, parts: Mapping[str, Runs], wanted: Sequence[Mean]) -> dict[str, Floats]:
    """Columns of `wanted`, (N,) float64 each; NaN where an object has no such pixel."""
    height, width = next(iter(layers.values())).shape
    running = np.zeros((height, width + 1))
    edges = {name: _edges(runs, width) for name, runs in parts.items()}
    sizes = {name: runs.per_object(runs.length) for name, runs in parts.items()}

    def mean(part: str) -> Floats:
        """Mean of the plane that `running` has summed up."""
        first, end = edges[part]
        flat = running.reshape(-1)
        return divide(parts[part].per_object(flat[end] - flat[first]), sizes[part])

    columns: dict[str, Floats] = {}
    for plane in dict.fromkeys(column.plane for column in wanted):
        users = [column for column in wanted if column.plane == plane]
        np.cumsum(layers[plane], axis=1, dtype=np.float64, out=running[:, 1:])
        plain = {column.name: mean(column.part) for column in users}
        columns |= {column.name: plain[column.name] * column.scale for column in users}
        spreads = [column for column in users if column.std]
        if spreads:
            squares = np.square(layers[plane], dtype=np.float64)
            np.cumsum(squares, axis=1, out=running[:, 1:])
        for column in spreads:
            variance = mean(column.part) - plain[column.name] ** 2
            columns[column.std] = np.sqrt(np.maximum(variance, 0))
    return columns


def _edges(runs: Runs, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places before and after each run in running sums of width + 1 columns."""
    first = runs.flat + runs.flat // width
    return first, first + runs.length
