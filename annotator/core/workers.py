"""The same work on many things, in this process or in several, with faults kept apart.

Results come in the order of the jobs, with at most two jobs a worker under way, so that
memory does not grow with the batch.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import cv2
from threadpoolctl import threadpool_limits

from annotator.core.errors import TrephineError

J = TypeVar("J")
R = TypeVar("R")

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
# What processes that we start find in their environment. The last one (as python -P) keeps the
# current folder off their path: a file features.py in it would be taken for ours.
_ENVIRONMENT = dict.fromkeys((*_THREAD_VARIABLES, "PYTHONSAFEPATH"), "1")
# Elsewhere a fork is unsafe (macOS) or unknown (Windows), and each worker imports alone.
_METHOD = "forkserver" if sys.platform == "linux" else "spawn"


@dataclass(frozen=True, slots=True)
class Done(Generic[R]):
    """A job that went well."""

    result: R


@dataclass(frozen=True, slots=True)
class Fault:
    """A job that did not.

    Parameters
    ----------
    reason : str
        For a person.
    trace : str
        Empty for what a person can act on; else where our mistake happened.
    """

    reason: str
    trace: str = ""


class Workers:
    """Some processes, or this one alone, for as long as the block lasts.

    Parameters
    ----------
    count : int
        With 1 the work is done in this process.
    preload : sequence of str
        Modules that the work needs: imported once, before the first job, and shared by
        all processes where the system can fork them.
    """

    def __init__(self, count: int, preload: Sequence[str] = ()) -> None:
        self._count = count
        self._preload = tuple(preload)
        self._pool: ProcessPoolExecutor | None = None
        self._others: set[BaseProcess] = set()

    def __enter__(self) -> Self:
        if self._count > 1:
            warm_up(self._preload)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop(at_once=error is not None)

    def run(self, task: Callable[[J], R], jobs: Sequence[J]) -> Iterator[tuple[J, Done[R] | Fault]]:
        """Do the task on each job and yield what came of it, in the order of the jobs.

        One job's fault is that job's alone, even where the system kills its process. When
        the caller stops listening, the processes end.

        Parameters
        ----------
        task : callable
            Can be pickled, as can the jobs and the results.
        jobs : sequence
        """
        if self._count == 1:
            for job in jobs:
                yield job, attempt(task, job)
            return
        remaining = deque(jobs)
        # A killed process ends one turn; the next starts new processes for what remains.
        while remaining:
            yield from self._run_until_broken(task, remaining)

    def _run_until_broken(
        self, task: Callable[[J], R], remaining: deque[J]
    ) -> Iterator[tuple[J, Done[R] | Fault]]:
        """Work until nothing remains or a process dies; then the jobs under way run alone."""
        under_way: deque[tuple[J, Future[Done[R] | Fault]]] = deque()
        try:
            while remaining or under_way:
                while remaining and len(under_way) < 2 * self._count:
                    # Taken off only once it is handed over: a pool that breaks here loses no job.
                    under_way.append((remaining[0], self._submit(task, remaining[0])))
                    remaining.popleft()
                job, future = under_way[0]
                outcome = future.result()
                under_way.popleft()
                yield job, outcome
        except BrokenProcessPool:
            self._stop(at_once=True)
            suspects = [job for job, _ in under_way]
        except BaseException:
            self._stop(at_once=True)
            raise
        else:
            return
        # Nobody says which job its process died of: each that was under way runs again, alone.
        for job in suspects:
            yield job, self._run_alone(task, job)

    def _run_alone(self, task: Callable[[J], R], job: J) -> Done[R] | Fault:
        """Tell the job that gets its process killed from those beside it."""
        try:
            future = self._submit(task, job)
            processes = set(multiprocessing.active_children()) - self._others
            return future.result()
        except BrokenProcessPool:
            self._stop(at_once=True)
            return Fault(_why_it_ended(processes))

    def _submit(self, task: Callable[[J], R], job: J) -> Future[Done[R] | Fault]:
        if self._pool is None:
            # Processes that are there before ours are not ours to end.
            self._others = set(multiprocessing.active_children())
            warm_up(self._preload)
            context = multiprocessing.get_context(_METHOD)
            self._pool = ProcessPoolExecutor(self._count, context, _prepare_worker)
        with _pinned_children():
            return self._pool.submit(_attempt_packed, pickle.dumps((task, job)))

    def _stop(self, at_once: bool) -> None:
        """End the processes; at once means in the middle of their work."""
        if self._pool is None:
            return
        if at_once:
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None


def warm_up(preload: Sequence[str]) -> None:
    """Let the modules that workers need be imported beside this process, from now on.

    They are imported once, in a process of one thread, that all workers are then forked
    from. Returns at once; a second call does nothing.

    Parameters
    ----------
    preload : sequence of str
        Names of modules.
    """
    if _METHOD == "forkserver":
        multiprocessing.get_context(_METHOD).set_forkserver_preload(list(preload))
        # First, since it lets interrupts through again when it starts.
        resource_tracker.ensure_running()
        with _pinned_children(), _interrupts_held_back():
            forkserver.ensure_running()


@cache
def import_all(preload: tuple[str, ...]) -> None:
    """Import here what :func:`warm_up` imports there, so that no image is charged with it."""
    for name in preload:
        importlib.import_module(name)


def attempt(task: Callable[[J], R], job: J) -> Done[R] | Fault:
    """Do one job; whatever goes wrong with it becomes a fault."""
    try:
        return Done(task(job))
    except TrephineError as error:
        return Fault(str(error))
    except MemoryError:
        return Fault("not enough memory for this image; use fewer --workers, or cut the image")
    except Exception as error:  # noqa: BLE001 - one image must not end a batch of thousands
        return Fault(f"unexpected {type(error).__name__}: {error}", traceback.format_exc())


def _attempt_packed(packed: bytes) -> Done[Any] | Fault:
    """Unpack a task and its job here: where that fails, the reason comes back as any other."""
    try:
        task, job = pickle.loads(packed)
    except Exception as error:  # noqa: BLE001 - else the process ends, and nobody learns of what
        return Fault(
            f"a worker process could not load its work: {type(error).__name__}: {error}; "
            "use --workers 1, and run trephine doctor",
            traceback.format_exc(),
        )
    return attempt(task, job)


def _why_it_ended(processes: set[BaseProcess]) -> str:
    """Say how the process of one job came to its end, as far as the system tells."""
    codes = {process.exitcode for process in processes}
    # A process that we stopped ourselves after another's end says nothing of the cause.
    faults = sorted(code for code in codes if code and code != -signal.SIGTERM)
    if not faults or -signal.SIGKILL in faults:
        return (
            "the system killed the process that worked on it, most likely for want of "
            "memory; use fewer --workers, or cut the image into fields"
        )
    code = faults[0]
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return (
        f"the process that worked on it ended with {how}; what it said stands above, if it said "
        "anything; use --workers 1 to see where"
    )


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, end with it, and be :func:`reproducible` for good."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    cv2.ipp.setUseIPP(False)
    threadpool_limits(1)


def _end_with_parent() -> None:
    """A killed parent cannot stop its workers: each watches it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def reproducible() -> Iterator[None]:
    """In this process, let the bytes of a result depend on nothing but its input.

    Sums over several threads depend on their number. And the IPP inside OpenCV rounds
    some pixels differently with the address at which an array happens to lie (seen in
    ``cv2.magnitude``); without it the line takes no longer.
    """
    threads, ipp = cv2.getNumThreads(), cv2.ipp.useIPP()
    cv2.setNumThreads(1)
    cv2.ipp.setUseIPP(False)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(threads)
        cv2.ipp.setUseIPP(ipp)


@contextmanager
def _pinned_children() -> Iterator[None]:
    """One thread a library in processes started meanwhile, and no module of the current folder.

    They read this before they load anything; the path of this process reaches them later.
    """
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Ctrl-C is for this process alone: one started meanwhile never hears of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
