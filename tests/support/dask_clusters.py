"""A Dask scheduler and its workers as a lab starts them: processes of their own, by command."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from annotator.doctor import OWN_PACKAGES, package_folder

_LONGEST_START_SECONDS = 90
_TESTS = Path(__file__).resolve().parent.parent


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def our_environment() -> dict[str, str]:
    """For processes that must find this tree, and what tests share."""
    root = package_folder(OWN_PACKAGES[0]).parent
    paths = [str(root), str(_TESTS), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


class LabCluster:
    """A scheduler on a port of its own, and workers of one thread by their names.

    Parameters
    ----------
    folder : Path
        Where its processes live and write what they say.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start_scheduler()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in list(self.processes):
            self.kill(name)

    def start_scheduler(self) -> None:
        port = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
        self._start("scheduler", ["scheduler", *port, "--scheduler-file", str(self.file)], {})

    @property
    def file(self) -> Path:
        return self.folder / "scheduler.json"

    def start_worker(
        self,
        name: str,
        options: Sequence[str] = ("--nthreads", "1"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start a worker; one with an environment of its own is another machine in our eyes."""
        more = ["--name", name, "--no-dashboard", "--host", "127.0.0.1", "--no-nanny", *options]
        if environment is not None:
            more += ["--preload", "support.dask_preloads"]
        self._start(name, ["worker", self.address, *more], environment or {})

    def _start(self, name: str, words: list[str], environment: Mapping[str, str]) -> None:
        program = "import sys; from dask.__main__ import main; main()"
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-P", "-c", program, *words],
                cwd=self.folder,
                env=our_environment() | dict(environment),
                stdout=log,
                stderr=log,
            )

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def kill(self, name: str, how: int = signal.SIGKILL) -> None:
        """End a process at once, and collect it."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        process.wait(60)

    def is_running(self, name: str) -> bool:
        return name in self.processes and self.processes[name].poll() is None

    def wait_for_workers(self, count: int) -> None:
        from distributed import Client

        with Client(self.address, timeout=_LONGEST_START_SECONDS, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=_LONGEST_START_SECONDS)


class AnnotateCommand:
    """``trephine annotate`` in a process of its own."""

    def __init__(self, study: Path, images: Path, *options: str) -> None:
        self.log = study.with_name(f"{study.name}.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "annotator",
                    "annotate",
                    str(study),
                    str(images),
                    *options,
                ],
                env=our_environment(),
                stdout=log,
                stderr=log,
            )

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait(self, seconds: float) -> int:
        """Its exit code; it is killed where it takes longer."""
        try:
            return self.process.wait(seconds)
        finally:
            self.process.kill()
            self.process.wait()

    def workers(self) -> list[psutil.Process]:
        """The processes that it started, and those that they did."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def said(self) -> str:
        return self.log.read_text("utf-8")

    def wait_until_said(self, text: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.said():
            assert self.is_running and time.monotonic() < deadline, self.said()
            time.sleep(0.02)
