from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from support.labelled_objects import QUICK, blobs

from active_learning.classifier.evaluation import accuracy, confusion_of, macro_f1
from active_learning.classifier.folds import inner_folds
from active_learning.classifier.svm import SvmParameters, machine, scaler
from active_learning.classifier.tuning import COSTS, REACHES, Tried, cores, in_threads, tune
from annotator.core.progress import silent


def test_the_whole_grid_is_tried_and_balanced_weights_at_its_best():
    tried = tune(blobs([20, 30, 30, 10], spread=2.0), QUICK, silent, jobs=1)
    plain = [one for one in tried if not one.choice.balanced]
    (balanced,) = [one for one in tried if one.choice.balanced]
    assert {(one.choice.C, one.choice.reach) for one in plain} == {
        (cost, reach) for cost in COSTS for reach in REACHES
    }
    assert replace(balanced.choice, balanced=False) == plain[0].choice
    scores = [one.score for one in tried]
    assert scores == sorted(scores, reverse=True)


def test_equals_stay_in_the_order_of_the_grid():
    tried = tune(blobs([20, 20, 20, 20], spread=0.05), QUICK, silent, jobs=1)
    assert tried[0].score == 1
    assert tried[0].choice == SvmParameters(COSTS[0], REACHES[0])


def test_figures_are_of_objects_that_were_held_out():
    # no pattern at all: on its own objects a machine of this cost would be nearly right
    examples = blobs([0, 60, 60, 0], spread=500.0)
    best = tune(examples, QUICK, silent, jobs=1)[0]
    assert best.accuracy < 0.7


def test_the_score_is_the_mean_of_accuracy_and_macro_f1():
    assert Tried(SvmParameters(), accuracy=0.9, macro_f1=0.5).score == pytest.approx(0.7)


def test_there_is_nothing_to_tune_in_the_published_classifier():
    assert tune(blobs([9, 9, 9, 9]), replace(QUICK, classifier="bambo"), silent, jobs=1) == ()


def test_results_come_in_the_order_of_the_tasks():
    done: list[int] = []

    def slow_first(n: int) -> int:
        time.sleep(0.02 if n == 0 else 0)
        return n * n

    assert in_threads(slow_first, range(6), 3, done.append) == [0, 1, 4, 9, 16, 25]
    assert done == [1, 2, 3, 4, 5, 6]


def test_a_fault_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda n: 1 / n, [1, 0], 2, lambda _: None)


def test_there_is_a_processor():
    assert cores() >= 1


@pytest.mark.parametrize("counts", [[40, 60, 50, 30], [0, 60, 50, 0]])
def test_figures_and_choice_are_those_of_scikit_learn_alone(counts):
    examples = blobs(counts, spread=2.0)
    found = tune(examples, QUICK, silent, jobs=1)
    splits = inner_folds(examples.codes, examples.groups, QUICK.inner_folds).splits()
    for one in found:
        confusion = np.zeros((4, 4), np.int64)
        for train, test in splits:
            steps = scaler(QUICK, examples.table.names).fit(examples.table.X[train])
            scaled = steps.transform(examples.table.X)
            svc = machine(one.choice, scaled.shape[1], QUICK)
            svc.fit(scaled[train], examples.codes[train])
            confusion += confusion_of(examples.codes[test], svc.predict(scaled[test]))
        assert (one.accuracy, one.macro_f1) == (accuracy(confusion), macro_f1(confusion))
