"""The estimate of what is left: from measured seconds only."""

from __future__ import annotations

import pytest

from annotator.core.progress import Progress
from annotator.pipeline.results import CLASSIFYING, OUTLINING, READING, Tracker


class StageClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def steps(tracker: Tracker, clock: StageClock, count: int, seconds: float) -> None:
    for number in range(count):
        clock.now += seconds
        tracker.step(f"image {number}")


def test_nothing_is_promised_before_the_work_is_known():
    seen: list[Progress] = []
    clock = StageClock()
    tracker = Tracker(seen.append, clock)
    tracker.start(READING, 3)
    steps(tracker, clock, 3, 1.0)
    assert [(p.stage, p.done, p.total, p.eta_seconds) for p in seen] == [
        (READING, n, 3, None) for n in (1, 2, 3)
    ]


def test_a_stage_is_estimated_from_its_own_pace():
    seen: list[Progress] = []
    clock = StageClock()
    tracker = Tracker(seen.append, clock)
    tracker.start(CLASSIFYING, 4)
    steps(tracker, clock, 2, 1.0)
    steps(tracker, clock, 2, 3.0)
    assert [p.eta_seconds for p in seen] == pytest.approx([3.0, 2.0, 5 / 3, 0.0])


def test_outlining_counts_the_classifying_to_come():
    seen: list[Progress] = []
    clock = StageClock()
    tracker = Tracker(seen.append, clock)
    tracker.start(OUTLINING, 2, to_come=10)
    steps(tracker, clock, 2, 5.0)
    first, last = (p.eta_seconds for p in seen)
    assert first is not None
    assert last is not None
    assert first == pytest.approx(last + 5.0)
    assert 0 < last < 10 * 5.0


def test_seconds_inside_a_stage_are_added_up_beside_it():
    clock = StageClock()
    tracker = Tracker(lambda _: None, clock)
    tracker.start(OUTLINING, 2)
    for _ in range(2):
        tracker.add({"encode": 4.0, "masks": 0.5})
    steps(tracker, clock, 2, 3.0)
    assert tracker.seconds == {
        OUTLINING: 6.0,
        f"{OUTLINING}.encode": 8.0,
        f"{OUTLINING}.masks": 1.0,
    }


def test_a_note_is_no_step():
    seen: list[Progress] = []
    clock = StageClock()
    tracker = Tracker(seen.append, clock)
    tracker.start(OUTLINING, 2)
    tracker.say("about a minute")
    steps(tracker, clock, 1, 3.0)
    assert [(p.done, p.total, p.note) for p in seen] == [(0, 2, "about a minute"), (1, 2, "")]
    assert tracker.seconds == {OUTLINING: 3.0}


def test_each_stage_has_its_seconds():
    clock = StageClock()
    tracker = Tracker(lambda _: None, clock)
    tracker.start(READING, 2)
    steps(tracker, clock, 2, 1.5)
    tracker.start(CLASSIFYING, 1)
    steps(tracker, clock, 1, 4.0)
    assert tracker.seconds == {READING: 3.0, CLASSIFYING: 4.0}
    assert tracker.elapsed() == 7.0
