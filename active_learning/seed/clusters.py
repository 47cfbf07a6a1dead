"""The first labels: groups of objects that a person can name at one glance.

k-means over the standardised features (MacQueen 1967), each group with the class that
its members look like. A person renames groups, splits the mixed ones, and corrects
single objects; that is far less work than naming every object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from active_learning.classification import Classification
from active_learning.seed.kmeans import Partition, best_partition, partition_into, squared_distances
from active_learning.seed.prototypes import prototypes_for
from active_learning.seed.scaling import fit_scaling
from annotator.core.arrays import Floats
from annotator.core.errors import ModelError
from annotator.core.objects import freeze
from annotator.settings.learning import ClusterSettings
from features.describe import own_features
from features.table import FeatureTable

# To name two groups alike costs a person a word, a mixed group many single objects: so
# the most groups whose silhouette is hardly worse than the best one.
_SLACK = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Groups of objects, largest first.

    Parameters
    ----------
    names : tuple of K str
        ``"1"``, ``"2"``, ...; parts of a split cluster are ``"2.1"``, ``"2.2"``, ...
    member : (M,) int64
        Index into `names` of each object.
    distance : (M,) float64
        To the centre of its own cluster, in scaled units: small is typical.
    ambiguity : (M,) float64
        That distance over the one to the next centre, 0..1: near 1 is borderline.
    codes : (K,) uint8
        Class that each cluster looks like, 0..3.
    purity : (K,) float64
        Share of the members that look like that class each by itself, 0..1: an
        estimate, nobody has looked.
    silhouettes : tuple of (int, float)
        Mean silhouette of each number of clusters that was tried.
    """

    names: tuple[str, ...]
    member: NDArray[np.int64]
    distance: Floats
    ambiguity: Floats
    codes: NDArray[np.uint8]
    purity: Floats
    silhouettes: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        m, k = len(self.member), len(self.names)
        shapes = {"distance": (m,), "ambiguity": (m,), "codes": (k,), "purity": (k,)}
        for name, want in shapes.items():
            if getattr(self, name).shape != want:
                raise ValueError(f"{name} must be {want}, got {getattr(self, name).shape}")
        if m and not 0 <= self.member.min() <= self.member.max() < k:
            raise ValueError(f"members must be 0..{k - 1}")
        for name in ("member", "distance", "ambiguity", "codes", "purity"):
            object.__setattr__(self, name, freeze(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Members of each cluster, (K,) int64."""
        return np.bincount(self.member, minlength=len(self)).astype(np.int64)

    def rows(self, cluster: int) -> NDArray[np.int64]:
        """Rows of the members of a cluster, ascending."""
        return np.flatnonzero(self.member == cluster).astype(np.int64)

    def typical(
        self, cluster: int, count: int, image_ids: NDArray[np.str_] | None = None
    ) -> NDArray[np.int64]:
        """Rows of the members nearest to the centre, nearest first.

        With the image of each object, (M,) str, the nearest of every image come first, so
        that one image with many members does not fill the list.
        """
        return self._first(cluster, self.distance, count, image_ids)

    def borderline(
        self, cluster: int, count: int, image_ids: NDArray[np.str_] | None = None
    ) -> NDArray[np.int64]:
        """Rows of the members nearest to another cluster, as :meth:`typical`."""
        return self._first(cluster, -self.ambiguity, count, image_ids)

    def _first(
        self, cluster: int, key: Floats, count: int, image_ids: NDArray[np.str_] | None
    ) -> NDArray[np.int64]:
        rows = self.rows(cluster)
        rows = rows[np.argsort(key[rows], kind="stable")]
        if image_ids is not None:
            rows = rows[np.argsort(_turn(image_ids[rows]), kind="stable")]
        return rows[:count]


def _turn(names: NDArray[np.str_]) -> NDArray[np.int64]:
    """How many of the same name came before each.

    Examples
    --------
    >>> _turn(np.array(["a", "a", "b", "a"]))
    array([0, 1, 0, 2])
    """
    order = np.argsort(names, kind="stable")
    _, first, count = np.unique(names[order], return_index=True, return_counts=True)
    turn = np.empty(len(names), np.int64)
    turn[order] = np.arange(len(names)) - np.repeat(first, count)
    return turn


def fit_clusters(table: FeatureTable, areas: Floats, settings: ClusterSettings) -> Clusters:
    """Group objects by their standardised features, and say what each group looks like.

    An object counts by the square root of its share of its image: a trabecula among
    thousands of small gaps would else never get a cluster of its own. The number of
    clusters is the largest whose silhouette is within 0.05 of the best one.

    Parameters
    ----------
    table : FeatureTable
        Of one object or more.
    areas : (M,) float64
        Pixels of each object.
    settings : ClusterSettings

    Raises
    ------
    ModelError
        When there is no object at all.
    """
    if not len(table):
        raise ModelError("expected objects to group, got none; annotate at least one image")
    at = np.unique(np.linspace(0, len(table) - 1, min(len(table), settings.sample)).astype(int))
    features = own_features(table)
    points = fit_scaling(features[at])(features)
    weights = np.sqrt(_shares(table.image_ids, areas))
    found = best_partition(
        points[at], settings.numbers, settings.random_state, weights=weights[at], slack=_SLACK
    )
    member = squared_distances(points, found.centres).argmin(axis=1)
    order = np.argsort(-np.bincount(member, minlength=len(found.centres)), kind="stable")
    rank = np.argsort(order)
    names = tuple(str(number) for number in range(1, len(order) + 1))
    clusters = _clusters(table, points, names, rank[member])
    return replace(clusters, silhouettes=found.silhouettes)


def split_clusters(
    table: FeatureTable, clusters: Clusters, parts: Mapping[str, int], settings: ClusterSettings
) -> Clusters:
    """Split mixed clusters further; the others keep their names and members.

    Parameters
    ----------
    table : FeatureTable
        The one that the clusters were found on.
    clusters : Clusters
    parts : mapping of str to int
        Into how many parts, 2 or more, by name of the cluster. A cluster with fewer
        distinct objects is split into as many as there are.
    settings : ClusterSettings

    Raises
    ------
    KeyError
        When there is no such cluster.
    """
    features = own_features(table)
    scaling = fit_scaling(features)
    names: list[str] = []
    member = np.empty(len(table), np.int64)
    unknown = set(parts) - set(clusters.names)
    if unknown:
        raise KeyError(f"no cluster {', '.join(sorted(unknown))}")
    for index, name in enumerate(clusters.names):
        rows = clusters.rows(index)
        if name not in parts:
            member[rows] = len(names)
            names.append(name)
            continue
        points = scaling(features[rows])
        found = _split(points, parts[name], settings.random_state)
        member[rows] = len(names) + found.member
        names += (f"{name}.{part}" for part in range(1, len(found.centres) + 1))
    return _clusters(table, scaling(features), tuple(names), member)


def _split(points: Floats, parts: int, random_state: int) -> Partition:
    return partition_into(points, min(parts, len(np.unique(points, axis=0))), random_state)


def _shares(image_ids: NDArray[np.str_], areas: Floats) -> Floats:
    """Each object's share of all objects' area in its image, (M,) float64."""
    image = np.unique(image_ids, return_inverse=True)[1]
    shares: Floats = areas / np.bincount(image, areas)[image]
    return shares


def _clusters(
    table: FeatureTable, points: Floats, names: tuple[str, ...], member: NDArray[np.int64]
) -> Clusters:
    """Measure the groups that the members make."""
    centres = np.stack([points[member == index].mean(axis=0) for index in range(len(names))])
    apart = np.sqrt(squared_distances(points, centres))
    own = np.take_along_axis(apart, member[:, None], axis=1)[:, 0]
    np.put_along_axis(apart, member[:, None], np.inf, axis=1)
    ambiguity = np.clip(own / np.maximum(apart.min(axis=1), 1e-12), 0.0, 1.0)
    codes, purity = _looks(table, member, len(names))
    return Clusters(names, member.astype(np.int64), own, ambiguity, codes, purity)


def _looks(
    table: FeatureTable, member: NDArray[np.int64], count: int
) -> tuple[NDArray[np.uint8], Floats]:
    """The class of each group, and the share of members that look like it."""
    alone = Classification.of(prototypes_for(table.names).log_odds(table))
    sizes = np.bincount(member, minlength=count)
    mean = np.stack([np.bincount(member, p, count) for p in alone.probabilities.T], axis=1)
    codes = (mean / sizes[:, None]).argmax(axis=1).astype(np.uint8)
    agree = np.bincount(member, alone.codes == codes[member], count)
    return codes, agree / sizes
