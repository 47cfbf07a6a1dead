"""Painting: order, ties, groups, holes, and the server's own rasters."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco

from annotator.core.classes import BONE, CELL, FAT, UNLABELLED
from annotator.core.errors import UsageError
from export.readers.painting import Crop, Mark, crop_of_shape, paint, polygon, rectangle_corners

FRAME = (60, 80)


def block(code: int, box: tuple[int, int, int, int], **more: int) -> Mark:
    x0, y0, x1, y1 = box
    return Mark(code, box, np.ones((y1 - y0, x1 - x0), bool), **more)


def full(crop: Crop | None, frame: tuple[int, int] = FRAME) -> NDArray[np.bool_]:
    canvas = np.zeros(frame, bool)
    if crop is not None:
        (x0, y0, x1, y1), mask = crop
        canvas[y0:y1, x0:x1] = mask
    return canvas


def test_higher_z_lies_on_top_whatever_the_order() -> None:
    low, high = block(FAT, (0, 0, 4, 4), z_order=1), block(BONE, (2, 2, 6, 6), z_order=2)
    first, second = paint([low, high], FRAME), paint([high, low], FRAME)
    assert first.classes[3, 3] == BONE
    assert np.array_equal(first.classes, second.classes)
    assert first.tied_px == 0


def test_negative_z_lies_below() -> None:
    marks = [block(FAT, (0, 0, 4, 4)), block(BONE, (0, 0, 4, 4), z_order=-3)]
    assert paint(marks, FRAME).classes[0, 0] == FAT


def test_one_z_is_decided_by_id_and_counted() -> None:
    marks = [block(FAT, (0, 0, 4, 4), order=7), block(BONE, (2, 2, 6, 6), order=5)]
    found = paint(marks, FRAME)
    assert found.classes[3, 3] == FAT
    assert found.tied_px == 4


def test_a_tie_that_is_covered_does_not_count() -> None:
    tied = [block(FAT, (0, 0, 4, 4)), block(BONE, (0, 0, 4, 4), order=1)]
    assert paint([*tied, block(CELL, (0, 0, 4, 2), z_order=1)], FRAME).tied_px == 8


def test_a_tie_of_one_class_does_not_count() -> None:
    marks = [block(FAT, (0, 0, 4, 4)), block(FAT, (0, 0, 4, 4), order=1)]
    assert paint(marks, FRAME).tied_px == 0


def test_a_group_is_one_instance() -> None:
    marks = [
        block(FAT, (0, 0, 2, 2), group=3),
        block(FAT, (5, 5, 7, 7), group=3, z_order=1),
        block(FAT, (10, 0, 12, 2), z_order=2),
    ]
    found = paint(marks, FRAME).instances
    assert found[0, 0] == found[6, 6] != found[0, 11]
    assert len(np.unique(found)) == 3


def test_a_group_of_two_classes_is_two_instances() -> None:
    marks = [block(FAT, (0, 0, 2, 2), group=3), block(BONE, (5, 5, 7, 7), group=3)]
    assert len(np.unique(paint(marks, FRAME).instances)) == 3


def test_holes_and_what_nobody_painted_stay_open() -> None:
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    found = paint([Mark(FAT, (4, 4, 7, 7), ring)], FRAME)
    assert found.classes[5, 5] == UNLABELLED
    assert found.unlabelled_px == 60 * 80 - 8
    assert not found.is_empty
    assert paint([], FRAME).is_empty


# pycocotools, the oracle, decodes with a habit of older numpy.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("seed", range(40))
def test_polygons_are_those_of_pycocotools_on_the_whole_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform([-20, -20], [100, 80], (int(rng.integers(3, 12)), 2))
    points = (np.round(corners, 1) if seed % 2 else corners).ravel()
    oracle = coco.decode(coco.frPyObjects([np.round(points, 2).tolist()], *FRAME))[..., 0]
    assert np.array_equal(full(polygon([points.tolist()], FRAME)), oracle.astype(bool))


def test_rings_of_a_polygon_are_joined() -> None:
    rings = [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0, 1.0, 9.0], [20.0, 20.0, 30.0, 20.0, 25.0, 30.0]]
    both = full(polygon(rings, FRAME))
    assert np.array_equal(both, full(polygon(rings[:1], FRAME)) | full(polygon(rings[1:], FRAME)))


def test_a_rectangle_is_half_open_and_turns_about_its_middle() -> None:
    straight = crop_of_shape("rectangle", [10, 5, 30, 20], FRAME)
    assert straight is not None
    assert straight[0] == (10, 5, 30, 20)
    assert straight[1].all()
    turned = np.reshape(rectangle_corners([10, 5, 30, 15], 90.0), (4, 2))
    assert np.allclose(turned, [[25, 0], [25, 20], [15, 20], [15, 0]])


def test_an_ellipse_is_that_of_opencv_with_halves_to_even() -> None:
    oracle = np.zeros(FRAME, np.uint8)
    cv2.ellipse(oracle, (30, 20), (12, 6), 25.0, 0, 360, 1, -1)
    found = crop_of_shape("ellipse", [30.5, 19.5, 43.0, 13.0], FRAME, 25.0)
    assert np.array_equal(full(found), oracle.astype(bool))


def test_a_shape_beside_the_image_has_no_pixel() -> None:
    assert crop_of_shape("polygon", [-9.0, -9.0, -3.0, -9.0, -3.0, -3.0], FRAME) is None
    assert crop_of_shape("ellipse", [-20.0, -20.0, -15.0, -25.0], FRAME) is None
    assert crop_of_shape("mask", [4, 0, 0, 1, 1], FRAME) is None


@pytest.mark.parametrize(
    ("kind", "points", "why"),
    [
        ("polygon", [1.0, 1.0, 2.0, 2.0], "3 "),
        ("polygon", [1.0, 1.0, 2.0, 2.0, 3.0], "3 "),
        ("polygon", [0.0, 0.0, 1e9, 0.0, 5.0, 5.0], "image"),
        ("polygon", [0.0, 0.0, float("nan"), 0.0, 5.0, 5.0], "image"),
        ("polygon", [0.0, 0.0, 80.0, 60.0] * 600, "500 "),
        ("rectangle", [1.0, 1.0], "4 "),
        ("ellipse", [10.0, 10.0, 5.0, 5.0], "axes"),
        ("points", [1.0, 1.0], "4 "),
    ],
)
def test_points_of_no_shape_are_refused(kind: str, points: list[float], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        crop_of_shape(kind, points, FRAME)
