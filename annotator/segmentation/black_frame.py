"""Black that is no tissue: bars beside the picture, the edge of an eyepiece, a black picture.

No stain is as black as no light. What is black and reaches the border of the image was never
looked at, and gets no class.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import UNLABELLED
from annotator.core.label_maps import LabelMaps, fit_instances
from annotator.core.objects import BoolMask

# Brightest value of black in any channel: compression leaves some noise. Share of the image that
# a black piece has at the least.
_BLACK, _LEAST = 16, 0.002


def black_frame(pixels: NDArray[np.uint8]) -> BoolMask:
    """Black that reaches the border of an image, (H, W) bool.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.

    Examples
    --------
    >>> pixels = np.full((100, 100, 3), 200, np.uint8)
    >>> pixels[:10] = pixels[50:60, 50:60] = 0
    >>> black_frame(pixels)[[5, 55], 55].tolist()
    [True, False]
    """
    # Plane by plane: the largest over an axis of three takes twenty times as long.
    brightest = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    black = (brightest <= _BLACK).astype(np.uint8)
    mask = np.zeros(black.shape, np.bool_)
    if not black.any():
        return mask
    count, labels, stats, _ = cv2.connectedComponentsWithStats(black, connectivity=4)
    height, width = black.shape
    for label in range(1, count):
        x, y, w, h, area = stats[label].tolist()
        at_border = x == 0 or y == 0 or x + w == width or y + h == height
        if at_border and area >= _LEAST * black.size:
            mask |= labels == label
    return mask


def leave_open(label_maps: LabelMaps, black: BoolMask) -> LabelMaps:
    """Label maps in which black has no class.

    Parameters
    ----------
    label_maps : LabelMaps
    black : (H, W) bool

    Returns
    -------
    LabelMaps
    """
    if not black.any():
        return label_maps
    classes = np.where(black, np.uint8(UNLABELLED), label_maps.classes).astype(np.uint8)
    return replace(
        label_maps, classes=classes, instances=fit_instances(classes, label_maps.instances)
    )
