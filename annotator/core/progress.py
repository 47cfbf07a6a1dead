"""Where the time of an image goes: seconds by stage, and how much work there was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up the wall seconds of named stages, and counts of what was done in them.

    Stages may be entered again, and one inside another: the inner one's seconds are
    then not the outer one's, so that all stages together never exceed the clock.

    Parameters
    ----------
    clock : callable, optional
        Seconds that never run backwards.

    Examples
    --------
    >>> ticks = iter([0.0, 1.0, 3.0, 7.0])
    >>> watch = Stopwatch(lambda: next(ticks))
    >>> with watch("masks"):
    ...     with watch("decode"):
    ...         watch.count("prompts", 8)
    >>> watch.seconds, watch.counts
    ({'masks': 5.0, 'decode': 2.0}, {'prompts': 8})
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._inside = [0.0]
        self.seconds: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Measure what happens inside; it counts even when it ends in an error."""
        self.seconds.setdefault(stage, 0.0)
        began = self._clock()
        self._inside.append(0.0)
        try:
            yield
        finally:
            took = self._clock() - began
            self.seconds[stage] += took - self._inside.pop()
            self._inside[-1] += took

    def count(self, what: str, number: int) -> None:
        """Add to a count."""
        self.counts[what] = self.counts.get(what, 0) + number
