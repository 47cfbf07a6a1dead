"""From corrected masks to labels of objects, and from old objects to new ones.

A person corrects pixels; the model learns from objects. Each object takes the class that
most of its pixels have in the corrected mask, if they are of one mind. And when the
settings of the proposals change, each label goes to the new object that is most nearly
the one it was said of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import CLASS_NAMES, UNLABELLED
from annotator.core.labels import MIXED
from annotator.core.objects import ImageObjects, freeze, intersection
from annotator.settings.learning import LabelSettings

# Pairs of boxes that are compared at once: 8 bytes each, a few arrays of them.
_BLOCK = 1_000_000


DEFAULT_LABELS = LabelSettings()


@dataclass(frozen=True, slots=True, eq=False)
class TruthLabels:
    """What a corrected mask says of each object.

    Parameters
    ----------
    codes : (N,) uint8
        The class of most labelled pixels (of two equal ones the lower code), also where the
        object is mixed; 255 where more than half of the object is unlabelled.
    purity : (N,) float64
        Share of the labelled pixels that have this class, 0..1; NaN where none is labelled.
    mixed : (N,) bool
        Purity too low for a label.
    """

    codes: NDArray[np.uint8]
    purity: NDArray[np.float64]
    mixed: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for name in ("codes", "purity", "mixed"):
            object.__setattr__(self, name, freeze(getattr(self, name)))

    @property
    def label_codes(self) -> NDArray[np.uint8]:
        """Codes of labels, (N,) uint8: 0-3, 4 where mixed, 255 where unlabelled.

        Examples
        --------
        >>> codes, purity = np.array([1, 2, 255], np.uint8), np.array([1.0, 0.5, np.nan])
        >>> labels = TruthLabels(codes, purity, np.array([False, True, False]))
        >>> labels.label_codes.tolist()
        [1, 4, 255]
        """
        return np.where(self.mixed, np.uint8(MIXED), self.codes)

    @property
    def unlabelled(self) -> NDArray[np.bool_]:
        """Objects of which the mask says too little, (N,) bool.

        Examples
        --------
        >>> codes, purity = np.array([1, 2, 255], np.uint8), np.array([1.0, 0.5, np.nan])
        >>> labels = TruthLabels(codes, purity, np.array([False, True, False]))
        >>> labels.unlabelled.tolist()
        [False, False, True]
        """
        return np.asarray(self.codes == UNLABELLED)

    def differs(self, predicted: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Objects with a label other than what was predicted, (N,) bool.

        Parameters
        ----------
        predicted : (N,) uint8
            Class codes.

        Examples
        --------
        >>> codes, purity = np.array([1, 2, 255], np.uint8), np.array([1.0, 0.5, np.nan])
        >>> labels = TruthLabels(codes, purity, np.array([False, True, False]))
        >>> labels.differs(np.array([0, 0, 0], np.uint8)).tolist()
        [True, False, False]
        """
        return np.asarray(~self.mixed & ~self.unlabelled & (self.codes != predicted))


def labels_from_mask(
    objects: ImageObjects, truth: NDArray[np.uint8], settings: LabelSettings = DEFAULT_LABELS
) -> TruthLabels:
    """Give each object the class that most of its pixels have in a corrected mask.

    Parameters
    ----------
    objects : ImageObjects
    truth : (H, W) uint8
        0-3, and 255 where nobody says.
    settings : LabelSettings

    Raises
    ------
    ValueError
        When the mask has another shape or other codes.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_labels
    >>> objects = objects_from_labels("i", np.array([[1, 1, 2, 2]], np.int32))
    >>> labels = labels_from_mask(objects, np.array([[1, 1, 1, 2]], np.uint8))
    >>> labels.label_codes.tolist(), labels.purity.tolist()
    ([1, 4], [1.0, 0.5])
    """
    counts = _class_counts(objects, truth)
    labelled = counts.sum(axis=1)
    codes = counts.argmax(axis=1).astype(np.uint8)
    most = counts.max(axis=1)
    purity = np.where(labelled > 0, most / np.maximum(labelled, 1), np.nan)
    unknown = 2 * labelled < objects.areas()
    # In whole pixels: 0.8 of 5 pixels is 4 of them, whatever 0.8 is in binary.
    mixed = ~unknown & (most < settings.least_purity * labelled - 1e-9)
    codes[unknown] = UNLABELLED
    return TruthLabels(codes, purity, mixed)


