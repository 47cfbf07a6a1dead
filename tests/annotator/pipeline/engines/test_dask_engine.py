"""The Dask engine on a cluster of its own: order, bounds, faults, and who can reach it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest
from support.dask_jobs import noted, numbered, once_killed, surroundings
from support.pipeline_fakes import BUG, FINE, KILLED, NO_MEMORY

from annotator.core.workers import Done, Fault
from annotator.pipeline.engines.dask_engine import DaskEngine
from annotator.pipeline.engines.engine import NeededFiles

pytestmark = pytest.mark.slow


def own_cluster(workers: int = 2) -> DaskEngine:
    return DaskEngine(None, workers, False, print)


@pytest.fixture(scope="module")
def engine() -> Iterator[DaskEngine]:
    # Another test may have started the process from which all are forked, without what ours get.
    forkserver._forkserver._stop()
    with own_cluster() as engine:
        yield engine


def test_results_come_in_the_order_of_the_jobs(engine: DaskEngine):
    jobs = [(n, FINE) for n in range(25)]
    assert list(engine.run(numbered, jobs)) == [(job, Done(job[0])) for job in jobs]


def test_a_worker_is_like_a_process_of_ours(engine: DaskEngine):
    found = [outcome.result for _, outcome in engine.run(surroundings, range(8))]
    assert len({pid for pid, *_ in found} - {os.getpid()}) == 2
    assert {tuple(rest) for _, *rest in found} == {("1", "1", 1, False)}


def test_no_job_is_no_work(engine: DaskEngine):
    assert list(engine.run(numbered, [])) == []


def test_few_jobs_are_under_way(engine: DaskEngine, tmp_path: Path):
    outcomes = engine.run(noted, [(n, tmp_path) for n in range(60)])
    for done, _ in enumerate(outcomes, start=1):
        time.sleep(0.01)
        # Two jobs a worker, and the one in hand.
        assert len(list(tmp_path.iterdir())) <= done + 2 * 2


def test_a_fault_is_that_jobs_alone(engine: DaskEngine):
    kinds = [FINE, BUG, NO_MEMORY, FINE]
    outcomes = [outcome for _, outcome in engine.run(numbered, list(enumerate(kinds)))]
    assert [outcomes[0], outcomes[3]] == [Done(0), Done(3)]
    bug, no_memory = outcomes[1:3]
    assert isinstance(bug, Fault) and "ZeroDivisionError" in bug.reason
    assert "in misfortune" in bug.trace
    assert isinstance(no_memory, Fault) and "not enough memory" in no_memory.reason


def test_the_job_of_a_dead_worker_is_done_by_another(engine: DaskEngine, tmp_path: Path):
    outcomes = list(engine.run(once_killed, [(n, tmp_path) for n in range(8)]))
    assert [outcome for _, outcome in outcomes] == [Done(n) for n in range(8)]
    assert (tmp_path / "died").exists()


def test_a_job_that_kills_its_workers_costs_only_itself(engine: DaskEngine):
    kinds = [FINE, FINE, KILLED, FINE, FINE, FINE]
    outcomes = [outcome for _, outcome in engine.run(numbered, list(enumerate(kinds)))]
    fault = outcomes.pop(2)
    assert isinstance(fault, Fault)
    assert "its workers died, again and again" in fault.reason
    assert "want of memory" in fault.reason
    assert fault.trace == ""
    assert outcomes == [Done(n) for n in (0, 1, 3, 4, 5)]


def test_who_stops_listening_stops_the_work(engine: DaskEngine, tmp_path: Path):
    outcomes = engine.run(noted, [(n, tmp_path) for n in range(1000)])
    next(outcomes)
    outcomes.close()
    assert list(engine.run(numbered, [(1, FINE)])) == [((1, FINE), Done(1))]
    assert len(list(tmp_path.iterdir())) < 20


def test_only_this_machine_can_reach_the_cluster(engine: DaskEngine):
    ours = {os.getpid(), *(p.pid for p in psutil.Process().children(recursive=True))}
    listening = {
        one.laddr.ip
        for one in psutil.net_connections("inet")
        if one.status == psutil.CONN_LISTEN and one.pid in ours
    }
    assert listening == {"127.0.0.1"}


def test_nothing_is_left_behind(tmp_path: Path):
    before = dict(os.environ)
    with own_cluster(1) as engine:
        assert engine.check(NeededFiles(tmp_path, ())) == ()
        pids = [outcome.result[0] for _, outcome in engine.run(surroundings, [1])]
    assert dict(os.environ) == before
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pids[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pids[0])
