"""What travels with a job: whole paths and the state of files, or the files themselves."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from annotator.core.errors import ImageError
from annotator.pipeline.engines import sent_jobs
from annotator.pipeline.engines.sent_jobs import FileState, job_with_files, job_with_paths
from annotator.pipeline.tasks import ImageJob, ReduceJob


@pytest.fixture
def job(tmp_path: Path) -> ImageJob:
    (tmp_path / "field.png").write_bytes(b"pixels")
    (tmp_path / "field.npz").write_bytes(b"objects")
    return ImageJob(tmp_path / "field.png", "a1", 0.5, tmp_path / "field.npz")


def test_paths_are_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    sent = job_with_paths(ImageJob(Path("a.png"), "a1", None, Path("study/objects/a.npz")))
    assert sent.job.path == tmp_path / "a.png"
    assert sent.job.objects == tmp_path / "study" / "objects" / "a.npz"
    assert sent.written == ()
    with sent.unpacked() as there:
        assert there == sent.job


def test_the_objects_must_be_seen_as_they_are_here(job: ImageJob):
    sent = job_with_paths(job)
    assert [(state.path, state.size) for state in sent.written] == [(job.objects, 7)]
    assert sent.sent_bytes == 0


def test_a_file_that_a_disk_shows_late_is_waited_for(job: ImageJob, tmp_path: Path):
    sent = job_with_paths(job)
    content, changed = job.objects.read_bytes(), job.objects.stat().st_mtime
    job.objects.write_bytes(b"older")

    def show() -> None:
        job.objects.write_bytes(content)
        os.utime(job.objects, (changed, changed))

    timer = threading.Timer(0.3, show)
    timer.start()
    with sent.unpacked() as there:
        assert there.objects.read_bytes() == b"objects"
    timer.join()


def test_a_file_that_never_comes_is_named(job: ImageJob, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sent_jobs, "_LONGEST_WAIT_SECONDS", 0.1)
    sent = job_with_paths(job)
    job.objects.unlink()
    with pytest.raises(ImageError, match=r"expected .*field\.npz with 7 bytes"), sent.unpacked():
        raise AssertionError("there was nothing to unpack")


def test_files_travel_under_their_own_names(job: ImageJob):
    sent = job_with_files(job)
    assert sent.sent_bytes == len(b"pixels") + len(b"objects")
    for path in (job.path, job.objects):
        path.unlink()
    with sent.unpacked() as there:
        assert there.path.name == "field.png"
        assert there.path.read_bytes() == b"pixels"
        assert there.objects.read_bytes() == b"objects"
        assert (there.image_id, there.um_per_px) == ("a1", 0.5)
    assert not there.path.exists()


def test_objects_that_are_not_there_yet_are_not_there_either(job: ImageJob):
    job.objects.unlink()
    with job_with_files(job).unpacked() as there:
        assert there.path.is_file()
        assert not there.objects.exists()


def test_a_picture_that_cannot_be_read_is_that_jobs_fault(tmp_path: Path):
    with pytest.raises(ImageError, match="cannot be read"):
        job_with_files(tmp_path)


@pytest.mark.parametrize("kind", ["path", "overlay"])
def test_every_kind_of_job_can_be_sent(kind: str, tmp_path: Path):
    path = tmp_path / "overlay.jpg"
    path.write_bytes(b"jpeg")
    job = path if kind == "path" else ReduceJob(path, (2, 3))
    with job_with_files(job).unpacked() as there:
        place = there if isinstance(there, Path) else there.path
        assert place != path
        assert place.read_bytes() == b"jpeg"
    with job_with_paths(job).unpacked() as there:
        assert there == job


def test_a_state_tells_another_file(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"1234")
    state = FileState.of(path)
    assert state is not None and state.is_seen()
    os.utime(path, (1, 1))
    assert not state.is_seen()
    path.unlink()
    assert not state.is_seen()
    assert FileState.of(path) is None
