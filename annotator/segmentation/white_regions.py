"""White regions: adipocytes one by one, and the slide, tears and lumens between.

A white component is cut at its necks (watershed of the distance transform), and
a cut is undone where the two sides together are as convex as one adipocyte.
Adipocytes that a fold or debris cuts in two are joined by the same test, and
lumens filled with pale stain are outlined by what they lack: texture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask
from annotator.imaging.hills import hills
from annotator.imaging.masks import disk, drop_small, fill_small_holes, grown, open_mask
from annotator.imaging.white import blurred
from annotator.segmentation.region import Labels, Region, regions_of
from annotator.segmentation.white_merge import merge, merge_whole

Plane = NDArray[np.float32]

# Smoothed distance from white up to which a lumen may be filled, and how uneven it may be.
_PALE, _PALE_BUSY = 30.0, 3.0


@dataclass(frozen=True, slots=True)
class WhiteSizes:
    """Lengths and areas by which white is cut, in pixels of the image at hand.

    Parameters
    ----------
    gap_area, hole_area : float
        Smaller pieces of white are gaps in the tissue; smaller pieces of stain in white are
        debris, px.
    opening : float
        Radius of the disk that has to fit into white, px.
    fold : float
        Widest fold that may cut an adipocyte in two, px.
    line, line_contrast : float
        Widest membrane, px, and by how much it stands out from white at least, CIELAB.
    adipocyte : float
        Radius of the largest adipocyte, px.
    pale_blur : float
        Sigma of the smoothing that tells calm pale stain from texture, px.
    """

    gap_area: float
    opening: float
    fold: float
    line: float
    line_contrast: float
    adipocyte: float
    pale_blur: float
    hole_area: float


def white_sizes(um_per_px: float) -> WhiteSizes:
    """Sizes for a scale: gaps below 60 um2 belong to the tissue, folds are under 4 um wide.

    Examples
    --------
    >>> sizes = white_sizes(0.5)
    >>> sizes.adipocyte, sizes.gap_area, sizes.fold
    (110.0, 240.0, 6.0)
    """
    return WhiteSizes(
        gap_area=max(12.0, 60.0 / um_per_px**2),
        opening=max(0.0, 1.2 / um_per_px),
        fold=max(1.5, 3.0 / um_per_px),
        line=2.0 / um_per_px,
        # Averaging a membrane over coarser pixels dilutes it.
        line_contrast=7.0 * min(1.0, max(0.4, 1.0 / um_per_px)),
        adipocyte=55.0 / um_per_px,
        pale_blur=max(0.7, 1.2 / um_per_px),
        hole_area=700.0 / um_per_px**2,
    )


def white_regions(distance: Plane, threshold: float, sizes: WhiteSizes) -> Labels:
    """Cut the white of an image into regions, (H, W) int32, 0 where there is none.

    Parameters
    ----------
    distance : (H, W) float32
        Distance from white, see :func:`annotator.imaging.white.whiteness`.
    threshold : float
        Largest distance that counts as white.
    sizes : WhiteSizes

    Returns
    -------
    (H, W) int32

    References
    ----------
    F. Meyer, "Topographic distance and watershed lines", Signal Process. 38, 1994.

    Examples
    --------
    Two disks with a membrane between them are two regions.

    >>> y, x = np.ogrid[:60, :120]
    >>> disks = np.minimum(np.hypot(y - 30, x - 32), np.hypot(y - 30, x - 88)) < 26
    >>> distance = np.where(disks, 0, 40).astype(np.float32)
    >>> len(np.unique(white_regions(distance, 10.0, white_sizes(1.0)))) - 1
    2
    """
    # Cut too much first: at each membrane that can be seen, and at every neck.
    solid = white_without_membranes(distance, threshold, sizes)
    pieces = _split_at_necks(_core(solid, sizes))

    # Undo the cuts that part one adipocyte: those of the watershed, whose sides touch; then
    # folds, across which there is a gap.
    for reach in (1.5, sizes.fold) if sizes.fold > 2 else (1.5,):
        pieces = merge_whole(pieces, distance, reach, sizes.adipocyte)
        pieces = merge(pieces, distance, reach, sizes.adipocyte)

    # Give back what opening took, close dents, and add what is pale but not white.
    regions = _fill_dents(_grow_back(pieces, solid, sizes.opening), sizes.adipocyte)
    return _add_stained_lumens(regions, distance, sizes)


def white_without_membranes(distance: Plane, threshold: float, sizes: WhiteSizes) -> BoolMask:
    """White and what floats in it, without the membranes that cross it, (H, W) bool.

    Parameters
    ----------
    distance : (H, W) float32
        Distance from white, see :func:`annotator.imaging.white.whiteness`.
    threshold : float
        Largest distance that counts as white.
    sizes : WhiteSizes

    Returns
    -------
    (H, W) bool

    Examples
    --------
    A membrane of one pixel, too pale to be stain by the threshold, parts white.

    >>> distance = np.zeros((30, 30), np.float32)
    >>> distance[:, 15] = 9.0
    >>> white = white_without_membranes(distance, 10.0, white_sizes(1.0))
    >>> white[5, [5, 15, 25]].tolist()
    [True, False, True]
    """
    white = (distance <= threshold) & ~_thin_lines(distance, sizes)
    return fill_small_holes(white, sizes.hole_area)


def _core(solid: BoolMask, sizes: WhiteSizes) -> BoolMask:
    return drop_small(open_mask(solid, sizes.opening), sizes.gap_area)


def _thin_lines(distance: Plane, sizes: WhiteSizes) -> BoolMask:
    """Thin lines that stand out from the white: membranes too fine or faint to be stained.

    The white top-hat of the distance shows them; the limit lies well above the
    noise of the white itself, which the median of the absolute deviation tells.
    """
    kernel = disk(max(1.5, sizes.line))
    hat = distance - cv2.morphologyEx(distance, cv2.MORPH_OPEN, kernel)
    white = hat[distance <= 8.0]
    if not white.size:
        return np.zeros(distance.shape, np.bool_)
    noise = float(np.median(np.abs(white - np.median(white)))) * 1.4826
    return np.asarray(hat > max(sizes.line_contrast, float(np.median(white)) + 6 * noise))


def _split_at_necks(mask: BoolMask) -> Labels:
    """Watershed of the distance transform from all its maxima: one piece a bulge."""
    # The image's edge is no edge of the white: it goes on outside.
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    sharp = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    distance = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 1.0), np.float32)
    # A bulge counts on its own when the neck to a wider one is under 0.9 of its radius.
    return hills(distance, mask, 0.9)


def _fill_dents(pieces: Labels, largest: float) -> Labels:
    """Close dents of nearly convex regions: debris that lies against the membrane.

    The closing's radius is a third of the region's own; pixels of other regions
    are never taken.
    """
    out = pieces.copy()
    for label, region in regions_of(pieces).items():
        if not 4 <= region.radius <= largest or region.solidity < 0.8:
            continue
        # Closing by a disk, as two thresholds of distance transforms: one kernel of that
        # size would cost its area for each pixel.
        reach = region.radius / 3
        pad = int(reach) + 2
        beside = cv2.copyMakeBorder(
            (~region.mask).view(np.uint8), pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=1
        )
        wide = (cv2.distanceTransform(beside, cv2.DIST_L2, 5) <= reach).view(np.uint8)
        edged = cv2.copyMakeBorder(wide, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        closed = cv2.distanceTransform(edged, cv2.DIST_L2, 5)[1:-1, 1:-1] > reach
        # Only what lies in the image, and only pixels that belong to nobody.
        y0, x0 = region.y - pad, region.x - pad
        top, left = max(0, -y0), max(0, -x0)
        window = out[max(0, y0) : y0 + closed.shape[0], max(0, x0) : x0 + closed.shape[1]]
        new = closed[top : top + window.shape[0], left : left + window.shape[1]]
        window[new & (window == 0)] = label
    return out


def _grow_back(pieces: Labels, solid: BoolMask, radius: float) -> Labels:
    """Give the pixels that opening took away back to the nearest piece."""
    if radius < 1:
        return pieces
    # A pixel more than the radius covers the corners of the disk.
    return np.where(solid, grown(pieces, radius + 1), 0)


def _add_stained_lumens(regions: Labels, distance: Plane, sizes: WhiteSizes) -> Labels:
    """Adipocytes whose lumen is filled with pale stain: calm, pale, round, rimmed.

    Paler than tissue and without its texture, such a lumen shows as a component of
    the pale and calm pixels. It replaces the shreds of white that were found in it.
    """
    calm = blurred(distance, sizes.pale_blur)
    # Where a membrane is too thick to be smoothed away, it rims the component.
    # Texture is what is left of the distance when its smooth part is taken off.
    busy = blurred(np.abs(distance - calm), sizes.pale_blur)
    pale = (calm <= _PALE) & (busy <= _PALE_BUSY)
    core = open_mask(fill_small_holes(pale, sizes.hole_area), 2 * sizes.opening)
    large = drop_small(core, 4 * sizes.gap_area)
    _, labels = cv2.connectedComponents(large.view(np.uint8), connectivity=4)
    out = regions.copy()
    for label, lumen in regions_of(np.asarray(labels, np.int32)).items():
        height, width = lumen.mask.shape
        window = np.s_[lumen.y : lumen.y + height, lumen.x : lumen.x + width]
        inside = out[window][lumen.mask]
        largest = np.bincount(inside[inside > 0]).max(initial=0)
        # A lumen that is white already, at least in one piece, has its outline.
        if largest > 0.5 * lumen.area or not _like_adipocyte(lumen, sizes):
            continue
        out[window][lumen.mask] = regions.max() + label
    return _without_shreds(out, regions)


def _like_adipocyte(region: Region, sizes: WhiteSizes) -> bool:
    """Whether a region has the size of an adipocyte and is as solid and as round as one."""
    return (
        sizes.adipocyte / 9 <= region.radius <= sizes.adipocyte
        and region.solidity >= 0.92
        and region.circularity >= 0.7
    )


def _without_shreds(labels: Labels, before: Labels) -> Labels:
    """Drop the regions that lost most of their pixels to another."""
    had = np.bincount(before.ravel(), minlength=int(labels.max()) + 1)
    has = np.bincount(labels.ravel(), minlength=len(had))
    shred = (had > 0) & (has < 0.5 * had)
    shred[0] = False
    return np.where(shred[labels], 0, labels).astype(np.int32)
