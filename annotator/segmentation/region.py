"""One region of a label map by itself: a mask and its window, its shape, and its joining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from annotator.core.objects import BoolMask, fill_holes, tight_box
from annotator.imaging.masks import disk

Labels = NDArray[np.int32]

# From a pixel to its four corners, x y.
_CORNERS = np.array([[[0, 0], [0, 1], [1, 0], [1, 1]]], np.int32)


@dataclass(frozen=True, eq=False)
class Region:
    """A mask and the corner of its window in the image; measured when asked.

    Parameters
    ----------
    y, x : int
        Row and column of the window's corner.
    mask : (h, w) bool
        At least one pixel.

    Examples
    --------
    >>> square = Region(3, 5, np.ones((20, 20), bool))
    >>> square.area, round(square.solidity, 2), square.notch
    (400, 1.0, 0.0)
    """

    y: int
    x: int
    mask: BoolMask

    @cached_property
    def area(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def radius(self) -> float:
        """Radius of the largest inscribed circle, px."""
        padded = cv2.copyMakeBorder(self.mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
        # The extreme of an array by OpenCV: numpy takes as long to begin as to look.
        return float(cv2.minMaxLoc(cv2.distanceTransform(padded, cv2.DIST_L2, 3))[1])

    @cached_property
    def outline(self) -> NDArray[np.int32]:
        """Corners of the longest outline, (K, 1, 2) int32 x y."""
        # Steps of single pixels are straightened to 0.7 px: they are no notches.
        as_bytes = self.mask.view(np.uint8)
        contours, _ = cv2.findContours(as_bytes, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        return np.asarray(cv2.approxPolyDP(max(contours, key=len), 0.7, True), np.int32)

    @cached_property
    def solidity(self) -> float:
        """Area over the area of the convex hull of the pixels' corners, 0..1."""
        # Corners, not centres, of the pixels: else a thin region would be more than solid.
        hull = cv2.convexHull((cv2.convexHull(self.outline) + _CORNERS).reshape(-1, 1, 2))
        return self.area / max(cv2.contourArea(hull), 1.0)

    @cached_property
    def notch(self) -> float:
        """Depth of the deepest notch of the outline below its convex hull, px."""
        return _notch_depth(self.outline)

    @cached_property
    def circularity(self) -> float:
        """4 pi A / P^2, 0..1."""
        # The chain runs through centres of pixels; half a pixel further out it is about 3 longer.
        perimeter = cv2.arcLength(self.outline, True) + 3.0
        return float(min(1.0, 4 * np.pi * self.area / perimeter**2))


def _notch_depth(contour: NDArray[np.int32]) -> float:
    """Depth of the deepest notch below the convex hull, px; one pixel is no notch."""
    if len(contour) < 4:
        return 0.0
    # OpenCV wants the hull's positions in one direction, and does not always give them so.
    hull = cv2.convexHull(contour, returnPoints=False)
    hull[::-1].sort(axis=0)
    # Its depths are fixed-point numbers with eight bits behind the point.
    defects = cv2.convexityDefects(contour, hull)
    depth = 0.0 if defects is None else float(defects.reshape(-1, 4)[:, 3].max()) / 256
    return max(0.0, depth - 1.0)


def regions_of(pieces: Labels) -> dict[int, Region]:
    """The region behind each label of a map (H, W) int32, in order of label.

    Examples
    --------
    >>> regions = regions_of(np.array([[0, 1, 1], [2, 0, 1]], np.int32))
    >>> {label: region.area for label, region in regions.items()}
    {1: 3, 2: 1}
    """
    return {
        label: Region(box[0].start, box[1].start, pieces[box] == label)
        for label, box in enumerate(ndi.find_objects(pieces), 1)
        if box is not None
    }


def paint(regions: dict[int, Region], shape: tuple[int, int]) -> Labels:
    """A label map of regions; where two overlap, the lower label stays.

    Parameters
    ----------
    regions : dict of int to Region
        By label, each inside the image.
    shape : (int, int)
        Height and width of the image.

    Returns
    -------
    (H, W) int32
        0 where there is no region.

    Examples
    --------
    >>> wide = np.ones((1, 2), bool)
    >>> paint({1: Region(0, 0, wide), 2: Region(0, 1, wide)}, (1, 4)).tolist()
    [[1, 1, 2, 0]]
    """
    out = np.zeros(shape, np.int32)
    for label in sorted(regions):
        y, x, mask = regions[label].y, regions[label].x, regions[label].mask
        window = out[y : y + mask.shape[0], x : x + mask.shape[1]]
        window[mask & (window == 0)] = label
    return out


def join(regions: Sequence[Region], reach: float, shape: tuple[int, int]) -> Region:
    """All regions in one window, the gaps between them closed and holes filled.

    At the image border the masks go on outwards, so that a fold which runs out
    of the image is closed up to its edge.

    Parameters
    ----------
    regions : sequence of Region
    reach : float
        Widest gap that is closed, px; up to 2 there is none.
    shape : (int, int)
        Height and width of the image.

    Returns
    -------
    Region
        In a tight window that lies in the image.

    Examples
    --------
    >>> left, right = (Region(5, x, np.ones((20, 10), bool)) for x in (5, 18))
    >>> joined = join((left, right), 4.0, (40, 40))
    >>> joined.mask.shape, round(joined.solidity, 1)
    ((20, 23), 1.0)
    """
    # A window around all of them, wide enough for the closing; it may leave the image.
    margin = int(reach) + 2 if reach > 2 else 0
    y0, x0 = min(r.y for r in regions) - margin, min(r.x for r in regions) - margin
    y1 = max(r.y + r.mask.shape[0] for r in regions) + margin
    x1 = max(r.x + r.mask.shape[1] for r in regions) + margin
    out = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for region in regions:
        h, w = region.mask.shape
        out[region.y - y0 : region.y - y0 + h, region.x - x0 : region.x - x0 + w] |= region.mask
    if margin:
        out = _close_gap(out, reach, (y0, x0, y1, x1), shape)

    # Back into the image, and tight again.
    top, left = max(0, -y0), max(0, -x0)
    inside = out[top : shape[0] - y0, left : shape[1] - x0]
    box = tight_box(inside)
    if box is None:
        return regions[0]
    bx0, by0, bx1, by1 = box
    return Region(max(y0, 0) + by0, max(x0, 0) + bx0, fill_holes(inside[by0:by1, bx0:bx1]))


def _close_gap(
    mask: BoolMask, reach: float, window: tuple[int, int, int, int], shape: tuple[int, int]
) -> BoolMask:
    """Morphological closing by half of `reach`; outside the image its edge is repeated."""
    y0, x0, y1, x1 = window
    top, left = max(0, -y0), max(0, -x0)
    bottom, right = min(y1, shape[0]) - y0, min(x1, shape[1]) - x0
    pads = ((top, mask.shape[0] - bottom), (left, mask.shape[1] - right))
    out = np.pad(mask[top:bottom, left:right], pads, mode="edge")
    closed = cv2.morphologyEx(out.astype(np.uint8), cv2.MORPH_CLOSE, disk(reach / 2 + 1))
    return np.asarray(out | closed.astype(bool))
