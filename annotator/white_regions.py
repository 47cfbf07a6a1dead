"""White regions: adipocytes one by one, and the slide, tears and lumens between.

A white component is cut at its necks (watershed of the distance transform), and
a cut is undone where the two sides together are as convex as one adipocyte.
Adipocytes that a fold or debris cuts in two are joined by the same test.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from annotator.objects import BoolMask, fill_holes, tight_box

Labels = NDArray[np.int32]

# Deepest notch over the smaller part's radius, and loss of solidity against the
# larger part, up to which two pieces are one adipocyte.
_NOTCH = 0.16
_SOLIDITY_LOSS = 0.015


@dataclass(frozen=True, slots=True)
class Part:
    """A mask and the corner of its window in the image."""

    y: int
    x: int
    mask: BoolMask


@dataclass(frozen=True, slots=True)
class WhiteSizes:
    """Lengths of the white regions, in pixels of the image at hand."""

    blur: float
    gap_area: float
    opening: float
    fold: float
    hole_area: float


def white_sizes(um_per_px: float) -> WhiteSizes:
    """Sizes for a scale: gaps below 60 um2 belong to the tissue, folds are under 4 um wide."""
    return WhiteSizes(
        blur=0.25 / um_per_px,
        gap_area=max(12.0, 60.0 / um_per_px**2),
        opening=max(0.0, 1.2 / um_per_px),
        fold=max(1.5, 3.0 / um_per_px),
        hole_area=1200.0 / um_per_px**2,
    )


def white_regions(white: BoolMask, sizes: WhiteSizes) -> Labels:
    """Cut a white mask into regions, (H, W) int32, 0 where there is none.

    Parameters
    ----------
    white : (H, W) bool
    sizes : WhiteSizes
    """
    solid = _fill_small_holes(white, sizes.hole_area)
    core = open_mask(solid, sizes.opening)
    core = drop_small(core, sizes.gap_area)
    pieces = _split_at_necks(core)
    pieces = _merge(pieces, reach=1.5)
    pieces = _merge(pieces, reach=sizes.fold)
    return _fill_dents(_grow_back(pieces, solid, sizes.opening))


def _disk(radius: float) -> NDArray[np.uint8]:
    size = int(radius)
    y, x = np.ogrid[-size : size + 1, -size : size + 1]
    disk: NDArray[np.uint8] = (x * x + y * y <= radius * radius + 0.5).astype(np.uint8)
    return disk


def open_mask(mask: BoolMask, radius: float) -> BoolMask:
    """Remove what is narrower than a disk; the image border does not count as an edge."""
    if radius < 1:
        return mask
    opened = cv2.morphologyEx(
        mask.astype(np.uint8), cv2.MORPH_OPEN, _disk(radius), borderType=cv2.BORDER_REPLICATE
    )
    return opened.astype(bool)


def drop_small(mask: BoolMask, area: float) -> BoolMask:
    """Remove the components smaller than `area` px."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= area
    keep[0] = False
    result: BoolMask = keep[labels]
    return result


