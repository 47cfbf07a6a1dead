"""Pushing: what is on the server afterwards, whatever breaks, and whoever is at it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.fake_cvat import AFTER, BEFORE, TWICE, FakeCvat
from support.pushed_studies import (
    CALM,
    SHAPE,
    add_picture,
    assert_all_there,
    copy_of,
    full_name,
    make_study,
    rough_map,
    set_rough,
)

from annotator.core.errors import CvatError, CvatUnreachable, StudyError, UsageError
from annotator.core.progress import Progress
from annotator.study.cvat import map_digest
from annotator.study.study import Study
from export.cvat.client.labels import labels_of
from export.cvat.client.server import ANNOTATION, CvatLabel, CvatShape
from export.cvat.push import plan_push, push_images
from export.cvat.push_report import (
    FAILED,
    LEFT,
    PLANNED,
    SAME,
    SENT,
    TOUCHED,
    VOC,
    PushReport,
    PushRequest,
)

pytestmark = pytest.mark.slow

READS = ("shapes", "task_shapes")
"""Calls that read what is annotated."""
SIX = PushRequest(count=6, batch_size=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that is never sent; its copies are."""
    folder = tmp_path_factory.mktemp("made")
    make_study(folder / "study", 6).close()
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Iterator[Study]:
    with copy_of(made, tmp_path / "copy") as copy:
        yield copy


@pytest.fixture
def server() -> FakeCvat:
    return FakeCvat()


def push(study: Study, server: FakeCvat, request: PushRequest = SIX) -> PushReport:
    return push_images(study, request, server, retries=CALM)


def statuses(report: PushReport) -> list[str]:
    return [one.status for one in report.images]


def job_of(study: Study, server: FakeCvat, number: int = 0) -> int:
    return study.cvat.sent()[number].job_id


# What is sent


def test_a_push_sends_everything_and_notes_it(study: Study, server: FakeCvat) -> None:
    report = push(study, server)
    assert report.is_complete
    assert statuses(report) == [SENT] * 6
    assert [len(task.images) for task in report.tasks] == [2, 2, 2]
    assert_all_there(study, server)
    bound = study.cvat.binding()
    assert bound is not None
    assert (bound.url, bound.project_name) == (server.url, full_name(study))


def test_nothing_of_where_pictures_came_from_leaves(study: Study, server: FakeCvat) -> None:
    push(study, server)
    for one in server.task_table.values():
        for frame, data in zip(one.frames, one.pictures, strict=True):
            assert b"Miller" not in data
            (image,) = (i for i in study.images() if f"{i.id}.png" == frame.name)
            ours = cv2.imread(image.source)
            assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), 1), ours)
        assert "Miller" not in one.task.name
    assert not list(study.cvat.folder.glob(".sending-*"))


def test_a_second_push_writes_nothing(study: Study, server: FakeCvat) -> None:
    push(study, server)
    writes = len(server.writes)
    report = push(study, server)
    assert statuses(report) == [SAME] * 6
    assert len(server.writes) == writes
    assert_all_there(study, server)


def test_a_changed_rough_map_is_brought_up_to_date(study: Study, server: FakeCvat) -> None:
    push(study, server)
    image = study.images()[0]
    first = study.cvat.baseline(image.id)
    set_rough(study, image, rough_map(99))
    report = push(study, server)
    assert sorted(statuses(report)) == [SENT, *[SAME] * 5]
    assert_all_there(study, server)
    assert first is not None
    earlier = list((study.cvat.folder / "earlier").glob(f"{image.name}.*.png"))
    assert len(earlier) == 1
    assert np.array_equal(cv2.imread(str(earlier[0]), cv2.IMREAD_UNCHANGED), first.classes)


def test_a_map_that_a_person_edited_is_sent_as_it_lies_there(
    study: Study, server: FakeCvat
) -> None:
    image = study.images()[2]
    path = study.rough.paths(image)[0]
    codes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    codes[20:30, 20:30] = 0
    cv2.imwrite(str(path), codes)
    push(study, server)
    assert_all_there(study, server)
    baseline = study.cvat.baseline(image.id)
    assert baseline is not None
    assert np.array_equal(baseline.classes, codes)


