from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.labelled_objects import QUICK, WIDTH, blobs, rows_of, with_groups

from active_learning.classifier.evaluation import evaluate
from active_learning.classifier.examples import Examples
from active_learning.classifier.training import (
    CrossFit,
    Prior,
    TrainedModel,
    cross_fit,
    cross_validate,
    fit,
)
from annotator.core.classes import BONE, CELL, FAT
from annotator.core.errors import ModelError, SettingsError
from annotator.settings.learning import TrainSettings


@pytest.fixture(scope="module")
def examples() -> Examples:
    return blobs([40, 60, 50, 30])


@pytest.fixture(scope="module")
def model(examples) -> TrainedModel:
    return fit(examples, QUICK)


@pytest.fixture(scope="module")
def fitted(examples) -> CrossFit:
    return cross_fit(examples, QUICK, jobs=1)


# What a model says


def test_it_knows_new_objects_of_the_same_kinds(model):
    fresh = blobs([20, 20, 20, 20], seed=1)
    found = model.classify(fresh.table)
    assert (found.codes == fresh.codes).mean() >= 0.95
    assert found.codes.dtype == np.uint8
    assert found.probabilities.shape == (80, 4)
    assert found.probabilities.sum(axis=1) == pytest.approx(1)
    assert np.array_equal(found.codes, found.probabilities.argmax(axis=1))
    assert np.array_equal(found.confidence, found.probabilities.max(axis=1))
    assert model.source == "model"


def test_an_image_without_objects_is_classified_as_nothing(model):
    found = model.classify(rows_of(np.zeros((0, WIDTH))))
    assert found.codes.shape == found.confidence.shape == (0,)
    assert found.probabilities.shape == (0, 4)


def test_an_object_is_judged_alike_in_any_company(model, examples):
    whole = model.probabilities(examples.table)
    some = model.probabilities(examples.take(np.arange(0, 180, 7)).table)
    assert np.array_equal(whole[::7], some)


def test_outliers_gaps_and_infinities_are_no_obstacle(examples):
    X = examples.table.X.copy()
    X[0], X[1, 4], X[2, 3] = 1e12, np.inf, -np.inf
    X[::9, 1] = np.nan
    odd = Examples(rows_of(X), examples.codes, examples.groups)
    model = fit(odd, QUICK)
    given = model.probabilities(odd.table)
    assert np.isfinite(given).all()
    assert (given.argmax(axis=1) == odd.codes).mean() >= 0.9


def test_a_gap_where_training_had_none(model):
    X = np.full((1, WIDTH), np.nan)
    assert model.probabilities(rows_of(X)).sum() == pytest.approx(1)


def test_a_column_without_any_value_changes_no_class(examples, model):
    X = examples.table.X.copy()
    X[:, 4] = np.nan
    empty = fit(Examples(rows_of(X), examples.codes, examples.groups), QUICK)
    codes = empty.classify(rows_of(X)).codes
    assert (codes == model.classify(examples.table).codes).mean() >= 0.95


def test_other_features_are_refused(model):
    with pytest.raises(ModelError, match=f"{model.features}.*bbbb"):
        model.classify(rows_of(np.zeros((2, WIDTH)), "b" * 16))


def test_classes_without_labels_have_probability_0():
    two = fit(blobs([0, 30, 30, 0]), QUICK)
    given = two.probabilities(blobs([5, 5, 5, 5]).table)
    assert given.shape == (20, 4)
    assert (given[:, [0, 3]] == 0).all()
    assert given.sum(axis=1) == pytest.approx(1)


def test_heavy_examples_win_where_two_disagree():
    # the same objects, called fat by some and cell by others
    X = np.repeat(blobs([0, 30, 30, 0]).table.X, 2, axis=0)
    codes = np.tile(np.array([FAT, CELL], np.uint8), 60)
    groups = np.array([f"g{at % 5}" for at in range(120)])
    for heavy in (FAT, CELL):
        weights = np.where(codes == heavy, 5.0, 1.0)
        model = fit(Examples(rows_of(X), codes, groups, weights), QUICK)
        assert (model.classify(rows_of(X)).codes == heavy).mean() > 0.9


# The same every time


def test_order_and_threads_change_no_bit(model, examples):
    turned = examples.take(np.random.default_rng(3).permutation(len(examples)))
    for jobs in (1, 2, 3):
        again = fit(turned, QUICK, jobs=jobs)
        assert again.archive == model.archive
        assert again.record == model.record
        assert again.fingerprint == model.fingerprint


def said() -> str:
    """A fit in words that another process can print."""
    return fit(blobs([40, 60, 50, 30]), QUICK).fingerprint


