"""Keeps the snapshot current: with the database, and with what other commands change.

The database is asked in one thread, in short transactions; the lock of the study is never
held, so that people label while a run of ``annotate`` or ``retrain`` is under way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from annotator.core.errors import StudyError, UsageError
from annotator.core.files import can_write
from annotator.review.label_index import LabelIndex
from annotator.review.object_index import ObjectIndex, is_stale
from annotator.review.snapshot import Snapshot, excluded_key, load
from annotator.study.label_history import ActStore, Revision
from annotator.study.study import Study

T = TypeVar("T")

# How often the files of objects are looked at.
_LOOK_SECONDS = 1.0


class LiveStudy:
    """An open study, and the snapshot of it that the page shows.

    Locks are taken in this order: the one of :meth:`renew`, then ``lock``. The database has
    its own thread; who waits for it holds the first one at most, never ``lock``.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    study : Study
        To be asked by :meth:`query` alone.
    acts : ActStore
        Likewise.
    lock : RLock
        Held by whoever reads or changes the label index of the snapshot, and never while the
        database is asked: pictures shall not wait for it.
    snapshot : Snapshot
        Replaced as a whole, under ``lock``.

    Raises
    ------
    StudyError
        When it is no study, or one that cannot be written.
    UsageError
        When it has no objects yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.study = Study.open(path)
        self.acts = ActStore(self.study.labels)
        self.lock = threading.RLock()
        self._renewing = threading.Lock()
        self._database = ThreadPoolExecutor(1, "review-study")
        self._looked = time.monotonic()
        try:
            self.snapshot = self._first_snapshot()
        except BaseException:
            self.close()
            raise

    def _first_snapshot(self) -> Snapshot:
        if not can_write(self.path):
            raise StudyError(
                f"{self.path}: cannot be written, and labels have to be; change its owner or "
                "mode, or copy the study"
            )
        snapshot = load(self.path, None, self._new_label_index)
        if not snapshot.object_index.keys:
            raise UsageError(
                f"{self.path}: expected images with objects, got none; run trephine annotate "
                f"{self.path} IMAGES first"
            )
        return snapshot

    def close(self) -> None:
        """Let go of the study."""
        self._database.shutdown()
        self.study.close()

    def query(self, question: Callable[[], T]) -> T:
        """Query the database, in the one thread that may."""
        return self._database.submit(question).result()

    def catch_up(self) -> None:
        """Take in labels that were added since, here or by another program."""
        # Asked without the lock, so that pictures go on; whether it still fits is looked at after.
        taken = False
        while not taken:
            label_index = self.snapshot.label_index
            revision = label_index.now
            changes = self.query(partial(self.acts.after, revision))
            with self.lock:
                # Else somebody else took it in meanwhile, and perhaps less than there is now.
                taken = label_index.now == revision
                if taken:
                    label_index.apply(changes)

    def renew(self, at_once: bool = False) -> bool:
        """Read objects and predictions anew where a run has changed them.

        Labels go on meanwhile; who asks for the same waits.

        Parameters
        ----------
        at_once : bool
            Whether to do so without looking whether anything has changed.

        Returns
        -------
        bool
            Whether other objects or predictions are shown now.
        """
        # Loading takes seconds, under the first lock alone: labels and pictures go on. The swap is
        # one assignment under the second.
        with self._renewing:
            if not at_once and not self._has_changed():
                return False
            before = self.snapshot
            snapshot = load(self.path, before, self._new_label_index)
            with self.lock:
                self.snapshot = snapshot
            return snapshot.version != before.version

    def _new_label_index(self, object_index: ObjectIndex) -> LabelIndex:
        label_index = LabelIndex(object_index)
        label_index.apply(self.query(lambda: self.acts.after(Revision())))
        return label_index

    def _has_changed(self) -> bool:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return False
        self._looked = time.monotonic()
        images, index, excluded = self.query(
            lambda: (
                self.study.images(),
                self.study.rounds.next_index() - 1,
                self.study.excluded_regions.areas(),
            )
        )
        last = max((one.index for one in self.snapshot.rounds), default=0)
        others = index != last or excluded_key(excluded) != self.snapshot.excluded_key
        return others or is_stale(self.study, self.snapshot.object_index, images)
