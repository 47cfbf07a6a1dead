"""Adipocytes one by one, and bone in whole pieces, as a segmentation network sees them.

Each adipocyte is a hill of the depth that the network gives its pixels: 1 in its middle, 0 at
its membrane, whatever is folded over it or torn out of the membrane. A watershed cuts the fat
between the hills; a hill that is hardly parted from a higher one is a part of it. A piece of
bone is a connected one, with its lacunae.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, BONE, FAT
from annotator.core.objects import BoolMask
from annotator.imaging.appearance import Appearance
from annotator.imaging.hills import hills
from annotator.imaging.masks import drop_small, fill_small_holes, nearest_number, open_mask
from annotator.segmentation.network.architecture import DEPTH, LINE
from annotator.segmentation.region import Labels

# The grid on which adipocytes are told apart: what the network knows is not finer, um per px.
GRID_UM = 1.0
# A hill counts by itself when the pass to a higher one is at most this share of its height: in
# fine images, and in coarse ones, where a membrane is thinner than what the network tells apart.
PASS_FINE, PASS_COARSE = 0.35, 0.55
_FINE_UM, _COARSE_UM = 1.0, 2.0
# Depth from which a pixel lies in an adipocyte, whatever its class.
_DEEP = 0.4
# Depth up to which stain in an adipocyte is its membrane.
_SHALLOW = 0.3
# Share of a white region from which something in it counts; share of an adipocyte that is most.
_SPEAKS, _MOSTLY = 0.1, 0.7
# The smallest adipocyte, and the smallest lumen in bone that is no lacuna, um2.
LEAST_ADIPOCYTE_UM2, LEAST_LUMEN_UM2 = 60.0, 700.0
# Radius of the thinnest piece of bone, um, and area of the smallest, um2.
LEAST_BONE_UM, LEAST_BONE_UM2 = 2.0, 200.0

Plane = NDArray[np.float32]


def adipocytes(appearance: Appearance) -> Labels:
    """Adipocytes as a network's depth and line tell them apart, (H, W) int32, 0 elsewhere.

    Parameters
    ----------
    appearance : Appearance
        With the probabilities of a network that tells the depth.

    Returns
    -------
    (H, W) int32

    References
    ----------
    M. Bai and R. Urtasun, "Deep watershed transform for instance segmentation", CVPR 2017.

    Examples
    --------
    Two hills with a pass of a fifth of their height are two, though no line parts them.

    >>> from annotator.core.objects import Image
    >>> planes = np.zeros((6, 40, 80), np.float32)
    >>> planes[FAT] = 1
    >>> y, x = np.ogrid[:40, :80]
    >>> planes[DEPTH] = np.maximum(0, 1 - np.minimum(abs(x - 20), abs(x - 60)) / 25)
    >>> image = Image.from_pixels(np.full((40, 80, 3), 240, np.uint8), 1.0)
    >>> int(adipocytes(Appearance(image).seen_by("network", planes)).max())
    2
    """
    planes, named = appearance.probabilities, appearance.network_classes
    assert planes is not None and named is not None
    um = appearance.working_um_per_px
    # What floats in an adipocyte belongs to it.
    fat = (named == FAT) | (planes[DEPTH] > _DEEP)
    fat = fill_small_holes(fat, LEAST_LUMEN_UM2 / um**2)
    if not fat.any():
        return np.zeros(fat.shape, np.int32)
    height, width = fat.shape
    factor = max(1, round(GRID_UM / um))
    size = (max(1, width // factor), max(1, height // factor))

    def shrunk(plane: NDArray[Any]) -> Plane:
        resized = cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        return np.asarray(resized, np.float32)

    small = shrunk(fat) >= 0.5
    hill = shrunk(planes[DEPTH]) * (1 - shrunk(planes[LINE]))
    found = _hills(np.asarray(hill, np.float32), small, pass_share(um))
    least = max(6.0, LEAST_ADIPOCYTE_UM2 / (um * factor) ** 2)
    found[np.bincount(found.ravel())[found] < least] = 0
    # Up to the membrane: stain is its own where the depth is low.
    shallow = planes[DEPTH] < _SHALLOW
    membrane = shallow & (appearance.smooth_whiteness > appearance.white_reference.threshold)
    return _on_grid_of(found, fat & ~membrane, 2 * factor)


def pass_share(um_per_px: float) -> float:
    """Share of a hill's height that a pass may have and still part it from a higher one.

    Examples
    --------
    >>> [round(pass_share(um), 2) for um in (0.25, 1.0, 1.41, 2.0, 5.0)]
    [0.35, 0.35, 0.45, 0.55, 0.55]
    """
    steps = np.log2([_FINE_UM, _COARSE_UM])
    return float(np.interp(np.log2(um_per_px), steps, (PASS_FINE, PASS_COARSE)))


def _hills(hill: Plane, mask: BoolMask, share: float) -> Labels:
    """Watershed of the hills of a plane in 0..1, (h, w) int32, 0 outside the mask."""
    smooth = np.asarray(cv2.GaussianBlur(hill, (0, 0), 1.0), np.float32)
    smooth[~mask] = 0
    return hills(smooth, mask, share)


def _on_grid_of(small: Labels, mask: BoolMask, reach: float) -> Labels:
    """Labels of a coarser grid on the grid of a mask: to its edge, and no further."""
    height, width = mask.shape
    large = cv2.resize(
        small.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST
    ).astype(np.int32)
    large[~mask] = 0
    if not large.any():
        return large
    far, whose = nearest_number(large)
    return np.where(mask & (far <= reach), whose, 0).astype(np.int32)


def completed(fat: Labels, white: Labels, named: NDArray[np.uint8]) -> Labels:
    """Adipocytes with the white that colour shows to be theirs: what lies beyond a fold.

    Parameters
    ----------
    fat : (H, W) int32
        Adipocytes as a network sees them.
    white : (H, W) int32
        White regions as colour shows them.
    named : (H, W) uint8
        Most probable class of each pixel.

    Returns
    -------
    (H, W) int32
        An adipocyte has grown by the white region that it mostly lies in, where no other one
        lies in it to speak of and the network calls hardly any of it background.

    Examples
    --------
    >>> fat = np.array([[1, 1, 1, 0, 0, 0, 2, 2, 0]], np.int32)
    >>> white = np.array([[1, 1, 1, 1, 1, 0, 2, 2, 2]], np.int32)
    >>> named = np.array([[1, 1, 1, 2, 2, 2, 1, 1, 0]], np.uint8)
    >>> completed(fat, white, named).tolist()
    [[1, 1, 1, 1, 1, 0, 2, 2, 0]]
    """
    regions, adipocyte_count = int(white.max(initial=0)) + 1, int(fat.max(initial=0)) + 1
    both = (white > 0) & (fat > 0)
    if not both.any():
        return fat
    joint = white[both].astype(np.int64) * adipocyte_count + fat[both]
    codes, shared = np.unique(joint, return_counts=True)
    pairs = np.stack(np.divmod(codes, adipocyte_count))
    areas = np.bincount(white.ravel(), minlength=regions)
    own = np.bincount(fat.ravel(), minlength=adipocyte_count)
    counts = np.bincount(pairs[0][shared >= _SPEAKS * areas[pairs[0]]], minlength=regions)
    ground = np.bincount(white[named == BG], minlength=regions)
    mostly_in = (shared >= _MOSTLY * own[pairs[1]]) & (shared >= _SPEAKS * areas[pairs[0]])
    fits = mostly_in & (counts[pairs[0]] == 1) & (ground <= _SPEAKS * areas)[pairs[0]]
    whose = np.zeros(regions, np.int32)
    whose[pairs[0][fits]] = pairs[1][fits]
    return np.where(fat > 0, fat, whose[white]).astype(np.int32)


def bone_pieces(appearance: Appearance) -> Labels:
    """Connected pieces of bone with their lacunae, (H, W) int32, 0 elsewhere.

    Parameters
    ----------
    appearance : Appearance
        With the probabilities of a network.

    Examples
    --------
    >>> from annotator.core.objects import Image
    >>> planes = np.zeros((6, 40, 80), np.float32)
    >>> planes[BONE] = 1
    >>> planes[:, 18:21, 10:14] = planes[:, 18:21, 10:14][[3, 1, 2, 0, 4, 5]]
    >>> image = Image.from_pixels(np.full((40, 80, 3), 240, np.uint8), 1.0)
    >>> int(bone_pieces(Appearance(image).seen_by("network", planes)).min())
    1
    """
    um = appearance.working_um_per_px
    named = appearance.network_classes
    assert named is not None
    whole = fill_small_holes(named == BONE, LEAST_LUMEN_UM2 / um**2)
    kept = drop_small(open_mask(whole, LEAST_BONE_UM / um), LEAST_BONE_UM2 / um**2)
    _, labels = cv2.connectedComponents(kept.astype(np.uint8), connectivity=4)
    return np.asarray(labels, np.int32)
