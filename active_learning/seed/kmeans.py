"""k-means whose result depends on the data and the seed alone, with k by silhouette."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats

# Starts of each k-means; rows that a silhouette is taken of (it compares all pairs).
_STARTS, _COMPARED = 3, 2000


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """Points in k groups.

    Parameters
    ----------
    centres : (K, F) float64
    member : (M,) int64
        Group of each point, 0..K - 1.
    silhouettes : tuple of (int, float)
        Mean silhouette (Rousseeuw 1987; -1..1, larger is better separated) of each
        number of groups that was tried; empty where none can be computed.
    """

    centres: Floats
    member: NDArray[np.int64]
    silhouettes: tuple[tuple[int, float], ...] = ()


def best_partition(points: Floats, numbers: Iterable[int], random_state: int) -> Partition:
    """The k-means with the best silhouette; of equals the one with fewer groups.

    Parameters
    ----------
    points : (M, F) float64
        One or more.
    numbers : iterable of int
        Numbers of groups to try, 1 or more each; those above the number of
        distinct points count as that number.
    random_state : int
        Start of the random generator, 0 or more.

    Raises
    ------
    ValueError
        When there is no number to try.

    References
    ----------
    Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of
    cluster analysis", J. Comput. Appl. Math. 20 (1987) 53-65.

    Examples
    --------
    >>> points = np.array([[0.0], [0.1], [5.0], [5.1], [9.0], [9.1]])
    >>> len(best_partition(points, range(2, 5), random_state=0).centres)
    3
    """
    # scikit-learn warns of more groups than points, and fills some with nothing.
    distinct = len(np.unique(points, axis=0))
    tried: dict[int, tuple[float, Partition]] = {}
    for k in sorted({min(k, distinct) for k in numbers}):
        partition = partition_into(points, k, random_state)
        tried[k] = _silhouette(points, partition.member, random_state), partition
    if not tried:
        raise ValueError("expected a number of groups to try, got none")
    _, best = max(tried.values(), key=lambda trial: trial[0])
    known = tuple((k, q) for k, (q, _) in tried.items() if np.isfinite(q))
    return Partition(best.centres, best.member, known)


def partition_into(points: Floats, k: int, random_state: int) -> Partition:
    """k-means into `k` groups, the same bits on any number of threads.

    Lloyd's algorithm from three k-means++ starts; the one with the least sum of squared
    distances counts.

    Parameters
    ----------
    points : (M, F) float64
        With `k` distinct points or more.
    k : int
        1 or more.
    random_state : int

    References
    ----------
    Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28 (1982) 129-137.
    Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.

    Examples
    --------
    >>> found = partition_into(np.array([[0.0], [0.2], [9.0], [9.4]]), 2, random_state=0)
    >>> sorted(found.centres.ravel().round(1).tolist())
    [0.1, 9.2]
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    # Sums over several threads differ in their last bits from run to run.
    with threadpool_limits(limits=1):
        model = KMeans(k, n_init=_STARTS, random_state=random_state).fit(points)
    return Partition(model.cluster_centers_, model.labels_.astype(np.int64))


def squared_distances(points: Floats, centres: Floats) -> Floats:
    """From each point to each centre, (M, K) float64, never negative.

    Parameters
    ----------
    points : (M, F) float64
    centres : (K, F) float64

    Examples
    --------
    >>> squared_distances(np.array([[0.0, 3.0]]), np.array([[4.0, 0.0], [0.0, 3.0]]))
    array([[25.,  0.]])
    """
    # |a - b|^2 = |a|^2 + |b|^2 - 2 a b needs no (M, K, F) array. einsum adds in one fixed
    # order, a threaded matrix product does not.
    cross = np.einsum("mf,kf->mk", points, centres)
    squares = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    # Of equal points the difference can be a rounding error below 0.
    result: Floats = np.maximum(squares - 2 * cross, 0.0)
    return result


def _silhouette(points: Floats, member: NDArray[np.int64], random_state: int) -> float:
    """Minus infinity where it is not defined: one group, or each point its own."""
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    # All pairs of 2,000 points are 4 million distances; 6,000 would be nine times that. The
    # same sample for every number of groups, so that chance favours none of them.
    rng = np.random.default_rng(random_state)
    sample = np.sort(rng.permutation(len(points))[:_COMPARED])
    if not 1 < len(np.unique(member[sample])) < len(sample):
        return float("-inf")
    with threadpool_limits(limits=1):
        return float(silhouette_score(points[sample], member[sample]))
