"""Which neighbouring pieces of white are one region: cuts undone, folds bridged.

The pieces are a mask and its window each; they are measured and joined here.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from annotator.core.objects import BoolMask, fill_holes, tight_box
from annotator.imaging.masks import disk

Plane = NDArray[np.float32]

# Deepest notch over the smaller part's radius, gain of circularity, and loss of
# solidity against the larger part, at which two pieces are one adipocyte.
_NOTCH, _ROUNDER, _SOLIDITY_LOSS = 0.16, 0.02, 0.015
# Solidity from which a whole cluster is one region.
_WHOLE = 0.93
# A neck is wide from this many radii of the smaller part on; a bump has at most
# this share of the larger part's area, which must be this solid itself.
_WIDE, _BUMP, _SOLID = 1.1, 0.15, 0.85
# A border this many radii of the smaller part long, and this white, is no border,
# next to a part this much as wide as the largest adipocyte.
_OPEN, _CLEAR, _ROOMY = 1.7, 5.0, 0.7
# Distance from white up to which a line between two parts is a fold, and the share
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
    """
    shape = (pieces.shape[0], pieces.shape[1])
    limit = _fold_limit(pieces, stain, reach) if reach > 2 else np.inf
    linked = [pair for pair, b in _borders(pieces, stain, reach).items() if b.stain <= limit]
    parts = parts_of(pieces)
    for cluster in _clusters(linked, int(pieces.max(initial=0))):
        members = [parts[label] for label in cluster]
        if sum(part.area for part in members) > np.pi * largest**2:
            continue
        union = join(members, reach, shape)
        if union.solidity >= _WHOLE and union.notch <= _NOTCH * union.radius:
            for label in cluster:
                del parts[label]
            parts[cluster[0]] = union
    return paint(parts, shape)


def merge(pieces: Labels, stain: Plane, reach: float, largest: float) -> Labels:
    """Join neighbours within `reach` px that are better seen as one region.

    What is larger than the largest adipocyte, `largest` px in radius, takes in only
    what is wide open to it: pieces of slide.
    The best pair goes first. A pair is weighed again only when one of its two
    sides has grown, so the cost stays near-linear in the number of pairs.
    """
    shape = (pieces.shape[0], pieces.shape[1])
    parts = parts_of(pieces)
    borders = _borders(pieces, stain, reach)
    limit = _fold_limit(pieces, stain, reach) if reach > 2 else np.inf
    around: dict[int, set[int]] = {label: set() for label in parts}
    for a, b in borders:
        around[a].add(b)
        around[b].add(a)
    age = dict.fromkeys(parts, 0)
    heap: list[tuple[float, int, int, int, int]] = []

    def weigh(a: int, b: int) -> None:
        a, b = min(a, b), max(a, b)
        if reach <= 2 and _slide(parts[a], parts[b], borders[a, b], largest):
            misfit = 0.0
        elif borders[a, b].stain > limit or max(parts[a].radius, parts[b].radius) > largest:
            return
        else:
            misfit = _misfit(parts[a], parts[b], borders[a, b], reach, shape)
        if misfit < 1:
            heapq.heappush(heap, (misfit, a, b, age[a], age[b]))

    for a, b in sorted(borders):
        weigh(a, b)
    while heap:
        _, a, b, age_a, age_b = heapq.heappop(heap)
        if (age.get(a), age.get(b)) != (age_a, age_b):
            continue
        parts[a] = join((parts[a], parts.pop(b)), reach, shape)
        age[a] += 1
        del age[b]
        _inherit(a, b, borders, around)
        for other in sorted(around[a]):
            weigh(a, other)
    return paint(parts, shape)


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
            mine = borders[key]
            length = mine.length + old.length
            stain = (mine.stain * mine.length + old.stain * old.length) / length
            old = _Border(length, stain)
        borders[key] = old
        around[other].add(a)
        around[a].add(other)


def _borders(pieces: Labels, stain: Plane, reach: float) -> dict[tuple[int, int], _Border]:
    """Borders between pieces within `reach` px of each other."""
    if reach > 2:
        distance, (iy, ix) = ndi.distance_transform_edt(pieces == 0, return_indices=True)
        pieces = np.where(distance <= reach / 2 + 0.5, pieces[iy, ix], 0)
        stain = _darkest(stain, reach)
    found = []
    for one, two in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
    ):
        a, b = pieces[one], pieces[two]
        touch = (a != b) & (a > 0) & (b > 0)
        pair = np.minimum(a, b)[touch], np.maximum(a, b)[touch], stain[one][touch]
        found.append(np.stack([column.astype(np.float64) for column in pair], axis=1))
    table = np.concatenate(found)
    keys, at, count = np.unique(table[:, :2], axis=0, return_inverse=True, return_counts=True)
    mean = np.bincount(at.ravel(), table[:, 2], minlength=len(keys)) / np.maximum(count, 1)
    return {
        (int(a), int(b)): _Border(float(n), float(s))
        for (a, b), n, s in zip(keys, count, mean, strict=True)
    }


def _slide(a: Region, b: Region, border: _Border, largest: float) -> bool:
    """Whether two parts are one piece of slide: wide open to each other, and too large.

    Open adipocytes are cut at their necks; between pieces of slide there is none.
    """
    open_ = border.length >= _OPEN * min(a.radius, b.radius) and border.stain <= _CLEAR
    roomy = max(a.radius, b.radius) >= _ROOMY * largest
    return open_ and roomy and a.area + b.area > np.pi * largest**2


