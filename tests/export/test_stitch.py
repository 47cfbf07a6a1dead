"""Hand-drawn fields with the expected maps written out, and invariants on random ones."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.errors import SettingsError
from annotator.core.label_maps import LabelMaps
from annotator.core.objects import ImageObjects, objects_from_masks
from annotator.settings.annotation import StitchSettings
from export.stitch import stitch, unlabelled_reasons

NO_SPECKS = StitchSettings(fragment_share=0.0, fragment_px=0)


def drawn(*pictures: str) -> ImageObjects:
    """One object a picture; rows are divided by blanks, ``#`` is the mask."""
    masks = [np.array([[c == "#" for c in row] for row in p.split()]) for p in pictures]
    shape = (masks[0].shape[0], masks[0].shape[1])
    return objects_from_masks("drawn", shape, [((0, 0), mask) for mask in masks])


def codes_of(*codes: int) -> np.ndarray:
    return np.array(codes, np.uint8)


def everywhere(objects: ImageObjects) -> np.ndarray:
    return np.ones(objects.shape, bool)


def random_field(seed: int, count: int = 60) -> tuple[ImageObjects, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (150, 200)
    parts = []
    for _ in range(count):
        mask = np.zeros(shape, np.uint8)
        centre = (int(rng.integers(200)), int(rng.integers(150)))
        axes = (int(rng.integers(1, 22)), int(rng.integers(1, 22)))
        cv2.ellipse(mask, centre, axes, float(rng.integers(180)), 0, 360, 1, -1)
        parts.append(((0, 0), mask.astype(bool)))
    objects = objects_from_masks("random", shape, parts)
    codes = rng.choice([BG, FAT, FAT, FAT, CELL, BONE, UNLABELLED], len(objects)).astype(np.uint8)
    return objects, codes, rng.random(shape) < 0.9


def test_declared_order_decides_overlaps() -> None:
    objects = drawn("###..", ".###.", "..###")
    out = stitch(objects, codes_of(BG, FAT, BONE), everywhere(objects), NO_SPECKS)
    assert out.classes.tolist() == [[BG, FAT, BONE, BONE, BONE]]
    assert out.instances.tolist() == [[0, 2, 3, 3, 3]]
    other = StitchSettings(("bg", "cell", "fat", "bone"), 0.0, 0)
    cell = np.array([[False, False, False, True, False]])
    out = stitch(objects, codes_of(BG, FAT, BONE), cell, other)
    assert out.classes.tolist() == [[BG, BG, BG, CELL, BONE]]
    assert out.instances.tolist() == [[0, 0, 0, 0, 3]]


def test_cell_objects_are_thrown_away_and_reasons_counted() -> None:
    objects = drawn("##....", "..##..", "....#.")
    cell = np.array([[True, False, False, False, False, False]])
    codes = codes_of(CELL, BG, UNLABELLED)
    out = stitch(objects, codes, cell)
    assert out.classes.tolist() == [[CELL, 255, BG, BG, 255, 255]]
    assert unlabelled_reasons(out, objects, codes) == {
        "cell object outside the cell mask": 1,
        "object without a class": 1,
        "speck cut off an object": 0,
        "no object": 1,
    }


def test_touching_fat_gets_a_membrane_from_the_later_one() -> None:
    objects = drawn("###.... ###.... ###....", "...#### ...#### ...####")
    out = stitch(objects, codes_of(FAT, FAT), everywhere(objects))
    assert out.classes.tolist() == [[FAT] * 3 + [CELL] + [FAT] * 3] * 3
    assert out.instances.tolist() == [[1, 1, 1, 0, 2, 2, 2]] * 3


def test_fat_that_touches_by_a_corner_is_parted_too() -> None:
    objects = drawn("##.. ##.. .... ....", ".... .... ..## ..##")
    out = stitch(objects, codes_of(FAT, FAT), everywhere(objects), NO_SPECKS)
    assert out.instances.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 2], [0, 0, 2, 2]]


def test_touching_bone_keeps_both_ids_and_gets_no_membrane() -> None:
    objects = drawn("##..", "..##")
    out = stitch(objects, codes_of(BONE, BONE), everywhere(objects))
    assert out.instances.tolist() == [[1, 1, 2, 2]]


def test_cut_object_keeps_its_id_on_the_largest_piece() -> None:
    objects = drawn("##########", "...##.....")
    out = stitch(objects, codes_of(FAT, BONE), everywhere(objects), NO_SPECKS)
    assert out.instances.tolist() == [[3, 3, 3, 2, 2, 1, 1, 1, 1, 1]]
    assert out.split_from == ((3, 1),)


def test_specks_go_to_what_surrounds_them() -> None:
    objects = drawn("......... .######## .........", "......... ..##..... .........")
    codes = codes_of(FAT, BONE)
    out = stitch(objects, codes, everywhere(objects), StitchSettings(fragment_px=2))
    assert out.classes[1].tolist() == [CELL, CELL, BONE, BONE, FAT, FAT, FAT, FAT, FAT]
    nowhere = np.zeros(objects.shape, bool)
    out = stitch(objects, codes, nowhere, StitchSettings(fragment_px=2))
    assert out.classes[1].tolist() == [255, BONE, BONE, BONE, FAT, FAT, FAT, FAT, FAT]
    assert out.instances[1, 1] == 2


