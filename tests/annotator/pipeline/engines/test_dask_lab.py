"""A lab's own cluster: what is looked at before a run starts, and what happens when it goes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.dask_clusters import AnnotateCommand, LabCluster, free_port
from support.dask_jobs import slow
from support.dask_preloads import OTHER_VERSION, UNSEEN
from support.pipeline_fakes import write_field
from support.same_studies import files_of, rows_of

from annotator.cli.options import DONE, INCOMPLETE, STOPPED
from annotator.core.errors import ClusterError, ClusterLost
from annotator.core.workers import Done
from annotator.pipeline.engines.dask_engine import DaskEngine, Patience
from annotator.pipeline.engines.engine import NeededFiles
from annotator.study.study import Study

pytestmark = pytest.mark.slow

LONGEST_SECONDS = 180
HASTY = Patience(workers=2.0, scheduler=4.0)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LabCluster]:
    with LabCluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest.fixture
def place(tmp_path: Path) -> NeededFiles:
    """A study with four images."""
    Study.create(tmp_path / "lab" / "study").close()
    images = [write_field(tmp_path / "lab" / "images" / f"field{n}.png", n) for n in range(4)]
    return NeededFiles(tmp_path / "lab" / "study", tuple(images))


def checked(cluster: LabCluster, place: NeededFiles, send_pixels: bool = False) -> str:
    """What the check of the workers complains of."""
    engine = DaskEngine(cluster.address, 1, send_pixels, print, HASTY)
    with engine, pytest.raises(ClusterError) as caught:
        engine.check(place)
    assert "nothing was started" in str(caught.value)
    return str(caught.value)


def test_workers_that_fit_are_taken(cluster: LabCluster, place: NeededFiles):
    cluster.start_worker("alpha")
    cluster.wait_for_workers(1)
    with DaskEngine(str(cluster.file), 1, False, print) as engine:
        assert engine.check(place) == ()
        assert list(engine.run(abs, [-1, -2])) == [(-1, Done(1)), (-2, Done(2))]


def test_another_version_is_named_with_its_worker(cluster: LabCluster, place: NeededFiles):
    cluster.start_worker("alpha")
    cluster.start_worker("beta", environment={OTHER_VERSION: "numpy=1.26.0"})
    cluster.wait_for_workers(2)
    said = checked(cluster, place)
    assert "beta (tcp://127.0.0.1:" in said
    assert "expected numpy 2." in said and "got 1.26.0; install the same version there" in said
    assert "alpha" not in said


def test_a_study_that_a_worker_does_not_see(cluster: LabCluster, place: NeededFiles):
    cluster.start_worker("alpha", environment={UNSEEN: str(place.study.parent)})
    cluster.wait_for_workers(1)
    said = checked(cluster, place)
    assert f"expected the study {place.study}, got none on that path" in said
    assert f"expected {place.images[0]}" in said and "got no such file" in said
    assert said.count("mount") == 2 and "--send-pixels" in said


def test_a_model_must_be_seen_also_where_pixels_are_sent(cluster: LabCluster, place: NeededFiles):
    model = place.study.parent / "own.safetensors"
    model.write_bytes(b"weights")
    cluster.start_worker("alpha", environment={UNSEEN: str(place.study.parent)})
    cluster.wait_for_workers(1)
    said = checked(cluster, NeededFiles(place.study, place.images, (model,)), send_pixels=True)
    assert f"expected {model} with 7 bytes" in said and "copy it there" in said
    assert "field0" not in said


def test_workers_of_several_threads_are_refused(cluster: LabCluster, place: NeededFiles):
    cluster.start_worker("alpha", ("--nthreads", "3"))
    cluster.wait_for_workers(1)
    assert "expected workers of one thread, got 3 threads; start them with --nthreads 1" in checked(
        cluster, place
    )


def test_a_worker_that_comes_late_with_other_versions_does_nothing(
    cluster: LabCluster, place: NeededFiles
):
    cluster.start_worker("alpha")
    cluster.wait_for_workers(1)
    with DaskEngine(cluster.address, 1, False, print, HASTY) as engine:
        engine.check(place)
        cluster.start_worker("late", environment={OTHER_VERSION: "scipy=0.1"})
        cluster.wait_for_workers(2)
        with pytest.raises(ClusterLost, match=r"joined that cannot.* scipy .* got 0\.1"):
            list(engine.run(slow, range(20)))


def test_no_worker_comes(cluster: LabCluster, place: NeededFiles):
    said: list[str] = []
    engine = DaskEngine(cluster.address, 1, False, said.append, HASTY)
    with (
        engine,
        pytest.raises(ClusterError, match=r"expected workers at tcp://.*, got none in 2 s"),
    ):
        engine.check(place)
    assert said == ["the cluster has no worker; waiting for one (Ctrl-C stops)"]


def test_the_last_worker_goes_and_none_comes(cluster: LabCluster, place: NeededFiles):
    cluster.start_worker("alpha")
    cluster.wait_for_workers(1)
    with DaskEngine(cluster.address, 1, False, print, HASTY) as engine:
        outcomes = engine.run(slow, range(50))
        assert next(outcomes) == (0, Done(0))
        cluster.kill("alpha")
        with pytest.raises(ClusterLost, match="no worker for 2 s; what is done stays"):
            list(outcomes)


def test_a_scheduler_that_hangs_ends_the_run(cluster: LabCluster):
    cluster.start_worker("alpha")
    cluster.wait_for_workers(1)
    began = time.monotonic()
    with DaskEngine(cluster.address, 1, False, print, HASTY) as engine:
        outcomes = engine.run(slow, range(50))
        next(outcomes)
        # As where the network stops: nothing is refused, and nothing answered.
        cluster.processes["scheduler"].send_signal(signal.SIGSTOP)
        with pytest.raises(ClusterLost, match="has not answered for 4 s"):
            list(outcomes)
    assert time.monotonic() - began < 60


def test_a_scheduler_that_comes_back_gets_the_work_again(cluster: LabCluster):
    cluster.start_worker("alpha")
    cluster.wait_for_workers(1)
    said: list[str] = []
    with DaskEngine(cluster.address, 1, False, said.append) as engine:
        outcomes = engine.run(slow, range(12))
        assert next(outcomes) == (0, Done(0))
        cluster.kill("scheduler")
        cluster.kill("alpha")
        cluster.start_scheduler()
        cluster.start_worker("alpha")
        assert list(outcomes) == [(n, Done(n)) for n in range(1, 12)]
    assert "the connection to the scheduler was lost; waiting for it to come back" in said


def annotate_command(place: NeededFiles, study: Path, *options: str) -> AnnotateCommand:
    return AnnotateCommand(study, place.images[0].parent, "--network", "none", *options)


def on_cluster(cluster: LabCluster) -> tuple[str, ...]:
    return "--engine", "dask", "--scheduler", cluster.address


@pytest.fixture
def alone(place: NeededFiles, tmp_path: Path) -> Path:
    """The same images, annotated by one process."""
    study = tmp_path / "alone"
    Study.create(study).close()
    command = annotate_command(place, study)
    assert command.wait(LONGEST_SECONDS) == DONE, command.said()
    return study


def test_pixels_are_sent_to_workers_that_see_nothing(
    cluster: LabCluster, place: NeededFiles, alone: Path
):
    cluster.start_worker("alpha", environment={UNSEEN: str(place.study.parent)})
    cluster.wait_for_workers(1)
    command = annotate_command(place, place.study, *on_cluster(cluster), "--send-pixels")
    assert command.wait(LONGEST_SECONDS) == DONE, command.said()
    assert files_of(place.study) == files_of(alone)
    assert rows_of(place.study) == rows_of(alone)


def test_paths_of_the_command_line_mean_the_same_on_workers(
    cluster: LabCluster, place: NeededFiles, alone: Path
):
    cluster.start_worker("alpha")
    cluster.wait_for_workers(1)
    there = Path(os.path.relpath(place.study))
    images = os.path.relpath(place.images[0].parent)
    options = "--network", "none", *on_cluster(cluster)
    command = AnnotateCommand(there, Path(images), *options)
    assert command.wait(LONGEST_SECONDS) == DONE, command.said()
    assert files_of(place.study) == files_of(alone)


@pytest.fixture
def hasty_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands try for two seconds to reach a scheduler, not for half a minute."""
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "2s")


