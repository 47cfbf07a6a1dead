"""Acts of labelling in the database: append-only, undone and redone by further rows.

An undo withdraws the labels of an act: for everything that reads labels it is as if they
had not been given. A redo brings them back. Labels that others gave to the same objects stay
as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, insert, select
from sqlalchemy.orm import Session

from annotator.core.labels import SKIP, Label
from annotator.study.database import LabelActRecord, LabelActRowRecord, LabelRecord, now
from annotator.study.labels import LabelledMask, LabelStore

_FIELDS = tuple(Label.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class StoredAct:
    """An act.

    Parameters
    ----------
    id : int
        Of the act, 1 or more.
    kind : {"label", "undo", "redo"}
    queue : str
        In which it was done.
    label_ids : tuple of int
        The labels that it brought, withdrew or brought back.
    """

    id: int
    kind: str
    queue: str
    label_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Revision:
    """A point in the history of the labels.

    Parameters
    ----------
    label, act : int
        Ids of the last label and of the last act then; 0 for none.
    """

    label: int = 0
    act: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of the labels after a revision.

    Parameters
    ----------
    labels : tuple of Label
        In the order of arrival, withdrawn or not.
    turns : tuple of StoredAct
        Undos and redos, in order.
    now : Revision
    """

    labels: tuple[Label, ...]
    turns: tuple[StoredAct, ...]
    now: Revision


class ActStore:
    """The acts of a study.

    Parameters
    ----------
    labels : LabelStore
        Holds the labels themselves.
    """

    def __init__(self, labels: LabelStore) -> None:
        self._labels = labels

    def add(
        self, author: str, queue: str, labels: Sequence[Label], masks: Sequence[LabelledMask]
    ) -> StoredAct:
        """Add labels as one act, all of them or none.

        Raises
        ------
        StudyError
            When the database is held by another program for long, or cannot be written.
        """
        with self._labels.writing() as session:
            before = _last(session, LabelRecord)
            self._labels.append_in(session, labels, masks)
            # Nobody else can write in between, and numbers are given in order.
            ids = tuple(range(before + 1, before + 1 + len(labels)))
            act_id = _add_act(session, author, "label", queue, None)
            rows = [{"act_id": act_id, "label_id": one} for one in ids]
            session.execute(insert(LabelActRowRecord), rows)
            return StoredAct(act_id, "label", queue, ids)

    def undo(self, author: str) -> StoredAct | None:
        """Withdraw the labels of the author's last act that stands; None where none does."""
        return self._turn(author, "undo")

    def redo(self, author: str) -> StoredAct | None:
        """Bring back what the author withdrew last, unless a label was given since."""
        return self._turn(author, "redo")

    def _turn(self, author: str, kind: str) -> StoredAct | None:
        with self._labels.writing() as session:
            done, undone = _stacks(session, author)
            stack = done if kind == "undo" else undone
            if not stack:
                return None
            of, queue = stack[-1]
            act_id = _add_act(session, author, kind, queue, of)
            return StoredAct(act_id, kind, queue, _labels_of(session, of))

    def after(self, revision: Revision) -> Changes:
        """Labels given, and acts undone and redone, after a revision, by anybody and in any way."""
        with self._labels.reading() as session:
            last = Revision(_last(session, LabelRecord), _last(session, LabelActRecord))
            if last == revision:
                return Changes((), (), revision)
            labels = _labels(session, LabelRecord.id > revision.label, LabelRecord.id <= last.label)
            return Changes(labels, _turns(session, revision.act, last.act), last)

    def skipped(self, author: str, queue: str) -> frozenset[int]:
        """Ids of the labels by which an author skipped objects in a queue."""
        query = (
            select(LabelRecord.id)
            .join(LabelActRowRecord, LabelActRowRecord.label_id == LabelRecord.id)
            .join(LabelActRecord, LabelActRecord.id == LabelActRowRecord.act_id)
            .where(
                LabelActRecord.author == author,
                LabelActRecord.queue == queue,
                LabelRecord.code == SKIP,
            )
        )
        with self._labels.reading() as session:
            return frozenset(session.scalars(query))


def _last(session: Session, table: type[LabelRecord] | type[LabelActRecord]) -> int:
    return session.scalar(select(func.max(table.id))) or 0


def _add_act(session: Session, author: str, kind: str, queue: str, of: int | None) -> int:
    act = LabelActRecord(author=author, time=now(), kind=kind, queue=queue, of=of)
    session.add(act)
    session.flush()
    return act.id


def _stacks(session: Session, author: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Acts of an author that stand, and those that can be redone: id and queue, last ones last."""
    done: list[tuple[int, str]] = []
    undone: list[tuple[int, str]] = []
    table = LabelActRecord
    query = select(table.id, table.kind, table.queue).where(table.author == author)
    for act_id, kind, queue in session.execute(query.order_by(table.id)):
        if kind == "undo":
            undone.append(done.pop())
        elif kind == "redo":
            done.append(undone.pop())
        else:
            done.append((act_id, queue))
            undone.clear()
    return done, undone


def _labels_of(session: Session, act_id: int) -> tuple[int, ...]:
    table = LabelActRowRecord
    query = select(table.label_id).where(table.act_id == act_id).order_by(table.label_id)
    return tuple(session.scalars(query))


def _labels(session: Session, *where: ColumnElement[bool]) -> tuple[Label, ...]:
    columns = [getattr(LabelRecord, name) for name in _FIELDS[:-1]]
    origin = func.coalesce(LabelRecord.origin, 0)
    query = select(*columns, origin).where(*where).order_by(LabelRecord.id)
    return tuple(Label(*row) for row in session.execute(query))


def _turns(session: Session, after: int, until: int) -> tuple[StoredAct, ...]:
    table = LabelActRecord
    query = select(table.id, table.kind, table.queue, table.of).where(
        table.id > after, table.id <= until, table.of.is_not(None)
    )
    return tuple(
        StoredAct(act_id, kind, queue, _labels_of(session, of))
        for act_id, kind, queue, of in session.execute(query.order_by(table.id)).all()
        if of is not None
    )
