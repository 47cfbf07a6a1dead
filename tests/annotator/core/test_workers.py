"""Jobs in several processes: in order, bounded, each fault kept to its own job."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.pipeline_fakes import BUG, FINE, KILLED, NO_MEMORY, SLOW, misfortune

from annotator.core.errors import ImageError
from annotator.core.workers import Done, Fault, Workers, attempt, reproducible


def run(task, jobs, count: int) -> list:
    with Workers(count) as workers:
        return list(workers.run(task, jobs))


def echo(job: tuple[int, int]) -> int:
    number, kind = job
    misfortune(kind)
    return number


def refuse(_: int) -> int:
    raise ImageError("not an image")


def process_and_threads(meeting: Path) -> tuple[int, str, int]:
    """Wait in a folder until two processes were there: neither can do all the jobs."""
    (meeting / str(os.getpid())).touch()
    deadline = time.monotonic() + 300
    while len(list(meeting.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    return os.getpid(), os.environ["OMP_NUM_THREADS"], cv2.getNumThreads()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_results_come_in_the_order_of_the_jobs(workers: int):
    jobs = [(n, FINE) for n in range(9)]
    assert run(echo, jobs, workers) == [(job, Done(job[0])) for job in jobs]


def test_what_a_person_can_act_on_has_no_trace():
    assert attempt(refuse, 1) == Fault("not an image")


def test_a_mistake_of_ours_has_its_type_and_trace():
    fault = attempt(echo, (1, BUG))
    assert isinstance(fault, Fault)
    assert "ZeroDivisionError" in fault.reason
    assert "in misfortune" in fault.trace


def test_no_memory_is_said_in_words():
    fault = attempt(echo, (1, NO_MEMORY))
    assert isinstance(fault, Fault)
    assert fault.trace == ""
    assert "not enough memory" in fault.reason


@pytest.mark.slow
def test_a_killed_process_costs_only_its_own_job():
    kinds = [FINE, KILLED, FINE, BUG, KILLED, FINE, FINE]
    outcomes = run(echo, list(enumerate(kinds)), 2)
    assert [job[0] for job, _ in outcomes] == list(range(7))
    for (number, kind), outcome in outcomes:
        if kind == FINE:
            assert outcome == Done(number)
        else:
            assert isinstance(outcome, Fault)
            assert ("killed the process" in outcome.reason) == (kind == KILLED)


@pytest.mark.slow
def test_several_processes_with_one_thread_each(tmp_path: Path):
    found = [outcome.result for _, outcome in run(process_and_threads, [tmp_path] * 6, 2)]
    assert len({pid for pid, _, _ in found}) == 2
    assert os.getpid() not in {pid for pid, _, _ in found}
    assert {threads[1:] for threads in found} == {("1", 1)}


@pytest.mark.slow
def test_the_environment_is_as_before():
    before = dict(os.environ)
    run(echo, [(0, FINE), (1, FINE)], 2)
    assert dict(os.environ) == before


def test_the_libraries_are_left_as_they_were():
    threads, ipp = cv2.getNumThreads(), cv2.ipp.useIPP()
    cv2.setNumThreads(2)
    with reproducible():
        assert (cv2.getNumThreads(), cv2.ipp.useIPP()) == (1, False)
    assert (cv2.getNumThreads(), cv2.ipp.useIPP()) == (2, ipp)
    cv2.setNumThreads(threads)


def test_a_result_does_not_depend_on_where_arrays_lie():
    source = np.random.default_rng(0).random((64, 96)).astype(np.float32)
    room = np.zeros(64 * 96 * 4 + 64, np.uint8)
    results = set()
    with reproducible():
        for offset in range(0, 64, 4):
            place = room[offset : offset + source.nbytes].view(np.float32).reshape(source.shape)
            cv2.magnitude(source, source[::-1].copy(), place)
            results.add(place.tobytes())
    assert len(results) == 1


@pytest.mark.slow
def test_who_stops_listening_stops_the_work():
    started = time.monotonic()
    with Workers(2) as workers:
        outcomes = workers.run(echo, [(0, FINE), (1, SLOW), (2, SLOW), (3, FINE)])
        assert next(outcomes) == ((0, FINE), Done(0))
        outcomes.close()
        assert multiprocessing.active_children() == []
    # A job that is slow sleeps for longer.
    assert time.monotonic() - started < 500


@pytest.mark.slow
def test_the_same_processes_do_one_task_after_the_other(tmp_path: Path):
    meetings = tmp_path / "first", tmp_path / "second"
    with Workers(2) as workers:
        pids = []
        for meeting in meetings:
            meeting.mkdir()
            outcomes = workers.run(process_and_threads, [meeting] * 4)
            pids.append({outcome.result[0] for _, outcome in outcomes})
        assert pids[0] == pids[1]
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(tmp_path: Path):
    script, meeting = tmp_path / "parent.py", tmp_path / "meeting"
    meeting.mkdir()
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from annotator.core.workers import Workers\n"
        "from test_workers import process_and_threads\n"
        "if __name__ == '__main__':\n"
        "    jobs = [Path(sys.argv[1])] * 100_000\n"
        "    for _, outcome in Workers(2).run(process_and_threads, jobs):\n"
        "        print(outcome.result[0], flush=True)\n"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    }
    with subprocess.Popen(
        [sys.executable, str(script), str(meeting)], stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout is not None
        workers = {int(parent.stdout.readline()) for _ in range(4)}
        parent.kill()
    deadline = time.monotonic() + 300
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


def is_running(pid: int) -> bool:
    """A process that ended and is not collected yet does not run."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def leave(_: int) -> None:
    os._exit(7)


class Unloadable:
    """Work that another process cannot load."""

    def __reduce__(self):
        return (refuse_to_load, ())

    def __call__(self, job: int) -> int:
        return job


def refuse_to_load() -> None:
    raise ImportError("cannot import name 'Table' from 'features'")


@pytest.mark.slow
def test_a_process_that_ends_by_itself_is_not_called_want_of_memory():
    ((_, outcome),) = run(leave, [0], 2)
    assert isinstance(outcome, Fault)
    assert "exit code 7" in outcome.reason
    assert "memory" not in outcome.reason


@pytest.mark.slow
def test_work_that_cannot_be_loaded_says_the_real_error():
    ((_, outcome),) = run(Unloadable(), [0], 2)
    assert isinstance(outcome, Fault)
    assert "ImportError: cannot import name 'Table' from 'features'" in outcome.reason


@pytest.mark.slow
def test_modules_in_the_current_folder_are_not_taken_for_ours(tmp_path: Path):
    for name in ("features", "export", "scipy"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not ours')")
    (tmp_path / "elsewhere").mkdir()
    script = tmp_path / "elsewhere" / "script.py"
    script.write_text(
        "from annotator.core.workers import Workers\n"
        "from features.table import FeatureTable\n"
        "if __name__ == '__main__':\n"
        "    with Workers(2, ['features.table', 'scipy.ndimage']) as workers:\n"
        "        print([outcome.result for _, outcome in workers.run(abs, [-1, -2])])\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.stderr) == ("[1, 2]\n", "")
