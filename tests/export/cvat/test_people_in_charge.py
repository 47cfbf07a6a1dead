"""What people decide on the server: who does a job, how labels are called, what is checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_cvat import BEFORE, FakeCvat
from support.pulled_studies import field
from support.pushed_studies import CALM, full_name, make_study, rough_map, set_rough
from support.served_studies import block, edit, jobs_of, serve

from annotator.core.errors import CvatError
from annotator.study.study import Study
from annotator.study.truth import TruthStore
from export.cvat.client.server import CvatLabel
from export.cvat.pull_report import TAKEN, UNCHANGED
from export.cvat.pull_server import pull_server
from export.cvat.push import push_images
from export.cvat.push_report import SAME, SENT, TOUCHED, PushReport, PushRequest
from export.cvat.status import server_status

TWO = PushRequest(count=2, batch_size=2)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """Two images to be sent."""
    with make_study(tmp_path / "study", 2, "frames_per_job = 1") as opened:
        yield opened


@pytest.fixture
def server() -> FakeCvat:
    return FakeCvat(users=("eva", "ann"))


def push(study: Study, server: FakeCvat, request: PushRequest = TWO) -> PushReport:
    return push_images(study, request, server, retries=CALM)


def statuses(report: PushReport) -> list[str]:
    return sorted(one.status for one in report.images)


def redraw(study: Study) -> None:
    for number, image in enumerate(study.images(), start=50):
        set_rough(study, image, rough_map(number))


# Who has a job


def test_a_job_that_a_person_gave_to_somebody_is_left(study: Study, server: FakeCvat) -> None:
    push(study, server)
    first, _ = jobs_of(server)
    before = server.shapes_of(first.id)
    server.set_job(first.id, assignee="ann")
    redraw(study)
    report = push(study, server)
    assert statuses(report) == sorted([SENT, TOUCHED])
    (left,) = (one for one in report.images if one.status == TOUCHED)
    assert left.note == f"left as it is: somebody gave job {first.id} to ann"
    assert server.shapes_of(first.id) == before


def test_a_job_that_a_push_gave_to_somebody_is_brought_up_to_date(
    study: Study, server: FakeCvat
) -> None:
    push(study, server, replace(TWO, assignee="eva"))
    redraw(study)
    assert statuses(push(study, server)) == [SENT] * 2
    server.set_job(jobs_of(server)[0].id, assignee="ann")
    redraw_again(study)
    assert statuses(push(study, server)) == sorted([SENT, TOUCHED])


def redraw_again(study: Study) -> None:
    for number, image in enumerate(study.images(), start=70):
        set_rough(study, image, rough_map(number))


def test_an_empty_job_is_filled_whoever_has_it(study: Study, server: FakeCvat) -> None:
    """Else the person who got it would find nothing there."""

    def give(name: str) -> None:
        if name == "task_jobs":
            for job in jobs_of(server):
                server.job_table[job.id] = replace(job, assignee="ann")

    server.before = give
    assert statuses(push(study, server)) == [SENT] * 2
    assert all(server.shapes_of(job.id) for job in jobs_of(server))


def test_a_job_with_replicas_is_left(study: Study, server: FakeCvat) -> None:
    push(study, server)
    first, _ = jobs_of(server)
    server.set_job(first.id, replicas=3)
    redraw(study)
    (left,) = (one for one in push(study, server).images if one.status == TOUCHED)
    assert "has 3 replicas, in which people annotate" in left.note


# Labels


def labels_of_project(study: Study, server: FakeCvat) -> tuple[int, list[CvatLabel]]:
    project = server.project_named(full_name(study)).id
    return project, list(server.labels(project))


def test_harmless_edits_of_the_labels_are_named_and_push_goes_on(
    study: Study, server: FakeCvat
) -> None:
    push(study, server)
    project, (bg, fat, cell, bone) = labels_of_project(study, server)
    vessel = CvatLabel("vessel", "#123456")
    without = replace(bone, attributes=())
    changed = [replace(bg, colour="#111111"), replace(fat, name="adipocyte"), cell, without, vessel]
    server.change_labels(project, changed)
    redraw(study)
    report = push(study, server)
    assert statuses(report) == [SENT] * 2
    said = "\n".join(report.notes)
    for part in ("#111111", "fat: its label is called 'adipocyte'", "attribute object", "vessel"):
        assert part in said
    assert statuses(push(study, server)) == [SAME] * 2
    for job in jobs_of(server):
        edit(server, job.id)
    pulled = pull_server(study, server)
    assert [one.status for one in pulled.images] == ["new"] * 2
    for image in study.images():
        truth = TruthStore(study.path).read(image.name)
        assert truth is not None
        assert (truth.classes == study.rough.read(image).classes).all()


@pytest.mark.parametrize("how", ["swapped", "deleted"])
def test_edits_after_which_classes_are_unclear_are_refused(
    study: Study, server: FakeCvat, how: str
) -> None:
    push(study, server)
    project, (bg, fat, cell, bone) = labels_of_project(study, server)
    swapped = [bg, replace(fat, name="cell"), replace(cell, name="fat"), bone]
    server.change_labels(project, swapped if how == "swapped" else [bg, fat, cell])
    server.calls.clear()
    with pytest.raises(CvatError, match="cell" if how == "swapped" else "bone: missing"):
        push(study, server)
    assert server.writes == []
    if how == "swapped":
        with pytest.raises(CvatError, match="call them as they were"):
            pull_server(study, server)


def test_pull_goes_on_without_a_label_that_was_deleted(study: Study, server: FakeCvat) -> None:
    """Its shapes went with it."""
    push(study, server)
    project, (bg, fat, cell, bone) = labels_of_project(study, server)
    for job in jobs_of(server):
        edit(server, job.id, lambda shapes: [one for one in shapes if one.label != bone.id])
    server.change_labels(project, [bg, fat, cell])
    report = pull_server(study, server)
    assert len(report.images) == 2
    assert report.notes == ("labels in CVAT: bone was deleted, and all its shapes with it",)


# Jobs that are not ours to read


def test_jobs_of_other_kinds_are_named_and_not_read(tmp_path: Path) -> None:
    with Study.create(tmp_path / "study") as study:
        server = serve(study, tmp_path, [field()] * 3)
        first, second, third = jobs_of(server)
        server.set_job(second.id, kind="ground_truth", state="completed")
        server.set_job(third.id, kind="replica", state="completed")
        edit(server, first.id)
        server.set_job(first.id, replicas=1)
        report = pull_server(study, server)
        assert [one.image for one in report.images] == ["tile_001"]
        notes = "\n".join(report.notes)
        assert f"not read: 1 ground_truth job(s) ({second.id})" in notes
        assert f"not read: 1 replica job(s) ({third.id})" in notes
        assert f"job(s) {first.id} have replicas" in notes
        assert f"1 replica job(s) ({third.id})" in "\n".join(server_status(study, server).notes)


def test_an_image_that_is_shown_again_to_check_it_is_no_fault(tmp_path: Path) -> None:
    """A honeypot: a task with ground truth shows the same picture in several jobs."""
    with Study.create(tmp_path / "study") as study:
        server = serve(study, tmp_path, [field()] * 3)
        first, second, third = jobs_of(server)
        owner = next(iter(server.task_table.values()))
        owner.frames[1] = owner.frames[0]
        forget_sent(study)
        server.set_job(third.id, kind="ground_truth")
        edit(server, first.id)
        edit(server, second.id)
        report = pull_server(study, server)
        assert [one.image for one in report.images] == ["tile_001"]
        assert report.failed == ()


def forget_sent(study: Study) -> None:
    """As if somebody else had made the task: the study goes to another project and back."""
    bound = study.cvat.binding()
    assert bound is not None
    study.cvat.bind(replace(bound, project_id=77))
    study.cvat.bind(bound)


# Nothing new


def test_an_emptied_completed_job_is_reported_once(tmp_path: Path) -> None:
    with Study.create(tmp_path / "study") as study:
        server = serve(study, tmp_path, [field()] * 2)
        first, second = jobs_of(server)
        edit(server, first.id, lambda shapes: [])
        edit(server, second.id)
        report = pull_server(study, server)
        assert [one.status for one in report.images] == ["empty", "new"]
        for _ in range(2):
            again = pull_server(study, server)
            assert ([job.outcome for job in again.jobs], again.images) == ([UNCHANGED] * 2, ())
            assert not again.has_news
        server.annotate(first.id, [block(server, "fat", (0, 0, 9, 9))])
        edit(server, first.id)
        later = pull_server(study, server)
        assert [job.outcome for job in later.jobs] == [TAKEN, UNCHANGED]
        assert [one.status for one in later.images] == ["new"]


def test_a_mask_that_was_lost_here_is_still_fetched_again(tmp_path: Path) -> None:
    with Study.create(tmp_path / "study") as study:
        server = serve(study, tmp_path, [field()])
        edit(server, jobs_of(server)[0].id)
        pull_server(study, server)
        (study.path / "truth" / "tile_001.png").unlink()
        assert [one.status for one in pull_server(study, server).images] == ["new"]


def test_a_push_that_broke_off_at_once_does_not_say_that_there_is_nothing_to_send(
    study: Study, server: FakeCvat, capsys: pytest.CaptureFixture[str]
) -> None:
    from annotator.cli.print_cvat import print_push

    # The project is there; then every look for tasks breaks off.
    server.faults = dict.fromkeys(range(6, 60), BEFORE)
    report = push(study, server)
    assert report.stopped
    print_push(report, study.path)
    out = capsys.readouterr().out
    assert "Nothing to send" not in out
