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
# Objects of a first look at how hard the classes are to tell apart, and the share of them at a
# border that makes them hard.
_PROBE, _MANY = 1_000, 0.5
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


def by_matrices(svc: Any, fit: bool = True) -> Any:
    """A copy of an SVC that is asked by matrix products, where its kernel is Gaussian.

    Another kernel is left to libsvm.

    Parameters
    ----------
    svc : scikit-learn SVC
    fit : bool
        Whether it is also fitted by them: see :func:`needs_most_of_the_kernel`.
    """
    quick = copy.copy(svc)
    if svc.kernel == "rbf":
        asked, fitted_and_asked = _matrix_svcs()
        quick.__class__ = fitted_and_asked if fit else asked
    return quick


def needs_most_of_the_kernel(svc: Any, X: Floats, codes: Any, weights: Floats | None) -> bool:
    """Whether libsvm would take so many rows of the kernel that all at once come sooner.

    libsvm takes those of the objects near a border between classes. How many these are shows in
    a fit of a thousand objects: half of these are about a fifth of ten thousand, where both ways
    take as long.

    Parameters
    ----------
    svc : scikit-learn SVC
        Is not changed.
    X : (M, F) float64
    codes : (M,) uint8
    weights : (M,) float64 or None
    """
    if svc.kernel != "rbf" or len(X) > _MOST_ROWS:
        return False
    rows = np.linspace(0, len(X) - 1, min(len(X), _PROBE)).astype(np.intp)
    if len(X) <= _PROBE or len(np.unique(codes[rows])) < 2:
        return True
    probe = by_matrices(svc).fit(X[rows], codes[rows], None if weights is None else weights[rows])
    return bool(len(probe.support_) > _MANY * len(rows))


def by_libsvm(svc: Any) -> Any:
    """A copy of what :func:`by_matrices` gave as scikit-learn's own SVC, to be stored."""
    from sklearn.svm import SVC

    plain = copy.copy(svc)
    plain.__class__ = SVC
    return plain


@cache
def _matrix_svcs() -> tuple[type, type]:
    # scikit-learn takes a second to import: only where something is classified.
    from sklearn.svm import SVC

    class MatrixScoredSvc(SVC):  # type: ignore[misc]  # scikit-learn has no types
        """An SVC that scores by matrix products; all else is scikit-learn's."""

        def _dense_decision_function(self, X: Floats) -> Floats:
            return pair_scores(self, np.asarray(X, np.float64))

    class MatrixSvc(MatrixScoredSvc):
        """An SVC that is also fitted on a kernel from matrix products."""

        def _dense_fit(self, X: Floats, *arguments: Any, **named: Any) -> None:
            y, sample_weight, solver, _ = arguments
            with _ROOM:
                matrix = kernel_matrix(X, self._gamma)
                super()._dense_fit(matrix, y, sample_weight, solver, "precomputed", **named)
            self.support_vectors_ = X[self.support_]

    return MatrixScoredSvc, MatrixSvc


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
    scores += svc._intercept_
    return scores


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
