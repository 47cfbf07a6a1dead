"""The ledger of runs, and how the objects of each image were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import JSON, ForeignKey, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from annotator.study.database import Base, Database, FailureRecord, RunRecord


class ObjectsRunRecord(Base):
    """How the objects of an image were made last."""

    __tablename__ = "looks"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    stage_seconds: Mapped[dict[str, float]] = mapped_column(JSON)
    counts: Mapped[dict[str, int]] = mapped_column(JSON)
    sources: Mapped[dict[str, int]] = mapped_column("makers", JSON)


class ObjectsRunWeightsRecord(Base):
    """The weights by which they were made; no row: none, or not known."""

    __tablename__ = "look_weights"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    sha256: Mapped[str]


@dataclass(frozen=True, slots=True)
class ObjectsRun:
    """How the objects of an image were made: the time, the work and the makers.

    Parameters
    ----------
    stage_seconds : mapping
        Of the clock, by stage; without ``encode`` and the like where earlier proposals
        could be used again.
    counts : mapping
        What the proposer counted: ``prompts``, ``masks`` ...
    sources : mapping
        Objects by who made them, see :data:`annotator.core.objects.OBJECT_SOURCES`.
    weights_sha256 : str or None
        Of the weights that the proposer used, if it used any.
    """

    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    weights_sha256: str | None = None


class ObjectsRunStore:
    """How the objects of each image of a study were made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, image_id: str) -> ObjectsRun:
        """How the objects of an image were made last; empty where there are none."""
        with self._database.session() as session:
            record = session.get(ObjectsRunRecord, image_id)
            weights = session.get(ObjectsRunWeightsRecord, image_id)
            return ObjectsRun() if record is None else _from_record(record, weights)

    def weights(self, image_ids: Iterable[str]) -> tuple[str, ...]:
        """sha256 of all weights by which the objects of some images were made, sorted."""
        wanted = set(image_ids)
        with self._database.session() as session:
            rows = session.scalars(select(ObjectsRunWeightsRecord)).all()
            return tuple(sorted({row.sha256 for row in rows if row.image_id in wanted}))


def note_objects_run(session: Session, image_id: str, objects_run: ObjectsRun) -> None:
    """Note how the objects of an image were made, in the place of what was noted before."""
    session.merge(
        ObjectsRunRecord(
            image_id=image_id,
            stage_seconds=dict(objects_run.stage_seconds),
            counts=dict(objects_run.counts),
            sources=dict(objects_run.sources),
        )
    )
    session.execute(
        delete(ObjectsRunWeightsRecord).where(ObjectsRunWeightsRecord.image_id == image_id)
    )
    if objects_run.weights_sha256 is not None:
        session.add(ObjectsRunWeightsRecord(image_id=image_id, sha256=objects_run.weights_sha256))


def _from_record(record: ObjectsRunRecord, weights: ObjectsRunWeightsRecord | None) -> ObjectsRun:
    sha256 = None if weights is None else weights.sha256
    return ObjectsRun(record.stage_seconds, record.counts, record.sources, sha256)


@dataclass(frozen=True, slots=True)
class AnnotateRun:
    """One run of ``trephine annotate``.

    Parameters
    ----------
    started : str
        UTC, ISO 8601.
    seconds : float
        Of the clock.
    counts : mapping of str to int
    failures : tuple of (str, str)
        Paths that could not be annotated, and why.
    """

    started: str
    seconds: float
    counts: Mapping[str, int]
    failures: tuple[tuple[str, str], ...]


def read_runs(study: Path) -> tuple[AnnotateRun, ...]:
    """All runs of a study, in order.

    Raises
    ------
    StudyError
        When the database cannot be read.
    """
    database = Database.open(study / "study.db")
    try:
        with database.session() as session:
            failures: dict[int, list[tuple[str, str]]] = {}
            for one in session.scalars(select(FailureRecord).order_by(FailureRecord.id)):
                failures.setdefault(one.run_id, []).append((one.path, one.reason))
            return tuple(
                AnnotateRun(
                    one.started, one.seconds, dict(one.counts), tuple(failures.get(one.id, ()))
                )
                for one in session.scalars(select(RunRecord).order_by(RunRecord.id))
            )
    finally:
        database.close()
