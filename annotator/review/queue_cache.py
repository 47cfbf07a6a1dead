"""The queues that have been put together, and how often the model is right on a sample."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from active_learning.query.confident_learning import LabelError
from annotator.core.intervals import wilson_interval
from annotator.core.labels import LABEL_NAMES, SKIP
from annotator.review.label_index import number_of
from annotator.review.live_study import LiveStudy
from annotator.review.object_index import Key
from annotator.review.queue_sources import held_out
from annotator.review.queues import RANDOM, TITLES, UNCERTAIN, Queue
from annotator.review.snapshot import Snapshot, make_queue, queue_version

Json = dict[str, Any]


class QueueCache:
    """The queues of a study.

    Parameters
    ----------
    live : LiveStudy
        Whose snapshot the queues are made from.
    """

    def __init__(self, live: LiveStudy) -> None:
        self._live = live
        self._made: dict[tuple[str, str], Queue] = {}
        self._locks = {name: threading.Lock() for name in TITLES}
        self._skipped: dict[tuple[str, str], frozenset[Key]] = {}
        self._doubts: tuple[str, tuple[LabelError, ...]] | None = None

    def give_doubts(self, version: str, doubts: Sequence[LabelError]) -> None:
        """Disputed labels of a version of the snapshot that somebody has found already."""
        self._doubts = version, tuple(doubts)

    def get(self, snapshot: Snapshot, name: str, image: str = "", fresh: bool = False) -> Queue:
        """A queue as it was made for these objects and this model, or made now.

        Parameters
        ----------
        table : Snapshot
        name : str
        image : str
            Id of the image, for the queue of one image.
        fresh : bool
            Whether to put it together anew in any case.
        """
        version = queue_version(snapshot, self._live.study, name)
        # One at a time, so that two tabs do not make the same list twice.
        with self._locks[name]:
            kept = self._made.get((name, image))
            if kept is not None and kept.version.startswith(version) and not fresh:
                return kept
            number = 0 if kept is None else int(kept.version.rpartition(".")[2]) + 1
            made = make_queue(snapshot, self._live.study, name, image, self._known(snapshot, fresh))
            queue = replace(made, version=f"{version}.{number}")
            self._made[name, image] = queue
            return queue

    def _known(self, snapshot: Snapshot, fresh: bool) -> tuple[LabelError, ...] | None:
        if fresh or self._doubts is None or self._doubts[0] != snapshot.version:
            return None
        return self._doubts[1]

    def unskipped(self, snapshot: Snapshot, queue: Queue, author: str, anew: bool) -> Queue:
        """A queue without what an author skipped in it; one image is always shown whole.

        What was skipped is looked up when a person begins with the queue, and not while
        they go through it: nothing moves under their hands.
        """
        if queue.name == "image":
            return queue
        place = author, queue.name
        if anew or place not in self._skipped:
            self._skipped[place] = self._skipped_now(snapshot, *place)
        rows = [
            snapshot.object_index.rows[key]
            for key in self._skipped[place]
            if key in snapshot.object_index.rows
        ]
        return queue.take(~np.isin(queue.rows, rows)) if rows else queue

    def _skipped_now(self, snapshot: Snapshot, author: str, name: str) -> frozenset[Key]:
        live = self._live
        ids = live.query(lambda: live.acts.skipped(author, name))
        with live.lock:
            label_index = snapshot.label_index
            return frozenset(
                key
                for key in label_index.keys_of(ids)
                if label_index.last_word(key, "person", author) == SKIP
            )

    def sample(self, snapshot: Snapshot) -> Json:
        """How often the model is right on the random sample, as far as it is labelled."""
        queue, out = self.get(snapshot, "random"), held_out(self._live.study, snapshot.object_index)
        with self._live.lock:
            return sample_figures(snapshot, queue, out)

    def titles(self, snapshot: Snapshot, labelled: int) -> list[Json]:
        """Names and sizes; None where the size is not known before the queue is asked for."""
        objects = len(snapshot.object_index.keys)
        sizes = {
            "clusters": objects,
            "uncertain": min(UNCERTAIN, objects - labelled),
            "random": min(RANDOM, objects),
        }
        sizes |= {name: len(one.rows) for (name, image), one in self._made.items() if not image}
        needs = {"doubts": "train first"} if snapshot.current is None else {}
        return [
            {"name": name, "title": title, "count": sizes.get(name), "needs": needs.get(name)}
            for name, title in TITLES.items()
        ]


def as_json(snapshot: Snapshot, queue: Queue, chosen: Queue, part: slice) -> Json:
    """A part of a queue as the page knows it; the snapshot must not change meanwhile.

    Parameters
    ----------
    table : Snapshot
    listed : Queue
        The queue, for its groups.
    chosen : Queue
        The objects of it that were asked for.
    part : slice
        Of these.
    """
    counts = queue.counts()
    names = [group.name for group in queue.groups]
    pairs = zip(chosen.rows[part].tolist(), chosen.member[part].tolist(), strict=True)
    keys = snapshot.object_index.keys
    return {
        "name": queue.name,
        "title": TITLES[queue.name],
        "total": len(chosen.rows),
        "offset": part.start,
        "version": f"{queue.version}.{len(queue.rows)}",
        "seq": number_of(snapshot.label_index.now),
        "groups": [
            {
                "name": group.name,
                "title": group.title,
                "proposed": None if group.proposed is None else LABEL_NAMES[group.proposed],
                "count": counts[at],
            }
            for at, group in enumerate(queue.groups)
        ],
        "items": [
            snapshot.item(row, names[member], queue.why.get(keys[row], "")) for row, member in pairs
        ],
    }


def sample_figures(snapshot: Snapshot, queue: Queue, held_out: Collection[str]) -> dict[str, Any]:
    """Accuracy of the present model on the labelled part of the sample.

    Only objects of held-out patients count, where there are any: the model may have
    learned from the others.

    Parameters
    ----------
    table : Snapshot
    listed : Queue
        The queue ``random``.
    held_out : collection of str
        Ids of images.

    Returns
    -------
    dict
        ``objects`` of the sample that count, ``labelled``, ``right``, ``accuracy``,
        ``interval`` (None before the first label), and whether they were ``unseen``.
    """
    keys = [(row, snapshot.object_index.keys[row]) for row in queue.rows.tolist()]
    counted = [(row, key) for row, key in keys if not held_out or key[0] in held_out]
    labelled = [(row, snapshot.label_index.counting(key)) for row, key in counted]
    judged = [
        int(snapshot.predictions.codes[row]) == label.code
        for row, label in labelled
        if label is not None and label.source == "person" and label.is_class
    ]
    right, of = sum(judged), len(judged)
    return {
        "objects": len(counted),
        "labelled": of,
        "right": right,
        "accuracy": right / of if of else None,
        "interval": list(wilson_interval(right, of)) if of else None,
        "unseen": bool(held_out) or snapshot.current is None,
    }
