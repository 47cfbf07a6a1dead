import numpy as np
import pytest
from support.drawn_sam import disc

from annotator.core.classes import BONE, CELL, FAT
from annotator.core.objects import Image, objects_from_masks
from annotator.imaging.appearance import Appearance
from annotator.segmentation.sam.prompts import (
    Ground,
    deepest_points,
    find_ground,
    points_inside,
    region_prompts,
)
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import phantom_set

NOTHING = np.zeros((80, 120), bool)


def test_each_disc_has_one_point_in_its_middle_largest_first() -> None:
    points, radius = deepest_points(disc(30, 30, 12) | disc(50, 90, 20), 3)
    np.testing.assert_allclose(points, [[90, 50], [30, 30]], atol=1)
    np.testing.assert_allclose(radius, [20, 12], atol=1.5)


def test_two_discs_that_run_into_each_other_have_two_points() -> None:
    points, _ = deepest_points(disc(40, 40, 16) | disc(40, 68, 15), 3)
    np.testing.assert_allclose(points, [[40, 40], [68, 40]], atol=2)


def test_the_edge_of_the_image_is_an_edge() -> None:
    points, _ = deepest_points(np.ones((40, 40), bool), 3)
    np.testing.assert_allclose(points, [[20, 20]], atol=1)


@pytest.mark.parametrize("mask", [NOTHING, disc(40, 60, 3)], ids=["nothing", "too small"])
def test_nothing_deep_enough_has_no_point(mask: np.ndarray) -> None:
    points, radius = deepest_points(mask, 4)
    assert points.shape == (0, 2)
    assert radius.shape == (0,)
    assert points_inside(mask, 20, 4).shape == (0, 2)


def test_a_grid_has_a_point_in_each_square_that_the_mask_reaches() -> None:
    mask = NOTHING.copy()
    mask[:, :60] = True
    points = points_inside(mask, 40, 5)
    assert len(points) == 4
    assert {(int(x // 40), int(y // 40)) for x, y in points} == {(0, 0), (1, 0), (0, 1), (1, 1)}
    assert all(mask[int(y), int(x)] for x, y in points)


def test_finer_grids_have_more_points() -> None:
    mask = disc(40, 60, 35)
    assert len(points_inside(mask, 40, 2)) < len(points_inside(mask, 20, 2))


def test_ground_follows_the_classes_of_a_phantom() -> None:
    settings = phantom_set(8, (300, 480), 3)[2]
    phantom = make_phantom(settings)
    ground = find_ground(Appearance(phantom.image))
    white = np.isin(phantom.classes, (0, 1))
    assert (ground.white & white).sum() > 0.9 * ground.white.sum()
    assert (ground.white & white).sum() > 0.8 * white.sum()
    assert not (ground.white & ground.smooth).any()
    assert not (ground.white & ground.open).any()
    assert not (ground.smooth & ground.open).any()


@pytest.mark.slow
def test_a_field_of_nuclei_has_no_ground_for_prompts() -> None:
    rng = np.random.default_rng(0)
    pixels = np.full((300, 300, 3), (205, 140, 185), np.uint8)
    for y, x in rng.integers(0, 300, (900, 2)):
        pixels[disc(y, x, 6, (300, 300))] = (80, 50, 130)
    noisy = np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)
    ground = find_ground(Appearance(Image.from_pixels(noisy, 0.5)))
    assert (ground.white | ground.smooth | ground.open).mean() < 0.02


@pytest.mark.parametrize("value", [0, 128, 255])
def test_flat_images_are_no_trouble(value: int) -> None:
    ground = find_ground(Appearance(Image.from_pixels(np.full((40, 50, 3), value, np.uint8))))
    assert ground.white.shape == ground.smooth.shape == ground.open.shape == (40, 50)


def test_regions_of_worth_become_points_and_boxes_of_their_tile() -> None:
    masks = [disc(20, 30, 10), disc(50, 90, 16), disc(60, 20, 12)]
    regions = objects_from_masks("0" * 16, (80, 120), [((0, 0), m) for m in masks])
    # Of the tile that begins at x 40: the first region lies outside, the third has no worth.
    tile = (20, 10, 120, 80)
    white = (masks[0] | masks[1])[10:, 20:]
    ground = Ground(white, np.zeros_like(white), np.zeros_like(white))
    prompts = region_prompts(regions, tile, ground)
    np.testing.assert_allclose(prompts.points, [[70, 40], [10, 10]], atol=1)
    np.testing.assert_allclose(prompts.radius, [16, 10], atol=1)
    assert prompts.boxes[1].tolist() == [1, 1, 20, 20]


def test_a_region_beyond_the_tile_gives_it_no_prompt() -> None:
    regions = objects_from_masks("0" * 16, (80, 120), [((0, 0), disc(20, 30, 10))])
    ground = Ground(*(np.ones((80, 60), bool) for _ in range(3)))
    assert len(region_prompts(regions, (60, 0, 120, 80), ground).points) == 0


def test_ground_by_a_network_is_its_bone_and_no_cells_but_wide_gaps() -> None:
    height, width = 120, 160
    pixels = np.full((height, width, 3), (200, 120, 160), np.uint8)
    named = np.full((height, width), CELL)
    named[:, :50] = BONE
    named[20:60, 60:100] = FAT
    # A wide and a narrow gap in what the network names cell.
    pixels[80:110, 100:130] = pixels[80:110, 150:153] = pixels[20:60, 60:100] = 244
    planes = np.zeros((6, height, width), np.float32)
    np.put_along_axis(planes, named[None].astype(np.int64), 1.0, axis=0)
    image = Image.from_pixels(pixels, 0.5)
    ground = find_ground(Appearance(image).seen_by("network", planes))
    assert ground.smooth[60, 25] and not ground.smooth[:, 60:].any()
    assert ground.white[40, 80] and ground.white[95, 115] and not ground.white[95, 151]
    assert not ground.open.any()