def test_without_a_scheduler_nothing_starts(place: NeededFiles, hasty_commands: None):
    options = "--engine", "dask", "--scheduler", f"tcp://127.0.0.1:{free_port()}"
    command = annotate_command(place, place.study, *options)
    assert command.wait(LONGEST_SECONDS) == INCOMPLETE
    assert "expected a Dask scheduler, got no answer that can be used" in command.said()
    assert not list((place.study / "objects").iterdir())


def test_a_cluster_that_ends_stops_the_run_which_is_taken_up_again(
    cluster: LabCluster, place: NeededFiles, alone: Path, hasty_commands: None
):
    cluster.start_worker("alpha")
    cluster.wait_for_workers(1)
    command = annotate_command(place, place.study, *on_cluster(cluster))
    command.wait_until_said("reading")
    cluster.kill("scheduler")
    assert command.wait(LONGEST_SECONDS) == STOPPED, command.said()
    assert "the scheduler is gone" in command.said()
    assert "run the same command again" in command.said()
    assert "Traceback" not in command.said()
    again = annotate_command(place, place.study, "--engine", "dask")
    assert again.wait(LONGEST_SECONDS) == DONE, again.said()
    assert files_of(place.study) == files_of(alone)
    assert rows_of(place.study) == rows_of(alone)


def test_ctrl_c_stops_the_run_and_its_own_cluster(place: NeededFiles, heard_signals: None):
    command = annotate_command(place, place.study, "--engine", "dask", "--workers", "2")
    command.wait_until_said("reading")
    workers = command.workers()
    assert workers
    command.process.send_signal(signal.SIGINT)
    assert command.wait(LONGEST_SECONDS) == STOPPED, command.said()
    assert "stopped; run the same command again to go on" in command.said()
    assert "Traceback" not in command.said()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []


def test_a_cluster_of_its_own_ends_with_a_killed_run(place: NeededFiles):
    command = annotate_command(place, place.study, "--engine", "dask", "--workers", "2")
    command.wait_until_said("reading")
    workers = command.workers()
    command.process.kill()
    command.process.wait()
    gone, alive = psutil.wait_procs(workers, timeout=60)
    assert len(gone) >= 2
    assert alive == []
