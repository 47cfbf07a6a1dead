"""Time of a push and a pull, the server's share apart, and whether every pixel comes back.

Part of ``make bench``, ``make bench BENCH="--only cvat"``. The server of the tests runs in a
process of its own; it does what a real one does with annotations, without a database. What is
called ours is the time by the clock less the time in which that server worked on answers: the
way over loopback and the waiting for it count as ours.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # cvat_http, cvat_studies
IMAGES = 50
SHAPE = (1200, 1920)
MANY, FEW = 600, 40
"""Objects an image: for the round trip to the pixel; for 2,100 shapes with cell and bg."""
Row = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by the clock, of our cores, and those in which the server worked; its requests."""

    whole: float
    cpu: float
    server: float
    requests: int

    @property
    def ours(self) -> float:
        """What is left without the server's share."""
        return self.whole - self.server

    def __str__(self) -> str:
        return (
            f"{self.ours:.1f} s ours ({self.cpu:.1f} s of a core), {self.server:.1f} s the "
            f"server's, {self.requests} requests"
        )


# The server


def serve(pipe: Connection) -> None:
    """Run a server; answer each message with the seconds and requests so far, end at None."""
    from support.cvat_http.server import serving

    with serving() as server:
        admin = server.users["admin"]
        pipe.send((server.url, admin.username, admin.password))
        while pipe.recv() is not None:
            pipe.send((sum(one.seconds for one in server.log), len(server.log)))


class CvatProcess:
    """A server in another process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url, user, password = pipe.recv()
        self.environ = {"CVAT_URL": self.url, "CVAT_USER": user, "CVAT_PASSWORD": password}

    def connect(self) -> Any:
        """Log in."""
        from annotator.settings.cvat import CvatSettings
        from export.cvat.client.credentials import Sources, connect

        return connect(CvatSettings(url=self.url), Sources(self.environ, ask=None))

    def so_far(self) -> tuple[float, int]:
        """Seconds and requests since it began."""
        self._pipe.send("?")
        seconds, requests = self._pipe.recv()
        return float(seconds), int(requests)

    @contextmanager
    def measured(self, found: list[Spent]) -> Iterator[None]:
        """Add what the block takes to `found`."""
        seconds, requests = self.so_far()
        begun, used = time.perf_counter(), time.process_time()
        yield
        whole, cpu = time.perf_counter() - begun, time.process_time() - used
        after, more = self.so_far()
        found.append(Spent(whole, cpu, after - seconds, more - requests))


@contextmanager
def running() -> Iterator[CvatProcess]:
    """A server that ends with the block."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there,), daemon=True)
    process.start()
    try:
        yield CvatProcess(here)
    finally:
        here.send(None)
        process.join()


# The study


def rough(seed: int, objects: int, shape: tuple[int, int] = SHAPE) -> Any:
    """Ellipses on cell below a strip of bg: some bone, some with a hole, some in two parts."""
    from annotator.core.classes import BG, BONE, CELL, FAT
    from annotator.core.label_maps import LabelMaps

    rng = np.random.default_rng(seed)
    height, width = shape
    classes, instances = np.full(shape, CELL, np.uint8), np.zeros(shape, np.int32)
    classes[: height // 10] = BG
    most = 2 * int((height * width / objects) ** 0.5 / 5)
    for number in range(1, objects + 1):
        code = BONE if number % 20 == 0 else FAT
        for part in range(2 if number % 10 == 0 else 1):
            x, y = int(rng.integers(width)), int(rng.integers(height))
            axes = tuple(rng.integers(3, most, 2).tolist())
            for canvas, value in ((classes, code), (instances, number)):
                cv2.ellipse(canvas, (x, y), axes, 30 * part, 0, 360, value, -1)
            if number % 7 == 0:
                # A hole: whatever was there is cell now.
                for canvas, value in ((classes, CELL), (instances, 0)):
                    cv2.circle(canvas, (x, y), min(axes) // 2, value, -1)
    return LabelMaps(classes, instances)


def study(folder: Path, objects: int) -> Path:
    """A study of pictures that are quickly packed, each with a map of so many objects."""
    from support.cvat_studies import add_picture

    from annotator.study.study import Study

    path = folder / "study"
    Study.create(path).close()
    with Study.open(path) as opened:
        for number in range(IMAGES):
            pixels = np.zeros((*SHAPE, 3), np.uint8)
            pixels[:, :, 1], pixels[number, :, 0] = np.linspace(0, 255, SHAPE[1]), 255
            cv2.imwrite(str(folder / f"{number:03d}.png"), pixels)
            add_picture(opened, folder / f"{number:03d}.png", rough(number, objects))
    return path


# What is measured


class NoJobs:
    """A server that shows no jobs: a push then ends when the images are there."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    def task_jobs(self, task: int) -> Any:
        from annotator.core.errors import CvatError

        raise CvatError(f"task {task}: no jobs yet")


def round_trip(path: Path) -> tuple[list[Spent], int, int]:
    """Images, annotations, the same again, pull; shapes on the server; images that differ."""
    from support.cvat_studies import roughs, same_map, truths

    from annotator.study.study import Study
    from export.cvat.pull_server import pull_server
    from export.cvat.push import push_images
    from export.cvat.push_report import PushRequest

    spent: list[Spent] = []
    wanted = PushRequest(count=IMAGES)
    with running() as server, Study.open(path) as opened:
        connected = server.connect()
        with server.measured(spent):
            push_images(opened, wanted, NoJobs(connected))
        for _ in range(2):
            with server.measured(spent):
                report = push_images(opened, wanted, connected)
        complete(connected, opened)
        with server.measured(spent):
            pull_server(opened, connected)
    maps, found = roughs(path), truths(path)
    wrong = sum(name not in found or not same_map(found[name], one) for name, one in maps.items())
    return spent, sum(image.shapes for image in report.images), wrong


def complete(server: Any, study: Any) -> None:
    """Put all jobs into the state completed, as a person would."""
    from export.cvat.client.http import sending

    for job in server.jobs(study.cvat.binding().project_id):
        server._connection.ask(
            sending("PATCH", f"/api/jobs/{job.id}", {"state": "completed"}, "completing", True)
        )


def rows_of(objects: int, push_goal: str, pull_goal: str) -> list[Row]:
    """What was measured, the figure, and what it is held to."""
    with tempfile.TemporaryDirectory() as place:
        spent, shapes, wrong = round_trip(study(Path(place), objects))
    images, push, again, pull = spent
    what = f"{IMAGES} images, {objects} objects each"
    return [
        (f"{what}: images pushed", str(images), ""),
        (f"{shapes} shapes pushed and read back", str(push), push_goal),
        ("pushed again: nothing to do", str(again), ""),
        ("pulled, and compared", f"{pull.whole:.1f} s: {pull}", pull_goal),
        ("images that differ anywhere from what was pushed", str(wrong), "0"),
    ]


def measure() -> list[list[Row]]:
    """Two studies, a section each."""
    cv2.setNumThreads(1)
    return [rows_of(FEW, "< 10 s ours", "< 6 s"), rows_of(MANY, "", "")]


if __name__ == "__main__":
    for section in measure():
        for row in section:
            print(*row, sep=" | ")
