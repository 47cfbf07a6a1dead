"""Where on an image a prompt pays: white and bone-like ground, and where nobody knows.

SAM's masks of nuclei are thrown away by the line, so dense cellular tissue gets no
prompt at all. Points are x and y in pixels, (N, 2) float64, the most promising first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BONE, CELL, CLASS_NAMES, FAT
from annotator.core.objects import BoolMask, ImageObjects
from annotator.imaging.appearance import Appearance
from annotator.imaging.masks import drop_small, open_mask
from annotator.imaging.stains import red_density
from annotator.imaging.white import blurred
from annotator.segmentation.tissue_regions import Stain, calm_tissue, stain_planes
from annotator.segmentation.white_regions import white_sizes, white_without_membranes

Points = NDArray[np.float64]

# Tissue with more of its surroundings than this as dark as nuclei is dense, 0..1.
_DENSE = 0.12
# Nuclei are looked for in surroundings of about this size, um.
_SURROUNDINGS = 8.0
# Stained ground that is narrower than this, or smaller, is cytoplasm between nuclei: um, um2.
_NARROW, _SMALL = 8.0, 1000.0

# A network names a pixel with little confidence below this probability.
_UNSURE = 0.6
# Half the width of the gaps in cellular tissue that are asked for, um.
_GAP = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What an image shows, as far as prompts go; the three do not overlap.

    Parameters
    ----------
    white : (H, W) bool
        Adipocytes, sinusoids, slide: no stain, membranes left out.
    smooth : (H, W) bool
        Stained, with little texture and few nuclei: what bone looks like.
    open : (H, W) bool
        Neither of them, and not dense cellular tissue either.
    """

    white: BoolMask
    smooth: BoolMask
    open: BoolMask


def find_ground(appearance: Appearance) -> Ground:
    """Tell white, bone-like and open ground from dense cellular tissue.

    Where a segmentation network saw the image, bone-like is what it names bone, and open what
    it names with little confidence; else colour and texture tell.
    """
    um, reference = appearance.working_um_per_px, appearance.white_reference
    sizes, image = white_sizes(um), appearance.image
    distance, white = appearance.smooth_whiteness, appearance.smooth_white
    if appearance.network_classes is not None:
        return _seen_ground(appearance)
    stain = stain_planes(appearance.lab, red_density(image.pixels, reference), white, um)
    calm = _wide(calm_tissue(stain), stain.um)
    other = _wide(_without_nuclei(stain) & ~calm, stain.um)
    smooth, other = (_enlarged(mask, image.shape) & ~white for mask in (calm, other))
    return Ground(white_without_membranes(distance, reference.threshold, sizes), smooth, other)


def _seen_ground(appearance: Appearance) -> Ground:
    """Ground as a network names it, white as colour shows it where the network sees no cells."""
    planes, named = appearance.probabilities, appearance.network_classes
    assert planes is not None and named is not None
    um, threshold = appearance.working_um_per_px, appearance.white_reference.threshold
    pale = white_without_membranes(appearance.smooth_whiteness, threshold, white_sizes(um))
    unsure = planes[: len(CLASS_NAMES)].max(axis=0) < _UNSURE
    # A gap in cellular tissue that is wide enough is a sinusoid or a tear.
    gaps = open_mask(pale, _GAP / um)
    white = (pale & ((named != CELL) | unsure)) | ((named == FAT) & ~unsure) | gaps
    smooth = _wide((named == BONE) & ~white, um)
    return Ground(white, smooth, _wide(unsure & ~white & ~smooth, um))


def _wide(mask: BoolMask, um_per_px: float) -> BoolMask:
    """The parts of stained ground that are large enough to be something of their own."""
    opened = open_mask(mask, _NARROW / 2 / um_per_px)
    return drop_small(opened, _SMALL / um_per_px**2)


def _without_nuclei(stain: Stain) -> BoolMask:
    """Stained ground in surroundings with few nuclei, on the grid of the stain."""
    near = blurred(stain.nuclear, _SURROUNDINGS / stain.um)
    return np.asarray((near < _DENSE) & (stain.white < 0.5))


def _enlarged(mask: BoolMask, shape: tuple[int, int]) -> BoolMask:
    size = (shape[1], shape[0])
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)


def deepest_points(mask: BoolMask, least_radius: float) -> tuple[Points, NDArray[np.float64]]:
    """Centres of the largest circles that fit into a mask, the largest first.

    Of two maxima of the distance transform the smaller one goes where it lies inside
    the larger one's circle, or closer to it than half its own radius.

    Parameters
    ----------
    mask : (H, W) bool
        The image's edge is an edge of it, too.
    least_radius : float
        Smallest circle, px.

    Returns
    -------
    points : (N, 2) float64
    radius : (N,) float64
        Of each circle, px.

    Examples
    --------
    >>> mask = np.zeros((20, 40), bool)
    >>> mask[5:16, 5:16] = mask[8:13, 20:37] = True
    >>> points, radius = deepest_points(mask, 2)
    >>> points[0].tolist(), radius[0].round().tolist()
    ([10.0, 10.0], 5.0)
    """
    # Ridges are level but for noise: a little blur leaves the true tops.
    depth = blurred(depth_of(mask), 1.0)
    top = (depth == cv2.dilate(depth, np.ones((5, 5), np.uint8))) & (depth >= least_radius)
    y, x = np.nonzero(top & mask)
    order = np.argsort(-depth[y, x], kind="stable")
    points = np.stack([x, y], axis=1)[order].astype(np.float64)
    radius = depth[y, x][order].astype(np.float64)
    kept = _apart(points, radius)
    return points[kept], radius[kept]


