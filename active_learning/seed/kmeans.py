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


def best_partition(
    points: Floats,
    numbers: Iterable[int],
    random_state: int,
) -> Partition:
    """The k-means with the best silhouette; of equals the one with fewer groups.

    Parameters
    ----------
    points : (M, F) float64
        One or more.
    numbers : iterable of int
        Numbers of groups to try, 1 or more each; those above the number of
        distinct points count as that number.
    random_state : int

    Raises
    ------
    ValueError
        When there is no number to try.
    """
    distinct = len(np.unique(points, axis=0))
    tried: dict[int, tuple[float, Partition]] = {}
    for k in sorted({min(k, distinct) for k in numbers}):
        partition = partition_into(points, k, random_state)
        tried[k] = _silhouette(points, partition.member, random_state), partition
    if not tried:
        raise ValueError("expected a number of groups to try, got none")
    _, best = max(tried.values(), key=lambda one: one[0])
    known = tuple((k, q) for k, (q, _) in tried.items() if np.isfinite(q))
    return Partition(best.centres, best.member, known)


def partition_into(points: Floats, k: int, random_state: int) -> Partition:
    """k-means (Lloyd, k-means++ starts) into `k` groups, the same bits on any number of threads."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    # Sums over several threads differ in their last bits from run to run.
    with threadpool_limits(limits=1):
        model = KMeans(k, n_init=_STARTS, random_state=random_state).fit(points)
    return Partition(model.cluster_centers_, model.labels_.astype(np.int64))


def squared_distances(points: Floats, centres: Floats) -> Floats:
    """From each point to each centre, (M, K) float64, never negative.

    Examples
    --------
    >>> squared_distances(np.array([[0.0, 3.0]]), np.array([[4.0, 0.0], [0.0, 3.0]]))
    array([[25.,  0.]])
    """
    # einsum adds in one fixed order, a threaded matrix product does not
    cross = np.einsum("mf,kf->mk", points, centres)
    squares = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    result: Floats = np.maximum(squares - 2 * cross, 0.0)
    return result


def _silhouette(points: Floats, member: NDArray[np.int64], random_state: int) -> float:
    """Minus infinity where it is not defined: one group, or each point its own."""
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(random_state)
    at = np.sort(rng.permutation(len(points))[:_COMPARED])
    if not 1 < len(np.unique(member[at])) < len(at):
        return float("-inf")
    with threadpool_limits(limits=1):
        return float(silhouette_score(points[at], member[at]))
