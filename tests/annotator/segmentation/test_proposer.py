"""Pruning: specks, duplicates and nested parts go, whatever order they come in."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.core.objects import ImageObjects, objects_from_masks
from annotator.segmentation.proposer import prune
from annotator.settings.annotation import PruneSettings

SHAPE = (40, 60)
NAN = float("nan")
UM = 10.0  # so coarse that the bound in microns does not matter


def block(y, x, height, width):
    return (y, x), np.ones((height, width), np.bool_)


def objects(*parts, scores=None, stability=None):
    return objects_from_masks("id", SHAPE, parts, scores, stability)


def kept(found, **changes):
    """Ids that stay."""
    return prune(found, PruneSettings(**changes), UM)[0].ids.tolist()


@pytest.mark.parametrize(("um_per_px", "stay"), [(0.5, []), (1.0, [1]), (2.0, [1, 2])])
def test_specks_are_told_by_their_size_in_microns(um_per_px, stay):
    found = objects(block(2, 2, 8, 8), block(20, 20, 5, 5))
    result, report = prune(found, PruneSettings(), um_per_px)
    assert result.ids.tolist() == stay
    assert report.specks == 2 - len(stay)


def shuffled(found, seed):
    return found.select(np.random.default_rng(seed).permutation(len(found)))


def masks(found):
    """Every object as a value: id, box and pixels."""
    return {
        (int(i), tuple(box.tolist()), crop.tobytes())
        for i, box, crop in zip(found.ids, found.boxes, found.crops, strict=True)
    }


def crowd(seed, count=60):
    """Random rectangles, some twice or nearly so, some within others, some with scores."""
    rng = np.random.default_rng(seed)
    parts, scores, stability = [], [], []
    for _ in range(count):
        y, x = int(rng.integers(0, 25)), int(rng.integers(0, 45))
        part = block(y, x, int(rng.integers(1, 15)), int(rng.integers(1, 15)))
        for _ in range(int(rng.integers(1, 4))):
            crop = part[1].copy()
            crop[0, : int(rng.integers(0, 2))] = False
            parts.append((part[0], crop | (crop.size < 3)))
            scores.append(rng.choice([NAN, 0.5, 0.9]))
            stability.append(rng.choice([NAN, 0.7, 0.95]))
    return objects(*parts, scores=scores, stability=stability)


# Duplicates: two blocks of 5 x 12 that share `shared` columns have IoU s / (24 - s).


@pytest.mark.parametrize("shared", range(1, 12))
def test_duplicates_are_told_by_iou_exactly(shared):
    pair = objects(block(3, 3, 5, 12), block(3, 15 - shared, 5, 12))
    limit = shared / (24 - shared)
    assert len(kept(pair, duplicate_iou=limit, nested_ratio=1.0)) == 1
    assert kept(pair, duplicate_iou=limit + 1e-6, nested_ratio=1.0) == [1, 2]


@pytest.mark.parametrize(
    ("scores", "stability", "better"),
    [
        ([0.6, 0.9], [0.9, 0.1], 2),
        ([0.9, 0.6], [0.1, 0.9], 1),
        ([0.9, 0.9], [0.1, 0.9], 2),
        ([NAN, 0.1], [0.9, 0.1], 2),
        ([NAN, NAN], [NAN, 0.1], 2),
    ],
)
def test_the_better_of_two_duplicates_stays(scores, stability, better):
    pair = objects(block(3, 3, 10, 10), block(3, 3, 10, 9), scores=scores, stability=stability)
    assert kept(pair) == [better]
    assert kept(pair.select(np.array([1, 0]))) == [better]


def test_of_equal_scores_the_larger_stays():
    assert kept(objects(block(3, 3, 10, 9), block(3, 3, 10, 10))) == [2]


def test_a_copy_goes_and_the_first_id_stays():
    twins = objects(block(3, 3, 10, 10), block(3, 3, 10, 10))
    assert kept(twins) == [1]
    assert kept(twins.select(np.array([1, 0]))) == [1]


def test_boxes_that_overlap_are_no_duplicates_when_the_masks_are_apart():
    lower = np.tri(10, dtype=np.bool_)
    pair = objects(((3, 3), lower), ((3, 3), ~lower))
    assert kept(pair, duplicate_iou=0.01) == [1, 2]


# Nested: a block of 6 x 10 in a larger one around it.


@pytest.mark.parametrize(
    ("outer", "stays"),
    [
        (block(4, 4, 6, 13), [2]),
        (block(2, 2, 10, 12), [2]),
        (block(2, 2, 11, 11), [1, 2]),
        (block(0, 0, 40, 60), [1, 2]),
    ],
    ids=["1.3 times", "2 times", "2.02 times", "40 times"],
)
def test_a_nested_object_goes_unless_the_outer_one_is_much_larger(outer, stays):
    assert kept(objects(block(4, 4, 6, 10), outer)) == stays


@pytest.mark.parametrize(("outside", "stays"), [(0, [2]), (1, [2]), (2, [1, 2])])
def test_nested_means_nearly_all_of_it(outside, stays):
    # 20 columns, of which some stick out of the outer block: 1 of 20 is just allowed.
    pair = objects(block(5, 10 - outside, 3, 20), block(5, 10, 3, 33))
    assert kept(pair, nested_share=0.95) == stays


def test_nested_goes_even_with_the_better_score():
    pair = objects(block(4, 4, 6, 10), block(3, 3, 8, 12), scores=[0.9, 0.2])
    assert kept(pair) == [2]


def test_nested_chains_leave_the_outermost():
    chain = objects(block(6, 6, 6, 10), block(5, 5, 7, 12), block(4, 4, 9, 13))
    for scores in ([0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2, 0.3, 0.1]):
        ranked = ImageObjects(
            chain.image_id,
            chain.shape,
            chain.ids,
            chain.boxes,
            chain.crops,
            np.array(scores, np.float32),
            chain.stability,
            chain.sources,
        )
        assert kept(ranked) == [3]


# Specks


@pytest.mark.parametrize(("limit", "stays"), [(1, [1, 2]), (6, [1, 2]), (7, [2]), (13, [])])
def test_specks_are_smaller_than_the_limit(limit, stays):
    found = objects(block(1, 1, 2, 3), block(20, 20, 3, 4))
    assert kept(found, min_area_px=limit) == stays


def test_a_speck_takes_nobody_along():
    found = objects(block(1, 1, 2, 3), block(1, 1, 2, 4), scores=[0.9, 0.1])
    assert kept(found, min_area_px=7) == [2]


# All together


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_objects_does_not_matter(seed):
    found = crowd(seed)
    result, report = prune(found, PruneSettings(), UM)
    assert 0 < len(result) < len(found)
    for again in range(4):
        other, counts = prune(shuffled(found, again), PruneSettings(), UM)
        assert masks(other) == masks(result)
        assert counts == report


@pytest.mark.parametrize("seed", range(5))
def test_pruning_twice_is_pruning_once(seed):
    once, _ = prune(crowd(seed), PruneSettings(), UM)
    twice, report = prune(once, PruneSettings(), UM)
    assert masks(twice) == masks(once)
    assert (report.specks, report.duplicates, report.nested) == (0, 0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_what_stays_is_unchanged_and_in_order(seed):
    found = crowd(seed)
    result, report = prune(found, PruneSettings(), UM)
    assert masks(result) <= masks(found)
    positions = [found.ids.tolist().index(i) for i in result.ids.tolist()]
    assert positions == sorted(positions)
    assert report.specks + report.duplicates + report.nested == len(found) - len(result)


def test_the_counts_tell_specks_duplicates_and_nested_apart():
    found = objects(
        block(0, 0, 1, 3),
        block(2, 2, 10, 10),
        block(2, 2, 10, 9),
        block(20, 20, 8, 12),
        block(21, 21, 6, 10),
        block(30, 40, 5, 5),
    )
    result, report = prune(found, PruneSettings(), UM)
    assert result.ids.tolist() == [2, 4, 6]
    assert (report.specks, report.duplicates, report.nested) == (1, 1, 1)


def test_coverage_is_counted_after_pruning():
    found = objects(block(0, 0, 20, 30), block(10, 15, 20, 30), block(0, 0, 1, 1))
    _, report = prune(found, PruneSettings(), UM)
    both, total = 10 * 15, SHAPE[0] * SHAPE[1]
    assert report.covered_more == pytest.approx(both / total)
    assert report.covered_1 == pytest.approx((1200 - 2 * both) / total)
    assert report.covered_0 == pytest.approx((total - 1200 + both) / total)


@pytest.mark.parametrize("seed", range(3))
def test_the_shares_of_coverage_sum_to_1(seed):
    _, report = prune(crowd(seed), PruneSettings(), UM)
    assert report.covered_0 + report.covered_1 + report.covered_more == pytest.approx(1.0)


def test_no_object_at_all():
    result, report = prune(objects(), PruneSettings(), UM)
    assert len(result) == 0
    assert report.covered_0 == 1.0
    assert (report.covered_1, report.covered_more, report.specks) == (0.0, 0.0, 0)
