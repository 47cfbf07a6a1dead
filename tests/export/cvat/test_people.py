"""People at work on the server: what they change comes back, what they touched is left.

Every scenario marked ``cvat`` also runs against a real server, see :mod:`cvat_places`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cvat_ends import pull, push
from support.cvat_places import PLACES, CvatPlace, asked_for
from support.cvat_studies import SIZE, crowded, make_study, roughs, same_map, truths

from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.errors import CvatError
from annotator.imaging.codecs import encode_png
from annotator.study.rough import RoughFiles
from annotator.study.study import Study
from export.cvat.push_report import SENT, TOUCHED

pytestmark = pytest.mark.slow

Classes = np.ndarray[Any, np.dtype[np.uint8]]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[CvatPlace]:
    """The server of the tests, or a real one where that is asked for."""
    with asked_for(request) as found:
        yield found


@pytest.fixture
def study(tmp_path: Path, place: CvatPlace) -> Iterator[Path]:
    """Three crowded images in tasks of two, with a shape for every object."""
    settings = "[cvat]\nbatch_size = 2\nshapes_per_frame = 1000\n"
    path = make_study(tmp_path, [crowded(seed, SIZE, 60) for seed in range(3)], settings)
    yield path
    place.remove(path)


# Corrections


def test_corrections_come_back_and_are_counted(place: CvatPlace, study: Path) -> None:
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


def two_objects(classes: Classes, instances: np.ndarray[Any, Any]) -> tuple[int, int]:
    """Numbers of two fat objects that no brush of the tests reaches."""
    away = instances[30:][classes[30:] == FAT]
    first, second = np.unique(away[~np.isin(away, instances[:30])])[:2].tolist()
    return first, second


def object_of(place: CvatPlace, job: int, shape: dict[str, Any]) -> str:
    """The object that a shape was sent for, by its attribute."""
    labels = place.expert.ask("GET", f"labels?job_id={job}&page_size=100")["results"]
    (label,) = (one for one in labels if one["id"] == shape["label_id"])
    (spec,) = (one["id"] for one in label["attributes"] if one["name"] == "object")
    (value,) = (one["value"] for one in shape["attributes"] if one["spec_id"] == spec)
    return str(value)


def test_takes_what_is_finished_alone(place: CvatPlace, study: Path) -> None:
    push(place, study)
    first, second, third = (job["id"] for job in place.jobs(study))
    place.expert.complete(first)
    place.expert.complete(second, "rejected")
    place.expert.paint(third, "bg", [0, 4, 0, 0, 1, 1])
    place.expert.complete(third, "in progress")
    assert len(pull(place, study).images) == 1
    assert len(pull(place, study, "all").images) == 1, "what is not as it was pushed"
    assert len(truths(study)) == 2


def test_an_earlier_truth_is_kept(place: CvatPlace, study: Path) -> None:
    push(place, study)
    job = place.jobs(study)[0]["id"]
    place.expert.complete(job)
    (first,) = pull(place, study).images
    place.expert.paint(job, "bg", [0, 4, 0, 0, 1, 1])
    (second,) = pull(place, study).images
    assert (first.kept, second.status) == (None, "replaced")
    assert second.kept is not None and second.kept.exists()


@pytest.mark.parametrize("how", ["state", "stage", "shape", "deleted", "relabelled"])
def test_a_job_that_somebody_touched_is_left(place: CvatPlace, study: Path, how: str) -> None:
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
    assert sorted(one.status for one in report.images) == sorted([TOUCHED, SENT, SENT])
    (left,) = (one for one in report.images if one.status == TOUCHED)
    assert place.job_of(study, left.image) == job
    after = place.held(study)
    assert sum(row in after_jobs(after) for row in after_jobs(before)) == 1


def after_jobs(held: list) -> list:
    return [job for task in held for job in task[2]]


def test_a_task_that_somebody_renamed_is_still_ours(place: CvatPlace, study: Path) -> None:
    push(place, study)
    job, other = place.jobs(study)[0], place.jobs(study)[2]
    for one in (job, other):
        place.expert.ask("PATCH", f"tasks/{one['task_id']}", {"name": f"Eva's {one['id']}"})
    place.expert.paint(job["id"], "bg", [0, 4, 0, 0, 1, 1])
    redraw(study)
    assert sorted(one.status for one in push(place, study).images) == [SENT, SENT, TOUCHED]
    assert len({j["task_id"] for j in place.jobs(study)}) == 2
    for one in place.jobs(study):
        place.expert.complete(one["id"])
    report = pull(place, study)
    assert ([one.status for one in report.images], report.notes) == (["new"] * 3, ())


def redraw(path: Path) -> None:
    """Give all images of a study other rough maps."""
    with Study.open(path) as study:
        for seed, image in enumerate(study.images(), start=50):
            rough, known = crowded(seed, SIZE, 60), study.rough.annotation(image)
            assert known is not None
            codes = encode_png(rough.classes)
            instances = encode_png(rough.instances.astype(np.uint16))
            study.rough.save(image, RoughFiles(codes, instances, b"x"), known)


# Whatever people draw


def test_every_kind_of_shape_is_painted_as_the_server_does(place: CvatPlace, study: Path) -> None:
    push(place, study)
    name, rough = next(iter(roughs(study).items()))
    job, frame = place.place_of(study, name)
    expected = rough.classes.copy()
    drawn = [
        ("rectangle", "bone", [10.0, 30.0, 20.0, 40.0], np.s_[30:40, 10:20], BONE),
        (
            "polygon",
            "fat",
            [30.0, 30.0, 40.0, 30.0, 40.0, 40.0, 30.0, 40.0],
            np.s_[30:40, 30:40],
            1,
        ),
        ("mask", "bg", [0, 100, 45, 30, 54, 39], np.s_[30:40, 45:55], BG),
    ]
    for kind, label, points, where, code in drawn:
        place.expert.paint(job, label, points, kind, frame=frame)
        expected[where] = code
    place.expert.paint(job, "fat", [65.0, 50.0, 70.0, 45.0], "ellipse", frame=frame)
    place.expert.paint(job, "bone", [1.0, 1.0, 9.0, 9.0], "points", frame=frame)
    place.expert.complete(job)
    (one,) = pull(place, study).images
    found = truths(study)[name].classes
    assert np.array_equal(found[:, :58], expected[:, :58])
    assert found[50, 65] == FAT
    assert np.count_nonzero(found[44:57, 59:72] != expected[44:57, 59:72]) > 10
    assert dict(one.unused) == {"points": 1}


def test_shapes_of_one_group_are_one_object(place: CvatPlace, study: Path) -> None:
    push(place, study)
    name = next(iter(roughs(study)))
    job, frame = place.place_of(study, name)
    for left in (10, 40):
        box = [left, 30, left + 9, 39]
        place.expert.paint(job, "bone", [0, 100, *box], frame=frame, group=7)
    place.expert.complete(job)
    pull(place, study)
    instances = truths(study)[name].instances
    assert instances[35, 15] == instances[35, 45] > 0


def test_an_object_that_was_not_changed_keeps_its_number(place: CvatPlace, study: Path) -> None:
    """Also where objects share a shape, and where another object of the job was changed."""
    (study / "study.toml").write_text("[cvat]\nshapes_per_frame = 20\n", "utf-8")
    push(place, study)
    name, rough = next(iter(roughs(study).items()))
    job, frame = place.place_of(study, name)
    place.expert.paint(job, "bone", [0, 100, 30, 30, 39, 39], frame=frame)
    place.expert.complete(job)
    pull(place, study)
    found = truths(study)[name]
    beside = np.ones(rough.shape, bool)
    beside[30:40, 30:40] = False
    assert np.array_equal(found.classes[beside], rough.classes[beside])
    whole = [n for n in np.unique(rough.instances) if not (rough.instances == n)[~beside].any()]
    unhurt = np.isin(rough.instances, whole)
    assert np.array_equal(found.instances[unhurt], rough.instances[unhurt])
    assert len(whole) > 30


def test_a_job_that_was_emptied_leaves_the_truth_alone(place: CvatPlace, study: Path) -> None:
    push(place, study)
    job = place.jobs(study)[0]["id"]
    place.expert.complete(job)
    pull(place, study)
    before = truths(study)
    place.expert.delete(job, *place.expert.shapes(job))
    (one,) = pull(place, study).images
    assert one.status == "empty"
    assert all(same_map(before[name], found) for name, found in truths(study).items())


def test_jobs_are_given_to_somebody(place: CvatPlace, study: Path) -> None:
    me = place.expert.ask("GET", "users/self")["username"]
    push(place, study, assignee=me)
    assert {job["assignee"]["username"] for job in place.jobs(study)} == {me}
    with pytest.raises(CvatError, match="nobody of this name"):
        push(place, study, assignee="nobody of this name")


def test_labels_that_somebody_changed_stop_a_push(place: CvatPlace, study: Path) -> None:
    labels = [{"name": "bg", "color": "#008000"}, {"name": "fat", "color": "#ff0000"}]
    (study / "study.toml").write_text('[cvat]\nproject = "of somebody"\n', "utf-8")
    made = place.expert.ask("POST", "projects", {"name": "of somebody", "labels": labels})
    try:
        with pytest.raises(CvatError, match=r"fat.*#800000 .*#ff0000"):
            push(place, study)
        found = place.expert.ask("GET", f"tasks?project_id={made['id']}")
        assert found["count"] == 0
    finally:
        place.expert.ask("DELETE", f"projects/{made['id']}")
