"""What the objects look like that an object borders on.

A piece of an adipocyte lies beside other pieces of it, a piece of a gap beside other pieces
of that gap. On 24,587 objects of 60 synthetic fields, grouped by field, these columns raise
the accuracy from 0.973 to 0.978 and macro-F1 from 0.933 to 0.945. Two other kinds were tried
there and left out: the shape of the whole white region (no gain beside these), and each
feature relative to the objects of its image (0.971 with them: where an image is nearly all
adipocytes, these become its norm).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from annotator.core.arrays import Floats
from features._segments import divide
from features.table import Column

# How far apart two objects may lie that border on each other.
_REACH_UM, _REACH_PX = 2.0, (2, 8)
_SEEN = (
    "lab_l_mean",
    "white_distance_mean",
    "log_area_nominal_um2",
    "circularity",
    "solidity",
    "free_convexity",
    "ellipse_residual",
    "thickness",
    "rim_continuity",
    "rim_darkness",
    "ring_white_share",
    "eosin_mean_od",
    "nuclear_share",
    "local_std_fine",
    "eccentricity",
    "border_share",
)
_ALONE = "NaN where it borders on none"
_MEAN = "Mean of {0} over the objects that it borders on, by the length of contact."

COLUMNS = (
    *(
        Column(f"{name}_around", "as there", f"as there, {_ALONE}", _MEAN.format(name))
        for name in _SEEN
    ),
    Column("white_contact_share", "1", f"0..1, {_ALONE}", "Contact with mostly white objects."),
    Column("log_contact", "1", ">= 0", "ln(1 + contact in pixels / sqrt(area))."),
)


def neighbours(
    columns: Mapping[str, Floats],
    seen: NDArray[np.int32],
    ids: NDArray[np.int32],
    areas: NDArray[np.int64],
    um_per_px: float,
) -> dict[str, Floats]:
    """Columns of :data:`COLUMNS`.

    Parameters
    ----------
    columns : mapping of str to (N,) float64
        What is known of each object by itself.
    seen : (H, W) int32
        Id of the object seen at each pixel, 0 for none.
    ids : (N,) int32
    areas : (N,) int64
        px.
    um_per_px : float
        Known or guessed.

    Returns
    -------
    dict of str to (N,) float64
        NaN where an object borders on none.

    Examples
    --------
    A dark object borders on a white one: each sees the other's lightness.

    >>> columns = {name: np.array([40.0, 90.0]) for name in _SEEN}
    >>> columns["white_share"] = np.array([0.0, 1.0])
    >>> seen, ids = np.array([[7, 7, 0, 9, 9]], np.int32), np.array([7, 9], np.int32)
    >>> table = neighbours(columns, seen, ids, np.array([2, 2]), 1.0)
    >>> table["lab_l_mean_around"].tolist(), table["white_contact_share"].tolist()
    ([90.0, 40.0], [1.0, 0.0])
    """
    # Sums run in order of the ids, whatever the order of the objects: same bits.
    order = np.argsort(ids, kind="stable")
    touch = contacts(seen, ids[order], um_per_px)
    length = np.asarray(touch.sum(axis=1), np.float64).reshape(-1)
    table = {f"{name}_around": _mean(touch, columns[name][order]) for name in _SEEN}
    table |= {
        "white_contact_share": _mean(touch, columns["white_share"][order] > 0.5),
        "log_contact": np.log1p(length / np.sqrt(areas[order])),
    }
    back = np.argsort(order, kind="stable")
    return {name: column[back] for name, column in table.items()}


def _mean(touch: sparse.csr_array, values: NDArray[Any]) -> Floats:
    """Mean over neighbours that have a value; NaN where there is none."""
    known = np.isfinite(values)
    weight = touch @ known.astype(np.float64)
    total = touch @ np.where(known, values, 0.0)
    return divide(total, weight)


def contacts(seen: NDArray[np.int32], ids: NDArray[np.int32], um_per_px: float) -> sparse.csr_array:
    """How many pixels of each object lie 2 um (2-8 px) from a pixel of each other one.

    Along rows, columns and both diagonals; symmetric, with nothing on its diagonal.

    Parameters
    ----------
    seen : (H, W) int32
        Id of the object seen at each pixel, 0 for none.
    ids : (N,) int32
    um_per_px : float
        Known or guessed.

    Examples
    --------
    >>> row = np.array([[7, 7, 0, 9, 9]], np.int32)
    >>> contacts(row, np.array([7, 9], np.int32), 1.0).toarray()
    array([[0., 1.],
           [1., 0.]])
    """
    reach = int(np.clip(round(_REACH_UM / um_per_px), *_REACH_PX))
    # Positions instead of ids, so that the matrix has a row an object.
    position = np.full(int(max(ids.max(initial=0), seen.max(initial=0))) + 1, -1, np.int32)
    position[ids] = np.arange(len(ids))
    place = position[seen]
    steps = ((0, reach), (reach, 0), (reach, reach), (reach, -reach))
    # Pixels that see another object so many pixels further on. Four directions are enough: the
    # transposed matrix has the other four.
    pairs = np.concatenate([_pairs(place, *step) for step in steps], axis=1)
    ones = np.ones(pairs.shape[1])
    counts = sparse.coo_array((ones, (pairs[0], pairs[1])), (len(ids), len(ids))).tocsr()
    return (counts + counts.T).tocsr()


def _pairs(place: NDArray[np.int32], down: int, right: int) -> NDArray[np.int32]:
    """Different objects a step apart, (2, P)."""
    height, width = place.shape
    left = max(-right, 0)
    here = place[: max(height - down, 0), left : max(width - max(right, 0), 0)]
    there = place[down:, left + right :][:, : here.shape[1]] if here.size else here
    apart = (here != there) & (here >= 0) & (there >= 0)
    return np.stack([here[apart], there[apart]])
