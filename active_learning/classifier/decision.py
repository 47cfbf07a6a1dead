"""A support vector machine fitted and asked by products of whole matrices.

libsvm takes one kernel value after the other. The same numbers come several times as fast from
products of matrices; they differ in the last bits. What is fitted is scikit-learn's SVC with a
Gaussian kernel, and is stored and read as one.
"""

from __future__ import annotations

import copy
from functools import cache
from itertools import combinations
from threading import BoundedSemaphore
from typing import Any

import numpy as np

from active_learning.classifier.gaussian_kernel import gaussian_kernel, kernel_matrix
from annotator.core.arrays import Floats

# Kernel values held at a time to score objects, 64 MB.
_AT_ONCE = 8_000_000
# Fitting takes the kernel of all objects at once, 800 MB of 10,000: more objects than these
# are left to libsvm, which forgets what it has no room for.
_MOST_ROWS = 12_000
# Fits at a time. More threads wait: a computer out of memory is slower than one that waits.
_ROOM = BoundedSemaphore(2)


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
    # A copy, so that the machine is stored and dumped as it was fitted.
    quick = copy.copy(part)
    quick.estimator = by_matrices(part.estimator)
    return np.asarray(quick.predict_proba(pipeline[:-1].transform(X)))


def by_matrices(svc: Any) -> Any:
    """A copy of an SVC that is fitted and asked by matrix products, where its kernel is Gaussian.

    Another kernel is left to libsvm.
    """
    quick = copy.copy(svc)
    if svc.kernel == "rbf":
        quick.__class__ = _matrix_svc()
    return quick


def by_libsvm(svc: Any) -> Any:
    """A copy of what :func:`by_matrices` gave as scikit-learn's own SVC, to be stored."""
    from sklearn.svm import SVC

    plain = copy.copy(svc)
    plain.__class__ = SVC
    return plain


@cache
def _matrix_svc() -> type:
    # scikit-learn takes a second to import: only where something is classified.
    from sklearn.svm import SVC

    class MatrixSvc(SVC):  # type: ignore[misc]  # scikit-learn has no types
        """An SVC that takes its kernel from matrix products; all else is scikit-learn's."""

        def _dense_fit(self, X: Floats, *arguments: Any, **named: Any) -> None:
            if len(X) > _MOST_ROWS:
                super()._dense_fit(X, *arguments, **named)
                return
            y, sample_weight, solver, _ = arguments
            with _ROOM:
                matrix = kernel_matrix(X, self._gamma)
                super()._dense_fit(matrix, y, sample_weight, solver, "precomputed", **named)
            self.support_vectors_ = X[self.support_]

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
        scores[rows] = gaussian_kernel(X[rows], vectors, svc._gamma) @ weights
    return scores + svc._intercept_


def _pair_weights(svc: Any) -> Floats:
    """Weight of each support vector in each pair of classes, (S, P) float64.

    libsvm keeps, for a vector of class i, its weight against class j in row j - 1 where j comes
    after i, and in row j where it comes before.
    """
    ends = np.cumsum(svc._n_support)
    own = [slice(end - count, end) for end, count in zip(ends, svc._n_support, strict=True)]
    pairs = list(combinations(range(len(own)), 2))
    weights = np.zeros((int(ends[-1]), len(pairs)))
    for column, (i, j) in enumerate(pairs):
        weights[own[i], column] = svc._dual_coef_[j - 1, own[i]]
        weights[own[j], column] = svc._dual_coef_[i, own[j]]
    return weights


def predicted(svc: Any, kernel: Floats) -> Any:
    """The class that a machine with a precomputed kernel gives to each object, (M,).

    As libsvm, each pair of classes has a vote, and the first of equals wins.

    Parameters
    ----------
    svc : scikit-learn SVC
        Fitted.
    kernel : (M, N) float64
        Kernel of the objects and those that it was fitted on.
    """
    scores = kernel[:, svc.support_] @ _pair_weights(svc) + svc._intercept_
    votes = np.zeros((len(kernel), len(svc.classes_)), np.int64)
    for column, (i, j) in enumerate(combinations(range(len(svc.classes_)), 2)):
        votes[:, i] += scores[:, column] > 0
        votes[:, j] += scores[:, column] <= 0
    return svc.classes_[votes.argmax(axis=1)]
