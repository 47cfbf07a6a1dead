from __future__ import annotations

from threading import Thread

import numpy as np
import pytest
from support.labelled_objects import QUICK, blobs

from active_learning.classifier import decision
from active_learning.classifier.decision import (
    by_libsvm,
    by_matrices,
    needs_most_of_the_kernel,
    pair_scores,
    predict_probabilities,
    predicted,
)
from active_learning.classifier.gaussian_kernel import gaussian_kernel, kernel_matrix
from active_learning.classifier.svm import SvmParameters, machine
from active_learning.classifier.training import fit
from annotator.settings.learning import TrainSettings

COUNTS = {2: [40, 0, 50, 0], 3: [40, 0, 50, 30], 4: [40, 60, 50, 30]}


def drawn(counts, seed: int = 0, balanced: bool = False):
    """Scaled features, classes, weights, and an SVC that is not fitted."""
    examples = blobs(counts, spread=2.0, seed=seed)
    X = np.ascontiguousarray(examples.table.X)
    weights = np.random.default_rng(seed).uniform(0.1, 3, len(X))
    return X, examples.codes, weights, machine(SvmParameters(5, 0.3, balanced), X.shape[1], QUICK)


@pytest.mark.parametrize("classes", COUNTS)
@pytest.mark.parametrize("at_once", [1, 1000, 8_000_000])
def test_scores_are_those_of_scikit_learn(monkeypatch, classes, at_once):
    monkeypatch.setattr(decision, "_AT_ONCE", at_once)
    X, codes, weights, svc = drawn(COUNTS[classes])
    svc.set_params(decision_function_shape="ovo").fit(X, codes, weights)
    asked = drawn([20, 20, 20, 20], seed=1)[0]
    expected = svc.decision_function(asked)
    assert by_matrices(svc).decision_function(asked) == pytest.approx(expected, abs=1e-9)
    # of two classes scikit-learn turns the sign
    sign = -1 if classes == 2 else 1
    scores = sign * pair_scores(svc, asked)
    assert scores.reshape(expected.shape) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("classes", COUNTS)
@pytest.mark.parametrize("balanced", [False, True])
def test_what_is_fitted_is_what_libsvm_fits(classes, balanced):
    X, codes, weights, svc = drawn(COUNTS[classes], balanced=balanced)
    ours = by_libsvm(by_matrices(svc).fit(X, codes, weights))
    theirs = svc.fit(X, codes, weights)
    assert type(ours) is type(theirs)
    assert vars(ours).keys() == vars(theirs).keys()
    assert ours.get_params() == theirs.get_params()
    for name in ("support_", "support_vectors_", "_n_support", "classes_", "shape_fit_", "_gamma"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
    for name in ("dual_coef_", "_dual_coef_", "intercept_", "_intercept_"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), abs=1e-5), name
    asked = drawn([20, 20, 20, 20], seed=1)[0]
    assert ours.decision_function(asked) == pytest.approx(theirs.decision_function(asked), abs=1e-5)


def test_a_machine_that_is_only_asked_by_matrices_is_fitted_by_libsvm(monkeypatch):
    X, codes, weights, svc = drawn(COUNTS[4])
    monkeypatch.setattr(decision, "kernel_matrix", None)
    found = by_matrices(svc, fit=False).fit(X, codes, weights)
    expected = svc.fit(X, codes, weights)
    assert np.array_equal(found.dual_coef_, expected.dual_coef_)
    assert found.decision_function(X) == pytest.approx(svc.decision_function(X), abs=1e-9)


@pytest.mark.parametrize(("spread", "hard"), [(0.05, False), (500.0, True)])
@pytest.mark.parametrize("weighted", [False, True])
def test_classes_that_are_hard_to_tell_apart_need_most_of_the_kernel(
    monkeypatch, spread, hard, weighted
):
    monkeypatch.setattr(decision, "_PROBE", 60)
    examples = blobs([40, 40, 40, 40], spread=spread)
    svc = machine(SvmParameters(), examples.table.X.shape[1], QUICK)
    weights = np.ones(len(examples)) if weighted else None
    assert needs_most_of_the_kernel(svc, examples.table.X, examples.codes, weights) is hard
    assert not hasattr(svc, "support_")


def test_more_objects_than_there_is_memory_for_are_left_to_libsvm(monkeypatch):
    X, codes, weights, svc = drawn(COUNTS[4])
    assert needs_most_of_the_kernel(svc, X, codes, weights)
    monkeypatch.setattr(decision, "_MOST_ROWS", len(X) - 1)
    assert not needs_most_of_the_kernel(svc, X, codes, weights)


def test_a_first_look_at_one_class_alone_decides_nothing(monkeypatch):
    monkeypatch.setattr(decision, "_PROBE", 2)
    X, codes, weights, svc = drawn(COUNTS[4])
    codes = np.where(np.arange(len(X)) == 1, 2, 1).astype(np.uint8)
    assert needs_most_of_the_kernel(svc, X, codes, weights)


def test_more_threads_than_fit_into_memory_wait_and_fit_the_same():
    X, codes, weights, svc = drawn(COUNTS[4])
    machines = [by_matrices(svc) for _ in range(5)]
    threads = [Thread(target=one.fit, args=(X, codes, weights)) for one in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one.dual_coef_, machines[0].dual_coef_) for one in machines)


@pytest.mark.parametrize("classes", COUNTS)
def test_a_precomputed_kernel_predicts_what_scikit_learn_predicts(classes):
    X, codes, weights, svc = drawn(COUNTS[classes])
    svc.set_params(kernel="precomputed").fit(kernel_matrix(X, 0.2), codes, weights)
    asked = gaussian_kernel(drawn([20, 20, 20, 20], seed=1)[0], X, 0.2)
    given = predicted(svc, asked)
    assert given.dtype == np.uint8
    assert np.array_equal(given, svc.predict(asked))


@pytest.mark.parametrize("counts", [*COUNTS.values(), [30, 1, 30, 0]])
@pytest.mark.parametrize("classifier", ["rbf", "bambo"])
def test_probabilities_of_a_model_are_those_of_its_pipeline(counts, classifier):
    model = fit(blobs(counts), TrainSettings(classifier, inner_folds=2), jobs=1)
    X = blobs([20, 20, 20, 20], spread=3.0, seed=1).table.X
    expected = model.pipeline.predict_proba(X)
    assert expected.shape[1] == sum(count > 1 for count in counts)
    assert predict_probabilities(model.pipeline, X) == pytest.approx(expected, abs=1e-9)


def test_a_model_holds_nothing_of_how_it_was_computed():
    from sklearn.svm import SVC

    model = fit(blobs(COUNTS[4]), QUICK, jobs=1)
    calibrated = model.pipeline.steps[-1][1]
    assert type(calibrated.estimator) is SVC
    assert type(calibrated.calibrated_classifiers_[0].estimator) is SVC
