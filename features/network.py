"""What the segmentation network makes of an object and of its ring.

These columns exist only where there was a network; see
:attr:`annotator.imaging.appearance.Appearance.probabilities`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES
from annotator.imaging.appearance import Appearance
from features._means import Mean
from features._planes import Layers
from features.table import Column, FeatureTable

_LINE = "network_line"
_NO_RING = "NaN where the object fills the image"

COLUMNS = (
    *(
        Column(f"network_{name}_mean", "1", "0..1", f"Mean probability of {name} by the network.")
        for name in CLASS_NAMES
    ),
    *(
        Column(
            f"ring_network_{name}_mean",
            "1",
            f"0..1, {_NO_RING}",
            f"Mean probability of {name} by the network in the ring.",
        )
        for name in CLASS_NAMES
    ),
    Column(
        f"{_LINE}_mean",
        "1",
        "0..1",
        "Mean probability of a line between adipocytes that touch, by the network.",
    ),
)

MEANS = (
    *(Mean(f"network_{name}_mean", f"network_{name}", "inside") for name in CLASS_NAMES),
    *(Mean(f"ring_network_{name}_mean", f"network_{name}", "ring") for name in CLASS_NAMES),
    Mean(f"{_LINE}_mean", _LINE, "inside"),
)


def network_planes(appearance: Appearance) -> Layers:
    """Planes that :data:`MEANS` are taken from; none where there was no network."""
    if appearance.probabilities is None:
        return {}
    names = (*(f"network_{name}" for name in CLASS_NAMES), _LINE)
    return dict(zip(names, appearance.probabilities[: len(names)], strict=True))


def network_codes(table: FeatureTable) -> NDArray[np.uint8] | None:
    """Class that the network holds most probable of each object, (M,) uint8, or None.

    Examples
    --------
    >>> names = tuple(column.name for column in COLUMNS)
    >>> X = np.zeros((1, len(names)))
    >>> X[0, 3] = 0.9
    >>> of = np.array(["a1"]), np.array([1], np.int32)
    >>> network_codes(FeatureTable(*of, X, names, "0")).tolist()
    [3]
    """
    means = _means_inside(table)
    return None if means is None else np.asarray(means.argmax(axis=1), np.uint8)


def network_probabilities(table: FeatureTable) -> Floats | None:
    """What the network holds of each object, (M, 4) float64; rows sum to 1. None without one.

    Examples
    --------
    >>> names = tuple(column.name for column in COLUMNS)
    >>> X = np.zeros((1, len(names)))
    >>> X[0, :4] = 0.0, 0.25, 0.5, 0.25
    >>> of = np.array(["a1"]), np.array([1], np.int32)
    >>> network_probabilities(FeatureTable(*of, X, names, "0"))
    array([[0.  , 0.25, 0.5 , 0.25]])
    """
    means = _means_inside(table)
    if means is None:
        return None
    # They sum to 1 but for rounding: the network's planes are kept in single precision.
    result: Floats = means / means.sum(axis=1, keepdims=True)
    return result


def _means_inside(table: FeatureTable) -> Floats | None:
    """Mean probability of each class inside each object, (M, 4); None where no network saw it."""
    columns = [f"network_{name}_mean" for name in CLASS_NAMES]
    if not set(columns) <= set(table.names):
        return None
    return np.stack([table.column(name) for name in columns], axis=1)
