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

from annotator.objects import BoolMask, Image, ImageObjects, objects_from_masks, tight_box

# The package removes small regions' duplicates at the larger of the two NMS
# thresholds, and this is its default for the one between crops, which we don't have.
CROP_NMS_THRESH = 0.7

Box = tuple[int, int, int, int]
Placed = tuple[tuple[int, int], BoolMask]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A mask that passed the filters and still has to stand against the others.

    ``packed`` is the crop as compressed bits: thousands of them wait at a time, and
    a mask of 1200 x 1920 takes some kilobytes instead of 2.3 MB.
    """

    box: Box
    packed: bytes
    score: float
    stability: float
    point: tuple[float, float]

    @property
    def crop(self) -> BoolMask:
        """The mask in its box, (h, w) bool."""
        x0, y0, x1, y1 = self.box
        bits = np.frombuffer(zlib.decompress(self.packed), np.uint8)
        count = (y1 - y0) * (x1 - x0)
        return np.unpackbits(bits, count=count).astype(bool).reshape(y1 - y0, x1 - x0)


def pack(
    mask: BoolMask, score: float, stability: float, point: tuple[float, float]
) -> Candidate | None:
    """Make a candidate of an (H, W) mask of the whole image; None where it is empty."""
    box = tight_box(mask)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    packed = zlib.compress(np.packbits(mask[y0:y1, x0:x1]).tobytes(), 1)
    return Candidate(box, packed, score, stability, point)


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
    first = [found[i] for i in box_nms(boxes, scores, box_nms_thresh)]
    masks: list[Placed] = [((c.box[1], c.box[0]), c.crop) for c in first]
    if min_area > 0:
        masks, kept = _without_small(masks, image.shape, min_area, box_nms_thresh)
        first = [first[i] for i in kept]
    scored = [c.score for c in first]
    return objects_from_masks(image.id, image.shape, masks, scored, [c.stability for c in first])


def _without_small(
    masks: Sequence[Placed], shape: tuple[int, int], min_area: int, box_nms_thresh: float
) -> tuple[list[Placed], list[int]]:
    """Clean each mask, then drop the duplicates that cleaning made.

    Masks that needed no cleaning win over those that did, as in the package.
    """
    cleaned = [clean_mask(corner, mask, shape, min_area) for corner, mask in masks]
    boxes = [(x, y, x + m.shape[1], y + m.shape[0]) for (y, x), m, _ in cleaned]
    same = np.array([not changed for _, _, changed in cleaned], np.float32)
    kept = box_nms(
        np.array(boxes, np.int32).reshape(-1, 4), same, max(box_nms_thresh, CROP_NMS_THRESH)
    ).tolist()
    return [cleaned[i][:2] for i in kept], kept


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
    edges = boxes.astype(np.float32) - np.array([0, 0, 1, 1], np.float32)
    x0, y0, x1, y1 = edges.T
    areas = (x1 - x0) * (y1 - y0)
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        wide = np.minimum(x1[best], x1[rest]) - np.maximum(x0[best], x0[rest])
        high = np.minimum(y1[best], y1[rest]) - np.maximum(y0[best], y0[rest])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        # Times the union instead of divided by it: lines of no area overlap nothing.
        union = areas[best] + areas[rest] - shared
        iou = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        order = rest[iou <= np.float64(threshold)]
    return np.array(kept, np.intp)


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
    """
    # With this much background around it, what reaches out of the window has at least
    # `area` pixels inside it: the window decides as the whole image would.
    (y, x), (height, width) = corner, mask.shape
    top, left = min(area, y), min(area, x)
    bottom = min(area, shape[0] - y - height)
    right = min(area, shape[1] - x - width)
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
    kept: BoolMask = np.concatenate([[False], keep])[labels]
    return kept, True