def test_a_speck_with_nothing_around_is_unlabelled_and_says_why() -> None:
    objects = drawn("#...######")
    out = stitch(objects, codes_of(FAT), np.zeros((1, 10), bool), StitchSettings(fragment_px=2))
    assert out.classes.tolist() == [[255] * 4 + [FAT] * 6]
    reasons = unlabelled_reasons(out, objects, codes_of(FAT))
    assert (reasons["speck cut off an object"], reasons["no object"]) == (1, 3)


def test_no_objects_at_all() -> None:
    objects = objects_from_masks("none", (2, 3), [])
    out = stitch(objects, codes_of(), np.eye(2, 3, dtype=bool))
    assert out.classes.tolist() == [[CELL, 255, 255], [255, CELL, 255]]
    assert unlabelled_reasons(out, objects, codes_of())["no object"] == 4


@pytest.mark.parametrize("seed", range(12))
def test_components_of_fat_are_its_instances(seed: int) -> None:
    out = stitch(*random_field(seed))
    fat = out.classes == FAT
    ids = np.unique(out.instances[fat])
    for structure in (None, np.ones((3, 3))):
        labels, count = ndimage.label(fat, structure)
        pairs = np.unique(np.stack([labels[fat], out.instances[fat]]), axis=1)
        assert pairs.shape[1] == count == len(ids)


@pytest.mark.parametrize("seed", range(6))
def test_order_of_the_objects_does_not_matter(seed: int) -> None:
    objects, codes, cell = random_field(seed)
    turned = np.random.default_rng(seed).permutation(len(objects))
    one = stitch(objects, codes, cell)
    two = stitch(objects.select(turned), codes[turned], cell)
    assert np.array_equal(one.classes, two.classes)
    assert np.array_equal(one.instances, two.instances)
    assert one.split_from == two.split_from


@pytest.mark.parametrize("seed", range(6))
def test_reasons_add_up_and_bone_is_never_lost(seed: int) -> None:
    objects, codes, cell = random_field(seed)
    out = stitch(objects, codes, cell)
    reasons = unlabelled_reasons(out, objects, codes)
    assert sum(reasons.values()) == np.count_nonzero(out.classes == UNLABELLED) > 0
    bone = objects.select(codes == BONE).coverage() > 0
    assert np.all(out.classes[bone] == BONE)


@pytest.mark.parametrize("seed", range(6))
def test_split_parts_lie_in_their_object(seed: int) -> None:
    objects, codes, cell = random_field(seed, count=120)
    out = stitch(objects, codes, cell, NO_SPECKS)
    assert out.split_from
    for part, parent in out.split_from:
        mask = objects.full_mask(int(np.flatnonzero(objects.ids == parent)[0]))
        assert np.all(mask[out.instances == part])


def test_results_are_read_only() -> None:
    out = stitch(*random_field(0))
    with pytest.raises(ValueError, match="read-only"):
        out.classes[0, 0] = 1


@pytest.mark.parametrize(
    ("classes", "instances", "message"),
    [
        (np.zeros((2, 2), np.int32), np.zeros((2, 2), np.int32), "classes"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.int32), "instances"),
        (np.full((2, 2), 7, np.uint8), np.zeros((2, 2), np.int32), "0-3"),
        (np.full((2, 2), FAT, np.uint8), np.zeros((2, 2), np.int32), "positive"),
        (np.zeros((2, 2), np.uint8), np.ones((2, 2), np.int32), "0 "),
        (codes_of(FAT, BONE)[None], np.ones((1, 2), np.int32), "one class"),
    ],
)
def test_stitched_refuses_maps_that_do_not_fit(
    classes: np.ndarray, instances: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LabelMaps(classes, instances)


def test_inputs_that_do_not_fit_are_refused() -> None:
    objects = drawn("##..")
    cell = everywhere(objects)
    with pytest.raises(ValueError, match="codes"):
        stitch(objects, codes_of(1, 1), cell)
    with pytest.raises(ValueError, match=r"0-3 .*255"):
        stitch(objects, codes_of(9), cell)
    with pytest.raises(ValueError, match="cell"):
        stitch(objects, codes_of(1), cell[:, :2])
    with pytest.raises(SettingsError, match="bg, fat, cell, bone"):
        StitchSettings(order=("bone", "fat"))


def test_the_adipocytes_of_a_full_field_stay_apart() -> None:
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[-30:31, -30:31]
    corners = rng.integers(0, (1139, 1859), (800, 2)).tolist()
    parts = [((y, x), yy**2 + xx**2 <= rng.integers(100, 900)) for y, x in corners]
    objects = objects_from_masks("big", (1200, 1920), parts)
    codes = rng.integers(0, 4, 800).astype(np.uint8)
    out = stitch(objects, codes, np.ones((1200, 1920), bool))
    fat = out.classes == FAT
    pieces = cv2.connectedComponents(fat.astype(np.uint8), connectivity=8)[0] - 1
    assert pieces == len(np.unique(out.instances[fat])) > 100