def test_jobs_of_several_images(tmp_path: Path, server: FakeCvat) -> None:
    with make_study(tmp_path / "s", 6, "frames_per_job = 2") as study:
        push(study, server, PushRequest(count=6, batch_size=3))
        assert_all_there(study, server, tasks=2)
        assert len(server.job_table) == 4
        set_rough(study, study.images()[1], rough_map(77))
        report = push(study, server)
        assert statuses(report).count(SENT) == 1
        assert_all_there(study, server, tasks=2)


def test_a_budget_of_shapes(tmp_path: Path, server: FakeCvat) -> None:
    with make_study(tmp_path / "s", 2, "shapes_per_frame = 8") as study:
        set_rough(study, study.images()[0], rough_map(5, objects=30))
        report = push(study, server)
        crowded = next(one for one in report.images if one.merged)
        assert crowded.shapes == 8
        assert sum(crowded.merged.values()) > 10
        sent = {one.image_id: one for one in study.cvat.sent()}
        assert sent[study.images()[0].id].merged == sum(crowded.merged.values())
        assert statuses(push(study, server)) == [SAME, SAME]


# Which images


def test_named_images_alone_are_sent(study: Study, server: FakeCvat) -> None:
    report = push(study, server, PushRequest(images=("Mrs Miller 3", "Mrs Miller 1.png")))
    assert [one.image for one in report.images] == ["Mrs Miller 3", "Mrs Miller 1"]
    assert_all_there(study, server, images=2, tasks=1)


def test_unknown_names_are_refused(study: Study, server: FakeCvat) -> None:
    with pytest.raises(UsageError, match="nobody"):
        push(study, server, PushRequest(images=("Mrs Miller 3", "nobody")))
    assert server.calls == []


def test_the_same_count_twice_sends_nothing_more(study: Study, server: FakeCvat) -> None:
    request = PushRequest(count=2, batch_size=2)
    push(study, server, request)
    push(study, server, request)
    assert_all_there(study, server, images=2, tasks=1)
    push(study, server, PushRequest(count=3, batch_size=2))
    assert_all_there(study, server, images=3, tasks=2)


def test_corrected_images_make_room_for_others(study: Study, server: FakeCvat) -> None:
    request = PushRequest(count=2, batch_size=2)
    push(study, server, request)
    for image in study.images()[:2]:
        (study.path / "truth" / f"{image.name}.png").write_bytes(b"x")
    push(study, server, request)
    assert_all_there(study, server, images=4, tasks=2)


def test_what_was_asked_for_comes_first(study: Study, server: FakeCvat) -> None:
    ids = [image.id for image in study.images()]
    study.rounds.note_query([ids[4], ids[2]])
    push(study, server, PushRequest(count=3))
    assert [one.image_id for one in study.cvat.sent()] == [ids[4], ids[2], ids[0]]


def test_an_image_without_rough_annotation_is_named(study: Study, server: FakeCvat) -> None:
    bare = add_picture(study, 50, rough=False)
    report = push(study, server, PushRequest(images=(bare.name, "Mrs Miller 1")))
    assert [(one.image, one.status) for one in report.left] == [(bare.name, LEFT)]
    assert report.is_complete
    assert_all_there(study, server, images=1, tasks=1)


def test_a_study_without_images(tmp_path: Path, server: FakeCvat) -> None:
    with (
        make_study(tmp_path / "s", 0) as study,
        pytest.raises(UsageError, match=str(tmp_path / "s")),
    ):
        push(study, server)


# Images that cannot be sent


def spoil(study: Study, number: int, how: str) -> str:
    """Make an image unfit in one of several ways; its name."""
    image = study.images()[number]
    path = Path(image.source)
    if how == "gone":
        path.unlink()
    elif how == "damaged":
        path.write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    elif how == "another":
        path.write_bytes(Path(study.images()[0].source).read_bytes())
    return image.name


