"""Push and pull through the whole stack: a study on one end, a CVAT server on the other.

Every scenario marked ``cvat`` also runs against a real server, see :mod:`cvat_places`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.cvat_ends import pull, push
from support.cvat_places import PLACES, CvatPlace, asked_for
from support.cvat_studies import crowded, make_study, roughs, same_map, truths

from annotator.study.study import Study
from export.cvat.push_report import SAME, SENT, PushReport

pytestmark = pytest.mark.slow


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[CvatPlace]:
    """The server of the tests, or a real one where that is asked for."""
    with asked_for(request) as found:
        yield found


@pytest.fixture
def study(tmp_path: Path, place: CvatPlace) -> Iterator[Path]:
    """Three crowded images in tasks of two, with a shape for every object."""
    settings = "[cvat]\nbatch_size = 2\nshapes_per_frame = 1000\n"
    path = make_study(tmp_path, [crowded(seed) for seed in range(3)], settings)
    yield path
    place.remove(path)


def finish(place: CvatPlace, path: Path) -> None:
    """Nobody changes anything, and somebody says that it is done."""
    for job in place.jobs(path):
        place.expert.complete(job["id"])


def statuses(report: PushReport) -> list[str]:
    return [one.status for one in report.images]


# Round trips


def test_what_nobody_changed_comes_back_to_the_pixel(place: CvatPlace, study: Path) -> None:
    assert statuses(push(place, study)) == [SENT] * 3
    finish(place, study)
    report = pull(place, study)
    assert [one.status for one in report.images] == ["new"] * 3
    found = truths(study)
    for name, rough in roughs(study).items():
        assert len(np.unique(rough.instances)) > 80
        assert same_map(found[name], rough), name
    assert all(one.tied_px == 0 for one in report.images)


@pytest.mark.parametrize("budget", [8, 40])
def test_objects_beyond_the_budget_come_back_to_the_pixel(
    place: CvatPlace, study: Path, budget: int
) -> None:
    (study / "study.toml").write_text(f"[cvat]\nshapes_per_frame = {budget}\n", "utf-8")
    push(place, study)
    assert all(len(place.expert.shapes(j["id"])) <= budget for j in place.jobs(study))
    finish(place, study)
    pull(place, study)
    found = truths(study)
    assert all(same_map(found[name], rough) for name, rough in roughs(study).items())


def test_a_job_may_hold_several_images(place: CvatPlace, study: Path) -> None:
    (study / "study.toml").write_text("[cvat]\nframes_per_job = 2\n", "utf-8")
    push(place, study)
    assert [(j["start_frame"], j["stop_frame"]) for j in place.jobs(study)] == [(0, 1), (2, 2)]
    finish(place, study)
    pull(place, study)
    found = truths(study)
    assert all(same_map(found[name], rough) for name, rough in roughs(study).items())


def test_voc_comes_back_to_the_pixel(place: CvatPlace, study: Path) -> None:
    report = push(place, study, via="voc")
    assert statuses(report) == [SENT] * 3
    finish(place, study)
    pull(place, study)
    found = truths(study)
    for name, rough in roughs(study).items():
        assert np.array_equal(found[name].classes, rough.classes), name


# Again


def test_a_second_push_makes_nothing(place: CvatPlace, study: Path) -> None:
    push(place, study)
    before = place.held(study)
    assert statuses(push(place, study)) == [SAME] * 3
    assert place.held(study) == before
    assert len(before) == 2


def test_a_second_pull_takes_nothing(place: CvatPlace, study: Path) -> None:
    push(place, study)
    finish(place, study)
    pull(place, study)
    assert [one.outcome for one in pull(place, study).jobs] == ["unchanged"] * 3


def test_a_copy_of_the_study_finds_its_tasks_again(
    place: CvatPlace, study: Path, tmp_path: Path
) -> None:
    push(place, study, count=1)
    copy = Path(shutil.copytree(study, tmp_path / "moved" / "study"))
    assert set(statuses(push(place, copy))) <= {SAME, SENT}
    assert len(place.held(copy)) == 2


# Names


def test_nothing_of_the_patient_leaves_the_machine(place: CvatPlace, study: Path) -> None:
    push(place, study)
    for task, names, _ in place.held(study):
        with Study.open(study) as opened:
            ids = {f"{image.id}.png" for image in opened.images()}
        assert set(names) <= ids
        assert len(task) == 12
