"""Comparing two models: on patients that neither has seen, else by their intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from active_learning.classifier.evaluation import ClassEvaluation, evaluate
from active_learning.classifier.examples import Examples
from active_learning.rounds.compare import (
    HeldOutScores,
    by_interval,
    compared,
    of_other_labels,
    on_same_labels,
)
from active_learning.rounds.dataset import LearningSet
from annotator.core.labels import Label
from annotator.settings.learning import TrainSettings
from features.table import FeatureTable

SETTINGS = TrainSettings(resamples=100)
TIME = "2026-11-20T21:00:00+00:00"


class Constant:
    """A model that gives every object the same class."""

    def __init__(self, code: int) -> None:
        self.code = code

    def probabilities(self, table: FeatureTable) -> np.ndarray:
        return sure(np.full(len(table), self.code))


def sure(codes: np.ndarray) -> np.ndarray:
    return np.eye(4)[codes]


def judged(groups: list[str], right: bool = True) -> HeldOutScores:
    """Two objects a group, fat and cell, named rightly or all as background."""
    m = 2 * len(groups)
    codes = np.tile(np.array([1, 2], np.uint8), len(groups))
    table = FeatureTable(
        np.repeat(np.array(groups), 2),
        np.arange(1, m + 1, dtype=np.int32),
        np.zeros((m, 1)),
        ("f",),
        "f" * 16,
    )
    labels = tuple(
        Label(image, number, int(code), "truth", 1, "eva", TIME)
        for image, number, code in zip(
            table.image_ids.tolist(), table.object_ids.tolist(), codes, strict=True
        )
    )
    learned = LearningSet(Examples(table, codes, np.repeat(np.array(groups), 2)), labels)
    return HeldOutScores(learned, sure(codes if right else np.zeros(m, np.int64)))


def evaluated(one: HeldOutScores) -> ClassEvaluation:
    examples = one.learned.examples
    return evaluate(examples.codes, one.probabilities, examples.groups, SETTINGS)


def test_held_out_patients_decide_where_there_are_three():
    held_out, out_of_fold = judged(["a", "b", "c"]), judged(["d", "e", "f"], right=False)
    found = compared(held_out, out_of_fold, Constant(1), ["d"], SETTINGS)
    assert found is not None
    assert found.on == "3 held-out patients"
    assert (found.comparison.new, found.comparison.verdict) == (1.0, "better")
    assert found.to_dict()["difference"]["value"] == found.comparison.difference.value


def test_else_patients_that_are_new_since():
    held_out, out_of_fold = judged(["a"]), judged(["d", "e", "f", "g"], right=False)
    found = compared(held_out, out_of_fold, Constant(1), ["d"], SETTINGS)
    assert found is not None
    assert found.on.startswith("3 patients")
    assert found.comparison.verdict == "worse"


@pytest.mark.parametrize("held_out", [None, judged(["a", "b"])])
def test_too_few_unseen_patients_decide_nothing(held_out):
    out_of_fold = judged(["d", "e", "f"])
    assert compared(held_out, out_of_fold, Constant(1), ["a", "d"], SETTINGS) is None


def test_figures_beyond_the_interval_count():
    good, bad = evaluated(judged(["a", "b", "c"])), evaluated(judged(["a", "b"], right=False))
    assert by_interval(good, bad).comparison.verdict == "better"
    assert by_interval(bad, good).comparison.verdict == "worse"
    assert by_interval(good, good).comparison.verdict == "level"
    alone = evaluated(judged(["a"]))
    assert by_interval(bad, alone).comparison.verdict == "level"


def test_the_same_objects_and_labels_decide_where_no_patient_is_new():
    right, wrong = judged(["a", "b", "c"]), judged(["a", "b", "c"], right=False)
    found = on_same_labels(right, wrong.probabilities, SETTINGS)
    assert found is not None
    assert found.on == "the same 6 objects and labels"
    assert found.comparison.verdict == "better"
    turned = on_same_labels(wrong, right.probabilities, SETTINGS)
    assert turned is not None and turned.comparison.verdict == "worse"


def test_what_the_current_model_has_seen_is_no_ground_for_a_comparison():
    scores = judged(["a", "b", "c"])
    before = scores.probabilities.copy()
    before[:2] = np.nan
    assert on_same_labels(scores, before, SETTINGS) is None


def test_reviewed_labels_alone_count_where_there_are_any():
    scores = judged(["a", "b", "c", "d"])
    labels = [
        replace(label, source="seed") if label.image_id == "d" else label
        for label in scores.learned.labels
    ]
    mixed = HeldOutScores(LearningSet(scores.learned.examples, tuple(labels)), scores.probabilities)
    found = on_same_labels(mixed, scores.probabilities, SETTINGS)
    assert found is not None and found.on == "the same 6 objects and labels"


def test_figures_by_seed_groups_are_no_reason_to_refuse_a_model_of_reviewed_labels():
    bad, good = evaluated(judged(["a", "b"], right=False)), evaluated(judged(["a", "b", "c"]))
    found = of_other_labels(bad, good)
    assert found.comparison.verdict == "level"
    assert "no fair comparison" in found.on
