"""Images leave a study and come back; their files are found again by their pixels."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.measured_studies import add, field, paint

from annotator.core.errors import StudyError, UsageError
from annotator.imaging.codecs import encode_rgb_png
from annotator.measurements.table import dataset
from annotator.pipeline.study_images import decide, list_images, relink
from annotator.study.study import Study
from export.dataset.export import export_study
from export.shapes import ExportOptions


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        add(made, "a.png", field(), truth=field(bone=2))
        add(made, "b.png", field(bone=5))
        yield made


@pytest.mark.parametrize("decision", ["excluded", "removed"])
def test_an_image_that_left_is_nowhere_and_nothing_of_it_is_deleted(
    study: Study, tmp_path: Path, decision: str
) -> None:
    before = {path for path in study.path.rglob("*") if path.suffix == ".png"}
    assert decide(study, ["a.png"], decision, "out of focus", "eva") == ("a",)
    assert [image.name for image in study.images()] == ["b"]
    assert [row.name for row in dataset(study).rows] == ["b"]
    export_study(study, "labelmap", tmp_path / "set", ExportOptions())
    assert [path.name for path in (tmp_path / "set" / "masks").iterdir()] == ["b.png"]
    assert {path for path in study.path.rglob("*") if path.suffix == ".png"} == before
    (first, second) = list_images(study)
    assert (first.state, first.why, first.author) == (decision, "out of focus", "eva")
    assert (second.state, second.why) == ("in the study", "")


def test_it_comes_back_and_every_decision_is_kept(study: Study) -> None:
    decide(study, ["a"], "excluded", "out of focus", "eva")
    decide(study, ["a"], "removed", "of another study", "bob")
    decide(study, ["a", "b"], "restored", "it was the right one", "eva")
    assert [image.name for image in study.images()] == ["a", "b"]
    said = [(one.decision, one.author) for one in study.image_decisions.history()]
    assert said == [("excluded", "eva"), ("removed", "bob"), ("restored", "eva")]
    with (
        sqlite3.connect(study.path / "study.db") as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute("DELETE FROM image_decisions")
    connection.close()


def test_a_wrong_name_or_no_reason_changes_nothing(study: Study) -> None:
    with pytest.raises(UsageError, match="'c'"):
        decide(study, ["a", "c"], "excluded", "out of focus", "eva")
    with pytest.raises(UsageError, match="--why"):
        decide(study, ["a"], "excluded", " ", "eva")
    assert study.image_decisions.history() == ()


def test_pictures_are_found_by_their_pixels_under_other_names(study: Study, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    (place / "deep").mkdir(parents=True)
    (tmp_path / "pictures" / "a.png").rename(place / "deep" / "renamed.png")
    (tmp_path / "pictures" / "b.png").unlink()
    (place / "b.png").write_bytes(encode_rgb_png(paint(field().classes, 77)))
    (place / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = relink(study, place)
    assert found.found == (("a", str(place / "deep" / "renamed.png")),)
    assert found.missing == ("b",)
    assert [Path(path).name for path, _ in found.unreadable] == ["broken.png"]
    with Study.open(study.path) as opened:
        assert [one.file_state for one in list_images(opened)] == ["there", "gone"]


def test_a_replaced_picture_is_told_where_pixels_are_compared(study: Study, tmp_path: Path) -> None:
    data = encode_rgb_png(paint(field().classes, 77))
    (tmp_path / "pictures" / "a.png").write_bytes(data)
    assert [one.file_state for one in list_images(study)] == ["there", "there"]
    assert [one.file_state for one in list_images(study, check=True)] == ["other pixels", "there"]


def test_a_study_of_an_older_layout_gets_the_ledger(study: Study) -> None:
    study.close()
    with sqlite3.connect(study.path / "study.db") as connection:
        connection.execute("DROP TABLE image_decisions")
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    with Study.open(study.path) as opened:
        assert len(opened.images()) == 2
        decide(opened, ["a"], "excluded", "out of focus", "eva")
        assert [image.name for image in opened.images()] == ["b"]


def test_another_run_that_writes_goes_before(study: Study) -> None:
    with Study.open(study.path) as other, other.writing(), pytest.raises(StudyError):
        decide(study, ["a"], "excluded", "out of focus", "eva")
