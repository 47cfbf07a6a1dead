"""Pulling again and again until somebody stops it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from annotator.core.errors import CvatUnreachable, TrephineError, UsageError
from export.cvat.pull_report import PullReport


class Listener(Protocol):
    """Is told what came of every pull."""

    def pulled(self, report: PullReport) -> None:
        """A pull came to its end."""

    def failed(self, error: TrephineError) -> None:
        """A pull did not; the next one tries again."""


def watch(
    pull: Callable[[], PullReport],
    minutes: float,
    listener: Listener,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Pull every some minutes, for ever: it ends with Ctrl-C.

    A server that cannot be reached is reported and asked again the next time. So is every
    other error once a pull has succeeded; before that it means that it can never succeed.

    Parameters
    ----------
    pull : callable
        One pull.
    minutes : float
        Between the end of a pull and the start of the next.
    listener : Listener
    sleep : callable
        Waits so many seconds; tests bring their own.

    Raises
    ------
    UsageError
        When the minutes are not above 0.
    TrephineError
        When the first pull meets an error that waiting does not mend.
    """
    if not 0 < minutes < float("inf"):
        raise UsageError(f"expected minutes above 0 between two pulls, got {minutes}")
    succeeded = False
    while True:
        try:
            report = pull()
        except CvatUnreachable as error:
            listener.failed(error)
        except TrephineError as error:
            if not succeeded:
                raise
            listener.failed(error)
        else:
            succeeded = True
            listener.pulled(report)
        sleep(60 * minutes)
