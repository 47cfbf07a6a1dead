"""The ledger of excluded regions, and label maps without them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.labelled_studies import only_readable
from support.measured_studies import SHAPE, add, field

from annotator.core.classes import UNLABELLED
from annotator.core.errors import StudyError, UsageError
from annotator.core.objects import BoolMask, objects_from_labels
from annotator.study.excluded_area import ExcludedArea, counted_areas, counted_objects
from annotator.study.rough import KnownImage
from annotator.study.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        yield made


@pytest.fixture
def image(study: Study) -> KnownImage:
    return add(study, "a.png", field(bone=5), truth=field(bone=2))


def block(y0: int, y1: int, x0: int, x1: int) -> BoolMask:
    mask = np.zeros(SHAPE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def area_of(study: Study, image: KnownImage) -> ExcludedArea:
    area = study.excluded_regions.area(image.id, image.shape)
    assert area is not None
    return area


def test_every_map_that_the_study_reads_is_open_there(study: Study, image: KnownImage) -> None:
    before = study.rough.read(image), study.truth.read(image.name)
    mask = block(0, 15, 0, 10) | block(5, 20, 5, 12)
    assert study.excluded_regions.exclude(image.id, [mask], "pen", "pen.geojson", "eva") == 1
    truth, codes = study.truth.read(image.name), study.labels.truth(image.name, image.shape)
    assert truth is not None
    assert codes is not None
    for classes in (study.rough.read(image).classes, truth.classes, codes):
        assert (classes[mask] == UNLABELLED).all()
        assert (classes[~mask] != UNLABELLED).all()
    assert np.array_equal(area_of(study, image).mask(), mask)
    assert area_of(study, image).reason == "excluded (pen)"
    study.excluded_regions.restore([1], "no pen", "bob")
    assert study.excluded_regions.area(image.id, image.shape) is None
    for first, second in zip(before, (study.rough.read(image), study.truth.read("a")), strict=True):
        assert first is not None
        assert second is not None
        assert np.array_equal(first.classes, second.classes)
        assert np.array_equal(first.instances, second.instances)


def test_nothing_is_deleted_and_nothing_noted_twice(study: Study, image: KnownImage) -> None:
    store, mask = study.excluded_regions, block(0, 4, 0, 4)
    assert store.exclude(image.id, [mask, mask, np.zeros(SHAPE, bool)], "pen", "x", "eva") == 1
    assert store.exclude(image.id, [mask], "pen", "x", "eva") == 0
    store.restore([1], "wrong", "eva")
    assert store.exclude(image.id, [mask], "fold", "x", "eva") == 1
    assert [(one.id, one.why, one.restored) for one in store.all()] == [
        (1, "pen", "wrong"),
        (2, "fold", ""),
    ]
    with sqlite3.connect(study.path / "study.db") as database:
        for statement in (
            "DELETE FROM excluded_regions",
            "UPDATE excluded_regions SET why = ''",
            "DELETE FROM restored_regions",
            "UPDATE restored_regions SET why = ''",
        ):
            with pytest.raises(sqlite3.DatabaseError, match="append-only"):
                database.execute(statement)


def test_a_pull_takes_the_place_of_the_pull_before_alone(study: Study, image: KnownImage) -> None:
    store = study.excluded_regions
    store.exclude(image.id, [block(0, 2, 0, 2)], "pen", "pen.geojson", "eva")
    assert store.replace_pulled(image.id, block(10, 20, 0, 5), "drawn", "pull")
    assert not store.replace_pulled(image.id, block(10, 20, 0, 5), "drawn", "pull")
    assert area_of(study, image).pixels == 54
    assert store.replace_pulled(image.id, block(10, 12, 0, 5), "drawn", "pull")
    assert area_of(study, image).pixels == 14
    assert [one.restored for one in store.all()] == ["", "drawn anew", ""]


def test_what_cannot_be_is_refused(study: Study, image: KnownImage) -> None:
    store = study.excluded_regions
    with pytest.raises(UsageError, match="reason"):
        store.exclude(image.id, [block(0, 1, 0, 1)], " ", "x", "eva")
    store.exclude(image.id, [block(0, 1, 0, 1)], "pen", "x", "eva")
    with pytest.raises(UsageError, match=r"\(1\), got 7"):
        store.restore([1, 7], "wrong", "eva")
    assert area_of(study, image).pixels == 1
    with pytest.raises(UsageError, match="reason"):
        store.restore([1], "", "eva")
    with pytest.raises(StudyError):
        store.exclude("no image", [block(0, 1, 0, 1)], "pen", "x", "eva")


def test_a_study_without_the_tables_is_read_and_gets_them(study: Study, image: KnownImage) -> None:
    study.close()
    with sqlite3.connect(study.path / "study.db") as database:
        database.execute("DROP TABLE restored_regions")
        database.execute("DROP TABLE excluded_regions")
    with only_readable(study.path) as path, Study.open(path) as opened:
        assert opened.excluded_regions.all() == ()
        assert opened.excluded_regions.areas() == {}
        assert (opened.rough.read(image).classes != UNLABELLED).all()
    with Study.open(study.path) as opened:
        opened.excluded_regions.exclude(image.id, [block(0, 1, 0, 1)], "pen", "x", "eva")
        assert opened.excluded_regions.areas()[image.id].pixels == 1


def test_damaged_bits_are_named(study: Study, image: KnownImage) -> None:
    study.excluded_regions.exclude(image.id, [block(0, 3, 0, 3)], "pen", "x", "eva")
    with sqlite3.connect(study.path / "study.db") as database:
        database.execute("DROP TRIGGER excluded_regions_update")
        database.execute("UPDATE excluded_regions SET bits = x'00'")
    with pytest.raises(StudyError, match="region 1 is damaged"):
        study.rough.read(image)


def test_objects_count_as_long_as_half_of_them_does(study: Study, image: KnownImage) -> None:
    labels = np.zeros(SHAPE, np.int32)
    for number in range(4):
        labels[0:4, 10 * number : 10 * number + 4] = number + 1
    mask = block(0, 4, 0, 4) | block(0, 3, 10, 14) | block(0, 2, 20, 24)
    study.excluded_regions.exclude(image.id, [mask], "pen", "x", "eva")
    objects = objects_from_labels(image.id, labels)
    area = area_of(study, image)
    assert counted_objects(objects, area).tolist() == [False, False, True, True]
    classes = study.rough.read(image).classes
    counted = counted_areas(classes, area)
    assert sum(counted.values()) == classes.size - area.pixels
    assert counted["unlabelled"] == 0
