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

from annotator.objects import BoolMask, fill_holes

Labels = NDArray[np.int32]


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
    pieces = _merge(pieces, core, reach=1.5)
    pieces = _merge(pieces, core, reach=sizes.fold)
    return _grow_back(pieces, solid, sizes.opening)


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


def _merge(pieces: Labels, core: BoolMask, reach: float) -> Labels:
    """Join neighbours within `reach` px whose union is as convex as one adipocyte."""
    boxes = ndi.find_objects(pieces)
    masks: dict[int, tuple[int, int, BoolMask]] = {
        i: (box[0].start, box[1].start, pieces[box] == i)
        for i, box in enumerate(boxes, 1)
        if box is not None
    }
    parent = np.arange(len(boxes) + 1)
    shape = (pieces.shape[0], pieces.shape[1])
    queue = _neighbours(pieces, reach)
    changed = True
    tried: set[tuple[int, int]] = set()
    while changed:
        changed = False
        best: list[tuple[float, int, int]] = []
        for a, b in queue:
            a, b = int(parent[a]), int(parent[b])
            key = (min(a, b), max(a, b))
            if a == b or key in tried:
                continue
            tried.add(key)
            depth = _notch(masks[a], masks[b], reach, shape)
            if depth < 0.16:
                best.append((depth, *key))
        used: set[int] = set()
        for _, a, b in sorted(best):
            if a in used or b in used:
                tried.discard((a, b))
                continue
            used |= {a, b}
            masks[a] = _union(masks[a], masks.pop(b), reach)
            parent[parent == b] = a
            changed = True
    return _paint(masks, shape)


def _paint(masks: dict[int, tuple[int, int, BoolMask]], shape: tuple[int, int]) -> Labels:
    out = np.zeros(shape, np.int32)
    for label in sorted(masks):
        y, x, mask = masks[label]
        window = out[y : y + mask.shape[0], x : x + mask.shape[1]]
        window[mask & (window == 0)] = label
    return out


def _neighbours(pieces: Labels, reach: float) -> list[tuple[int, int]]:
    """Pairs of labels within `reach` px of each other, sorted."""
    if reach > 2:
        distance, (iy, ix) = ndi.distance_transform_edt(pieces == 0, return_indices=True)
        pieces = np.where(distance <= reach / 2 + 0.5, pieces[iy, ix], 0)
    pairs = []
    for first, second in ((pieces[:, :-1], pieces[:, 1:]), (pieces[:-1], pieces[1:])):
        touch = (first != second) & (first > 0) & (second > 0)
        pairs.append(np.stack([first[touch], second[touch]], axis=1))
    both = np.sort(np.concatenate(pairs), axis=1)
    return [(int(a), int(b)) for a, b in np.unique(both, axis=0)]


def _union(
    a: tuple[int, int, BoolMask], b: tuple[int, int, BoolMask], reach: float
) -> tuple[int, int, BoolMask]:
    """Both masks in one window, the gap between them closed and holes filled."""
    y0, x0 = min(a[0], b[0]), min(a[1], b[1])
    y1 = max(a[0] + a[2].shape[0], b[0] + b[2].shape[0])
    x1 = max(a[1] + a[2].shape[1], b[1] + b[2].shape[1])
    out = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for y, x, mask in (a, b):
        out[y - y0 : y - y0 + mask.shape[0], x - x0 : x - x0 + mask.shape[1]] |= mask
    if reach > 2:
        kernel = _disk(reach / 2 + 1)
        pad = kernel.shape[0]
        big = cv2.morphologyEx(np.pad(out, pad).astype(np.uint8), cv2.MORPH_CLOSE, kernel)
        out = out | big[pad:-pad, pad:-pad].astype(bool)
    return y0, x0, fill_holes(out)


def _notch(
    a: tuple[int, int, BoolMask],
    b: tuple[int, int, BoolMask],
    reach: float,
    shape: tuple[int, int],
) -> float:
    """Depth of the deepest notch of the union, over the smaller part's radius."""
    _, _, mask = _union(a, b, reach)
    radius = min(_radius(a[2]), _radius(b[2]))
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=len)
    if len(contour) < 5:
        return 0.0
    contour = cv2.approxPolyDP(contour, 0.7, True)
    if len(contour) < 4:
        return 0.0
    hull = cv2.convexHull(contour, returnPoints=False)
    hull[::-1].sort(axis=0)
    defects = cv2.convexityDefects(contour, hull)
    depth = 0.0 if defects is None else float(defects.reshape(-1, 4)[:, 3].max()) / 256
    return max(0.0, depth - 1.0) / max(radius, 1.0)


def _radius(mask: BoolMask) -> float:
    padded = np.pad(mask, 1).astype(np.uint8)
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max())


def _grow_back(pieces: Labels, solid: BoolMask, radius: float) -> Labels:
    """Give the pixels that opening took away back to the nearest piece."""
    if radius < 1:
        return pieces
    distance, (iy, ix) = ndi.distance_transform_edt(pieces == 0, return_indices=True)
    near = solid & (distance <= radius + 1)
    return np.where(near, pieces[iy, ix], 0).astype(np.int32)
