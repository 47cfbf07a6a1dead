"""How work in CVAT stands: by task and job, on the server and without it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_cvat import BEFORE, FakeCvat
from support.pulled_studies import field
from support.served_studies import block, edit, jobs_of, serve

from annotator.core.errors import CvatUnreachable, UsageError
from annotator.study.cvat import TaskImages
from annotator.study.study import Study
from export.cvat.pull_server import pull_server
from export.cvat.status import (
    GONE,
    IN_WORK,
    PULLED,
    SENT_BACK,
    TO_PULL,
    TOUCHED,
    UNKNOWN,
    WAITING,
    CvatStatus,
    known_status,
    server_status,
)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as opened:
        yield opened


@pytest.fixture
def server(study: Study, tmp_path: Path) -> FakeCvat:
    return serve(study, tmp_path, [field()] * 5)


def conditions(status: CvatStatus) -> list[str]:
    return [job.condition for task in status.tasks for job in task.jobs]


def test_every_job_stands_as_it_stands(study: Study, server: FakeCvat) -> None:
    first, second, third, fourth, _ = jobs_of(server)
    server.set_job(second.id, state="in progress", assignee="eva")
    server.set_job(third.id, state="completed")
    server.set_job(fourth.id, state="rejected")
    found = server_status(study, server)
    assert conditions(found) == [WAITING, IN_WORK, TO_PULL, SENT_BACK, WAITING]
    (task,) = found.tasks
    assert (task.frames, task.note, task.pulled) == (5, "", None)
    assert task.pushed == "2026-01-02T00:00:00+00:00"
    assert [job.assignee for job in task.jobs][:2] == [None, "eva"]
    assert task.jobs[0].images == ("tile_001",)
    assert task.jobs[0].job_id == first.id
    assert "shapes" not in server.calls


def test_a_second_stage_is_work(study: Study, server: FakeCvat) -> None:
    server.set_job(jobs_of(server)[0].id, stage="validation")
    assert conditions(server_status(study, server))[0] == IN_WORK


def test_what_was_pulled_is_pulled_until_it_changes(study: Study, server: FakeCvat) -> None:
    job = jobs_of(server)[0]
    edit(server, job.id)
    pull_server(study, server)
    found = server_status(study, server)
    assert conditions(found)[0] == PULLED
    assert found.tasks[0].pulled is not None
    server.annotate(job.id, [])
    assert conditions(server_status(study, server))[0] == TO_PULL


def test_what_a_program_changed_is_found_when_asked_for(study: Study, server: FakeCvat) -> None:
    job = jobs_of(server)[1]
    own = [block(server, "bone", (60, 60, 80, 80), frame=job.start)]
    server.annotate(job.id, own)
    assert conditions(server_status(study, server))[1] == WAITING
    steps: list[int] = []
    found = server_status(study, server, True, lambda what, done, total: steps.append(done))
    assert conditions(found) == [WAITING, TOUCHED, WAITING, WAITING, WAITING]
    assert steps == [0, 1, 2, 3, 4]


def test_what_is_gone_is_gone(study: Study, server: FakeCvat) -> None:
    server.delete_task(next(iter(server.task_table)))
    found = server_status(study, server)
    assert conditions(found) == [GONE] * 5
    assert found.tasks[0].note


def test_a_push_that_did_not_end_is_told(study: Study, server: FakeCvat) -> None:
    images = tuple(image.id for image in study.images())
    study.cvat.note_batches([TaskImages("later", (images[0], images[1]))])
    later = next(task for task in server_status(study, server).tasks if task.name == "later")
    assert (later.task_id, later.frames, later.jobs) == (None, 2, ())
    assert "trephine push" in later.note


def test_without_the_server_what_is_known_is_told(study: Study, server: FakeCvat) -> None:
    edit(server, jobs_of(server)[0].id)
    pull_server(study, server)
    found = known_status(study, "away")
    assert conditions(found) == [PULLED, *[UNKNOWN] * 4]
    assert found.tasks[0].frames == 5
    plain = found.to_dict()
    assert plain["offline"] == "away"
    assert plain["jobs"] == {PULLED: 1, UNKNOWN: 4}
    assert plain["tasks"][0]["pulled"] is not None


def test_a_server_that_is_away(study: Study, server: FakeCvat) -> None:
    server.calls.clear()
    server.faults = {0: BEFORE}
    with pytest.raises(CvatUnreachable):
        server_status(study, server)


def test_another_server_is_refused(study: Study, server: FakeCvat) -> None:
    server.url = "https://other.test"
    with pytest.raises(UsageError, match=r"https://cvat\.test"):
        server_status(study, server)


def test_a_study_that_was_never_pushed(study: Study) -> None:
    assert server_status(study, FakeCvat()).binding is None
    assert known_status(study).to_dict()["url"] is None
    assert study.cvat.frame_urls() == {}


def test_every_image_has_a_page(study: Study, server: FakeCvat) -> None:
    job = jobs_of(server)[3]
    links = study.cvat.frame_urls()
    assert len(links) == 5
    assert links[f"{4:016x}"] == f"https://cvat.test/tasks/{job.task_id}/jobs/{job.id}?frame=3"
