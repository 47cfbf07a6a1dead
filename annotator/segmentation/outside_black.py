"""What lies outside of black: objects cut at it, label maps left open in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from annotator.core.classes import UNLABELLED
from annotator.core.label_maps import LabelMaps, fit_instances
from annotator.core.objects import BoolMask, ImageObjects, objects_from_masks


def objects_outside(objects: ImageObjects, black: BoolMask | None) -> ImageObjects:
    """Objects without what lies in black; those that lie in it altogether are left out.

    Parameters
    ----------
    objects : ImageObjects
    black : (H, W) bool or None

    Returns
    -------
    ImageObjects
        With the ids, scores and sources that they had; the very objects where none is cut.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_labels
    >>> objects = objects_from_labels("a1", np.array([[1, 2, 2]], np.int32))
    >>> kept = objects_outside(objects, np.array([[True, True, False]]))
    >>> kept.ids.tolist(), kept.areas().tolist()
    ([2], [1])
    """
    if black is None or not black.any():
        return objects
    cut = [crop & ~black[where] for where, crop in objects]
    left = objects.select(np.array([part.any() for part in cut], np.bool_))
    parts = [
        ((where[0].start, where[1].start), part)
        for (where, _), part in zip(objects, cut, strict=True)
        if part.any()
    ]
    trimmed = objects_from_masks(objects.image_id, objects.shape, parts)
    return ImageObjects(
        objects.image_id,
        objects.shape,
        left.ids,
        trimmed.boxes,
        trimmed.crops,
        left.scores,
        left.stability,
        left.sources,
    )


def leave_open(label_maps: LabelMaps, black: BoolMask | None) -> LabelMaps:
    """Label maps in which black has no class.

    Parameters
    ----------
    label_maps : LabelMaps
    black : (H, W) bool or None

    Returns
    -------
    LabelMaps
    """
    if black is None or not black.any():
        return label_maps
    classes = np.where(black, np.uint8(UNLABELLED), label_maps.classes).astype(np.uint8)
    return replace(
        label_maps, classes=classes, instances=fit_instances(classes, label_maps.instances)
    )
