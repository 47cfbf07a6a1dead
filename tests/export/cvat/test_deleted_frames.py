"""Frames that people deleted in CVAT are no truth, until they are restored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cvat_ends import pull, push, small_study
from support.cvat_places import CvatPlace, http_place
from support.cvat_studies import roughs, same_map, truths

from annotator.study.deleted_images import deleted_in_cvat
from annotator.study.study import Study
from export.cvat.pull_report import DELETED, TAKEN, UNCHANGED
from export.cvat.push_plan import make_plan
from export.cvat.push_report import PushRequest
from export.cvat.status import PULLED, TO_PULL, known_status, server_status

pytestmark = pytest.mark.slow


@pytest.fixture
def place() -> Iterator[CvatPlace]:
    with http_place() as found:
        yield found


@pytest.fixture
def study(place: CvatPlace, tmp_path: Path) -> Path:
    """Two images that were sent, whose jobs are completed."""
    path = small_study(tmp_path, 2)
    push(place, path)
    for job in place.jobs(path):
        place.expert.complete(job["id"])
    return path


def delete(place: CvatPlace, path: Path, name: str, deleted: bool = True) -> None:
    """Delete the frame of an image, or restore it, as a person does in the job."""
    job, frame = place.place_of(path, name)
    sent = {"deleted_frames": [frame] if deleted else []}
    place.expert.ask("PATCH", f"jobs/{job}/data/meta", sent)


def names(path: Path) -> tuple[str, str]:
    first, second = sorted(roughs(path))
    return first, second


def test_a_deleted_frame_is_no_truth(place: CvatPlace, study: Path) -> None:
    first, second = names(study)
    delete(place, study, first)
    report = pull(place, study)
    assert [one.image for one in report.images] == [second]
    assert sorted(truths(study)) == [second]
    (deleted,) = report.deleted
    assert (deleted.image, deleted.kept, deleted.is_new) == (first, None, True)
    assert sorted(job.outcome for job in report.jobs) == [DELETED, TAKEN]
    assert report.path is not None
    said = report.path.with_suffix(".md").read_text("utf-8")
    assert "## Deleted in CVAT: no truth" in said and f"- {first} (job " in said
    again = pull(place, study)
    assert [job.outcome for job in again.jobs] == [UNCHANGED] * 2
    assert ([one.is_new for one in again.deleted], again.has_news) == ([False], False)


def test_a_frame_may_be_deleted_on_the_page_of_the_task(place: CvatPlace, study: Path) -> None:
    first, _ = names(study)
    job, frame = place.place_of(study, first)
    (task,) = {one["task_id"] for one in place.jobs(study) if one["id"] == job}
    place.expert.ask("PATCH", f"tasks/{task}/data/meta", {"deleted_frames": [frame]})
    assert [one.image for one in pull(place, study).deleted] == [first]


def test_one_frame_of_a_job_of_several(place: CvatPlace, tmp_path: Path) -> None:
    path = small_study(tmp_path, 2)
    (path / "study.toml").write_text("[cvat]\nframes_per_job = 2\n", "utf-8")
    push(place, path)
    (job,) = place.jobs(path)
    place.expert.complete(job["id"])
    first, second = names(path)
    delete(place, path, second)
    assert [one.image for one in pull(place, path).images] == [first]
    assert sorted(truths(path)) == [first]


def test_a_frame_that_was_restored_becomes_truth(place: CvatPlace, study: Path) -> None:
    first, _ = names(study)
    delete(place, study, first)
    pull(place, study)
    delete(place, study, first, deleted=False)
    report = pull(place, study)
    assert [one.image for one in report.images] == [first]
    assert any("its frame was restored in CVAT" in note for note in report.notes)
    assert same_map(truths(study)[first], roughs(study)[first])
    with Study.open(study) as opened:
        assert deleted_in_cvat(opened) == frozenset()


def test_truth_of_a_frame_that_is_deleted_later_is_kept_aside(
    place: CvatPlace, study: Path
) -> None:
    """Deleting a frame does not change the time of its job, so it is asked at every pull."""
    first, second = names(study)
    pull(place, study)
    mask = (study / "truth" / f"{first}.png").read_bytes()
    delete(place, study, first)
    report = pull(place, study)
    (deleted,) = report.deleted
    assert deleted.kept is not None
    assert deleted.kept.parent == study / "truth" / "earlier"
    assert deleted.kept.read_bytes() == mask
    assert sorted(truths(study)) == [second]
    assert not (study / "truth" / "instances" / f"{first}.png").exists()
    assert (deleted.kept.parent / "instances" / deleted.kept.name).exists()


def test_a_mask_that_is_put_back_by_hand_stays(place: CvatPlace, study: Path) -> None:
    first, _ = names(study)
    pull(place, study)
    delete(place, study, first)
    (deleted,) = pull(place, study).deleted
    assert deleted.kept is not None
    (study / "truth" / f"{first}.png").write_bytes(deleted.kept.read_bytes())
    assert len(pull(place, study).deleted) == 1
    assert first in truths(study)
    with Study.open(study) as opened:
        assert deleted_in_cvat(opened) == frozenset()


def test_status_counts_them(place: CvatPlace, study: Path) -> None:
    first, _ = names(study)
    pull(place, study)
    delete(place, study, first)
    with Study.open(study) as opened:
        found = server_status(opened, place.connect())
        conditions = sorted(job.condition for task in found.tasks for job in task.jobs)
        assert (found.deleted, conditions) == ((first,), sorted([TO_PULL, PULLED]))
        assert known_status(opened).deleted == ()
    pull(place, study)
    with Study.open(study) as opened:
        found = server_status(opened, place.connect())
        assert (found.deleted, found.count(PULLED)) == ((first,), 2)
        assert found.to_dict()["deleted"] == [first]
        assert known_status(opened).deleted == (first,)


def test_they_are_not_sent_again_unless_they_are_named(place: CvatPlace, study: Path) -> None:
    first, second = names(study)
    delete(place, study, first)
    pull(place, study)
    (study / "truth" / f"{second}.png").unlink()
    with Study.open(study) as opened:
        ids = {image.name: image.id for image in opened.images()}
        plan = make_plan(opened, PushRequest(dry_run=True))
        assert plan.chosen == {ids[second]}
        assert first in plan.notes[0]
        named = make_plan(opened, PushRequest(images=(first,), dry_run=True))
        assert named.chosen == {ids[first]}
