"""The starter classifier: learned from a network's columns alone, for any network's objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from active_learning.classifier.examples import Examples
from active_learning.classifier.model_file import load_model
from active_learning.network.starter_classifier import (
    StarterClassifier,
    network_columns,
    starter_classifier,
    train_starter_classifier,
)
from annotator.core.errors import ModelError
from annotator.settings.learning import TrainSettings
from features import network
from features.table import FeatureTable

NAMES = ("area_um2", *(column.name for column in network.COLUMNS))
QUICK = TrainSettings(search_rows=100, fit_rows=200)


def table(codes: np.ndarray, seed: int = 0, features: str = "f") -> FeatureTable:
    """Objects of which the network is right, mostly; their areas say nothing."""
    random = np.random.default_rng(seed)
    X = random.uniform(0, 0.1, (len(codes), len(NAMES)))
    X[:, 0] = random.uniform(1, 9000, len(codes))
    X[np.arange(len(codes)), 1 + codes] = random.uniform(0.6, 1, len(codes))
    ids = np.arange(1, len(codes) + 1, dtype=np.int32)
    return FeatureTable(np.full(len(codes), "a"), ids, X, NAMES, features)


@pytest.fixture(scope="module")
def trained() -> StarterClassifier:
    codes = np.tile(np.arange(4, dtype=np.uint8), 30)
    groups = np.repeat(np.array(["p", "q", "r"]), 40)
    data, record = train_starter_classifier(Examples(table(codes), codes, groups), QUICK, jobs=1)
    assert len(data) < 1_500_000
    return StarterClassifier(load_model(data, record), "f")


def test_it_names_objects_that_it_has_not_seen(trained):
    codes = np.tile(np.arange(4, dtype=np.uint8), 10)
    found = trained.classify(table(codes, seed=1))
    assert (found.codes == codes).mean() > 0.95
    assert found.probabilities.sum(axis=1) == pytest.approx(1)
    assert trained.source == "starter"


def test_only_what_the_network_says_counts(trained):
    codes = np.tile(np.arange(4, dtype=np.uint8), 5)
    one = table(codes, seed=2)
    X = one.X.copy()
    X[:, 0] = 1e9
    other = replace(one, X=X)
    assert np.array_equal(
        trained.classify(one).probabilities, trained.classify(other).probabilities
    )


def test_it_refuses_tables_of_other_features_and_without_a_network(trained):
    codes = np.zeros(3, np.uint8)
    with pytest.raises(ModelError, match="annotate"):
        trained.classify(table(codes, features="g"))
    with pytest.raises(ModelError, match="network"):
        network_columns(
            FeatureTable(np.array(["a"]), np.array([1], np.int32), np.ones((1, 1)), ("x",), "f")
        )


def test_the_one_that_ships_fits_whatever_network_saw_the_objects():
    codes = np.tile(np.arange(4, dtype=np.uint8), 5)
    keys = set()
    for features in ("f", "g"):
        shipped = starter_classifier(features)
        found = shipped.classify(table(codes, features=features))
        assert found.codes.shape == (20,)
        keys.add(shipped.fingerprint)
    assert len(keys) == 2


def test_the_one_that_ships_agrees_with_a_network_that_is_sure():
    X = np.zeros((4, len(NAMES)))
    for code in range(4):
        X[code, 1 + code] = X[code, 5 + code] = 1.0
    ids = np.arange(1, 5, dtype=np.int32)
    sure = FeatureTable(np.full(4, "a"), ids, X, NAMES, "f")
    assert starter_classifier("f").classify(sure).codes.tolist() == [0, 1, 2, 3]
