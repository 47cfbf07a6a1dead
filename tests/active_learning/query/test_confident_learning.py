"""Disputed labels: by hand, with planted slips, and what the list must not depend on."""

from __future__ import annotations

import re

import numpy as np
import pytest

from active_learning.query.confident_learning import (
    confident_classes,
    find_doubts,
    suspicion,
    thresholds,
)


def listed(given, probabilities, images=None, ids=None):
    m = len(given)
    return find_doubts(
        np.array(images if images is not None else ["a"] * m),
        np.arange(1, m + 1, dtype=np.int32) if ids is None else np.array(ids, np.int32),
        np.array(given, np.uint8),
        np.array(probabilities, np.float64),
    )


def noisy(count=600, share=0.05, seed=0):
    """Labels of which a share is changed, and what a fair model says of the objects."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, count, p=[0.1, 0.35, 0.5, 0.05])
    # sure of nine objects in ten, at a loss with the rest
    p = rng.dirichlet([0.3] * 4, count)
    p[np.arange(count), truth] += np.where(rng.random(count) < 0.9, 40.0, 0.5)
    given = truth.copy()
    slips = rng.permutation(count)[: int(share * count)]
    given[slips] = (truth[slips] + rng.integers(1, 4, len(slips))) % 4
    return given, p / p.sum(axis=1, keepdims=True), truth, set((slips + 1).tolist())


# By hand

SIX = [[0, 0.9, 0.1, 0]] * 3 + [[0, 0.1, 0.9, 0]] * 3


def test_a_slip_among_sure_labels_is_found():
    (doubt,) = listed([1, 1, 1, 2, 2, 1], SIX)
    assert (doubt.image_id, doubt.object_id, doubt.given, doubt.suggested) == ("a", 6, 1, 2)
    assert doubt.score == pytest.approx((1 - (0.1 - 0.9)) / 2)
    assert re.findall(r"fat|cell|\d+ %", doubt.why) == ["fat", "10 %", "cell", "90 %"]


def test_labels_that_the_model_shares_are_not_in_doubt():
    assert listed([1, 1, 1, 2, 2, 2], SIX) == ()


def test_an_object_counts_for_a_class_from_the_mean_of_its_labels_on():
    # fat: mean of 0.8 and 0.4; the third object reaches 0.6, the fourth does not
    p = [[0, 0.8, 0.2, 0], [0, 0.4, 0.6, 0], [0, 0.6, 0.4, 0], [0, 0.55, 0.45, 0]]
    given = np.array([1, 1, 2, 2], np.uint8)
    assert thresholds(given, np.array(p)).tolist()[1:3] == pytest.approx([0.6, 0.425])
    assert confident_classes(given, np.array(p)).tolist() == [1, 2, 1, 2]


def test_a_class_that_no_label_names_is_never_suggested():
    p = np.array([[0.9, 0.1, 0, 0], [0.8, 0.2, 0, 0], [0.1, 0.9, 0, 0]])
    assert listed([1, 1, 1], p) == ()


def test_suspicion_runs_from_0_to_1():
    p = np.array([[0, 1.0, 0, 0], [1.0, 0, 0, 0], [0.5, 0.5, 0, 0]])
    assert suspicion(np.array([1, 1, 1], np.uint8), p).tolist() == [0.0, 1.0, 0.5]


# With planted slips


@pytest.mark.parametrize("seed", range(3))
def test_most_planted_slips_are_found_and_lead_the_list(seed):
    given, p, _, slips = noisy(seed=seed)
    found = [doubt.object_id for doubt in listed(given, p)]
    assert len(slips & set(found)) >= 0.8 * len(slips)
    first = found[: len(slips)]
    assert len(slips & set(first)) >= 0.8 * len(slips)


def test_the_suggestion_is_what_the_object_is():
    given, p, truth, slips = noisy()
    right = [
        d.suggested == truth[d.object_id - 1] for d in listed(given, p) if d.object_id in slips
    ]
    assert np.mean(right) > 0.95


def test_the_most_suspicious_come_first():
    given, p, *_ = noisy()
    scores = [doubt.score for doubt in listed(given, p)]
    assert scores == sorted(scores, reverse=True)
    assert all(0.5 < score <= 1 for score in scores)


# What it must not depend on


def test_the_order_of_the_objects_does_not_matter():
    given, p, *_ = noisy(200, 0.2)
    images = np.array(["b", "a"])[np.arange(200) % 2]
    ids = np.arange(1, 201)
    turned = listed(given[::-1], p[::-1], images[::-1], ids[::-1])
    # the means differ in their last bits at most
    assert turned == listed(given, p, images, ids)


def test_objects_that_were_never_held_out_are_left_out():
    p = np.array(SIX)
    p[5] = np.nan
    assert listed([1, 1, 1, 2, 2, 1], p) == ()


def test_no_labels_give_no_doubts():
    assert listed([], np.zeros((0, 4))) == ()


def test_one_class_alone_is_never_disputed():
    _, p, *_ = noisy(50)
    assert listed(np.full(50, 2), p) == ()


def test_codes_that_are_no_class_are_refused():
    with pytest.raises(ValueError, match=r"0\.\.3.* 4"):
        listed([1, 4], np.array(SIX[:2]))


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"\(6, 4\)"):
        listed([1, 2], np.array(SIX))
