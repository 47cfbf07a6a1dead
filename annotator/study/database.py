"""The tables of ``study.db``, and how it is opened.

Nothing in it names a place outside the study except ``images.source``, which is there
for information: a study can be moved. Some columns have older names than the attributes
(``look_key``, ``judge_key``, ``makers``): studies of earlier versions stay readable.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    JSON,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import QueuePool

from annotator.core.errors import StorageError, StudyError
from annotator.core.files import can_write

# 1: images, annotations, written files, runs. 2: labels. 3: rounds. 4: CVAT. 5: weights of objects.
# 6: acts of labelling. 7: given scales. 8: images and regions left out, found scales; projects,
# assignments and deleted frames of CVAT.
VERSION = 8


def now(seconds_ago: float = 0.0) -> str:
    """The time in UTC as text, to the second."""
    moment = datetime.fromtimestamp(datetime.now(UTC).timestamp() - seconds_ago, UTC)
    return moment.isoformat(timespec="seconds")


class Base(DeclarativeBase):
    """Base of the tables."""


class ImageRecord(Base):
    """One image that the study knows; `id` is its content hash."""

    __tablename__ = "images"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    folded_name: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    um_per_px: Mapped[float | None]
    notes: Mapped[list[str]] = mapped_column(JSON)
    objects_seconds: Mapped[float | None] = mapped_column("look_seconds")
    added: Mapped[str]


class AnnotationRecord(Base):
    """The rough annotation that stands for an image now."""

    __tablename__ = "annotations"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    objects_key: Mapped[str] = mapped_column("look_key")
    annotation_key: Mapped[str] = mapped_column("judge_key")
    source: Mapped[str]
    classifier: Mapped[str]
    areas_px: Mapped[dict[str, int]] = mapped_column(JSON)
    cellularity: Mapped[float | None]
    objects: Mapped[int]
    coverage: Mapped[dict[str, float]] = mapped_column(JSON)
    notes: Mapped[list[str]] = mapped_column(JSON)
    seconds: Mapped[float]
    confidence: Mapped[list[float]] = mapped_column(JSON)
    written: Mapped[str]


class WrittenFile(Base):
    """Hashes of what we wrote, or are about to write, to a path inside the study.

    A file whose hash is not here was changed by a person.
    """

    __tablename__ = "written_files"

    path: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)


class RunRecord(Base):
    """The ledger of runs."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    started: Mapped[str]
    seconds: Mapped[float]
    settings: Mapped[str]
    counts: Mapped[dict[str, int]] = mapped_column(JSON)
    stage_seconds: Mapped[dict[str, float]] = mapped_column(JSON)


class FailureRecord(Base):
    """Images that failed in a run."""

    __tablename__ = "failures"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    path: Mapped[str]
    reason: Mapped[str]


class LabelledMaskRecord(Base):
    """The mask of an object that has labels, so that they outlive its file."""

    __tablename__ = "labelled_masks"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    mask_key: Mapped[str] = mapped_column(primary_key=True)
    x0: Mapped[int]
    y0: Mapped[int]
    x1: Mapped[int]
    y1: Mapped[int]
    bits: Mapped[bytes]