@pytest.mark.parametrize("how", ["gone", "damaged", "another"])
def test_a_bad_image_does_not_stop_its_task(study: Study, server: FakeCvat, how: str) -> None:
    name = spoil(study, 1, how)
    report = push(study, server, PushRequest(count=6, batch_size=3))
    assert [one.image for one in report.images if one.status == FAILED] == [name]
    assert not report.is_complete
    assert_all_there(study, server, images=5, tasks=2)
    assert statuses(push(study, server, PushRequest(count=6, batch_size=3))).count(SAME) == 5


def test_an_image_that_goes_bad_behind_a_task_without_data(study: Study, server: FakeCvat) -> None:
    server.before = lambda name: _down() if name == "upload" else None
    assert push(study, server, PushRequest(count=2)).stopped
    assert [one.frames for one in server.task_table.values()] == [[]]
    server.before = None
    spoil(study, 0, "gone")
    push(study, server, PushRequest(count=2))
    assert_all_there(study, server, images=1, tasks=1)


def test_a_task_of_bad_images_alone_is_not_made(study: Study, server: FakeCvat) -> None:
    spoil(study, 0, "gone")
    report = push(study, server, PushRequest(images=("Mrs Miller 0",)))
    assert statuses(report) == [FAILED]
    assert server.task_table == {}
    assert study.cvat.batches() == ()


def test_a_rough_map_that_cannot_be_read(study: Study, server: FakeCvat) -> None:
    study.rough.paths(study.images()[3])[0].write_bytes(b"no picture")
    report = push(study, server)
    assert statuses(report).count(FAILED) == 1
    assert statuses(report).count(SENT) == 5
    assert len(study.cvat.sent()) == 5


# A person at work


@pytest.mark.parametrize(
    "change",
    [
        {"state": "in progress"},
        {"state": "completed"},
        {"state": "rejected"},
        {"stage": "validation"},
        {"stage": "acceptance"},
    ],
)
def test_a_job_that_a_person_took_is_left(
    study: Study, server: FakeCvat, change: dict[str, str]
) -> None:
    push(study, server)
    first = study.cvat.sent()[0]
    server.set_job(first.job_id, **change)
    there = server.shapes_of(first.job_id)
    (image,) = (i for i in study.images() if i.id == first.image_id)
    set_rough(study, image, rough_map(42))
    report = push(study, server)
    (touched,) = (one for one in report.images if one.status == TOUCHED)
    assert touched.image == image.name
    assert "job" in touched.note
    assert report.is_complete
    assert server.shapes_of(first.job_id) == there
    assert study.cvat.sent()[0] == first


def edits(server: FakeCvat) -> dict[str, Callable[[int], None]]:
    def change(job: int, **values: object) -> None:
        first, *rest = server.shapes_of(job)
        server.annotate(job, [replace(first, **values), *rest])  # type: ignore[arg-type]

    def tracked(job: int) -> None:
        server.tracks[job] = 1

    return {
        "deleted one": lambda job: server.annotate(job, server.shapes_of(job)[1:]),
        "deleted all": lambda job: server.annotate(job, []),
        "moved": lambda job: change(job, z_order=90),
        "regrouped": lambda job: change(job, group=3),
        "relabelled": lambda job: change(job, label=server.shapes_of(job)[-1].label),
        "tracked": tracked,
    }


@pytest.mark.parametrize("what", edits(FakeCvat()))
def test_shapes_that_a_person_changed_are_left(study: Study, server: FakeCvat, what: str) -> None:
    push(study, server)
    first = study.cvat.sent()[0]
    (image,) = (i for i in study.images() if i.id == first.image_id)
    set_rough(study, image, rough_map(42))
    edits(server)[what](first.job_id)
    there = server.shapes_of(first.job_id)
    assert statuses(push(study, server)).count(TOUCHED) == 1
    assert server.shapes_of(first.job_id) == there


