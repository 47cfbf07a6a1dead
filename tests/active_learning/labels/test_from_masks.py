"""Corrected masks to labels of objects, and labels to other objects: counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from active_learning.labels.from_masks import labels_from_mask, transfer
from annotator.core.errors import SettingsError
from annotator.core.objects import ImageObjects, objects_from_labels, objects_from_masks
from annotator.settings.learning import LabelSettings


def row(*numbers: int) -> np.ndarray:
    return np.array([numbers], np.int32)


def codes(*numbers: int) -> np.ndarray:
    return np.array([numbers], np.uint8)


def squares(corners: list[tuple[int, int]], side: int, image_id: str = "i") -> ImageObjects:
    parts = [(corner, np.ones((side, side), bool)) for corner in corners]
    return objects_from_masks(image_id, (2000, 2000), parts)


# From a mask


def test_each_object_takes_the_class_of_most_of_its_pixels():
    objects = objects_from_labels("i", row(1, 1, 1, 1, 1, 2, 2, 2, 2, 2))
    said = labels_from_mask(objects, codes(3, 3, 3, 3, 0, 2, 2, 2, 0, 0))
    assert said.codes.tolist() == [3, 2]
    assert said.purity.tolist() == [0.8, 0.6]
    assert said.mixed.tolist() == [False, True]
    assert said.label_codes.tolist() == [3, 4]


def test_pixels_that_nobody_labelled_do_not_count_against_a_class():
    objects = objects_from_labels("i", row(1, 1, 1, 1, 2, 2, 2, 2, 3, 3))
    said = labels_from_mask(objects, codes(1, 1, 255, 255, 1, 255, 255, 255, 255, 255))
    assert said.codes.tolist() == [1, 255, 255]
    assert said.purity[:2].tolist() == [1.0, 1.0]
    assert np.isnan(said.purity[2])
    assert said.unlabelled.tolist() == [False, True, True]
    assert not said.mixed.any()


def test_of_two_equal_classes_neither_wins():
    said = labels_from_mask(objects_from_labels("i", row(1, 1)), codes(3, 1))
    assert (said.codes.tolist(), said.mixed.tolist()) == ([1], [True])


def test_only_the_pixels_of_the_object_count():
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    objects = objects_from_masks("i", (5, 5), [((1, 1), ring)])
    truth = np.full((5, 5), 2, np.uint8)
    truth[1:4, 1:4][ring] = 3
    assert labels_from_mask(objects, truth).purity.tolist() == [1.0]


def test_what_the_machine_said_otherwise_is_flagged():
    objects = objects_from_labels("i", row(1, 2, 3, 4, 4))
    said = labels_from_mask(objects, codes(1, 2, 255, 0, 1))
    assert said.differs(np.array([1, 0, 0, 3], np.uint8)).tolist() == [False, True, False, False]


@pytest.mark.parametrize("share", [0.6, 0.7, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("count", [10, 1000])
def test_the_least_purity_itself_is_pure_enough(share: float, count: int):
    truth = np.zeros((1, count), np.uint8)
    truth[0, : round(share * count)] = 1
    objects = objects_from_labels("i", np.ones((1, count), np.int32))
    settings = LabelSettings(least_purity=share)
    assert not labels_from_mask(objects, truth, settings).mixed[0]
    truth[0, 0] = 2
    assert labels_from_mask(objects, truth, settings).mixed[0]


def test_an_image_without_objects_has_no_labels():
    said = labels_from_mask(objects_from_labels("i", row(0, 0)), codes(1, 1))
    assert len(said.codes) == len(said.purity) == len(said.mixed) == 0


@pytest.mark.parametrize("truth", [codes(1), codes(1, 4), row(1, 1)])
def test_a_mask_that_does_not_fit_is_refused(truth: np.ndarray):
    with pytest.raises(ValueError, match="truth"):
        labels_from_mask(objects_from_labels("i", row(1, 1)), truth)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"least_purity": 0.5}, r"least_purity: expected more than 0\.5, got 0\.5"),
        ({"least_iou": 1.1}, r"least_iou: expected at most 1\.0, got 1\.1"),
    ],
)
def test_shares_out_of_range_are_refused(values: dict[str, float], said: str):
    with pytest.raises(SettingsError, match=said):
        LabelSettings(**values)


# From object to object


def test_the_same_objects_in_another_order_find_each_other():
    rng = np.random.default_rng(0)
    old = objects_from_labels("i", rng.integers(0, 30, (40, 40)).astype(np.int32))
    order = rng.permutation(len(old))
    found = transfer(old, old.select(order))
    assert np.array_equal(found.old_ids, found.new_ids)
    assert np.array_equal(found.old_ids, np.sort(old.ids))
    assert (found.iou == 1).all()
    assert len(found.lost_ids) == 0


def test_the_better_pair_is_made_first_and_nobody_twice():
    # Object 1 would fit both new ones, object 2 the first only: best pairs first.
    old = objects_from_masks(
        "i", (1, 30), [((0, 0), np.ones((1, 10), bool)), ((0, 1), np.ones((1, 10), bool))]
    )
    new = objects_from_masks("i", (1, 30), [((0, 1), np.ones((1, 10), bool))])
    found = transfer(old, new)
    assert found.old_ids.tolist() == [2]
    assert found.new_ids.tolist() == [1]
    assert found.iou.tolist() == [1.0]
    assert found.lost_ids.tolist() == [1]


def test_a_pair_needs_the_least_overlap_and_no_more():
    old = objects_from_labels("i", row(1, 1, 1, 1, 1, 1, 1, 1, 1, 1))
    seven = objects_from_labels("i", row(1, 1, 1, 1, 1, 1, 1, 0, 0, 0))
    assert transfer(old, seven, 0.7).iou.tolist() == [0.7]
    assert transfer(old, seven, 0.71).lost_ids.tolist() == [1]


def test_boxes_that_fit_do_not_make_objects_that_fit():
    corner = np.tri(20, dtype=bool)
    old = objects_from_masks("i", (20, 20), [((0, 0), corner)])
    new = objects_from_masks("i", (20, 20), [((0, 0), corner[::-1, ::-1])])
    assert transfer(old, new).lost_ids.tolist() == [1]


@pytest.mark.slow
def test_two_thousand_objects_find_their_shifted_selves():
    corners = [(y, x) for y in range(0, 1960, 44) for x in range(0, 1960, 44)][:2000]
    old, new = squares(corners, 40), squares([(y + 1, x + 2) for y, x in corners], 40)
    found = transfer(old, new)
    assert np.array_equal(found.old_ids, old.ids)
    assert np.array_equal(found.new_ids, new.ids)
    assert found.iou == pytest.approx(39 * 38 / (2 * 1600 - 39 * 38))


def test_nothing_moves_to_nothing():
    none = squares([], 5)
    some = squares([(0, 0)], 5)
    assert transfer(some, none).lost_ids.tolist() == [1]
    assert len(transfer(none, some).old_ids) == 0


def test_objects_of_two_images_are_not_matched():
    with pytest.raises(ValueError, match="other"):
        transfer(squares([(0, 0)], 5), squares([(0, 0)], 5, "other"))
