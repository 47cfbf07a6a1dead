"""The cell mask: the stained part of the image minus bone; and the white no object claims."""

from __future__ import annotations

import cv2
import numpy as np

from annotator.core.objects import (
    BoolMask,
    Image,
    ImageObjects,
    joined_objects,
    objects_from_labels,
)
from annotator.imaging.masks import drop_small, open_mask
from annotator.imaging.scale import working_um_per_px
from annotator.imaging.white import white_mask
from annotator.segmentation.white_regions import white_sizes
from annotator.settings.annotation import CellMaskSettings

# The published notebook's white: all three channels at least this bright.
_BAMBO_WHITE = 170


def cell_mask(stained: BoolMask, bone: BoolMask) -> BoolMask:
    """Stained pixels (:func:`stained_mask`) that are not bone, all (H, W) bool."""
    return stained & ~bone


def stained_mask(image: Image, white: BoolMask, settings: CellMaskSettings) -> BoolMask:
    """What is not white, (H, W) bool.

    With the preset ``adaptive`` small white gaps between the cells belong to the
    mask and its edge is smooth; with ``bambo`` it is the bare threshold.

    Parameters
    ----------
    image : Image
    white : (H, W) bool
        Its solid white, see :func:`solid_white`.
    settings : CellMaskSettings
    """
    if settings.preset == "bambo":
        return np.asarray((image.pixels < _BAMBO_WHITE).any(axis=2))
    return ~white


def solid_white(image: Image, settings: CellMaskSettings) -> BoolMask:
    """White without the gaps between cells and without thin clefts, (H, W) bool."""
    um = working_um_per_px(image)
    sizes = white_sizes(um)
    white = white_mask(image.pixels, sizes.blur)
    core = drop_small(open_mask(white, sizes.opening), settings.gap_um2 / um**2)
    # Opening rounds the corners off; what it took within its radius comes back.
    grown = cv2.dilate(
        core.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=int(sizes.opening) or 1
    )
    return np.asarray(grown.astype(bool) & white)


def claim_white(
    image: Image, objects: ImageObjects, white: BoolMask, settings: CellMaskSettings
) -> ImageObjects:
    """Add an object for each piece of solid white that no object claims.

    Parameters
    ----------
    image : Image
    objects : ImageObjects
    white : (H, W) bool
        The image's solid white, see :func:`solid_white`.
    settings : CellMaskSettings

    Returns
    -------
    ImageObjects
        The same objects, then the new ones, made by ``white``, with ids above all others.
    """
    um = working_um_per_px(image)
    free = white & (objects.coverage() == 0)
    core = drop_small(open_mask(free, white_sizes(um).opening), settings.gap_um2 / um**2)
    _, labels = cv2.connectedComponents(core.astype(np.uint8), connectivity=4)
    new = objects_from_labels(image.id, np.asarray(labels, np.int32), "white")
    return joined_objects(objects, new) if len(new) else objects
