"""Files of a study that was moved together with its slides."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotator.study.moved import MovedFiles


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "old" / "slides" / "case 1").mkdir(parents=True)
    (tmp_path / "old" / "study").mkdir()
    (tmp_path / "old" / "slides" / "case 1" / "a.png").write_bytes(b"picture")
    return tmp_path


def test_a_file_that_lies_where_it_lay_is_not_looked_for(place: Path):
    file = str(place / "old" / "slides" / "case 1" / "a.png")
    assert MovedFiles(place / "old" / "study").place(file) == file


@pytest.mark.parametrize("deeper", ["", "studies/2026"])
def test_study_and_slides_that_moved_together_find_each_other(place: Path, deeper: str):
    file = str(place / "old" / "slides" / "case 1" / "a.png")
    (place / "old").rename(place / "new")
    study = place / "new" / deeper / "study"
    found = MovedFiles(study).place(file)
    assert found == str(place / "new" / "slides" / "case 1" / "a.png")


def test_a_file_that_is_nowhere_keeps_its_path(place: Path):
    file = str(place / "gone" / "b.png")
    assert MovedFiles(place / "old" / "study").place(file) == file


def test_slides_far_above_the_study_are_not_taken(place: Path):
    file = str(place / "old" / "slides" / "case 1" / "a.png")
    (place / "old").rename(place / "new")
    assert MovedFiles(place / "new" / "a" / "b" / "c" / "d" / "study").place(file) == file


def test_a_place_that_may_not_be_looked_into_holds_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refused)
    file = str(place / "old" / "slides" / "case 1" / "a.png")
    assert MovedFiles(place / "old" / "study").place(file) == file
