"""Hills of a plane, one by one: the watershed of a height without a flood over every pixel.

Water that falls on a pixel runs uphill here: each pixel belongs to the top that the steepest
way leads to. Two tops are one hill when the pass between them is high.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask

Plane = NDArray[np.float32]
Labels = NDArray[np.int32]
Positions = NDArray[np.int64]

# What lies outside the mask; heights are 0 or more.
_OUTSIDE = -1.0
# A top that stands less than this above its pass is no top: rounding, or the edge of a plateau.
_FLAT = 1e-4


def hills(height: Plane, mask: BoolMask, share: float) -> Labels:
    """Number the hills of a plane.

    Parameters
    ----------
    height : (H, W) float32
        0 or more.
    mask : (H, W) bool
        Where hills are.
    share : float
        0..1. Two hills that meet are one when the highest pass between them is more than this
        share of the height of the higher one.

    Returns
    -------
    (H, W) int32
        1, 2, 3 ... in the order of their highest pixels, row by row; 0 outside the mask.

    Notes
    -----
    A flood from the regional maxima of the reconstruction of ``share * height`` under
    ``height`` (``skimage.segmentation.watershed``) gives a pixel the number of its highest
    neighbour, since of its neighbours that one is flooded first. So nothing needs to be
    flooded: pointers to the highest neighbour, followed to their ends, name the top of each
    pixel, and what is left is a graph of tops and passes.

    References
    ----------
    F. Meyer, "Topographic distance and watershed lines", Signal Process. 38, 1994.

    Examples
    --------
    The pass between two tops of 5 is 4: one hill at a share of 0.5, two at a share of 0.9.

    >>> height = np.array([[3, 5, 4, 5, 1]], np.float32)
    >>> hills(height, height > 0, 0.5).tolist(), hills(height, height > 0, 0.9).tolist()
    ([[1, 1, 1, 1, 1]], [[1, 1, 1, 2, 2]])
    """
    labels = np.zeros(mask.shape, np.int32)
    if not mask.any():
        return labels
    # A frame of pixels outside, so that every pixel has all its neighbours.
    inside = np.where(mask, height, np.float32(_OUTSIDE))
    framed = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=_OUTSIDE)
    land = _Land.of(np.asarray(framed, np.float32))
    tops = land.follow(land.highest_neighbours())
    roots = np.flatnonzero(tops == np.arange(len(tops)))
    number = np.zeros(len(tops), np.int32)
    number[roots] = np.arange(len(roots))
    basins = number[tops]
    hill = _joined(land.values[roots], land.passes(basins), share)
    labels[mask] = hill[basins]
    return labels


@dataclass(frozen=True, slots=True, eq=False)
class _Passes:
    """The highest pass between each two basins that touch: (E,) each."""

    one: NDArray[np.int32]
    other: NDArray[np.int32]
    height: Plane


@dataclass(frozen=True, slots=True, eq=False)
class _Land:
    """The pixels of the mask, row by row.

    Parameters
    ----------
    flat : (H * W,) float32
        The framed plane, :data:`_OUTSIDE` where no hill is.
    width : int
        Of the framed plane.
    at : (P,) int64
        Positions in it of the pixels inside.
    values : (P,) float32
        Their heights.
    """

    flat: Plane
    width: int
    at: Positions
    values: Plane

    @classmethod
    def of(cls, framed: Plane) -> _Land:
        """The pixels of a framed plane."""
        flat = framed.reshape(-1)
        at = np.flatnonzero(flat >= 0)
        return cls(flat, framed.shape[1], at, flat[at])

    def highest_neighbours(self) -> Positions:
        """Position of the highest neighbour of each pixel, or its own where none is higher."""
        straight = (-self.width, -1, 1, self.width)
        highest = self._uphill(self.at, self.values, straight, equal=False)
        # Tops over the four neighbours are few: of these the diagonals are asked, too, and a
        # plateau gathers in its first pixel.
        tops = np.flatnonzero(highest == self.at)
        diagonal = (-self.width - 1, -self.width + 1, self.width - 1, self.width + 1)
        up = self._uphill(self.at[tops], self.values[tops], diagonal, equal=False)
        level = np.flatnonzero(up == self.at[tops])
        before = (-self.width - 1, -self.width, -self.width + 1, -1)
        at = self.at[tops[level]]
        up[level] = self._uphill(at, self.values[tops[level]], before, equal=True)
        highest[tops] = up
        return highest

    def _uphill(
        self, at: Positions, values: Plane, steps: tuple[int, ...], equal: bool
    ) -> Positions:
        """The highest of some neighbours that is higher than a pixel, or as high if asked."""
        best, where = values.copy(), at.copy()
        for step in steps:
            there = self.flat[at + step]
            up = (there >= best) if equal else (there > best)
            np.copyto(best, there, where=up)
            np.copyto(where, at + step, where=up)
        return where

    def follow(self, pointers: Positions) -> NDArray[np.int32]:
        """Where the pointers end, as numbers of pixels inside, (P,) int32."""
        number = np.empty(len(self.flat), np.int32)
        number[self.at] = np.arange(len(self.at), dtype=np.int32)
        ends = number[pointers]
        while True:
            # Each turn doubles the length of the way that is known.
            further = ends[ends]
            if np.array_equal(further, ends):
                return ends
            ends = further

    def passes(self, basins: NDArray[np.int32]) -> _Passes:
        """The highest passes between the basins of the pixels, (P,) int32."""
        frame = np.full(len(self.flat), -1, np.int32)
        frame[self.at] = basins
        found = []
        for step in (1, self.width - 1, self.width, self.width + 1):
            there = frame[self.at + step]
            edge = np.flatnonzero((there != basins) & (there >= 0))
            low = np.minimum(self.values[edge], self.flat[self.at[edge] + step])
            a, b = basins[edge], there[edge]
            found.append((np.minimum(a, b), np.maximum(a, b), low))
        one, other, low = (np.concatenate(column) for column in zip(*found, strict=True))
        pair = one.astype(np.int64) * (int(basins.max()) + 1) + other
        order = np.lexsort((-low, pair))
        first = order[np.diff(pair[order], prepend=-1) > 0]
        return _Passes(one[first], other[first], low[first])


def _joined(tops: Plane, passes: _Passes, share: float) -> NDArray[np.int32]:
    """Number of the hill that each basin belongs to, from 1, (B,) int32."""
    # Passes from the highest down; of these only the ones that join what was apart.
    summit, above, hill = tops.tolist(), list(range(len(tops))), list(range(len(tops)))
    order = np.argsort(-passes.height, kind="stable")
    for height, a, b in zip(
        passes.height[order].tolist(),
        passes.one[order].tolist(),
        passes.other[order].tolist(),
        strict=True,
    ):
        one, other = _end(above, a), _end(above, b)
        if one == other:
            continue
        high, low = max(summit[one], summit[other]), min(summit[one], summit[other])
        if height > share * high + _FLAT or height >= low - _FLAT:
            first, second = sorted((_end(hill, a), _end(hill, b)))
            hill[second] = first
        above[other] = one
        summit[one] = high
    ends = np.array([_end(hill, at) for at in range(len(hill))], np.int64)
    return np.asarray(np.unique(ends, return_inverse=True)[1] + 1, np.int32)


def _end(links: list[int], at: int) -> int:
    """Where a chain of links ends; the chain is shortened on the way."""
    while links[at] != at:
        links[at] = links[links[at]]
        at = links[at]
    return at