def _fill_small_holes(white: BoolMask, area: float) -> BoolMask:
    """Debris, cells and folds that float in white, up to an area, become white."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        (~white).astype(np.uint8), connectivity=8
    )
    fill = stats[:, cv2.CC_STAT_AREA] <= area
    fill[0] = False
    height, width = white.shape
    x0, y0 = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    inside = (x0 > 0) & (y0 > 0)
    inside &= x0 + stats[:, cv2.CC_STAT_WIDTH] < width
    inside &= y0 + stats[:, cv2.CC_STAT_HEIGHT] < height
    result: BoolMask = white | (fill & inside)[labels]
    return result


def _split_at_necks(mask: BoolMask) -> Labels:
    """Watershed of the distance transform from all its maxima: one piece a bulge."""
    from skimage.morphology import reconstruction
    from skimage.segmentation import watershed

    padded = np.pad(mask, 1, mode="edge").astype(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    distance = cv2.GaussianBlur(distance, (0, 0), 1.0)
    # A bulge counts on its own when the neck to a wider one is under 0.9 of its radius.
    floor = reconstruction(distance * np.float32(0.9), distance, method="dilation")
    peaks, _ = ndi.label((distance > floor + 1e-4) & mask)
    pieces: Labels = watershed(-distance, peaks, mask=mask).astype(np.int32)
    return pieces


def _merge(pieces: Labels, reach: float) -> Labels:
    """Join neighbours within `reach` px whose union is as convex as one adipocyte.

    The best pairs of a round are joined first and each piece once a round, so the
    order of the labels does not matter.
    """
    shape = (pieces.shape[0], pieces.shape[1])
    parts = _parts(pieces)
    pairs = _neighbours(pieces, reach)
    refused: set[tuple[int, int]] = set()
    while True:
        ranked = []
        for a, b in pairs - refused:
            union = join(parts[a], parts[b], reach, shape)
            misfit = _misfit(parts[a], parts[b], union)
            if misfit < 1:
                ranked.append((misfit, a, b, union))
            else:
                refused.add((a, b))
        if not ranked:
            return _paint(parts, shape)
        pairs = _join_best(sorted(ranked, key=lambda r: r[:3]), parts, pairs, refused)


def _join_best(
    ranked: list[tuple[float, int, int, Part]],
    parts: dict[int, Part],
    pairs: set[tuple[int, int]],
    refused: set[tuple[int, int]],
) -> set[tuple[int, int]]:
    """Join each piece at most once, and return the pairs under their new names."""
    name: dict[int, int] = {}
    used: set[int] = set()
    for _, a, b, union in ranked:
        if a not in used and b not in used:
            used |= {a, b}
            parts[a] = union
            del parts[b]
            name[b] = a
    for pair in [p for p in refused if used & set(p)]:
        refused.discard(pair)
    renamed = ((name.get(a, a), name.get(b, b)) for a, b in pairs)
    return {(min(a, b), max(a, b)) for a, b in renamed if a != b}


def _parts(pieces: Labels) -> dict[int, Part]:
    return {
        label: Part(box[0].start, box[1].start, pieces[box] == label)
        for label, box in enumerate(ndi.find_objects(pieces), 1)
        if box is not None
    }


def _paint(parts: dict[int, Part], shape: tuple[int, int]) -> Labels:
    out = np.zeros(shape, np.int32)
    for label in sorted(parts):
        y, x, mask = parts[label].y, parts[label].x, parts[label].mask
        window = out[y : y + mask.shape[0], x : x + mask.shape[1]]
        window[mask & (window == 0)] = label
    return out


def _neighbours(pieces: Labels, reach: float) -> set[tuple[int, int]]:
    """Pairs of labels within `reach` px of each other."""
    if reach > 2:
        distance, (iy, ix) = ndi.distance_transform_edt(pieces == 0, return_indices=True)
        pieces = np.where(distance <= reach / 2 + 0.5, pieces[iy, ix], 0)
    pairs = []
    for first, second in ((pieces[:, :-1], pieces[:, 1:]), (pieces[:-1], pieces[1:])):
        touch = (first != second) & (first > 0) & (second > 0)
        pairs.append(np.stack([first[touch], second[touch]], axis=1))
    both = np.sort(np.concatenate(pairs), axis=1)
    return {(int(a), int(b)) for a, b in np.unique(both, axis=0)}


def join(a: Part, b: Part, reach: float, shape: tuple[int, int]) -> Part:
    """Both parts in one window, the gap between them closed and holes filled.

    At the image border the masks go on outwards, so that a fold which runs out
    of the image is closed up to its edge.
    """
    margin = int(reach) + 2 if reach > 2 else 0
    y0, x0 = min(a.y, b.y) - margin, min(a.x, b.x) - margin
    y1 = max(a.y + a.mask.shape[0], b.y + b.mask.shape[0]) + margin
    x1 = max(a.x + a.mask.shape[1], b.x + b.mask.shape[1]) + margin
    out = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for part in (a, b):
        h, w = part.mask.shape
        out[part.y - y0 : part.y - y0 + h, part.x - x0 : part.x - x0 + w] |= part.mask
    if margin:
        out = _close_gap(out, reach, (y0, x0, y1, x1), shape)
    top, left = max(0, -y0), max(0, -x0)
    inside = out[top : shape[0] - y0, left : shape[1] - x0]
    box = tight_box(inside)
    if box is None:
        return a
    bx0, by0, bx1, by1 = box
    return Part(max(y0, 0) + by0, max(x0, 0) + bx0, fill_holes(inside[by0:by1, bx0:bx1]))


def _close_gap(
    mask: BoolMask, reach: float, window: tuple[int, int, int, int], shape: tuple[int, int]
) -> BoolMask:
    y0, x0, y1, x1 = window
    top, left = max(0, -y0), max(0, -x0)
    bottom, right = min(y1, shape[0]) - y0, min(x1, shape[1]) - x0
    pads = ((top, mask.shape[0] - bottom), (left, mask.shape[1] - right))
    out = np.pad(mask[top:bottom, left:right], pads, mode="edge")
    closed = cv2.morphologyEx(out.astype(np.uint8), cv2.MORPH_CLOSE, _disk(reach / 2 + 1))
    return np.asarray(out | closed.astype(bool))


def _misfit(a: Part, b: Part, union: Part) -> float:
    """Below 1 when two parts are better seen as one.

    Either the deepest notch of the union is shallow beside the smaller part's
    radius, or the union is about as solid as the larger part alone: a bump or a
    sliver that debris cut off.
    """
    small = min(_radius(a.mask), _radius(b.mask))
    large = a if np.count_nonzero(a.mask) >= np.count_nonzero(b.mask) else b
    depth = notch_depth(union.mask) / max(small, 1.0) / _NOTCH
    loss = max(0.0, solidity(large.mask) - solidity(union.mask)) / _SOLIDITY_LOSS
    return min(depth, loss)


def notch_depth(mask: BoolMask) -> float:
    """Depth of the deepest notch of an outline below its convex hull, px."""
    contour = _outline(mask)
    if len(contour) < 4:
        return 0.0
    hull = cv2.convexHull(contour, returnPoints=False)
    hull[::-1].sort(axis=0)
    defects = cv2.convexityDefects(contour, hull)
    depth = 0.0 if defects is None else float(defects.reshape(-1, 4)[:, 3].max()) / 256
    return max(0.0, depth - 1.0)


def solidity(mask: BoolMask) -> float:
    """Area over the area of the convex hull, 0..1; the hull is that of the pixels' corners."""
    ys, xs = np.nonzero(mask ^ ndi.binary_erosion(mask))
    corners = np.concatenate([np.stack([xs + i, ys + j], axis=1) for i in (0, 1) for j in (0, 1)])
    hull = cv2.convexHull(corners.astype(np.int32))
    return float(np.count_nonzero(mask)) / max(cv2.contourArea(hull), 1.0)


