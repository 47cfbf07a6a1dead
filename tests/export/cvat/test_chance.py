"""Faults by chance: nothing is lost, nothing is doubled, every failure is said.

``CVAT_FAULTS=1000`` in the environment asks for that many instead of a hundred.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cvat_ends import (
    FAULTS,
    HASTE,
    IMPATIENT,
    attempt,
    become_somebody,
    copied,
    correct,
    end_of_push,
    pull,
    push,
    small_study,
    until_done,
    wrong_masks,
)
from support.cvat_http.faults import ALL
from support.cvat_places import CvatPlace, http_place
from support.cvat_studies import truths

pytestmark = pytest.mark.slow


@pytest.fixture
def place() -> Iterator[CvatPlace]:
    """A server whose background work takes some requests."""
    with http_place(lag=2) as found:
        yield found


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that is never sent; its copies are."""
    return small_study(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def undisturbed(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What a server holds after a push that nothing disturbed."""
    return end_of_push(drawn, tmp_path_factory.mktemp("quiet") / "x")


def test_faults_by_chance_lose_nothing_and_double_nothing(
    place: CvatPlace, drawn: Path, undisturbed: list[Any], tmp_path: Path
) -> None:
    """Pushes, corrections, pulls and pushes again, until there were as many faults as asked for.

    Each round is somebody else's, and in each a user without access tries the same.
    """
    assert place.http is not None
    faults, rounds = place.http.faults, 0
    rng = np.random.default_rng(12)
    while len(faults.log) < FAULTS:
        rounds += 1
        with copied(drawn, tmp_path / "try") as path:
            check_round(place, path, undisturbed, rng)
        place.http.log.clear()
    print(f"{len(faults.log)} faults in {2 * rounds} pushes and {rounds} pulls")
    assert {one.kind for one in faults.log} == set(ALL)


def strangers_try(place: CvatPlace, path: Path) -> list[str]:
    """Somebody without access pushes and pulls through the same network, and gets nowhere."""
    environ = place.environ
    place.log_in_as("stranger")
    tries = [attempt(lambda: push(place, path)), attempt(lambda: pull(place, path))]
    place.environ = environ
    assert not any(done for done, _ in tries)
    return [message for _, message in tries]


def check_round(
    place: CvatPlace, path: Path, undisturbed: list[Any], rng: np.random.Generator
) -> None:
    assert place.http is not None
    faults = place.http.faults

    def disturb() -> None:
        # Who repeats nothing would not get through a network that is worse.
        place.retries, chances = [(IMPATIENT, (0.03, 0.1)), (HASTE, (0.1, 0.3))][rng.integers(2)]
        faults.random(int(rng.integers(2**31)), float(rng.choice(chances)))

    become_somebody(place, path, rng)
    disturb()
    messages = until_done(lambda: push(place, path))
    faults.clear()
    assert place.held(path) == undisturbed
    expected = correct(place, path, rng)
    before = place.held(path)
    disturb()
    messages += strangers_try(place, path)
    assert (place.held(path), truths(path)) == (before, {}), "a stranger changed something"
    messages += until_done(lambda: pull(place, path))
    faults.clear()
    assert wrong_masks(path, expected) == []
    disturb()
    messages += until_done(lambda: push(place, path))
    faults.clear()
    assert place.held(path) == before, "a correction was lost"
    assert wrong_masks(path, expected) == []
    assert all(messages), "a failure without a message"
