"""Shapes of jobs, read for a whole task where most of its jobs are wanted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fake_cvat import FakeCvat

from annotator.core.errors import CvatForbidden, CvatUnreachable
from export.cvat.client.server import CvatFrame, CvatJob, CvatLabel, CvatShape
from export.cvat.pull_shapes import ShapesReader


@pytest.fixture
def server() -> FakeCvat:
    """Three jobs of a frame each, with a shape each."""
    made = FakeCvat()
    project = made.add_project("marrow", [CvatLabel("fat", "#800000")])
    task = made.add_task(project.id, "batch")
    made.task_table[task.id].frames = [CvatFrame(f"{k}.png", 8, 8) for k in range(3)]
    label = made.labels(project.id)[0].id
    assert label is not None
    for frame in range(3):
        made.job_table[frame] = job_of(task.id, frame)
        made.annotate(frame, [CvatShape(frame, label, "rectangle", (0.0, 0.0, 2.0, 2.0))])
    made.calls.clear()
    return made


def job_of(task: int, frame: int) -> CvatJob:
    return CvatJob(frame, task, "annotation", "completed", "annotation", None, frame, frame, "")


def read_all(server: FakeCvat, wanted: int = 3) -> list[list[int]]:
    """Frames of the shapes of each wanted job."""
    jobs = list(server.job_table.values())
    reader = ShapesReader(server, jobs)
    chosen = [job for job in jobs if job.kind == "annotation"][:wanted]
    reader.expect(chosen)
    return [[shape.frame for shape in reader.of_job(job).shapes] for job in chosen]


def test_most_jobs_of_a_task_come_in_one_answer(server: FakeCvat) -> None:
    assert read_all(server, 2) == [[0], [1]]
    assert server.calls == ["task_shapes"]


def test_one_job_alone_is_read_alone(server: FakeCvat) -> None:
    assert read_all(server, 1) == [[0]]
    assert server.calls == ["shapes"]


@pytest.mark.parametrize("why", ["kind", "frames", "tracks", "forbidden"])
def test_where_jobs_could_not_be_told_apart_each_is_read(server: FakeCvat, why: str) -> None:
    first = server.job_table[0]
    if why == "kind":
        server.job_table[9] = replace(first, id=9, kind="ground_truth")
    elif why == "frames":
        server.job_table[9] = replace(first, id=9, start=2, stop=2)
    elif why == "tracks":
        server.tracks[0] = 1
    else:
        server.before = forbid
    assert read_all(server) == [[0], [1], [2]]
    assert server.calls.count("shapes") == 3


def forbid(name: str) -> None:
    if name == "task_shapes":
        raise CvatForbidden("only the job may be seen (403)")


def test_a_server_that_is_gone_is_no_reason_to_go_on(server: FakeCvat) -> None:
    def go(name: str) -> None:
        raise CvatUnreachable("down")

    server.before = go
    with pytest.raises(CvatUnreachable):
        read_all(server)
    assert server.calls == ["task_shapes"]
