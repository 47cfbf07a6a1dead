"""Where the queues come from: clusters on disk, disputed labels, images held out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from active_learning.classifier.folds import holdout
from active_learning.query.confident_learning import LabelError, find_doubts
from active_learning.rounds.dataset import labelled_objects, learning_set
from active_learning.rounds.label_errors import unseen_probabilities
from active_learning.seed.clusters_csv import NamedCluster, read_clusters, read_members
from annotator.core.errors import UsageError
from annotator.core.labels import SKIP
from annotator.review.object_index import Key, ObjectIndex
from annotator.study.patients import patients_of
from annotator.study.study import Study

# With fewer patients none is held out; see `active_learning.rounds.retrain`.
_FEWEST_TO_HOLD_OUT = 5


def clusters_on_disk(
    study: Study, object_index: ObjectIndex
) -> tuple[dict[Key, str], dict[str, int]] | None:
    """The clusters of ``trephine seed``: members, and the class of each; None without any.

    Members whose objects are others now are left out.

    Raises
    ------
    UsageError
        When a table is damaged.
    """
    folder = study.path / "seed"
    try:
        members = read_members((folder / "members.csv").read_bytes())
        data = (folder / "clusters.csv").read_bytes()
        keys = json.loads((folder / "objects.json").read_bytes())
    except OSError:
        return None
    except json.JSONDecodeError as error:
        raise UsageError(f"{folder / 'objects.json'}: damaged ({error}); seed anew") from error
    names = sorted(set(members.values()))
    try:
        named = {one.cluster: _shown_class(one) for one in read_clusters(data, names)}
    except UsageError as error:
        raise UsageError(f"{folder / 'clusters.csv'}: {error}") from error
    same = {
        one for one, indexed in object_index.indexed.items() if keys.get(one) == indexed.objects_key
    }
    return {key: name for key, name in members.items() if key[0] in same}, named


def _shown_class(cluster: NamedCluster) -> int:
    """The class of a cluster; of one that nobody has named yet, what it looks like."""
    if cluster.code == SKIP and cluster.looks_like is not None:
        return cluster.looks_like
    return cluster.code


def cluster_files(study: Study) -> tuple[int, ...]:
    """When the tables of clusters were written, so that a change is noticed."""
    return tuple(
        path.stat().st_mtime_ns
        for name in ("members.csv", "clusters.csv", "objects.json")
        if (path := study.path / "seed" / name).exists()
    )


def disputed(path: Path) -> tuple[LabelError, ...]:
    """Labels that the model of the current round disputes, as ``trephine doubts`` finds them.

    The study is opened anew: this takes seconds, and nobody shall wait for it.

    Raises
    ------
    UsageError
        When there has been no round yet.
    ModelError
        When its model is damaged or does not fit, or no label is left.
    """
    with Study.open(path) as study:
        round_ = study.rounds.current()
        if round_ is None:
            raise UsageError(
                "expected a round of learning, got none; train first, then the model can "
                "dispute labels"
            )
        learned = learning_set(study, labelled_objects(study), "both")
        given = unseen_probabilities(study, round_, learned)
    table = learned.examples.table
    return find_doubts(table.image_ids, table.object_ids, learned.examples.codes, given)


def held_out(study: Study, object_index: ObjectIndex) -> frozenset[str]:
    """Ids of the images of held-out patients; none where there are few patients."""
    images = [one.image for one in object_index.indexed.values()]
    patients = patients_of(images, study.settings.patients, study.path)
    groups = [patients[image.id] for image in images]
    if len(set(groups)) < _FEWEST_TO_HOLD_OUT:
        return frozenset()
    share, state = study.settings.patients.held_out, study.settings.train.random_state
    out = holdout(np.array(groups), share, state)
    return frozenset(image.id for image, kept in zip(images, out, strict=True) if kept)
