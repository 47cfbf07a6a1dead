"""Two people in two processes at once, and labelling beside the other commands."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from support.review_processes import hold_for_writing, hold_the_database, label_alone

from active_learning.labels.label import current
from active_learning.rounds.label_csv import ImportOptions, import_labels
from active_learning.rounds.retrain import RetrainOptions, retrain
from annotator.core.errors import StudyError
from annotator.core.labels import LABEL_NAMES
from annotator.review.session import ReviewSession
from annotator.study.study import Study

pytestmark = pytest.mark.slow

CONTEXT = multiprocessing.get_context("spawn")


@contextmanager
def beside(target: Any, *arguments: Any) -> Iterator[Connection]:
    """Run a function in a process that is spoken with."""
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=target, args=(*arguments, there))
    process.start()
    there.close()
    try:
        yield here
        process.join(300)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()


def said(path: Path) -> list[tuple[str, str, str]]:
    """Object, author and class of every label, in the order of arrival."""
    with Study.open(path) as study:
        return [
            (f"{one.image_id}:{one.object_id}", one.author, LABEL_NAMES[one.code])
            for one in study.labels.all()
        ]


def test_two_people_at_once_lose_nothing(path: Path):
    with ReviewSession(path, "rita", ahead=False) as review:
        ids = [one["id"] for one in review.queue("clusters")["items"]][:15]
        since = review.changes(0)["seq"]
        with (
            beside(label_alone, path, "eva", ids, "fat") as eva,
            beside(label_alone, path, "bob", ids[::-1], "cell") as bob,
        ):
            assert (eva.recv(), bob.recv()) == ("ready", "ready")
            eva.send("go")
            bob.send("go")
            acts = eva.recv() + bob.recv()
        found = review.changes(since)["items"]
    labels = said(path)
    assert [one for one, author, _ in labels if author == "eva"] == ids
    assert [one for one, author, _ in labels if author == "bob"] == ids[::-1]
    assert sorted(acts) == list(range(1, 31))
    # Of two people the later click counts, even where its row waited for the other's.
    with Study.open(path) as study:
        counting = current(study.labels.all())
    assert {one["id"]: one["label"] for one in found} == {
        f"{one.image_id}:{one.object_id}": LABEL_NAMES[one.code] for one in counting
    }


def test_people_label_while_a_run_holds_the_study(path: Path):
    with beside(hold_for_writing, path) as run, ReviewSession(path, "eva", ahead=False) as review:
        assert run.recv() == "held"
        one = review.queue("clusters")["items"][0]["id"]
        assert review.label("eva", [one], "fat")["act"] == 1
        assert review.undo("eva")["act"] == 2
        assert review.redo("eva")["act"] == 3
        run.send("end")
    assert said(path) == [(one, "eva", "fat")]


def test_what_is_said_while_a_round_is_made_stays(trained_path: Path):
    with (
        ReviewSession(trained_path, "eva", ahead=False) as review,
        Study.open(trained_path) as study,
    ):
        ids = iter([one["id"] for one in review.queue("clusters")["items"]])
        given = []

        def label(*_: object) -> None:
            given.append(next(ids, None))
            if given[-1] is not None:
                review.label("eva", [given[-1]], "bone")

        retrain(study, RetrainOptions("both", "eva", published=False), label)
        labels = [one for one, author, _ in said(trained_path) if author == "eva"]
        kept = [one for one in given if one is not None]
        assert kept
        assert [one for one in labels if one in kept][-len(kept) :] == kept
        review.queue("clusters", fresh=True)
        assert len(review.summary()["rounds"]) == 2


def test_a_label_waits_for_another_writer(path: Path):
    with (
        ReviewSession(path, "eva", ahead=False) as review,
        beside(hold_the_database, path) as other,
    ):
        one = review.queue("clusters")["items"][0]["id"]
        assert other.recv() == "held"
        acts: list[int] = []
        labelling = threading.Thread(
            target=lambda: acts.append(review.label("eva", [one], "fat")["act"])
        )
        labelling.start()
        labelling.join(0.5)
        assert acts == []
        other.send("end")
        labelling.join(300)
    assert acts == [1]


def test_a_label_that_waits_too_long_says_so_and_pictures_do_not_wait(path: Path):
    def hurry(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA busy_timeout = 300")

    event.listen(Engine, "connect", hurry)
    try:
        with (
            ReviewSession(path, "eva", ahead=False) as review,
            beside(hold_the_database, path) as other,
        ):
            one = review.queue("clusters")["items"][0]["id"]
            assert other.recv() == "held"
            with pytest.raises(StudyError, match=r"study\.db"):
                review.label("eva", [one], "fat")
            assert review.tile(one)
            other.send("end")
    finally:
        event.remove(Engine, "connect", hurry)
    assert said(path) == []


def test_an_import_beside_the_page(path: Path, tmp_path: Path):
    file = tmp_path / "labels.csv"
    with ReviewSession(path, "eva", ahead=False) as review, Study.open(path) as study:
        ids = [one["id"] for one in review.queue("clusters")["items"]][:6]
        review.label("eva", ids[:3], "fat")
        rows = [",".join([*one.split(":"), "cell", "rita"]) for one in ids]
        file.write_text("\n".join(["image,object,class,author", *rows, ""]), "utf-8")
        import_labels(study, file, ImportOptions())
        review.label("eva", ids, "bone")
        assert {one["label"] for one in review.changes(0)["items"]} == {"bone"}
        review.undo("eva")
        # Of two people, the later one: the import came after the first act.
        assert {one["author"] for one in review.changes(0)["items"]} <= {"rita", "eva"}
    assert len(said(path)) == 9
