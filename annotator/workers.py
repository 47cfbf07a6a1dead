"""The same work on many things, in this process or in several, with faults kept apart.

Results come in the order of the jobs, with at most two jobs a worker under way, so that
memory does not grow with the batch.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import cv2
from threadpoolctl import threadpool_limits

from annotator.errors import TrephineError

J = TypeVar("J")
R = TypeVar("R")

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


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


def run(
    task: Callable[[J], R], jobs: Sequence[J], workers: int
) -> Iterator[tuple[J, Done[R] | Fault]]:
    """Do the task on each job and yield what came of it, in the order of the jobs.

    One job's fault is that job's alone, even where the system kills its process. When
    the caller stops, by an exception or by closing the iterator, the processes end.

    Parameters
    ----------
    task : callable
        Can be pickled, as can the jobs and the results.
    jobs : sequence
    workers : int
        Processes; with 1 the work is done in this one.
    """
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, attempt(task, job)
        return
    remaining = deque(jobs)
    while remaining:
        yield from _run_pool(partial(attempt, task), remaining, min(workers, len(remaining)))


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


def _run_pool(
    task: Callable[[J], Done[R] | Fault], remaining: deque[J], workers: int
) -> Iterator[tuple[J, Done[R] | Fault]]:
    """Work until nothing remains or the pool breaks; then the jobs under way run alone."""
    with _pool(workers) as pool:
        under_way: deque[tuple[J, Future[Done[R] | Fault]]] = deque()
        try:
            while remaining or under_way:
                while remaining and len(under_way) < 2 * workers:
                    future = pool.submit(task, remaining[0])
                    under_way.append((remaining.popleft(), future))
                job, future = under_way[0]
                outcome = future.result()
                under_way.popleft()
                yield job, outcome
            return
        except BrokenProcessPool:
            suspects = [job for job, _ in under_way]
    for job in suspects:
        yield job, _run_alone(task, job)


def _run_alone(task: Callable[[J], Done[R] | Fault], job: J) -> Done[R] | Fault:
    """Tell the job that gets its process killed from those beside it."""
    with _pool(1) as pool:
        try:
            return pool.submit(task, job).result()
        except BrokenProcessPool:
            return Fault(
                "the system killed the process that worked on it, most likely for want of "
                "memory; use fewer --workers, or cut the image into fields"
            )


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes do not outlive the block, whatever they are doing."""
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _prepare_worker)
    try:
        with _pinned_children():
            yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, end with it, and use one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    threadpool_limits(1)


def _end_with_parent() -> None:
    """A killed parent cannot stop its workers: each watches it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def pinned_threads() -> Iterator[None]:
    """One thread a library, in this process.

    Sums over several threads depend on their number, and so would the bytes of the result.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(threads)


@contextmanager
def _pinned_children() -> Iterator[None]:
    """One thread a library in processes started meanwhile: they read this before they load."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
