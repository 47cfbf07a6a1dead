from collections.abc import Iterator

import pytest

from annotator.core.progress import Stopwatch


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
