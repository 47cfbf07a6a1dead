"""The sheets that objects in their surroundings are laid out on."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.pictures.object_sheets import Example, caption_lines, cluster_sheet
from annotator.pictures.object_tiles import TILE
from annotator.pictures.overlay import font


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


def test_a_caption_is_whole_and_no_wider_than_its_tile():
    name = "biopsy_2024_MMMMMMMM_slide_0001_level_0_x_1200_y_800"
    *lines, last = caption_lines(f"{name}\nobject 2470")
    assert "".join(lines) == name
    assert last == "object 2470"
    assert len(lines) > 1
    assert all(font(11).getlength(line) <= TILE for line in lines)


def test_long_captions_keep_clear_of_the_row_below():
    long = "biopsy_2024_slide_0001_level_0_x_1200_y_800\nobject 7"
    rows = [("typical", [example(10 + n, long) for n in range(12)])]
    sheet = cluster_sheet("cluster 3", rows)
    for n in range(12):
        assert (sheet == 10 + n).all(axis=2).sum() >= TILE * TILE


def test_sheets_are_the_same_bytes_every_time():
    rows = [("typical", [example(10)])]
    assert cluster_sheet("a", rows).tobytes() == cluster_sheet("a", rows).tobytes()


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 3"):
        Example(np.zeros((3, 3, 3), np.uint8), "a")
