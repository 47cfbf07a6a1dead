"""Scores of a fitted support vector machine by products of whole matrices.

libsvm takes one kernel value after the other. The same numbers come several times as fast from
one product of the objects with the support vectors; they differ in the last bits.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np

from annotator.core.arrays import Floats

# Kernel values held at a time, 64 MB.
_AT_ONCE = 8_000_000


def predict_probabilities(pipeline: Any, X: Floats) -> Floats:
    """What ``pipeline.predict_proba`` gives, sooner.

    Parameters
    ----------
    pipeline : scikit-learn Pipeline
        Ends with a fitted ``CalibratedClassifierCV`` of one machine.
    X : (M, F) float64
        Without infinities.

    Returns
    -------
    (M, K) float64
        Of the K classes that were learned.
    """
    calibrated = pipeline.steps[-1][1]
    (part,) = calibrated.calibrated_classifiers_
    if part.estimator.kernel != "rbf":
        return np.asarray(pipeline.predict_proba(X))
    # A copy, so that the machine is stored and dumped as it was fitted.
    quick = copy.copy(part)
    quick.estimator = by_matrices(part.estimator)
    return np.asarray(quick.predict_proba(pipeline[:-1].transform(X)))


def by_matrices(svc: Any) -> Any:
    """A copy of a fitted SVC with a Gaussian kernel whose scores come from matrix products."""
    quick = copy.copy(svc)
    quick.__class__ = _matrix_svc()
    return quick


@cache
def _matrix_svc() -> type:
    # scikit-learn takes a second to import: only where something is classified.
    from sklearn.svm import SVC

    class MatrixSvc(SVC):  # type: ignore[misc]  # scikit-learn has no types
        """An SVC that scores by matrix products; all else is scikit-learn's."""

        def _dense_decision_function(self, X: Floats) -> Floats:
            return pair_scores(self, np.asarray(X, np.float64))

    return MatrixSvc


def pair_scores(svc: Any, X: Floats) -> Floats:
    """Score of each pair of classes as libsvm numbers them, (M, P) float64.

    Parameters
    ----------
    svc : scikit-learn SVC
        Fitted, with a Gaussian kernel.
    X : (M, F) float64
    """
    weights, vectors = _pair_weights(svc), svc.support_vectors_
    scores = np.empty((len(X), weights.shape[1]))
    step = max(1, _AT_ONCE // max(1, len(vectors)))
    for start in range(0, len(X), step):
        rows = slice(start, start + step)
        scores[rows] = gaussian(squared_distances(X[rows], vectors), svc._gamma) @ weights
    return scores + svc._intercept_


def _pair_weights(svc: Any) -> Floats:
    """Weight of each support vector in each pair of classes, (S, P) float64.

    libsvm keeps, for a vector of class i, its weight against class j in row j - 1 where j comes
    after i, and in row j where it comes before.
    """
    ends = np.cumsum(svc._n_support)
    own = [slice(end - count, end) for end, count in zip(ends, svc._n_support, strict=True)]
    pairs = [(i, j) for i in range(len(own)) for j in range(i + 1, len(own))]
    weights = np.zeros((int(ends[-1]), len(pairs)))
    for column, (i, j) in enumerate(pairs):
        weights[own[i], column] = svc._dual_coef_[j - 1, own[i]]
        weights[own[j], column] = svc._dual_coef_[i, own[j]]
    return weights


def squared_distances(first: Floats, second: Floats) -> Floats:
    """Squared Euclidean distance of each row to each row, (M, N) float64.

    Examples
    --------
    >>> squared_distances(np.array([[0.0, 3.0]]), np.array([[4.0, 0.0], [0.0, 3.0]])).tolist()
    [[25.0, 0.0]]
    """
    products = first @ second.T
    products *= -2
    products += (first**2).sum(axis=1)[:, None]
    products += (second**2).sum(axis=1)
    return np.maximum(products, 0, out=products)


def gaussian(distances: Floats, gamma: float) -> Floats:
    """``exp(-gamma d)`` in place of squared distances."""
    distances *= -gamma
    return np.exp(distances, out=distances)
