"""Figures over patients: every image counts alike in its patient, every patient alike."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.pipeline.network.figures import (
    ImageScores,
    class_means,
    compare_networks,
    image_scores,
    table3,
)


def _scored(name: str, patient: str, dice: float | None, fat: float | None = None) -> ImageScores:
    classes = {"bg": None, "fat": fat, "cell": None, "bone": None}
    return ImageScores(name, patient, dice, dice, None, classes)


def test_a_map_is_scored_over_the_classes_that_its_truth_has() -> None:
    truth = np.array([[1, 1, 2, 2, 255]], np.uint8)
    predicted = np.array([[1, 1, 2, 3, 0]], np.uint8)
    found = image_scores("a", "p", truth, predicted)
    assert found.dice == pytest.approx((1 + 2 / 3) / 2)
    assert found.mean_iou == pytest.approx((1 + 1 / 2) / 2)
    assert found.cellularity_error == pytest.approx(abs(1 / 2 - 1 / 3))
    assert found.classes == {"bg": None, "fat": 1.0, "cell": pytest.approx(2 / 3), "bone": 0.0}


def test_a_patient_with_many_images_counts_as_one() -> None:
    scores = [_scored(str(n), "a", 1.0) for n in range(9)] + [_scored("x", "b", 0.5, fat=0.2)]
    found = table3(scores)["dice"]
    assert found.mean.value == pytest.approx(0.75)
    assert found.sd == pytest.approx(0.5 / 2**0.5)
    assert found.patients == 2
    assert class_means(scores)["fat"].patients == 1
    assert table3(scores)["cellularity_error"].mean.value is None


@pytest.mark.parametrize(
    ("new", "old", "verdict"),
    [
        ((0.9, 0.8, 0.9), (0.7, 0.7, 0.8), "better"),
        ((0.7, 0.7, 0.8), (0.9, 0.8, 0.9), "worse"),
        ((0.9, 0.6, 0.9), (0.7, 0.9, 0.8), "level"),
    ],
)
def test_networks_are_compared_pair_by_pair(
    new: tuple[float, ...], old: tuple[float, ...], verdict: str
) -> None:
    sides = [
        [_scored(name, name, dice) for name, dice in zip("abc", values, strict=True)]
        for values in (new, old)
    ]
    found = compare_networks(*sides)
    assert found is not None
    assert (found.verdict, found.images, found.patients) == (verdict, 3, 3)
    assert found.difference.value == pytest.approx(found.new - found.old)


def test_only_images_that_both_were_scored_on_count() -> None:
    new = [_scored("a", "a", 0.9), _scored("b", "b", 0.9), _scored("c", "c", None)]
    found = compare_networks(new, [_scored("b", "b", 0.5), _scored("c", "c", 0.5)])
    assert found is not None and (found.images, found.old) == (1, 0.5)
    assert found.verdict == "level", "one patient has no interval"
    assert compare_networks(new, []) is None
