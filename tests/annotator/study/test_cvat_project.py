"""What a study keeps of its projects in CVAT, of its assignments and of deleted frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator.study.cvat import Binding, Sent
from annotator.study.cvat_project import DeletedFrame, KnownProject
from annotator.study.deleted_images import deleted_in_cvat
from annotator.study.study import Study

URL = "https://cvat.test"


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as opened:
        yield opened


def reopened(study: Study) -> Study:
    study.close()
    return Study.open(study.path)


def test_what_is_known_of_a_project(study: Study) -> None:
    assert study.cvat.projects.known(7) == KnownProject(7, "", "", {})
    known = KnownProject(7, "eva", "lab", {"fat": 3})
    study.cvat.projects.note(known)
    with reopened(study) as again:
        assert again.cvat.projects.known(7) == known
        again.cvat.projects.note(KnownProject(7, "eva", "clinic", {"fat": 3}))
        assert again.cvat.projects.known(7).organization == "clinic"


def test_a_project_that_is_left_stays_known(study: Study) -> None:
    key = study.cvat.study_key()
    study.cvat.bind(Binding(URL, 7, "first", key))
    assert study.cvat.projects.left() == ()
    study.cvat.bind(Binding(URL, 7, "first, renamed", key))
    assert study.cvat.projects.left() == ()
    study.cvat.bind(Binding(URL, 8, "second", key))
    with reopened(study) as again:
        (left,) = again.cvat.projects.left()
        assert (left.project_id, left.url, left.name) == (7, URL, "first, renamed")
        assert left.sent == ()
        bound = again.cvat.binding()
    assert bound == Binding(URL, 8, "second", key)


def test_only_what_a_push_gave_is_ours(study: Study) -> None:
    study.cvat.assignments.note(5, "eva")
    study.cvat.assignments.note(5, "eva")
    with reopened(study) as again:
        assert again.cvat.assignments.is_ours(5, "eva")
        assert not again.cvat.assignments.is_ours(5, "ann")
        assert not again.cvat.assignments.is_ours(6, "eva")


def test_deleted_frames_are_noted_and_forgotten(study: Study) -> None:
    image = study.register("a" * 16, "in/a.png", (4, 4), None, ())
    deleted = DeletedFrame(image.id, 5, 0, "2026-01-02T00:00:00+00:00")
    study.cvat.deleted_frames.note(deleted)
    with reopened(study) as again:
        assert again.cvat.deleted_frames.all() == {image.id: deleted}
        assert deleted_in_cvat(again) == {image.id}
        mask = again.path / "truth" / f"{image.name}.png"
        mask.parent.mkdir(exist_ok=True)
        mask.write_bytes(b"put there by hand")
        assert deleted_in_cvat(again) == frozenset()
        again.cvat.deleted_frames.forget(image.id)
        assert again.cvat.deleted_frames.all() == {}


def test_a_study_without_the_tables_can_be_read(study: Study) -> None:
    """One of an earlier version, in a place where nothing can be written."""
    import sqlite3

    names = ("projects", "left_projects", "assignments", "deleted_frames")
    study.close()
    with sqlite3.connect(study.path / "study.db") as database:
        for name in names:
            database.execute(f"DROP TABLE cvat_{name}")
    database.close()
    with Study.open(study.path) as again:
        assert again.cvat.projects.known(7).made_by == ""
        assert again.cvat.projects.left() == ()
        assert again.cvat.deleted_frames.all() == {}
        assert deleted_in_cvat(again) == frozenset()
        assert again.cvat.binding() is None


def test_sent_rows_name_all_fields() -> None:
    """A project that is left keeps them under these names."""
    assert set(Sent.__dataclass_fields__) >= {"image_id", "task_id", "job_id", "frame"}
