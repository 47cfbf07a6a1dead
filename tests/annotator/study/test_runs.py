"""How objects were made: kept an image, the last look only."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from annotator.study.runs import ObjectsRun
from annotator.study.study import Study

ID = "0123456789abcdef"


def test_the_last_look_is_kept_and_outlives_the_run(tmp_path: Path):
    first = ObjectsRun({"encode": 2.5, "prune": 0.1}, {"prompts": 80}, {"sam": 9, "white": 1})
    second = ObjectsRun({"prune": 0.25}, {}, {"superpixel": 4}, "cd" * 32)
    with Study.create(tmp_path / "study") as study:
        image = study.register(ID, "a.png", (2, 3), None, ())
        assert study.object_runs.last(ID) == ObjectsRun()
        for look in (first, second):
            study.save_objects(image, b"objects", 1.0, look)
            assert study.object_runs.last(ID) == look
    with Study.open(tmp_path / "study") as study:
        assert study.object_runs.last(ID) == second
        assert study.object_runs.weights([ID]) == ("cd" * 32,)
        assert study.object_runs.weights(["another"]) == ()


def test_weights_go_with_the_look_that_used_them(tmp_path: Path):
    with Study.create(tmp_path / "study") as study:
        image = study.register(ID, "a.png", (2, 3), None, ())
        for look in (ObjectsRun(weights_sha256="ab" * 32), ObjectsRun()):
            study.save_objects(image, b"objects", 1.0, look)
            assert study.object_runs.last(ID).weights_sha256 == look.weights_sha256


def test_a_study_from_before_there_were_looks_gets_the_table(tmp_path: Path):
    Study.create(tmp_path).close()
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("DROP TABLE looks")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with Study.open(tmp_path) as study:
        image = study.register(ID, "a.png", (2, 3), None, ())
        study.save_objects(image, b"objects", 1.0, ObjectsRun(sources={"sam": 3}))
        assert study.object_runs.last(ID).sources == {"sam": 3}
