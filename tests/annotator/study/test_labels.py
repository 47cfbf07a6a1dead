"""The table of labels: only ever longer, each label with its mask, also in older studies."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.labelled_studies import ID, OTHER, add_objects, only_readable, stripes

from annotator.core.errors import StudyError
from annotator.core.labels import Label
from annotator.imaging.codecs import encode_png
from annotator.study.database import VERSION
from annotator.study.labels import LabelledMask, labelled_mask, mask_key
from annotator.study.study import Study

TIME = "2026-01-01T00:00:00+00:00"

# The layout of version 1, as SQLite tells it.
VERSION_1 = """
CREATE TABLE images (
    id VARCHAR NOT NULL, name VARCHAR NOT NULL, folded_name VARCHAR NOT NULL,
    source VARCHAR NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, um_per_px DOUBLE,
    notes JSON NOT NULL, look_seconds DOUBLE, added VARCHAR NOT NULL,
    PRIMARY KEY (id), UNIQUE (name), UNIQUE (folded_name)
);
CREATE TABLE written_files (
    path VARCHAR NOT NULL, sha256 VARCHAR NOT NULL, PRIMARY KEY (path, sha256)
);
CREATE TABLE runs (
    id INTEGER NOT NULL, started VARCHAR NOT NULL, seconds DOUBLE NOT NULL,
    settings VARCHAR NOT NULL, counts JSON NOT NULL, stage_seconds JSON NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE annotations (
    image_id VARCHAR NOT NULL, look_key VARCHAR NOT NULL, judge_key VARCHAR NOT NULL,
    source VARCHAR NOT NULL, classifier VARCHAR NOT NULL, areas_px JSON NOT NULL,
    cellularity DOUBLE, objects INTEGER NOT NULL, coverage JSON NOT NULL, notes JSON NOT NULL,
    seconds DOUBLE NOT NULL, confidence JSON NOT NULL, written VARCHAR NOT NULL,
    PRIMARY KEY (image_id), FOREIGN KEY(image_id) REFERENCES images (id)
);
CREATE TABLE failures (
    id INTEGER NOT NULL, run_id INTEGER NOT NULL, path VARCHAR NOT NULL, reason VARCHAR NOT NULL,
    PRIMARY KEY (id), FOREIGN KEY(run_id) REFERENCES runs (id)
);
INSERT INTO images VALUES
    ('0123456789abcdef', 'a', 'a', '/in/a.png', 3, 2, 0.5, '[]', 1.5, '2026-01-01T00:00:00+00:00');
PRAGMA user_version = 1;
"""


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        add_objects(made, stripes(2, 3))
        yield made


def mask(width: int = 2) -> LabelledMask:
    return labelled_mask(ID, (0, 0, width, 2), np.ones((2, width), bool))


def label(code: int = 1, of: LabelledMask | None = None) -> Label:
    key = (of or mask()).key
    return Label(ID, 1, code, "person", 0, "eva", TIME, 0.5, mask_key=key, objects_key="look")


def test_what_is_said_stays_in_order(study: Study):
    study.labels.append([label(1), label(2)], [mask(), mask()])
    study.labels.append([label(1)], [mask()])
    stored = study.labels.all()
    assert [s.code for s in stored] == [1, 2, 1]
    assert [s.id for s in stored] == [1, 2, 3]
    assert replace(stored[0], id=0) == label(1)
    assert study.labels.for_image(ID) == stored
    assert study.labels.for_image(OTHER) == ()
    assert study.labels.image_ids() == (ID,)
    assert study.labels.count() == 3
    assert study.labels.masks(ID) == {mask().key: mask()}


def test_labels_outlive_the_process(study: Study):
    study.labels.append([label()], [mask()])
    study.close()
    with Study.open(study.path) as again:
        assert again.labels.count() == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE labels SET code = 2",
        "DELETE FROM labels",
        "INSERT OR REPLACE INTO labels SELECT id, image_id, mask_key, look_key, object_id, 3, "
        "source, round, author, time, confidence, origin FROM labels",
        "UPDATE labelled_masks SET x0 = 1",
        "DELETE FROM labelled_masks",
        "INSERT OR REPLACE INTO labelled_masks SELECT image_id, mask_key, 1, y0, x1, y1, bits "
        "FROM labelled_masks",
    ],
)
def test_the_database_itself_refuses_to_forget(study: Study, statement: str):
    study.labels.append([label()], [mask()])
    before = study.labels.all()
    with sqlite3.connect(study.path / "study.db") as connection:
        with pytest.raises(sqlite3.IntegrityError, match="are append-only"):
            connection.execute(statement)
        connection.rollback()
    connection.close()
    assert study.labels.all() == before
    assert study.labels.masks(ID) == {mask().key: mask()}


def test_a_label_without_its_mask_is_refused_with_all_that_came_along(study: Study):
    with pytest.raises(StudyError, match="1 of 2"):
        study.labels.append([label(), label(2, mask(3))], [mask()])
    assert study.labels.count() == 0
    assert study.labels.masks(ID) == {}


def test_a_label_of_an_unknown_image_is_refused(study: Study):
    foreign = labelled_mask(OTHER, (0, 0, 1, 1), np.ones((1, 1), bool))
    with pytest.raises(StudyError):
        study.labels.append([replace(label(), image_id=OTHER, mask_key=foreign.key)], [foreign])
    assert study.labels.count() == 0


# Masks


def test_a_mask_is_unpacked_as_it_was():
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (3, 5), (8, 8), (17, 31)):
        crop = rng.random(shape) < 0.5
        packed = labelled_mask(ID, (4, 6, 4 + shape[1], 6 + shape[0]), crop)
        assert np.array_equal(packed.crop(), crop)
        assert packed.box == (4, 6, 4 + shape[1], 6 + shape[0])


def test_the_key_of_a_mask_is_its_place_and_shape():
    crop = np.array([[True, False], [True, True]])
    key = mask_key((0, 0, 2, 2), crop)
    assert key == mask_key(np.array([0, 0, 2, 2], np.int32), crop.copy())
    assert key != mask_key((1, 0, 3, 2), crop)
    assert key != mask_key((0, 0, 2, 2), crop.T)
    assert mask_key((0, 0, 4, 1), np.ones((1, 4), bool)) != mask_key(
        (0, 0, 1, 4), np.ones((4, 1), bool)
    )


@pytest.mark.parametrize("bits", [b"", b"nothing packed", mask(9).bits])
def test_a_damaged_mask_is_said_to_be_one(bits: bytes):
    with pytest.raises(StudyError, match=r"study\.db"):
        replace(mask(), bits=bits).crop()


# Studies of an older layout


@pytest.fixture
def older(tmp_path: Path) -> Path:
    path = tmp_path / "older"
    Study.create(path).close()
    (path / "study.db").unlink()
    with sqlite3.connect(path / "study.db") as connection:
        connection.executescript(VERSION_1)
    connection.close()
    return path


def test_an_older_study_takes_labels(older: Path):
    with Study.open(older) as study:
        (image,) = study.images()
        assert (image.name, image.um_per_px, image.objects_seconds) == ("a", 0.5, 1.5)
        study.labels.append([label()], [mask()])
    with Study.open(older) as again:
        assert [s.code for s in again.labels.all()] == [1]
    with sqlite3.connect(older / "study.db") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute("DELETE FROM labels")
    connection.close()


def test_an_older_study_that_can_only_be_read_has_no_labels(older: Path):
    with only_readable(older) as path, Study.open(path) as study:
        assert [image.name for image in study.images()] == ["a"]
        assert study.labels.count() == 0
        assert study.labels.all() == study.labels.for_image(ID) == study.labels.image_ids() == ()
        assert study.labels.masks(ID) == {}


def test_half_an_update_of_the_layout_is_finished(older: Path):
    Study.open(older).close()
    with sqlite3.connect(older / "study.db") as connection:
        connection.execute("DROP TRIGGER labels_remain")
        connection.execute("DROP TABLE labelled_masks")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with Study.open(older) as study:
        study.labels.append([label()], [mask()])
    with sqlite3.connect(older / "study.db") as connection:
        for table in ("labels", "labelled_masks"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(f"DELETE FROM {table}")
    connection.close()


# Corrected masks


def truth(study: Study, data: bytes) -> None:
    (study.path / "truth" / "a.png").write_bytes(data)


def test_a_corrected_mask_is_read(study: Study):
    assert study.labels.truth("a", (4, 5)) is None
    codes = np.array([[0, 1, 2, 3, 255]] * 4, np.uint8)
    truth(study, encode_png(codes))
    found = study.labels.truth("a", (4, 5))
    assert found is not None
    assert np.array_equal(found, codes)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no picture"),
        (b"nothing", "no picture"),
        (encode_png(np.zeros((5, 4), np.uint8)), "(4, 5) uint8, got (5, 4) uint8"),
        (encode_png(np.zeros((4, 5), np.uint16)), "(4, 5) uint8, got (4, 5) uint16"),
        (encode_png(np.full((4, 5), 7, np.uint8)), "codes 0-3 and 255, got 7"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(study: Study, data: bytes, words: str):
    truth(study, data)
    with pytest.raises(StudyError) as caught:
        study.labels.truth("a", (4, 5))
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(study.path / "truth" / "a.png"))


def test_a_folder_in_the_place_of_a_mask_is_named(study: Study):
    (study.path / "truth" / "a.png").mkdir()
    with pytest.raises(StudyError, match=r"a\.png"):
        study.labels.truth("a", (4, 5))
