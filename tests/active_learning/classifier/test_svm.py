from __future__ import annotations

import numpy as np
import pytest
from support.labelled_objects import QUICK

from active_learning.classifier.svm import SvmParameters, finite, machine, rows_to_fit, scaler
from annotator.settings.learning import TrainSettings

PUBLISHED = TrainSettings(classifier="bambo")


def test_features_come_out_in_units_of_their_spread():
    X = np.random.default_rng(0).normal(50, 20, size=(5000, 1))
    scaled = scaler(QUICK).fit_transform(X)
    assert np.median(scaled) == pytest.approx(0)
    assert np.percentile(scaled, [16, 84]) == pytest.approx([-1, 1], abs=0.05)


def test_outliers_are_cut_and_do_not_squeeze_the_rest():
    X = np.linspace(0, 1, 101)[:, None].copy()
    plain = scaler(QUICK).fit_transform(X)
    X[0], X[-1] = -1e9, 1e9
    scaled = scaler(QUICK).fit_transform(X)
    assert (scaled[0], scaled[-1]) == (-4, 4)
    assert scaled[1:-1] == pytest.approx(plain[1:-1])


def test_gaps_become_the_median_with_a_column_that_says_so():
    X = np.stack([np.arange(50.0), np.arange(50.0)], axis=1)
    X[7, 0] = np.nan
    scaled = scaler(QUICK).fit_transform(X)
    assert scaled.shape == (50, 3)
    assert scaled[7, 0] == pytest.approx(np.median(scaled[:, 0]))
    assert np.flatnonzero(scaled[:, 2]).tolist() == [7]
    assert 0 < scaled[7, 2] <= 4


def test_the_published_features_stay_as_they_are():
    X = np.array([[1.0, 5e6], [2, np.nan], [3, 7e6]])
    scaled = scaler(PUBLISHED).fit_transform(X)
    assert scaled.tolist() == [[1, 5e6], [2, 6e6], [3, 7e6]]


def test_reach_is_gamma_whatever_the_number_of_features():
    assert machine(SvmParameters(reach=0.5), 10, QUICK).gamma == pytest.approx(0.05)
    assert machine(SvmParameters(reach=0.5), 100, QUICK).gamma == pytest.approx(0.005)


def test_class_weights_are_balanced_or_none():
    assert machine(SvmParameters(balanced=True), 5, QUICK).class_weight == "balanced"
    assert machine(SvmParameters(balanced=False), 5, QUICK).class_weight is None


def test_the_published_machine_is_bounded():
    assert rows_to_fit(PUBLISHED) == 4000
    assert rows_to_fit(TrainSettings(classifier="bambo", fit_rows=500)) == 500
    assert rows_to_fit(TrainSettings(fit_rows=9000)) == 9000
    assert machine(SvmParameters(), 7, PUBLISHED).max_iter > 0


def test_infinities_count_as_missing():
    found = finite(np.array([[1.0, np.inf], [-np.inf, np.nan]]))
    assert found[0, 0] == 1
    assert np.isnan(found).sum() == 3
