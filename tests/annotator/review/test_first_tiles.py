"""What a page asks first is made before it is asked for."""

from __future__ import annotations

import threading
from typing import Any

from annotator.core.errors import UsageError
from annotator.review.first_tiles import FIRST, first_tiles_made


class AskedSession:
    """Notes what it is asked for; its queue is as long as asked, or cannot be had."""

    def __init__(self, fault: bool = False) -> None:
        self.fault = fault
        self.asked: list[str] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def queue(self, name: str, limit: int = 500) -> dict[str, Any]:
        self.asked.append(name)
        if self.fault:
            raise UsageError("expected a model, got a study without one; run retrain first")
        return {"items": [{"id": str(at)} for at in range(limit)]}

    def tile(self, object_id: str) -> bytes:
        self.asked.append(object_id)
        self.may_go_on.wait(10)
        return b""

    def summary(self) -> dict[str, Any]:
        self.asked.append("summary")
        return {}


def test_the_first_tiles_of_the_queue_are_made():
    review: Any = AskedSession()
    with first_tiles_made(review, "random") as thread:
        thread.join(10)
    assert review.asked == ["random", "summary", *map(str, range(FIRST))]


def test_the_end_of_the_block_ends_it():
    review: Any = AskedSession()
    review.may_go_on.clear()
    threading.Timer(0.2, review.may_go_on.set).start()
    with first_tiles_made(review, "random") as thread:
        pass
    assert not thread.is_alive()
    assert len(review.asked) <= 3


def test_a_queue_that_cannot_be_had_is_left_to_the_page():
    review: Any = AskedSession(fault=True)
    with first_tiles_made(review, "doubts") as thread:
        thread.join(10)
    assert review.asked == ["doubts"]
