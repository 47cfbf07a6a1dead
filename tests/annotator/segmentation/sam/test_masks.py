import functools
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.stock_sam import batched_nms, stock_generator

from annotator.core.objects import Image
from annotator.segmentation.sam.masks import Candidate, box_nms, clean_mask, finish, pack


def packed(mask: np.ndarray, corner: tuple[int, int] = (0, 0)) -> Candidate:
    candidate = pack(mask, 0.9, 0.8, (3.0, 4.0), corner)
    assert candidate is not None
    return candidate


# Packing


def noise(height: int, width: int) -> np.ndarray:
    mask = np.random.default_rng(height).random((height, width)) < 0.5
    mask[0, 0] = mask[-1, -1] = True
    return mask


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 8), (60, 77), (255, 256), (300, 301)])
@pytest.mark.parametrize("kind", ["noise", "solid"])
def test_a_crop_comes_out_as_it_went_in(shape: tuple[int, int], kind: str) -> None:
    mask = noise(*shape) if kind == "noise" else np.ones(shape, bool)
    candidate = packed(mask)
    assert candidate.box == (0, 0, shape[1], shape[0])
    assert candidate.crop.dtype == bool
    np.testing.assert_array_equal(candidate.crop, mask)


def test_large_masks_wait_deflated_unless_that_makes_them_longer() -> None:
    assert len(packed(np.ones((1200, 1920), bool)).packed) < 5000
    assert len(packed(noise(300, 301)).packed) == -(-300 * 301 // 8)


def test_a_window_of_the_image_is_trimmed_and_placed() -> None:
    window = np.zeros((10, 12), bool)
    window[2:5, 3:9] = True
    candidate = packed(window, corner=(100, 200))
    assert candidate.box == (203, 102, 209, 105)
    assert candidate.crop.all()
    assert (candidate.score, candidate.stability, candidate.point) == (0.9, 0.8, (3.0, 4.0))


def test_a_candidate_may_be_moved() -> None:
    mask = noise(300, 301)
    moved = replace(packed(mask), box=(50, 60, 351, 360))
    np.testing.assert_array_equal(moved.crop, mask)


def test_an_empty_mask_is_no_candidate() -> None:
    assert pack(np.zeros((4, 4), bool), 0.9, 1.0, (0.0, 0.0)) is None


# Duplicates


def random_boxes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes that repeat one another, lines and points among them; scores with ties."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 30, (count, 2))
    sides = rng.choice([1, 2, 10, 12, 14], (count, 2))
    boxes = np.concatenate([corners, corners + sides], axis=1).astype(np.int32)
    return boxes, rng.choice(np.linspace(0, 1, 12), count).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_box_nms_equals_the_packages(threshold: float) -> None:
    for seed in range(2):
        boxes, scores = random_boxes(90, seed)
        # The package's boxes end on the last pixel.
        theirs = batched_nms(
            torch.tensor(boxes - [0, 0, 1, 1], dtype=torch.float32),
            torch.tensor(scores),
            torch.zeros(len(boxes)),
            threshold,
        )
        assert box_nms(boxes, scores, threshold).tolist() == theirs.tolist()


def test_box_nms_of_equal_scores_keeps_the_first() -> None:
    boxes = np.array([[0, 0, 10, 10]] * 3, np.int32)
    assert box_nms(boxes, np.ones(3, np.float32), 0.5).tolist() == [0]


def test_box_nms_of_nothing() -> None:
    assert box_nms(np.zeros((0, 4), np.int32), np.zeros(0, np.float32), 0.5).tolist() == []


@pytest.mark.parametrize("box", [[0, 0, 1, 10], [0, 0, 10, 1], [0, 0, 1, 1]])
def test_lines_of_no_area_suppress_nothing(box: list[int]) -> None:
    scores = np.array([0.5, 0.6], np.float32)
    assert box_nms(np.array([box, box], np.int32), scores, 0.5).tolist() == [1, 0]


# Small regions


@pytest.mark.parametrize("area", [1, 4, 9, 30])
def test_clean_mask_decides_on_its_window_as_on_the_whole_frame(area: int) -> None:
    rng = np.random.default_rng(area)
    for _ in range(60):
        full = np.zeros((24, 30), bool)
        y, x = rng.integers(0, 12, 2)
        height, width = rng.integers(1, 13, 2)
        full[y : y + height, x : x + width] = rng.random((height, width)) < rng.uniform(0.3, 0.95)
        full[y, x] = True
        check_cleaned(full, (y, x), (height, width), area)


@pytest.mark.parametrize("border", ["top", "left", "bottom", "right"])
@pytest.mark.parametrize("margin", [1, 2, 3])
def test_what_a_mask_cuts_off_at_the_border_is_a_hole(border: str, margin: int) -> None:
    full = np.zeros((20, 25), bool)
    full[3:9] = True
    full = full if border in ("top", "bottom") else full[:, :20].T.copy()
    full = full if border in ("top", "left") else full[::-1, ::-1].copy()
    top, left = (int(v) for v in np.argwhere(full).min(0))
    bottom, right = (int(v) for v in np.argwhere(full).max(0) + 1)
    for area in (25 * 3 - margin, 25 * 3, 25 * 3 + margin, 500):
        check_cleaned(full, (top, left), (bottom - top, right - left), area)


@pytest.mark.parametrize("y", [4, 5])
@pytest.mark.parametrize("x", [6, 7])
def test_of_equal_islands_the_same_stays_as_on_the_whole_frame(y: int, x: int) -> None:
    # Which of them OpenCV counts first depends on where its blocks of 2 x 2 begin.
    full = np.zeros((24, 30), bool)
    full[y, x + 3] = full[y + 1, x] = full[y + 3, x + 5] = True
    check_cleaned(full, (y, x), (4, 6), area=9)
    check_cleaned(full, (y, x), (4, 6), area=2)


@functools.cache
def remove_small_regions() -> Callable[[np.ndarray, float, str], tuple[np.ndarray, bool]]:
    with stock_generator():
        return sys.modules["segment_anything.utils.amg"].remove_small_regions


def check_cleaned(
    full: np.ndarray, corner: tuple[int, int], size: tuple[int, int], area: int
) -> None:
    """Compare with the package's function on the whole frame."""
    reference = remove_small_regions()
    filled, holes = reference(full, area, "holes")
    expected, islands = reference(filled, area, "islands")

    (y, x), (height, width) = corner, size
    (top, left), mask, changed = clean_mask(
        (int(y), int(x)), full[y : y + height, x : x + width], full.shape, area
    )
    ours = np.zeros_like(full)
    ours[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    np.testing.assert_array_equal(ours, expected)
    assert changed == (holes or islands)


# All of it


def test_finish_drops_duplicates_before_and_after_cleaning() -> None:
    whole = np.ones((20, 20), bool)
    holed = whole.copy()
    holed[8:10, 8:10] = False
    tailed = np.zeros((20, 60), bool)
    tailed[:, :20] = True
    tailed[5, 40:] = True
    found = [
        replace(packed(holed, (10, 10)), score=0.95),
        replace(packed(whole, (10, 11)), score=0.9),
        replace(packed(tailed, (10, 10)), score=0.99),
        replace(packed(whole, (60, 60)), score=0.5),
    ]
    image = Image.from_pixels(np.zeros((100, 120, 3), np.uint8))
    # The holed one beats its neighbour at once; with its tail off, the third repeats it, and
    # as both were cleaned the better one stays.
    objects = finish(image, found, 0.7, min_area=50)
    assert objects.boxes.tolist() == [[60, 60, 80, 80], [10, 10, 30, 30]]
    np.testing.assert_allclose(objects.scores, [0.5, 0.99])
    assert all(crop.all() for crop in objects.crops)
    assert len(finish(image, found, 0.7, min_area=0)) == 3
    assert len(finish(image, [], 0.7, min_area=50)) == 0
