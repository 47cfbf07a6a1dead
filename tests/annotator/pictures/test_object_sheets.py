"""Objects in their surroundings, and the sheets that they are laid out on."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.core.objects import Image, objects_from_masks
from annotator.pictures.object_tiles import TILE, Example, cluster_sheet, in_context

RED = (200, 0, 0)


def square_at(x, y, side=20, shape=(100, 120)):
    """A dark square on a pale field, and its object."""
    pixels = np.full((*shape, 3), 220, np.uint8)
    pixels[y : y + side, x : x + side] = 60
    image = Image.from_pixels(pixels)
    return image, objects_from_masks(image.id, shape, [((y, x), np.ones((side, side), bool))])


def red(tile):
    """Pixels of the outline, (TILE, TILE) bool."""
    return (tile == RED).all(axis=2)


def test_the_outline_runs_around_the_object_in_the_middle():
    tile = in_context(*square_at(50, 40), 0, RED)
    assert tile.shape == (TILE, TILE, 3)
    rows, columns = np.nonzero(red(tile))
    # 20 px in a window of 44: 3 times as large
    assert abs(rows.min() - 36) <= 2 and abs(rows.max() - 95) <= 2
    assert abs(columns.min() - 36) <= 2 and abs(columns.max() - 95) <= 2
    assert not red(tile)[50:80, 50:80].any()
    assert (tile[60:70, 60:70] < 70).all() and (tile[5:25, 5:25] > 210).all()


def test_holes_are_outlined_too():
    image, _ = square_at(50, 40)
    mask = np.ones((20, 20), bool)
    mask[6:14, 6:14] = False
    ring = objects_from_masks(image.id, image.shape, [((40, 50), mask)])
    assert red(in_context(image, ring, 0, RED))[50:80, 50:80].any()


@pytest.mark.parametrize(("x", "y"), [(0, 0), (100, 80), (0, 80)])
def test_at_the_border_the_window_stays_inside_the_image(x, y):
    tile = in_context(*square_at(x, y), 0, RED)
    rows, columns = np.nonzero(red(tile))
    assert (rows.min() == 0) == (y == 0) and (rows.max() == TILE - 1) == (y == 80)
    assert (columns.min() == 0) == (x == 0) and (columns.max() == TILE - 1) == (x == 100)
    assert not (tile == 190).all(axis=2).any()


def test_an_object_as_large_as_its_image_fits():
    tile = in_context(*square_at(0, 0, 100, (100, 100)), 0, RED)
    rows, _ = np.nonzero(red(tile))
    assert TILE * 0.2 < rows.min() < rows.max() < TILE * 0.8
    # the surroundings are beyond the image
    assert (tile[0] == 190).all() and (tile[:, -1] == 190).all()


def test_a_speck_is_enlarged_no_further_than_it_shows_anything():
    tile = in_context(*square_at(50, 40, 2), 0, RED)
    rows, _ = np.nonzero(red(tile))
    assert rows.max() - rows.min() <= 12


def test_objects_of_another_image_are_refused():
    image, _ = square_at(5, 5)
    _, others = square_at(5, 5, shape=(90, 90))
    with pytest.raises(ValueError, match=r"\(90, 90\)"):
        in_context(image, others, 0, RED)


def example(value, caption="image 3, object 17"):
    return Example(np.full((TILE, TILE, 3), value, np.uint8), caption)


def test_a_sheet_holds_every_example_once():
    rows = [("typical", [example(10 + n) for n in range(8)]), ("borderline", [example(200)])]
    sheet = cluster_sheet("cluster 3: bone, 120 objects", rows)
    for value in (*range(10, 18), 200):
        assert (sheet == value).all(axis=2).sum() >= TILE * TILE


def test_a_row_without_examples_is_shown_as_empty():
    with_one = cluster_sheet("cluster 1", [("typical", [example(10)]), ("borderline", [])])
    assert with_one.dtype == np.uint8
    assert (with_one == 10).all(axis=2).sum() >= TILE * TILE


def test_names_in_any_script_can_be_written():
    sheet = cluster_sheet("骨髓 cluster", [("typical", [example(10, "骨髓1 " * 20)])])
    assert sheet.shape[1] == cluster_sheet("a", []).shape[1]


def test_sheets_are_the_same_bytes_every_time():
    rows = [("typical", [example(10)])]
    assert cluster_sheet("a", rows).tobytes() == cluster_sheet("a", rows).tobytes()


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 3"):
        Example(np.zeros((3, 3, 3), np.uint8), "a")
