"""The scikit-learn objects that a classifier is made of.

On 7,105 objects of 20 synthetic fields, grouped by field: cutting the scaled features at
4 units is worth 0.6 points of accuracy and 5 of macro-F1; keeping the 60 (40) features
with the largest F statistic costs 3 (5) points of accuracy. So all features stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from active_learning.classifier.examples import Index
from annotator.core.arrays import Floats
from annotator.settings.learning import TrainSettings
from features import network

# A feature this many scaled units off the median says no more than "far out".
_FAR = 4.0
_PROBABILITIES = frozenset(column.name for column in network.COLUMNS)
# Kernel rows that libsvm keeps, MB.
_CACHE = 200.0
# The published polynomial of raw features may never converge: both bound its time.
_PUBLISHED_ROWS = 4_000
_PUBLISHED_STEPS = 20_000


@dataclass(frozen=True, slots=True)
class SvmParameters:
    """Hyper-parameters of the support vector machine.

    Parameters
    ----------
    C : float
        Cost of a misclassified object.
    reach : float
        ``gamma`` times the number of features: independent of how many there are.
    balanced : bool
        Classes weigh the same, however many objects they have.
    """

    C: float = 10.0
    reach: float = 0.3
    balanced: bool = False


def rows_to_fit(settings: TrainSettings) -> int:
    """Objects that a machine is fitted on at most."""
    if settings.classifier == "bambo":
        return min(settings.fit_rows, _PUBLISHED_ROWS)
    return settings.fit_rows


def scaler(settings: TrainSettings, names: Sequence[str] = ()) -> Any:
    """Unfitted steps in front of the SVC: features in comparable units, without gaps.

    Missing values become the median, and whether one was missing a column of its own;
    then median 0, the 16-84 % range 2 units wide, and a cut at 4 units, so that outliers
    do not dominate. For the published classifier missing values become the median, no more.

    Probabilities of a network are spread over -2 to 2 instead. Most of them are near 0, so
    that the cut would make 0.1 and 0.9 the same.

    Parameters
    ----------
    settings : TrainSettings
    names : sequence of str
        Of the features; empty where no network saw the objects.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler

    seen = [at for at, name in enumerate(names) if name in _PROBABILITIES]
    if seen and settings.classifier != "bambo":
        imputer = SimpleImputer(strategy="median", keep_empty_features=True)
        parts = [("network", make_pipeline(imputer, MinMaxScaler((-2.0, 2.0), clip=True)), seen)]
        others = [at for at in range(len(names)) if at not in seen]
        if others:
            parts.append(("objects", scaler(settings), others))
        return make_pipeline(ColumnTransformer(parts, sparse_threshold=0.0))
    plain = settings.classifier == "bambo"
    imputer = SimpleImputer(strategy="median", add_indicator=not plain, keep_empty_features=True)
    if plain:
        return make_pipeline(imputer)
    return make_pipeline(
        imputer,
        RobustScaler(quantile_range=(16.0, 84.0), unit_variance=True),
        FunctionTransformer(np.clip, kw_args={"a_min": -_FAR, "a_max": _FAR}),
    )


def machine(choice: SvmParameters, features: int, settings: TrainSettings) -> Any:
    """An unfitted support vector machine for so many features."""
    from sklearn.svm import SVC

    if settings.classifier == "bambo":
        return SVC(kernel="poly", degree=9, C=1.0, max_iter=_PUBLISHED_STEPS, cache_size=_CACHE)
    weight = "balanced" if choice.balanced else None
    return SVC(C=choice.C, gamma=choice.reach / features, class_weight=weight, cache_size=_CACHE)


def calibrated(svc: Any, splits: list[tuple[Index, Index]]) -> Any:
    """The machine with a sigmoid a class on its scores, unfitted.

    The sigmoids are fitted on scores of objects that the machine had not seen, part by part
    of `splits`; the machine that is kept is fitted on all objects.

    Parameters
    ----------
    svc : scikit-learn SVC
    splits : list of ((K,) int64, (L,) int64)
        Row numbers to train on and to score.

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines and comparisons to regularized
    likelihood methods", Advances in Large Margin Classifiers (1999) 61-74.
    """
    from sklearn.calibration import CalibratedClassifierCV

    return CalibratedClassifierCV(svc, method="sigmoid", cv=splits, ensemble=False)


def finite(X: Floats) -> Floats:
    """Infinities as missing values: scikit-learn takes NaN alone.

    Parameters
    ----------
    X : (M, F) float64

    Returns
    -------
    (M, F) float64
        Finite numbers and NaN.

    Examples
    --------
    >>> finite(np.array([[1.0, np.inf]])).tolist()
    [[1.0, nan]]
    """
    result: Floats = np.where(np.isfinite(X), X, np.nan)
    return result
