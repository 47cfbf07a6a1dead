"""Which class a pixel has where its object does not settle it: the surer of two witnesses.

The threshold of the white tells stain from white to the pixel, and knows no classes. A
segmentation network knows classes, and rounds corners off. Each is asked how sure it is:

- the threshold by how far the pixel's whiteness lies from it, in thresholds: -1 (pure white)
  to 1 (twice as far from white as the threshold and more);
- the network by its margin, the probability of cell less those of fat and background.

The surer one decides between cell and no cell; which class it is else, says the network.
Bone is as stained as cells are: of bone the threshold knows nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.imaging.appearance import Appearance
from annotator.imaging.masks import nearest_number
from annotator.segmentation.network.architecture import DEPTH

Codes = NDArray[np.uint8]

# Depth in an adipocyte from which stain does not count any more.
_DEEP = 0.4
# How far from an object its class may be corrected towards it, px.
REACH_PX = 8.0


def surer_classes(appearance: Appearance) -> Codes | None:
    """Class of each pixel by the surer of network and threshold; None without a network.

    Parameters
    ----------
    appearance : Appearance

    Returns
    -------
    (H, W) uint8 or None
        0-3; 255 where neither says anything against the object that lies there.

    Examples
    --------
    Stain that the network hesitates to call fat is cell; a white gap it calls cell for sure is.

    >>> from annotator.core.objects import Image
    >>> pixels = np.full((8, 60, 3), 240, np.uint8)
    >>> pixels[:, :30] = 190, 90, 160
    >>> seen = np.zeros((5, 8, 60), np.float32)
    >>> seen[FAT], seen[CELL] = 0.75, 0.25
    >>> seen[FAT, :, 50:], seen[CELL, :, 50:] = 0.0, 1.0
    >>> appearance = Appearance(Image.from_pixels(pixels, 0.5)).seen_by("network", seen)
    >>> surer_classes(appearance)[4, [10, 40, 55]].tolist()
    [2, 1, 255]
    """
    probabilities, named = appearance.probabilities, appearance.network_classes
    if probabilities is None or named is None:
        return None
    threshold = appearance.white_reference.threshold
    stain = np.clip(appearance.smooth_whiteness / np.float32(threshold) - 1, -1, 1)
    if len(probabilities) > DEPTH:
        # Folds and debris float in an adipocyte: deep in it, stain says nothing.
        stain *= np.clip(1 - probabilities[DEPTH] / np.float32(_DEEP), 0, 1)
    margin = probabilities[CELL] - probabilities[BG] - probabilities[FAT]
    surer = np.where(np.abs(margin) > np.abs(stain), margin, stain)
    classes = np.full(named.shape, UNLABELLED, np.uint8)
    is_cell = surer > 0
    classes[is_cell & (named != BONE)] = CELL
    other = ~is_cell & (named != CELL)
    classes[other] = named[other]
    return classes


def corrected(
    classes: Codes, owner: NDArray[np.int32], surer: Codes
) -> tuple[Codes, NDArray[np.int32]]:
    """Painted objects, corrected pixel by pixel.

    Parameters
    ----------
    classes : (H, W) uint8
        Codes as the objects and the cell mask paint them; 255 for none.
    owner : (H, W) int32
        Number of the object that owns a pixel of fat or bone; 0 elsewhere.
    surer : (H, W) uint8
        From :func:`surer_classes`.

    Returns
    -------
    classes : (H, W) uint8
    owner : (H, W) int32
        Fat and bone that came to it belong to the nearest object of their class; where there
        is none within :data:`REACH_PX`, a pixel stays as it was.

    Examples
    --------
    >>> classes = np.array([[1, 1, 1, 2, 2]], np.uint8)
    >>> owner = np.array([[7, 7, 7, 0, 0]], np.int32)
    >>> surer = np.array([[2, 1, 1, 1, 255]], np.uint8)
    >>> corrected(classes, owner, surer)[0].tolist(), corrected(classes, owner, surer)[1].tolist()
    ([[2, 1, 1, 1, 2]], [[0, 7, 7, 7, 0]])
    """
    classes, owner = classes.copy(), owner.copy()
    cell = classes == CELL
    dropped = (surer == CELL) & ((classes == BG) | (classes == FAT))
    classes[dropped], owner[dropped] = CELL, 0
    classes[cell & (surer == BG)] = BG
    for code in (FAT, BONE):
        gained = cell & (surer == code)
        if gained.any() and (owner[classes == code] > 0).any():
            near, whose = nearest_number(np.where(classes == code, owner, 0))
            gained &= near <= REACH_PX
            classes[gained], owner[gained] = code, whose[gained]
    return classes, owner
