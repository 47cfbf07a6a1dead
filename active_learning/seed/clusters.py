"""The first labels: the seed groups, as clusters of objects that a person can name at a glance.

There is one clustering of a study: the k-means of :mod:`active_learning.seed.seed_model` that
gave the first classes. Here its groups are shown on the objects of the first images, each
with the class that its members have in the first draft. A person renames clusters, splits the
mixed ones, and corrects single objects; that is far less work than naming every object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from active_learning.classification import Classification
from active_learning.seed.kmeans import partition_into, squared_distances
from active_learning.seed.prototypes import prototypes_for
from active_learning.seed.scaling import fit_scaling
from active_learning.seed.seed_model import SeedModel
from annotator.core.arrays import Floats
from annotator.core.errors import ModelError
from annotator.core.objects import freeze
from features.describe import own_features
from features.table import FeatureTable

LEAST_PURITY = 0.8
"""A purer cluster gets the class that it looks like; in one below, a person has to name it."""

BY_DRAFT = -1
"""Instead of a number of parts: one part for each class that the members have in the draft."""


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Groups of objects, in the order in which a person is shown them.

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
        Share of the members that have that class in the first draft (or look like it each
        by itself, where the draft is of these groups), 0..1: an estimate, nobody has looked.
    """

    names: tuple[str, ...]
    member: NDArray[np.int64]
    distance: Floats
    ambiguity: Floats
    codes: NDArray[np.uint8]
    purity: Floats

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
        """Number of members of each cluster, (K,) int64."""
        return np.bincount(self.member, minlength=len(self)).astype(np.int64)

    @property
    def impure(self) -> NDArray[np.bool_]:
        """Clusters that are no more than :data:`LEAST_PURITY` of one class, (K,) bool."""
        return self.purity < LEAST_PURITY

    def rows(self, cluster: int) -> NDArray[np.int64]:
        """Rows of the members of a cluster, ascending, (S,) int64."""
        return np.flatnonzero(self.member == cluster).astype(np.int64)

    def typical(
        self, cluster: int, count: int, image_ids: NDArray[np.str_] | None = None
    ) -> NDArray[np.int64]:
        """Rows of the members nearest to the centre, nearest first, (S,) int64.

        Parameters
        ----------
        cluster : int
            0..K - 1.
        count : int
            How many at most.
        image_ids : (M,) str, optional
            Image of each object: the nearest of every image come first, so that one image
            with many members does not fill the list.

        Examples
        --------
        >>> distance, ambiguity = np.array([0.5, 0.1, 0.9]), np.array([0.3, 0.1, 0.8])
        >>> looks = np.array([1], np.uint8), np.array([1.0])
        >>> clusters = Clusters(("1",), np.zeros(3, np.int64), distance, ambiguity, *looks)
        >>> clusters.typical(0, 2).tolist(), clusters.borderline(0, 1).tolist()
        ([1, 0], [2])
        """
        return self._first(cluster, self.distance, count, image_ids)

    def borderline(
        self, cluster: int, count: int, image_ids: NDArray[np.str_] | None = None
    ) -> NDArray[np.int64]:
        """Rows of the members nearest to another cluster, (S,) int64; see :meth:`typical`."""
        return self._first(cluster, -self.ambiguity, count, image_ids)

    def _first(
        self, cluster: int, key: Floats, count: int, image_ids: NDArray[np.str_] | None
    ) -> NDArray[np.int64]:
        rows = self.rows(cluster)
        rows = rows[np.argsort(key[rows], kind="stable")]
        # Stable, so that within a turn of the images the nearest still comes first.
        if image_ids is not None:
            rows = rows[np.argsort(_occurrence(image_ids[rows]), kind="stable")]
        return rows[:count]


def _occurrence(names: NDArray[np.str_]) -> NDArray[np.int64]:
    """How many of the same name came before each.

    Examples
    --------
    >>> _occurrence(np.array(["a", "a", "b", "a"]))
    array([0, 1, 0, 2])
    """
    order = np.argsort(names, kind="stable")
    _, first, count = np.unique(names[order], return_index=True, return_counts=True)
    occurrence = np.empty(len(names), np.int64)
    occurrence[order] = np.arange(len(names)) - np.repeat(first, count)
    return occurrence


def own_classes(table: FeatureTable) -> Classification:
    """The class that each object looks like by itself, whatever its group.

    Raises
    ------
    ModelError
        When the table has the columns of neither feature set.
    """
    return Classification.of(prototypes_for(table.names).log_odds(table))


