"""The ledger of runs: when a study was annotated, and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from annotator.study.database import Database, FailureRecord, RunRecord


@dataclass(frozen=True, slots=True)
class Run:
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


def read_runs(study: Path) -> tuple[Run, ...]:
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
                Run(one.started, one.seconds, dict(one.counts), tuple(failures.get(one.id, ())))
                for one in session.scalars(select(RunRecord).order_by(RunRecord.id))
            )
    finally:
        database.close()