def _misfit(a: Region, b: Region, border: _Border, reach: float, shape: tuple[int, int]) -> float:
    """Below 1 when two parts are better seen as one.

    They may meet over most of the smaller one's width, with a union that has no
    deep notch or is rounder than either: halves of a disk are, two polygons that
    press against each other are not. Or a bump or sliver that debris cut off comes
    back to a part that is no less solid with it.
    """
    small, large = sorted((a, b), key=lambda part: part.area)
    wide = border.length >= _WIDE * small.radius and large.notch <= small.radius
    bump = small.area <= _BUMP * large.area and border.length >= small.radius
    bump = bump and large.solidity >= _SOLID
    if not (wide or bump):
        return 1.0
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
    """Largest stain of a line between two parts that may be a fold, not a membrane.

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


Labels = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Region:
    """A mask and the corner of its window in the image; measured when asked."""

    y: int
    x: int
    mask: BoolMask

    @cached_property
    def area(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def radius(self) -> float:
        """Radius of the largest inscribed circle, px."""
        padded = np.pad(self.mask, 1).astype(np.uint8)
        return float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max())

    @cached_property
    def outline(self) -> NDArray[np.int32]:
        """Corners of the longest outline, (K, 1, 2) int32 x y."""
        as_bytes = self.mask.astype(np.uint8)
        contours, _ = cv2.findContours(as_bytes, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        return np.asarray(cv2.approxPolyDP(max(contours, key=len), 0.7, True), np.int32)

    @cached_property
    def solidity(self) -> float:
        """Area over the area of the convex hull of the pixels' corners, 0..1."""
        xs, ys = self.outline[:, 0, 0], self.outline[:, 0, 1]
        corners = [np.stack([xs + i, ys + j], axis=1) for i in (0, 1) for j in (0, 1)]
        hull = cv2.convexHull(np.concatenate(corners).astype(np.int32))
        return self.area / max(cv2.contourArea(hull), 1.0)

    @cached_property
    def notch(self) -> float:
        """Depth of the deepest notch of the outline below its convex hull, px."""
        return _notch_depth(self.outline)

    @cached_property
    def circularity(self) -> float:
        """4 pi A / P^2, 0..1."""
        perimeter = cv2.arcLength(self.outline, True) + 3.0
        return float(min(1.0, 4 * np.pi * self.area / perimeter**2))


def _notch_depth(contour: NDArray[np.int32]) -> float:
    if len(contour) < 4:
        return 0.0
    hull = cv2.convexHull(contour, returnPoints=False)
    hull[::-1].sort(axis=0)
    defects = cv2.convexityDefects(contour, hull)
    depth = 0.0 if defects is None else float(defects.reshape(-1, 4)[:, 3].max()) / 256
    return max(0.0, depth - 1.0)


def parts_of(pieces: Labels) -> dict[int, Region]:
    """The part behind each label of a map."""
    return {
        label: Region(box[0].start, box[1].start, pieces[box] == label)
        for label, box in enumerate(ndi.find_objects(pieces), 1)
        if box is not None
    }


def paint(parts: dict[int, Region], shape: tuple[int, int]) -> Labels:
    """A label map of parts, (H, W) int32; where two meet, the lower label stays."""
    out = np.zeros(shape, np.int32)
    for label in sorted(parts):
        y, x, mask = parts[label].y, parts[label].x, parts[label].mask
        window = out[y : y + mask.shape[0], x : x + mask.shape[1]]
        window[mask & (window == 0)] = label
    return out


def join(parts: Sequence[Region], reach: float, shape: tuple[int, int]) -> Region:
    """All parts in one window, the gaps between them closed and holes filled.

    At the image border the masks go on outwards, so that a fold which runs out
    of the image is closed up to its edge.
    """
    margin = int(reach) + 2 if reach > 2 else 0
    y0, x0 = min(p.y for p in parts) - margin, min(p.x for p in parts) - margin
    y1 = max(p.y + p.mask.shape[0] for p in parts) + margin
    x1 = max(p.x + p.mask.shape[1] for p in parts) + margin
    out = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for part in parts:
        h, w = part.mask.shape
        out[part.y - y0 : part.y - y0 + h, part.x - x0 : part.x - x0 + w] |= part.mask
    if margin:
        out = _close_gap(out, reach, (y0, x0, y1, x1), shape)
    top, left = max(0, -y0), max(0, -x0)
    inside = out[top : shape[0] - y0, left : shape[1] - x0]
    box = tight_box(inside)
    if box is None:
        return parts[0]
    bx0, by0, bx1, by1 = box
    return Region(max(y0, 0) + by0, max(x0, 0) + bx0, fill_holes(inside[by0:by1, bx0:bx1]))


def _close_gap(
    mask: BoolMask, reach: float, window: tuple[int, int, int, int], shape: tuple[int, int]
) -> BoolMask:
    y0, x0, y1, x1 = window
    top, left = max(0, -y0), max(0, -x0)
    bottom, right = min(y1, shape[0]) - y0, min(x1, shape[1]) - x0
    pads = ((top, mask.shape[0] - bottom), (left, mask.shape[1] - right))
    out = np.pad(mask[top:bottom, left:right], pads, mode="edge")
    closed = cv2.morphologyEx(out.astype(np.uint8), cv2.MORPH_CLOSE, disk(reach / 2 + 1))
    return np.asarray(out | closed.astype(bool))
