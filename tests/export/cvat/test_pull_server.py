"""Pulling from a server: exact, only what changed, nothing lost, what is broken is named."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.fake_cvat import BEFORE, FakeCvat
from support.labelled_studies import set_objects
from support.pulled_studies import add_image, changed, field
from support.served_studies import block, dots, edit, jobs_of, label_id, said, serve

from active_learning.rounds.add_labels import labels_from_truth
from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.errors import CvatError, CvatUnreachable, StorageError, StudyError, UsageError
from annotator.core.label_maps import LabelMaps
from annotator.core.objects import objects_from_labels
from annotator.study.study import Study
from annotator.study.truth import TruthStore
from export.cvat.client.labels import EXCLUDE_LABEL
from export.cvat.client.server import CvatShape
from export.cvat.pull_report import AS_PUSHED, FAILED, NOT_READ, TAKEN, UNCHANGED
from export.cvat.pull_server import pull_server

pytestmark = pytest.mark.slow

MAPS = [
    changed(field(), (40, 50, 0, 30, BG, 0), (60, 70, 3, 9, UNLABELLED, 0)),
    changed(field(), (60, 80, 60, 80, BONE, 7)),
]


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as opened:
        yield opened


@pytest.fixture
def server(study: Study, tmp_path: Path) -> FakeCvat:
    return serve(study, tmp_path, MAPS)


def truth(study: Study, name: str) -> LabelMaps:
    found = TruthStore(study.path).read(name)
    assert found is not None
    return found


def outcomes(report: object) -> list[str]:
    return [job.outcome for job in report.jobs]  # type: ignore[attr-defined]


def test_what_nobody_changed_comes_back_exactly(study: Study, server: FakeCvat) -> None:
    for job in jobs_of(server):
        edit(server, job.id)
    report = pull_server(study, server)
    assert [(row.image, row.status) for row in report.images] == [
        ("tile_001", "new"),
        ("tile_002", "new"),
    ]
    for name, sent in zip(("tile_001", "tile_002"), MAPS, strict=True):
        assert np.array_equal(truth(study, name).classes, sent.classes)
        assert np.array_equal(truth(study, name).instances, sent.instances)
    assert report.correction is not None
    assert report.correction.objects.sum(axis=0).tolist() == [8, 0, 0, 0, 0]
    assert not report.failed


@pytest.mark.parametrize("per_job", [1, 2, 5])
def test_many_objects_that_shared_a_shape_come_back_exactly(
    study: Study, tmp_path: Path, per_job: int
) -> None:
    maps = [dots(), field((40, 90)), dots(4)]
    server = serve(study, tmp_path, maps, per_job=per_job, budget=3)
    for job in jobs_of(server):
        edit(server, job.id)
    pull_server(study, server)
    for name, sent in zip(("tile_001", "tile_002", "tile_003"), maps, strict=True):
        assert np.array_equal(truth(study, name).instances, sent.instances)


def test_only_completed_jobs_are_pulled(study: Study, server: FakeCvat) -> None:
    first, second = jobs_of(server)
    edit(server, second.id)
    server.annotate(first.id, [])
    report = pull_server(study, server)
    assert [row.image for row in report.images] == ["tile_002"]
    assert [job.job_id for job in report.jobs] == [second.id]


def test_all_takes_what_was_changed_and_leaves_what_nobody_looked_at(
    study: Study, server: FakeCvat
) -> None:
    first, second = jobs_of(server)
    server.annotate(
        first.id, [*server.shapes_of(first.id), block(server, "bone", (60, 60, 80, 80))]
    )
    server.set_job(second.id, state="in progress")
    report = pull_server(study, server, "all")
    assert [row.image for row in report.images] == ["tile_001"]
    assert outcomes(report) == [TAKEN, AS_PUSHED]
    assert not TruthStore(study.path).exists("tile_002")
    edit(server, second.id)
    assert [row.image for row in pull_server(study, server, "all").images] == ["tile_002"]


def test_jobs_of_other_types_are_left(study: Study, server: FakeCvat) -> None:
    first, second = jobs_of(server)
    edit(server, first.id)
    edit(server, second.id)
    server.set_job(first.id, kind="ground_truth")
    assert [row.image for row in pull_server(study, server).images] == ["tile_002"]


def test_corrections_are_painted_and_counted(study: Study, server: FakeCvat) -> None:
    job = jobs_of(server)[0]

    def correct(shapes: list[CvatShape]) -> list[CvatShape]:
        first, second = (s for s in shapes if said(server, s) in ("1", "2"))
        rest = [s for s in shapes if s not in (first, second)]
        return [
            *rest,
            replace(first, label=label_id(server, "bone")),
            block(server, "fat", (90, 60, 100, 80)),
            CvatShape(0, label_id(server, "bg"), "rectangle", (0.0, 80.0, 10.0, 90.0), 60),
            CvatShape(0, label_id(server, "fat"), "ellipse", (60.0, 60.0, 66.0, 55.0), 61),
        ]

    edit(server, job.id, correct)
    report = pull_server(study, server)
    found = truth(study, "tile_001")
    assert found.classes[12, 12] == BONE
    assert found.instances[12, 12] == 1
    assert found.classes[20, 60] == UNLABELLED
    assert found.instances[70, 95] > 2
    assert found.classes[60, 60] == FAT
    assert found.classes[85, 5] == BG
    figures = report.images[0].correction
    assert figures is not None
    plain = figures.to_dict()["fat"]["objects"]
    assert (plain["relabelled"], plain["added"], plain["deleted"]) == (1, 2, 1)
    assert report.images[0].areas_px["unlabelled"] == np.count_nonzero(found.classes == UNLABELLED)


def test_shapes_of_one_group_are_one_object(study: Study, server: FakeCvat) -> None:
    job = jobs_of(server)[0]
    parts = [block(server, "bone", (x, 70, x + 5, 75), 70 + x) for x in (80, 90)]
    edit(server, job.id, lambda shapes: [*shapes, *(replace(p, group=3) for p in parts)])
    pull_server(study, server)
    found = truth(study, "tile_001").instances
    assert found[72, 82] == found[72, 92] > 0
    assert found[72, 87] == 0


def test_a_copy_of_an_object_is_another_object(study: Study, server: FakeCvat) -> None:
    job = jobs_of(server)[0]

    def copy(shapes: list[CvatShape]) -> list[CvatShape]:
        (first,) = (s for s in shapes if said(server, s) == "1")
        points = (*first.points[:-4], 80.0, 60.0, 99.0, 79.0)
        return [*shapes, replace(first, points=points, z_order=80)]

    edit(server, job.id, copy)
    pull_server(study, server)
    found = truth(study, "tile_001").instances
    assert found[12, 12] == 1
    assert found[62, 82] not in (0, 1, 2)


def test_equal_z_order_is_settled_by_id_and_counted(study: Study, server: FakeCvat) -> None:
    job = jobs_of(server)[0]
    over = [block(server, name, (80, 60, 90, 70), 90) for name in ("fat", "bone")]
    edit(server, job.id, lambda shapes: [*shapes, *over])
    report = pull_server(study, server)
    assert report.images[0].tied_px == 100
    assert truth(study, "tile_001").classes[65, 85] == BONE


def test_what_has_no_area_is_named(study: Study, server: FakeCvat) -> None:
    job = jobs_of(server)[0]
    point = CvatShape(0, label_id(server, "fat"), "points", (3.0, 3.0))
    edit(server, job.id, lambda shapes: [*shapes, point, replace(point, kind="polyline")])
    server.tracks[job.id] = 2
    report = pull_server(study, server)
    assert report.images[0].unused == {"points": 1, "polyline": 1}
    assert report.unused == {"track": 2}


# Only what changed


def test_a_second_pull_reads_nothing(study: Study, server: FakeCvat) -> None:
    for job in jobs_of(server):
        edit(server, job.id)
    pull_server(study, server)
    server.calls.clear()
    report = pull_server(study, server)
    assert outcomes(report) == [UNCHANGED, UNCHANGED]
    assert not report.images
    assert not report.has_news
    assert "shapes" not in server.calls


def test_a_job_that_was_changed_is_read_again_and_the_earlier_mask_kept(
    study: Study, server: FakeCvat
) -> None:
    for job in jobs_of(server):
        edit(server, job.id)
    pull_server(study, server)
    before = truth(study, "tile_001")
    first = jobs_of(server)[0]
    edit(server, first.id, lambda shapes: [*shapes, block(server, "bone", (90, 60, 100, 80))])
    report = pull_server(study, server)
    assert [(row.image, row.status) for row in report.images] == [("tile_001", "replaced")]
    kept = report.images[0].kept
    assert kept is not None
    assert kept.is_file()
    instances = kept.parent / "instances" / kept.name
    assert instances.is_file()
    assert not np.array_equal(truth(study, "tile_001").classes, before.classes)


def test_a_job_that_was_only_touched_changes_nothing(study: Study, server: FakeCvat) -> None:
    for job in jobs_of(server):
        edit(server, job.id)
    pull_server(study, server)
    server.set_job(jobs_of(server)[0].id)
    assert not pull_server(study, server).images
    assert not (study.path / "truth" / "earlier").exists()


def test_a_mask_that_was_lost_here_is_pulled_again(study: Study, server: FakeCvat) -> None:
    for job in jobs_of(server):
        edit(server, job.id)
    pull_server(study, server)
    (study.path / "truth" / "tile_002.png").unlink()
    report = pull_server(study, server)
    assert [(row.image, row.status) for row in report.images] == [("tile_002", "new")]


def test_corrections_count_against_what_was_sent(study: Study, server: FakeCvat) -> None:
    add_image(study, "in/tile_001.png", dots_of(MAPS[0].shape), 1)
    edit(server, jobs_of(server)[0].id)
    found = pull_server(study, server).images[0].correction
    assert found is not None
    assert found.objects.sum(axis=0).tolist() == [4, 0, 0, 0, 0]


def dots_of(shape: tuple[int, int]) -> LabelMaps:
    return LabelMaps(np.full(shape, CELL, np.uint8), np.zeros(shape, np.int32))


def test_without_what_was_sent_the_rough_annotation_serves(study: Study, server: FakeCvat) -> None:
    (study.path / "cvat" / "tile_001.png").unlink()
    edit(server, jobs_of(server)[0].id)
    row = pull_server(study, server).images[0]
    assert row.correction is not None
    assert "rough" in row.notes[0]


# What cannot be used


BROKEN = {
    "runs": {"points": (5.0, 5.0, 0.0, 0.0, 3.0, 3.0)},
    "box": {"points": (0.0, 4.0, 500.0, 500.0, 501.0, 501.0)},
    "no numbers": {"points": (float("nan"), 1.0, 0.0, 0.0, 0.0, 0.0)},
    "nothing": {"points": ()},
    "corners": {"kind": "polygon", "points": (1.0, 2.0, 3.0)},
    "far": {"kind": "rectangle", "points": (0.0, 0.0, 1e9, 5.0)},
    "endless": {"kind": "ellipse", "points": (5.0, 5.0, float("inf"), 1.0)},
    "turned": {"kind": "rectangle", "points": (0.0, 0.0, 9.0, 9.0), "rotation": float("nan")},
    "spun": {"kind": "rectangle", "points": (0.0, 0.0, 9.0, 9.0), "rotation": float("inf")},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_shape_is_named_and_the_others_go_on(
    study: Study, server: FakeCvat, name: str
) -> None:
    first, second = jobs_of(server)
    broken = replace(block(server, "fat", (0, 0, 4, 4)), **BROKEN[name])  # type: ignore[arg-type]
    edit(server, first.id, lambda shapes: [*shapes, broken])
    edit(server, second.id)
    report = pull_server(study, server)
    assert outcomes(report) == [FAILED, TAKEN]
    assert [row.image for row in report.images] == ["tile_002"]
    assert "tile_001 (job" in report.failed[0].what
    assert report.failed[0].why
    edit(server, first.id, lambda shapes: shapes[:-1])
    assert [row.image for row in pull_server(study, server).images] == ["tile_001"]


def test_a_label_of_no_class_is_named(study: Study, server: FakeCvat) -> None:
    project = server.project_named("Trephine").id
    known, labels = server._projects[project]  # as an owner of the project does
    strange = replace(labels[0], name="vessel", id=9999)
    server._projects[project] = (known, (*labels, strange))
    first, second = jobs_of(server)
    odd = replace(block(server, "fat", (0, 0, 4, 4)), label=9999)
    edit(server, first.id, lambda shapes: [*shapes, odd])
    edit(server, second.id)
    report = pull_server(study, server)
    assert [row.image for row in report.images] == ["tile_001", "tile_002"]
    assert report.images[0].notes == (
        "left out: 1 shape(s) of the label 'vessel', which is no class of the study",
    )
    assert report.failed == ()
    found = TruthStore(study.path).read("tile_001")
    assert found is not None
    assert np.array_equal(found.classes, MAPS[0].classes)


def test_a_project_without_our_labels_is_refused(study: Study, server: FakeCvat) -> None:
    project = server.project_named("Trephine").id
    known, labels = server._projects[project]  # as an owner of the project does
    server._projects[project] = (known, labels[:2])
    with pytest.raises(CvatError, match="cell, bone"):
        pull_server(study, server)


def test_frames_are_matched_by_name(study: Study, server: FakeCvat) -> None:
    task = next(iter(server.task_table.values()))
    task.frames[0] = replace(task.frames[0], name="holiday.png")
    for job in jobs_of(server):
        edit(server, job.id)
    report = pull_server(study, server)
    assert [row.image for row in report.images] == ["tile_002"]
    assert report.unknown[0].startswith("holiday.png (job")


def test_a_picture_of_another_size_is_named(study: Study, server: FakeCvat) -> None:
    task = next(iter(server.task_table.values()))
    task.frames[0] = replace(task.frames[0], width=77)
    edit(server, jobs_of(server)[0].id)
    report = pull_server(study, server)
    assert not report.images
    assert "got 77 x 90" in report.failed[0].why


def test_an_image_in_another_task_is_left(study: Study, server: FakeCvat, tmp_path: Path) -> None:
    copy = server.add_task(server.project_named("Trephine").id, "copy")
    server.upload(copy.id, [tmp_path / f"{1:016x}.png"])
    for job in jobs_of(server):
        edit(server, job.id)
    report = pull_server(study, server)
    assert len(report.images) == 2
    assert "tile_001 " in report.notes[0]


def test_a_finished_job_without_shapes_does_not_wipe_a_mask(study: Study, server: FakeCvat) -> None:
    first = jobs_of(server)[0]
    edit(server, first.id)
    pull_server(study, server)
    edit(server, first.id, lambda shapes: [])
    row = pull_server(study, server).images[0]
    assert row.status == "empty"
    assert "earlier mask stays" in row.notes[0]
    assert np.array_equal(truth(study, "tile_001").classes, MAPS[0].classes)


def test_a_task_that_is_gone_is_named(study: Study, server: FakeCvat) -> None:
    server.delete_task(next(iter(server.task_table)))
    report = pull_server(study, server)
    assert "tile_001, tile_002" in report.notes[0]


def test_a_server_that_breaks_off_leaves_what_was_taken(study: Study, server: FakeCvat) -> None:
    for job in jobs_of(server):
        edit(server, job.id)
    server.calls.clear()
    # project, labels, jobs, frames, shapes of the task, comments of the first job; then those of
    # the second.
    server.faults = {6: BEFORE}
    report = pull_server(study, server)
    assert outcomes(report) == [TAKEN, NOT_READ]
    assert "broke off" in report.failed[0].why
    server.faults = {}
    report = pull_server(study, server)
    assert outcomes(report) == [UNCHANGED, TAKEN]


def test_a_server_that_is_gone_from_the_start(study: Study, server: FakeCvat) -> None:
    server.faults = {0: BEFORE}
    with pytest.raises(CvatUnreachable):
        pull_server(study, server)
    assert not list((study.path / "report").glob("pull-*"))


def test_a_study_that_was_never_pushed(study: Study) -> None:
    with pytest.raises(UsageError):
        pull_server(study, FakeCvat())


def test_another_server_is_refused(study: Study, server: FakeCvat) -> None:
    server.url = "https://other.test"
    with pytest.raises(UsageError, match=r"https://cvat\.test"):
        pull_server(study, server)


def test_a_run_that_writes_is_not_disturbed(study: Study, server: FakeCvat) -> None:
    with Study.open(study.path) as other, other.writing(), pytest.raises(StudyError):
        pull_server(study, server)


def test_a_place_that_refuses_ends_it(study: Study, server: FakeCvat) -> None:
    for job in jobs_of(server):
        edit(server, job.id)
    (study.path / "truth" / "instances").write_bytes(b"in the way")
    with pytest.raises(StorageError, match="instances"):
        pull_server(study, server)
    (study.path / "truth" / "instances").unlink()
    assert len(pull_server(study, server).images) == 2


# The report


def test_comments_come_with_their_image(study: Study, server: FakeCvat) -> None:
    job = jobs_of(server)[0]
    edit(server, job.id)
    server.comment(job.id, "is this a\nvessel?")
    report = pull_server(study, server)
    assert [c.text for c in report.images[0].comments] == ["is this a\nvessel?"]
    assert report.path is not None
    document = json.loads(report.path.read_text("utf-8"))
    assert document["images"][0]["comments"][0]["author"] == "eva"
    text = report.path.with_suffix(".md").read_text("utf-8")
    assert "is this a vessel?" in text and "eva at 1, 1" in text
    assert "| fat | 2 |" in text


def test_the_text_names_what_failed(study: Study, server: FakeCvat) -> None:
    first = jobs_of(server)[0]
    edit(server, first.id, lambda shapes: [replace(shapes[0], points=())])
    report = pull_server(study, server)
    assert report.path is not None
    text = report.path.with_suffix(".md").read_text("utf-8")
    assert f"tile_001 (job {first.id}, frame 0)" in text


def test_what_was_pulled_labels_the_objects(study: Study, server: FakeCvat) -> None:
    image = next(i for i in study.images() if i.name == "tile_001")
    set_objects(study, image, objects_from_labels(image.id, MAPS[0].instances), "look 1")
    job = jobs_of(server)[0]

    def relabel(shapes: list[CvatShape]) -> list[CvatShape]:
        bone = label_id(server, "bone")
        return [replace(s, label=bone) if said(server, s) == "2" else s for s in shapes]

    edit(server, job.id, relabel)
    pull_server(study, server)
    labels_from_truth(study, "eva")
    assert [(s.object_id, s.code) for s in study.labels.all()] == [(1, FAT), (2, BONE)]


def test_what_is_drawn_as_exclude_counts_nowhere(study: Study, server: FakeCvat) -> None:
    project = server.project_named("Trephine")
    server.add_labels(project.id, [EXCLUDE_LABEL])
    first, second = jobs_of(server)
    pen = block(server, "exclude", (0, 0, 20, 25), z_order=-1)
    edit(server, first.id, lambda shapes: [*shapes, pen])
    edit(server, second.id)
    report = pull_server(study, server)
    assert not report.failed
    assert [row.excluded_px for row in report.images] == [500, 0]
    found, sent = truth(study, "tile_001"), MAPS[0]
    assert (found.classes[:25, :20] == UNLABELLED).all()
    assert np.array_equal(found.classes[25:], sent.classes[25:])
    assert np.array_equal(found.instances[:, 20:], sent.instances[:, 20:])
    assert np.array_equal(truth(study, "tile_002").classes, MAPS[1].classes)
    # It counts neither as kept nor as taken away: one object lost half of what counts of it.
    assert report.correction is not None
    assert report.correction.objects.sum(axis=0)[1:].tolist() == [0, 0, 0, 0]
    (region,) = study.excluded_regions.all()
    assert (region.box, region.pixels, region.origin) == ((0, 0, 20, 25), 500, "pulled")
    # Drawn elsewhere, it is elsewhere.
    moved = block(server, "exclude", (30, 0, 40, 10))
    edit(server, first.id, lambda shapes: [*(s for s in shapes if s.z_order >= 0), moved])
    pull_server(study, server)
    image = study.images()[0]
    area = study.excluded_regions.area(image.id, image.shape)
    assert area is not None
    assert area.mask()[:10, 30:40].all()
    assert area.pixels == 100
    found = truth(study, "tile_001")
    assert np.array_equal(found.classes[:25, :20], sent.classes[:25, :20])
