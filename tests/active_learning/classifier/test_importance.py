from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.labelled_objects import QUICK, blobs, rows_of

from active_learning.classifier.examples import Examples
from active_learning.classifier.importance import permutation_importance
from active_learning.classifier.training import cross_fit


@pytest.fixture(scope="module")
def examples() -> Examples:
    return blobs([40, 40, 40, 40])


@pytest.fixture(scope="module")
def fitted(examples):
    return cross_fit(examples, QUICK)


@pytest.mark.slow
def test_features_that_tell_classes_apart_cost_more_than_noise(examples, fitted):
    found = permutation_importance(examples, fitted, QUICK)
    losses = {one.name: one.loss for one in found}
    assert set(losses) == {"f0", "f1", "f2", "f3", "f4"}
    assert [one.loss for one in found] == sorted(losses.values(), reverse=True)
    assert min(losses["f0"], losses["f1"]) > 0.1
    assert max(abs(losses["f3"]), abs(losses["f4"])) < 0.05


@pytest.mark.slow
def test_a_copy_makes_a_feature_replaceable(examples):
    X = np.concatenate([examples.table.X, examples.table.X[:, [0, 0]]], axis=1)
    double = Examples(rows_of(X), examples.codes, examples.groups)
    alone = permutation_importance(examples, cross_fit(examples, QUICK), QUICK)
    shared = permutation_importance(double, cross_fit(double, QUICK), QUICK)
    loss = {one.name: one.loss for one in alone}["f0"]
    assert {one.name: one.loss for one in shared}["f0"] < loss


@pytest.mark.slow
def test_it_is_the_same_on_any_number_of_threads(examples, fitted):
    one, two = (permutation_importance(examples, fitted, QUICK, jobs=n) for n in (1, 2))
    assert one == two


def test_rows_are_bounded_and_progress_reported(examples, fitted):
    steps = []
    few = replace(QUICK, importance_rows=60)
    found = permutation_importance(examples, fitted, few, lambda *step: steps.append(step))
    assert len(found) == 5
    assert steps[-1] == ("importance", 6, 6)


def test_the_examples_stay_as_they_are(examples, fitted):
    before = examples.sha256()
    permutation_importance(examples, fitted, QUICK)
    assert examples.sha256() == before
