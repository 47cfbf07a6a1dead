"""The paper's seven features exactly as published, faults and all.

They are here so that the published work can be run and beaten. Known faults, kept:

- the colour shares are of the pixels that fall in one of the three boxes only, so an
  object whose pixels are mostly in none of them is described by its rarest pixels;
- the standard deviations run over the whole blacked-out canvas, zeros outside the
  mask included: they measure size and brightness, not texture;
- area, border contact and surroundings are missing;
- circularity is multiplied by the white share.

The canvas was BGR; the boxes below are in that order.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.objects import BoolMask, Image, ImageObjects
from features.table import Column

# Inclusive BGR boxes of cv2.inRange.
PINK = ((150, 50, 150), (255, 150, 255))
WHITE = ((200, 200, 200), (255, 255, 255))
PURPLE = ((100, 0, 100), (180, 100, 180))

_BINNED = "Of the pixels in the pink, white or purple box, the share in the {0} box; 0 if none."
_STD = "Standard deviation of {0} over the whole frame with 0 outside the mask."

COLUMNS = (
    Column("bambo_pink_share", "1", "0..1", _BINNED.format("pink")),
    Column("bambo_white_share", "1", "0..1", _BINNED.format("white")),
    Column("bambo_purple_share", "1", "0..1", _BINNED.format("purple")),
    Column(
        "bambo_white_circularity",
        "1",
        "0..",
        "4 pi area / perimeter^2 of the largest contour (cv2 area and length) x white share.",
    ),
    Column("bambo_blue_std", "1", "0..127.5", _STD.format("blue")),
    Column("bambo_green_std", "1", "0..127.5", _STD.format("green")),
    Column("bambo_red_std", "1", "0..127.5", _STD.format("red")),
)


def bambo(image: Image, objects: ImageObjects) -> dict[str, Floats]:
    """Columns of :data:`COLUMNS`.

    Parameters
    ----------
    image : Image
    objects : ImageObjects
        N of the same image, at least one.

    Returns
    -------
    dict of str to (N,) float64

    Examples
    --------
    >>> from annotator.core.objects import objects_from_masks
    >>> image = Image.from_pixels(np.full((4, 4, 3), 230, np.uint8))
    >>> objects = objects_from_masks(image.id, image.shape, [((0, 0), np.ones((4, 2), bool))])
    >>> table = bambo(image, objects)
    >>> table["bambo_white_share"].tolist(), table["bambo_red_std"].tolist()
    ([1.0], [115.0])
    """
    shares, round_white, spread = [], [], []
    for (x0, y0, x1, y1), crop in zip(objects.boxes.tolist(), objects.crops, strict=True):
        bgr = np.ascontiguousarray(image.pixels[y0:y1, x0:x1, ::-1])
        share = binned_shares(bgr, crop)
        shares.append(share)
        round_white.append(largest_circularity(crop) * share[1])
        spread.append(canvas_std(bgr[crop], image.shape[0] * image.shape[1]))
    values = np.column_stack([np.array(shares), np.array(round_white), np.array(spread)])
    return {column.name: values[:, i] for i, column in enumerate(COLUMNS)}


def binned_shares(bgr: NDArray[np.uint8], mask: BoolMask) -> tuple[float, float, float]:
    """Pink, white and purple pixels of a mask as shares of all three together.

    A pixel in two boxes counts twice, as published.

    Parameters
    ----------
    bgr : (h, w, 3) uint8
        Blue first.
    mask : (h, w) bool

    Returns
    -------
    (pink, white, purple) : float
        0..1; all 0 where no pixel lies in a box.

    Examples
    --------
    A pixel in no box leaves the shares of the others as they are.

    >>> row = np.array([[[200, 100, 200], [240, 240, 240], [0, 0, 0]]], np.uint8)
    >>> [float(share) for share in binned_shares(row, np.ones((1, 3), bool))]
    [0.5, 0.5, 0.0]
    """
    counts = [
        np.count_nonzero((cv2.inRange(bgr, np.array(low), np.array(high)) > 0) & mask)
        for low, high in (PINK, WHITE, PURPLE)
    ]
    total = max(sum(counts), 1)
    return counts[0] / total, counts[1] / total, counts[2] / total


def largest_circularity(mask: BoolMask) -> float:
    """4 pi area / perimeter^2 of the contour with the largest area; 0 for a dot or a line.

    Parameters
    ----------
    mask : (h, w) bool
        At least one pixel.

    Examples
    --------
    >>> square = np.ones((11, 11), bool)
    >>> round(largest_circularity(square), 3), largest_circularity(square[:1])
    (0.785, 0.0)
    """
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea)
    length = cv2.arcLength(largest, True)
    return float(4 * np.pi * cv2.contourArea(largest) / length**2) if length else 0.0


def canvas_std(inside: NDArray[np.uint8], pixels: int) -> NDArray[np.float64]:
    """Standard deviation of each channel over a frame that is black outside the mask.

    Parameters
    ----------
    inside : (n, 3) uint8
        Pixels of the mask.
    pixels : int
        Of the whole frame; the rest counts as 0.

    Returns
    -------
    (3,) float64
        Grey levels, 0..127.5.

    Examples
    --------
    An even mask has a spread, since it is not the whole frame.

    >>> canvas_std(np.full((8, 3), 100, np.uint8), 16).tolist()
    [50.0, 50.0, 50.0]
    """
    values = inside.astype(np.float64)
    mean = values.sum(axis=0) / pixels
    variance = (values**2).sum(axis=0) / pixels - mean**2
    spread: NDArray[np.float64] = np.sqrt(np.maximum(variance, 0))
    return spread
