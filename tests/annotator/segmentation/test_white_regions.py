"""Cutting white into adipocytes, on drawings whose cut anybody can see."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from annotator.imaging.masks import drop_small, open_mask
from annotator.segmentation.region import Region, join
from annotator.segmentation.white_regions import white_regions, white_sizes

THRESHOLD = 15.0
WHITE, STAIN = 2.0, 45.0
SIZES = white_sizes(0.5)
SHAPE = (160, 240)


def canvas(value=STAIN, shape=SHAPE):
    return np.full(shape, value, np.float32)


def disk(plane, x, y, radius, value=WHITE):
    cv2.circle(plane, (x, y), radius, value, -1)
    return plane


def line(plane, start, end, width, value):
    cv2.line(plane, start, end, value, width)
    return plane


def inside(x, y, radius, shape=SHAPE):
    return disk(np.zeros(shape, np.uint8), x, y, radius, 1) > 0


def cut(plane):
    return white_regions(plane, THRESHOLD, SIZES)


def regions(labels):
    """Masks, the largest first."""
    masks = [labels == value for value in np.unique(labels) if value]
    return sorted(masks, key=np.count_nonzero, reverse=True)


def iou(one, two):
    return np.count_nonzero(one & two) / np.count_nonzero(one | two)


def same_partition(one, two):
    """Smallest IoU of the regions of one map with their best partners in the other."""
    a, b = regions(one), regions(two)
    return min(max(iou(x, y) for y in b) for x in a) if len(a) == len(b) else 0.0


def two_disks():
    return disk(disk(canvas(), 75, 80, 40), 145, 80, 40)


def halved(value, width=3):
    """One disk under a line."""
    return line(disk(canvas(), 120, 80, 45), (120, 20), (120, 140), width, value)


# One by one


def test_a_disk_is_one_region_of_its_own_shape():
    (found,) = regions(cut(disk(canvas(), 120, 80, 45)))
    assert iou(found, inside(120, 80, 45)) > 0.97


def test_an_ellipse_is_one_region():
    plane = canvas()
    cv2.ellipse(plane, (120, 80), (80, 40), 20, 0, 360, WHITE, -1)
    (found,) = regions(cut(plane))
    assert iou(found, plane == WHITE) > 0.97


def test_two_overlapping_disks_are_cut_in_two_at_the_neck():
    left, right = sorted(regions(cut(two_disks())), key=lambda m: np.argmax(m.any(axis=0)))
    assert iou(left, inside(75, 80, 40) & (np.arange(240) < 110)) > 0.95
    assert iou(right, inside(145, 80, 40) & (np.arange(240) >= 110)) > 0.95


def test_a_chain_of_three_is_cut_in_three():
    plane = disk(disk(disk(canvas(), 45, 80, 34), 105, 80, 34), 165, 80, 34)
    assert len(regions(cut(plane))) == 3


def test_small_and_large_disks_that_touch_are_two():
    plane = disk(disk(canvas(), 90, 80, 50), 155, 80, 22)
    large, small = regions(cut(plane))
    assert iou(large, inside(90, 80, 50)) > 0.9
    assert iou(small, inside(155, 80, 22)) > 0.8


# Lines: a fold lies over one adipocyte, a membrane between two.


@pytest.mark.parametrize("value", [10.0, 17.0])
def test_a_disk_under_a_faint_fold_stays_one(value):
    (found,) = regions(cut(halved(value)))
    assert iou(found, inside(120, 80, 45)) > 0.95


@pytest.mark.parametrize("value", [40.0, 60.0])
def test_halves_on_both_sides_of_a_stained_line_stay_two(value):
    one, two = regions(cut(halved(value, width=3)))
    assert np.count_nonzero(two) > 0.8 * np.count_nonzero(one)


def test_two_disks_with_a_membrane_between_stay_two():
    plane = line(two_disks(), (110, 30), (110, 130), 3, STAIN)
    assert len(regions(cut(plane))) == 2


def test_a_fold_that_runs_out_of_the_image_cuts_nothing():
    plane = line(disk(canvas(), 120, 0, 60), (120, 0), (120, 70), 3, 17.0)
    (found,) = regions(cut(plane))
    assert iou(found, inside(120, 0, 60)) > 0.95


def test_two_folds_that_cross_cut_nothing():
    plane = halved(17.0)
    line(plane, (60, 80), (180, 80), 3, 17.0)
    (found,) = regions(cut(plane))
    assert iou(found, inside(120, 80, 45)) > 0.93


# Debris and holes


def test_small_holes_are_filled_and_large_ones_are_not():
    speck = disk(disk(canvas(), 120, 80, 45), 120, 80, 6, STAIN)
    (found,) = regions(cut(speck))
    assert iou(found, inside(120, 80, 45)) > 0.97
    clump = disk(disk(canvas(), 120, 80, 64), 135, 90, 22, STAIN)
    (found,) = regions(cut(clump))
    assert iou(found, inside(120, 80, 64)) > 0.97
    island = disk(disk(canvas(), 120, 80, 78), 120, 80, 40, STAIN)
    assert not (cut(island) > 0)[70:91, 110:131].any()


def test_debris_against_the_membrane_does_not_dent_an_adipocyte():
    plane = disk(disk(canvas(), 120, 80, 45), 120, 40, 6, STAIN)
    (found,) = regions(cut(plane))
    assert iou(found, inside(120, 80, 45)) > 0.97


def test_a_gap_between_cells_is_no_region():
    assert not cut(disk(canvas(), 120, 80, 4)).any()


# The image border


@pytest.mark.parametrize(("x", "y"), [(0, 80), (239, 80), (120, 0), (120, 159), (0, 0)])
def test_a_disk_cut_by_the_border_reaches_it(x, y):
    (found,) = regions(cut(disk(canvas(), x, y, 45)))
    want = inside(x, y, 45)
    assert iou(found, want) > 0.97
    assert found[np.clip(y, 0, 159), np.clip(x, 0, 239)]


# Extremes


def test_nothing_white_gives_nothing():
    assert not cut(canvas()).any()


def test_all_white_is_claimed_whole():
    labels = cut(canvas(WHITE))
    assert (labels > 0).all()
    assert len(regions(labels)) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (5, 3), (32, 32)])
@pytest.mark.parametrize("value", [WHITE, STAIN])
def test_tiny_planes(shape, value):
    labels = cut(canvas(value, shape))
    assert labels.shape == shape and labels.dtype == np.int32
    assert not labels.any() or value == WHITE


def scene(seed=0):
    """Disks here and there, some touching, some under folds, with noise."""
    rng = np.random.default_rng(seed)
    plane = canvas(shape=(260, 340))
    for x, y, r in ((60, 60, 38), (130, 66, 36), (230, 70, 48), (70, 170, 44), (160, 165, 35)):
        disk(plane, x, y, r)
    disk(plane, 260, 200, 50)
    line(plane, (260, 140), (262, 262), 3, 17.0)
    return plane + rng.normal(0, 0.7, plane.shape).astype(np.float32)


def test_regions_are_disjoint_connected_and_white_or_filled():
    plane = scene()
    labels = cut(plane)
    assert labels.shape == plane.shape and labels.dtype == np.int32
    for mask in regions(labels):
        assert cv2.connectedComponents(mask.astype(np.uint8))[0] == 2
        assert (plane[mask] <= THRESHOLD).mean() > 0.9


def test_the_scene_is_cut_as_drawn():
    assert len(regions(cut(scene()))) == 6


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)], ids=["vertical", "horizontal", "both"])
def test_flipping_flips_the_result(axes):
    plane = scene()
    flipped = np.ascontiguousarray(np.flip(plane, axes))
    assert same_partition(cut(plane), np.flip(cut(flipped), axes)) > 0.95


def test_two_runs_are_equal_and_the_plane_stays_as_it_is():
    plane = scene()
    before = plane.copy()
    assert np.array_equal(cut(plane), cut(plane))
    assert np.array_equal(plane, before)


@pytest.mark.parametrize(("um_per_px", "zoom"), [(0.25, 2), (1.0, 0.5)])
def test_another_scale_gives_the_same_cut(um_per_px, zoom):
    plane = cv2.resize(scene(), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    labels = white_regions(plane, THRESHOLD, white_sizes(um_per_px))
    assert len([m for m in regions(labels) if np.count_nonzero(m) > 300 * zoom**2]) == 6


def test_sizes_follow_the_scale():
    fine, coarse = white_sizes(0.25), white_sizes(1.0)
    assert fine.adipocyte == pytest.approx(4 * coarse.adipocyte)
    assert fine.hole_area == pytest.approx(16 * coarse.hole_area)
    assert min(coarse.fold, coarse.gap_area) >= 1


# The parts it is made of


def test_opening_removes_what_is_thin_and_spares_the_border():
    mask = np.zeros((40, 60), np.bool_)
    mask[10:30, :20] = True
    mask[19:22, 20:50] = True
    opened = open_mask(mask, 4)
    assert not opened[:, 25:].any()
    assert opened[15:25, 0].all()
    assert open_mask(mask, 0.5) is mask


def test_dropping_small_components_is_exact():
    mask = np.zeros((20, 20), np.bool_)
    mask[2:5, 2:6] = True
    mask[10:13, 10:14] = True
    mask[13, 14] = True  # touches by a corner only: a component of its own
    assert np.count_nonzero(drop_small(mask, 12)) == 24
    assert np.count_nonzero(drop_small(mask, 13)) == 0
    assert np.array_equal(drop_small(mask, 1), mask)


def test_a_part_measures_itself():
    square = Region(3, 4, np.ones((21, 21), np.bool_))
    assert (square.area, square.notch) == (441, 0.0)
    assert square.radius == pytest.approx(11, abs=1)
    assert square.solidity == pytest.approx(1.0, abs=0.01)
    notched = square.mask.copy()
    notched[:10, 9:12] = False
    assert Region(0, 0, notched).notch > 6
    assert Region(0, 0, notched).solidity < 0.95


def test_a_disk_is_rounder_than_a_bar():
    round_one = Region(0, 0, inside(40, 40, 30, (81, 81)))
    bar = Region(0, 0, np.ones((6, 60), np.bool_))
    assert round_one.circularity > 0.85 > 0.5 > bar.circularity


def test_joining_closes_the_gap_and_stays_in_the_image():
    halves = [Region(0, 0, np.ones((20, 30), np.bool_)), Region(24, 0, np.ones((16, 30), np.bool_))]
    whole = join(halves, 6.0, (40, 30))
    assert (whole.y, whole.x, whole.mask.shape) == (0, 0, (40, 30))
    assert whole.mask.all()
    apart = join(halves, 1.5, (40, 30))
    assert apart.area == 36 * 30
