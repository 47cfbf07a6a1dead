"""The cell mask on drawings, and the white that no object claims."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from annotator.core.objects import Image, objects_from_masks
from annotator.imaging.appearance import Appearance
from annotator.segmentation import cell_mask as cellmask
from annotator.segmentation.cell_mask import solid_white
from annotator.settings.annotation import CellMaskSettings

SHAPE = (120, 160)
PINK, SLIDE = (205, 120, 170), (236, 230, 238)
ADAPTIVE, BAMBO = CellMaskSettings(), CellMaskSettings(preset="bambo")
NO_BONE = np.zeros(SHAPE, np.bool_)


def disk(x, y, radius, shape=SHAPE):
    mask = np.zeros(shape, np.uint8)
    cv2.circle(mask, (x, y), radius, 1, -1)
    return mask > 0


def image(white, um_per_px=0.5, slide=SLIDE, stain=PINK):
    """Tissue of one stain with white where the mask says so."""
    pixels = np.where(white[..., None], np.array(slide), np.array(stain))
    return Image.from_pixels(pixels.astype(np.uint8), um_per_px)


def noise(seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
    return Image.from_pixels(pixels, 0.5)


def objects(of, *masks):
    return objects_from_masks(of.id, of.shape, [((0, 0), mask) for mask in masks])


def nothing(of):
    return objects(of)


def cell_mask(of, bone, settings):
    seen = Appearance(of)
    stained = cellmask.stained_mask(seen, solid_white(seen, settings), settings)
    return cellmask.cell_mask(stained, bone)


def claim_white(of, old, settings):
    seen = Appearance(of)
    return cellmask.claim_white(seen, old, solid_white(seen, settings), settings)


# The preset bambo: the published threshold, pixel by pixel.


def test_bambo_is_its_formula():
    picture, bone = noise(), disk(80, 60, 30)
    red, green, blue = np.moveaxis(picture.pixels, 2, 0)
    white = (red >= 170) & (green >= 170) & (blue >= 170)
    assert np.array_equal(cell_mask(picture, bone, BAMBO), ~white & ~bone)


@pytest.mark.parametrize(
    ("colour", "is_cell"),
    [((170, 170, 170), False), ((169, 255, 255), True), ((255, 255, 169), True)],
)
def test_bambo_at_its_limit(colour, is_cell):
    picture = Image.from_pixels(np.full((*SHAPE, 3), colour, np.uint8), 0.5)
    assert (cell_mask(picture, NO_BONE, BAMBO) == is_cell).all()


def test_bambo_takes_a_stain_paler_than_its_threshold_for_white_and_adaptive_does_not():
    picture = image(disk(80, 60, 40), stain=(225, 175, 210))
    assert not cell_mask(picture, NO_BONE, BAMBO).any()
    assert (cell_mask(picture, NO_BONE, ADAPTIVE) == disk(80, 60, 40)).mean() < 0.02


# Both presets


@pytest.mark.parametrize("settings", [ADAPTIVE, BAMBO], ids=lambda s: s.preset)
def test_the_mask_is_the_tissue_without_bone(settings):
    white, bone = disk(50, 60, 35), np.zeros(SHAPE, np.bool_)
    bone[:, 120:] = True
    mask = cell_mask(image(white), bone, settings)
    assert mask.shape == SHAPE and mask.dtype == np.bool_
    assert not (mask & bone).any()
    assert (mask != (~white & ~bone)).mean() < 0.01


@pytest.mark.parametrize("settings", [ADAPTIVE, BAMBO], ids=lambda s: s.preset)
@pytest.mark.parametrize("seed", range(3))
def test_no_cell_lies_in_bone_whatever_the_image(settings, seed):
    bone = np.random.default_rng(seed).random(SHAPE) < 0.3
    assert not (cell_mask(noise(seed), bone, settings) & bone).any()


@pytest.mark.parametrize("settings", [ADAPTIVE, BAMBO], ids=lambda s: s.preset)
def test_bone_everywhere_leaves_no_cell(settings):
    assert not cell_mask(noise(), ~NO_BONE, settings).any()


# The preset adaptive


@pytest.mark.parametrize("um_per_px", [0.25, 0.5, 1.0])
def test_gaps_between_cells_belong_to_the_tissue_and_lumens_do_not(um_per_px):
    # 30 um2 and 400 um2 as disks
    gap, lumen = (round((area / np.pi) ** 0.5 / um_per_px) for area in (30, 400))
    picture = image(disk(30, 60, gap) | disk(100, 60, lumen), um_per_px)
    mask = cell_mask(picture, NO_BONE, ADAPTIVE)
    assert mask[disk(30, 60, gap)].all()
    assert mask[disk(100, 60, lumen)].mean() < 0.05


def test_thin_clefts_belong_to_the_tissue():
    cleft = np.zeros(SHAPE, np.bool_)
    cleft[60:62, 10:150] = True
    assert cell_mask(image(cleft | disk(80, 20, 15)), NO_BONE, ADAPTIVE)[cleft].all()


def test_the_size_of_a_gap_is_a_setting():
    white = disk(30, 60, 6) | disk(110, 60, 30)  # 113 px = 28 um2
    for gap, is_cell in ((10.0, False), (60.0, True)):
        mask = cell_mask(image(white), NO_BONE, CellMaskSettings(gap_um2=gap))
        assert mask[60, 30] == is_cell


@pytest.mark.parametrize(
    "slide", [(206, 206, 206), (250, 250, 250), (205, 208, 222), (250, 246, 228)], ids=str
)
def test_the_white_is_that_of_the_slide(slide):
    white = disk(80, 60, 45)
    assert (cell_mask(image(white, slide=slide), NO_BONE, ADAPTIVE) != ~white).mean() < 0.01


def test_the_edge_has_no_frayed_pixels():
    white = disk(80, 60, 40)
    speckled = white & (np.random.default_rng(0).random(SHAPE) > 0.02)
    mask = cell_mask(image(speckled), NO_BONE, ADAPTIVE)
    count, _ = cv2.connectedComponents((~mask).astype(np.uint8))
    assert count == 2  # the outside of the white, and one lumen


def test_solid_white_is_white_and_the_rest_of_the_mask():
    picture = image(disk(80, 60, 40))
    white = solid_white(Appearance(picture), ADAPTIVE)
    assert np.array_equal(cell_mask(picture, NO_BONE, ADAPTIVE), ~white)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (32, 32)])
@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("settings", [ADAPTIVE, BAMBO], ids=lambda s: s.preset)
def test_tiny_images_of_one_colour(shape, value, settings):
    picture = Image.from_pixels(np.full((*shape, 3), value, np.uint8), 0.5)
    mask = cell_mask(picture, np.zeros(shape, np.bool_), settings)
    assert mask.shape == shape
    assert mask.all() if value == 0 else (not mask.any() or mask.size < 240)


def test_nothing_is_changed():
    picture, bone = noise(), disk(80, 60, 30)
    before = bone.copy()
    cell_mask(picture, bone, ADAPTIVE)
    assert np.array_equal(bone, before)


# White that nobody claims


def test_every_unclaimed_piece_of_white_becomes_an_object():
    one, two, three = disk(30, 60, 20), disk(80, 60, 20), disk(130, 60, 20)
    picture = image(one | two | three)
    claimed = claim_white(picture, objects(picture, two), ADAPTIVE)
    assert len(claimed) == 3
    for index, want in ((1, one), (2, three)):
        got = claimed.full_mask(index)
        assert np.count_nonzero(got & want) > 0.9 * np.count_nonzero(want)
        assert not (got & ~want).any()
    assert claimed.by_source() == {"superpixel": 1, "white": 2}


def test_the_old_objects_come_first_and_stay_as_they_are():
    white = disk(40, 60, 30) | disk(120, 60, 30)
    picture = image(white)
    old = objects(picture, disk(40, 60, 30), disk(20, 10, 5), disk(25, 12, 6))
    old = old.select(np.array([2, 0]))
    claimed = claim_white(picture, old, ADAPTIVE)
    assert claimed.ids.tolist() == [3, 1, 4]
    for index in range(2):
        assert np.array_equal(claimed.full_mask(index), old.full_mask(index))
    assert np.isnan(claimed.scores).all()


def test_new_ids_are_unique_and_above():
    picture = image(disk(30, 60, 20) | disk(80, 60, 20) | disk(130, 60, 20))
    old = objects(picture, disk(30, 10, 4), disk(60, 10, 4))
    ids = claim_white(picture, old, ADAPTIVE).ids.tolist()
    assert ids == [1, 2, 3, 4, 5]


def test_what_is_added_overlaps_nothing_and_is_white():
    rng = np.random.default_rng(3)
    white = np.zeros(SHAPE, np.bool_)
    for y, x in rng.integers((0, 0), SHAPE, (12, 2)).tolist():
        white |= disk(x, y, 14)
    picture = image(white)
    old = objects(picture, disk(40, 40, 30), disk(60, 60, 30))
    claimed = claim_white(picture, old, ADAPTIVE)
    assert len(claimed) > len(old)
    new = claimed.select(np.arange(len(old), len(claimed))).coverage()
    assert new.max() == 1
    assert not (new.astype(bool) & (old.coverage() > 0)).any()
    assert not (new.astype(bool) & ~white).any()
    assert np.array_equal(claimed.coverage(), old.coverage() + new)


def test_white_that_is_claimed_or_a_gap_adds_nothing():
    picture = image(disk(80, 60, 30) | disk(20, 20, 3))
    old = objects(picture, disk(80, 60, 32))
    assert claim_white(picture, old, ADAPTIVE) is old


def test_without_any_object_all_solid_white_is_claimed():
    picture = image(disk(80, 60, 30))
    claimed = claim_white(picture, nothing(picture), ADAPTIVE)
    assert claimed.ids.tolist() == [1]
    all_white = image(~NO_BONE)
    assert claim_white(all_white, nothing(all_white), ADAPTIVE).areas().tolist() == [120 * 160]
    assert len(claim_white(image(NO_BONE), nothing(image(NO_BONE)), ADAPTIVE)) == 0


def test_claiming_twice_adds_nothing_more():
    picture = image(disk(30, 60, 20) | disk(130, 60, 20))
    once = claim_white(picture, nothing(picture), ADAPTIVE)
    assert len(claim_white(picture, once, ADAPTIVE)) == len(once)
