"""Objects, predictions and labels of a study at one time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learning.query.confident_learning import LabelError
from active_learning.rounds.dataset import REVIEWED
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import StudyError
from annotator.core.hashing import fingerprint
from annotator.core.labels import LABEL_NAMES
from annotator.review.label_index import LabelIndex
from annotator.review.labelling import current_state
from annotator.review.object_index import (
    IndexedObjects,
    ObjectIndex,
    counted_rows,
    read_objects,
)
from annotator.review.predictions import Predictions, Predictor
from annotator.review.queue_sources import cluster_files, clusters_on_disk, disputed, held_out
from annotator.review.queues import (
    Queue,
    by_chance,
    by_cluster,
    by_doubt,
    by_image,
    by_uncertainty,
    in_words,
    seed_members,
)
from annotator.settings.study import Settings
from annotator.study.excluded_area import ExcludedArea
from annotator.study.rounds import Round
from annotator.study.study import Study

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Objects, predictions and labels that belong together.

    Parameters
    ----------
    path : Path
        Of the study.
    settings : Settings
    rounds : tuple of Round
    current : int or None
        Number of the round whose model is used.
    object_index : ObjectIndex
    predictions : Predictions
    label_index : LabelIndex
        The only part that changes.
    excluded_key : str
        Another one whenever other regions are excluded; empty where none is.
    counted : (M,) bool
        Objects that do not lie mostly in excluded regions: no other one is asked about.
    """

    path: Path
    settings: Settings
    rounds: tuple[Round, ...]
    current: int | None
    object_index: ObjectIndex
    predictions: Predictions
    label_index: LabelIndex
    excluded_key: str
    counted: NDArray[np.bool_]

    @property
    def version(self) -> str:
        """Another one whenever objects, predictions or what is excluded of them are others."""
        regions = [self.excluded_key] if self.excluded_key else []
        return fingerprint("table", self.object_index.version, self.predictions.key, *regions)

    def reviewed(self) -> NDArray[np.bool_]:
        """Objects that a person or a corrected mask has labelled, (M,) bool."""
        found = np.zeros(len(self.object_index.keys), np.bool_)
        for key in self.label_index.touched:
            label = self.label_index.counting(key)
            if label is not None and label.source in REVIEWED:
                found[self.object_index.rows[key]] = True
        return found

    def shown_code(self, indexed: IndexedObjects, at: int) -> int | None:
        """The class in whose colour an object is outlined: as labelled, else as predicted."""
        key = indexed.image.id, int(indexed.ids[at])
        label = self.label_index.counting(key)
        if label is not None:
            return label.code
        code = int(self.predictions.codes[self.object_index.rows[key]])
        return None if code < 0 else code

    def item(self, row: int, group: str, why: str = "") -> Json:
        """An object as the page shows it."""
        key = self.object_index.keys[row]
        indexed = self.object_index.indexed[key[0]]
        code = int(self.predictions.codes[row])
        return current_state(self.label_index, key) | {
            "image": key[0],
            "predicted": None if code < 0 else CLASS_NAMES[code],
            "confidence": round(float(self.predictions.confidence[row]), 4),
            "group": group,
            "why": why or in_words(self.predictions.probabilities[row]),
            "box": indexed.boxes[indexed.position[key[1]]].tolist(),
        }


def load(
    path: Path, before: Snapshot | None, label_index_of: Callable[[ObjectIndex], LabelIndex]
) -> Snapshot:
    """Read a study anew, as far as it has changed.

    The study is opened for this alone: it can take seconds, and nobody shall wait for it.

    Parameters
    ----------
    path : Path
    before : Snapshot or None
        Whose objects and labels are kept where they are the same still.
    book_of : callable
        Reads the labels of the objects of an index.
    """
    with Study.open(path) as study:
        predictor = Predictor(study)
        try:
            object_index = read_objects(
                study, None if before is None else before.object_index, predictor.predict
            )
            predictor.complete(object_index)
        except ValueError as error:
            raise StudyError(f"{path}: {error}; run trephine annotate again") from error
        rounds = study.rounds.all()
        same = before is not None and before.object_index.version == object_index.version
        if before is not None and same:
            object_index = before.object_index
        label_index = (
            before.label_index if before is not None and same else label_index_of(object_index)
        )
        excluded = study.excluded_regions.areas()
        return Snapshot(
            path,
            study.settings,
            rounds,
            predictor.round,
            object_index,
            predictor.predictions(object_index),
            label_index,
            excluded_key(excluded),
            counted_rows(object_index, excluded),
        )


