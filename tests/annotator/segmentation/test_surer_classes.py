"""Network against threshold, pixel by pixel: who is surer decides, and objects keep their owner."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.objects import Image
from annotator.imaging.appearance import Appearance
from annotator.segmentation.surer_classes import REACH_PX, corrected, surer_classes

STAINED, WHITE = slice(0, 30), slice(30, 60)


def surer(columns: slice, **probabilities: float) -> set[int]:
    """What is said of half stained and half white pixels, of which the network says one thing."""
    pixels = np.full((20, 60, 3), 240, np.uint8)
    pixels[:, STAINED] = 190, 90, 160
    seen = np.zeros((5, 20, 60), np.float32)
    for name, value in probabilities.items():
        seen[("bg", "fat", "cell", "bone").index(name)] = value
    classes = surer_classes(Appearance(Image.from_pixels(pixels, 0.5)).seen_by("n", seen))
    assert classes is not None
    # Not the border, where the threshold is not sure.
    inner = slice(columns.start + 3, columns.stop - 3)
    return set(np.unique(classes[:, inner]).tolist())


def test_without_a_network_there_is_no_answer():
    assert surer_classes(Appearance(Image.from_pixels(np.full((9, 9, 3), 200, np.uint8)))) is None


@pytest.mark.parametrize(
    ("columns", "said", "expected"),
    [
        (STAINED, {"cell": 0.7, "bg": 0.3}, CELL),
        (STAINED, {"fat": 0.7, "cell": 0.3}, CELL),
        (WHITE, {"fat": 0.7, "cell": 0.3}, FAT),
        (WHITE, {"bg": 0.6, "fat": 0.3, "cell": 0.1}, BG),
        (WHITE, {"cell": 0.6, "bg": 0.4}, UNLABELLED),
        (WHITE, {"cell": 1.0}, UNLABELLED),
        (STAINED, {"bone": 0.9, "cell": 0.1}, UNLABELLED),
    ],
)
def test_the_surer_one_decides(columns, said, expected):
    assert surer(columns, **said) == {expected}


def painted() -> tuple[np.ndarray, np.ndarray]:
    """Fat of object 7 on the left, cell on the right."""
    classes = np.full((10, 40), CELL, np.uint8)
    classes[:, :15] = FAT
    return classes, np.where(classes == FAT, 7, 0).astype(np.int32)


def test_cell_takes_pixels_of_fat_and_they_have_no_owner_then():
    classes, owner = painted()
    say = np.full(classes.shape, UNLABELLED, np.uint8)
    say[:, 13:15] = CELL
    after, whose = corrected(classes, owner, say)
    assert (after[:, 13:15] == CELL).all()
    assert (whose[:, 13:15] == 0).all()
    assert (whose[:, :13] == 7).all()
    # The inputs are nobody else's.
    assert (classes[:, :15] == FAT).all()


@pytest.mark.parametrize("code", [FAT, BONE])
def test_what_comes_to_an_object_belongs_to_it_as_far_as_it_reaches(code):
    classes, owner = painted()
    classes[classes == FAT] = code
    say = np.full(classes.shape, code, np.uint8)
    after, whose = corrected(classes, owner, say)
    reach = 15 + int(REACH_PX)
    assert (after[:, :reach] == code).all()
    assert (whose[:, :reach] == 7).all()
    assert (after[:, reach:] == CELL).all()


def test_fat_without_any_object_of_fat_stays_cell():
    classes = np.full((5, 5), CELL, np.uint8)
    after, whose = corrected(classes, np.zeros((5, 5), np.int32), np.full((5, 5), FAT, np.uint8))
    assert (after == CELL).all()
    assert (whose == 0).all()


def test_bone_is_not_taken_by_cell():
    classes, owner = painted()
    classes[classes == FAT] = BONE
    after, _ = corrected(classes, owner, np.full(classes.shape, CELL, np.uint8))
    assert np.array_equal(after, classes)
