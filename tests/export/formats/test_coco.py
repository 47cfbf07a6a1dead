"""COCO archives read back with zipfile, json and pycocotools; and one that CVAT took."""

import contextlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from annotator.core.classes import CLASS_NAMES, DEFAULT_SCHEMA, UNLABELLED
from annotator.core.label_maps import LabelMaps
from export.formats.coco import JSON_NAME, coco_rle, write_coco
from export.formats.voc import write_voc
from export.shapes import ExportImage, ExportOptions

# pycocotools 2.0.11 still hands numpy 2 arrays to each other in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

DATA = Path(__file__).parents[2] / "data"
NO_OPTIONS = ExportOptions()


def read(path: Path) -> COCO:
    coco = COCO()
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [JSON_NAME]
        coco.dataset = json.loads(archive.read(JSON_NAME))
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def maps_of(coco: COCO, image: dict) -> tuple[np.ndarray, np.ndarray]:
    """Paint the annotations of one image; every pixel must be painted at most once."""
    classes = np.full((image["height"], image["width"]), UNLABELLED, np.uint8)
    instances = np.zeros(classes.shape, np.int32)
    for annotation in coco.imgToAnns[image["id"]]:
        mask = coco.annToMask(annotation).astype(bool)
        assert np.all(classes[mask] == UNLABELLED)
        label = coco.cats[annotation["category_id"]]["name"]
        classes[mask] = CLASS_NAMES.index(label)
        instances[mask] = annotation.get("instance_id", 0)
    return classes, instances


@pytest.mark.parametrize("seed", range(8))
def test_run_lengths_are_those_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 9, 2).tolist()
    frame = np.zeros((height + 3, width + 2), bool)
    y, x = rng.integers(0, 4), rng.integers(0, 3)
    frame[y : y + height, x : x + width] = rng.random((height, width)) < rng.random()
    frame[y, x] = True
    mask = frame[y : y + height, x : x + width]
    counts = coco_rle((int(x), int(y), 0, 0), mask, frame.shape)
    packed = mask_utils.frPyObjects({"counts": counts, "size": frame.shape}, *frame.shape)
    assert packed == mask_utils.encode(np.asfortranarray(frame.view(np.uint8)))
    assert sum(counts) == frame.size
    assert min(counts[1:]) > 0


def test_a_full_frame_is_one_run() -> None:
    assert coco_rle((0, 0, 3, 2), np.ones((2, 3), bool), (2, 3)) == [0, 6]


