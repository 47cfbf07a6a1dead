"""The rasters of a study as bytes: label maps, instance maps, overlays."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BONE, FAT
from annotator.core.errors import StudyError
from annotator.core.runs import Runs, runs_of


def compact(instances: NDArray[np.int32]) -> NDArray[np.uint16]:
    """Renumber instances 1, 2, 3 ... in the order of their ids; 0 stays none.

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
    held = runs.of(instances)
    values = np.unique(held)
    values = values[values > 0]
    if len(values) > np.iinfo(np.uint16).max:
        raise StudyError(
            f"expected at most 65535 instances in one image, got {len(values)}; "
            "raise the smallest object size in [prune], or cut the image into fields"
        )
    numbers = np.searchsorted(values, held, side="right")
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
        0 for none. Given back as they are where they agree.

    Examples
    --------
    >>> classes = np.array([[1, 1, 2, 3]], np.uint8)
    >>> fit_instances(classes, np.array([[7, 7, 7, 0]], np.int32)).tolist()
    [[7, 7, 0, 8]]
    """
    runs = runs_of(classes, instances)
    codes, numbers = runs.of(classes), runs.of(instances)
    kept = _kept_numbers(runs, codes, numbers)
    if np.array_equal(kept, numbers) and not _without_owner(codes, kept).any():
        return instances
    fitted: NDArray[np.int32] = runs.spread(kept)
    for code in (FAT, BONE):
        orphans = (classes == code) & (fitted == 0)
        if orphans.any():
            _, parts = cv2.connectedComponents(orphans.astype(np.uint8), connectivity=4)
            fitted[orphans] = parts[orphans] + fitted.max()
    return fitted


def _kept_numbers(
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
