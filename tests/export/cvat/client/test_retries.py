"""How often a thing is tried, and the pauses between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from annotator.core.errors import CvatError, CvatUnreachable
from export.cvat.client.retries import PUSH_RETRIES, RetryPolicy


class Failing:
    """Fails so many times with an error, then answers; counts the tries."""

    def __init__(self, failures: int, error: CvatError) -> None:
        self.failures, self.error, self.tries = failures, error, 0

    def __call__(self) -> str:
        self.tries += 1
        if self.tries <= self.failures:
            raise self.error
        return "here"


def test_pauses_grow_and_are_bounded_and_drawn() -> None:
    retries = RetryPolicy(attempts=6, pause_s=1.0, longest_s=4.0, draw=lambda: 0.5)
    assert list(retries.pauses()) == [1.0, 2.0, 4.0, 4.0, 4.0]
    assert next(RetryPolicy(draw=lambda: 0.0, pause_s=1.0).pauses()) == 0.5


def test_a_push_waits_1_4_and_15_seconds() -> None:
    slept: list[float] = []
    action = Failing(3, CvatUnreachable("down"))
    assert replace(PUSH_RETRIES, sleep=slept.append).run(action) == "here"
    assert slept == [1.0, 4.0, 15.0]


def test_the_last_failure_is_told() -> None:
    action = Failing(9, CvatUnreachable("down"))
    with pytest.raises(CvatUnreachable, match="down"):
        RetryPolicy(attempts=3, pause_s=0.0).run(action)
    assert action.tries == 3


def test_a_refusal_is_not_tried_again() -> None:
    action = Failing(1, CvatError("no such project"))
    with pytest.raises(CvatError, match="no such project"):
        RetryPolicy(attempts=3, pause_s=0.0).run(action)
    assert action.tries == 1


def test_one_attempt_is_one_attempt() -> None:
    action = Failing(1, CvatUnreachable("down"))
    with pytest.raises(CvatUnreachable):
        RetryPolicy(attempts=1).run(action)
    assert action.tries == 1