@pytest.mark.slow
def test_another_process_gives_the_same_bits(model):
    code = "from test_training import said\nprint(said())"
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    alone = (
        os.environ
        | dict.fromkeys(names, "1")
        | {
            "PYTHONPATH": os.pathsep.join(
                map(str, (Path(__file__).parent, Path(__file__).parents[2]))
            )
        }
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=alone, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == model.fingerprint


@pytest.mark.slow
def test_folds_in_threads_give_the_same_bits(examples, fitted):
    assert np.array_equal(cross_fit(examples, QUICK, jobs=2).probabilities, fitted.probabilities)


def test_the_fingerprint_tells_models_apart(model, examples):
    codes = examples.codes.copy()
    codes[:5] = FAT
    others = [
        fit(Examples(examples.table, codes, examples.groups), QUICK),
        fit(examples, replace(QUICK, inner_folds=3)),
    ]
    assert len({model.fingerprint, *(other.fingerprint for other in others)}) == 3


def test_the_examples_stay_as_they_are(examples):
    before = examples.sha256()
    fit(examples, QUICK)
    assert examples.sha256() == before


# Held-out groups


@pytest.mark.slow
def test_no_object_is_judged_by_a_model_that_saw_its_group():
    # nothing but the group gives the class away: who saw the group knows, who did not guesses
    generator = np.random.default_rng(0)
    names = np.repeat([f"g{at:02d}" for at in range(40)], 10)
    codes = np.repeat(generator.integers(1, 3, 40), 10).astype(np.uint8)
    X = np.repeat(generator.normal(size=(40, WIDTH)), 10, axis=0)
    X += generator.normal(scale=0.01, size=X.shape)
    examples = Examples(rows_of(X), codes, names)
    rows = Examples(rows_of(X), codes, np.array([f"r{at}" for at in range(400)]))
    by_row, by_group = (cross_validate(one, QUICK)[1].accuracy.value for one in (rows, examples))
    assert by_row > 0.9
    assert by_group < 0.7


def test_cross_validation_judges_what_it_returns(examples):
    probabilities, found = cross_validate(examples, QUICK)
    assert probabilities.shape == (180, 4)
    assert found.accuracy.value >= 0.95
    assert found == evaluate(examples.codes, probabilities, examples.groups, QUICK)
    assert found.groups == 6


def test_models_know_nothing_of_their_part(examples, fitted):
    for part, model in enumerate(fitted.models):
        rest = examples.take(fitted.folds.part != part).in_order()
        assert isinstance(model, TrainedModel)
        assert model.record["labels"]["sha256"] == rest.sha256()


def test_other_features_get_the_same_folds(examples, fitted):
    narrow = Examples(rows_of(examples.table.X[:, :2].copy()), examples.codes, examples.groups)
    assert np.array_equal(cross_fit(narrow, QUICK).folds.part, fitted.folds.part)


# Few labels


@pytest.mark.parametrize("name", ["bg", "fat", "cell", "bone"])
def test_one_class_alone_is_refused(name):
    counts = [20 * (name == one) for one in ("bg", "fat", "cell", "bone")]
    for run in (fit, cross_validate):
        with pytest.raises(ModelError, match=f"{name} 20"):
            run(blobs(counts), QUICK)


@pytest.mark.parametrize("counts", [[0, 0, 0, 0], [1, 0, 0, 0], [2, 1, 1, 1]])
def test_five_labels_in_all_are_refused(counts):
    for run in (fit, cross_validate):
        with pytest.raises(ModelError, match=f"10 .*{sum(counts)} "):
            run(blobs(counts), QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("few", [1, 2, 3, 4])
def test_a_class_with_a_handful_of_labels(few):
    examples = blobs([30, 30, 30, few], groups=5)
    model = fit(examples, QUICK)
    given = model.probabilities(examples.table)
    assert given.sum(axis=1) == pytest.approx(1)
    assert (given[:90].argmax(axis=1) == examples.codes[:90]).mean() >= 0.9
    assert (given[:, BONE] == 0).all() == (few == 1)
    assert any("bone: 1 label" in note for note in model.notes) == (few == 1)
    probabilities, found = cross_validate(examples, QUICK)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert found.classes[BONE].support == few


@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_few_groups(groups):
    examples = blobs([20, 20, 20, 20], groups=groups)
    assert (fit(examples, QUICK).classify(examples.table).codes == examples.codes).mean() > 0.9
    found = cross_validate(examples, QUICK)[1]
    assert found.groups == groups
    assert found.accuracy.value > 0.8
    assert any("come from one group" in note for note in found.notes) == (groups == 1)
    assert (found.accuracy.low is None) == (groups == 1)


@pytest.mark.slow
def test_a_class_of_one_group_is_learned_and_named():
    examples = blobs([20, 20, 20, 20], groups=4)
    lonely = with_groups(examples, np.where(examples.codes == BONE, "g0", examples.groups))
    model = fit(lonely, QUICK)
    assert (model.classify(lonely.table).codes[60:] == BONE).mean() > 0.9
    assert any(note.startswith("bone: too few groups") for note in model.notes)
    found = cross_validate(lonely, QUICK)[1]
    assert found.classes[BONE].recall == 0
    assert any("bone" in note for note in found.notes)


def test_a_class_a_group_leaves_nothing_to_learn_from():
    examples = blobs([0, 20, 20, 0])
    split = with_groups(examples, np.where(examples.codes == FAT, "a", "b"))
    fitted = cross_fit(split, QUICK)
    assert all(isinstance(model, Prior) for model in fitted.models)
    assert (fitted.probabilities.argmax(axis=1) != split.codes).all()
    assert any("too few" in note for note in fitted.notes())


def test_a_group_with_every_label_beside_small_ones():
    examples = blobs([20, 20, 20, 20])
    groups = np.where(np.arange(80) % 20 == 0, [f"g{at}" for at in range(80)], "all")
    fitted = cross_fit(with_groups(examples, groups), QUICK)
    assert fitted.probabilities.sum(axis=1) == pytest.approx(1)
    assert any("too few" in note for note in fitted.notes())


# Bounds, progress, the published classifier


def test_a_large_set_is_sampled(examples):
    model = fit(examples, replace(QUICK, fit_rows=100))
    assert model.record["labels"]["objects"] == 180
    assert 100 <= model.record["labels"]["fitted"] <= 180
    more = fit(blobs([300, 300, 150, 5]), replace(QUICK, fit_rows=400, search_rows=200))
    assert more.record["labels"]["fitted"] < 500
    assert more.record["labels"]["classes"]["bone"] == 5


@pytest.mark.slow
def test_progress_reaches_its_end(examples):
    steps: list[tuple[str, int, int]] = []
    fit(examples, QUICK, lambda *step: steps.append(step))
    cross_fit(examples, QUICK, lambda *step: steps.append(step))
    assert list(dict.fromkeys(what for what, _, _ in steps)) == [
        "tuning",
        "fitting",
        "held-out groups",
    ]
    for what in ("tuning", "fitting", "held-out groups"):
        done = [(n, total) for name, n, total in steps if name == what]
        assert done == sorted(done)
        assert done[-1][0] == done[-1][1]


def test_the_record_says_what_made_the_model(model, examples):
    record = model.record
    assert record["labels"]["sha256"] == examples.in_order().sha256()
    assert record["labels"]["classes"] == {"bg": 40, "fat": 60, "cell": 50, "bone": 30}
    assert record["labels"]["groups"] == 6
    assert TrainSettings(**record["settings"]) == QUICK
    assert len(record["tried"]) == 10
    best = record["tried"][0]
    assert best["accuracy"] + best["macro_f1"] == max(
        one["accuracy"] + one["macro_f1"] for one in record["tried"]
    )
    svc = model.pipeline.steps[-1][1].calibrated_classifiers_[0].estimator
    assert best["C"] == svc.C
    assert svc.gamma == pytest.approx(best["reach"] / WIDTH)


def test_the_published_classifier_can_be_run(examples):
    settings = replace(QUICK, classifier="bambo")
    model = fit(examples, settings)
    svc = model.pipeline.steps[-1][1].calibrated_classifiers_[0].estimator
    assert (svc.kernel, svc.degree, svc.C) == ("poly", 9, 1.0)
    assert [name for name, _ in model.pipeline.steps] == ["simpleimputer", "calibrated"]
    assert model.record["tried"] == []
    assert cross_validate(examples, settings)[0].sum(axis=1) == pytest.approx(1)


def test_a_published_classifier_that_does_not_converge_says_so():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(600, WIDTH)) * np.array([1, 60, 60, 60, 60])
    codes = generator.integers(0, 2, 600).astype(np.uint8)
    noise = Examples(rows_of(X), codes, np.array([f"g{at % 5}" for at in range(600)]))
    model = fit(noise, replace(QUICK, classifier="bambo"))
    assert any("did not converge" in note for note in model.notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classifier": "forest"}, 'classifier: expected one of "rbf", "bambo", got "forest"'),
        ({"folds": 1}, "folds: expected at least 2, got 1"),
        ({"resamples": 0}, "resamples: expected at least 100, got 0"),
        ({"random_state": -1}, "random_state: expected at least 0, got -1"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(change, said):
    with pytest.raises(SettingsError, match=said):
        replace(TrainSettings(), **change)