class LabelRecord(Base):
    """One label of one object; nothing in this table is changed or deleted.

    `object_id` is the object's number when it was labelled, `origin` the row that was moved.
    """

    __tablename__ = "labels"
    __table_args__ = (
        ForeignKeyConstraint(
            ["image_id", "mask_key"], ["labelled_masks.image_id", "labelled_masks.mask_key"]
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[str] = mapped_column(index=True)
    mask_key: Mapped[str]
    objects_key: Mapped[str] = mapped_column("look_key")
    object_id: Mapped[int]
    code: Mapped[int]
    source: Mapped[str]
    round: Mapped[int]
    author: Mapped[str]
    time: Mapped[str]
    confidence: Mapped[float]
    origin: Mapped[int | None] = mapped_column(ForeignKey("labels.id"))


class LabelActRecord(Base):
    """An act at the review page: ``label``, or ``undo`` or ``redo`` of another one."""

    __tablename__ = "label_acts"

    id: Mapped[int] = mapped_column(primary_key=True)
    author: Mapped[str] = mapped_column(index=True)
    time: Mapped[str]
    kind: Mapped[str]
    of: Mapped[int | None] = mapped_column(ForeignKey("label_acts.id"), index=True)
    queue: Mapped[str]


class LabelActRowRecord(Base):
    """Which labels an act brought."""

    __tablename__ = "label_act_rows"

    act_id: Mapped[int] = mapped_column(ForeignKey("label_acts.id"), primary_key=True)
    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"), primary_key=True)


class RoundRecord(Base):
    """One round; nothing in this table is changed or deleted."""

    __tablename__ = "rounds"

    index: Mapped[int] = mapped_column("number", primary_key=True)
    format: Mapped[int]
    parent: Mapped[int | None] = mapped_column(ForeignKey("rounds.number"))
    time: Mapped[str]
    labels_from: Mapped[str]
    verdict: Mapped[str]
    adopted: Mapped[bool]
    features: Mapped[str]
    model_sha256: Mapped[str]
    weights_sha256: Mapped[str | None]
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    classes: Mapped[list[str]] = mapped_column(JSON)
    groups: Mapped[list[str]] = mapped_column(JSON)
    queried: Mapped[list[str]] = mapped_column(JSON)
    metrics: Mapped[dict[str, Any]] = mapped_column(JSON)


class QueryRecord(Base):
    """Images that were suggested to be labelled next."""

    __tablename__ = "queries"

    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[str]
    round: Mapped[int]
    image_ids: Mapped[list[str]] = mapped_column(JSON)


class CvatBindingRecord(Base):
    """The one project that the study was sent to, and the key of the study on the server."""

    __tablename__ = "cvat_binding"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_key: Mapped[str]
    url: Mapped[str | None]
    project_id: Mapped[int | None]
    project_name: Mapped[str | None]


class CvatBatchRecord(Base):
    """Images that make one task, in the order of its frames; noted before the task is made."""

    __tablename__ = "cvat_batches"

    task_name: Mapped[str] = mapped_column(primary_key=True)
    image_ids: Mapped[list[str]] = mapped_column(JSON)
    time: Mapped[str]


class CvatPutRecord(Base):
    """Digests of what we put, or are about to put, on a frame of a job.

    Shapes with another digest were changed by a person.
    """

    __tablename__ = "cvat_puts"

    job_id: Mapped[int] = mapped_column(primary_key=True)
    frame: Mapped[int] = mapped_column(primary_key=True)
    shapes_sha256: Mapped[str] = mapped_column(primary_key=True)


class CvatSentRecord(Base):
    """What was sent of an image last, and read back."""

    __tablename__ = "cvat_sent"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    task_id: Mapped[int]
    task_name: Mapped[str]
    job_id: Mapped[int] = mapped_column(index=True)
    frame: Mapped[int]
    name: Mapped[str]
    rough_sha256: Mapped[str]
    shapes_sha256: Mapped[str]
    shapes: Mapped[int]
    merged: Mapped[int]
    time: Mapped[str]


class CvatPulledRecord(Base):
    """The state of a job when it was pulled last."""

    __tablename__ = "cvat_pulled"

    job_id: Mapped[int] = mapped_column(primary_key=True)
    updated: Mapped[str]
    shapes_sha256: Mapped[str]
    state: Mapped[str]
    time: Mapped[str]


# BEFORE INSERT as well: a REPLACE removes rows without asking the trigger on DELETE.
_APPEND_ONLY = tuple(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{name} BEFORE {action} "
    f"BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END"
    for table, same in (
        ("labels", "id = NEW.id"),
        ("labelled_masks", "image_id = NEW.image_id AND mask_key = NEW.mask_key"),
        ("rounds", "number = NEW.number"),
        ("label_acts", "id = NEW.id"),
        ("label_act_rows", "act_id = NEW.act_id AND label_id = NEW.label_id"),
    )
    for name, action in (
        ("stay", f"UPDATE ON {table}"),
        ("remain", f"DELETE ON {table}"),
        (
            "are_new",
            f"INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})",
        ),
    )
)


class Database:
    """An open ``study.db``."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine
        self._tables: set[str] = set()

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open the database, in WAL mode where it can be written.

        One of an older layout gets the tables that it lacks, where it can be written.

        Raises
        ------
        StudyError
            When it is no database, or one of a newer Trephine.
        """
        writable = can_write(path.parent)
        # A connection for whoever asks, in any thread: the pool that goes with this address keeps
        # one a thread, and closes those of threads that are still at work when there are many.
        engine = create_engine("sqlite://", creator=_connector(path, writable), poolclass=QueuePool)
        event.listen(engine, "connect", _prepare if writable else _ignore)
        self = cls(path, engine)
        version = self._version()
        if version > VERSION:
            self.close()
            raise StudyError(
                f"{path}: written by a newer Trephine (layout {version}, this one knows up to "
                f"{VERSION}); update Trephine"
            )
        if writable and 0 < version < VERSION:
            self.create_tables()
        return self

    def create_tables(self) -> None:
        """Make the tables that are missing and mark the layout's version, or do nothing."""
        with self.session() as session:
            # Explicitly: the driver would begin a transaction for INSERT, not for CREATE.
            session.execute(text("BEGIN IMMEDIATE"))
            Base.metadata.create_all(session.connection())
            for trigger in _APPEND_ONLY:
                session.execute(text(trigger))
            session.execute(text(f"PRAGMA user_version = {VERSION}"))
            session.commit()

    def has_table(self, name: str) -> bool:
        """Whether it is there; a study of an older Trephine that can only be read lacks some."""
        if name not in self._tables:
            with self.session() as session:
                if not inspect(session.connection()).has_table(name):
                    return False
            # A table that is there stays; one that is missing may be made.
            self._tables.add(name)
        return True

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session of the ORM.

        Raises
        ------
        StudyError
            When a statement is refused, in words for a person.
        """
        try:
            with Session(self._engine) as session:
                yield session
        except DatabaseError as error:
            raise database_error(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def _version(self) -> int:
        with self.session() as session:
            return int(session.execute(text("PRAGMA user_version")).scalar_one())


def database_error(path: Path, error: DatabaseError) -> StudyError:
    """Say what a refused statement means for a person."""
    why = str(error.orig)
    if "locked" in why:
        return StudyError(f"{path}: another program holds the database; close it and run again")
    if any(word in why for word in ("full", "readonly", "disk I/O", "unable to open")):
        return StorageError(
            f"{path}: cannot be written: {why}; free space or permissions, then run again"
        )
    return StudyError(
        f"{path}: not a usable database ({why}); restore it from a backup, or make a new study"
    )


def _connector(path: Path, writable: bool) -> Callable[[], sqlite3.Connection]:
    """A read-only folder cannot hold the files of WAL: read the database as it lies."""
    mode = "mode=rwc" if writable else "mode=ro&immutable=1"
    uri = f"file:{quote(str(path.absolute()))}?{mode}"
    return lambda: sqlite3.connect(uri, uri=True, timeout=10.0, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, _: Any) -> None:
    """FULL: the ledger of written files must not fall behind the files in a power cut."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _ignore(connection: sqlite3.Connection, _: Any) -> None:
    """A database that is only read needs no preparation."""
