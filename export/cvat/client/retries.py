"""How long a server is waited for, and how often a thing is tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from annotator.core.errors import CvatUnreachable

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait, and how often to try.

    Parameters
    ----------
    timeout_s : float
        Longest silence of the server.
    job_timeout_s : float
        Longest wait for an import or an upload to be worked off, and for one whole answer.
    attempts : int
        Times that a thing is tried at most; no exchange begins after twice the longest
        silence.
    pause_s, longest_s : float
        Pause before the second attempt, and its bound; each pause is drawn between half and
        one and a half of it.
    poll_s, longest_poll_s : float
        First and longest pause between two looks at a job of the server.
    growth : float
        Each pause is so many times the one before it.
    sleep, clock, draw : callable
        Pause for seconds, seconds of a clock, a number in 0..1.

    Examples
    --------
    >>> policy = RetryPolicy(attempts=6, longest_s=4.0, draw=lambda: 0.5)
    >>> list(policy.pauses())
    [0.5, 1.0, 2.0, 4.0, 4.0]
    """

    timeout_s: float = 60.0
    job_timeout_s: float = 1800.0
    attempts: int = 5
    pause_s: float = 0.5
    longest_s: float = 8.0
    poll_s: float = 0.1
    longest_poll_s: float = 2.0
    growth: float = 2.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    draw: Callable[[], float] = field(default=random.random, repr=False)

    def pauses(self) -> Iterator[float]:
        """Seconds before the second attempt, the third, ..."""
        for attempt in range(self.attempts - 1):
            pause = min(self.pause_s * self.growth**attempt, self.longest_s)
            yield pause * (0.5 + self.draw())

    def run(self, action: Callable[[], _Result]) -> _Result:
        """Do several exchanges, all of them again where the server could not be reached.

        The action must look what is there before it makes anything: it is unknown what of
        the first try arrived.

        Raises
        ------
        CvatUnreachable
            When the last try failed too.

        Examples
        --------
        >>> tries = iter([CvatUnreachable("down"), "here"])
        >>> def look():
        ...     found = next(tries)
        ...     if isinstance(found, CvatUnreachable):
        ...         raise found
        ...     return found
        >>> RetryPolicy(pause_s=0.5, sleep=print, draw=lambda: 0.5).run(look)
        0.5
        'here'
        """
        for pause in self.pauses():
            try:
                return action()
            except CvatUnreachable:
                self.sleep(pause)
        return action()


def _middle() -> float:
    return 0.5


# An exchange was tried several times already when a step of a push is: 1, 4 and 15 s are for a
# server that is restarted.
PUSH_RETRIES = RetryPolicy(attempts=4, pause_s=1.0, longest_s=15.0, growth=4.0, draw=_middle)
"""Of the steps of a push, above the exchanges that they are made of."""
