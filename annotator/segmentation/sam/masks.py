"""What happens to SAM's masks after the network: duplicates and small regions go.

The same steps as in the package's ``SamAutomaticMaskGenerator``, on crops instead of
full frames, and without torch.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask, Image, ImageObjects, objects_from_masks, tight_box

# The package removes small regions' duplicates at the larger of the two NMS
# thresholds, and this is its default for the one between crops, which we don't have.
CROP_NMS_THRESH = 0.7

# Bits of a mask of 256 x 256; deflating them takes a tenth of a millisecond.
LARGE_BYTES = 8192

Box = tuple[int, int, int, int]
Placed = tuple[tuple[int, int], BoolMask]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A mask that passed the filters and still has to stand against the others.

    ``packed`` is the crop as bits, and deflated where it is large: thousands of them
    wait at a time, and a mask of 1200 x 1920 takes some kilobytes instead of 2.3 MB.
    It depends on the size of the box, not on its place: a candidate may be moved.
    """

    box: Box
    packed: bytes
    score: float
    stability: float
    point: tuple[float, float]

    @property
    def crop(self) -> BoolMask:
        """The mask in its box, (H, W) bool, by the height and width of the box."""
        x0, y0, x1, y1 = self.box
        count = (y1 - y0) * (x1 - x0)
        # Whatever has the length of the plain bits is the plain bits.
        whole = len(self.packed) == (count + 7) // 8
        bits = np.frombuffer(self.packed if whole else zlib.decompress(self.packed), np.uint8)
        return np.unpackbits(bits, count=count).view(np.bool_).reshape(y1 - y0, x1 - x0)


def pack(
    mask: BoolMask,
    score: float,
    stability: float,
    point: tuple[float, float],
    corner: tuple[int, int] = (0, 0),
) -> Candidate | None:
    """Make a candidate of a (h, w) mask; None where it is empty.

    Parameters
    ----------
    mask : (h, w) bool
        A window of the image, or all of it.
    score, stability : float
    point : (float, float)
        x and y of its prompt in pixels of the image.
    corner : (int, int)
        y and x of the window in the image.

    Examples
    --------
    >>> mask = pack(np.array([[0, 1, 1], [0, 0, 1]], bool), 0.9, 1.0, (2.0, 0.0), corner=(10, 20))
    >>> mask.box, mask.crop.astype(int).tolist()
    ((21, 10, 23, 12), [[1, 1], [0, 1]])
    """
    box = tight_box(mask)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    packed = _deflated(np.packbits(mask[y0:y1, x0:x1]).tobytes())
    y, x = corner
    return Candidate((x + x0, y + y0, x + x1, y + y1), packed, score, stability, point)


def _deflated(bits: bytes) -> bytes:
    """Large masks deflated, where that saves anything: small ones are not worth the time."""
    if len(bits) < LARGE_BYTES:
        return bits
    return min(bits, zlib.compress(bits, 1), key=len)


def finish(
    image: Image, found: Sequence[Candidate], box_nms_thresh: float, min_area: int
) -> ImageObjects:
    """Drop duplicates and small regions, and make objects of what is left.

    Parameters
    ----------
    image : Image
    found : sequence of Candidate
    box_nms_thresh : float
        IoU of two boxes, 0..1, above which the worse mask goes.
    min_area : int
        Smallest hole or island left, in pixels; 0 leaves all.
    """
    boxes = np.array([c.box for c in found], np.int32).reshape(-1, 4)
    scores = np.array([c.score for c in found], np.float32)
    distinct = [found[i] for i in box_nms(boxes, scores, box_nms_thresh)]
    masks: list[Placed] = [((c.box[1], c.box[0]), c.crop) for c in distinct]
    if min_area > 0:
        masks, left = _without_small(masks, image.shape, min_area, box_nms_thresh)
        distinct = [distinct[i] for i in left]
    scores_left = [c.score for c in distinct]
    stability = [c.stability for c in distinct]
    return objects_from_masks(image.id, image.shape, masks, scores_left, stability, maker="sam")


def _without_small(
    masks: Sequence[Placed], shape: tuple[int, int], min_area: int, box_nms_thresh: float
) -> tuple[list[Placed], list[int]]:
    """Clean each mask, then drop the duplicates that cleaning made.

    Masks that needed no cleaning win over those that did, as in the package.
    """
    cleaned = [clean_mask(corner, mask, shape, min_area) for corner, mask in masks]
    boxes = [(x, y, x + m.shape[1], y + m.shape[0]) for (y, x), m, _ in cleaned]
    same = np.array([not changed for _, _, changed in cleaned], np.float32)
    # Cleaning may have made two masks alike; those that it left as they were score higher.
    left = box_nms(
        np.array(boxes, np.int32).reshape(-1, 4), same, max(box_nms_thresh, CROP_NMS_THRESH)
    ).tolist()
    return [cleaned[i][:2] for i in left], left


