"""Scales that people gave to images: kept in the study, after the file's own, before study.toml."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.labelled_studies import only_readable

from annotator.settings.study import Settings
from annotator.study.study import Study

ID = "0123456789abcdef"


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study", Settings(um_per_px=1.0)) as made:
        yield made


def scale(study: Study) -> tuple[float | None, str]:
    (image,) = study.images()
    return image.um_per_px, image.scale_source


def test_each_source_gives_way_to_the_one_before_it(study: Study) -> None:
    image = study.register(ID, "a.png", (2, 3), None, ())
    assert (image.um_per_px, image.scale_source) == (1.0, "study")
    given = study.give_scale(image, 0.5)
    assert (given.um_per_px, given.scale_source) == scale(study) == (0.5, "given")
    again = study.register(ID, "a.png", (2, 3), None, ())
    assert (again.um_per_px, again.scale_source) == (0.5, "given")
    by_file = study.register(ID, "a.tif", (2, 3), 0.25, ())
    assert (by_file.um_per_px, by_file.scale_source) == scale(study) == (0.25, "file")


def test_nobody_knows(tmp_path: Path) -> None:
    with Study.create(tmp_path / "bare") as bare:
        bare.register(ID, "a.png", (2, 3), None, ())
        assert scale(bare) == (None, "none")


def test_a_given_scale_outlives_the_run_and_can_be_given_anew(study: Study) -> None:
    image = study.register(ID, "a.png", (2, 3), None, ())
    study.give_scale(image, 0.5)
    with Study.open(study.path) as opened:
        assert scale(opened) == (0.5, "given")
        opened.give_scale(image, 0.4)
        assert scale(opened) == (0.4, "given")


def test_a_study_of_an_older_layout_gets_the_table_where_it_can_be_written(study: Study) -> None:
    study.register(ID, "a.png", (2, 3), None, ())
    study.close()
    with sqlite3.connect(study.path / "study.db") as connection:
        connection.execute("DROP TABLE given_scales")
        connection.execute("PRAGMA user_version = 6")
    connection.close()
    with only_readable(study.path) as path, Study.open(path) as opened:
        assert scale(opened) == (1.0, "study")
    with Study.open(study.path) as opened:
        opened.give_scale(opened.images()[0], 0.5)
        assert scale(opened) == (0.5, "given")
