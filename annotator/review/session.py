"""A study as the review page sees it: queues of objects, labels, pictures, training.

Nothing of the web is in here. All answers are JSON values, or the bytes of a picture.
Every method can be called from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from active_learning.query.confident_learning import LabelError
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import UsageError
from annotator.core.labels import LABEL_NAMES, SKIP
from annotator.pictures.object_tiles import TILE, ZOOM
from annotator.review import labelling
from annotator.review.errors import NotFound
from annotator.review.label_index import number_of, revision_of
from annotator.review.live_study import LiveStudy
from annotator.review.object_index import IndexedObjects
from annotator.review.predictions import cache_folder
from annotator.review.queue_cache import QueueCache, as_json
from annotator.review.queues import TITLES
from annotator.review.snapshot import Snapshot, figures, purity, rounds_as_json
from annotator.review.tile_cache import OutlineCache, TileCache
from annotator.review.training import Training
from annotator.study.label_history import StoredAct

Json = dict[str, Any]

QUEUES = tuple(TITLES)
PICTURE_TYPE = "image/jpeg"
"""Media type of all pictures."""
MOST_ITEMS = 5000
"""Items of one answer at most."""

# Outline of an object without a class, mixed or skipped.
_NO_CLASS = (150, 150, 150)
_LETTERS = ("B", "F", "C", "O")
# Images of so many first objects of a queue get their tiles made first.
_FIRST = 400


class ReviewSession:
    """An open study on which one person or several work.

    Use it as a context, or call :meth:`close`.

    Parameters
    ----------
    path : Path
        Of the study.
    author : str
        Who works here unless an act says otherwise.
    ahead : bool
        Whether tiles are made ahead in the background.

    Raises
    ------
    StudyError
        When it is no study, or one that cannot be written.
    UsageError
        When it has no objects yet.
    """

    def __init__(self, path: Path, author: str, ahead: bool = True) -> None:
        self.path = path
        self.author = labelling.check_author(author)
        self._ahead = ahead
        self._live = LiveStudy(path)
        self._lock = self._live.lock
        self._queues = QueueCache(self._live)
        self._outlines = OutlineCache()
        self._thumbnails = self._new_thumbnails()
        self._training = Training(path, self._finish_round)
        if ahead:
            self._thumbnails.start(self._snapshot.object_index, self._code_of)

    @property
    def _snapshot(self) -> Snapshot:
        return self._live.snapshot

    def _new_thumbnails(self) -> TileCache:
        settings = self._snapshot.settings
        colours = {code: settings.classes.rgb(name) for code, name in enumerate(CLASS_NAMES)}
        others = dict.fromkeys((None, *range(len(CLASS_NAMES), len(LABEL_NAMES))), _NO_CLASS)
        return TileCache(cache_folder(self.path) / "tiles", settings.read, colours | others)

    def close(self) -> None:
        """End what runs in the background, and let go of the study."""
        self._training.cancel()
        self._thumbnails.stop()
        self._live.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # What is there

    def summary(self) -> Json:
        """Study, author, classes, counts, rounds, queues, images, training, random sample."""
        self._renew()
        self._live.catch_up()
        snapshot = self._snapshot
        sample = self._queues.sample(snapshot)
        with self._lock:
            counts, labelled = labelling.reviewed_counts(snapshot.label_index)
            return {
                "study": self.path.absolute().name,
                "author": self.author,
                "classes": self._classes(snapshot),
                "counts": counts,
                "objects": len(snapshot.object_index.keys),
                "labelled": labelled,
                "seq": number_of(snapshot.label_index.now),
                "version": snapshot.version,
                "rounds": rounds_as_json(snapshot),
                "queues": self._queues.titles(snapshot, labelled),
                "images": [
                    {"id": one.image.id, "name": one.image.name, "objects": len(one)}
                    for one in snapshot.object_index.indexed.values()
                ],
                "sample": sample,
                "training": self.training(),
            }

    def _classes(self, snapshot: Snapshot) -> list[Json]:
        signs = zip(CLASS_NAMES, _LETTERS, snapshot.settings.classes.colours, strict=True)
        return [
            {"name": name, "key": str(key), "letter": letter, "colour": colour}
            for key, (name, letter, colour) in enumerate(signs, start=1)
        ]

    def queue(
        self,
        name: str,
        image: str | None = None,
        cluster: str | None = None,
        offset: int = 0,
        limit: int = 500,
        author: str | None = None,
        fresh: bool = False,
    ) -> Json:
        """A part of a queue, in an order that stays while a person works.

        The order is made once for each model. What the author skipped in this queue is left
        out from the next call with offset 0 on; the version tells.

        Parameters
        ----------
        name : str
            One of :data:`QUEUES`.
        image : str, optional
            Id of the image, for the queue ``image``; the first one by name.
        cluster : str, optional
            Of this group alone.
        offset, limit : int
        author : str, optional
        fresh : bool
            Whether to look at the study and put the queue together anew, without what has
            been labelled since.

        Raises
        ------
        NotFound
            When there is no such queue or image.
        UsageError
            When the queue needs something that is not there yet, such as a model.
        """
        self._thumbnails.step_back()
        if name not in TITLES:
            raise NotFound(f"expected a queue of {', '.join(QUEUES)}, got {name[:40]!r}")
        if offset < 0 or not 0 < limit <= MOST_ITEMS:
            raise UsageError(
                f"expected an offset from 0 and a limit in 1-{MOST_ITEMS}, got {offset} and {limit}"
            )
        if offset == 0:
            self._renew(fresh)
        self._live.catch_up()
        snapshot = self._snapshot
        queue = self._queues.get(snapshot, name, self._image(snapshot, name, image), fresh)
        queue = self._queues.unskipped(snapshot, queue, author or self.author, offset == 0)
        chosen = queue if cluster is None else queue.group(cluster)
        if self._ahead and offset == 0:
            self._thumbnails.prefer(
                snapshot.object_index.keys[row][0] for row in chosen.rows[:_FIRST]
            )
        with self._lock:
            return as_json(snapshot, queue, chosen, slice(offset, offset + limit))

    def _image(self, snapshot: Snapshot, name: str, image: str | None) -> str:
        if name != "image":
            return ""
        return (
            snapshot.object_index.image(image).image.id
            if image
            else next(iter(snapshot.object_index.indexed))
        )

    # Labels

    def label(self, author: str, ids: Sequence[str], code: str, queue: str = "") -> Json:
        """Give objects a class, ``mixed`` or ``skip``: one act.

        What the author said of an object before is not said again: an act without anything
        new has the number 0 and is not stored. The items are those of the act alone; ask
        :meth:`changes` for what others did.

        Raises
        ------
        NotFound
            When there is no such object; nothing was stored.
        UsageError
            When the code is none, or no object is named.
        StudyError
            When the database cannot be written; nothing was stored.
        """
        self._thumbnails.step_back()
        labelling.check_author(author)
        number = labelling.code_of_name(code)
        self._live.catch_up()
        snapshot = self._snapshot
        objects = labelling.find_objects(snapshot.label_index, ids)
        return self._store(snapshot, objects, queue, self._label_request(author, number, "person"))

    def name_cluster(self, author: str, cluster: str, code: str) -> Json:
        """Give a class to all objects of a cluster that no person has labelled: one act.

        The labels are of the source ``seed``: somebody named the group, and did not look at
        each object. They count as far as the group seems pure.

        Raises
        ------
        NotFound
            When there is no such cluster.
        UsageError
            When the code is none, or ``skip``.
        """
        self._thumbnails.step_back()
        labelling.check_author(author)
        number = labelling.code_of_name(code)
        if number == SKIP:
            raise UsageError("expected a class or mixed, got skip; leave such a cluster unnamed")
        self._live.catch_up()
        snapshot = self._snapshot
        queue = self._queues.get(snapshot, "clusters")
        at = next((at for at, one in enumerate(queue.groups) if one.name == cluster), -1)
        keys = [snapshot.object_index.keys[row] for row in queue.rows[queue.member == at].tolist()]
        with self._lock:
            objects = labelling.cluster_members(keys, snapshot.label_index, cluster)
        share = purity(snapshot, queue, at) if number == queue.groups[at].proposed else 1.0
        return self._store(
            snapshot, objects, "clusters", self._label_request(author, number, "seed", share)
        )

    def _label_request(
        self, author: str, code: int, source: str, confidence: float = 1.0
    ) -> labelling.LabelRequest:
        round_ = self._live.query(self._live.study.rounds.next_index)
        return labelling.LabelRequest(author, code, source, round_, confidence)

    def _store(
        self,
        snapshot: Snapshot,
        objects: Sequence[tuple[IndexedObjects, int]],
        queue: str,
        request: labelling.LabelRequest,
    ) -> Json:
        with self._lock:
            labels, masks = labelling.new_labels(snapshot.label_index, objects, request)
        act = None
        if labels:
            add = partial(self._live.acts.add, request.author, queue, labels, masks)
            act = self._live.query(add)
            self._live.catch_up()
        keys = [(indexed.image.id, int(indexed.ids[at])) for indexed, at in objects]
        with self._lock:
            return labelling.act_as_json(
                snapshot.label_index, request.author, act, request.code, keys
            )

    def undo(self, author: str) -> Json | None:
        """Take back the author's last act that stands; None where there is none.

        What counted before counts again. What another person said stays as it is, and the
        notes say so.
        """
        return self._turn(author, self._live.acts.undo)

    def redo(self, author: str) -> Json | None:
        """Do again what was taken back last; None where there is nothing."""
        return self._turn(author, self._live.acts.redo)

    def _turn(self, author: str, turn: Callable[[str], StoredAct | None]) -> Json | None:
        self._thumbnails.step_back()
        labelling.check_author(author)
        act = self._live.query(lambda: turn(author))
        if act is None:
            return None
        self._live.catch_up()
        with self._lock:
            label_index = self._snapshot.label_index
            code, keys = label_index.code_of(act.label_ids), label_index.keys_of(act.label_ids)
            return labelling.act_as_json(label_index, author, act, code, keys)

    def changes(self, since: int) -> Json:
        """Labels that anybody added after a revision, and the present revision.

        Points are the ``seq`` of any answer; whoever asks keeps the one of the last answer
        of this method, and not that of an act, which tells nothing of others.
        """
        if not 0 <= since < 1 << 53:
            raise UsageError(f"expected a number that an answer held as seq, got {since}")
        self._live.catch_up()
        with self._lock:
            label_index = self._snapshot.label_index
            keys = label_index.since(revision_of(since))
            return {
                "seq": number_of(label_index.now),
                "version": self._snapshot.version,
                "items": [labelling.current_state(label_index, key) for key in keys],
            }

    # Pictures

    def tile(self, object_id: str) -> bytes:
        """An object in its surroundings, outlined, 128 x 128 px, as JPEG."""
        return self._tile(object_id, TILE)

    def zoom(self, object_id: str) -> bytes:
        """The same with more around it, 512 x 512 px."""
        return self._tile(object_id, ZOOM)

    def _tile(self, object_id: str, size: int) -> bytes:
        indexed, at = self._snapshot.object_index.find(object_id)
        return self._thumbnails.tile(indexed, at, self._code_of(indexed, at), size)

    def _code_of(self, indexed: IndexedObjects, at: int) -> int | None:
        with self._lock:
            return self._snapshot.shown_code(indexed, at)

    def tag(self, object_id: str) -> str:
        """What the tile of an object depends on: another tag, another picture (for ETag)."""
        indexed, at = self._snapshot.object_index.find(object_id)
        return f"{indexed.objects_key}-{indexed.ids[at]}-{self._code_of(indexed, at)}"

    def picture(self, image_id: str) -> bytes:
        """The whole image, as JPEG."""
        return self._thumbnails.picture(self._snapshot.object_index.image(image_id))

    def outlines(self, image_id: str) -> Json:
        """The objects of an image as SVG paths, in pixels of the image; large ones first."""
        snapshot = self._snapshot
        indexed = snapshot.object_index.image(image_id)
        paths = self._outlines.paths(indexed)
        height, width = indexed.image.shape
        order = np.argsort(-indexed.areas, kind="stable").tolist()
        self._live.catch_up()
        with self._lock:
            rows = [snapshot.object_index.rows[image_id, int(indexed.ids[at])] for at in order]
            items = [
                snapshot.item(row, "") | {"path": paths[at]}
                for row, at in zip(rows, order, strict=True)
            ]
        return {"width": width, "height": height, "name": indexed.image.name, "items": items}

    # Learning

    def start_training(self, author: str | None = None) -> Json:
        """Begin a round of learning in the background; Busy while one is under way."""
        return self._training.start(author or self.author).to_dict()

    def training(self) -> Json:
        """How far the round of learning is, and the result of the last one."""
        return self._training.state.to_dict()

    def _finish_round(self, result: Json) -> Json:
        """Show what the model of a new round predicts."""
        before = self._snapshot
        self._renew(at_once=True)
        after = self._snapshot
        doubts = [LabelError(**one) for one in result["doubts"]]
        self._queues.give_doubts(after.version, doubts)
        one = next(one for one in after.rounds if one.index == result["round"])
        was = dict(zip(before.object_index.keys, before.predictions.codes.tolist(), strict=True))
        now = zip(after.object_index.keys, after.predictions.codes.tolist(), strict=True)
        counts = np.bincount(after.predictions.codes[after.predictions.known], minlength=4)
        return figures(one) | {
            "round": one.index,
            "used": one.adopted,
            "changed": sum(key in was and was[key] != code for key, code in now),
            "counts": dict(zip(CLASS_NAMES, counts.tolist(), strict=True)),
            "disputed": len(doubts),
            "notes": list(one.metrics["notes"]),
        }

    def _renew(self, at_once: bool = False) -> None:
        """Take in what runs of other commands changed."""
        if self._live.renew(at_once) and self._ahead:
            self._thumbnails.start(self._snapshot.object_index, self._code_of)