def _apart(points: Points, radius: NDArray[np.float64]) -> NDArray[np.intp]:
    """Positions of the circles whose centre is in the reach of no larger kept one."""
    left = np.ones(len(points), np.bool_)
    kept = []
    for index in range(len(points)):
        if not left[index]:
            continue
        kept.append(index)
        away = np.hypot(*(points - points[index]).T)
        left &= away >= radius[index] + radius / 2
    return np.array(kept, np.intp)


def points_inside(mask: BoolMask, spacing: float, least_radius: float) -> Points:
    """A coarse grid inside a mask: one point a square, where the mask is deepest in it.

    Parameters
    ----------
    mask : (H, W) bool
    spacing : float
        Side of the squares, px.
    least_radius : float
        Squares without a point that deep inside the mask get none, px.

    Examples
    --------
    >>> points_inside(np.ones((40, 80), bool), 40, 5).tolist()
    [[19.0, 19.0], [59.0, 19.0]]
    """
    depth = depth_of(mask)
    y, x = np.nonzero(depth >= least_radius)
    off_y, row = _from_middle(y, mask.shape[0], spacing)
    off_x, column = _from_middle(x, mask.shape[1], spacing)
    # Deep is good up to half a square; from there on the middle is better.
    worth = np.minimum(depth[y, x], spacing / 4) - 0.25 * np.hypot(off_y, off_x)
    square = row * mask.shape[1] + column
    order = np.lexsort((-worth, square))
    best = order[np.unique(square[order], return_index=True)[1]]
    best = best[np.argsort(-depth[y[best], x[best]], kind="stable")]
    return np.stack([x[best], y[best]], axis=1).astype(np.float64)


def depth_of(mask: BoolMask) -> NDArray[np.float32]:
    """Distance of each pixel to the nearest one outside the mask; beyond the image is outside.

    Parameters
    ----------
    mask : (H, W) bool

    Returns
    -------
    (H, W) float32
        Pixels, about Euclidean; 0 outside the mask.

    Examples
    --------
    >>> depth_of(np.array([[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]], bool)).round().tolist()
    [[0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 2.0, 1.0], [0.0, 1.0, 1.0, 1.0]]
    """
    # A frame of background: else OpenCV takes an object at the border for one that goes on.
    padded = np.pad(mask, 1).astype(np.uint8)
    inner = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.ascontiguousarray(inner, np.float32)


def _from_middle(
    at: NDArray[np.intp], length: int, spacing: float
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """How far pixels lie from the middle of their piece of a side, and which piece it is."""
    side = length / max(1, round(length / spacing))
    piece = np.minimum((at / side).astype(np.intp), max(0, math.ceil(length / side) - 1))
    return at - ((piece + 0.5) * side - 1).round(), piece


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Prompts from another maker's regions.

    Parameters
    ----------
    points : (N, 2) float64
        x and y of the deepest point of each.
    boxes : (N, 4) float64
        ``x0 y0 x1 y1``.
    radius : (N,) float64
        Of the largest circle around the point, px.
    """

    points: Points
    boxes: NDArray[np.float64]
    radius: NDArray[np.float64]

    @classmethod
    def none(cls) -> Regions:
        """No region at all."""
        return cls(np.zeros((0, 2)), np.zeros((0, 4)), np.zeros(0))


def region_prompts(
    regions: ImageObjects, box: tuple[int, int, int, int], ground: Ground
) -> Regions:
    """Turn the regions of white or bone-like ground into prompts of a tile.

    Parameters
    ----------
    regions : ImageObjects
        Of the whole image.
    box : (int, int, int, int)
        The tile, half-open ``x0 y0 x1 y1``; a region belongs to it when its deepest
        point does. Points and boxes come in the tile's own pixels.
    ground : Ground
        Of the tile.
    """
    x0, y0, x1, y1 = box
    worth = ground.white | ground.smooth
    found = []
    for (rows, columns), crop in regions:
        y, x, radius = _deepest(crop)
        y, x = y + rows.start - y0, x + columns.start - x0
        if 0 <= y < y1 - y0 and 0 <= x < x1 - x0 and worth[y, x]:
            edges = (columns.start - x0, rows.start - y0, columns.stop - x0, rows.stop - y0)
            found.append(((x, y), np.clip(edges, 0, (x1 - x0, y1 - y0) * 2), radius))
    found.sort(key=lambda item: -item[2])
    points, boxes, radii = zip(*found, strict=True) if found else ((), (), ())
    return Regions(
        np.array(points, np.float64).reshape(-1, 2),
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(radii, np.float64),
    )


def _deepest(crop: BoolMask) -> tuple[int, int, float]:
    """Row and column of the centre of a mask's largest circle, and its radius."""
    depth = depth_of(crop)
    row, column = np.unravel_index(np.argmax(depth), depth.shape)
    return int(row), int(column), float(depth[row, column])
