import sys

import numpy as np
import pytest
from stock_sam import stock_generator

from annotator.sam_masks import box_nms, clean_mask


@pytest.mark.parametrize("area", [1, 4, 9, 30])
def test_clean_mask_decides_on_its_window_as_on_the_whole_frame(area: int) -> None:
    with stock_generator():
        reference = sys.modules["segment_anything.utils.amg"].remove_small_regions
    rng = np.random.default_rng(area)
    for _ in range(40):
        full = np.zeros((24, 30), bool)
        y, x = rng.integers(0, 12, 2)
        height, width = rng.integers(1, 13, 2)
        full[y : y + height, x : x + width] = rng.random((height, width)) < rng.uniform(0.3, 0.95)
        full[y, x] = True
        filled, holes = reference(full, area, "holes")
        expected, islands = reference(filled, area, "islands")

        (top, left), mask, changed = clean_mask(
            (y, x), full[y : y + height, x : x + width], full.shape, area
        )
        ours = np.zeros_like(full)
        ours[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        np.testing.assert_array_equal(ours, expected)
        assert changed == (holes or islands)


def test_box_nms_of_equal_scores_keeps_the_first() -> None:
    boxes = np.array([[0, 0, 10, 10]] * 3, np.int32)
    assert box_nms(boxes, np.ones(3, np.float32), 0.5).tolist() == [0]


def test_box_nms_of_nothing() -> None:
    assert box_nms(np.zeros((0, 4), np.int32), np.zeros(0, np.float32), 0.5).tolist() == []


def test_lines_of_no_area_suppress_nothing() -> None:
    boxes = np.array([[0, 0, 1, 10], [0, 0, 1, 10]], np.int32)
    assert box_nms(boxes, np.array([0.5, 0.6], np.float32), 0.5).tolist() == [1, 0]
