"""The queues of the review page: which objects, in which groups, in which order. Pure functions.

Within a group the odd ones come first: a person sees at once what does not belong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from active_learning.query.confident_learning import LabelError
from active_learning.query.select_images import object_doubt
from annotator.core.classes import CLASS_NAMES
from annotator.review.object_index import Key, ObjectIndex
from annotator.review.predictions import Predictions
from annotator.settings.learning import COMMITTEE, QuerySettings

Rows = NDArray[np.intp]
Bools = NDArray[np.bool_]

TITLES = {
    "clusters": "Clusters to name",
    "doubts": "Disputed labels",
    "uncertain": "Most uncertain",
    "image": "One image",
    "random": "Random sample",
}
UNCERTAIN, RANDOM = 500, 300
"""Objects of these queues at most."""

# No image gets more than so many times its fair share of the uncertain objects.
_SHARE = 2


@dataclass(frozen=True, slots=True)
class Group:
    """Objects that are shown together.

    Parameters
    ----------
    name, title : str
    proposed : int or None
        Code of the class that they look like.
    """

    name: str
    title: str
    proposed: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Queue:
    """A queue in its order.

    Parameters
    ----------
    name : str
    groups : tuple of Group
        In the order in which they are shown.
    rows, member : (K,) intp
        Objects, and the group of each; group by group.
    why : mapping of Key to str
        Why an object is there, where that is more than its class.
    version : str
        Another one whenever the order is.
    """

    name: str
    groups: tuple[Group, ...]
    rows: Rows
    member: Rows
    why: Mapping[Key, str]
    version: str = ""

    def take(self, keep: Bools) -> Queue:
        """Some of the objects, in the same order.

        Parameters
        ----------
        keep : (N,) bool
            Of the N objects of the queue.
        """
        return replace(self, rows=self.rows[keep], member=self.member[keep])

    def group(self, name: str) -> Queue:
        """The objects of one group; none where there is no such group."""
        wanted = [at for at, group in enumerate(self.groups) if group.name == name]
        return self.take(np.isin(self.member, wanted))

    def counts(self) -> list[int]:
        """Objects of each group."""
        return [int(n) for n in np.bincount(self.member, minlength=len(self.groups))]


def by_cluster(
    object_index: ObjectIndex,
    predictions: Predictions,
    members: Mapping[Key, str],
    codes: Mapping[str, int],
) -> Queue:
    """Groups to name, the largest first; what looks least like its group first in it.

    Parameters
    ----------
    object_index, predictions
    members : mapping of Key to str
        The cluster of each object that has one.
    codes : mapping of str to int
        The class that each cluster looks like, by its name; mixed and skip are allowed.
    """
    names = [members.get(key, "") for key in object_index.keys]
    rows = np.flatnonzero(np.array([bool(name) for name in names], np.bool_))
    size: dict[str, int] = {}
    for row in rows.tolist():
        size[names[row]] = size.get(names[row], 0) + 1
    order = sorted(size, key=lambda name: (-size[name], name))
    groups = tuple(Group(name, f"Cluster {name}", codes.get(name)) for name in order)
    at = {name: index for index, name in enumerate(order)}
    member = np.array([at[names[row]] for row in rows.tolist()], np.intp)
    wanted = np.array([codes.get(name, 0) for name in order], np.intp)[member]
    return _grouped("clusters", groups, rows, member, _alike(predictions, rows, wanted))


def _alike(
    predictions: Predictions, rows: NDArray[np.intp], wanted: NDArray[np.intp]
) -> NDArray[np.float64]:
    """How much each object looks like its wanted class, 0-1.

    A person may call a cluster mixed, or leave its class empty: that is no class to look
    like, and what the model is least sure of comes first.
    """
    probabilities = predictions.probabilities[rows]
    is_class = wanted < len(CLASS_NAMES)
    of_class = probabilities[np.arange(len(rows)), np.where(is_class, wanted, 0)]
    return np.nan_to_num(np.where(is_class, of_class, probabilities.max(axis=1)))


def seed_members(
    object_index: ObjectIndex, predictions: Predictions
) -> tuple[dict[Key, str], dict[str, int]]:
    """Clusters where ``trephine seed`` has not run yet: the same groups, under the same names.

    Returns
    -------
    members, codes
        As :func:`by_cluster` takes them.
    """
    names = predictions.group_names
    pairs = zip(object_index.keys, predictions.groups.tolist(), strict=True)
    members = {key: names[group] for key, group in pairs if group >= 0}
    return members, dict(zip(names, predictions.proposed, strict=True))


def by_doubt(object_index: ObjectIndex, doubts: Sequence[LabelError]) -> Queue:
    """Disputed labels by what is disputed about them, the most suspicious first."""
    known = [one for one in doubts if (one.image_id, one.object_id) in object_index.rows]
    kinds = [(one.given, one.suggested) for one in known]
    order = sorted(set(kinds), key=kinds.index)
    groups = tuple(
        Group(
            f"{CLASS_NAMES[given]}-{CLASS_NAMES[seen]}",
            f"Labelled {CLASS_NAMES[given]}, looks like {CLASS_NAMES[seen]}",
            seen,
        )
        for given, seen in order
    )
    rows = np.array([object_index.rows[one.image_id, one.object_id] for one in known], np.intp)
    member = np.array([order.index(kind) for kind in kinds], np.intp)
    why = {(one.image_id, one.object_id): one.why for one in known}
    return _grouped("doubts", groups, rows, member, np.arange(len(rows)), why)


def by_uncertainty(
    object_index: ObjectIndex, predictions: Predictions, reviewed: Bools, settings: QuerySettings
) -> Queue:
    """Objects without a label that the model doubts most, spread over the images.

    Doubt is what the settings say: the classifier is unsure, or it and the network disagree.

    Parameters
    ----------
    object_index : ObjectIndex
        M objects.
    predictions : Predictions
    reviewed : (M,) bool
        Objects that a person or a corrected mask has labelled.
    settings : QuerySettings
    """
    p = np.where(predictions.known[:, None], predictions.probabilities, 0.25)
    network = _committee(predictions, p, settings)
    score = object_doubt(p, network, object_index.areas, settings)
    rows = np.flatnonzero(~reviewed & predictions.known)
    rows = rows[np.argsort(-score[rows], kind="stable")]
    images = len(np.unique(object_index.image_of[rows]))
    rows = rows[_turns(object_index.image_of[rows]) < -(-_SHARE * UNCERTAIN // max(1, images))]
    queue = _by_class("uncertain", predictions, rows[:UNCERTAIN], -score)
    if network is None:
        return queue
    keys = object_index.keys
    why = {
        keys[row]: f"network: {in_words(network[row])}; classifier: {in_words(p[row])}"
        for row in queue.rows.tolist()
    }
    return replace(queue, why=why)


def _committee(
    predictions: Predictions, p: NDArray[np.float64], settings: QuerySettings
) -> NDArray[np.float64] | None:
    """What the network holds of each object (M, 4), where that is to count; else None."""
    if settings.strategy != COMMITTEE or predictions.network is None:
        return None
    # Where it did not see an image, it has nothing to say against the classifier.
    return np.where(np.isfinite(predictions.network), predictions.network, p)


def by_image(object_index: ObjectIndex, predictions: Predictions, image_id: str) -> Queue:
    """All objects of an image; large and doubtful ones first."""
    of = list(object_index.indexed).index(image_id)
    rows = np.flatnonzero(object_index.image_of == of)
    doubt = 1.0 - predictions.confidence
    return _by_class("image", predictions, rows, -doubt * np.sqrt(object_index.areas))


def by_chance(object_index: ObjectIndex, held_out: Collection[str], random_state: int) -> Queue:
    """Objects drawn at random, always the same, first from the images that no model learns from."""
    draw = [
        (image_id not in held_out, _lot(random_state, image_id, mask_key))
        for image_id, indexed in object_index.indexed.items()
        for mask_key in indexed.mask_keys
    ]
    order = sorted(range(len(draw)), key=draw.__getitem__)[:RANDOM]
    # Neither by image nor by whether it was held out: other bits of the lot order them.
    rows = np.array(sorted(order, key=lambda row: draw[row][1][12:]), np.intp)
    group = Group("random", "Drawn at random: say what you see")
    return _grouped("random", (group,), rows, np.zeros(len(rows), np.intp), np.arange(len(rows)))


def _lot(random_state: int, image_id: str, mask_key: str) -> bytes:
    return hashlib.sha256(f"{random_state} {image_id} {mask_key}".encode()).digest()


def _by_class(name: str, predictions: Predictions, rows: Rows, rank: NDArray[np.float64]) -> Queue:
    """Objects by the class that is predicted, in the order of a rank over all rows."""
    codes = np.where(predictions.codes[rows] < 0, len(CLASS_NAMES), predictions.codes[rows])
    groups = (
        *(Group(one, f"Looks like {one}", code) for code, one in enumerate(CLASS_NAMES)),
        Group("unknown", "Not predicted"),
    )
    found = _grouped(name, groups, rows, codes.astype(np.intp), rank[rows])
    return _without_empty(found)


def _without_empty(found: Queue) -> Queue:
    kept = [at for at, count in enumerate(found.counts()) if count]
    member = np.searchsorted(np.array(kept, np.intp), found.member)
    groups = tuple(found.groups[at] for at in kept)
    return replace(found, groups=groups, member=member.astype(np.intp))


def _grouped(
    name: str,
    groups: tuple[Group, ...],
    rows: Rows,
    member: Rows,
    rank: NDArray[np.floating] | NDArray[np.integer],
    why: Mapping[Key, str] | None = None,
) -> Queue:
    """Group by group, in each by rank, the lowest first."""
    order = np.lexsort((rank, member))
    return Queue(name, groups, rows[order], member[order], why or {})


def _turns(images: Rows) -> Rows:
    """Of each row: how many rows of the same image came before.

    Examples
    --------
    >>> _turns(np.array([4, 4, 7, 4]))
    array([0, 1, 0, 2])
    """
    order = np.argsort(images, kind="stable")
    _, first, count = np.unique(images[order], return_index=True, return_counts=True)
    turn = np.empty(len(images), np.intp)
    turn[order] = np.arange(len(images)) - np.repeat(first, count)
    return turn


def in_words(probabilities: NDArray[np.float64]) -> str:
    """The predicted class of one object, in words.

    Parameters
    ----------
    probabilities : (4,) float64
        NaN where nothing is predicted.

    Examples
    --------
    >>> in_words(np.array([0.02, 0.51, 0.45, 0.02]))
    'fat 51 %, cell 45 %'
    """
    if not np.isfinite(probabilities).all():
        return "not predicted"
    order = np.argsort(-probabilities, kind="stable")[:2].tolist()
    return ", ".join(
        f"{CLASS_NAMES[code]} {100 * probabilities[code]:.0f} %"
        for code in order
        if probabilities[code] >= 0.01
    )
