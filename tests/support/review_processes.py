"""Review sessions in processes of their own; imported by these processes too."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from annotator.review.session import ReviewSession
from annotator.study.study import Study


def label_alone(path: Path, author: str, ids: list[str], code: str, told: Connection) -> None:
    """Label objects one by one, once told to begin; tell the acts."""
    with ReviewSession(path, author, ahead=False) as review:
        told.send("ready")
        told.recv()
        told.send([review.label(author, [one], code)["act"] for one in ids])


def hold_for_writing(path: Path, told: Connection) -> None:
    """Hold the study as ``annotate`` and ``retrain`` do, until told to end."""
    with Study.open(path) as study, study.writing():
        told.send("held")
        told.recv()


def hold_the_database(path: Path, told: Connection) -> None:
    """Write into the database until told to end, as nothing of ours does."""
    with Study.open(path) as study, study.labels.writing():
        told.send("held")
        told.recv()