def _outline(mask: BoolMask) -> NDArray[np.int32]:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    longest = max(contours, key=len)
    return np.asarray(cv2.approxPolyDP(longest, 0.7, True), np.int32)


def _radius(mask: BoolMask) -> float:
    padded = np.pad(mask, 1).astype(np.uint8)
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max())


def _fill_dents(pieces: Labels) -> Labels:
    """Close dents of nearly convex regions: debris that lies against the membrane.

    The closing's radius is a third of the region's own; pixels of other regions
    are never taken.
    """
    out = pieces.copy()
    for label, part in _parts(pieces).items():
        radius = _radius(part.mask)
        if radius < 4 or solidity(part.mask) < 0.8:
            continue
        reach = radius / 3
        pad = int(reach) + 2
        grown = (
            cv2.distanceTransform(
                np.pad(~part.mask, pad, constant_values=True).astype(np.uint8), cv2.DIST_L2, 5
            )
            <= reach
        )
        closed = (
            cv2.distanceTransform(np.pad(grown, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)[
                1:-1, 1:-1
            ]
            > reach
        )
        y0, x0 = part.y - pad, part.x - pad
        top, left = max(0, -y0), max(0, -x0)
        window = out[max(0, y0) : y0 + closed.shape[0], max(0, x0) : x0 + closed.shape[1]]
        new = closed[top : top + window.shape[0], left : left + window.shape[1]]
        window[new & (window == 0)] = label
    return out


def _grow_back(pieces: Labels, solid: BoolMask, radius: float) -> Labels:
    """Give the pixels that opening took away back to the nearest piece."""
    if radius < 1:
        return pieces
    distance, (iy, ix) = ndi.distance_transform_edt(pieces == 0, return_indices=True)
    near = solid & (distance <= radius + 1)
    return np.where(near, pieces[iy, ix], 0).astype(np.int32)