def test_shapes_that_a_person_made_over_stay_though_they_paint_the_same(
    study: Study, server: FakeCvat
) -> None:
    """The map is as it was: what a person grouped or remarked would be lost by a second write."""
    for via in ("shapes", VOC):
        push(study, server, replace(SIX, via=via))
        job = study.cvat.sent()[0].job_id
        first, *rest = server.shapes_of(job)
        server.annotate(job, [replace(first, attributes={**first.attributes, 1: "look!"}), *rest])
        there, noted = server.shapes_of(job), study.cvat.sent()
        report = push(study, server, replace(SIX, via=via))
        assert FAILED not in statuses(report)
        assert (server.shapes_of(job), study.cvat.sent()) == (there, noted)


def test_a_frame_without_a_map_stays_as_it_is(tmp_path: Path, server: FakeCvat) -> None:
    with make_study(tmp_path / "s", 3, "frames_per_job = 3") as study:
        push(study, server, PushRequest())
        (job,) = server.job_table
        study.rough.paths(study.images()[0])[0].write_bytes(b"no picture")
        set_rough(study, study.images()[1], rough_map(60))
        before = [replace(s, id=None) for s in server.shapes_of(job) if s.frame == 0]
        report = push(study, server)
        assert statuses(report).count(SENT) == 1
        assert [replace(s, id=None) for s in server.shapes_of(job) if s.frame == 0] == before
        kept = [s for s in server.shapes_of(job) if (s.frame, s.z_order) != (0, 0)]
        server.annotate(job, kept)
        set_rough(study, study.images()[1], rough_map(61))
        assert statuses(push(study, server)).count(TOUCHED) == 2
        assert len(server.shapes_of(job)) == len(kept)


def test_a_job_that_somebody_filled_before_our_first_write(study: Study, server: FakeCvat) -> None:
    def draw_something(name: str) -> None:
        if name == "task_jobs" and not any(o.shapes for o in server.task_table.values()):
            job = next(iter(server.job_table.values()))
            label = server.labels(server.project_named(full_name(study)).id)[1].id
            assert label is not None
            shape = CvatShape(job.start, label, "rectangle", (1.0, 1.0, 5.0, 5.0), source="manual")
            server.before = None
            server.annotate(job.id, [shape])

    server.before = draw_something
    report = push(study, server)
    assert statuses(report).count(TOUCHED) == 1
    assert len(study.cvat.sent()) == 5
    kinds = [s.kind for one in server.task_table.values() for s in one.shapes]
    assert kinds.count("rectangle") == 1


def test_a_person_who_takes_a_job_while_we_look_keeps_it(study: Study, server: FakeCvat) -> None:
    push(study, server)
    first = study.cvat.sent()[0]
    (image,) = (i for i in study.images() if i.id == first.image_id)
    set_rough(study, image, rough_map(42))

    def take(name: str) -> None:
        if name == "shapes":
            server.before = None
            server.set_job(first.job_id, state="in progress")

    server.before = take
    assert statuses(push(study, server)).count(TOUCHED) == 1


def test_other_jobs_and_shapes_of_others_are_no_business_of_ours(
    study: Study, server: FakeCvat
) -> None:
    push(study, server)
    task = study.cvat.sent()[0].task_id
    first = next(job for job in server.job_table.values() if job.task_id == task)
    server.job_table[9] = replace(first, id=9, kind="ground_truth", start=0, stop=1)
    assert statuses(push(study, server)) == [SAME] * 6
    assert {j.kind for j in server.job_table.values()} == {ANNOTATION, "ground_truth"}


def test_a_lost_note_is_made_up_for_when_a_person_went_on(study: Study, server: FakeCvat) -> None:
    """Our shapes arrived, we never heard so, and a person corrected them meanwhile."""
    puts = 0

    def die(name: str) -> None:
        nonlocal puts
        puts += name == "put_shapes"
        if puts and name in READS:
            raise CvatUnreachable("down for good")

    server.before = die
    assert push(study, server, PushRequest(count=1)).stopped
    assert study.cvat.sent() == ()
    server.before = None
    (job,) = server.job_table
    server.annotate(job, server.shapes_of(job)[1:])
    assert statuses(push(study, server, PushRequest(count=1))) == [TOUCHED]
    (sent,) = study.cvat.sent()
    image = next(i for i in study.images() if i.id == sent.image_id)
    assert sent.rough_sha256 == map_digest(study.rough.read(image))


