"""Masks made simpler: opened, freed of specks, filled. Shared by the makers of regions."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask


def disk(radius: float) -> NDArray[np.uint8]:
    """A filled circle as a structuring element of odd size.

    Parameters
    ----------
    radius : float
        px, 0 or more.

    Returns
    -------
    (S, S) uint8
        0 or 1; S is 2 * int(radius) + 1.

    Examples
    --------
    >>> disk(1.0).tolist()
    [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    """
    size = int(radius)
    y, x = np.ogrid[-size : size + 1, -size : size + 1]
    disk: NDArray[np.uint8] = (x * x + y * y <= radius * radius + 0.5).astype(np.uint8)
    return disk


def open_mask(mask: BoolMask, radius: float) -> BoolMask:
    """Remove what is narrower than a disk; the image border does not count as an edge.

    Parameters
    ----------
    mask : (H, W) bool
    radius : float
        Of the disk, px; under 1 the mask stays as it is.

    Returns
    -------
    (H, W) bool

    Examples
    --------
    A line of one pixel that leaves a wide piece vanishes, but for the pixel at its root.

    >>> mask = np.zeros((3, 7), bool)
    >>> mask[:, :3] = mask[1, 3:] = True
    >>> open_mask(mask, 1.0).astype(int).tolist()
    [[1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0]]
    """
    if radius < 1:
        return mask
    opened = cv2.morphologyEx(
        mask.astype(np.uint8), cv2.MORPH_OPEN, disk(radius), borderType=cv2.BORDER_REPLICATE
    )
    return opened.astype(bool)


def drop_small(mask: BoolMask, area: float) -> BoolMask:
    """Remove the components smaller than an area; pixels that meet at a corner are apart.

    Parameters
    ----------
    mask : (H, W) bool
    area : float
        px.

    Returns
    -------
    (H, W) bool

    Examples
    --------
    >>> drop_small(np.array([[True, True, False, True]]), 2).tolist()
    [[True, True, False, False]]
    """
    # Counting afterwards takes half the time of OpenCV's own statistics.
    _, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    keep = np.bincount(labels.reshape(-1)) >= area
    # Component 0 is all that is not in the mask.
    keep[0] = False
    result: BoolMask = np.take(keep, np.asarray(labels, np.int32), mode="clip")
    return result


def fill_small_holes(white: BoolMask, area: float) -> BoolMask:
    """Debris, cells and folds that float in white, up to an area, become white.

    Parameters
    ----------
    white : (H, W) bool
    area : float
        Largest hole that is filled, px; one at the border of the image is none.

    Returns
    -------
    (H, W) bool

    Examples
    --------
    >>> white = np.ones((3, 4), bool)
    >>> white[1, 1] = white[0, 3] = False
    >>> fill_small_holes(white, 5).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        (~white).astype(np.uint8), connectivity=8
    )
    fill = stats[:, cv2.CC_STAT_AREA] <= area
    fill[0] = False
    height, width = white.shape
    x0, y0 = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    # What touches the border of the image goes on outside, as tissue may.
    inside = (x0 > 0) & (y0 > 0)
    inside &= x0 + stats[:, cv2.CC_STAT_WIDTH] < width
    inside &= y0 + stats[:, cv2.CC_STAT_HEIGHT] < height
    result: BoolMask = white | (fill & inside)[labels]
    return result


def nearest_number(
    numbers: NDArray[np.int32],
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Distance from each pixel to the nearest numbered one, and its number.

    Parameters
    ----------
    numbers : (H, W) int32
        0 where there is none; one pixel at least has a number.

    Returns
    -------
    distance : (H, W) float32
        px, 0 on a numbered pixel.
    number : (H, W) int32

    Examples
    --------
    >>> distance, number = nearest_number(np.array([[7, 0, 0, 0, 9]], np.int32))
    >>> distance.tolist(), number[0, [1, 3]].tolist()
    ([[0.0, 1.0, 2.0, 1.0, 0.0]], [7, 9])
    """
    taken = numbers > 0
    distance, nearest = cv2.distanceTransformWithLabels(
        (~taken).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # OpenCV numbers the taken pixels in its own way; ours are looked up by these.
    number = np.zeros(int(nearest.max()) + 1, np.int32)
    number[nearest[taken]] = numbers[taken]
    return np.asarray(distance, np.float32), np.asarray(number[nearest], np.int32)


def grown(numbers: NDArray[np.int32], reach: float) -> NDArray[np.int32]:
    """Numbered pieces, and around them the number of the nearest piece.

    Parameters
    ----------
    numbers : (H, W) int32
        0 where there is none.
    reach : float
        How far pieces grow, px.

    Returns
    -------
    (H, W) int32

    Examples
    --------
    >>> grown(np.array([[7, 0, 0, 0, 0, 9]], np.int32), 1.0).tolist()
    [[7, 7, 0, 0, 9, 9]]
    """
    taken = (numbers > 0).view(np.uint8)
    out = numbers.copy()
    # A disk tells to the pixel how far a piece reaches; distances by steps are right to 2 %.
    y, x = np.ogrid[-int(reach) : int(reach) + 1, -int(reach) : int(reach) + 1]
    within = (x * x + y * y <= reach * reach).astype(np.uint8)
    near = cv2.dilate(taken, within) > taken
    if not near.any():
        return out
    out[near] = nearest_number(numbers)[1][near]
    return out
