"""Push and pull through the whole stack: a study on one end, a CVAT server on the other.

Every scenario marked ``cvat`` also runs against a real server, see :mod:`cvat_places`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cvat_places import Place, http_place, real_place
from cvat_studies import crowded, make_study, roughs, same_map, truths

from annotator.pulled import PullReport
from annotator.push_values import SAME, SENT, TOUCHED, PushReport, PushRequest
from annotator.push_values import Patience as Tries
from annotator.pushing import push_images
from annotator.schema import BONE, CELL, FAT, UNLABELLED
from annotator.server_pulling import pull_server
from annotator.store import Study

ONCE = Tries(())
"""Try no push twice."""


@pytest.fixture(params=["http", pytest.param("real", marks=pytest.mark.cvat)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """The server of the tests, or a real one where that is asked for."""
    if request.param == "http":
        with http_place(lag=2) as found:
            yield found
        return
    if "cvat" not in request.config.getoption("markexpr"):
        pytest.skip("asked for with -m cvat")
    if not os.environ.get("CVAT_URL"):
        pytest.skip("CVAT_URL names no server")
    yield real_place()


@pytest.fixture
def study(tmp_path: Path, place: Place) -> Iterator[Path]:
    """Three crowded images in tasks of two, with a shape for every object."""
    settings = "[cvat]\nbatch_size = 2\nshapes_per_frame = 1000\n"
    path = make_study(tmp_path, [crowded(seed) for seed in range(3)], settings)
    yield path
    place.remove(path)


def push(place: Place, path: Path, **asked: object) -> PushReport:
    with Study.open(path) as study:
        return push_images(study, PushRequest(**asked), place.connect(), patience=ONCE)


def pull(place: Place, path: Path, only: str = "completed") -> PullReport:
    with Study.open(path) as study:
        return pull_server(study, place.connect(), only)


def finish(place: Place, path: Path) -> None:
    """Nobody changes anything, and somebody says that it is done."""
    for job in place.jobs(path):
        place.expert.complete(job["id"])


def statuses(report: PushReport) -> list[str]:
    return [one.status for one in report.images]


# Round trips


def test_what_nobody_changed_comes_back_to_the_pixel(place: Place, study: Path) -> None:
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
    place: Place, study: Path, budget: int
) -> None:
    (study / "study.toml").write_text(f"[cvat]\nshapes_per_frame = {budget}\n", "utf-8")
    push(place, study)
    assert all(len(place.expert.shapes(j["id"])) <= budget for j in place.jobs(study))
    finish(place, study)
    pull(place, study)
    found = truths(study)
    assert all(same_map(found[name], rough) for name, rough in roughs(study).items())


def test_a_job_may_hold_several_images(place: Place, study: Path) -> None:
    (study / "study.toml").write_text("[cvat]\nframes_per_job = 2\n", "utf-8")
    push(place, study)
    assert [(j["start_frame"], j["stop_frame"]) for j in place.jobs(study)] == [(0, 1), (2, 2)]
    finish(place, study)
    pull(place, study)
    found = truths(study)
    assert all(same_map(found[name], rough) for name, rough in roughs(study).items())


def test_voc_comes_back_to_the_pixel(place: Place, study: Path) -> None:
    report = push(place, study, via="voc")
    assert statuses(report) == [SENT] * 3
    finish(place, study)
    pull(place, study)
    found = truths(study)
    for name, rough in roughs(study).items():
        assert np.array_equal(found[name].classes, rough.classes), name


# Again


def test_a_second_push_makes_nothing(place: Place, study: Path) -> None:
    push(place, study)
    before = place.held(study)
    assert statuses(push(place, study)) == [SAME] * 3
    assert place.held(study) == before
    assert len(before) == 2


def test_a_second_pull_takes_nothing(place: Place, study: Path) -> None:
    push(place, study)
    finish(place, study)
    pull(place, study)
    assert [one.outcome for one in pull(place, study).jobs] == ["unchanged"] * 3


def test_a_copy_of_the_study_finds_its_tasks_again(
    place: Place, study: Path, tmp_path: Path
) -> None:
    push(place, study, count=1)
    copy = Path(shutil.copytree(study, tmp_path / "moved" / "study"))
    assert set(statuses(push(place, copy))) <= {SAME, SENT}
    assert len(place.held(copy)) == 2


# Corrections


def test_corrections_come_back_and_are_counted(place: Place, study: Path) -> None:
    push(place, study)
    name, rough = next(iter(roughs(study).items()))
    job = place.job_of(study, name)
    expected, (gone, turned) = rough.classes.copy(), two_objects(rough.classes, rough.instances)
    shapes = {object_of(place, job, one): one for one in place.expert.shapes(job)}
    place.expert.delete(job, shapes[str(gone)])
    place.expert.relabel(job, shapes[str(turned)], "bone")
    place.expert.paint(job, "cell", [0, 30, 20, 20, 24, 25])
    place.expert.comment(job, "cartilage, not bone")
    place.expert.complete(job)
    expected[rough.instances == gone] = UNLABELLED
    expected[rough.instances == turned] = BONE
    expected[20:26, 20:25] = CELL
    (one,) = pull(place, study).images
    assert np.array_equal(truths(study)[name].classes, expected)
    assert [comment.text for comment in one.comments] == ["cartilage, not bone"]
    assert one.correction is not None


def two_objects(classes: np.ndarray, instances: np.ndarray) -> tuple[int, int]:
    """Numbers of two fat objects that no brush of the tests reaches."""
    away = instances[30:][classes[30:] == FAT]
    first, second = np.unique(away[~np.isin(away, instances[:30])])[:2].tolist()
    return first, second


def object_of(place: Place, job: int, shape: dict) -> str:
    """The object that a shape was sent for, by its attribute."""
    labels = place.expert.ask("GET", f"labels?job_id={job}&page_size=100")["results"]
    (label,) = (one for one in labels if one["id"] == shape["label_id"])
    (spec,) = (one["id"] for one in label["attributes"] if one["name"] == "object")
    (value,) = (one["value"] for one in shape["attributes"] if one["spec_id"] == spec)
    return str(value)


def test_takes_what_is_finished_alone(place: Place, study: Path) -> None:
    push(place, study)
    first, second, third = (job["id"] for job in place.jobs(study))
    place.expert.complete(first)
    place.expert.complete(second, "rejected")
    place.expert.paint(third, "bg", [0, 4, 0, 0, 1, 1])
    place.expert.complete(third, "in progress")
    assert len(pull(place, study).images) == 1
    assert len(pull(place, study, "all").images) == 1, "what is not as it was pushed"
    assert len(truths(study)) == 2


def test_an_earlier_truth_is_kept(place: Place, study: Path) -> None:
    push(place, study)
    job = place.jobs(study)[0]["id"]
    place.expert.complete(job)
    (first,) = pull(place, study).images
    place.expert.paint(job, "bg", [0, 4, 0, 0, 1, 1])
    (second,) = pull(place, study).images
    assert (first.kept, second.status) == (None, "replaced")
    assert second.kept is not None and second.kept.exists()


@pytest.mark.parametrize("how", ["state", "stage", "shape", "deleted", "relabelled"])
def test_a_job_that_somebody_touched_is_left(place: Place, study: Path, how: str) -> None:
    push(place, study)
    job = place.jobs(study)[0]["id"]
    shapes = place.expert.shapes(job)
    if how == "state":
        place.expert.complete(job, "in progress")
    elif how == "stage":
        place.expert.stage(job, "validation")
    elif how == "shape":
        place.expert.paint(job, "bg", [0, 4, 0, 0, 1, 1])
    elif how == "deleted":
        place.expert.delete(job, *shapes)
    else:
        place.expert.relabel(job, shapes[-1], "bg")
    before = place.held(study)
    redraw(study)
    report = push(place, study)
    assert sorted(statuses(report)) == sorted([TOUCHED, SENT, SENT])
    (left,) = (one for one in report.images if one.status == TOUCHED)
    assert place.job_of(study, left.image) == job
    after = place.held(study)
    assert sum(row in after_jobs(after) for row in after_jobs(before)) == 1


def after_jobs(held: list) -> list:
    return [job for task in held for job in task[2]]


def redraw(path: Path) -> None:
    """Give all images of a study other rough maps."""
    from annotator.encoded import encode_png
    from annotator.store import RoughFiles

    with Study.open(path) as study:
        for seed, image in enumerate(study.images(), start=50):
            rough, known = crowded(seed), study.rough.annotation(image)
            assert known is not None
            codes = encode_png(rough.classes)
            instances = encode_png(rough.instances.astype(np.uint16))
            study.rough.save(image, RoughFiles(codes, instances, b"x"), known)


def test_nothing_of_the_patient_leaves_the_machine(place: Place, study: Path) -> None:
    push(place, study)
    for task, names, _ in place.held(study):
        with Study.open(study) as opened:
            ids = {f"{image.id}.png" for image in opened.images()}
        assert set(names) <= ids
        assert len(task) == 12
