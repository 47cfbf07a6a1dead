"""What a Dask worker does: one job at a time, as a process of our own would do it.

The functions are sent by their names: a worker runs its own installation, which must be the
same as that of the machine of the study.
"""

from __future__ import annotations

import pickle
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import cv2
from threadpoolctl import threadpool_limits

from annotator.core.errors import TrephineError
from annotator.core.files import sha256
from annotator.core.workers import Done, Fault, attempt, import_all
from annotator.pipeline.engines.installation import installed_versions, processor_kind
from annotator.pipeline.engines.sent_jobs import FileState, JobWithFiles, JobWithPaths
from annotator.pipeline.preload import PRELOAD


@dataclass(frozen=True, slots=True)
class SentTask:
    """A task, packed once for all of its jobs, and the versions of the machine that sends it."""

    packed: bytes
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OtherVersions:
    """What a worker answers that came late and has another installation: it did nothing."""

    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WorkerView:
    """What a worker has, and what it sees of the disk.

    Parameters
    ----------
    versions : mapping
    processor : str
    settings_sha256 : str or None
        Of the study's ``study.toml``; None where it sees none.
    unseen : tuple of FileState
        Files that it does not see, or sees with other bytes.
    """

    versions: Mapping[str, str]
    processor: str
    settings_sha256: str | None
    unseen: tuple[FileState, ...]


def unchanged(task: SentTask) -> SentTask:
    """Give back what came: so the cluster keeps the task, also where a worker with it dies."""
    return task


def do_job(task: SentTask, packed: bytes) -> Done[Any] | Fault | OtherVersions:
    """Do one job; whatever goes wrong with it becomes a fault.

    Parameters
    ----------
    task : SentTask
    packed : bytes
        A pickled :class:`JobWithPaths` or :class:`JobWithFiles`.
    """
    if task.versions != installed_versions():
        return OtherVersions(installed_versions())
    try:
        import_all(PRELOAD)
        _prepare_thread(threading.get_ident())
        work = _task(task.packed)
        sent: JobWithPaths | JobWithFiles = pickle.loads(packed)
    except Exception as error:  # noqa: BLE001 - else the job is lost, and nobody learns of what
        return Fault(
            f"a worker could not load its work: {type(error).__name__}: {error}; compare its "
            "installation with that of this machine (trephine doctor)",
            traceback.format_exc(),
        )
    try:
        with sent.unpacked() as job:
            return attempt(work, job)
    except TrephineError as error:
        return Fault(str(error))
    except OSError as error:
        return Fault(
            f"a worker could not keep the files of a job: {error.strerror or error}; free some "
            "space in its folder for temporary files"
        )


def view_of_worker(settings: str, files: tuple[FileState, ...]) -> WorkerView:
    """What this worker has and sees.

    Parameters
    ----------
    settings : str
        Path of the study's ``study.toml``; empty where it need not be seen.
    files : tuple of FileState
        Files that must be seen.
    """
    try:
        found = sha256(Path(settings)) if settings else None
    except OSError:
        found = None
    unseen = tuple(state for state in files if not state.is_seen())
    return WorkerView(dict(installed_versions()), processor_kind(), found, unseen)


@cache
def _prepare_thread(_: int) -> None:
    """Let the bytes of results depend on nothing but their input, for good.

    As :func:`annotator.core.workers.reproducible`; some libraries count threads by the thread
    that asks them.
    """
    cv2.setNumThreads(1)
    cv2.ipp.setUseIPP(False)
    threadpool_limits(1)


@lru_cache(maxsize=1)
def _task(packed: bytes) -> Any:
    """Unpack a task once for all of its jobs; what the one before it loaded goes with it."""
    return pickle.loads(packed)