def test_masks_come_back_pixel_for_pixel(tmp_path: Path, fields: list[ExportImage]) -> None:
    report = write_coco(tmp_path / "a.zip", iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    coco = read(tmp_path / "a.zip")
    images = coco.dataset["images"]
    assert [i["file_name"] for i in images] == [f"{f.name}.jpg" for f in fields]
    assert report.shapes == len(coco.dataset["annotations"])
    for field, image in zip(fields, images, strict=True):
        classes, instances = maps_of(coco, image)
        assert np.array_equal(classes, field.label_maps.classes)
        assert np.array_equal(instances, field.label_maps.instances)


def test_areas_boxes_ids_and_crowds(tmp_path: Path, fields: list[ExportImage]) -> None:
    write_coco(tmp_path / "a.zip", iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    coco = read(tmp_path / "a.zip")
    assert [c["name"] for c in coco.dataset["categories"]] == list(CLASS_NAMES)
    assert [c["id"] for c in coco.dataset["categories"]] == [1, 2, 3, 4]
    for number, annotation in enumerate(coco.dataset["annotations"], start=1):
        packed = coco.annToRLE(annotation)
        assert annotation["id"] == number
        assert annotation["area"] == mask_utils.area(packed)
        assert annotation["bbox"] == mask_utils.toBbox(packed).tolist()
        assert annotation["iscrowd"] == (0 if annotation["category_id"] in (2, 4) else 1)


def test_ids_start_at_1_since_pycocotools_counts_0_as_not_found(
    tmp_path: Path, fields: list[ExportImage]
) -> None:
    """pycocotools 2.0.11 keeps the id of what an object matches, and takes 0 for none."""
    write_coco(tmp_path / "a.zip", fields[:2], DEFAULT_SCHEMA, NO_OPTIONS)
    coco = read(tmp_path / "a.zip")
    ids = [annotation["id"] for annotation in coco.dataset["annotations"]]
    assert min(ids) == 1
    assert sorted(ids) == list(range(1, len(ids) + 1))
    assert min(image["id"] for image in coco.dataset["images"]) == 1
    results = [
        {key: one[key] for key in ("image_id", "category_id")}
        | {"segmentation": coco.annToRLE(one), "score": 1.0}
        for one in coco.dataset["annotations"]
        if not one["iscrowd"]
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        judged = COCOeval(coco, coco.loadRes(results), "segm")
        judged.params.areaRng, judged.params.areaRngLbl = judged.params.areaRng[:1], ["all"]
        judged.evaluate()
    matches = [ident for image in judged.evalImgs if image for ident in image["dtMatches"][0]]
    assert len(matches) == len(results)
    assert min(matches) >= 1


def test_cell_of_an_image_is_one_annotation(tmp_path: Path, fields: list[ExportImage]) -> None:
    write_coco(tmp_path / "a.zip", fields[:3], DEFAULT_SCHEMA, NO_OPTIONS)
    coco = read(tmp_path / "a.zip")
    for image in coco.dataset["images"]:
        cells = [a for a in coco.imgToAnns[image["id"]] if a["category_id"] == 3]
        assert len(cells) == 1


def test_confidence_and_scale_go_along(tmp_path: Path, make_field) -> None:
    last = int(make_field().label_maps.instances.max())
    field = make_field(um_per_px=0.5, confidence={last: 0.25})
    write_coco(tmp_path / "a.zip", [field], DEFAULT_SCHEMA, NO_OPTIONS)
    dataset = read(tmp_path / "a.zip").dataset
    assert dataset["images"][0]["um_per_px"] == 0.5
    said = {a["instance_id"]: a["confidence"] for a in dataset["annotations"] if "confidence" in a}
    assert said == {last: 0.25}


def test_two_writes_are_byte_equal(tmp_path: Path, fields: list[ExportImage]) -> None:
    for name in ("a.zip", "b.zip"):
        write_coco(tmp_path / name, iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_crowded_fields_lie_beside_a_voc_archive_whole(
    tmp_path: Path, make_field, crowded: LabelMaps
) -> None:
    fields = [make_field("few", 1), make_field("many", label_maps=crowded)]
    write_voc(tmp_path / "a.zip", iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    coco = read(tmp_path / "a-instances-coco.zip")
    for field, image in zip(fields, coco.dataset["images"], strict=True):
        classes, instances = maps_of(coco, image)
        assert np.array_equal(classes, field.label_maps.classes)
        assert np.array_equal(instances, field.label_maps.instances)


def test_what_cvat_accepted_is_made_again(tmp_path: Path) -> None:
    accepted = read(DATA / "accepted_coco.zip")
    names = [c["name"] for c in accepted.dataset["categories"]]
    fields = []
    for image in accepted.dataset["images"]:
        classes = np.full((image["height"], image["width"]), UNLABELLED, np.uint8)
        instances = np.zeros(classes.shape, np.int32)
        for annotation in accepted.imgToAnns[image["id"]]:
            mask = accepted.annToMask(annotation).astype(bool)
            code = CLASS_NAMES.index(names[annotation["category_id"] - 1])
            classes[mask] = code
            instances[mask] = annotation["id"] if code in (1, 3) else 0
        stem = Path(image["file_name"]).stem
        fields.append(ExportImage(stem, image["file_name"], LabelMaps(classes, instances)))
    write_coco(tmp_path / "a.zip", fields, DEFAULT_SCHEMA, NO_OPTIONS)
    ours = read(tmp_path / "a.zip")
    assert ours.dataset.keys() == accepted.dataset.keys()
    assert ours.dataset["images"] == accepted.dataset["images"]
    for coco, other in ((ours, accepted), (accepted, ours)):
        assert masks_by_class(coco) == masks_by_class(other)
    wanted = set(accepted.dataset["annotations"][0])
    assert all(wanted <= set(a) for a in ours.dataset["annotations"])


def masks_by_class(coco: COCO) -> set[tuple[int, str, str]]:
    return {
        (
            a["image_id"],
            coco.cats[a["category_id"]]["name"],
            json.dumps([a["segmentation"], a["area"], a["bbox"]]),
        )
        for a in coco.dataset["annotations"]
    }