# A server that goes


def _down() -> None:
    raise CvatUnreachable("the server is down; start it")


def test_a_stopped_push_says_what_is_done(study: Study, server: FakeCvat) -> None:
    def die(name: str) -> None:
        if server.calls.count("upload") == 2:
            _down()

    server.before = die
    report = push(study, server)
    assert not report.is_complete
    assert "2 of 6 images done" in report.stopped
    assert report.stopped.startswith("the server is down")
    assert statuses(report) == [SENT, SENT]


# Two of one kind, and mismatches


def test_an_empty_task_of_our_name_is_filled(study: Study, server: FakeCvat) -> None:
    push(study, server)
    sent = study.cvat.sent()[0]
    server.delete_task(sent.task_id)
    project = server.project_named(full_name(study))
    empty = server.add_task(project.id, sent.task_name)
    push(study, server)
    assert server.task_table[empty.id].task.frames == 2
    assert_all_there(study, server)


def test_a_second_empty_task_of_our_name_is_removed(study: Study, server: FakeCvat) -> None:
    push(study, server)
    sent = study.cvat.sent()[0]
    project = server.project_named(full_name(study))
    server.add_task(project.id, sent.task_name)
    foreign = server.add_task(project.id, "somebody else's")
    push(study, server)
    assert len([t for t in server.task_table.values() if t.task.name == sent.task_name]) == 1
    assert foreign.id in server.task_table


def test_two_full_tasks_of_our_name_stop_that_task_alone(
    study: Study, server: FakeCvat, tmp_path: Path
) -> None:
    push(study, server)
    sent = study.cvat.sent()[0]
    project = server.project_named(full_name(study))
    second = server.add_task(project.id, sent.task_name)
    picture = tmp_path / "x.png"
    picture.write_bytes(server.task_table[sent.task_id].pictures[0])
    server.upload(second.id, [picture])
    report = push(study, server)
    assert sorted(statuses(report)) == [FAILED, FAILED, *[SAME] * 4]
    assert f"{sent.task_id}, {second.id}" in report.images[0].note
    assert second.id in server.task_table


@pytest.mark.parametrize("offered", [False, True])
def test_a_new_project_has_the_label_that_excludes_where_it_is_set(
    study: Study, server: FakeCvat, offered: bool
) -> None:
    study.change_settings({"cvat": {"exclude_label": offered}})
    report = push_images(study, SIX, server)
    assert report.project_id is not None
    names = [label.name for label in server.labels(report.project_id)]
    assert names == ["bg", "fat", "cell", "bone", *(["exclude"] if offered else [])]
    assert_all_there(study, server)


def test_labels_of_a_project_that_is_not_ours(study: Study, server: FakeCvat) -> None:
    labels = labels_of(study.settings.classes)
    odd = [replace(labels[0], colour="#ffffff"), *labels[1:3], CvatLabel("tumour", "#123456")]
    server.add_project(full_name(study), odd)
    with pytest.raises(CvatError, match=r"bg.*#008000 .*#ffffff.*bone.*tumour"):
        push(study, server)
    assert server.writes == []
    assert study.cvat.binding() is None


def test_a_project_that_is_there_is_used(tmp_path: Path, server: FakeCvat) -> None:
    with make_study(tmp_path / "s", 1, "project = 'marrow 2026'") as study:
        made = server.add_project("marrow 2026", labels_of(study.settings.classes))
        report = push(study, server)
        assert report.project_id == made.id
        assert "create_project" not in server.calls


def test_a_renamed_project_is_found_again(study: Study, server: FakeCvat) -> None:
    push(study, server)
    project = server.project_named(full_name(study))
    server.rename_project(project.id, "the marrow of 2026")
    assert statuses(push(study, server)) == [SAME] * 6
    assert len(server.task_table) == 3


def test_another_server_is_refused(study: Study, server: FakeCvat) -> None:
    push(study, server)
    other = FakeCvat("https://other.test")
    with pytest.raises(UsageError, match=r"https://cvat\.test.*https://other\.test"):
        push(study, other)
    assert other.writes == []


