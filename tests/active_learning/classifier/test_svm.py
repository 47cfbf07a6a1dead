from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from sklearn.svm import SVC
from support.labelled_objects import QUICK

from active_learning.classifier.folds import inner_folds
from active_learning.classifier.svm import (
    SvmParameters,
    calibrated,
    finite,
    machine,
    rows_to_fit,
    scaler,
)
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


# Calibration: what scikit-learn would do by itself


class RowRecorder(SVC):
    """A machine that notes which rows it was fitted on; a row's first feature is its number."""

    fits: ClassVar[list[set[int]]] = []

    def fit(self, X, y, sample_weight=None):
        """As the machine does."""
        RowRecorder.fits.append(set(X[:, 0].astype(int).tolist()))
        return super().fit(X, y, sample_weight)


def objects_of_patients() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, classes and patients; only the first patient has bone."""
    rng = np.random.default_rng(2)
    patients = np.repeat(["a", "b", "c", "d"], 12)
    codes = np.tile(np.repeat([0, 1, 2], 4), 4).astype(np.uint8)
    codes[:4] = 3
    features = np.c_[np.arange(48), 3 * codes + rng.normal(0, 0.3, 48)]
    return features, codes, patients


def test_the_sigmoids_are_fitted_on_patients_that_the_machine_had_not_seen():
    """``CalibratedClassifierCV(ensemble=False)`` drops groups; so the parts are given to it."""
    features, codes, patients = objects_of_patients()
    folds = inner_folds(codes, patients, 3)
    RowRecorder.fits = []
    calibrated(RowRecorder(), folds.splits()).fit(features, codes)
    *held_out, whole = RowRecorder.fits
    assert whole == set(range(48))
    assert held_out == [set(train.tolist()) for train, _ in folds.splits()]
    for rows in held_out:
        others = np.setdiff1d(np.arange(48), sorted(rows))
        # Bone, which one patient alone has, is dealt object by object, and the notes say so.
        seen = set(patients[sorted(rows)][codes[sorted(rows)] != 3])
        assert seen.isdisjoint(patients[others][codes[others] != 3])
    assert folds.notes[0].startswith("bone: too few groups")


def test_a_class_of_one_patient_survives_calibration():
    """With ``ensemble=True`` the machine that did not see its patient would lose the class."""
    features, codes, patients = objects_of_patients()
    splits = inner_folds(codes, patients, 3).splits()
    fitted = calibrated(SVC(), splits).fit(features[:, 1:], codes)
    assert fitted.classes_.tolist() == [0, 1, 2, 3]
    found = fitted.predict_proba(features[:, 1:])
    assert (found[codes == 3].argmax(axis=1) == 3).all()
    assert found.sum(axis=1) == pytest.approx(1)
    assert len(fitted.calibrated_classifiers_) == 1
