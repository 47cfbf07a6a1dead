"""Parts of a white region: a mask and its window, measured and joined."""

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


@dataclass(frozen=True, eq=False)
class Part:
    """A mask and the corner of its window in the image; measured when asked."""

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
        padded = np.pad(self.mask, 1).astype(np.uint8)
        return float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max())

    @cached_property
    def outline(self) -> NDArray[np.int32]:
        """Corners of the longest outline, (K, 1, 2) int32 x y."""
        as_bytes = self.mask.astype(np.uint8)
        contours, _ = cv2.findContours(as_bytes, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        return np.asarray(cv2.approxPolyDP(max(contours, key=len), 0.7, True), np.int32)

    @cached_property
    def solidity(self) -> float:
        """Area over the area of the convex hull of the pixels' corners, 0..1."""
        xs, ys = self.outline[:, 0, 0], self.outline[:, 0, 1]
        corners = [np.stack([xs + i, ys + j], axis=1) for i in (0, 1) for j in (0, 1)]
        hull = cv2.convexHull(np.concatenate(corners).astype(np.int32))
        return self.area / max(cv2.contourArea(hull), 1.0)

    @cached_property
    def notch(self) -> float:
        """Depth of the deepest notch of the outline below its convex hull, px."""
        return _notch_depth(self.outline)

    @cached_property
    def circularity(self) -> float:
        """4 pi A / P^2, 0..1."""
        perimeter = cv2.arcLength(self.outline, True) + 3.0
        return float(min(1.0, 4 * np.pi * self.area / perimeter**2))


def _notch_depth(contour: NDArray[np.int32]) -> float:
    if len(contour) < 4:
        return 0.0
    hull = cv2.convexHull(contour, returnPoints=False)
    hull[::-1].sort(axis=0)
    defects = cv2.convexityDefects(contour, hull)
    depth = 0.0 if defects is None else float(defects.reshape(-1, 4)[:, 3].max()) / 256
    return max(0.0, depth - 1.0)


def parts_of(pieces: Labels) -> dict[int, Part]:
    """The part behind each label of a map."""
    return {
        label: Part(box[0].start, box[1].start, pieces[box] == label)
        for label, box in enumerate(ndi.find_objects(pieces), 1)
        if box is not None
    }


def paint(parts: dict[int, Part], shape: tuple[int, int]) -> Labels:
    """A label map of parts, (H, W) int32; where two meet, the lower label stays."""
    out = np.zeros(shape, np.int32)
    for label in sorted(parts):
        y, x, mask = parts[label].y, parts[label].x, parts[label].mask
        window = out[y : y + mask.shape[0], x : x + mask.shape[1]]
        window[mask & (window == 0)] = label
    return out


def join(parts: Sequence[Part], reach: float, shape: tuple[int, int]) -> Part:
    """All parts in one window, the gaps between them closed and holes filled.

    At the image border the masks go on outwards, so that a fold which runs out
    of the image is closed up to its edge.
    """
    margin = int(reach) + 2 if reach > 2 else 0
    y0, x0 = min(p.y for p in parts) - margin, min(p.x for p in parts) - margin
    y1 = max(p.y + p.mask.shape[0] for p in parts) + margin
    x1 = max(p.x + p.mask.shape[1] for p in parts) + margin
    out = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for part in parts:
        h, w = part.mask.shape
        out[part.y - y0 : part.y - y0 + h, part.x - x0 : part.x - x0 + w] |= part.mask
    if margin:
        out = _close_gap(out, reach, (y0, x0, y1, x1), shape)
    top, left = max(0, -y0), max(0, -x0)
    inside = out[top : shape[0] - y0, left : shape[1] - x0]
    box = tight_box(inside)
    if box is None:
        return parts[0]
    bx0, by0, bx1, by1 = box
    return Part(max(y0, 0) + by0, max(x0, 0) + bx0, fill_holes(inside[by0:by1, bx0:bx1]))


def _close_gap(
    mask: BoolMask, reach: float, window: tuple[int, int, int, int], shape: tuple[int, int]
) -> BoolMask:
    y0, x0, y1, x1 = window
    top, left = max(0, -y0), max(0, -x0)
    bottom, right = min(y1, shape[0]) - y0, min(x1, shape[1]) - x0
    pads = ((top, mask.shape[0] - bottom), (left, mask.shape[1] - right))
    out = np.pad(mask[top:bottom, left:right], pads, mode="edge")
    closed = cv2.morphologyEx(out.astype(np.uint8), cv2.MORPH_CLOSE, disk(reach / 2 + 1))
    return np.asarray(out | closed.astype(bool))
