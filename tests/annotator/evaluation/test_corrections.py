"""Corrections: what became of drawn objects, and sums that must hold for any two maps."""

import numpy as np
import pytest
from numpy.typing import NDArray
from support.pulled_studies import changed, field

from annotator.core.classes import BG, BONE, CELL, CLASS_NAMES, FAT, UNLABELLED
from annotator.core.label_maps import LabelMaps
from annotator.evaluation.corrections import FATES, compare_maps, sum_corrections

ROUGH = field()


def fates(fixed: LabelMaps, code: int, rough: LabelMaps = ROUGH) -> dict[str, int]:
    found = compare_maps(rough.classes, rough.instances, fixed.classes, fixed.instances)
    return {f: n for f, n in zip(FATES, found.objects[code].tolist(), strict=True) if n}


def test_nothing_changed() -> None:
    found = compare_maps(ROUGH.classes, ROUGH.instances, ROUGH.classes, ROUGH.instances)
    assert fates(ROUGH, FAT) == {"kept": 2}
    assert fates(ROUGH, CELL) == {"kept": 1}
    assert found.dice(FAT) == found.dice(CELL) == 1.0
    assert found.dice(BONE) is None
    assert not found.moved_px.any()


def test_numbers_of_instances_do_not_matter() -> None:
    other = LabelMaps(ROUGH.classes, np.where(ROUGH.instances > 0, 900 - ROUGH.instances, 0))
    assert fates(other, FAT) == {"kept": 2}


def test_a_moved_boundary() -> None:
    fixed = changed(ROUGH, (10, 30, 65, 70, CELL, 0))
    assert fates(fixed, FAT) == {"kept": 1, "moved": 1}
    found = compare_maps(ROUGH.classes, ROUGH.instances, fixed.classes, fixed.instances)
    assert found.moved_px[FAT] == 100
    plain = found.to_dict()["fat"]
    assert plain["pixels"]["relabelled"] == 100
    assert plain["pixels"]["deleted"] == 0
    assert found.dice(FAT) == pytest.approx(2 * 691 / (691 + 791))


def test_another_class() -> None:
    fixed = changed(ROUGH, (10, 30, 50, 70, BONE, 2))
    assert fates(fixed, FAT) == {"kept": 1, "relabelled": 1}
    assert fates(fixed, BONE) == {}
    found = compare_maps(ROUGH.classes, ROUGH.instances, fixed.classes, fixed.instances)
    assert found.to_dict()["fat"]["objects"]["relabelled_to"] == {"bone": 1}
    assert found.to_dict()["bone"]["pixels"]["relabelled_to_this"] == 400


def test_erased_and_drawn_anew() -> None:
    fixed = changed(
        ROUGH, (10, 30, 50, 70, UNLABELLED, 0), (60, 80, 60, 80, BONE, 7), (60, 70, 0, 10, BG, 0)
    )
    assert fates(fixed, FAT) == {"kept": 1, "deleted": 1}
    assert fates(fixed, BONE) == {"added": 1}
    assert fates(fixed, BG) == {"added": 1}
    plain = compare_maps(ROUGH.classes, ROUGH.instances, fixed.classes, fixed.instances).to_dict()
    assert plain["fat"]["pixels"]["deleted"] == 400
    assert plain["fat"]["dice_labelled"] == 1.0
    assert plain["fat"]["dice"] < 1.0


def test_an_object_cut_in_two_is_moved_and_one_is_added() -> None:
    fixed = changed(ROUGH, (10, 30, 63, 64, CELL, 0), (10, 30, 64, 70, FAT, 9))
    assert fates(fixed, FAT) == {"kept": 1, "moved": 1, "added": 1}


def test_objects_that_went_out_as_one_shape_are_still_themselves() -> None:
    dots = np.full((40, 40), CELL, np.uint8)
    numbers = np.zeros((40, 40), np.int32)
    for k in range(6):
        dots[4:8, 6 * k : 6 * k + 4], numbers[4:8, 6 * k : 6 * k + 4] = FAT, k + 1
    rough = LabelMaps(dots, numbers)
    merged = LabelMaps(dots, np.minimum(numbers, 1))
    assert fates(merged, FAT, rough) == {"kept": 6}


def random_map(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    rng = np.random.default_rng(seed)
    classes = np.repeat(
        np.repeat(rng.choice([0, 1, 2, 3, 255], (8, 9)).astype(np.uint8), 5, 0), 4, 1
    )
    numbers = np.repeat(np.repeat(rng.integers(0, 9, (8, 9)).astype(np.int32), 5, 0), 4, 1)
    instances = 4 * numbers + classes + 1
    return classes, np.where((classes == FAT) | (classes == BONE), instances, 0).astype(np.int32)


@pytest.mark.parametrize("seed", range(30))
def test_every_pixel_and_object_is_counted_once(seed: int) -> None:
    rough, corrected = random_map(seed), random_map(seed + 1000)
    there, back = compare_maps(*rough, *corrected), compare_maps(*corrected, *rough)
    assert there.pixels.sum() == rough[0].size
    assert np.array_equal(there.pixels, back.pixels.T)
    one = sum_corrections([there, back])
    assert one is not None
    assert np.array_equal(one.pixels, there.pixels + back.pixels)
    for code in (FAT, BONE):
        count = len(np.unique(rough[1][rough[0] == code]))
        gone = there.objects[code][[FATES.index(f) for f in FATES if f != "added"]].sum()
        assert gone == count
    for code, name in enumerate(CLASS_NAMES):
        plain = there.to_dict()[name]["pixels"]
        assert plain["kept"] + plain["relabelled"] + plain["deleted"] == plain["rough"]
        assert plain["kept"] + plain["relabelled_to_this"] + plain["added"] == plain["corrected"]
        assert plain["rough"] == np.count_nonzero(rough[0] == code)


def test_many_objects_are_counted_as_few_are() -> None:
    classes = np.full((80, 80), FAT, np.uint8)
    numbers = np.arange(1, 6401, dtype=np.int32).reshape(80, 80)
    found = compare_maps(classes, numbers, classes, numbers[::-1])
    assert found.objects[FAT].tolist() == [6400, 0, 0, 0, 0]


def test_no_image_is_no_correction() -> None:
    assert sum_corrections([]) is None
