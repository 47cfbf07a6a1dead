"""Watching: it goes on over lost connections, and ends as it is told to."""

from collections.abc import Callable

import pytest

from annotator.core.errors import CvatError, CvatUnreachable, StudyError, TrephineError, UsageError
from export.cvat.pull_report import PullReport
from export.cvat.watch import watch

REPORT = PullReport("x", (), (), (), {})


class Heard:
    def __init__(self) -> None:
        self.said: list[str] = []

    def pulled(self, report: PullReport) -> None:
        self.said.append("pulled")

    def failed(self, error: TrephineError) -> None:
        self.said.append(str(error))


def pulls(*outcomes: TrephineError | None) -> Callable[[], PullReport]:
    left = iter(outcomes)

    def pull() -> PullReport:
        error = next(left, KeyboardInterrupt())
        if error is not None:
            raise error
        return REPORT

    return pull


def heard(*outcomes: TrephineError | None) -> tuple[list[str], list[float]]:
    listener, waits = Heard(), list[float]()
    with pytest.raises(KeyboardInterrupt):
        watch(pulls(*outcomes), 2.5, listener, waits.append)
    return listener.said, waits


def test_it_pulls_again_and_again() -> None:
    assert heard(None, None, None) == (["pulled"] * 3, [150.0] * 3)


def test_a_lost_connection_never_ends_it() -> None:
    said, waits = heard(CvatUnreachable("away"), None, CvatUnreachable("again"), None)
    assert said == ["away", "pulled", "again", "pulled"]
    assert len(waits) == 4


def test_nor_does_anything_once_it_worked() -> None:
    said, _ = heard(None, StudyError("busy"), CvatError("token"), None)
    assert said == ["pulled", "busy", "token", "pulled"]


def test_what_can_never_work_ends_it_at_once() -> None:
    with pytest.raises(CvatError, match="password"):
        watch(pulls(CvatError("password")), 1, Heard(), lambda _: None)


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_minutes_that_cannot_be_waited(minutes: float) -> None:
    with pytest.raises(UsageError, match="0"):
        watch(pulls(None), minutes, Heard(), lambda _: None)
