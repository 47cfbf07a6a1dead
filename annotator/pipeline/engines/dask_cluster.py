"""A connection to a Dask cluster: a lab's own, or one on this machine for the time of a run.

Dask is imported here and nowhere else, and only where it is asked for.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from annotator.core.errors import ClusterError
from annotator.core.workers import warm_up
from annotator.pipeline.engines.start import DASK_PRELOAD

_CLOSE_SECONDS = 5.0
# A worker of our own is a process on this machine: it gets what Workers' processes get. Without
# routes the web servers of Dask, which cannot be turned off, answer nothing.
_LOCAL_CONFIG = {
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.allowed-failures": 1,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.nanny.pre-spawn-environ": {},
}
_CONFIG = {"distributed.admin.large-graph-warning-threshold": "1TB"}


def require_dask() -> None:
    """Refuse to go on without Dask.

    Raises
    ------
    ClusterError
    """
    missing = [name for name in ("dask", "distributed") if find_spec(name) is None]
    if missing:
        raise ClusterError(
            f"--engine dask needs {' and '.join(missing)}, which this Python does not have; "
            "install trephine[dask] (python -m pip install dask distributed), here and on all "
            "workers"
        )


@contextmanager
def connected(scheduler: str | None, workers: int) -> Iterator[Any]:
    """A Dask client for as long as the block lasts.

    Parameters
    ----------
    scheduler : str or None
        Address (``tcp://HOST:8786``, ``tls://...``) or scheduler file (``*.json``) of a
        cluster that is there; None for one on this machine.
    workers : int
        Processes of the latter.

    Raises
    ------
    ClusterError
        Without Dask, or when the scheduler does not answer.
    """
    if scheduler is None:
        # First of all: workers are forked from a process that has the imports behind it.
        warm_up(DASK_PRELOAD)
    import dask
    import distributed  # noqa: F401  # sets up its logging, which is quietened next

    with ExitStack() as stack:
        stack.enter_context(_environment_as_before())
        stack.enter_context(_quiet())
        stack.enter_context(dask.config.set(_CONFIG))
        if scheduler is None:
            yield stack.enter_context(_local_client(workers))
        else:
            yield stack.enter_context(_client_of(scheduler))


@contextmanager
def _local_client(workers: int) -> Iterator[Any]:
    """A cluster on this machine that nobody else can reach: 127.0.0.1, and TLS where it can be."""
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set(_LOCAL_CONFIG),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            security=_own_security(),
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _own_security() -> Any:
    """Keys for this run alone: other users of this machine cannot send our workers any work."""
    from distributed.security import Security

    return Security.temporary() if find_spec("cryptography") else None


@contextmanager
def _client_of(scheduler: str) -> Iterator[Any]:
    from distributed import Client

    is_file = scheduler.endswith(".json")
    if is_file and not Path(scheduler).is_file():
        raise ClusterError(
            f"{scheduler}: expected the scheduler file of a running cluster, found none; start "
            f"one with: dask scheduler --scheduler-file {scheduler}"
        )
    place = {"scheduler_file": scheduler} if is_file else {"address": scheduler}
    try:
        client = Client(**place, set_as_default=False, name="trephine")
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ClusterError(
            f"{scheduler}: expected a Dask scheduler, got no answer that can be used "
            f"({type(error).__name__}: {_first_line(error)}); look whether dask scheduler runs "
            "there, with the same version of dask, and with TLS on both sides or on none"
        ) from error
    try:
        yield client
    finally:
        with suppress(TimeoutError):
            client.close(timeout=_CLOSE_SECONDS)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or "nothing said"


@contextmanager
def _environment_as_before() -> Iterator[None]:
    """Dask's nannies write what they give to their workers into our environment, too."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask logs every worker that comes or goes to stderr: we say what a person must know."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")]
    loggers += [
        logger
        for name, logger in logging.Logger.manager.loggerDict.items()
        if name.startswith("distributed.") and isinstance(logger, logging.Logger)
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
