from collections.abc import Iterator

import pytest

from annotator.core.progress import Progress, Stopwatch, duration, silent


def ticking(*seconds: float) -> Stopwatch:
    ticks: Iterator[float] = iter(seconds)
    return Stopwatch(lambda: next(ticks))


def test_a_stage_entered_again_adds_up():
    watch = ticking(0, 2, 10, 13)
    for _ in range(2):
        with watch("decode"):
            pass
    assert watch.seconds == {"decode": 5}


def test_an_inner_stage_is_not_counted_twice():
    watch = ticking(0, 1, 2, 4, 6, 7, 10, 20)
    with watch("outer"), watch("inner"):
        with watch("innermost"):
            pass
        with watch("inner"):
            pass
    # The clock of the outermost stage ran from 0 to 20.
    assert watch.seconds == {"outer": 11, "inner": 7, "innermost": 2}
    assert sum(watch.seconds.values()) == 20


def test_a_stage_that_fails_is_measured_and_the_error_goes_on():
    watch = ticking(0, 3, 5, 6)
    with pytest.raises(KeyError), watch("encode"):
        raise KeyError
    with watch("masks"):
        pass
    assert watch.seconds == {"encode": 3, "masks": 1}


def test_counts_add_up_and_keep_their_order():
    watch = Stopwatch()
    watch.count("prompts", 8)
    watch.count("masks", 0)
    watch.count("prompts", 4)
    assert list(watch.counts.items()) == [("prompts", 12), ("masks", 0)]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "under 1 s"),
        (59.6, "1 min"),
        (89.9, "1 min 30 s"),
        (599.7, "10 min"),
        (3599, "1 h 0 min"),
        (5399, "1 h 30 min"),
        (90061, "25 h 1 min"),
    ],
)
def test_durations_round_over_their_limits(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_nobody_is_told_of_any_step() -> None:
    silent("tuning", 1, 2)
    silent(Progress("reading", 1, 2, "field", None))
