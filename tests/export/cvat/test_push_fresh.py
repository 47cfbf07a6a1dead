"""The jobs of a task that was just made: few looks, and never over a person's work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_cvat import FakeCvat
from support.pushed_studies import CALM, assert_all_there, make_study

from annotator.study.study import Study
from export.cvat import push_fresh
from export.cvat.client.server import CvatShape
from export.cvat.push import push_images
from export.cvat.push_report import SENT, TOUCHED, PushReport, PushRequest

pytestmark = pytest.mark.slow


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with make_study(tmp_path / "study", 4) as opened:
        yield opened


def push(study: Study, server: FakeCvat) -> PushReport:
    return push_images(study, PushRequest(count=4, batch_size=4), server, retries=CALM)


def test_a_fresh_task_is_looked_at_and_read_back_once(study: Study, server: FakeCvat) -> None:
    assert push(study, server).is_complete
    assert_all_there(study, server, images=4, tasks=1)
    assert server.calls.count("put_shapes") == 4
    assert server.calls.count("task_shapes") == 2
    assert "shapes" not in server.calls


@pytest.mark.parametrize("how", ["state", "shape"])
def test_a_job_that_a_person_took_during_the_push_is_left(
    study: Study, server: FakeCvat, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The list of jobs is read before every write here, as on a slow server."""
    monkeypatch.setattr(push_fresh, "LOOK_S", -1.0)

    def take_the_last(name: str) -> None:
        if name == "task_jobs" and server.calls.count("put_shapes") == 2:
            server.before = None
            last = max(server.job_table)
            if how == "state":
                server.set_job(last, state="in progress")
            label = next(iter(server.task_table.values())).shapes[0].label
            shape = CvatShape(3, label, "rectangle", (1.0, 1.0, 5.0, 5.0), source="manual")
            server.annotate(last, [shape])

    server.before = take_the_last
    report = push(study, server)
    assert sorted(one.status for one in report.images) == sorted([SENT, SENT, SENT, TOUCHED])
    assert [shape.kind for shape in server.shapes_of(max(server.job_table))] == ["rectangle"]


def test_a_task_of_an_earlier_push_is_looked_at_job_by_job(study: Study, server: FakeCvat) -> None:
    push(study, server)
    server.calls.clear()
    push(study, server)
    assert server.calls.count("shapes") == 4
    assert "task_shapes" not in server.calls and "put_shapes" not in server.calls


@pytest.fixture
def server() -> FakeCvat:
    return FakeCvat()
