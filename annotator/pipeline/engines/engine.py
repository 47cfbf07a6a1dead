"""What the batch asks of whoever does its work: this process, several, or other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from annotator.core.workers import Done, Fault, Workers
from annotator.pipeline.preload import PRELOAD

J = TypeVar("J")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class NeededFiles:
    """The files that workers read.

    Parameters
    ----------
    study : Path
        The folder of the study.
    images : tuple of Path
        The pictures of this run.
    models : tuple of Path
        Weights and networks that do not come with the installation.
    """

    study: Path
    images: tuple[Path, ...]
    models: tuple[Path, ...] = ()


class Engine(Protocol):
    """Does one task on many jobs, and writes nothing of the study.

    Used as a context: workers start with it and end with it.
    """

    @property
    def here(self) -> Workers:
        """Processes of this machine, for work on many files of the study at once."""

    def check(self, needed: NeededFiles) -> tuple[str, ...]:
        """Look whether the workers can do the work; before any of it.

        Returns
        -------
        tuple of str
            What a person should know of them.

        Raises
        ------
        ClusterError
            When they cannot.
        """

    def run(self, task: Callable[[J], R], jobs: Sequence[J]) -> Iterator[tuple[J, Done[R] | Fault]]:
        """Do the task on each job and yield what came of it, in the order of the jobs.

        One job's fault is that job's alone, and few jobs more than there are workers are
        under way at a time.

        Raises
        ------
        ClusterLost
            When the workers went away for good.
        """

    def __enter__(self) -> Self:
        """Start the workers."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them; in the middle of their work, after an error."""


class LocalEngine:
    """This process, or several on this machine.

    Parameters
    ----------
    count : int
        With 1 the work is done in this process.
    """

    def __init__(self, count: int) -> None:
        self._workers = Workers(count, PRELOAD)

    @property
    def here(self) -> Workers:
        """The same processes."""
        return self._workers

    def check(self, needed: NeededFiles) -> tuple[str, ...]:
        """Nothing to look at: they are this machine and this installation."""
        return ()

    def run(self, task: Callable[[J], R], jobs: Sequence[J]) -> Iterator[tuple[J, Done[R] | Fault]]:
        """As :meth:`annotator.core.workers.Workers.run`."""
        return self._workers.run(task, jobs)

    def __enter__(self) -> Self:
        self._workers.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._workers.__exit__(kind, error, trace)