def _class_counts(objects: ImageObjects, truth: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels of each class under each object, (N, 4) int64."""
    if truth.shape != objects.shape or truth.dtype != np.uint8:
        raise ValueError(f"truth must be {objects.shape} uint8, got {truth.shape} {truth.dtype}")
    if ((truth >= len(CLASS_NAMES)) & (truth != UNLABELLED)).any():
        raise ValueError("truth must hold codes 0-3 and 255 only")
    counts = [
        np.bincount(truth[where][crop], minlength=len(CLASS_NAMES))[: len(CLASS_NAMES)]
        for where, crop in objects
    ]
    return np.array(counts, np.int64).reshape(-1, len(CLASS_NAMES))


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """Which new object each old one is.

    Parameters
    ----------
    old_ids, new_ids : (K,) int32
        Pairs, in order of the old ids; no id is in two of them.
    iou : (K,) float64
        Overlap of each pair.
    lost_ids : (L,) int32
        Old objects without a new one, ascending.
    """

    old_ids: NDArray[np.int32]
    new_ids: NDArray[np.int32]
    iou: NDArray[np.float64]
    lost_ids: NDArray[np.int32]

    def __post_init__(self) -> None:
        for name in ("old_ids", "new_ids", "iou", "lost_ids"):
            object.__setattr__(self, name, freeze(getattr(self, name)))


def transfer(old: ImageObjects, new: ImageObjects, least_iou: float = 0.7) -> Transfer:
    """Match old objects with new ones of the same image, one to one, the best pairs first.

    Parameters
    ----------
    old, new : ImageObjects
        Of the same image.
    least_iou : float
        Least overlap (intersection over union) of a pair, above 0 and up to 1.

    Raises
    ------
    ValueError
        When they are not of the same image.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_labels
    >>> old = objects_from_labels("i", np.array([[1, 1, 1, 1, 2]], np.int32))
    >>> new = objects_from_labels("i", np.array([[2, 1, 1, 1, 0]], np.int32))
    >>> found = transfer(old, new)
    >>> found.old_ids.tolist(), found.new_ids.tolist(), found.iou.tolist(), found.lost_ids.tolist()
    ([1], [1], [0.75], [2])
    """
    if (old.image_id, old.shape) != (new.image_id, new.shape):
        raise ValueError(
            f"expected objects of one image, got {old.image_id} {old.shape} and "
            f"{new.image_id} {new.shape}"
        )
    pairs = _overlapping(old, new, least_iou)
    # The best pair first, and ids between equals: the result depends on no order of objects.
    pairs.sort(key=lambda pair: (-pair[0], old.ids[pair[1]], new.ids[pair[2]]))
    match_of: dict[int, tuple[int, float]] = {}
    used: set[int] = set()
    for iou, i, j in pairs:
        if i not in match_of and j not in used:
            match_of[i] = j, iou
            used.add(j)
    rows = sorted(match_of, key=lambda i: int(old.ids[i]))
    lost = np.setdiff1d(old.ids, old.ids[rows])
    matched = np.array([match_of[i][0] for i in rows], np.intp)
    iou_of = np.array([match_of[i][1] for i in rows], np.float64)
    return Transfer(old.ids[rows], new.ids[matched], iou_of, lost)


def _overlapping(
    old: ImageObjects, new: ImageObjects, least: float
) -> list[tuple[float, int, int]]:
    """IoU and positions of all pairs that reach it."""
    areas_old, areas_new = old.areas(), new.areas()
    pairs = []
    for i, j in _candidates(old.boxes, areas_old, new.boxes, areas_new, least):
        shared = intersection(old.boxes[i], old.crops[i], new.boxes[j], new.crops[j])
        iou = shared / int(areas_old[i] + areas_new[j] - shared)
        if iou >= least:
            pairs.append((iou, i, j))
    return pairs


def _candidates(
    boxes_old: NDArray[np.int32],
    areas_old: NDArray[np.int64],
    boxes_new: NDArray[np.int32],
    areas_new: NDArray[np.int64],
    least: float,
) -> list[tuple[int, int]]:
    """Pairs whose boxes and areas alone do not rule the overlap out."""
    pairs: list[tuple[int, int]] = []
    step = max(1, _BLOCK // max(1, len(boxes_new)))
    for start in range(0, len(boxes_old), step):
        a, b = boxes_old[start : start + step, None], boxes_new[None]
        sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
        shared = np.maximum(sides, 0).astype(np.int64).prod(axis=-1)
        area_a, area_b = areas_old[start : start + step, None], areas_new[None]
        most = np.minimum(shared, np.minimum(area_a, area_b))
        rows, columns = np.nonzero((most > 0) & (most >= least * (area_a + area_b - most) - 1e-9))
        pairs += zip((rows + start).tolist(), columns.tolist(), strict=True)
    return pairs
