"""Objects of one class each: cut along the borders of a network's class map, and added to.

Who proposes objects goes by colour and knows no classes: bone comes in one piece with the
marrow beside it, slide with an adipocyte whose wall is torn. A segmentation network knows
the classes of pixels and no objects. Here the borders of the one are drawn into the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import CELL, CLASS_NAMES
from annotator.core.objects import (
    BoolMask,
    ImageObjects,
    joined_objects,
    objects_from_labels,
    objects_from_masks,
)
from annotator.imaging.appearance import Appearance
from annotator.imaging.masks import drop_small, nearest_number, open_mask

Classes = NDArray[np.uint8]

# A part that is smaller, or thinner, stays with the larger part beside it: the rim of an
# adipocyte is where colour knows better, um2 and um.
LEAST_PART_UM2 = 60.0
LEAST_DEPTH_UM = 1.5
# Ground that no object claims and the network is sure of becomes an object from here on, um2.
LEAST_CLAIM_UM2 = 60.0


@dataclass(frozen=True, slots=True)
class PartLimits:
    """Which parts of an object are worth an object of their own, in pixels.

    Parameters
    ----------
    area : float
        Least number of pixels.
    depth : float
        Least radius of the largest circle inside.
    """

    area: float
    depth: float

    @classmethod
    def at_scale(cls, um_per_px: float) -> PartLimits:
        """The limits of this module at so many microns per pixel."""
        return cls(max(4.0, LEAST_PART_UM2 / um_per_px**2), LEAST_DEPTH_UM / um_per_px)


def cut_by_class(objects: ImageObjects, classes: Classes, limits: PartLimits) -> ImageObjects:
    """Cut objects along the borders of a class map.

    Parameters
    ----------
    objects : ImageObjects
        They may overlap: each is cut by itself.
    classes : (H, W) uint8
        Most probable class of each pixel.
    limits : PartLimits

    Returns
    -------
    ImageObjects
        Objects of one class are as they were. Of the others the largest part keeps the id and
        the place; the other parts follow after all, with ids above the highest, and with the
        scores and the source of their object.

    Examples
    --------
    >>> one = objects_from_labels("a1", np.ones((6, 12), np.int32))
    >>> classes = np.repeat(np.array([[1] * 8 + [2] * 4], np.uint8), 6, axis=0)
    >>> cut = cut_by_class(one, classes, PartLimits(4, 1))
    >>> cut.ids.tolist(), cut.areas().tolist()
    ([1, 2], [48, 24])
    """
    parts, parents = [], []
    others, others_parents = [], []
    for at, (where, crop) in enumerate(objects):
        corner = where[0].start, where[1].start
        first, *rest = _parts(crop, classes[where], limits)
        parts.append((corner, first))
        parents.append(at)
        others += [(corner, part) for part in rest]
        others_parents += [at] * len(rest)
    if not others:
        return objects
    trimmed = objects_from_masks(objects.image_id, objects.shape, parts + others)
    of = np.array(parents + others_parents, np.intp)
    ids = np.arange(1, len(others) + 1, dtype=np.int32) + objects.ids.max()
    return ImageObjects(
        objects.image_id,
        objects.shape,
        np.concatenate([objects.ids, ids]),
        trimmed.boxes,
        trimmed.crops,
        objects.scores[of],
        objects.stability[of],
        objects.sources[of],
    )


def _parts(crop: BoolMask, classes: Classes, limits: PartLimits) -> list[BoolMask]:
    """Masks of the parts of one object, the largest first; the object itself where it is pure."""
    counts = np.bincount(classes[crop], minlength=len(CLASS_NAMES))
    # Most objects are of one class, and this is all that is asked of them.
    if np.count_nonzero(counts >= limits.area) < 2:
        return [crop]
    seeds = _seeds(crop, classes, np.flatnonzero(counts >= limits.area).tolist(), limits)
    if seeds.max() < 2:
        return [crop]
    nearest = np.where(crop, nearest_number(seeds)[1], 0)
    sizes = np.bincount(nearest.reshape(-1))[1:]
    order = np.argsort(-sizes, kind="stable")
    return [nearest == label + 1 for label in order.tolist() if sizes[label]]


def _seeds(
    crop: BoolMask, classes: Classes, codes: list[int], limits: PartLimits
) -> NDArray[np.int32]:
    """Connected parts of one class that are large and thick enough, numbered; 0 elsewhere."""
    seeds = np.zeros(crop.shape, np.int32)
    count = 0
    for code in codes:
        mask = (crop & (classes == code)).view(np.uint8)
        number, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        for label in range(1, number):
            x, y, w, h, area = stats[label].tolist()
            if area < limits.area:
                continue
            window = slice(y, y + h), slice(x, x + w)
            part = labels[window] == label
            if depth[window][part].max() >= limits.depth:
                count += 1
                seeds[window][part] = count
    return seeds


def claim_classes(appearance: Appearance, objects: ImageObjects, classes: Classes) -> ImageObjects:
    """Add an object for each piece of ground that no object claims and that is not cell.

    Cell needs no objects: what nothing else claims is cell.

    Parameters
    ----------
    appearance : Appearance
        Of the image.
    objects : ImageObjects
    classes : (H, W) uint8
        Most probable class of each pixel.

    Returns
    -------
    ImageObjects
        The same objects, then the new ones, made by ``network``, with ids above all others.

    Examples
    --------
    >>> from annotator.core.objects import Image
    >>> appearance = Appearance(Image.from_pixels(np.full((60, 90, 3), 200, np.uint8), 1.0))
    >>> none = objects_from_masks(appearance.image.id, (60, 90), [])
    >>> classes = np.full((60, 90), 2, np.uint8)
    >>> classes[10:40, 10:40] = 3
    >>> claim_classes(appearance, none, classes).by_source()
    {'network': 1}
    """
    um = appearance.working_um_per_px
    free = objects.coverage() == 0
    labels = np.zeros(objects.shape, np.int32)
    count = 0
    for code in range(len(CLASS_NAMES)):
        if code == CELL:
            continue
        # The rims that objects leave are no objects: open, then drop specks.
        ground = open_mask(free & (classes == code), LEAST_DEPTH_UM / um)
        core = drop_small(ground, LEAST_CLAIM_UM2 / um**2)
        number, found = cv2.connectedComponents(core.astype(np.uint8), connectivity=4)
        labels[core] = found[core] + count
        count += number - 1
    new = objects_from_labels(appearance.image.id, labels, "network")
    return joined_objects(objects, new) if len(new) else objects
