"""Pushing over a connection that breaks at any call, and in a process that dies at any call."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.fake_cvat import AFTER, BEFORE, TWICE, WRITES, FakeCvat
from support.pushed_studies import CALM, assert_all_there, full_name, make_study

from annotator.core.errors import CvatUnreachable
from annotator.study.study import Study
from export.cvat.push import push_images
from export.cvat.push_report import PushReport, PushRequest

pytestmark = pytest.mark.slow

TWO = PushRequest(count=2, batch_size=2, assignee="eva")
Fresh = Callable[[], Study]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "study"
    make_study(path, 2).close()
    return path


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> Iterator[Fresh]:
    """Copies of a study that was never pushed."""
    opened: list[Study] = []

    def copy() -> Study:
        opened.append(Study.open(shutil.copytree(template, tmp_path / str(len(opened)))))
        return opened[-1]

    yield copy
    for study in opened:
        study.close()


def push(study: Study, server: FakeCvat) -> PushReport:
    return push_images(study, TWO, server, retries=CALM)


def calls_of_a_push(fresh: Fresh, fault: str = BEFORE) -> list[int]:
    """Numbers of the calls at which a fault matters: that a read arrived changes nothing."""
    server = FakeCvat()
    push(fresh(), server)
    return [k for k, name in enumerate(server.calls) if fault == BEFORE or name in WRITES]


@pytest.mark.parametrize("fault", [BEFORE, AFTER, TWICE])
def test_a_fault_at_any_call_leaves_everything_once(fresh: Fresh, fault: str) -> None:
    for call in calls_of_a_push(fresh, fault):
        study, server = fresh(), FakeCvat()
        server.faults[call] = fault
        report = push(study, server)
        assert report.is_complete, (call, report)
        assert_all_there(study, server, images=2, tasks=1)
        assert {job.assignee for job in server.job_table.values()} == {"eva"}


@pytest.mark.parametrize("fault", [BEFORE, AFTER])
def test_a_server_that_goes_at_any_call_is_finished_later(fresh: Fresh, fault: str) -> None:
    for call in calls_of_a_push(fresh, fault):
        study, server = fresh(), FakeCvat()
        server.faults = dict.fromkeys(range(call, call + 3), BEFORE) | {call: fault}
        try:
            report = push(study, server)
        except CvatUnreachable:
            assert server.task_table == {}
        else:
            assert report.is_complete or report.stopped
        server.faults = {}
        push(study, server)
        assert_all_there(study, server, images=2, tasks=1)
        assert len(server.projects(full_name(study))) == 1


class Killed(BaseException):
    """Stands for a process that ends in the middle."""


def test_a_killed_push_is_finished_later(fresh: Fresh) -> None:
    for call in calls_of_a_push(fresh):
        study, server = fresh(), FakeCvat()

        def kill(name: str, server: FakeCvat = server, call: int = call) -> None:
            if len(server.calls) == call + 1:
                raise Killed

        server.before = kill
        with pytest.raises(Killed):
            push(study, server)
        server.before = None
        push(study, server)
        assert_all_there(study, server, images=2, tasks=1)
