"""Confusion, Dice and IoU, checked by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

from annotator.evaluation.pixels import accuracy, cellularity, confusion, dice, iou, mean_of_present


def random_codes(seed: int, codes: tuple[int, ...] = (0, 1, 2, 3, 255)) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array(codes, np.uint8), (40, 50))


def test_confusion_is_that_of_scikit_learn() -> None:
    truth, said = random_codes(1), random_codes(2)
    labelled = truth != 255
    theirs = confusion_matrix(truth[labelled], said[labelled], labels=[0, 1, 2, 3, 255])
    assert confusion(truth, said).tolist() == theirs[:4].tolist()


def test_dice_and_iou_are_f1_and_jaccard_of_scikit_learn() -> None:
    truth, said = random_codes(3), random_codes(4)
    labelled = truth != 255
    found = confusion(truth, said)
    pairs = (truth[labelled], said[labelled])
    f1 = f1_score(*pairs, labels=[0, 1, 2, 3], average=None)
    jaccard = jaccard_score(*pairs, labels=[0, 1, 2, 3], average=None)
    np.testing.assert_allclose(dice(found), f1, rtol=1e-12)
    np.testing.assert_allclose(iou(found), jaccard, rtol=1e-12)


def test_figures_by_hand() -> None:
    truth = np.array([[1, 1, 1, 1, 2, 2, 0, 0]], np.uint8)
    said = np.array([[1, 1, 2, 2, 2, 2, 0, 1]], np.uint8)
    found = confusion(truth, said)
    # fat: 2 right of 4 true and 3 said; cell: 2 of 2 and 4; bg: 1 of 2 and 1.
    assert dice(found)[:3].tolist() == pytest.approx([2 / 3, 4 / 7, 4 / 6])
    assert iou(found)[:3].tolist() == pytest.approx([1 / 2, 2 / 5, 2 / 4])
    assert np.isnan(dice(found)[3])
    assert float(accuracy(found)) == 5 / 8
    assert [float(one) for one in cellularity(found)] == pytest.approx([100 / 3, 400 / 7])


def test_what_the_truth_leaves_open_changes_nothing() -> None:
    truth, said = random_codes(5), random_codes(6)
    other = np.where(truth == 255, random_codes(7), said)
    assert confusion(truth, said).tolist() == confusion(truth, other).tolist()


def test_what_only_the_prediction_leaves_open_is_wrong() -> None:
    truth = np.full((2, 5), 1, np.uint8)
    said = truth.copy()
    said[0, 0] = 255
    found = confusion(truth, said)
    assert found[1].tolist() == [0, 9, 0, 0, 1]
    assert float(accuracy(found)) == 0.9
    # A miss of fat, and no false pixel of any class.
    assert dice(found)[1] == pytest.approx(18 / 19)
    assert np.isnan(dice(found)[[0, 2, 3]]).all()


def test_identical_maps_give_one() -> None:
    codes = random_codes(8)
    found = confusion(codes, codes)
    for figure in (dice, iou):
        assert figure(found).tolist() == [1.0] * 4
    assert float(accuracy(found)) == 1.0
    assert cellularity(found)[0] == cellularity(found)[1]


def test_maps_without_a_common_pixel_give_zero() -> None:
    truth = random_codes(9, (0, 1))
    assert dice(confusion(truth, (truth + 2).astype(np.uint8))).tolist() == [0.0] * 4


def test_dice_and_iou_are_symmetric_where_all_is_labelled() -> None:
    truth, said = (random_codes(seed, (0, 1, 2, 3)) for seed in (10, 11))
    there, back = confusion(truth, said), confusion(said, truth)
    assert dice(there).tolist() == dice(back).tolist()
    assert iou(there).tolist() == iou(back).tolist()


def test_a_mean_is_over_the_classes_of_the_truth() -> None:
    truth = np.array([[1, 1, 2, 2]], np.uint8)
    said = np.array([[1, 1, 2, 3]], np.uint8)
    found = confusion(truth, said)
    # Bone is said but not true: it lowers the Dice of cell, and is no part of the mean.
    assert float(mean_of_present(dice(found), found)) == pytest.approx((1 + 2 / 3) / 2)
    nothing = np.zeros((4, 5), np.int64)
    assert np.isnan(mean_of_present(dice(nothing), nothing))


def test_maps_of_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\), \(2, 3\)"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
