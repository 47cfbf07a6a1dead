"""Pulling what people made one by one: each file is taken or refused alone, by name."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.annotation_files import (
    annotation,
    brush_region,
    labelme_file,
    labelme_mask,
    task,
    tasks_file,
)
from support.measured_studies import add, paint
from support.measured_studies import field as drawn_field
from support.pulled_studies import add_image, field, truth_of

from annotator.cli.main import run
from annotator.cli.options import DONE, INCOMPLETE, USAGE
from annotator.core.classes import BONE, CLASS_NAMES, FAT, UNLABELLED
from annotator.core.errors import UsageError
from annotator.core.label_names import label_names
from annotator.imaging.codecs import encode_png, encode_rgb_png
from annotator.study.study import Study
from export.cvat.pull_archive import pull_file

CLASSES = field().classes


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as opened:
        yield opened


def masks(path: Path, **by_name: NDArray[np.uint8]) -> Path:
    path.mkdir(exist_ok=True)
    for name, pixels in by_name.items():
        (path / f"{name}.png").write_bytes(encode_png(pixels))
    return path


def test_a_folder_of_masks(study: Study, tmp_path: Path) -> None:
    first = add_image(study)
    second = add_image(study, "in/tile_002.png", number=2)
    third = add_image(study, "in/tile_003.png", number=3)
    folder = masks(
        tmp_path / "m",
        tile_001=CLASSES,
        tile_002_mask=CLASSES,
        tile_003=CLASSES[1:],
        elsewhere=CLASSES,
    )
    report = pull_file(study, folder)
    assert [row.image for row in report.images] == ["tile_001", "tile_002"]
    assert np.array_equal(truth_of(study, first), CLASSES)
    assert np.array_equal(truth_of(study, second), CLASSES)
    assert study.labels.truth(third.name, third.shape) is None
    assert report.unknown == ("elsewhere.png",)
    (failed,) = report.failed
    assert failed.what == "tile_003.png"
    assert "expected 120 x 90 pixels, as in the study, got 120 x 89" in failed.why


def test_two_masks_of_one_image_are_both_left_out(study: Study, tmp_path: Path) -> None:
    image = add_image(study)
    second = add_image(study, "in/tile_002.png", number=2)
    folder = masks(tmp_path / "m", tile_001=CLASSES, tile_001_mask=CLASSES, tile_002=CLASSES)
    report = pull_file(study, folder)
    assert [row.image for row in report.images] == ["tile_002"]
    assert np.array_equal(truth_of(study, second), CLASSES)
    assert study.labels.truth(image.name, image.shape) is None
    (failed,) = report.failed
    assert (failed.what, "tile_001_mask.png" in failed.why) == ("tile_001", True)


def test_an_earlier_mask_stays_where_the_new_one_is_refused(study: Study, tmp_path: Path) -> None:
    image = add_image(study)
    pull_file(study, masks(tmp_path / "m", tile_001=CLASSES))
    black_and_white = np.where(CLASSES == FAT, 255, 0).astype(np.uint8)
    report = pull_file(study, masks(tmp_path / "m", tile_001=black_and_white))
    assert report.images == ()
    assert "black and white" in report.failed[0].why
    assert np.array_equal(truth_of(study, image), CLASSES)
    pull_file(study, tmp_path / "m", label_names("255=bone,0=ignore"))
    assert set(np.unique(truth_of(study, image))) == {BONE, UNLABELLED}


def test_uploads_of_label_studio_find_their_image(study: Study, tmp_path: Path) -> None:
    image = add_image(study, "in/Fall 12 (2).png")
    brushes = [brush_region(name, code == CLASSES) for code, name in enumerate(CLASS_NAMES)]
    path = tasks_file(
        tmp_path / "x.json",
        task(annotation(*brushes), image="/data/upload/1/0123abcd-Fall_12_2.png"),
    )
    assert pull_file(study, path).format == "Label Studio"
    assert np.array_equal(truth_of(study, image), CLASSES)


def test_two_uploads_of_one_image_are_both_left_out(study: Study, tmp_path: Path) -> None:
    add_image(study)
    brush = annotation(brush_region("fat", CLASSES == FAT))
    uploads = [task(brush, id=n, image=f"/u/{n}123abcd-tile_001.png") for n in (1, 2)]
    report = pull_file(study, tasks_file(tmp_path / "x.json", *uploads))
    assert report.images == ()
    assert "x.json, task 2" in report.failed[0].why


def test_a_picture_inside_a_file_of_labelme_is_compared(study: Study, tmp_path: Path) -> None:
    rough = drawn_field(bone=10)
    add(study, "a.png", rough)
    mask = labelme_mask("fat", np.ones((5, 5), bool), 3, 3)
    size = {"imageHeight": rough.shape[0], "imageWidth": rough.shape[1]}
    for seed, count in ((None, 0), (77, 1)):
        pixels = paint(rough.classes) if seed is None else paint(rough.classes, seed)
        picture = base64.b64encode(encode_rgb_png(pixels)).decode()
        path = labelme_file(tmp_path / "a.json", [mask], imageData=picture, **size)
        (row,) = pull_file(study, path).images
        assert sum("other pixels" in note for note in row.notes) == count


def test_nothing_that_is_read_is_refused_with_what_would_be(study: Study, tmp_path: Path) -> None:
    add_image(study)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"Label Studio .*LabelMe, or masks as PNG, got nothing"):
        pull_file(study, tmp_path / "empty")


# The command


def test_the_command_maps_labels_and_says_what_it_left_out(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = add_image(study)
    add_image(study, "in/tile_002.png", number=2)
    name = str(study.path)
    labelme_file(
        tmp_path / "l" / "tile_001.json",
        [
            labelme_mask("Adipocyte", CLASSES == FAT, 0, 0),
            labelme_mask("vessel", np.ones((2, 2), bool), 80, 80),
        ],
        "tile_001.png",
    )
    labelme_file(tmp_path / "l" / "tile_002.json", [], "tile_002.png", imageWidth=7)
    study.close()
    arguments = ["pull", name, "--from", str(tmp_path / "l"), "--map", "adipocyte=fat"]
    assert run(arguments) == INCOMPLETE
    out = " ".join(capsys.readouterr().out.split())
    assert "1 image(s) from LabelMe: 1 new." in out
    assert "label 'vessel' is none of our classes (1 time(s), in tile_001.png)" in out
    assert "could not be used: tile_002.json: tile_002.png: expected 120 x 90 pixels" in out
    with Study.open(study.path) as again:
        assert np.array_equal(truth_of(again, image) == FAT, CLASSES == FAT)
    (tmp_path / "l" / "tile_002.json").unlink()
    assert run([*arguments, "--map", "vessel=ignore", "--json"]) == DONE
    document = json.loads(capsys.readouterr().out)
    assert document["images"][0]["status"] == "unchanged"
    assert document["notes"] == ["ignored, as you said: 'vessel' 1 time(s)"]


def test_a_map_that_cannot_be_or_without_a_file_is_refused(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_image(study)
    name, folder = str(study.path), str(masks(tmp_path / "m", tile_001=CLASSES))
    study.close()
    assert run(["pull", name, "--map", "a=fat"]) == USAGE
    assert run(["pull", name, "--from", folder, "--map", "a=liver"]) == USAGE
    assert "got 'a=liver'" in " ".join(capsys.readouterr().err.split())
    assert not (study.path / "truth" / "tile_001.png").exists()
