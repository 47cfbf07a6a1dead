"""What goes wrong between a client and the HTTP server of the tests, on purpose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESET_BEFORE = "reset before"
"""The connection breaks before the server has heard the request."""
RESET_AFTER = "reset after"
"""The server did what was asked; then the connection breaks."""
DELAY = "delay"
"""The answer comes late."""
ERROR_500 = "500"
"""The server failed and did nothing."""
ERROR_502 = "502"
"""Something between failed; the server heard nothing."""
ERROR_502_AFTER = "502 after"
"""Something between failed; the server did what was asked."""
TRUNCATED = "truncated"
"""Half of the answer's body; then the connection breaks."""
TWICE = "twice"
"""The request is worked off twice; the second answer comes back."""
LATE = "late"
"""The connection breaks; some requests later the server works off what was asked after all."""
ALL = (
    RESET_BEFORE,
    RESET_AFTER,
    DELAY,
    ERROR_500,
    ERROR_502,
    ERROR_502_AFTER,
    TRUNCATED,
    TWICE,
)
UNDONE = frozenset((RESET_BEFORE, ERROR_500, ERROR_502, LATE))
"""Faults after which the server has done nothing, or not yet."""


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that happened: to which request, counted from 0."""

    number: int
    kind: str
    method: str
    path: str


class Faults:
    """Decides which request goes wrong, and remembers it.

    Attributes
    ----------
    log : list of Injected
    seen : int
        Requests since the last plan.
    delay_s : float
        How late an answer of :data:`DELAY` comes.
    late_by : int
        Requests that come before one of :data:`LATE`.
    before : callable or None
        Called with the number of each request before it is looked at.
    """

    def __init__(self) -> None:
        self.log: list[Injected] = []
        self.delay_s = 0.02
        self.late_by = 4
        self.before: Callable[[int], None] | None = None
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Nothing goes wrong from now on; the count begins anew, the log stays."""
        self.seen = 0
        self._planned: dict[int, str] = {}
        self._down: tuple[int, bool] | None = None
        self._rng: np.random.Generator | None = None
        self._probability = 0.0
        self._kinds: Sequence[str] = ALL
        self._most: int | None = None

    def at(self, planned: Mapping[int, str]) -> None:
        """Let the requests of these numbers go wrong, counted from now on."""
        self.clear()
        self._planned = dict(planned)

    def random(
        self,
        seed: int,
        probability: float,
        kinds: Sequence[str] = ALL,
        most: int | None = None,
    ) -> None:
        """Let each request go wrong with this probability, at most `most` of them."""
        self.clear()
        self._rng, self._probability = np.random.default_rng(seed), probability
        self._kinds, self._most = kinds, most

    def down(self, number: int, done: bool = False) -> None:
        """Break off at this request and at all that follow; `done`: after this one's work."""
        self.clear()
        self._down = (number, done)

    def next(self, method: str, path: str) -> str | None:
        """What happens to the next request, if anything."""
        with self._lock:
            number, self.seen = self.seen, self.seen + 1
            if self.before is not None:
                self.before(number)
            kind = self._kind(number)
            if kind is not None:
                self.log.append(Injected(number, kind, method, path))
            return kind

    def _kind(self, number: int) -> str | None:
        if self._down is not None and number >= self._down[0]:
            first = number == self._down[0]
            return RESET_AFTER if first and self._down[1] else RESET_BEFORE
        if number in self._planned:
            return self._planned[number]
        if self._rng is None or self._rng.random() >= self._probability or self._most == 0:
            return None
        self._most = None if self._most is None else self._most - 1
        return str(self._rng.choice(list(self._kinds)))
