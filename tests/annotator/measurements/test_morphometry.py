"""Areas, cellularity and adipocytes of small drawn masks, against values worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.measured_studies import SHAPE, field

from annotator.core.class_areas import AREA_NAMES, cellularity
from annotator.core.classes import BONE, CELL, FAT, UNLABELLED
from annotator.measurements.morphometry import (
    circularities,
    measure,
    percentages,
    second_cellularity,
)


def outline(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    found, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(found[0], np.int32).reshape(-1, 2)


def disc(radius: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[-radius - 2 : radius + 3, -radius - 2 : radius + 3]
    return np.asarray(x**2 + y**2 <= radius**2)


def test_areas_of_a_drawn_field() -> None:
    drawn = field(bone=5, unlabelled=2, bg=10)
    found = measure(drawn.classes, drawn.instances, None)
    # 2,000 px: 200 bone, 80 open, 400 bg, 120 fat, the rest cell.
    expected = {"bg": 400, "fat": 120, "cell": 1200, "bone": 200, "unlabelled": 80}
    assert found.areas_px == expected
    assert percentages(found.areas_px)["fat"] == 6.0
    assert cellularity(found.areas_px) == 1200 / 1320
    assert second_cellularity(found.areas_px) == 1200 / 1400


def test_adipocytes_that_the_border_cuts_are_counted_but_not_measured() -> None:
    drawn = field()
    fat = measure(drawn.classes, drawn.instances, 0.5).adipocytes
    assert (fat.count, fat.whole, fat.unit) == (2, 1, "um2")
    assert fat.mean_area == fat.median_area == 100 * 0.25
    assert measure(drawn.classes, drawn.instances, None).adipocytes.mean_area == 100


@pytest.mark.parametrize(
    ("bone", "at_bone"),
    [
        (np.s_[5:9, 9:12], 1),  # beside it
        (np.s_[9:12, 9:12], 1),  # at its corner
        (np.s_[5:9, 10:12], 0),  # a pixel of cell between
        (np.s_[0:3, :], 0),
    ],
)
def test_adipocytes_that_touch_bone_are_counted_but_not_measured(
    bone: tuple[slice, slice], at_bone: int
) -> None:
    classes, instances = np.full((30, 30), CELL, np.uint8), np.zeros((30, 30), np.int32)
    classes[5:9, 5:9], instances[5:9, 5:9] = FAT, 1
    classes[15:21, 15:21], instances[15:21, 15:21] = FAT, 2
    classes[bone], instances[bone] = BONE, 3
    fat = measure(classes, instances, None).adipocytes
    assert (fat.count, fat.whole, fat.at_bone, fat.measured) == (2, 2, at_bone, 2 - at_bone)
    assert fat.areas_px == ((36,) if at_bone else (16, 36))
    assert fat.mean_area == (36 if at_bone else 26)


def test_an_adipocyte_that_is_cut_and_at_bone_counts_once() -> None:
    classes, instances = np.full((10, 10), CELL, np.uint8), np.zeros((10, 10), np.int32)
    classes[0:4, 2:6], instances[0:4, 2:6] = FAT, 1
    classes[4:6, 2:6], instances[4:6, 2:6] = BONE, 2
    fat = measure(classes, instances, None).adipocytes
    assert (fat.count, fat.whole, fat.at_bone, fat.measured) == (1, 0, 0, 0)
    assert (fat.mean_area, fat.median_area, fat.circularity) == (None, None, None)


def test_black_is_no_tissue_and_cuts_adipocytes_as_the_border_does() -> None:
    classes, instances = np.full((30, 30), CELL, np.uint8), np.zeros((30, 30), np.int32)
    classes[5:9, 5:9], instances[5:9, 5:9] = FAT, 1
    classes[15:21, 15:21], instances[15:21, 15:21] = FAT, 2
    classes[:, 25:] = classes[0, 0] = UNLABELLED
    black = np.zeros((30, 30), bool)
    black[:, 25:] = black[15:21, 21:] = True
    found = measure(classes, instances, None, black=black)
    # 900 px: 150 black, and 24 that somebody labelled all the same; one is open, 52 are fat.
    assert found.black_px == 150
    assert found.areas_px["unlabelled"] == 151
    assert found.areas_without_black["unlabelled"] == 1
    assert second_cellularity(found.areas_without_black) == 697 / (697 + 52 + 1)
    assert (found.adipocytes.count, found.adipocytes.whole) == (2, 1)
    assert found.adipocytes.areas_px == (16,)


def test_mean_and_median_of_three_adipocytes() -> None:
    classes = np.full((20, 40), CELL, np.uint8)
    instances = np.zeros((20, 40), np.int32)
    for number, side in ((7, 2), (9, 3), (11, 6)):
        classes[5 : 5 + side, number * 3 : number * 3 + side] = FAT
        instances[5 : 5 + side, number * 3 : number * 3 + side] = number
    fat = measure(classes, instances, None).adipocytes
    assert (fat.count, fat.mean_area, fat.median_area) == (3, (4 + 9 + 36) / 3, 9)


@pytest.mark.parametrize(
    "where", [np.s_[3:6, 0:4], np.s_[3:6, 6:10], np.s_[0:2, 3:6], np.s_[8:10, 3:6], np.s_[4:6, :]]
)
def test_an_adipocyte_at_any_border_is_cut(where: tuple[slice, slice]) -> None:
    classes, instances = np.full((10, 10), CELL, np.uint8), np.zeros((10, 10), np.int32)
    classes[where], instances[where] = FAT, 1
    fat = measure(classes, instances, None).adipocytes
    assert (fat.count, fat.whole, fat.mean_area, fat.circularity) == (1, 0, None, None)


def test_bone_is_no_adipocyte() -> None:
    drawn = field(bone=5)
    assert (drawn.instances == 3).sum() == 200
    assert measure(drawn.classes, drawn.instances, None).adipocytes.count == 2


@pytest.mark.parametrize("code", [BONE, UNLABELLED])
def test_cellularity_is_undefined_without_cell_and_fat(code: int) -> None:
    classes = np.full(SHAPE, code, np.uint8)
    instances = np.full(SHAPE, int(code == BONE), np.int32)
    assert cellularity(measure(classes, instances, None).areas_px) is None


def test_unlabelled_alone_is_tissue_without_a_cell() -> None:
    found = measure(np.full(SHAPE, UNLABELLED, np.uint8), np.zeros(SHAPE, np.int32), None)
    assert second_cellularity(found.areas_px) == 0.0


@pytest.mark.parametrize("radius", [3, 8, 15, 40])
def test_a_disc_is_round(radius: int) -> None:
    (found,) = circularities([outline(disc(radius))])
    assert 0.98 < found <= 1.0


def test_a_square_and_a_strip_are_as_round_as_geometry_says() -> None:
    square, strip = np.zeros((60, 60), bool), np.zeros((60, 410), bool)
    square[5:55, 5:55] = True
    strip[5:15, 5:405] = True
    found = circularities([outline(square), outline(strip)])
    assert found[0] == pytest.approx(np.pi / 4, rel=0.08)
    assert found[1] == pytest.approx(4 * np.pi * 4000 / 820**2, rel=0.08)


def test_circularities_do_not_mix_outlines() -> None:
    shapes = [outline(disc(r)) for r in (5, 9, 20)]
    together = circularities(shapes)
    assert together.tolist() == [circularities([one])[0] for one in shapes]


def test_a_hole_counts_as_filled() -> None:
    ring = disc(20)
    full = circularities([outline(ring)])
    ring[20:25, 20:25] = False
    assert circularities([outline(ring)]).tolist() == full.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_areas_sum_to_100_and_cellularity_is_a_share(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 40, 2).tolist())
    classes = rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), shape)
    owned = (classes == FAT) | (classes == BONE)
    instances = np.where(owned, classes * 100 + rng.integers(1, 5, shape), 0).astype(np.int32)
    found = measure(classes, instances, None)
    assert sum(found.areas_px.values()) == classes.size
    assert sum(percentages(found.areas_px).values()) == pytest.approx(100, abs=1e-9)
    assert tuple(found.areas_px) == AREA_NAMES
    for value in (cellularity(found.areas_px), second_cellularity(found.areas_px)):
        assert value is None or 0 <= value <= 1
    assert found.adipocytes.count == len(np.unique(instances[classes == FAT]))
    mirrored = measure(classes[::-1, ::-1].copy(), instances[::-1, ::-1].copy(), None)
    assert mirrored.areas_px == found.areas_px
    assert mirrored.adipocytes.whole == found.adipocytes.whole
