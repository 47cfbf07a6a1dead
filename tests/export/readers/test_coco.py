"""JSON of COCO: every kind of segmentation, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco
from support.cvat_archives import FRAME, coco_zip, painted, read_all, recorded, zip_of

from annotator.core.classes import CELL, FAT
from annotator.core.errors import UsageError
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
