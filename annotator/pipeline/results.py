"""How far a batch is, and an honest guess of what is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from annotator.core.progress import Progress

READING, OUTLINING, GROUPING = "reading", "outlining", "grouping"
CLASSIFYING, CONTACT_SHEET = "classifying", "contact sheet"

# Classifying an image against outlining it, measured on 1200 x 1920 px; only used
# until the first image of this run is classified.
_CLASSIFYING_SHARE = 0.1


class Tracker:
    """Reports every step and keeps the clock of each stage.

    The estimate rests on the seconds measured in this run alone: those of the stage
    in hand for the rest of it, and a share of them for the stage to come. What was
    skipped is not counted as work.
    """

    def __init__(
        self,
        report: Callable[[Progress], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._clock = clock
        self._stage = ""
        self._started = 0.0
        self._done = self._total = self._to_come = 0
        self.began = clock()
        self.seconds: dict[str, float] = {}

    def start(self, stage: str, total: int, to_come: int = 0) -> None:
        """Begin a stage of so many images; `to_come` are to be classified after it."""
        self._stage, self._total, self._to_come = stage, total, to_come
        self._done = 0
        self._started = self._clock()

    def step(self, name: str) -> None:
        """One image of the stage is finished."""
        self._done += 1
        self.seconds[self._stage] = self._clock() - self._started
        progress = Progress(self._stage, self._done, self._total, name, self._left())
        self._report(progress)

    def add(self, inner: Mapping[str, float]) -> None:
        """Add seconds that a worker measured inside the stage in hand.

        Kept as ``outlining.encode``; workers measure side by side, so these can be more
        than the stage took.
        """
        for name, value in inner.items():
            key = f"{self._stage}.{name}"
            self.seconds[key] = self.seconds.get(key, 0.0) + value

    def say(self, note: str) -> None:
        """Tell a person something before the next step."""
        self._report(Progress(self._stage, self._done, self._total, "", None, note))

    def elapsed(self) -> float:
        """Seconds since the tracker was made."""
        return self._clock() - self.began

    def _left(self) -> float | None:
        """Seconds left, None while reading: what is to be done is not known yet."""
        if self._stage not in (OUTLINING, CLASSIFYING):
            return None
        each = self.seconds[self._stage] / self._done
        later = self._to_come * _CLASSIFYING_SHARE if self._stage == OUTLINING else 0.0
        return each * (self._total - self._done + later)