def excluded_key(excluded: Mapping[str, ExcludedArea]) -> str:
    """Another one whenever other regions are excluded; empty where none is."""
    numbers = sorted(region.id for area in excluded.values() for region in area.regions)
    return fingerprint("excluded", *numbers) if numbers else ""


# The queues over a snapshot


def make_queue(
    snapshot: Snapshot,
    study: Study,
    name: str,
    image: str,
    doubts: Sequence[LabelError] | None = None,
) -> Queue:
    """Put a queue together; all but the disputed labels in less than a second.

    Objects that lie mostly in excluded regions are in none.

    Parameters
    ----------
    snapshot : Snapshot
    study : Study
        For its folder alone.
    name, image : str
        Of the queue; id of the image for the one of an image.
    doubts : sequence of LabelError, optional
        Disputed labels, where they are known already.

    Raises
    ------
    UsageError
        When it needs something that is not there, such as a model.
    """
    queue = _whole_queue(snapshot, study, name, image, doubts)
    queue = queue.take(snapshot.counted[queue.rows])
    return _titled(snapshot, queue) if name == "clusters" else queue


def _whole_queue(
    snapshot: Snapshot, study: Study, name: str, image: str, doubts: Sequence[LabelError] | None
) -> Queue:
    object_index, predictions = snapshot.object_index, snapshot.predictions
    if name == "clusters":
        found = clusters_on_disk(study, object_index) or seed_members(object_index, predictions)
        return by_cluster(object_index, predictions, *found)
    if name == "doubts":
        return by_doubt(object_index, disputed(snapshot.path) if doubts is None else doubts)
    if name == "uncertain":
        query = snapshot.settings.query
        if snapshot.current is None:
            query = query.without_committee()
        return by_uncertainty(object_index, predictions, snapshot.reviewed(), query)
    if name == "random":
        state = snapshot.settings.train.random_state
        return by_chance(object_index, held_out(study, object_index), state)
    return by_image(object_index, predictions, image)


def queue_version(snapshot: Snapshot, study: Study, name: str) -> str:
    """What a queue depends on; while it is the same, the queue stays as it is."""
    return fingerprint(name, snapshot.version, cluster_files(study) if name == "clusters" else ())


def _titled(snapshot: Snapshot, queue: Queue) -> Queue:
    """Clusters with the class they look like, and the share of members that do."""
    groups = []
    for at, group in enumerate(queue.groups):
        share = purity(snapshot, queue, at)
        name = "?" if group.proposed is None else LABEL_NAMES[group.proposed]
        title = f"{group.title}: {name}?, {100 * share:.0f} % of its objects look like it"
        groups.append(replace(group, title=title))
    return replace(queue, groups=tuple(groups))


def purity(snapshot: Snapshot, queue: Queue, group: int) -> float:
    """Share of a cluster's members that are predicted as what it looks like, 0..1."""
    codes = snapshot.predictions.codes[queue.rows[queue.member == group]]
    return float((codes == queue.groups[group].proposed).mean()) if len(codes) else 0.0


def rounds_as_json(snapshot: Snapshot) -> list[Json]:
    """Figures of each round: on held-out patients where there are some, else out of fold."""
    return [figures(one) | {"current": one.index == snapshot.current} for one in snapshot.rounds]


def figures(one: Round) -> Json:
    """Figures of a round."""
    metrics: Mapping[str, Any] = one.metrics
    measured = "held_out" if metrics["held_out"] else "out_of_fold"
    accuracy, macro = metrics[measured]["accuracy"], metrics[measured]["macro_f1"]
    return {
        "index": one.index,
        "time": one.time,
        "verdict": one.verdict,
        "measured_on": measured,
        "objects": metrics[measured]["objects"],
        "accuracy": accuracy["value"],
        "macro_f1": macro["value"],
        "interval": [accuracy["low"], accuracy["high"]],
    }
