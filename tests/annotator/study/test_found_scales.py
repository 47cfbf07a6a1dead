"""Scales found in pictures: kept with the images, and no source of sizes in microns."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from support.labelled_studies import only_readable

from annotator.core.scale_source import FoundScale
from annotator.settings.study import Settings
from annotator.study.study import Study

ID = "0123456789abcdef"
FOUND = FoundScale(0.5, "nuclei", True)


def test_a_found_scale_is_told_beside_the_image_and_gives_no_microns(tmp_path: Path) -> None:
    with Study.create(tmp_path / "study") as study:
        image = study.register(ID, "a.png", (2, 3), None, ())
        assert (image.scale_source, image.found_scale) == ("none", None)
        noted = study.note_found_scale(image, FOUND)
        (stored,) = study.images()
        for one in (noted, stored, study.register(ID, "b.png", (2, 3), None, ())):
            assert (one.um_per_px, one.scale_source, one.found_scale) == (None, "found", FOUND)


def test_whoever_says_the_scale_goes_before(tmp_path: Path) -> None:
    with Study.create(tmp_path / "study", Settings(um_per_px=1.0)) as study:
        image = study.note_found_scale(study.register(ID, "a.png", (2, 3), None, ()), FOUND)
        assert (image.um_per_px, image.scale_source, image.found_scale) == (1.0, "study", None)
        given = study.give_scale(image, 0.25)
        assert (given.um_per_px, given.scale_source, given.found_scale) == (0.25, "given", None)


def test_a_study_without_the_table_can_be_read(tmp_path: Path) -> None:
    with Study.create(tmp_path / "study") as study:
        study.register(ID, "a.png", (2, 3), None, ())
    with sqlite3.connect(tmp_path / "study" / "study.db") as connection:
        connection.execute("DROP TABLE found_scales")
    with only_readable(tmp_path / "study") as copy, Study.open(copy) as opened:
        assert [image.found_scale for image in opened.images()] == [None]
