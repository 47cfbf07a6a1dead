"""How far the work is, how long its stages took, and seconds in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class Progress:
    """One step forward.

    Parameters
    ----------
    stage : {"reading", "outlining", "grouping", "classifying", "contact sheet"}
        In this order; a stage with nothing to do reports nothing.
    done, total : int
        Images of this stage.
    name : str
        The image just finished: its path while reading, then its name in the study.
    eta_seconds : float or None
        Seconds left of the whole run, from the measured ones; None until there are some.
    note : str
        Something that a person should know now; no image was finished by it.
    """

    stage: str
    done: int
    total: int
    name: str
    eta_seconds: float | None
    note: str = ""


OnProgress = Callable[[Progress], None]
"""Told each step of a batch."""
OnStep = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


def silent(*step: object) -> None:
    """Tell nobody: an :data:`OnProgress` and an :data:`OnStep`."""


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each stage to the millisecond, for the ledger."""
    return {stage: round(value, 3) for stage, value in seconds.items()}


def duration(seconds: float) -> str:
    """Seconds in words, no finer than an estimate deserves.

    Parameters
    ----------
    seconds : float
        0 or more.

    Examples
    --------
    >>> [duration(s) for s in (0.4, 42, 100, 5000, 100000)]
    ['under 1 s', '42 s', '1 min 40 s', '1 h 23 min', '27 h 47 min']
    """
    whole = round(seconds)
    if whole < 1:
        return "under 1 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
