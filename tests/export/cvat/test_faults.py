"""A network, or a process, that fails at any request: the next run finishes the work.

``CVAT_FAULTS=1000`` in the environment has every request fail in turn, instead of some.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cvat_ends import (
    FAULTS,
    IMPATIENT,
    attempt,
    copied,
    correct,
    end_of_push,
    pull,
    push,
    small_study,
    until_done,
    wrong_masks,
)
from support.cvat_http.faults import RESET_AFTER, RESET_BEFORE, TRUNCATED, TWICE, UNDONE
from support.cvat_places import CvatPlace, http_place

pytestmark = pytest.mark.slow


@pytest.fixture
def place() -> Iterator[CvatPlace]:
    """A server whose background work takes some requests, for a member of an organisation."""
    with http_place(lag=2) as found:
        found.log_in_as("member")
        yield found


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that is never sent, its copies are: one task, or two where there is time."""
    return small_study(tmp_path_factory.mktemp("drawn"), 3 if FAULTS >= 1000 else 2, "lab")


@pytest.fixture(scope="module")
def undisturbed(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What a server holds after a push that nothing disturbed."""
    return end_of_push(drawn, tmp_path_factory.mktemp("quiet") / "x")


def requests_of(place: CvatPlace, action: Callable[[], object], kind: str) -> list[int]:
    """Numbers of the requests that are to fail.

    All that something takes; or, where only a hundred faults are asked for, those that change
    something if the server works them off in spite of the fault, and else every twelfth.
    """
    assert place.http is not None
    place.http.log.clear()
    action()
    methods = [one.method for one in place.http.log]
    if FAULTS >= 1000:
        return list(range(len(methods)))
    if kind in UNDONE:
        return list(range(0, len(methods), 12))
    return [number for number, method in enumerate(methods) if method != "GET"]


# At every request


@pytest.mark.parametrize("kind", [RESET_BEFORE, RESET_AFTER])
def test_a_push_that_breaks_off_anywhere_is_finished_by_the_next(
    place: CvatPlace, drawn: Path, undisturbed: list[Any], tmp_path: Path, kind: str
) -> None:
    assert place.http is not None
    place.retries = IMPATIENT
    with copied(drawn, tmp_path / "count") as path:
        numbers = requests_of(place, lambda: push(place, path), kind)
    for number in numbers:
        with copied(drawn, tmp_path / "try") as path:
            place.http.faults.down(number, kind == RESET_AFTER)
            finished, message = attempt(lambda p=path: push(place, p))
            # What only tidies up at the end may fail without harm.
            assert message or finished, number
            place.http.faults.clear()
            assert push(place, path).is_complete, number
            assert place.held(path) == undisturbed, number


@pytest.mark.parametrize("kind", [RESET_BEFORE, RESET_AFTER, TRUNCATED, TWICE])
def test_a_push_gets_over_one_fault_anywhere(
    place: CvatPlace, drawn: Path, undisturbed: list[Any], tmp_path: Path, kind: str
) -> None:
    assert place.http is not None
    with copied(drawn, tmp_path / "count") as path:
        numbers = requests_of(place, lambda: push(place, path), kind)
    if FAULTS < 1000:
        # These two are the same to the server: half of the requests for each.
        half = {RESET_AFTER: slice(0, None, 2), TRUNCATED: slice(1, None, 2)}
        numbers = numbers[half.get(kind, slice(None))]
    for number in numbers:
        with copied(drawn, tmp_path / "try") as path:
            place.http.faults.at({number: kind})
            until_done(lambda p=path: push(place, p))
            assert place.held(path) == undisturbed, number


def test_a_pull_that_breaks_off_anywhere_is_finished_by_the_next(
    place: CvatPlace, drawn: Path, tmp_path: Path
) -> None:
    assert place.http is not None
    place.retries = IMPATIENT
    with copied(drawn, tmp_path / "sent") as sent:
        push(place, sent)
        expected = correct(place, sent, np.random.default_rng(0))
        with copied(sent, tmp_path / "count") as path:
            numbers = requests_of(place, lambda: pull(place, path), RESET_BEFORE)
        for number in numbers:
            with copied(sent, tmp_path / "try") as path:
                place.http.faults.down(number)
                finished, message = attempt(lambda p=path: pull(place, p))
                assert message and not finished, number
                place.http.faults.clear()
                pull(place, path)
                assert wrong_masks(path, expected) == [], number


PUSH_ALONE = """
import sys
from pathlib import Path
from export.cvat.client.credentials import connect
from export.cvat.push_report import PushRequest
from export.cvat.push import push_images
from annotator.study.study import Study
with Study.open(Path(sys.argv[1])) as study:
    push_images(study, PushRequest(), connect(study.settings.cvat))
"""


def credentials_of(place: CvatPlace) -> dict[str, str]:
    """The environment, with those for this server instead of any others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CVAT_")}
    return kept | dict(place.environ)


@pytest.mark.parametrize("number", [8, 20] if FAULTS < 1000 else range(0, 34, 3))
def test_a_push_that_is_killed_is_finished_by_the_next(
    place: CvatPlace, drawn: Path, undisturbed: list[Any], tmp_path: Path, number: int
) -> None:
    assert place.http is not None
    with copied(drawn, tmp_path / "try") as path:
        command = [sys.executable, "-c", PUSH_ALONE, str(path)]
        with subprocess.Popen(command, env=credentials_of(place)) as running:

            def kill(seen: int) -> None:
                if seen == number:
                    running.kill()

            place.http.faults.clear()
            place.http.faults.before = kill
            assert running.wait(300) == -signal.SIGKILL
        place.http.faults.before = None
        assert push(place, path).is_complete
        assert place.held(path) == undisturbed
