"""The cell mask: the stained part of the image minus bone; and the white no object claims."""

from __future__ import annotations

import cv2
import numpy as np

from annotator.core.objects import (
    BoolMask,
    ImageObjects,
    joined_objects,
    objects_from_labels,
)
from annotator.imaging.appearance import Appearance
from annotator.imaging.masks import drop_small, open_mask
from annotator.segmentation.white_regions import white_sizes
from annotator.settings.annotation import CellMaskSettings

# The published notebook's white: all three channels at least this bright.
_BAMBO_WHITE = 170


def cell_mask(stained: BoolMask, bone: BoolMask) -> BoolMask:
    """Stained pixels that are not bone.

    Parameters
    ----------
    stained : (H, W) bool
        See :func:`stained_mask`.
    bone : (H, W) bool

    Returns
    -------
    (H, W) bool

    Examples
    --------
    >>> cell_mask(np.array([[True, True, False]]), np.array([[False, True, True]])).tolist()
    [[True, False, False]]
    """
    return stained & ~bone


def stained_mask(appearance: Appearance, white: BoolMask, settings: CellMaskSettings) -> BoolMask:
    """What is not white.

    With the preset ``adaptive`` small white gaps between the cells belong to the
    mask and its edge is smooth; with ``bambo`` it is the bare threshold.

    Parameters
    ----------
    appearance : Appearance
        Of the image.
    white : (H, W) bool
        Solid white of the image, see :func:`solid_white`.
    settings : CellMaskSettings

    Returns
    -------
    (H, W) bool

    Examples
    --------
    One dark pixel in white: stain by the published threshold, debris in solid white.

    >>> from annotator.core.objects import Image
    >>> pixels = np.array([[[240] * 3, [240, 90, 240], [240] * 3]], np.uint8)
    >>> appearance, white = Appearance(Image.from_pixels(pixels, 0.5)), np.ones((1, 3), bool)
    >>> stained_mask(appearance, white, CellMaskSettings("bambo")).tolist()
    [[False, True, False]]
    """
    if settings.preset == "bambo":
        return np.asarray((appearance.image.pixels < _BAMBO_WHITE).any(axis=2))
    return ~white


def solid_white(appearance: Appearance, settings: CellMaskSettings) -> BoolMask:
    """White without the gaps between cells and without thin clefts.

    Parameters
    ----------
    appearance : Appearance
        Of the image.
    settings : CellMaskSettings
        ``gap_um2``: smaller pieces of white are gaps.

    Returns
    -------
    (H, W) bool

    Examples
    --------
    Of two white squares of 30 um and 3 um in stain, the small one is a gap between cells.

    >>> from annotator.core.objects import Image
    >>> pixels = np.full((60, 90, 3), (190, 90, 160), np.uint8)
    >>> pixels[10:40, 10:40] = pixels[20:23, 70:73] = 240
    >>> white = solid_white(Appearance(Image.from_pixels(pixels, 1.0)), CellMaskSettings())
    >>> bool(white[25, 25]), bool(white[21, 71])
    (True, False)
    """
    um = appearance.working_um_per_px
    sizes = white_sizes(um)

    # Clefts go first: they would link the gaps between cells to one large piece.
    white = appearance.smooth_white
    core = drop_small(open_mask(white, sizes.opening), settings.gap_um2 / um**2)

    # Opening rounds the corners off; what it took within its radius comes back.
    grown = cv2.dilate(
        core.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=int(sizes.opening) or 1
    )
    return np.asarray(grown.astype(bool) & white)


def claim_white(
    appearance: Appearance, objects: ImageObjects, white: BoolMask, settings: CellMaskSettings
) -> ImageObjects:
    """Add an object for each piece of solid white that no object claims.

    Parameters
    ----------
    appearance : Appearance
        Of the image.
    objects : ImageObjects
    white : (H, W) bool
        Solid white of the image, see :func:`solid_white`.
    settings : CellMaskSettings

    Returns
    -------
    ImageObjects
        The same objects, then the new ones, made by ``white``, with ids above all others.

    Examples
    --------
    >>> from annotator.core.objects import Image, objects_from_masks
    >>> appearance = Appearance(Image.from_pixels(np.full((60, 90, 3), 240, np.uint8), 1.0))
    >>> none = objects_from_masks(appearance.image.id, (60, 90), [])
    >>> white = np.zeros((60, 90), bool)
    >>> white[10:40, 10:40] = white[10:40, 50:80] = True
    >>> claim_white(appearance, none, white, CellMaskSettings()).by_source()
    {'white': 2}
    """
    um = appearance.working_um_per_px

    # The rims that objects leave of a piece of white are no objects: open, then drop specks.
    free = white & (objects.coverage() == 0)
    core = drop_small(open_mask(free, white_sizes(um).opening), settings.gap_um2 / um**2)

    # Pieces that meet only at a corner are two.
    _, labels = cv2.connectedComponents(core.astype(np.uint8), connectivity=4)
    new = objects_from_labels(appearance.image.id, np.asarray(labels, np.int32), "white")
    return joined_objects(objects, new) if len(new) else objects
