"""Pull at a fixed interval until somebody stops it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from annotator.core.errors import CvatUnreachable, TrephineError, UsageError
from export.cvat.pull_report import PullReport


class Listener(Protocol):
    """Shows the result of every pull; the command line has one."""

    def pulled(self, report: PullReport) -> None:
        """A pull has finished, with this report."""

    def failed(self, error: TrephineError) -> None:
        """A pull has failed; the next one tries again."""


def watch(
    pull: Callable[[], PullReport],
    minutes: float,
    listener: Listener,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Pull, wait some minutes, pull again, until Ctrl-C.

    A server that cannot be reached is reported, and the next pull tries again. Any other error
    ends the watch at the first pull, since waiting will not mend a wrong address; once a pull
    has succeeded it is reported like a lost connection.

    Parameters
    ----------
    pull : callable
        Makes one pull.
    minutes : float
        From the end of a pull to the start of the next.
    listener : Listener
        Gets the result of each pull.
    sleep : callable
        Waits for a number of seconds; tests bring their own.

    Raises
    ------
    UsageError
        When the minutes are not above 0.
    TrephineError
        When a pull fails before any has succeeded, other than for want of a connection.
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
