"""A study as the review page sees it: queues of objects, acts of labelling, pictures.

Nothing of the web is in here. All answers are JSON values, or the bytes of a picture.
Every method can be called from any thread. The database is asked in one thread, in short
transactions; the lock of the study is never held, so that people label while a run of
``annotate`` or ``retrain`` is under way.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from active_learning.labels import LABEL_NAMES, SKIP
from annotator.errors import StudyError, UsageError
from annotator.files import can_write
from annotator.review import acts
from annotator.review.act_store import ActStore, Moment, StoredAct
from annotator.review.book import Book, moment_of, number_of
from annotator.review.outlook import cache_folder
from annotator.review.queues import RANDOM, TITLES, UNCERTAIN, Listed
from annotator.review.refusals import Unknown
from annotator.review.stock import Held, Key, Stock, is_stale
from annotator.review.table import (
    Table,
    figures,
    load,
    make_queue,
    purity,
    queue_version,
    rounds_as_json,
)
from annotator.review.thumbnails import Thumbnails
from annotator.review.tiles import TILE, ZOOM, svg_path
from annotator.review.training import Training
from annotator.schema import CLASS_NAMES
from annotator.store import Study

Json = dict[str, Any]
T = TypeVar("T")

QUEUES = tuple(TITLES)
PICTURE_TYPE = "image/jpeg"
"""Media type of all pictures."""
MOST_ITEMS = 5000
"""Items of one answer at most."""

# Outline of an object without a class, and of one that is mixed or skipped.
_NO_CLASS = (150, 150, 150)
_LETTERS = ("B", "F", "C", "O")
# How often the files of objects are looked at.
_LOOK_SECONDS = 1.0
# Images whose outlines are kept.
_OUTLINED = 32
# Images of so many first objects of a queue get their tiles made first.
_FIRST = 400


class Desk:
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
        self.author = acts.check_author(author)
        self._study = Study.open(path)
        if not can_write(path):
            raise StudyError(f"{path}: cannot be written, and labels have to; change its mode")
        self._acts = ActStore(self._study.labels)
        self._lock = threading.RLock()
        self._renewing = threading.Lock()
        self._database = ThreadPoolExecutor(1, "desk")
        self._looked = time.monotonic()
        self._ahead = ahead
        self._queues: dict[tuple[str, str], Listed] = {}
        self._queue_locks: dict[str, threading.Lock] = {name: threading.Lock() for name in QUEUES}
        self._skipped: dict[tuple[str, str], frozenset[Key]] = {}
        self._outlines: OrderedDict[tuple[str, str], list[str]] = OrderedDict()
        self._table = load(path, None, self._new_book)
        if not self._table.stock.keys:
            raise UsageError(
                f"{path}: expected images with objects, got none; run trephine annotate first"
            )
        self._thumbnails = self._new_thumbnails()
        self._training = Training(path, self._finish_round)
        if ahead:
            self._thumbnails.start(self._table.stock, self._code_of)

    def _new_thumbnails(self) -> Thumbnails:
        settings = self._table.settings
        colours = {code: settings.classes.rgb(name) for code, name in enumerate(CLASS_NAMES)}
        others = dict.fromkeys((None, *range(len(CLASS_NAMES), len(LABEL_NAMES))), _NO_CLASS)
        return Thumbnails(cache_folder(self._study) / "tiles", settings.read, colours | others)

    def close(self) -> None:
        """End what runs in the background, and let go of the study."""
        self._training.cancel()
        self._thumbnails.stop()
        self._database.shutdown()
        self._study.close()

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
        """Study, author, classes, counts, rounds, queues, images, training."""
        self._renew()
        self._catch_up()
        with self._lock:
            table = self._table
            counts, labelled = acts.reviewed_counts(table.book)
            return {
                "study": self.path.absolute().name,
                "author": self.author,
                "classes": self._classes(table),
                "counts": counts,
                "objects": len(table.stock.keys),
                "labelled": labelled,
                "seq": number_of(table.book.now),
                "version": table.version,
                "rounds": rounds_as_json(table),
                "queues": self._queue_titles(table, labelled),
                "images": [
                    {"id": one.image.id, "name": one.image.name, "objects": len(one)}
                    for one in table.stock.held.values()
                ],
                "training": self.training(),
            }

    def _classes(self, table: Table) -> list[Json]:
        colours = table.settings.classes.colours
        return [
            {"name": name, "key": str(at + 1), "letter": letter, "colour": colour}
            for at, (name, letter, colour) in enumerate(
                zip(CLASS_NAMES, _LETTERS, colours, strict=True)
            )
        ]

    def _queue_titles(self, table: Table, labelled: int) -> list[Json]:
        """Names and sizes; None where the size is not known before the queue is asked for."""
        objects = len(table.stock.keys)
        sizes = {
            "clusters": objects,
            "uncertain": min(UNCERTAIN, objects - labelled),
            "random": min(RANDOM, objects),
        }
        made = {name: len(listed.rows) for (name, _), listed in self._queues.items()}
        needs = {"doubts": "train first"} if table.current is None else {}
        return [
            {
                "name": name,
                "title": title,
                "count": made.get(name, sizes.get(name)) if name != "image" else None,
                "needs": needs.get(name),
            }
            for name, title in TITLES.items()
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
            Whether to put the queue together anew, without what has been labelled since.

        Raises
        ------
        Unknown
            When there is no such queue or image.
        UsageError
            When the queue needs something that is not there yet, such as a model.
        """
        if name not in TITLES:
            raise Unknown(f"expected a queue of {', '.join(QUEUES)}, got {name[:40]!r}")
        if offset < 0 or not 0 < limit <= MOST_ITEMS:
            raise UsageError(
                f"expected an offset from 0 and a limit in 1-{MOST_ITEMS}, got {offset} and {limit}"
            )
        if offset == 0:
            self._renew()
        self._catch_up()
        table = self._table
        listed = self._listed(table, name, self._image(table, name, image), fresh)
        listed = self._unskipped(table, listed, author or self.author, offset == 0)
        chosen = listed if cluster is None else listed.group(cluster)
        if self._ahead and offset == 0:
            self._thumbnails.prefer(table.stock.keys[row][0] for row in chosen.rows[:_FIRST])
        with self._lock:
            return self._part(table, listed, chosen, slice(offset, offset + limit))

    def _image(self, table: Table, name: str, image: str | None) -> str:
        if name != "image":
            return ""
        return table.stock.image(image).image.id if image else next(iter(table.stock.held))

    def _listed(self, table: Table, name: str, image: str, fresh: bool) -> Listed:
        """A queue as it was made for these objects and this model, or made now."""
        version = queue_version(table, self._study, name)
        # One at a time, so that two tabs do not make the same list twice.
        with self._queue_locks[name]:
            kept = self._queues.get((name, image))
            if kept is not None and kept.version.startswith(version) and not fresh:
                return kept
            made = make_queue(table, self._study, name, image)
            number = 0 if kept is None else int(kept.version.rpartition(".")[2]) + 1
            listed = replace(made, version=f"{version}.{number}")
            self._queues[name, image] = listed
            return listed

    def _unskipped(self, table: Table, listed: Listed, author: str, anew: bool) -> Listed:
        """Without what an author skipped in this queue; one image is always shown whole."""
        if listed.name == "image":
            return listed
        place = author, listed.name
        if anew or place not in self._skipped:
            ids = self._ask(lambda: self._acts.skipped(*place))
            with self._lock:
                keys = table.book.keys_of(ids)
                gone = [key for key in keys if table.book.last_word(key, "person", author) == SKIP]
                self._skipped[place] = frozenset(gone)
        skipped = self._skipped[place]
        if not skipped:
            return listed
        rows = [row for key in skipped if (row := table.stock.rows.get(key)) is not None]
        return listed.take(~np.isin(listed.rows, rows))

    def _part(self, table: Table, listed: Listed, chosen: Listed, part: slice) -> Json:
        counts = listed.counts()
        names = [group.name for group in listed.groups]
        pairs = zip(chosen.rows[part].tolist(), chosen.member[part].tolist(), strict=True)
        keys = table.stock.keys
        return {
            "name": listed.name,
            "title": TITLES[listed.name],
            "total": len(chosen.rows),
            "offset": part.start,
            "version": f"{listed.version}.{len(listed.rows)}",
            "seq": number_of(table.book.now),
            "groups": [
                {
                    "name": group.name,
                    "title": group.title,
                    "proposed": None if group.proposed is None else LABEL_NAMES[group.proposed],
                    "count": counts[at],
                }
                for at, group in enumerate(listed.groups)
            ],
            "items": [
                table.item(row, names[member], listed.why.get(keys[row], ""))
                for row, member in pairs
            ],
        }

    # What is said

    def label(self, author: str, ids: Sequence[str], code: str, queue: str = "") -> Json:
        """Say of objects that they are of a class, ``mixed``, or to be skipped: one act.

        What the author said of an object before is not said again: an act without anything
        new has the number 0 and is not stored. The items are those of the act alone; ask
        :meth:`changes` for what others did.

        Raises
        ------
        Unknown
            When there is no such object; nothing was stored.
        UsageError
            When the code is none, or no object is named.
        StudyError
            When the database cannot be written; nothing was stored.
        """
        acts.check_author(author)
        number = acts.code_of_name(code)
        with self._lock:
            self._catch_up()
            objects = acts.find_objects(self._table.book, ids)
            return self._say(author, queue, objects, number, "person")

    def name_cluster(self, author: str, cluster: str, code: str) -> Json:
        """Give a class to all objects of a cluster that no person has labelled: one act.

        The labels are of the source ``seed``: somebody named the group, and did not look at
        each object. They count as far as the group seems pure.

        Raises
        ------
        Unknown
            When there is no such cluster.
        UsageError
            When the code is none, or ``skip``.
        """
        acts.check_author(author)
        number = acts.code_of_name(code)
        if number == SKIP:
            raise UsageError("expected a class or mixed, got skip; leave such a cluster unnamed")
        table = self._table
        listed = self._listed(table, "clusters", "", False)
        at = next((at for at, one in enumerate(listed.groups) if one.name == cluster), -1)
        with self._lock:
            self._catch_up()
            keys = [table.stock.keys[row] for row in listed.rows[listed.member == at].tolist()]
            objects = acts.cluster_members(keys, table.book, cluster)
            share = purity(table, listed, at) if number == listed.groups[at].proposed else 1.0
            return self._say(author, "clusters", objects, number, "seed", share)

    def _say(
        self,
        author: str,
        queue: str,
        objects: Sequence[tuple[Held, int]],
        code: int,
        source: str,
        confidence: float = 1.0,
    ) -> Json:
        book = self._table.book
        round_ = self._ask(self._study.rounds.next_index)
        saying = acts.Saying(author, code, source, round_, confidence)
        labels, masks = acts.new_labels(book, objects, saying)
        act = None
        if labels:
            act = self._ask(lambda: self._acts.add(author, queue, labels, masks))
            self._catch_up()
        keys = [(held.image.id, int(held.ids[at])) for held, at in objects]
        return acts.act_as_json(book, act, code, keys)

    def undo(self, author: str) -> Json | None:
        """Take back the author's last act that stands; None where there is none.

        What counted before counts again. What another person said stays as it is, and the
        notes say so.
        """
        return self._turn(author, self._acts.undo)

    def redo(self, author: str) -> Json | None:
        """Do again what was taken back last; None where there is nothing."""
        return self._turn(author, self._acts.redo)

    def _turn(self, author: str, turn: Callable[[str], StoredAct | None]) -> Json | None:
        acts.check_author(author)
        with self._lock:
            act = self._ask(lambda: turn(author))
            if act is None:
                return None
            self._catch_up()
            book = self._table.book
            keys = book.keys_of(act.label_ids)
            code = book.code_of(act.label_ids)
            notes = acts.others_word(book, author, keys)
            return acts.act_as_json(book, act, code, keys) | {"notes": notes}

    def changes(self, since: int) -> Json:
        """What anybody said after a point in time, and the point that it is now.

        Points are the ``seq`` of any answer; whoever asks keeps the one of the last answer
        of this method, and not that of an act, which tells nothing of others.
        """
        if not 0 <= since < 1 << 53:
            raise UsageError(f"expected a number that an answer held as seq, got {since}")
        self._catch_up()
        with self._lock:
            book = self._table.book
            keys = book.since(moment_of(since))
            return {
                "seq": number_of(book.now),
                "version": self._table.version,
                "items": [acts.standing(book, key) for key in keys],
            }

    # Pictures

    def tile(self, object_id: str) -> bytes:
        """An object in its surroundings, outlined, 128 x 128 px, as JPEG."""
        return self._tile(object_id, TILE)

    def zoom(self, object_id: str) -> bytes:
        """The same with more around it, 512 x 512 px."""
        return self._tile(object_id, ZOOM)

    def _tile(self, object_id: str, size: int) -> bytes:
        held, at = self._table.stock.find(object_id)
        return self._thumbnails.tile(held, at, self._code_of(held, at), size)

    def _code_of(self, held: Held, at: int) -> int | None:
        with self._lock:
            return self._table.shown_code(held, at)

    def tag(self, object_id: str) -> str:
        """What the tile of an object depends on: another tag, another picture (for ETag)."""
        held, at = self._table.stock.find(object_id)
        return f"{held.look_key}-{held.ids[at]}-{self._code_of(held, at)}"

    def picture(self, image_id: str) -> bytes:
        """The whole image, as JPEG."""
        return self._thumbnails.picture(self._table.stock.image(image_id))

    def outlines(self, image_id: str) -> Json:
        """The objects of an image as SVG paths, in pixels of the image; large ones first."""
        table = self._table
        held = table.stock.image(image_id)
        paths = self._paths(held)
        height, width = held.image.shape
        order = np.argsort(-held.areas, kind="stable").tolist()
        self._catch_up()
        with self._lock:
            rows = [table.stock.rows[image_id, int(held.ids[at])] for at in order]
            items = [
                table.item(row, "") | {"path": paths[at]}
                for row, at in zip(rows, order, strict=True)
            ]
        return {"width": width, "height": height, "name": held.image.name, "items": items}

    def _paths(self, held: Held) -> list[str]:
        key = held.image.id, held.look_key
        with self._lock:
            known = self._outlines.get(key)
        if known is None:
            known = [svg_path(held.crop(at), held.boxes[at]) for at in range(len(held))]
        with self._lock:
            self._outlines[key] = known
            while len(self._outlines) > _OUTLINED:
                self._outlines.popitem(last=False)
        return known

    # Learning

    def start_training(self, author: str | None = None) -> Json:
        """Begin a round of learning in the background; Busy while one is under way."""
        return self._training.start(author or self.author).to_dict()

    def training(self) -> Json:
        """How far the round of learning is, and what came of the last one."""
        return self._training.state.to_dict()

    def _finish_round(self, index: int) -> Json:
        """What a round changed, seen by its model."""
        before = self._table
        self._renew(at_once=True)
        after = self._table
        one = next(one for one in after.rounds if one.index == index)
        was = dict(zip(before.stock.keys, before.outlook.codes.tolist(), strict=True))
        now = zip(after.stock.keys, after.outlook.codes.tolist(), strict=True)
        changed = sum(key in was and was[key] != code for key, code in now)
        counts = np.bincount(after.outlook.codes[after.outlook.known], minlength=4)
        found = figures(one)
        return found | {
            "round": index,
            "used": one.adopted,
            "changed": changed,
            "counts": dict(zip(CLASS_NAMES, counts.tolist(), strict=True)),
            "notes": list(one.metrics["notes"]),
        }

    # Keeping up

    def _ask(self, question: Callable[[], T]) -> T:
        """Ask the database, in the one thread that does."""
        return self._database.submit(question).result()

    def _new_book(self, stock: Stock) -> Book:
        book = Book(stock)
        book.take(self._ask(lambda: self._acts.after(Moment())))
        return book

    def _catch_up(self) -> None:
        """Take in what was said since, here or elsewhere."""
        with self._lock:
            book = self._table.book
            book.take(self._ask(lambda: self._acts.after(book.now)))

    def _renew(self, at_once: bool = False) -> None:
        """Read objects and predictions anew where a run has changed them."""
        with self._renewing:
            if not at_once and time.monotonic() - self._looked < _LOOK_SECONDS:
                return
            self._looked = time.monotonic()
            if not at_once and not self._has_changed():
                return
            table = load(self.path, self._table, self._new_book)
            if table.version == self._table.version:
                with self._lock:
                    self._table = table
                return
            with self._lock:
                self._table = table
            if self._ahead:
                self._thumbnails.start(table.stock, self._code_of)

    def _has_changed(self) -> bool:
        images, index = self._ask(
            lambda: (self._study.images(), self._study.rounds.next_index() - 1)
        )
        last = max((one.index for one in self._table.rounds), default=0)
        return index != last or is_stale(self._study, self._table.stock, images)