def test_another_project_is_refused(tmp_path: Path, server: FakeCvat) -> None:
    with make_study(tmp_path / "s", 1) as study:
        push(study, server)
    toml = tmp_path / "s" / "study.toml"
    toml.write_text(
        toml.read_text()
        .replace("project = ''", "project = 'new'")
        .replace('project = ""', "project = 'new'")
    )
    with (
        Study.open(tmp_path / "s") as study,
        pytest.raises(UsageError, match="new"),
    ):
        push(study, server)


def test_a_removed_project_is_made_again(study: Study, server: FakeCvat) -> None:
    push(study, server)
    server.remove_project(server.project_named(full_name(study)).id)
    report = push(study, server)
    assert len(report.notes) == 1
    assert_all_there(study, server)


def test_a_task_with_other_pictures(study: Study, server: FakeCvat, tmp_path: Path) -> None:
    push(study, server)
    sent = study.cvat.sent()[0]
    owner = server.task_table[sent.task_id]
    owner.frames[0] = replace(owner.frames[0], width=7)
    report = push(study, server)
    assert statuses(report).count(FAILED) == 2
    assert "got 7 x 36" in next(o.note for o in report.images if o.status == FAILED)


def test_what_comes_back_otherwise_is_an_error(study: Study, server: FakeCvat) -> None:
    def lose_one(name: str) -> None:
        if server.calls.count("put_shapes") and name in READS:
            server.before = None
            job = next(j for j in server.job_table if server.shapes_of(j))
            server.annotate(job, server.shapes_of(job)[:-1])

    server.before = lose_one
    report = push(study, server)
    (failed,) = (one for one in report.images if one.status == FAILED)
    assert failed.image in failed.note
    assert len(study.cvat.sent()) == 5


def test_a_write_that_was_worked_off_twice_at_once_is_put_right(
    study: Study, server: FakeCvat
) -> None:
    def double(name: str) -> None:
        if server.calls.count("put_shapes") and name in READS:
            server.before = None
            job = next(j for j in server.job_table if server.shapes_of(j))
            server.annotate(job, [*server.shapes_of(job), *server.shapes_of(job)])

    server.before = double
    assert push(study, server).is_complete
    assert_all_there(study, server)
    assert server.calls.count("put_shapes") == 7


# People


def test_jobs_are_given_to_the_assignee(study: Study, server: FakeCvat) -> None:
    push(study, server, replace(SIX, assignee="eva"))
    assert {job.assignee for job in server.job_table.values()} == {"eva"}


def test_a_job_that_is_done_is_given_to_nobody(study: Study, server: FakeCvat) -> None:
    push(study, server)
    server.set_job(job_of(study, server), state="completed")
    push(study, server, replace(SIX, assignee="eva"))
    assert server.job_table[job_of(study, server)].assignee is None


def test_a_job_that_somebody_has_stays_theirs(study: Study, server: FakeCvat) -> None:
    push(study, server)
    server.set_job(job_of(study, server), assignee="ann")
    push(study, server, replace(SIX, assignee="eva"))
    assert sorted(j.assignee or "" for j in server.job_table.values()) == ["ann", *["eva"] * 5]


def test_an_unknown_assignee_stops_before_anything_is_made(study: Study, server: FakeCvat) -> None:
    with pytest.raises(CvatError, match="nobody"):
        push(study, server, replace(SIX, assignee="nobody"))
    assert server.writes == []


# As an archive


def test_an_archive_sends_the_same(study: Study, server: FakeCvat) -> None:
    report = push(study, server, replace(SIX, via=VOC))
    assert statuses(report) == [SENT] * 6
    assert server.calls.count("import_voc") == 3
    assert "put_shapes" not in server.calls
    assert_all_there(study, server)
    assert statuses(push(study, server, replace(SIX, via=VOC))) == [SAME] * 6
    assert server.calls.count("import_voc") == 3


