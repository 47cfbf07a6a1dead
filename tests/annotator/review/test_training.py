"""A round in a process of its own: what it tells, how it fails, when it ends."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.learning_studies import give_truth

from annotator.review.errors import Busy
from annotator.review.session import ReviewSession
from annotator.review.training import DONE, FAILED, RUNNING, TRAINING_COMMAND, Training
from annotator.study.study import Study

# A round as the page makes it, but not at the lower priority: beside busy processes it would
# hardly get on.
AT_FULL_PRIORITY = (
    sys.executable,
    "-c",
    "import os, sys\n"
    "os.nice = lambda _: 0\n"
    "from annotator.review.training_process import main\n"
    "sys.exit(main(sys.argv[1:]))",
)


def telling(*lines: object, then: str = "") -> tuple[str, ...]:
    """A process that says these lines and does something then."""
    text = "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines)
    code = f"import sys, time\nsys.stdout.write({text!r})\nsys.stdout.flush()\n{then}"
    return sys.executable, "-c", code


def returning(told: dict[str, Any]) -> dict[str, Any]:
    return told | {"changed": 3}


def trained(path: Path, *command: str) -> Training:
    return Training(path, returning, command)


def until_running_step(training: Training, step: str) -> None:
    while training.state.step != step and training.state.state == RUNNING:
        time.sleep(0.02)


def test_a_round_from_start_to_end(tmp_path: Path):
    done = {"kind": "done", "result": {"round": 4}}
    training = trained(
        tmp_path, *telling({"kind": "step", "step": "a", "done": 1, "total": 2}, done)
    )
    assert training.state.state == "idle"
    assert training.start("eva").state == RUNNING
    found = training.wait()
    assert (found.state, found.result) == (DONE, {"round": 4, "changed": 3})
    assert "trephine annotate" in found.message
    assert json.loads(json.dumps(found.to_dict()))["state"] == DONE


def test_modules_of_the_current_folder_are_not_taken_for_ours(tmp_path: Path):
    for name in ("annotator", "features", "active_learning"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not ours')")
    command = [*TRAINING_COMMAND, str(tmp_path / "none"), "eva"]
    ended = subprocess.run(command, cwd=tmp_path, input="", capture_output=True, text=True)
    assert "not ours" not in ended.stdout + ended.stderr


def test_steps_are_told_and_a_second_start_is_refused(tmp_path: Path):
    step = {"kind": "step", "step": "fitting", "done": 2, "total": 5}
    training = trained(tmp_path, *telling("noise", "[1]", step, then="time.sleep(60)"))
    training.start("eva")
    until_running_step(training, "fitting")
    assert (training.state.state, training.state.done, training.state.total) == (RUNNING, 2, 5)
    assert training.state.eta_s is not None
    with pytest.raises(Busy):
        training.start("bob")
    training.cancel()
    assert training.wait().state == FAILED
    assert "nothing was stored" in training.state.message
    assert training.start("eva").state == RUNNING
    training.cancel()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (telling({"kind": "failed", "message": "too few labels"}, then="sys.exit(1)"), "too few"),
        (telling(then="sys.exit('the disk is gone')"), "the disk is gone"),
        (telling(then="raise SystemExit(7)"), "exit code 7"),
        (telling(then="1 / 0"), "ZeroDivisionError"),
    ],
)
def test_what_goes_wrong_is_said(tmp_path: Path, command: tuple[str, ...], words: str):
    training = trained(tmp_path, *command)
    training.start("eva")
    found = training.wait()
    assert found.state == FAILED
    assert words in found.message


@pytest.mark.slow
def test_the_process_ends_when_its_server_is_gone(path: Path):
    process = subprocess.Popen(
        [sys.executable, "-m", "annotator.review.training_process", str(path), "eva"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert json.loads(process.stdout.readline())["kind"] == "step"
        assert psutil.Process(process.pid).nice() == min(os.nice(0) + 10, 19)
        process.stdin.close()
        process.stdout.read()
        assert process.wait(300) == 1
    with sqlite3.connect(path / "study.db") as connection:
        assert connection.execute("SELECT count(*) FROM rounds").fetchone() == (0,)
    connection.close()


@pytest.mark.slow
def test_a_round_from_the_page_changes_what_it_shows(path: Path, annotated: Path):
    give_truth(path, annotated.parent / "masks", 0, 1, 2, 3, 5, 6)
    with ReviewSession(path, "eva", ahead=False) as review:
        review._training._command = AT_FULL_PRIORITY
        version = review.summary()["version"]
        review.start_training()
        found = review._training.wait()
        assert found.state == DONE, found.message
        result = review.training()["result"]
        summary = review.summary()
        assert summary["version"] != version
        assert [one["index"] for one in summary["rounds"]] == [1] == [result["round"]]
        assert sum(result["counts"].values()) == summary["objects"]
        assert review.queue("doubts")["total"] == result["disputed"]
        assert result["used"]
    with Study.open(path) as study:
        assert study.rounds.current() is not None


@pytest.mark.slow
def test_a_study_that_cannot_be_learned_from_says_why(path: Path):
    with ReviewSession(path, "eva", ahead=False) as review:
        review._training._command = AT_FULL_PRIORITY
        review.start_training()
        found = review._training.wait()
    assert found.state == FAILED
    assert "expected labels" in found.message
    assert [one.name for one in (path / "models").iterdir()] == ["seed.json"]
