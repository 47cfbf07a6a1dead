"""Adipocytes matched one by one, checked by hand and against an assignment."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift
from scipy.optimize import linear_sum_assignment
from skimage.measure import label

from annotator.evaluation.instances import f1, match, mean_iou, panoptic_quality, precision, recall

NOWHERE = np.zeros((40, 60), bool)


def objects(seed: int) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).random((40, 60)), 2)
    return label(noise > np.quantile(noise, 0.7), connectivity=1).astype(np.int32)


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def by_assignment(truth: np.ndarray, said: np.ndarray) -> tuple[int, float]:
    """Matches beyond half, by the best assignment of all pairs."""
    first, second = np.unique(truth[truth > 0]), np.unique(said[said > 0])
    ious = np.array([[_iou(truth == a, said == b) for b in second] for a in first])
    good = np.where(ious > 0.5, ious, 0.0)
    rows, columns = linear_sum_assignment(-good)
    chosen = good[rows, columns]
    return int((chosen > 0).sum()), float(chosen.sum())


@pytest.mark.parametrize("seed", range(4))
def test_matches_are_those_of_the_best_assignment(seed: int) -> None:
    truth = objects(seed)
    said = shift(truth, (0, 2), order=0).astype(np.int32)
    said[said == said.max()] = 0
    found = match(truth, said, NOWHERE)
    matched, ious = by_assignment(truth, said)
    assert matched > 1
    assert found.matched == matched
    assert found.iou == pytest.approx(ious)
    assert found.missed == len(np.unique(truth)) - 1 - matched
    assert found.extra == len(np.unique(said)) - 1 - matched


def test_identical_maps_give_one_whatever_the_numbers() -> None:
    truth = objects(7)
    found = match(truth, np.where(truth > 0, 1000 - truth, 0).astype(np.int32), NOWHERE)
    counts = np.array(found.counts)
    for figure in (f1, precision, recall, mean_iou, panoptic_quality):
        assert float(figure(counts)) == pytest.approx(1.0)
    assert found.missed == found.extra == 0


def test_symmetric_where_nothing_is_open() -> None:
    truth, said = objects(8), shift(objects(8), (1, 1), order=0).astype(np.int32)
    there, back = match(truth, said, NOWHERE), match(said, truth, NOWHERE)
    assert (there.matched, there.missed, there.extra) == (back.matched, back.extra, back.missed)
    assert there.iou == pytest.approx(back.iou)


def test_half_of_the_union_is_not_enough() -> None:
    truth = np.array([[1, 1, 1, 1]], np.int32)
    said = np.array([[1, 1, 0, 0]], np.int32)
    assert match(truth, said, np.zeros((1, 4), bool)).matched == 0


def test_one_over_two_is_one_match_at_most() -> None:
    truth = np.array([[1, 1, 1, 2, 2]], np.int32)
    found = match(truth, np.full((1, 5), 9, np.int32), np.zeros((1, 5), bool))
    assert (found.matched, found.missed, found.extra) == (1, 1, 0)
    assert found.iou == pytest.approx(3 / 5)


def test_open_pixels_do_not_count() -> None:
    truth = np.array([[1, 1, 1, 0, 0, 0, 0, 0]], np.int32)
    said = np.array([[5, 5, 5, 5, 5, 5, 5, 0]], np.int32)
    is_open = np.array([[0, 0, 0, 1, 1, 1, 1, 0]], bool)
    found = match(truth, said, is_open)
    assert (found.matched, found.iou) == (1, 1.0)


def test_an_extra_object_mostly_on_open_ground_is_left_out() -> None:
    truth = np.zeros((1, 8), np.int32)
    said = np.array([[0, 4, 4, 4, 0, 6, 6, 6]], np.int32)
    is_open = np.array([[0, 1, 1, 0, 0, 1, 0, 0]], bool)
    found = match(truth, said, is_open)
    assert (found.extra, found.left_out) == (1, 1)


def test_nothing_beside_nothing_is_undefined() -> None:
    found = match(np.zeros((3, 3), np.int32), np.zeros((3, 3), np.int32), np.zeros((3, 3), bool))
    assert found.counts == (0, 0, 0, 0.0)
    assert np.isnan(f1(np.array(found.counts)))
    assert np.isnan(mean_iou(np.array(found.counts)))


def test_figures_by_hand() -> None:
    counts = np.array([6.0, 2.0, 1.0, 4.5])
    assert float(f1(counts)) == 12 / 15
    assert float(precision(counts)) == 6 / 7
    assert float(recall(counts)) == 6 / 8
    assert float(mean_iou(counts)) == 0.75
    assert float(panoptic_quality(counts)) == pytest.approx(0.8 * 0.75)