def test_an_archive_never_replaces_what_a_person_touched(study: Study, server: FakeCvat) -> None:
    push(study, server, replace(SIX, via=VOC))
    first, second = study.cvat.sent()[:2]
    assert first.task_id == second.task_id
    server.annotate(first.job_id, server.shapes_of(first.job_id)[1:])
    image = next(i for i in study.images() if i.id == second.image_id)
    set_rough(study, image, rough_map(31))
    report = push(study, server, replace(SIX, via=VOC))
    assert statuses(report).count(TOUCHED) == 2
    assert server.calls.count("import_voc") == 3


@pytest.mark.parametrize("change", [{"state": "completed"}, {"stage": "validation"}])
def test_an_archive_leaves_a_task_with_a_job_that_is_done_and_exact(
    study: Study, server: FakeCvat, change: dict[str, str]
) -> None:
    push(study, server, replace(SIX, via=VOC))
    first, second = study.cvat.sent()[:2]
    server.set_job(first.job_id, **change)
    set_rough(study, next(i for i in study.images() if i.id == second.image_id), rough_map(31))
    there = server.shapes_of(first.job_id)
    assert statuses(push(study, server, replace(SIX, via=VOC))).count(TOUCHED) == 2
    assert server.shapes_of(first.job_id) == there


def test_an_archive_of_too_many_instances_is_refused_before_sending(
    study: Study, server: FakeCvat
) -> None:
    image = study.images()[0]
    classes = np.full(SHAPE, 2, np.uint8)
    instances = np.zeros(SHAPE, np.int32)
    classes[::2, ::2] = 1
    instances[::2, ::2] = np.arange(1, instances[::2, ::2].size + 1).reshape(18, 24)
    set_rough(study, image, type(study.rough.read(image))(classes, instances))
    report = push(study, server, replace(SIX, via=VOC))
    assert [(one.image, one.status) for one in report.left] == [(image.name, FAILED)]
    assert re.findall(r"\d+", report.left[0].note)[:2] == ["433", "255"]
    assert_all_there(study, server, images=5)


@pytest.mark.parametrize("fault", [BEFORE, AFTER, TWICE])
def test_an_archive_that_breaks_off(study: Study, server: FakeCvat, fault: str) -> None:
    calls = 0

    def break_once(name: str) -> None:
        nonlocal calls
        calls += 1
        if name == "import_voc":
            server.before = None
            server.faults[len(server.calls) - 1] = fault

    server.before = break_once
    assert push(study, server, replace(SIX, via=VOC)).is_complete
    assert_all_there(study, server)


# Before it is done


def test_a_plan_says_what_would_be_made(study: Study) -> None:
    bare = add_picture(study, 50, rough=False)
    names = tuple(image.name for image in study.images())
    report = plan_push(study, PushRequest(images=names, batch_size=4))
    assert report.dry_run
    assert [len(task.images) for task in report.tasks] == [4, 2]
    assert statuses(report) == [*[PLANNED] * 6, LEFT]
    assert report.left[0].image == bare.name
    assert all(one.shapes > 4 for task in report.tasks for one in task.images)
    assert all(task.upload_bytes > 4000 for task in report.tasks)
    assert study.cvat.batches() == ()


def test_a_plan_of_what_is_sent_uploads_nothing(study: Study, server: FakeCvat) -> None:
    push(study, server)
    report = plan_push(study, SIX)
    assert [task.upload_bytes for task in report.tasks] == [0, 0, 0]
    assert report.project_id is not None


def test_every_step_is_told(study: Study, server: FakeCvat) -> None:
    seen: list[Progress] = []
    push_images(study, SIX, server, seen.append, CALM)
    assert "6 image(s) to upload" in seen[0].note
    assert [step.done for step in seen if step.stage == "annotating"] == [1, 2, 3, 4, 5, 6]
    assert seen[-1].eta_seconds == 0


def test_two_pushes_at_once_are_refused(study: Study, server: FakeCvat) -> None:
    with (
        study.writing(),
        Study.open(study.path) as other,
        pytest.raises(StudyError, match=r"process \d+"),
    ):
        push(other, server)
