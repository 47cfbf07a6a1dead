"""Groups and their names: the same bits every time, and a refusal where nothing fits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.described_objects import BAMBO, TREPHINE, plain, published, study, table_of
from threadpoolctl import threadpool_limits

from active_learning.classification import Classification
from active_learning.seed.seed_model import SeedModel, fit_seed
from annotator.core.classes import BG, BONE, CELL, CLASS_NAMES, FAT
from annotator.core.errors import ModelError, SettingsError
from annotator.settings.learning import SeedSettings
from features.describe import OWN_COLUMNS, feature_names, own_features
from features.table import FeatureTable

SETTINGS = SeedSettings()
FEW = SeedSettings(groups_min=2, groups_max=3)
WIDTH = len(feature_names(TREPHINE))


@pytest.fixture(scope="module")
def table() -> FeatureTable:
    return study()


@pytest.fixture(scope="module")
def model(table) -> SeedModel:
    return fit_seed(table, SETTINGS)


def bits(model: SeedModel) -> str:
    """All of a model as text; floats in full."""
    return json.dumps(model.to_dict(), sort_keys=True)


# What it says


def test_every_object_gets_the_class_that_it_looks_like(model, table):
    assert np.array_equal(model.classify(table).codes, np.tile([BG, FAT, CELL, BONE], 40))


def test_every_class_has_a_group(model):
    assert set(model.class_codes()) == {BG, FAT, CELL, BONE}
    assert 8 <= len(model.groups) <= 12
    assert model.sizes.sum() == 160 and model.sizes.min() > 0


def test_it_says_that_nobody_has_reviewed_it(model):
    assert model.source == "seed"
    assert re.fullmatch("[0-9a-f]{16}", model.fingerprint)


@pytest.mark.parametrize("rows", [study(9, seed=5, spread=0.5), plain("fat")], ids=["wild", "one"])
def test_probabilities_sum_to_1_and_the_confidence_is_the_largest(model, rows):
    found = model.classify(rows)
    assert found.probabilities.shape == (len(rows), 4)
    assert found.probabilities.sum(axis=1) == pytest.approx(1.0)
    assert (found.probabilities >= 0).all()
    assert np.array_equal(found.codes, found.probabilities.argmax(axis=1))
    assert np.array_equal(found.confidence, found.probabilities.max(axis=1))
    assert found.codes.dtype == np.uint8
    assert (found.confidence >= 0.25).all()


def test_a_plain_object_is_surer_than_one_between_two_classes(model):
    between = table_of((plain("fat").X + plain("bone").X) / 2)
    assert model.classify(plain("fat")).confidence > model.classify(between).confidence


def test_the_classes_of_new_objects_do_not_depend_on_their_company(model):
    rows = study(each=10, seed=9)
    whole = model.classify(rows)
    half = model.classify(
        FeatureTable(
            rows.image_ids[::2], rows.object_ids[::2], rows.X[::2], rows.names, rows.fingerprint
        )
    )
    assert np.array_equal(half.codes, whole.codes[::2])
    assert half.confidence == pytest.approx(whole.confidence[::2], abs=1e-12)


def test_group_weight_0_asks_the_object_alone_and_1_its_group_alone(table):
    odd = plain("cell")
    alone = fit_seed(table, replace(SETTINGS, group_weight=0.0))
    together = fit_seed(table, replace(SETTINGS, group_weight=1.0))
    group = int(together.group_of(odd)[0])
    shares = np.exp(together.log_odds[group])
    assert together.classify(odd).probabilities[0] == pytest.approx(shares / shares.sum())
    assert alone.classify(odd).codes[0] == CELL


def test_a_group_is_the_nearest_centre(model, table):
    scaled = np.clip((own_features(table) - model.centre) / model.scale, -4, 4)
    distance = ((scaled[:, None] - model.groups[None]) ** 2).sum(axis=2)
    assert np.array_equal(model.group_of(table), distance.argmin(axis=1))


def test_clusters_are_named_by_the_size_of_the_groups_then_by_class(model):
    names, sizes = model.cluster_names(), model.sizes.tolist()
    k = len(sizes)
    assert sorted(names, key=int) == [str(n) for n in range(1, k + 5)]
    assert names[k:] == tuple(str(k + n) for n in (1, 2, 3, 4))
    by_name = [sizes[names.index(str(n))] for n in range(1, k + 1)]
    assert by_name == sorted(sizes, reverse=True)
    assert model.cluster_codes() == (*model.class_codes(), BG, FAT, CELL, BONE)


def test_an_object_unlike_its_group_is_shown_with_its_class(model):
    odd = plain(*["cell"] * 3, "bone")
    few = fit_seed(odd, SeedSettings(groups_min=2, groups_max=2))
    one_group = replace(few, groups=few.groups[:1], log_odds=few.log_odds[:1], sizes=few.sizes[:1])
    left = [1 + code for code in one_group.classify(odd).codes.tolist()]
    own = one_group.class_codes()[0]
    assert one_group.cluster_of(odd).tolist() == [0 if at == 1 + own else at for at in left]
    assert len(set(left)) == 2


def test_the_codes_of_the_clusters_are_the_first_classes(model):
    rows = study(each=60, seed=2, spread=0.4)
    given = fit_seed(rows, SETTINGS)
    cluster = given.cluster_of(rows)
    assert np.array_equal(np.array(given.cluster_codes())[cluster], given.classify(rows).codes)
    assert (cluster >= len(given.groups)).any() and (cluster < len(given.groups)).any()


# The same every time


def test_two_fits_are_the_same_bits(model, table):
    assert bits(fit_seed(table, SETTINGS)) == bits(model)


def said(rows: FeatureTable) -> str:
    """A fit and its classes, to the last bit."""
    model = fit_seed(rows, SETTINGS)
    return f"{model.fingerprint} {model.classify(rows).confidence.tobytes().hex()}"


@pytest.mark.slow
def test_another_number_of_threads_or_another_process_gives_the_same_bits():
    code = """
