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


def test_probabilities_of_a_network_keep_their_order_where_most_are_near_zero():
    rng = np.random.default_rng(0)
    X = np.stack([np.full(200, 0.001), rng.normal(50, 20, 200)], axis=1)
    X[:6, 0] = 0.1, 0.3, 0.5, 0.7, 0.9, np.nan
    names = ["network_bone_mean", "area_um2"]
    scaled = scaler(QUICK, names).fit_transform(X)
    assert scaled[:5, 0] == pytest.approx([-1.56, -0.67, 0.22, 1.11, 2.0], abs=0.01)
    assert scaled[5, 0] == pytest.approx(-2)
    # All else is as it is where there is no network.
    assert scaled[:, 1] == pytest.approx(scaler(QUICK).fit_transform(X[:, 1:])[:, 0])


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
