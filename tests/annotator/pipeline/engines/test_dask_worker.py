"""One job in a worker: its result, or its fault in words, and nothing with other versions."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from annotator.core.errors import ImageError
from annotator.core.workers import Done, Fault, reproducible
from annotator.pipeline.engines.dask_worker import OtherVersions, SentTask, do_job, view_of_worker
from annotator.pipeline.engines.installation import installed_versions
from annotator.pipeline.engines.sent_jobs import FileState, JobWithFiles, JobWithPaths


def refuse(_: object) -> None:
    raise ImageError("not an image")


def done(task: Any, sent: JobWithPaths | JobWithFiles) -> Done[Any] | Fault | OtherVersions:
    with reproducible():
        return do_job(SentTask(pickle.dumps(task), installed_versions()), pickle.dumps(sent))


def test_a_result_and_a_fault():
    assert done(abs, JobWithPaths(-2)) == Done(2)
    assert done(refuse, JobWithPaths(1)) == Fault("not an image")


def test_other_versions_do_nothing():
    theirs = {**installed_versions(), "numpy": "1.26.0"}
    outcome = do_job(SentTask(b"never unpacked", theirs), b"")
    assert outcome == OtherVersions(installed_versions())


def test_work_that_cannot_be_loaded_says_the_real_error():
    outcome = do_job(SentTask(b"cannot be unpacked", installed_versions()), b"")
    assert isinstance(outcome, Fault)
    assert "could not load its work: UnpicklingError" in outcome.reason
    assert outcome.trace


def test_a_full_disk_of_a_worker_is_said(monkeypatch: pytest.MonkeyPatch):
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryDirectory", full)
    outcome = done(abs, JobWithFiles(Path("/a.png"), ((Path("/a.png"), b"pixels"),)))
    assert isinstance(outcome, Fault)
    assert "No space left on device; free some space" in outcome.reason


def test_a_worker_tells_what_it_sees(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(b"pixels")
    state = FileState.of(path)
    assert state is not None
    gone = FileState(tmp_path / "gone.png", 3, 0.0)
    view = view_of_worker(str(tmp_path / "study.toml"), (state, gone))
    assert view.unseen == (gone,)
    assert view.settings_sha256 is None
    assert view.versions == installed_versions()
