"""Areas of classes and cellularity, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np

from annotator.core.class_areas import AREA_NAMES, cellularities, cellularity, class_areas


def test_areas_count_every_pixel_once() -> None:
    classes = np.array([[0, 1, 1], [2, 3, 255]], np.uint8)
    counted = class_areas(classes)
    assert counted == {"bg": 1, "fat": 2, "cell": 1, "bone": 1, "unlabelled": 1}
    assert tuple(counted) == AREA_NAMES


def test_areas_of_runs_are_those_of_their_pixels() -> None:
    codes, lengths = np.array([2, 0, 2, 255], np.uint8), np.array([5, 1, 7, 2])
    assert class_areas(codes, lengths) == class_areas(np.repeat(codes, lengths))


def test_cellularity_without_cells_and_fat_is_none() -> None:
    assert cellularity({"cell": 0, "fat": 0}) is None
    assert cellularity({"cell": 0, "fat": 5}) == 0.0


def test_one_image_and_many_say_the_same() -> None:
    cell, fat = np.array([0.0, 7.0, 1.0, 123_456_789.0]), np.array([3.0, 0.0, 2.0, 987_654_321.0])
    alone = [cellularity({"cell": c, "fat": f}) for c, f in zip(cell, fat, strict=True)]
    assert cellularities(cell, fat).tolist() == alone
