"""A cluster whose parts are killed at random gives the bytes of one undisturbed process.

A scheduler and four workers run on this machine; a seeded one of them is killed at a seeded
moment and started again, and the run is repeated where it stopped. ``DASK_KILLS=20`` in the
environment asks for more kills than the few of the test suite.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from support.dask_clusters import AnnotateCommand, LabCluster
from support.pipeline_fakes import write_field
from support.same_studies import files_of, rows_of

from annotator.cli.options import INCOMPLETE, STOPPED
from annotator.study.study import Study

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("DASK_KILLS", "4"))
IMAGES, SEED = 40, 20261201
WORKERS = ("alpha", "beta", "gamma", "delta")
LONGEST_SECONDS = 120 + 40 * KILLS
OPTIONS = ("--network", "none")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(IMAGES):
        write_field(folder / f"slide {number % 3}" / f"field{number // 3}.png", number)
    (folder / "damaged.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def undisturbed(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("undisturbed") / "study"
    Study.create(study).close()
    command = AnnotateCommand(study, images, *OPTIONS)
    # One image is damaged.
    assert command.wait(LONGEST_SECONDS) == INCOMPLETE, command.said()
    return study


class Chaos:
    """Kills one part of a cluster after the other, and starts it again."""

    def __init__(self, cluster: LabCluster) -> None:
        self.cluster = cluster
        self.rng = random.Random(SEED)
        self.killed: list[str] = []

    def strike(self) -> None:
        """Kill one: every fifth time the scheduler, with which all workers end."""
        is_fifth = len(self.killed) % 5 == 3
        running = [name for name in WORKERS if self.cluster.is_running(name)]
        victim = "scheduler" if is_fifth else self.rng.choice(running)
        self.cluster.kill(victim)
        self.killed.append(victim)
        if victim == "scheduler":
            for name in WORKERS:
                self.cluster.kill(name)
            self.cluster.start_scheduler()
            for name in WORKERS:
                self.cluster.start_worker(name)
        else:
            self.cluster.start_worker(victim)

    def disturb(self, command: AnnotateCommand, deadline: float) -> None:
        """Strike at random moments until the command ends, or there were kills enough."""
        while command.is_running and len(self.killed) < KILLS:
            assert time.monotonic() < deadline, command.said()
            time.sleep(self.rng.uniform(0.1, 1.5))
            if command.is_running:
                self.strike()


def test_random_kills_change_nothing(images: Path, undisturbed: Path, tmp_path: Path):
    deadline = time.monotonic() + LONGEST_SECONDS
    studies, codes = [], []
    with LabCluster(tmp_path / "cluster") as cluster:
        for name in WORKERS:
            cluster.start_worker(name)
        cluster.wait_for_workers(len(WORKERS))
        chaos = Chaos(cluster)
        while len(chaos.killed) < KILLS:
            studies.append(tmp_path / f"study{len(studies)}")
            Study.create(studies[-1]).close()
            code = STOPPED
            while code == STOPPED:
                options = *OPTIONS, "--engine", "dask", "--scheduler", cluster.address
                command = AnnotateCommand(studies[-1], images, *options)
                command.wait_until_said("reading", deadline - time.monotonic())
                chaos.disturb(command, deadline)
                code = command.wait(max(1.0, deadline - time.monotonic()))
                codes.append(code)
                assert code in (INCOMPLETE, STOPPED), command.said()
    print(f"{chaos.killed}, exit codes {codes}")
    assert len(chaos.killed) == KILLS
    for study in studies:
        assert files_of(study) == files_of(undisturbed)
        assert rows_of(study) == rows_of(undisturbed)
