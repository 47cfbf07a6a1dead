"""Label maps: the class of each pixel of an image, and the instances of fat and bone.

Classes are codes 0 bg, 1 fat, 2 cell, 3 bone, and 255 where nobody says. An instance is one
adipocyte or one piece of bone; cells and background have none.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BONE, FAT, invalid_codes
from annotator.core.errors import StudyError
from annotator.core.objects import BoolMask, freeze
from annotator.core.runs import Runs, runs_of

INSTANCE_LIMIT = 2**24
"""Ids of instances are below it: float32, in which neighbours are compared, is exact there."""


def compact(instances: NDArray[np.int32]) -> NDArray[np.uint16]:
    """Renumber instances 1, 2, 3 ... in the order of their ids; 0 stays none.

    Parameters
    ----------
    instances : (H, W) int32

    Returns
    -------
    (H, W) uint16

    Raises
    ------
    StudyError
        When there are more than 65,535.

    Examples
    --------
    >>> compact(np.array([[0, 70000], [9, 9]], np.int32)).tolist()
    [[0, 2], [1, 1]]
    """
    runs = runs_of(instances)
    run_ids = runs.of(instances)
    values = np.unique(run_ids)
    values = values[values > 0]
    if len(values) > np.iinfo(np.uint16).max:
        raise StudyError(
            f"expected at most 65535 instances in one image, got {len(values)}; "
            "raise the smallest object size in [prune], or cut the image into fields"
        )
    numbers = np.searchsorted(values, run_ids, side="right")
    numbered: NDArray[np.uint16] = runs.spread(numbers.astype(np.uint16))
    return numbered


def fit_instances(classes: NDArray[np.uint8], instances: NDArray[np.int32]) -> NDArray[np.int32]:
    """Make the instances agree with classes that a person may have changed.

    An instance keeps its id on the pixels of its most frequent class, fat or bone; fat and
    bone that nobody owns then become instances by their connected parts.

    Parameters
    ----------
    classes : (H, W) uint8
    instances : (H, W) int32
        0 for none.

    Returns
    -------
    (H, W) int32
        The very array that was given where it agrees.

    Examples
    --------
    >>> classes = np.array([[1, 1, 2, 3]], np.uint8)
    >>> fit_instances(classes, np.array([[7, 7, 7, 0]], np.int32)).tolist()
    [[7, 7, 0, 8]]
    """
    runs = runs_of(classes, instances)
    codes, numbers = runs.of(classes), runs.of(instances)
    own_ids = _ids_on_own_class(runs, codes, numbers)
    if np.array_equal(own_ids, numbers) and not _without_owner(codes, own_ids).any():
        return instances
    fitted: NDArray[np.int32] = runs.spread(own_ids)
    for code in (FAT, BONE):
        orphans = (classes == code) & (fitted == 0)
        if orphans.any():
            _, parts = cv2.connectedComponents(orphans.astype(np.uint8), connectivity=4)
            fitted[orphans] = parts[orphans] + fitted.max()
    return fitted


def _ids_on_own_class(
    runs: Runs, codes: NDArray[np.uint8], numbers: NDArray[np.int32]
) -> NDArray[np.int32]:
    """The instance of each run where the run is of the instance's own class, else 0, (R,)."""
    count = int(numbers.max(initial=0)) + 1
    votes = np.zeros((2, count), np.int64)
    for row, code in enumerate((FAT, BONE)):
        here = codes == code
        np.add.at(votes[row], numbers[here], runs.lengths[here])
    own = np.array([FAT, BONE], np.uint8)[votes.argmax(axis=0)]
    return np.where(codes == own[numbers], numbers, np.int32(0))


def _without_owner(codes: NDArray[np.uint8], numbers: NDArray[np.int32]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = ((codes == FAT) | (codes == BONE)) & (numbers == 0)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class LabelMaps:
    """One class a pixel, and one instance a pixel of fat or bone.

    Parameters
    ----------
    classes : (H, W) uint8
        Codes 0 bg, 1 fat, 2 cell, 3 bone; 255 where nobody claims the pixel.
    instances : (H, W) int32
        The id of the object on fat and bone (1 to 2**24 - 1), and 0 elsewhere.
        An instance has one class.
    split_from : tuple of (int, int)
        Ids given to pieces that were cut off an object, each with the id of
        that object.

    Raises
    ------
    ValueError
        When the arrays have other shapes, dtypes or values, or contradict each other.

    Examples
    --------
    >>> maps = LabelMaps(np.array([[1, 2, 255]], np.uint8), np.array([[7, 0, 0]], np.int32))
    >>> maps.shape
    (1, 3)
    """

    classes: NDArray[np.uint8]
    instances: NDArray[np.int32]
    split_from: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        classes, instances = self.classes, self.instances
        if classes.ndim != 2 or classes.dtype != np.uint8 or classes.size == 0:
            raise ValueError(f"classes must be (H, W) uint8, got {classes.shape} {classes.dtype}")
        if instances.shape != classes.shape or instances.dtype != np.int32:
            raise ValueError(
                f"instances must be {classes.shape} int32, got {instances.shape} {instances.dtype}"
            )
        runs = runs_of(classes, instances)
        _check_values(runs.of(classes), runs.of(instances))
        object.__setattr__(self, "classes", freeze(classes))
        object.__setattr__(self, "instances", freeze(instances))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.classes.shape[0], self.classes.shape[1]


def _has_instances(classes: NDArray[np.uint8]) -> BoolMask:
    """Where a class has instances, bool of the shape of `classes`."""
    mask: BoolMask = (classes == FAT) | (classes == BONE)
    return mask


def _check_values(classes: NDArray[np.uint8], instances: NDArray[np.int32]) -> None:
    """What a :class:`LabelMaps` may hold, of its runs."""
    if invalid_codes(classes).any():
        raise ValueError("classes must hold codes 0-3 and 255 only")
    if instances.min() < 0 or np.any((instances > 0) != _has_instances(classes)):
        raise ValueError("instances must be positive on fat and bone and 0 elsewhere")
    if instances.max() >= INSTANCE_LIMIT or _of_two_classes(classes, instances):
        raise ValueError("instances must be below 2**24 and each of one class")


def _of_two_classes(classes: NDArray[np.uint8], instances: NDArray[np.int32]) -> bool:
    """Whether any instance lies on fat and on bone."""
    code_of = np.zeros(int(instances.max()) + 1, np.uint8)
    code_of[instances] = classes
    return bool(np.any((code_of.take(instances) != classes) & (instances > 0)))
