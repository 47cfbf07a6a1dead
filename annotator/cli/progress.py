"""Progress on stderr: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from annotator.core.progress import Progress, duration

PLAIN_SECONDS = 10.0
"""Where there is no terminal, a line of progress at most this often."""


def left(eta_seconds: float | None) -> str:
    """The time that is left, in words; empty where there is no estimate yet.

    Examples
    --------
    >>> left(None), left(0.2), left(95.0)
    ('', 'under 1 s left', 'about 1 min 35 s left')
    """
    if eta_seconds is None:
        return ""
    return f"{'about ' if round(eta_seconds) else ''}{duration(eta_seconds)} left"


class ProgressBar:
    """A bar on a terminal; elsewhere plain lines, at most one every `PLAIN_SECONDS`.

    Parameters
    ----------
    columns : sequence of ProgressColumn
        Of the bar.
    stream : text stream, optional
        Default: stderr.
    """

    def __init__(self, *columns: ProgressColumn, stream: TextIO | None = None) -> None:
        self.console = Console(file=stream or sys.stderr, highlight=False)
        self._columns = columns
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._said: tuple[str, float] = ("", 0.0)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._bar = Bar(*self._columns, console=self.console, transient=True)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, stage: str, done: int, total: int, line: str, **fields: Any) -> None:
        """Move the bar; where there is none, print the line if it is time for one."""
        if self._bar is None:
            self._say(stage, done >= total, line)
        elif self._task is None:
            self._task = self._bar.add_task(stage, total=total, completed=done, **fields)
        else:
            self._bar.update(self._task, description=stage, total=total, completed=done, **fields)

    def tell(self, text: str) -> None:
        """Print a line now, above the bar where there is one."""
        self.console.print(text, markup=False, soft_wrap=True)

    def _say(self, stage: str, complete: bool, line: str) -> None:
        (last, when), now = self._said, time.monotonic()
        if last == stage and not complete and now - when < PLAIN_SECONDS:
            return
        self._said = (stage, now)
        self.tell(line)


class ProgressView(ProgressBar):
    """Shows the progress of a batch, with the batch's own estimate of what is left.

    Examples
    --------
    >>> import io
    >>> seen = io.StringIO()
    >>> with ProgressView(seen) as view:
    ...     view(Progress("reading", 5, 5, "field", 95.0))
    >>> seen.getvalue()
    'reading 5/5, about 1 min 35 s left\\n'
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(
            TextColumn("{task.description:<14}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("[dim]{task.fields[name]}"),
            stream=stream,
        )

    def __call__(self, step: Progress) -> None:
        """Show one step, or its note."""
        if step.note:
            self.tell(step.note)
            return
        remains = left(step.eta_seconds)
        line = f"{step.stage} {step.done}/{step.total}{', ' if remains else ''}{remains}"
        name = escape(step.name)
        self.show(step.stage, step.done, step.total, line, left=remains, name=name)

    def step(self, what: str, done: int, total: int) -> None:
        """Show one step of a work without an estimate: an :data:`OnStep`."""
        self(Progress(what, done, total, "", None))


class DownloadView(ProgressBar):
    """Shows how much of a file was downloaded."""

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            stream=stream,
        )
        self._name = name

    def __call__(self, here: int, whole: int) -> None:
        """Show one step: bytes downloaded, bytes of the whole file."""
        line = f"{self._name}: {here / 1e6:.0f} of {whole / 1e6:.0f} MB"
        self.show(self._name, here, whole, line)
