"""Jobs for tests of the Dask engine; imported by the workers, too."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import cv2

from support.pipeline_fakes import misfortune


def numbered(job: tuple[int, int]) -> int:
    """The number of a job, unless it meets a misfortune."""
    number, kind = job
    misfortune(kind)
    return number


def noted(job: tuple[int, Path]) -> int:
    """The number of a job, which leaves a file as soon as it begins."""
    number, folder = job
    (folder / str(number)).touch()
    time.sleep(0.02)
    return number


def once_killed(job: tuple[int, Path]) -> int:
    """The number of a job; the first worker that meets number 3 dies."""
    number, folder = job
    if number == 3 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def surroundings(_: int) -> tuple[int, str, str, int, bool]:
    """Process, its variables, and threads and IPP of OpenCV."""
    names = "OMP_NUM_THREADS", "PYTHONSAFEPATH"
    found = [os.environ.get(name, "") for name in names]
    return os.getpid(), found[0], found[1], cv2.getNumThreads(), cv2.ipp.useIPP()


def slow(number: int) -> int:
    """The number of a job after a while."""
    time.sleep(0.3)
    return number
