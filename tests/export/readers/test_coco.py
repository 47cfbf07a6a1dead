"""JSON of COCO: every kind of segmentation, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco
from support.cvat_archives import FRAME, coco_zip, painted, read_all, recorded, zip_of

from annotator.core.classes import CELL, FAT, UNLABELLED
from annotator.core.errors import UsageError
from annotator.core.label_names import label_names
from export.readers.detect import reading

RING = np.zeros(FRAME, np.uint8, order="F")
RING[10:20, 10:20] = 1
RING[14:16, 14:16] = 0
COUNTS = coco.encode(RING)["counts"].decode()
SQUARE = [30.0, 30.0, 40.0, 30.0, 40.0, 40.0, 30.0, 40.0]


def test_compressed_runs_keep_their_hole(tmp_path: Path) -> None:
    rle = {"size": list(FRAME), "counts": COUNTS}
    found = painted(coco_zip(tmp_path / "x.zip", {"segmentation": rle}))
    assert np.array_equal(found.classes == FAT, RING.astype(bool))


def test_polygons_of_one_annotation_are_one_instance(tmp_path: Path) -> None:
    rings = [SQUARE, [value + 30 for value in SQUARE]]
    found = painted(coco_zip(tmp_path / "x.zip", {"segmentation": rings}))
    assert found.instances.max() == 1
    assert np.count_nonzero(found.classes == FAT) == 200


def test_a_box_without_segmentation_is_a_rectangle() -> None:
    found = read_all(recorded("tiny_COCO_1.0"))["tile_002"].painted
    assert found is not None
    assert (found.classes[5:20, 90:110] == CELL).all()


def test_what_order_decided_is_counted_and_told(tmp_path: Path) -> None:
    path = coco_zip(
        tmp_path / "x.zip",
        {"segmentation": [SQUARE]},
        {"segmentation": [SQUARE], "category_id": 3},
    )
    assert painted(path).tied_px == 100
    with reading(path, lambda _: FRAME) as archive:
        assert "no z_order" in archive.notes[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"category_id": 9}, "got '\\(none\\)'"),
        ({"image_id": 5}, "image 5"),
        ({"segmentation": {"size": [90, 121], "counts": [1]}}, "height|121"),
        ({"segmentation": {"size": [90, 120], "counts": [1]}}, "10800"),
        ({"segmentation": {"size": [90, 120], "counts": [-5, 10805]}}, "10800"),
        ({"segmentation": {"size": [90, 120], "counts": [1.5, 10798.5]}}, "whole"),
        ({"segmentation": {"size": [90, 120], "counts": [10**30]}}, "whole"),
        ({"segmentation": {"size": [90, 120], "counts": "````````"}}, "COCO"),
        ({"segmentation": {"size": [90, 120]}}, "COCO"),
        ({"segmentation": [[1, 2, 3, 4]]}, "3 "),
        ({"segmentation": [[1, 2, 3, 4, 5, "6"]]}, "numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, 10**400]]}, "beyond any"),
        ({"segmentation": [[1, 2, 3, 4, 5, 10**9]]}, "image"),
        ({"segmentation": [], "bbox": [1, 2, 3]}, "4 "),
        ({"segmentation": 5}, "COCO"),
    ],
)
def test_an_annotation_that_cannot_be_is_refused(
    tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        read_all(coco_zip(tmp_path / "x.zip", {"segmentation": [SQUARE]} | change))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "JSON"),
        ("[]", "object"),
        ("{}", "COCO"),
        ('{"a": NaN}', "JSON"),
        (b"\xff\xfe", "JSON"),
    ],
)
def test_what_is_no_coco_is_refused(tmp_path: Path, text: str | bytes, why: str) -> None:
    path = zip_of(tmp_path / "x.zip", {"annotations/instances_default.json": text})
    with pytest.raises(UsageError, match=why):
        read_all(path)


def test_all_subsets_are_read(tmp_path: Path) -> None:
    one = {"categories": [], "annotations": []}
    size = {"height": FRAME[0], "width": FRAME[1]}
    files = {
        f"annotations/instances_{name}.json": json.dumps(
            one | {"images": [{"id": 1, "file_name": f"{name}.png", **size}]}
        )
        for name in ("train", "test")
    }
    assert read_all(zip_of(tmp_path / "x.zip", files)).keys() == {"train", "test"}


# As Label Studio writes it


def label_studio_zip(path: Path, *annotations: dict[str, Any], **more: Any) -> Path:
    """Its export: ``result.json`` at the top, ids from 0, names with what an upload gets."""
    image = {"id": 0, "file_name": "images\\0123abcd-a.png", "height": 90, "width": 120}
    document = {
        "images": [image],
        "categories": [{"id": 0, "name": "fat"}, {"id": 1, "name": "cell"}],
        "annotations": [
            {"id": number, "image_id": 0, "iscrowd": 0, "ignore": 0, "bbox": [0, 0, 1, 1]} | one
            for number, one in enumerate(annotations)
        ],
        "info": {"year": 2026, "version": "1.0", "contributor": "Label Studio"},
    }
    return zip_of(path, {"result.json": json.dumps(document | more), "images/.keep": ""})


def test_label_studio_counts_from_0_and_has_its_own_names(tmp_path: Path) -> None:
    path = label_studio_zip(
        tmp_path / "x.zip",
        {"category_id": 0, "segmentation": [SQUARE]},
        {"category_id": 1, "segmentation": [], "bbox": [60, 40, 10, 20]},
    )
    with reading(path, lambda _: FRAME) as found:
        (image,) = found.images
    assert image.name == "images\\0123abcd-a.png"
    assert image.painted is not None
    expected = np.full(FRAME, UNLABELLED, np.uint8)
    expected[30:40, 30:40], expected[40:60, 60:70] = FAT, CELL
    assert np.array_equal(image.painted.classes, expected)
    assert any("its export as JSON is exact" in note for note in found.notes)


def test_one_image_of_label_studio_does_not_stop_the_others(tmp_path: Path) -> None:
    images = [
        {"id": 0, "file_name": "a.png", "height": 90, "width": 120},
        {"id": 1, "file_name": "small.png", "height": 90, "width": 119},
        {"id": 2, "file_name": "not opened.png", "height": None, "width": None},
    ]
    one = {"category_id": 0, "segmentation": [SQUARE]}
    path = label_studio_zip(tmp_path / "x.zip", one, one | {"image_id": 2}, images=images)
    with reading(path, lambda _: FRAME) as found:
        by_name = {image.name: image for image in found.images}
    assert "got 119 x 90" in by_name["small.png"].refused
    for name in ("a.png", "not opened.png"):
        painted_image = by_name[name].painted
        assert painted_image is not None
        assert np.count_nonzero(painted_image.classes == FAT) == 100


def test_labels_of_coco_are_mapped_and_an_unknown_one_stays_open(tmp_path: Path) -> None:
    path = label_studio_zip(
        tmp_path / "x.zip",
        {"category_id": 0, "segmentation": [SQUARE]},
        {"category_id": 1, "segmentation": [[value + 40 for value in SQUARE]]},
        categories=[{"id": 0, "name": "Adipocyte"}, {"id": 1, "name": "vessel"}],
    )
    with reading(path, lambda _: FRAME, label_names("adipocyte=fat")) as found:
        (image,) = found.images
    assert image.painted is not None
    assert image.painted.classes[35, 35] == FAT
    assert image.painted.classes[75, 75] == UNLABELLED
    assert "label 'vessel' is none of our classes" in found.notes[-1]
