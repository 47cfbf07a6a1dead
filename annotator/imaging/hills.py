"""Hills of a plane, one by one: the watershed of a height without a flood over every pixel.

Water that falls on a pixel runs uphill here: each pixel belongs to the top that the steepest
way leads to. Two tops are one hill when the pass between them is high.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from annotator.core.objects import BoolMask

Plane = NDArray[np.float32]
Labels = NDArray[np.int32]
Positions = NDArray[np.int64]

# Steps to half of a pixel's neighbours, down and right: the other half finds the pixel.
_FOUR = ((0, 1), (1, 0))
_EIGHT = (*_FOUR, (1, -1), (1, 1))
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
        1, 2, 3 ... in the order of their tops, row by row; 0 outside the mask.

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
    straight = land.highest_straight()

    # What is high enough beside the highest that it runs into is a top; tops that touch are one.
    basins, roots = _numbered(land.follow(land.with_diagonals(straight)))
    floor = _floors(land.values[roots], land.passes(basins, _EIGHT), share)
    labels[mask] = land.values > floor[basins] + np.float32(_FLAT)
    _, joined = cv2.connectedComponents(labels.astype(np.uint8), connectivity=4)
    tops = np.asarray(joined, np.int32)[mask]

    # From everywhere else the way leads uphill to one of them.
    straight[tops > 0] = land.at[tops > 0]
    basins, roots = _numbered(land.follow(straight))
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = _without_tops(tops[roots], land, basins)[basins]
    return labels


def _numbered(ends: NDArray[np.int32]) -> tuple[NDArray[np.int32], Positions]:
    """Number of the end of each pixel's way, from 0, (P,) int32; and the ends, (B,)."""
    roots = np.flatnonzero(ends == np.arange(len(ends)))
    number = np.zeros(len(ends), np.int32)
    number[roots] = np.arange(len(roots))
    return number[ends], roots


@dataclass(frozen=True, slots=True, eq=False)
class _Passes:
    """The highest pass between each two basins that touch: (E,) each."""

    one: NDArray[np.int32]
    other: NDArray[np.int32]
    height: Plane

    def from_the_highest(self) -> Iterator[tuple[float, int, int]]:
        """Height and both basins of each pass, the highest first."""
        order = np.argsort(-self.height, kind="stable")
        columns = (self.height, self.one, self.other)
        return zip(*(column[order].tolist() for column in columns), strict=True)


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

    def highest_straight(self) -> Positions:
        """Position of the highest of four neighbours, or a pixel's own where none is higher."""
        steps = (-self.width, -1, 1, self.width)
        return self._uphill(self.at, self.values, steps, equal=False)

    def with_diagonals(self, straight: Positions) -> Positions:
        """The same for eight neighbours, and a plateau leads to its first pixel."""
        highest = straight.copy()
        # Tops over the four neighbours are few: of these alone the diagonals are asked.
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

    def passes(
        self,
        basins: NDArray[np.int32],
        steps: tuple[tuple[int, int], ...],
        tops: NDArray[np.int32] | None = None,
    ) -> _Passes:
        """The highest passes between the basins of the pixels, (P,) int32.

        Given the number of each basin's top, (B,) and 0 for none: those between two with a top
        are left out.
        """
        frame = np.full(len(self.flat), -1, np.int32)
        frame[self.at] = basins
        found = []
        for down, right in steps:
            step = down * self.width + right
            there = frame[self.at + step]
            edge = np.flatnonzero((there != basins) & (there >= 0))
            if tops is not None:
                edge = edge[(tops[basins[edge]] == 0) | (tops[there[edge]] == 0)]
            low = np.minimum(self.values[edge], self.flat[self.at[edge] + step])
            a, b = basins[edge], there[edge]
            found.append((np.minimum(a, b), np.maximum(a, b), low))
        one, other, low = (np.concatenate(column) for column in zip(*found, strict=True))
        pair = one.astype(np.int64) * (int(basins.max()) + 1) + other
        order = np.lexsort((-low, pair))
        first = order[np.diff(pair[order], prepend=-1) > 0]
        return _Passes(one[first], other[first], low[first])


def _floors(summits: Plane, passes: _Passes, share: float) -> Plane:
    """Height above which a pixel of each basin is a top, (B,) float32.

    More than a share of the highest that can be reached from it without going below it.
    """
    # Passes from the highest down; of these only the ones that join what was apart.
    summit, above = summits.tolist(), list(range(len(summits)))
    floor = [share * height for height in summit]
    members = [[at] for at in range(len(summits))]
    for height, a, b in passes.from_the_highest():
        one, other = _end(above, a), _end(above, b)
        if one == other:
            continue
        if summit[one] < summit[other]:
            one, other = other, one
        for at in members[other]:
            if height > floor[at]:
                floor[at] = min(height, share * summit[one])
        above[other] = one
        # Only basins whose pixels at lower passes can be tops still are followed on.
        members[one] += [at for at in members[other] if floor[at] < height]
    return np.array(floor, np.float32)


def _without_tops(
    tops: NDArray[np.int32], land: _Land, basins: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Number of the top of each basin, (B,); those of none get that of the highest pass."""
    if tops.all():
        return tops
    # Kruskal's forest in which no tree has two tops, the highest passes first: the lightest
    # tree of all basins and of a peak above the tops, without that peak. Ranks for weights
    # leave no choice between passes that are equally high.
    passes = land.passes(basins, _FOUR, tops)
    rank = np.empty(len(passes.height))
    rank[np.argsort(-passes.height, kind="stable")] = np.arange(2, len(rank) + 2)
    known, peak = np.flatnonzero(tops), len(tops)
    one = np.concatenate([passes.one, known])
    other = np.concatenate([passes.other, np.full(len(known), peak)])
    weight = np.concatenate([rank, np.ones(len(known))])
    graph = coo_array((weight, (one, other)), shape=(peak + 1, peak + 1)).tocsr()
    forest = minimum_spanning_tree(graph)[:peak, :peak]
    count, tree = connected_components(forest, directed=False)
    number = np.zeros(count, np.int32)
    number[tree[known]] = tops[known]
    return np.asarray(number[tree], np.int32)


def _end(links: list[int], at: int) -> int:
    """Where a chain of links ends; the chain is shortened on the way."""
    while links[at] != at:
        links[at] = links[links[at]]
        at = links[at]
    return at