from test_seed_model import said, study
print(said(study(each=60, seed=2, spread=0.2)))
"""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
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
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            assert said(study(each=60, seed=2, spread=0.2)) == done.stdout.strip()


def test_a_model_survives_json(model, table):
    back = SeedModel.from_dict(json.loads(json.dumps(model.to_dict())))
    assert bits(back) == bits(model)
    assert back.fingerprint == model.fingerprint
    assert back.settings == model.settings
    one, two = model.classify(table), back.classify(table)
    assert np.array_equal(one.probabilities, two.probabilities)


@pytest.mark.slow
def test_the_fingerprint_tells_settings_and_tables_apart(model, table):
    others = [
        fit_seed(table, replace(SETTINGS, group_weight=0.31)),
        fit_seed(table, replace(SETTINGS, random_state=1)),
        fit_seed(study(seed=1), SETTINGS),
    ]
    assert len({model.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_fitting_takes_an_even_sample_of_many_objects(table):
    small = fit_seed(table, replace(SETTINGS, sample=50))
    assert small.sizes.sum() == 50
    assert np.array_equal(small.classify(table).codes, np.tile([BG, FAT, CELL, BONE], 40))


def test_a_model_is_read_only(model):
    with pytest.raises(ValueError, match="read-only"):
        model.groups[0, 0] = 1.0


def test_the_table_stays_as_it_is():
    rows = study(each=5)
    before = rows.X.copy()
    fit_seed(rows, FEW).classify(rows)
    assert np.array_equal(rows.X, before)


# Few, equal and incomplete objects


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_one_object_is_enough(name):
    model = fit_seed(plain(name), SETTINGS)
    assert model.groups.shape == (1, len(OWN_COLUMNS))
    assert model.class_codes() == (CLASS_NAMES.index(name),)
    assert CLASS_NAMES[model.classify(plain(name)).codes[0]] == name


def test_objects_that_are_all_alike_are_one_group():
    model = fit_seed(plain(*["fat"] * 30), SETTINGS)
    assert len(model.groups) == 1
    assert (model.classify(plain("fat", "fat")).codes == FAT).all()


@pytest.mark.parametrize("count", range(2, 10))
def test_fewer_objects_than_groups(count):
    rows = study(each=3)
    few = table_of(rows.X[:count])
    model = fit_seed(few, SETTINGS)
    assert 1 <= len(model.groups) <= count
    assert model.classify(few).codes.shape == (count,)


def test_two_kinds_of_equal_objects_are_two_groups():
    model = fit_seed(plain(*["fat", "cell"] * 20), SETTINGS)
    assert sorted(model.class_codes()) == [FAT, CELL]


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_missing_values_are_no_obstacle(share):
    X = study().X.copy()
    X[np.random.default_rng(0).random(X.shape) < share] = np.nan
    rows = table_of(X)
    found = fit_seed(rows, SETTINGS).classify(rows)
    assert np.isfinite(found.probabilities).all()
    assert found.probabilities.sum(axis=1) == pytest.approx(1.0)


def test_a_column_without_any_value_changes_nothing(model, table):
    X = table.X.copy()
    unused = X.shape[1] - 1
    X[:, unused] = np.nan
    found = fit_seed(table_of(X), SETTINGS)
    assert np.array_equal(found.classify(table_of(X)).codes, model.classify(table).codes)


def test_a_far_outlier_does_not_move_the_others(model, table):
    X = table.X.copy()
    X[0] = 1e12
    found = fit_seed(table_of(X), SETTINGS).classify(table_of(X))
    assert np.array_equal(found.codes[1:], model.classify(table).codes[1:])


def test_no_object_is_refused():
    with pytest.raises(ModelError):
        fit_seed(table_of(np.zeros((0, WIDTH))), SETTINGS)


def test_an_image_without_objects_is_classified_as_nothing(model):
    found = model.classify(table_of(np.zeros((0, WIDTH))))
    assert found.codes.shape == found.confidence.shape == (0,)
    assert found.probabilities.shape == (0, 4)


# What does not fit


def test_other_features_are_refused(model):
    with pytest.raises(ModelError, match=model.features):
        model.classify(published())
    changed = table_of(study(1).X)
    renamed = FeatureTable(
        changed.image_ids, changed.object_ids, changed.X, changed.names, "0" * 16
    )
    with pytest.raises(ModelError, match=f"{model.features}.*0000"):
        model.classify(renamed)


def test_features_without_prototypes_are_refused():
    foreign = FeatureTable(
        np.array(["x", "x"]), np.array([1, 2], np.int32), np.eye(2), ("a", "b"), "f"
    )
    with pytest.raises(ModelError, match=r"2 .*\['a', 'b'\]"):
        fit_seed(foreign, FEW)


@pytest.mark.parametrize("key", ["features", "settings", "centre", "groups", "log_odds", "sizes"])
def test_a_damaged_model_is_refused(model, key):
    content = model.to_dict()
    del content[key]
    with pytest.raises(KeyError):
        SeedModel.from_dict(content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"centre": [0.0]}, "centre must be"),
        ({"log_odds": [[0.0, 0.0]]}, "log_odds must be"),
        ({"groups": "no"}, "could not convert"),
        (
            {"settings": {"groups_min": 5, "groups_max": 4}},
            r"no more than groups_max \(4\), got 5",
        ),
    ],
    ids=["centre", "log_odds", "groups", "settings"],
)
def test_a_model_that_does_not_fit_itself_is_refused(model, damage, said):
    with pytest.raises(ValueError, match=said):
        SeedModel.from_dict(model.to_dict() | damage)


@pytest.mark.parametrize(
    ("least", "most", "said"),
    [
        (9, 8, r"no more than groups_max \(8\), got 9"),
        (13, 12, r"no more than groups_max \(12\), got 13"),
        (1, 12, "at least 2, got 1"),
        (0, 0, "at least 2, got 0"),
    ],
)
def test_settings_without_a_number_of_groups_are_refused(least, most, said):
    with pytest.raises(SettingsError, match=f"groups_min: expected {said}"):
        SeedSettings(groups_min=least, groups_max=most)


@pytest.mark.parametrize("weight", [-0.1, 1.01, float("nan")])
def test_a_weight_that_is_no_share_is_refused(weight):
    with pytest.raises(SettingsError, match="group_weight: expected"):
        SeedSettings(group_weight=weight)


def test_one_number_of_groups_is_allowed(table):
    assert len(fit_seed(table, SeedSettings(groups_min=9, groups_max=9)).groups) == 9


# The published features


def test_tables_of_the_published_features_are_classified_too():
    rows = published(count=200)
    model = fit_seed(rows, SETTINGS)
    found = model.classify(rows)
    assert found.probabilities.sum(axis=1) == pytest.approx(1.0)
    assert len(np.unique(found.codes)) > 1


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ((0.0, 0.95, 0.0, 0.9), "fat"),
        ((0.0, 0.95, 0.0, 0.1), "bg"),
        ((0.1, 0.05, 0.8, 0.0), "cell"),
        ((0.95, 0.0, 0.0, 0.0), "bone"),
    ],
)
def test_plain_readings_of_the_published_features(values, name):
    keys = ("bambo_pink_share", "bambo_white_share", "bambo_purple_share")
    keys = (*keys, "bambo_white_circularity", "bambo_green_std")
    given = dict(zip(keys, (*values, 4.0 if name == "bone" else 25.0), strict=True))
    rows = table_of(np.array([[given.get(n, 0.0) for n in feature_names(BAMBO)]]), BAMBO)
    assert CLASS_NAMES[fit_seed(rows, SETTINGS).classify(rows).codes[0]] == name


# Classification


def test_log_odds_are_normalised_however_large():
    found = Classification.of(np.array([[0.0, 0, 0, 0], [-1e4, 900.0, 0, 900.0], [1, 2, 3, 4]]))
    assert found.probabilities[0] == pytest.approx([0.25] * 4)
    assert found.probabilities[1] == pytest.approx([0, 0.5, 0, 0.5])
    assert found.codes.tolist() == [BG, FAT, BONE]
    assert found.confidence[2] == pytest.approx(1 / (1 + np.exp(-1) + np.exp(-2) + np.exp(-3)))