def box_nms(
    boxes: NDArray[np.int32], scores: NDArray[np.float32], threshold: float
) -> NDArray[np.intp]:
    """Keep each box that overlaps no better kept one by more than a threshold.

    Parameters
    ----------
    boxes : (N, 4) int32
        Half-open ``x0 y0 x1 y1``. The IoU is taken between the centres of the corner
        pixels (one less in each direction), as SAM's generator does.
    scores : (N,) float32
        The better one stays; of equal ones the one that comes first.
    threshold : float
        IoU, 0..1.

    Returns
    -------
    (K,) intp
        Positions of the kept boxes, best first.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 11, 11], [0, 0, 11, 10], [50, 0, 61, 11]], np.int32)
    >>> box_nms(boxes, np.array([0.8, 0.9, 0.7], np.float32), 0.7).tolist()
    [1, 2]
    """
    order = np.argsort(-scores, kind="stable")
    edges = boxes[order].astype(np.float32) - np.array([0, 0, 1, 1], np.float32)
    x0, y0, x1, y1 = np.ascontiguousarray(edges.T)
    areas = (x1 - x0) * (y1 - y0)
    # Lines of no area overlap nothing, and stay.
    solid = areas > 0
    alive = solid.copy()
    for best in np.flatnonzero(solid):
        if not alive[best]:
            continue
        # Most boxes lie elsewhere, which four comparisons tell.
        rest = slice(best + 1, None)
        near = (x0[rest] < x1[best]) & (x1[rest] > x0[best]) & alive[rest]
        near &= (y0[rest] < y1[best]) & (y1[rest] > y0[best])
        at = np.flatnonzero(near) + (best + 1)
        wide = np.minimum(x1[best], x1[at]) - np.maximum(x0[best], x0[at])
        high = np.minimum(y1[best], y1[at]) - np.maximum(y0[best], y0[at])
        shared = wide * high
        iou = shared / (areas[best] + areas[at] - shared)
        alive[at[iou > np.float64(threshold)]] = False
    best_first: NDArray[np.intp] = order[alive | ~solid]
    return best_first


def clean_mask(
    corner: tuple[int, int], mask: BoolMask, shape: tuple[int, int], area: int
) -> tuple[tuple[int, int], BoolMask, bool]:
    """Fill small holes, then drop small islands; the largest island always stays.

    Parameters
    ----------
    corner : (int, int)
        y and x of the mask's window in the image.
    mask : (h, w) bool
    shape : (int, int)
        Of the image: what a mask cuts off at its border counts as a hole too.
    area : int
        Smallest hole or island that is left alone, in pixels; 8-connected.

    Returns
    -------
    corner : (int, int)
    mask : (h', w') bool
        Tight around what is left, which is never nothing.
    changed : bool

    Examples
    --------
    A hole of one pixel is filled, and an island of one pixel dropped:

    >>> mask = np.array([[1, 1, 1, 0, 0, 0, 1], [1, 0, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0]], bool)
    >>> corner, cleaned, changed = clean_mask((0, 0), mask, (3, 7), area=2)
    >>> corner, cleaned.sum().tolist(), cleaned.shape, changed
    ((0, 0), 9, (3, 3), True)
    """
    # Background that reaches out of the window has at least `area` pixels in it, or all
    # that there is of it: the window decides as the whole image would.
    (y, x), (height, width) = corner, mask.shape
    tall, wide = -(-area // width), -(-area // height)
    top, left = min(tall, y), min(wide, x)
    # OpenCV numbers regions by blocks of 2 x 2, and of equal ones the first stays: the
    # window begins where a block of the image does.
    top, left = top + (y - top) % 2, left + (x - left) % 2
    bottom = min(tall, shape[0] - y - height)
    right = min(wide, shape[1] - x - width)
    window = np.pad(mask, ((top, bottom), (left, right)))
    background, filled = _drop_small(~window, area)
    islands, dropped = _drop_small(~background, area, keep_largest=True)
    x0, y0, x1, y1 = tight_box(islands) or (0, 0, 0, 0)
    return (y - top + y0, x - left + x0), islands[y0:y1, x0:x1].copy(), filled or dropped


def _drop_small(mask: BoolMask, area: int, keep_largest: bool = False) -> tuple[BoolMask, bool]:
    """Unset the 8-connected regions below an area; tell whether there were any."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    keep = sizes >= area
    if keep.all():
        return mask, False
    if keep_largest and not keep.any():
        keep[np.argmax(sizes)] = True
    # A table from labels to yes and no, looked up for all pixels at once; 0 is background.
    large: BoolMask = np.concatenate([[False], keep])[labels]
    return large, True