def clusters_of(
    model: SeedModel, table: FeatureTable, draft: Classification | None = None
) -> Clusters:
    """Show the seed groups of a study on the objects of some of its images.

    No second clustering: each object is in the group that had a say in its first class, or,
    where its first class is another one than that of its group, with the others that left
    theirs for this class (:meth:`SeedModel.cluster_of`). So the classes that are proposed
    are those of the first draft. A cluster that has no object among these is left out, and
    the others keep their names.

    Parameters
    ----------
    model : SeedModel
        K groups.
    table : FeatureTable
        M objects, M of 1 or more, with the features of the model.
    draft : Classification, optional
        Of these objects, where something else than the groups named them in the first
        draft: then a cluster looks like what its members are there.

    Returns
    -------
    Clusters
        The groups, the largest of the study first, then what left them, by class.

    Raises
    ------
    ModelError
        When there is no object, or the table has other features.
    """
    if not len(table):
        raise ModelError("expected objects to group, got none; annotate at least one image")
    cluster, names = model.cluster_of(table), model.cluster_names()
    shown = sorted(np.unique(cluster).tolist(), key=lambda index: int(names[index]))
    place = np.zeros(len(names), np.int64)
    place[shown] = np.arange(len(shown))
    shown_names = tuple(names[index] for index in shown)
    return _measured(table, model.scaled(table), shown_names, place[cluster], draft)


def clusters_from_members(
    table: FeatureTable,
    names: tuple[str, ...],
    member: NDArray[np.int64],
    draft: Classification | None = None,
) -> Clusters:
    """Measure clusters whose members are known: those of a table that was written before.

    Parameters
    ----------
    table : FeatureTable
        M objects, M of 1 or more.
    names : tuple of K str
    member : (M,) int64
        Index into `names` of each object; every cluster has one object or more.
    draft : Classification, optional
        See :func:`clusters_of`.

    Raises
    ------
    ModelError
        When the table has the columns of neither feature set.
    """
    features = own_features(table)
    return _measured(table, fit_scaling(features)(features), names, member, draft)


def split_clusters(
    table: FeatureTable,
    clusters: Clusters,
    parts: Mapping[str, int],
    random_state: int,
    draft: Classification | None = None,
) -> Clusters:
    """Split mixed clusters further; the others keep their names and members.

    Parameters
    ----------
    table : FeatureTable
        The M objects of the clusters, in the same order.
    clusters : Clusters
    parts : mapping of str to int
        Into how many parts, 2 or more, by name of the cluster. A cluster with fewer
        distinct objects is split into as many as there are. :data:`BY_DRAFT` makes a part of
        the members of each class.
    random_state : int
        Start of the random generator of k-means.
    draft : Classification, optional
        See :func:`clusters_of`.

    Raises
    ------
    KeyError
        When there is no such cluster.
    """
    unknown = set(parts) - set(clusters.names)
    if unknown:
        raise KeyError(f"no cluster {', '.join(sorted(unknown))}")
    features = own_features(table)
    points = fit_scaling(features)(features)
    codes = (draft or own_classes(table)).codes
    names: list[str] = []
    member = np.empty(len(table), np.int64)
    for index, name in enumerate(clusters.names):
        rows = clusters.rows(index)
        if name not in parts:
            member[rows] = len(names)
            names.append(name)
            continue
        if parts[name] == BY_DRAFT:
            part_of = np.unique(codes[rows], return_inverse=True)[1]
        else:
            # k-means fails on more groups than there are different points.
            count = min(parts[name], len(np.unique(points[rows], axis=0)))
            part_of = partition_into(points[rows], count, random_state).member
        member[rows] = len(names) + part_of
        names += (f"{name}.{part}" for part in range(1, int(part_of.max()) + 2))
    return clusters_from_members(table, tuple(names), member, draft)


def _measured(
    table: FeatureTable,
    points: Floats,
    names: tuple[str, ...],
    member: NDArray[np.int64],
    draft: Classification | None,
) -> Clusters:
    """How typical each object is of its cluster, and what each cluster looks like.

    Parameters
    ----------
    table : FeatureTable
        M objects.
    points : (M, F) float64
        Their scaled features.
    names : tuple of K str
    member : (M,) int64
    draft : Classification or None
        See :func:`clusters_of`.
    """
    centres = np.stack([points[member == index].mean(axis=0) for index in range(len(names))])
    distances = np.sqrt(squared_distances(points, centres))
    own = np.take_along_axis(distances, member[:, None], axis=1)[:, 0]
    # With its own centre out of the way, the smallest is the distance to the next one.
    np.put_along_axis(distances, member[:, None], np.inf, axis=1)
    # An object in the centre of its own and of another cluster would be 0 / 0.
    ambiguity = np.clip(own / np.maximum(distances.min(axis=1), 1e-12), 0.0, 1.0)
    codes, purity = _classes(draft or own_classes(table), member, len(names))
    return Clusters(names, member.astype(np.int64), own, ambiguity, codes, purity)


def _classes(
    draft: Classification, member: NDArray[np.int64], count: int
) -> tuple[NDArray[np.uint8], Floats]:
    """The class that each cluster looks like, and the share of members that have it."""
    sizes = np.bincount(member, minlength=count)
    mean = np.stack([np.bincount(member, p, count) for p in draft.probabilities.T], axis=1)
    codes = (mean / sizes[:, None]).argmax(axis=1).astype(np.uint8)
    agree = np.bincount(member, draft.codes == codes[member], count)
    return codes, agree / sizes
