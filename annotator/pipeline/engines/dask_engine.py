"""The batch on a Dask cluster: jobs go out, bytes come back, this process alone writes.

Dask gives the job of a worker that died to another one. What it does not do stands here:
order, a bound on what is under way, jobs that kill their workers, a scheduler that went away.
"""

from __future__ import annotations

import pickle
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from annotator.core.errors import ClusterError, ClusterLost
from annotator.core.workers import Done, Fault, Workers, attempt
from annotator.pipeline.engines.dask_checks import (
    CheckedWorker,
    other_processors,
    other_versions,
    require_fit,
    seen_by_all,
    settings_file,
)
from annotator.pipeline.engines.dask_cluster import connected
from annotator.pipeline.engines.dask_worker import (
    OtherVersions,
    SentTask,
    WorkerView,
    do_job,
    unchanged,
    view_of_worker,
)
from annotator.pipeline.engines.engine import NeededFiles
from annotator.pipeline.engines.installation import installed_versions
from annotator.pipeline.engines.sent_jobs import (
    JobWithFiles,
    JobWithPaths,
    job_with_files,
    job_with_paths,
)

J = TypeVar("J")
R = TypeVar("R")

# The scheduler holds what is sent until it is done.
_MOST_SENT_BYTES = 1_000_000_000
# How often a worker count is asked for, and how long one look at a result waits.
_LOOK_SECONDS = 2.0
# Attempts to send all work again to a scheduler that was lost and came back.
_MOST_RETURNS = 3


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a run waits for a cluster, in seconds.

    Parameters
    ----------
    workers : float
        For a worker, while there is none: queues of a batch system take their time.
    scheduler : float
        For an answer of the scheduler.
    """

    workers: float = 900.0
    scheduler: float = 60.0


@dataclass(slots=True, eq=False)
class _SentJob:
    """A job under way: what was sent, and the Dask future or the outcome."""

    job: Any
    packed: bytes
    sent_bytes: int
    future: Any


class DaskEngine:
    """Workers of a Dask cluster, for as long as the block lasts.

    Parameters
    ----------
    scheduler : str or None
        See :func:`annotator.pipeline.engines.dask_cluster.connected`.
    workers : int
        Processes of a cluster on this machine.
    send_pixels : bool
        Send the bytes of files, not their paths.
    say : callable
        Told what a person should know while it waits.
    patience : Patience
    """

    def __init__(
        self,
        scheduler: str | None,
        workers: int,
        send_pixels: bool,
        say: Callable[[str], None],
        patience: Patience | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._workers = workers
        self._send_pixels = send_pixels
        self._say = say
        self._patience = patience or Patience()
        self._here = Workers(1)
        self._stack = ExitStack()
        self._client: Any = None
        self._task: tuple[SentTask, Any] | None = None
        self._threads, self._counted = 0, -_LOOK_SECONDS
        self._alone_since: float | None = None

    def __enter__(self) -> Self:
        self._client = self._stack.enter_context(connected(self._scheduler, self._workers))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._task = None
        self._stack.close()

    @property
    def here(self) -> Workers:
        """This process: what is fitted over all objects of the study is fitted where they lie."""
        return self._here

    # Before the work

    def check(self, needed: NeededFiles) -> tuple[str, ...]:
        """See :meth:`annotator.pipeline.engines.engine.Engine.check`."""
        self._wait_for_workers()
        workers = self._looked_at(needed)
        require_fit(workers, needed, self._send_pixels)
        return other_processors(workers)

    def _looked_at(self, needed: NeededFiles) -> list[CheckedWorker]:
        """Ask every worker what it has and sees."""
        settings = "" if self._send_pixels else str(settings_file(needed.study))
        files = seen_by_all(needed, self._send_pixels)
        known = self._client.scheduler_info(n_workers=-1)["workers"]
        views = self._client.run(view_of_worker, settings, files, on_error="return")
        return [
            CheckedWorker(
                _name(address, known.get(address, {})),
                int(known.get(address, {}).get("nthreads", 1)),
                view if isinstance(view, WorkerView) else f"{type(view).__name__}: {view}",
            )
            for address, view in sorted(views.items())
        ]

    def _wait_for_workers(self) -> None:
        self._alone_since = None
        while not self._count_threads():
            self._note_absence(ClusterError)
            time.sleep(0.2)

    # The work

    def run(self, task: Callable[[J], R], jobs: Sequence[J]) -> Iterator[tuple[J, Done[R] | Fault]]:
        """See :meth:`annotator.pipeline.engines.engine.Engine.run`."""
        remaining = deque(jobs)
        under_way: deque[_SentJob] = deque()
        if not remaining:
            return
        self._send_task(SentTask(pickle.dumps(task), dict(installed_versions())))
        try:
            while remaining or under_way:
                while remaining and self._has_room(under_way):
                    under_way.append(self._send(remaining.popleft()))
                outcome = self._outcome(under_way)
                yield under_way.popleft().job, outcome
        finally:
            # Also when the caller stops listening: nobody needs the rest any more.
            with suppress(Exception):
                futures = [s.future for s in under_way if not isinstance(s.future, Fault)]
                self._client.cancel(futures, force=True)

    def _has_room(self, under_way: Sequence[_SentJob]) -> bool:
        """Two jobs a worker, and no more bytes than a scheduler can hold."""
        if not under_way:
            return True
        return (
            len(under_way) < 2 * max(1, self._count_threads())
            and sum(sent.sent_bytes for sent in under_way) < _MOST_SENT_BYTES
        )

    def _send_task(self, task: SentTask) -> None:
        self._task = task, self._to_cluster("task", unchanged, task)

    def _send(self, job: Any) -> _SentJob:
        """Pack a job and hand it over; what cannot be packed is that job's fault."""
        if self._send_pixels:
            outcome: Done[JobWithFiles] | Done[JobWithPaths] | Fault = attempt(job_with_files, job)
        else:
            outcome = attempt(job_with_paths, job)
        if isinstance(outcome, Fault):
            return _SentJob(job, b"", 0, outcome)
        sent = outcome.result
        packed = pickle.dumps(sent)
        return _SentJob(job, packed, sent.sent_bytes, self._submit(packed))

    def _submit(self, packed: bytes) -> Any:
        assert self._task is not None
        return self._to_cluster("image", do_job, self._task[1], packed)

    def _to_cluster(self, what: str, function: Callable[..., Any], *given: object) -> Any:
        key = f"trephine-{what}-{uuid.uuid4().hex}"
        try:
            return self._client.submit(function, *given, key=key, pure=False)
        except RuntimeError as error:
            raise _lost("the connection to the scheduler is closed") from error

    def _outcome(self, under_way: Sequence[_SentJob]) -> Done[Any] | Fault:
        """What came of the first job under way, whatever happens to the cluster meanwhile."""
        from distributed import KilledWorker

        first, returns, is_alone = under_way[0], 0, False
        while True:
            if isinstance(first.future, Fault):
                return first.future
            try:
                return _accepted(self._wait(first.future))
            except KilledWorker as error:
                if is_alone:
                    return Fault(_why_it_died(error.last_worker.address))
                # Dask blames every job that a dead worker had been given, also one that waited
                # there: this one runs once more, with none beside it.
                self._wait_for_all(under_way)
                first.future, is_alone = self._submit(first.packed), True
            except (CancelledError, OSError) as error:
                returns += 1
                self._wait_for_scheduler(returns, error)
                self._send_again(under_way)

    def _wait(self, future: Any) -> Any:
        """The result of a job; looks after the cluster while there is none."""
        from distributed import KilledWorker

        self._alone_since = None
        while True:
            try:
                return future.result(timeout=_LOOK_SECONDS)
            except TimeoutError:
                if not self._count_threads():
                    self._note_absence(ClusterLost)
            except (KilledWorker, CancelledError, OSError):
                raise
            except Exception as error:
                # Our own faults come as results: this one came before our code was reached.
                raise ClusterLost(
                    f"a worker joined that cannot do this run: {type(error).__name__}: {error}; "
                    "take it away, or install trephine there; what is done stays: then run the "
                    "same command again"
                ) from error

    def _wait_for_all(self, under_way: Sequence[_SentJob]) -> None:
        """Wait for the end of all jobs under way, good or bad."""
        from distributed import KilledWorker

        for sent in under_way:
            if not isinstance(sent.future, Fault):
                with suppress(KilledWorker, CancelledError, OSError):
                    self._wait(sent.future)

    # When the cluster is gone

    def _send_again(self, under_way: Sequence[_SentJob]) -> None:
        """Give all that is under way to a scheduler that knows nothing of it."""
        assert self._task is not None
        self._send_task(self._task[0])
        for sent in under_way:
            if not isinstance(sent.future, Fault):
                sent.future = self._submit(sent.packed)

    def _wait_for_scheduler(self, returns: int, error: BaseException) -> None:
        """Wait until the client, which tries by itself, has its scheduler back."""
        self._say("the connection to the scheduler was lost; waiting for it to come back")
        deadline = time.monotonic() + self._patience.scheduler
        while returns <= _MOST_RETURNS and self._client.status != "closed":
            if self._client.status == "running":
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        raise _lost(f"the scheduler is gone ({type(error).__name__})") from error

    def _count_threads(self) -> int:
        """Jobs that the cluster can do side by side; asked for every few seconds.

        Raises
        ------
        ClusterLost
            When the scheduler does not answer.
        """
        now = time.monotonic()
        if self._threads and now - self._counted < _LOOK_SECONDS:
            return self._threads
        try:
            found = self._client.sync(
                self._client.scheduler.ncores, callback_timeout=self._patience.scheduler
            )
        except TimeoutError as error:
            raise _lost(
                f"the scheduler has not answered for {self._patience.scheduler:.0f} s"
            ) from error
        except OSError:
            # Broken off: the futures tell, and whether it comes back is seen there.
            return self._threads
        self._threads, self._counted = sum(found.values()), now
        return self._threads

    def _note_absence(self, error: type[ClusterError]) -> None:
        """Say once that there is no worker; give up after a while."""
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
            self._say("the cluster has no worker; waiting for one (Ctrl-C stops)")
        if now - self._alone_since > self._patience.workers:
            if error is ClusterLost:
                raise _lost(f"no worker for {self._patience.workers:.0f} s")
            raise ClusterError(
                f"expected workers at {self._scheduler}, got none in "
                f"{self._patience.workers:.0f} s; start some with: dask worker --nthreads 1 "
                f"{self._scheduler}"
            )


def _lost(what: str) -> ClusterLost:
    return ClusterLost(
        f"{what}; what is done stays: start the cluster and run the same command again to go on"
    )


def _accepted(outcome: Done[Any] | Fault | OtherVersions) -> Done[Any] | Fault:
    if isinstance(outcome, OtherVersions):
        raise ClusterLost(
            "a worker joined that cannot do this run: "
            + "; ".join(other_versions(outcome.versions))
            + "; what is done stays: take it away and run the same command again"
        )
    return outcome


def _why_it_died(address: str) -> str:
    return (
        f"its workers died, again and again, the last one on {address}: most likely for want of "
        "memory; give workers more (--memory-limit), or cut the image into fields"
    )


def _name(address: str, known: dict[str, Any]) -> str:
    """A worker by its name, where somebody gave it one, and its address."""
    name = str(known.get("name", address))
    return address if name == address else f"{name} ({address})"
