"""The ledger in the database: rounds come back as stored, in order, and stay."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.labelled_studies import only_readable

from annotator.core.errors import ModelError, StorageError, StudyError
from annotator.core.files import write_atomic
from annotator.study.rounds import OutOfFold, Round, RoundFiles
from annotator.study.study import Study

FIRST = Round(
    index=1,
    parent=None,
    time="2026-11-20T21:00:00+00:00",
    labels_from="both",
    verdict="first",
    adopted=True,
    features="f" * 16,
    model_sha256="a" * 64,
    weights_sha256=None,
    settings={"train": {"folds": 5}},
    classes=["bg", "fat", "cell", "bone"],
    groups=["p1", "p2"],
    queried=["0123"],
    metrics={"objects": 12, "held_out": None},
)
FILES = RoundFiles(
    b"skops",
    {"format": 1},
    OutOfFold(np.array(["i", "i"]), np.array(["m", "n"]), np.full((2, 4), 0.25)),
)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        yield made


def test_rounds_come_back_as_they_were_stored(study):
    assert study.rounds.current() is None
    assert study.rounds.next_index() == 1
    study.rounds.add(FIRST, FILES)
    second = replace(FIRST, index=2, parent=1, verdict="better", weights_sha256="b" * 64)
    study.rounds.add(second, FILES)
    assert study.rounds.all() == (FIRST, second)
    assert study.rounds.current() == second
    assert study.rounds.next_index() == 3
    assert study.rounds.read_model(1) == (b"skops", {"format": 1})
    kept = study.rounds.read_out_of_fold(2).by_key()
    assert kept.keys() == {("i", "m"), ("i", "n")}
    assert kept["i", "m"].tolist() == [0.25] * 4


def test_held_out_patients_are_kept_beside_the_folds(study):
    held_out = OutOfFold(np.array(["j"]), np.array(["o"]), np.full((1, 4), 0.25))
    study.rounds.add(FIRST, replace(FILES, held_out=held_out))
    study.rounds.add(replace(FIRST, index=2, parent=1), FILES)
    kept = study.rounds.read_held_out(1)
    assert kept is not None and kept.by_key().keys() == {("j", "o")}
    assert study.rounds.read_out_of_fold(1).by_key().keys() == {("i", "m"), ("i", "n")}
    # As in rounds of earlier versions.
    assert study.rounds.read_held_out(2) is None


def test_a_round_that_was_not_adopted_is_not_current(study):
    study.rounds.add(FIRST, FILES)
    study.rounds.add(replace(FIRST, index=2, parent=1, verdict="worse", adopted=False), FILES)
    assert study.rounds.current() == FIRST
    assert study.rounds.next_index() == 3


def test_a_round_of_a_newer_trephine_is_refused(study):
    study.rounds.add(replace(FIRST, format=2), FILES)
    with pytest.raises(ModelError, match=r"\b2\b"):
        study.rounds.current()


def test_nothing_in_the_table_is_changed_or_deleted(study):
    study.rounds.add(FIRST, FILES)
    with sqlite3.connect(study.path / "study.db") as connection:
        for statement in ("UPDATE rounds SET verdict = 'better'", "DELETE FROM rounds"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    connection.close()
    with pytest.raises(StudyError):
        study.rounds.add(replace(FIRST, verdict="worse"), FILES)
    assert study.rounds.all() == (FIRST,)


@pytest.mark.parametrize("ending", [".skops", ".json", ".npz"])
def test_a_file_that_cannot_be_written_makes_no_round(study, ending):
    def refuse(path: Path, data: bytes) -> None:
        if path.suffix == ending:
            raise StorageError(f"{path}: full")
        write_atomic(path, data)

    with Study.open(study.path, refuse) as full, pytest.raises(StorageError):
        full.rounds.add(FIRST, FILES)
    assert study.rounds.all() == ()


@pytest.mark.parametrize("name", ["round-01.skops", "round-01.json", "round-01.npz"])
def test_missing_and_damaged_files_are_named(study, name):
    study.rounds.add(FIRST, FILES)
    path = study.path / "models" / name
    if name.endswith("skops"):
        path.unlink()
    else:
        path.write_bytes(b"\x00rubbish")
    with pytest.raises(ModelError, match="round-01"):
        if name.endswith("npz"):
            study.rounds.read_out_of_fold(1)
        else:
            study.rounds.read_model(1)


def test_questions_are_kept_by_the_round_that_was_current(study):
    study.rounds.note_query(["a", "b"])
    study.rounds.note_query(["b", "c"])
    study.rounds.add(FIRST, FILES)
    study.rounds.note_query(["d"])
    assert study.rounds.queried(0) == ("a", "b", "c")
    assert study.rounds.queried(1) == ("d",)


def test_an_older_study_gets_the_tables(study):
    study.rounds.add(FIRST, FILES)
    study.close()
    with sqlite3.connect(study.path / "study.db") as connection:
        for trigger in ("rounds_stay", "rounds_remain", "rounds_are_new"):
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("DROP TABLE rounds")
        connection.execute("DROP TABLE queries")
        connection.execute("PRAGMA user_version = 2")
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    with only_readable(study.path) as copy, Study.open(copy) as old:
        assert old.rounds.all() == ()
        assert old.rounds.current() is None
        assert old.rounds.next_index() == 1
        assert old.rounds.queried(0) == ()
    with Study.open(study.path) as opened:
        assert opened.rounds.all() == ()
        opened.rounds.add(FIRST, FILES)
        assert opened.rounds.current() == FIRST
