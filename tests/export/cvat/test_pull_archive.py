"""Pulling an archive: whole or not at all, nothing lost, unlabelled is not background."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.labelled_studies import set_objects
from support.measured_studies import add, paint
from support.measured_studies import field as drawn_field
from support.pulled_studies import (
    RECORDED,
    SHAPE,
    add_image,
    archive_of,
    changed,
    field,
    truth_of,
    xml_of,
)

from active_learning.rounds.add_labels import labels_from_truth
from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.errors import StudyError, UsageError
from annotator.core.label_maps import compact
from annotator.core.label_names import label_names
from annotator.core.objects import objects_from_labels
from annotator.imaging.codecs import encode_rgb_png
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from annotator.study.truth import TruthStore
from export.cvat.pull_archive import ImageNames, pull_file
from export.dataset.export import export_study
from export.shapes import ExportOptions

CVAT = RECORDED / "tiny_CVAT_for_images_1.1.zip"


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as opened:
        yield opened


def snapshot(study: Study) -> dict[str, bytes]:
    paths = [p for name in ("truth", "report") for p in (study.path / name).rglob("*")]
    return {str(path): path.read_bytes() for path in paths if path.is_file()}


def test_an_untouched_annotation_comes_back_exactly(study: Study, tmp_path: Path) -> None:
    rough = changed(field(), (40, 50, 0, 30, BG, 0), (60, 70, 3, 9, UNLABELLED, 0))
    image = add_image(study, rough=rough)
    report = pull_file(study, archive_of(tmp_path / "x.zip", xml_of("tile_001.png", rough)))
    assert np.array_equal(truth_of(study, image), rough.classes)
    assert [row.status for row in report.images] == ["new"]
    found = TruthStore(study.path).read(image.name)
    assert found is not None
    assert compact(found.instances).max() == 2
    assert np.array_equal(found.instances > 0, rough.instances > 0)
    whole = report.correction
    assert whole is not None
    assert whole.objects.sum(axis=0).tolist() == [4, 0, 0, 0, 0]
    assert report.images[0].areas_px["unlabelled"] == 60


@pytest.mark.parametrize("form", ["voc", "coco"])
def test_our_own_archives_come_back_exactly(study: Study, tmp_path: Path, form: str) -> None:
    rough = changed(field(), (40, 50, 0, 30, BG, 0), (60, 70, 3, 9, UNLABELLED, 0))
    image = add_image(study, "in/Fall 12.ome.tif", rough=rough)
    export_study(study, form, tmp_path / "x.zip", ExportOptions())
    report = pull_file(study, tmp_path / "x.zip")
    assert np.array_equal(truth_of(study, image), rough.classes)
    assert report.correction is not None
    assert report.correction.objects.sum(axis=0).tolist() == [4, 0, 0, 0, 0]


def test_a_task_of_a_real_server(study: Study) -> None:
    first = add_image(study)
    second = add_image(study, "in/tile_002.png", number=2)
    report = pull_file(study, CVAT)
    assert [row.image for row in report.images] == ["tile_001", "tile_002"]
    assert [row.tied_px for row in report.images] == [0, 225]
    counts = np.bincount(truth_of(study, first).ravel(), minlength=256)
    assert counts[UNLABELLED] == 1696
    assert counts[BG] == 0
    assert set(np.unique(truth_of(study, second))) == {FAT, CELL, BONE, UNLABELLED}


def test_all_formats_say_the_same(study: Study) -> None:
    add_image(study)
    add_image(study, "in/tile_002.png", number=2)
    pull_file(study, CVAT)
    for name in ("tiny_COCO_1.0", "tiny_Segmentation_mask_1.1", "job_tiny_CVAT_for_images_1.1"):
        again = pull_file(study, RECORDED / f"{name}.zip")
        assert {row.status for row in again.images} == {"unchanged"}
    assert not (study.path / "truth" / "earlier").exists()


def test_an_earlier_mask_is_kept(study: Study, tmp_path: Path) -> None:
    image = add_image(study)
    pull_file(study, archive_of(tmp_path / "1.zip", xml_of("tile_001.png", field())))
    fixed = changed(field(), (10, 30, 50, 70, BONE, 2))
    report = pull_file(study, archive_of(tmp_path / "2.zip", xml_of("tile_001.png", fixed)))
    row = report.images[0]
    assert row.status == "replaced"
    assert row.kept is not None
    assert row.kept.parent == study.path / "truth" / "earlier"
    assert np.array_equal(truth_of(study, image), fixed.classes)


def test_an_image_without_shapes_does_not_wipe_its_mask(study: Study) -> None:
    image = add_image(study)
    add_image(study, "in/tile_002.png", number=2)
    pull_file(study, CVAT)
    before = truth_of(study, image)
    report = pull_file(study, RECORDED / "empty_CVAT_for_images_1.1.zip")
    assert {row.status for row in report.images} == {"empty"}
    assert "earlier mask stays" in report.images[0].notes[0]
    assert np.array_equal(truth_of(study, image), before)


def test_an_image_without_shapes_gets_no_mask(study: Study) -> None:
    image = add_image(study)
    pull_file(study, RECORDED / "empty_COCO_1.0.zip")
    assert study.labels.truth(image.name, image.shape) is None


def test_images_of_others_are_named(study: Study) -> None:
    add_image(study)
    report = pull_file(study, CVAT)
    assert report.unknown == ("tile_002.png",)


def test_an_archive_of_another_study_is_refused(study: Study) -> None:
    add_image(study, "in/other.png")
    with pytest.raises(UsageError, match=r"'other'.*'tile_001"):
        pull_file(study, CVAT)


def test_an_archive_of_a_video_is_refused(study: Study, tmp_path: Path) -> None:
    add_image(study)
    tracks = '<track id="0" label="fat"></track>' * 2
    with pytest.raises(UsageError, match=r" 2 .*track"):
        pull_file(study, archive_of(tmp_path / "x.zip", tracks))


def test_a_study_without_images_is_refused(study: Study) -> None:
    with pytest.raises(UsageError):
        pull_file(study, CVAT)


def test_a_fault_in_the_last_image_writes_nothing(study: Study, tmp_path: Path) -> None:
    add_image(study)
    add_image(study, "in/tile_002.png", number=2)
    good = xml_of("tile_001.png", field())
    pull_file(study, archive_of(tmp_path / "1.zip", good))
    before = snapshot(study)
    fixed = xml_of("tile_001.png", changed(field(), (10, 30, 50, 70, BONE, 2)))
    bad = xml_of("tile_002.png", field()).replace('rle="', 'rle="7, ')
    with pytest.raises(UsageError, match=r"tile_002\.png.* runs"):
        pull_file(study, archive_of(tmp_path / "2.zip", fixed, bad))
    assert snapshot(study) == before


def test_one_unknown_label_is_named_and_the_rest_is_taken(study: Study, tmp_path: Path) -> None:
    image = add_image(study)
    xml = xml_of("tile_001.png", field()).replace('label="fat"', 'label=" Vessel"', 1)
    report = pull_file(study, archive_of(tmp_path / "x.zip", xml))
    truth = truth_of(study, image)
    assert (truth[12, 12], truth[12, 52], truth[80, 80]) == (UNLABELLED, FAT, CELL)
    assert np.count_nonzero(truth == UNLABELLED) == 400 - 9
    (note,) = report.notes
    assert note.startswith("label 'Vessel' is none of our classes (1 time(s), in tile_001.png)")
    assert report.failed == ()


def test_labels_can_be_mapped_by_hand_and_for_good(study: Study, tmp_path: Path) -> None:
    image = add_image(study)
    xml = xml_of("tile_001.png", field()).replace('label="fat"', 'label="Adipocyte"')
    path = archive_of(tmp_path / "x.zip", xml)
    pull_file(study, path, label_names("ADIPOCYTE = fat"))
    assert np.array_equal(truth_of(study, image), field().classes)
    settings = study.path / "study.toml"
    settings.write_text('[classes]\nalso = { adipocyte = "bone", cell = "ignore" }\n', "utf-8")
    study.close()
    with Study.open(study.path) as again:
        pull_file(again, path)
        found = truth_of(again, image)
        assert set(np.unique(found)) == {BONE, UNLABELLED}
        pull_file(again, path, label_names("adipocyte=fat"))
        assert set(np.unique(truth_of(again, image))) == {FAT, UNLABELLED}


def test_an_archive_without_one_label_of_ours_is_refused(study: Study, tmp_path: Path) -> None:
    add_image(study)
    xml = xml_of("tile_001.png", field())
    for name in ("fat", "cell"):
        xml = xml.replace(f'label="{name}"', f'label="X{name}"')
    with pytest.raises(UsageError, match=r"got 'X(cell|fat)', 'X.*--map 'X"):
        pull_file(study, archive_of(tmp_path / "x.zip", xml))
    assert not snapshot(study)


def test_an_image_that_is_there_twice_is_refused(study: Study, tmp_path: Path) -> None:
    add_image(study)
    twice = [xml_of(f"{folder}/tile_001.png", field()) for folder in "ab"]
    with pytest.raises(UsageError, match=r"'tile_001'.*'a/tile_001"):
        pull_file(study, archive_of(tmp_path / "x.zip", *twice))
    assert not snapshot(study)


def test_another_run_is_not_disturbed(study: Study) -> None:
    add_image(study)
    with Study.open(study.path) as other, other.writing(), pytest.raises(StudyError):
        pull_file(study, CVAT)


@pytest.mark.slow
def test_a_rough_annotation_that_cannot_be_read_is_named(study: Study) -> None:
    image = add_image(study)
    study.rough.paths(image)[0].write_bytes(b"scribble")
    row = pull_file(study, CVAT).images[0]
    assert row.status == "new"
    assert row.correction is None
    assert "not compared" in row.notes[0]


def test_the_report_is_a_file_of_its_own(study: Study) -> None:
    add_image(study)
    first, second = pull_file(study, CVAT), pull_file(study, CVAT)
    assert first.path is not None
    assert first.path != second.path
    document = json.loads(first.path.read_text("utf-8"))
    assert document["format"] == "CVAT for images 1.1"
    assert document["images"][0]["status"] == "new"
    assert set(document["images"][0]["classes"]) == {"bg", "fat", "cell", "bone"}
    assert document["classes"]["bone"]["objects"]["added"] == 3


def test_objects_are_labelled_from_what_was_pulled(study: Study, tmp_path: Path) -> None:
    image = add_image(study)
    set_objects(study, image, objects_from_labels(image.id, field().instances), "look 1")
    fixed = changed(field(), (10, 30, 50, 70, BONE, 2), (10, 30, 10, 25, UNLABELLED, 0))
    pull_file(study, archive_of(tmp_path / "x.zip", xml_of("tile_001.png", fixed)))
    row = labels_from_truth(study, "eva").rows[0]
    assert (row.labelled, row.mixed, row.unlabelled) == (1, 0, 1)
    assert [(s.object_id, s.code) for s in study.labels.all()] == [(2, BONE)]


# Which image is meant


def known(name: str, source: str, number: int) -> KnownImage:
    return KnownImage(f"{number:016x}", name, source, SHAPE, None, (), None)


NAMES = ImageNames(
    [
        known("Fall", "in/Fall.png", 1),
        known("Fall.ome", "in/Fall.ome.tif", 2),
        known("field", "a/field.tif", 3),
        known("field-00000000", "b/field.tif", 4),
        known("what_", "in/what?.png", 5),
    ]
)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Fall.png", 1),
        ("Fall", 1),
        ("FALL.PNG", 1),
        ("batch 3/Fall.png", 1),
        ("Fall.ome", 2),
        ("Fall.ome.tif", 2),
        ("Fall.ome.png", 2),
        ("field.png", 3),
        ("field-00000000.png", 4),
        ("0000000000000004.png", 4),
        ("what?.png", 5),
        ("what_.png", 5),
    ],
)
def test_a_name_means_one_image(name: str, number: int) -> None:
    found = NAMES.find(name)
    assert found is not None
    assert int(found.id, 16) == number
    assert NAMES.shape(name) == SHAPE


def test_a_name_of_no_image() -> None:
    assert NAMES.find("other.png") is None
    assert NAMES.shape("other.png") is None


def test_a_name_in_the_study_goes_before_the_name_of_a_file_but_is_told() -> None:
    found = NAMES.find("field.tif")
    assert found is not None
    assert found.name == "field"
    assert "'field-00000000'" in str(NAMES.ambiguity("field.tif", found))
    first = NAMES.find("Fall.png")
    assert first is not None
    assert NAMES.ambiguity("Fall.png", first) is None


def test_a_name_of_two_images_is_refused() -> None:
    names = ImageNames([known("x", "a/field.tif", 1), known("y", "b/field.tif", 2)])
    with pytest.raises(UsageError, match="'x', 'y'"):
        names.find("field.tif")


def test_a_mask_by_name_is_doubted_where_the_picture_was_replaced(
    study: Study, tmp_path: Path
) -> None:
    rough = drawn_field(bone=10)
    image = add(study, "a.png", rough)
    export_study(study, "coco", tmp_path / "x.zip", ExportOptions())
    assert pull_file(study, tmp_path / "x.zip").images[0].notes == ()
    Path(image.source).write_bytes(encode_rgb_png(paint(rough.classes, 77)))
    (note,) = pull_file(study, tmp_path / "x.zip").images[0].notes
    assert note.startswith("the file 'a.png' holds other pixels now")


def test_a_picture_that_came_along_is_compared(study: Study, tmp_path: Path) -> None:
    rough = drawn_field(bone=10)
    add(study, "a.png", rough)
    export_study(study, "voc", tmp_path / "x.zip", ExportOptions(images=True))
    assert pull_file(study, tmp_path / "x.zip").images[0].notes == ()
    other = encode_rgb_png(paint(rough.classes, 77))
    with (
        zipfile.ZipFile(tmp_path / "x.zip") as archive,
        zipfile.ZipFile(tmp_path / "y.zip", "w") as changed_archive,
    ):
        for name in archive.namelist():
            is_picture = name == "JPEGImages/a.png"
            changed_archive.writestr(name, other if is_picture else archive.read(name))
    (note,) = pull_file(study, tmp_path / "y.zip").images[0].notes
    assert note.startswith("the picture in the archive has other pixels")


def test_corrections_of_an_image_that_is_left_out_are_kept(study: Study, tmp_path: Path) -> None:
    image = add(study, "a.png", drawn_field(bone=10))
    export_study(study, "coco", tmp_path / "x.zip", ExportOptions())
    study.image_decisions.decide(image.id, "excluded", "out of focus", "eva")
    pull_file(study, tmp_path / "x.zip")
    assert np.array_equal(truth_of(study, image), drawn_field(bone=10).classes)
