"""A hard end for tests of clusters: what hangs there would hang for ever."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

LONGEST_SECONDS = 300


class TookTooLong(BaseException):
    """Nobody who waits for a cluster may catch it."""


@pytest.fixture(autouse=True)
def hard_end(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that takes longer than it may; ``LONGEST_SECONDS`` in a module says how long."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"{request.node.name} took too long")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(getattr(request.module, "LONGEST_SECONDS", LONGEST_SECONDS) + 60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
