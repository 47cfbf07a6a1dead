"""Which neighbouring pieces of white are one region: cuts undone, folds bridged.

A watershed cuts white at every neck, also at those within one adipocyte, and a fold of the
section or a thread of debris cuts it as well. Two pieces are one adipocyte when together
they are as convex and as round as one. Pieces are label maps (H, W) int32 on the way in and
out; in between each is a :class:`Region`, a mask and its window.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from annotator.imaging.masks import grown
from annotator.segmentation.region import Labels, Region, join, paint, regions_of

Plane = NDArray[np.float32]

# Deepest notch over the smaller region's radius, gain of circularity, and loss of
# solidity against the larger region, at which two pieces are one adipocyte.
_NOTCH, _ROUNDER, _SOLIDITY_LOSS = 0.16, 0.02, 0.015
# Solidity from which a whole cluster is one region.
_WHOLE = 0.93
# A neck is wide from this many radii of the smaller region on; a bump has at most
# this share of the larger region's area, which must be this solid itself.
_WIDE, _BUMP, _SOLID = 1.1, 0.15, 0.85
# A border this many radii of the smaller region long, and this white, is no border,
# next to a region this much as wide as the largest adipocyte.
_OPEN, _CLEAR, _ROOMY = 1.7, 5.0, 0.7
# Distance from white up to which a line between two regions is a fold, and the share
# of the image's typical line that it must stay below.
_FOLD_STAIN, _FOLD_SHARE = 22.0, 0.6


@dataclass(slots=True)
class _Border:
    """What runs between two pieces: its length in px, and the stain on it."""

    length: float
    stain: float


def merge_whole(pieces: Labels, stain: Plane, reach: float, largest: float) -> Labels:
    """Join clusters that are one solid region all together, though no two of them are.

    Folds cut an adipocyte into slices; any two slices leave a notch where a third is
    missing. What is larger than the largest adipocyte is left to :func:`merge`.

    Parameters
    ----------
    pieces : (H, W) int32
        A label each, 0 for what is not white.
    stain : (H, W) float32
        Distance from white, see :func:`annotator.imaging.white.whiteness`.
    reach : float
        Largest gap between neighbours, px. Up to 2 pieces have to touch, as the two sides
        of a cut do; beyond, a fold may lie between them.
    largest : float
        Radius of the largest adipocyte, px.

    Returns
    -------
    (H, W) int32
        A joined cluster has the label of its first piece.

    Examples
    --------
    >>> pieces = np.repeat(np.array([[1] * 7 + [2] * 7 + [3] * 7], np.int32), 20, axis=0)
    >>> white = np.zeros(pieces.shape, np.float32)
    >>> np.unique(merge_whole(pieces, white, 1.5, 55.0)).tolist()
    [1]
    """
    shape = (pieces.shape[0], pieces.shape[1])

    # Pieces that are linked, directly or through others, by lines pale enough for a fold.
    limit = _fold_limit(pieces, stain, reach) if reach > 2 else np.inf
    linked = [pair for pair, b in _borders(pieces, stain, reach).items() if b.stain <= limit]

    # All or nothing: a cluster is judged as a whole, and stays as it is where it fails.
    regions = regions_of(pieces)
    for cluster in _clusters(linked, int(pieces.max(initial=0))):
        members = [regions[label] for label in cluster]
        if sum(region.area for region in members) > np.pi * largest**2:
            continue
        union = join(members, reach, shape)
        if union.solidity >= _WHOLE and union.notch <= _NOTCH * union.radius:
            for label in cluster:
                del regions[label]
            regions[cluster[0]] = union
    return paint(regions, shape)


def merge(pieces: Labels, stain: Plane, reach: float, largest: float) -> Labels:
    """Join neighbours that are better seen as one region, the best pair first.

    What is larger than the largest adipocyte takes in only what is wide open to it: pieces
    of slide.

    Parameters
    ----------
    pieces : (H, W) int32
        A label each, 0 for what is not white.
    stain : (H, W) float32
        Distance from white, see :func:`annotator.imaging.white.whiteness`.
    reach : float
        Largest gap between neighbours, px; see :func:`merge_whole`.
    largest : float
        Radius of the largest adipocyte, px.

    Returns
    -------
    (H, W) int32
        A joined region has the lower label of each pair.

    Notes
    -----
    A pair is weighed again only when one of its two sides has grown, so the cost stays
    near-linear in the number of pairs.

    Examples
    --------
    A disk that was cut in two is one again.

    >>> y, x = np.ogrid[-20:21, -20:21]
    >>> halves = np.where(y * y + x * x <= 400, 1 + (x > 0), 0).astype(np.int32)
    >>> np.unique(merge(halves, np.zeros(halves.shape, np.float32), 1.5, 55.0)).tolist()
    [0, 1]
    """
    shape = (pieces.shape[0], pieces.shape[1])
    regions = regions_of(pieces)
    borders = _borders(pieces, stain, reach)
    limit = _fold_limit(pieces, stain, reach) if reach > 2 else np.inf

    # Who borders on whom: a pair has one border, each region a set of neighbours.
    around: dict[int, set[int]] = {label: set() for label in regions}
    for a, b in borders:
        around[a].add(b)
        around[b].add(a)

    # A pair's place in the heap holds how often each side had grown when it was weighed.
    # An entry of another age is out of date: nothing ever has to be taken out of the heap.
    age = dict.fromkeys(regions, 0)
    heap: list[tuple[float, int, int, int, int]] = []

    def weigh(a: int, b: int) -> None:
        a, b = min(a, b), max(a, b)
        one, two, border = regions[a], regions[b], borders[a, b]
        if reach <= 2 and _are_slide(one, two, border, largest):
            misfit = 0.0
        elif border.stain > limit or max(one.radius, two.radius) > largest:
            return
        else:
            misfit = _misfit(one, two, border, reach, shape)
        if misfit < 1:
            heapq.heappush(heap, (misfit, a, b, age[a], age[b]))

    # Sorted, so that ties break alike in every run.
    for a, b in sorted(borders):
        weigh(a, b)

    # Each joining makes the neighbours of both sides neighbours of the new region.
    while heap:
        _, a, b, age_a, age_b = heapq.heappop(heap)
        if (age.get(a), age.get(b)) != (age_a, age_b):
            continue
        regions[a] = join((regions[a], regions.pop(b)), reach, shape)
        age[a] += 1
        del age[b]
        _inherit(a, b, borders, around)
        for other in sorted(around[a]):
            weigh(a, other)
    return paint(regions, shape)


def _clusters(pairs: list[tuple[int, int]], count: int) -> list[list[int]]:
    """Labels linked by pairs, two or more together, sorted."""
    if not pairs:
        return []
    a, b = np.array(pairs).T
    graph = coo_matrix((np.ones(len(a)), (a, b)), shape=(count + 1, count + 1))
    _, group = connected_components(graph, directed=False)
    together: dict[int, list[int]] = {}
    for label in np.unique(np.concatenate([a, b])).tolist():
        together.setdefault(int(group[label]), []).append(label)
    return list(together.values())


def _inherit(
    a: int, b: int, borders: dict[tuple[int, int], _Border], around: dict[int, set[int]]
) -> None:
    """Piece `b` is now part of `a`: its borders become borders of `a`."""
    del borders[a, b]
    around[a].discard(b)
    for other in around.pop(b) - {a}:
        old = borders.pop((min(b, other), max(b, other)))
        around[other].discard(b)
        key = (min(a, other), max(a, other))
        if key in borders:
            # Both sides bordered on it: one border now, its stain weighted by length.
            first = borders[key]
            length = first.length + old.length
            stain = (first.stain * first.length + old.stain * old.length) / length
            old = _Border(length, stain)
        borders[key] = old
        around[other].add(a)
        around[a].add(other)


def _borders(pieces: Labels, stain: Plane, reach: float) -> dict[tuple[int, int], _Border]:
    """Borders between pieces within `reach` px of each other."""
    if reach > 2:
        # Each piece grows into the gaps until two of them meet in the middle; the stain of
        # the line between them is looked for half a gap to both sides.
        pieces = grown(pieces, reach / 2 + 0.5)
        stain = _darkest(stain, reach)

    # Pairs of pixels that stand side by side, or one above the other, in two pieces.
    count = int(pieces.max(initial=0)) + 1
    found = []
    for one, two in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
    ):
        # Few pixels differ from the next one: of these alone more is asked.
        rows, columns = np.nonzero(pieces[one] != pieces[two])
        a, b = pieces[one][rows, columns], pieces[two][rows, columns]
        touch = (a > 0) & (b > 0)
        pair = np.minimum(a, b)[touch].astype(np.int64) * count + np.maximum(a, b)[touch]
        found.append((pair, stain[one][rows[touch], columns[touch]]))

    # One number for each pair of pieces: how many such pixels, and their mean stain.
    pairs, stains = (np.concatenate(column) for column in zip(*found, strict=True))
    keys, at, length = np.unique(pairs, return_inverse=True, return_counts=True)
    mean = np.bincount(at, stains, minlength=len(keys)) / np.maximum(length, 1)
    return {
        divmod(key, count): _Border(float(n), s)
        for key, n, s in zip(keys.tolist(), length.tolist(), mean.tolist(), strict=True)
    }


def _are_slide(a: Region, b: Region, border: _Border, largest: float) -> bool:
    """Whether two regions are one piece of slide: wide open to each other, and too large.

    Open adipocytes are cut at their necks; between pieces of slide there is none.
    """
    wide_open = border.length >= _OPEN * min(a.radius, b.radius) and border.stain <= _CLEAR
    roomy = max(a.radius, b.radius) >= _ROOMY * largest
    return wide_open and roomy and a.area + b.area > np.pi * largest**2


def _misfit(a: Region, b: Region, border: _Border, reach: float, shape: tuple[int, int]) -> float:
    """Below 1 when two regions are better seen as one, the lower the better.

    They may meet over most of the smaller one's width, with a union that has no
    deep notch or is rounder than either: halves of a disk are, two polygons that
    press against each other are not. Or a bump or sliver that debris cut off comes
    back to a region that is no less solid with it.
    """
    small, large = sorted((a, b), key=lambda region: region.area)

    # What meets over a narrow neck needs no union to be judged: joining is the dear part.
    wide = border.length >= _WIDE * small.radius and large.notch <= small.radius
    bump = small.area <= _BUMP * large.area and border.length >= small.radius
    bump = bump and large.solidity >= _SOLID
    if not (wide or bump):
        return 1.0

    # Each reason gives a figure that is 1 at its limit; the best one counts.
    union = join((a, b), reach, shape)
    misfits = [1.0]
    if wide:
        misfits.append(union.notch / max(small.radius, 1.0) / _NOTCH)
        rounder = union.circularity - max(small.circularity, large.circularity)
        misfits.append(1.0 - rounder if rounder > _ROUNDER else 1.0)
    if bump:
        misfits.append(max(0.0, large.solidity - union.solidity) / _SOLIDITY_LOSS)
    return min(misfits)


def _fold_limit(pieces: Labels, stain: Plane, reach: float) -> float:
    """Largest stain of a line between two regions that may be a fold, not a membrane.

    Membranes differ from image to image; a fold is clearly paler than the median of
    what lies around the white of this one.
    """
    white = (pieces > 0).astype(np.uint8)
    size = 2 * int(reach / 2 + 1) + 1
    around = cv2.dilate(white, np.ones((size, size), np.uint8)) > white
    if not around.any():
        return _FOLD_STAIN
    return min(_FOLD_STAIN, _FOLD_SHARE * float(np.median(_darkest(stain, reach)[around])))


def _darkest(stain: Plane, reach: float) -> Plane:
    """The most stained pixel within half of `reach`: a gap's line, seen from its middle."""
    size = int(reach) | 1
    return np.asarray(cv2.dilate(stain, np.ones((size, size), np.uint8)), np.float32)
