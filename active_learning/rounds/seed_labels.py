"""The labels that the named clusters of ``seed/`` give to their objects.

A cluster that is mostly of one class in the first draft gets this class without a person. One
that is not stays without labels until a person names it: a class that is wrong for half of a
group would be learned from as if somebody had said so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from active_learning.classification import Classification
from active_learning.rounds.add_labels import Added, NamedGroup, label_groups
from active_learning.rounds.current_classifier import starter_of
from active_learning.rounds.dataset import StudyObjects
from active_learning.rounds.label_csv import ImportReport
from active_learning.seed.clusters import Clusters, clusters_from_members, own_classes
from active_learning.seed.clusters_csv import NamedCluster
from annotator.core.classes import CLASS_NAMES
from annotator.core.labels import LABEL_NAMES, SKIP
from annotator.study.study import Study
from features.table import FeatureTable


@dataclass(frozen=True, slots=True)
class ImpureCluster:
    """A cluster that no class has most of.

    Parameters
    ----------
    name : str
    looks_like : str
        The class that most of it has in the first draft.
    objects : int
    purity : float
        Share of that class, 0..1.
    named : str
        The class that a person gave it; empty where nobody did.
    """

    name: str
    looks_like: str
    objects: int
    purity: float
    named: str = ""


@dataclass(frozen=True, slots=True)
class AppliedReport:
    """The labels that the tables gave.

    Parameters
    ----------
    added : Added
        Of source ``seed``.
    corrections : ImportReport or None
        Of single objects; None where there were none.
    unlabelled : tuple of ImpureCluster
        Got no label: nobody named them.
    impure_named : tuple of ImpureCluster
        Got the class that a person gave them.
    notes : tuple of str
        What a person should know of them.
    """

    added: Added
    corrections: ImportReport | None
    unlabelled: tuple[ImpureCluster, ...] = ()
    impure_named: tuple[ImpureCluster, ...] = ()
    notes: tuple[str, ...] = ()


def draft_classes(study: Study, table: FeatureTable) -> Classification | None:
    """The classes of the first draft, where something else than the groups gave them."""
    starter = starter_of(study)
    return None if starter is None else starter.classify(table)


def member_numbers(
    objects: StudyObjects, members: Mapping[tuple[str, int], str], names: Sequence[str]
) -> NDArray[np.int64]:
    """Index of the cluster of each object in a list of their names, (M,) int64."""
    number = {name: index for index, name in enumerate(names)}
    return np.array([number[members[key]] for key in objects.rows()], np.int64)


def label_clusters(
    study: Study,
    objects: StudyObjects,
    members: Mapping[tuple[str, int], str],
    named: Sequence[NamedCluster],
    author: str,
    corrections: ImportReport | None,
) -> AppliedReport:
    """Label the objects of the clusters that are pure, or that a person named.

    Parameters
    ----------
    study : Study
    objects : StudyObjects
        Those that were grouped.
    members : mapping of (str, int) to str
        Name of the cluster of each.
    named : sequence of NamedCluster
        All clusters.
    author : str
    corrections : ImportReport or None
        Of single objects, for the report.
    """
    names = tuple(cluster.cluster for cluster in named)
    number = member_numbers(objects, members, names)
    at = objects.rows()

    def group_of(table: FeatureTable) -> NDArray[np.int64]:
        keys = zip(table.image_ids.tolist(), table.object_ids.tolist(), strict=True)
        return np.array([number[at[key]] for key in keys], np.int64)

    draft = draft_classes(study, objects.table)
    clusters = clusters_from_members(objects.table, names, number, draft)
    by_person = named_by_person(objects, clusters, named, draft is not None)
    groups = {
        index: NamedGroup(cluster.code, _purity(clusters, index, cluster.code), by_person[index])
        for index, cluster in enumerate(named)
        if cluster.code != SKIP and (by_person[index] or not clusters.impure[index])
    }
    added = label_groups(study, list(objects.images), group_of, groups, author)
    impure = [
        _impure_cluster(clusters, index, named[index].code if index in groups else SKIP)
        for index in np.flatnonzero(clusters.impure).tolist()
    ]
    return AppliedReport(
        added,
        corrections,
        tuple(one for one in impure if not one.named),
        tuple(one for one in impure if one.named),
        _table_notes(named, [one.name for one in impure if not one.named]),
    )


def named_by_person(
    objects: StudyObjects, clusters: Clusters, named: Sequence[NamedCluster], has_draft: bool
) -> list[bool]:
    """Whether the class of each cluster is the word of a person, not one that was filled in.

    A table of today leaves the class of an impure cluster empty, so whatever stands there was
    written by a person. One of an earlier version had the class filled in everywhere: there a
    class is a person's only where it is another one than was filled in. Saving a table in a
    spreadsheet changes neither.
    """
    filled_in = [{int(code)} for code in clusters.codes]
    if has_draft:
        # Earlier versions looked at each object by itself.
        before = clusters_from_members(
            objects.table, clusters.names, clusters.member, own_classes(objects.table)
        )
        filled_in = [
            codes | {int(code)} for codes, code in zip(filled_in, before.codes, strict=True)
        ]
    return [
        cluster.code != SKIP
        and (
            cluster.code not in codes
            if cluster.looks_like is None
            else bool(impure) or cluster.code != cluster.looks_like
        )
        for cluster, codes, impure in zip(named, filled_in, clusters.impure, strict=True)
    ]


def missing_classes(
    study: Study, table: FeatureTable, clusters: Clusters, named: Mapping[str, int]
) -> tuple[str, ...]:
    """Classes of the draft that would get no label from the clusters as they are named now."""
    draft = draft_classes(study, table) or own_classes(table)
    known = {int(code) for code in clusters.codes[~clusters.impure]} | set(named.values())
    return tuple(CLASS_NAMES[code] for code in np.unique(draft.codes).tolist() if code not in known)


def by_draft_notes(names: Sequence[str]) -> tuple[str, ...]:
    """What a person has to look at where clusters were cut by the classes of the draft."""
    if not names:
        return ()
    sheets = ", ".join(f"cluster-{name}.*.png" for name in names)
    return (
        f"each part of {', '.join(names)} has the class of the draft filled in, which nobody has "
        f"checked: look at {sheets}, and write the right class, or mixed, where it is wrong",
    )


def _impure_cluster(clusters: Clusters, index: int, code: int) -> ImpureCluster:
    return ImpureCluster(
        clusters.names[index],
        CLASS_NAMES[clusters.codes[index]],
        int(clusters.sizes[index]),
        round(float(clusters.purity[index]), 4),
        "" if code == SKIP else LABEL_NAMES[code],
    )


def _table_notes(named: Sequence[NamedCluster], unlabelled: Sequence[str]) -> tuple[str, ...]:
    """How a person confirms the classes in a table that does not tell whose they are."""
    old = [
        one.cluster
        for one in named
        if one.looks_like is None and one.code != SKIP and one.cluster in unlabelled
    ]
    if not old:
        return ()
    return (
        "clusters.csv is of an earlier version, which filled in every class: nothing tells whether "
        f"a person looked at {', '.join(old)}. If somebody did, add a column looks_like to the "
        "table, leave it empty, and apply again",
    )


def _purity(clusters: Clusters, index: int, code: int) -> float:
    """The estimate holds for the class that was proposed; another one was named by looking."""
    return float(clusters.purity[index]) if int(clusters.codes[index]) == code else 1.0
