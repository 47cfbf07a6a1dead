"""Label Studio's JSON: every kind of region, which annotation counts, which image is meant."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.annotation_files import (
    annotation,
    brush_region,
    classes_of,
    read_by_name,
    region,
    task,
    tasks_file,
)
from support.cvat_archives import FRAME, zip_of

from annotator.core.classes import BONE, CELL, CLASS_NAMES, FAT, UNLABELLED
from annotator.core.errors import UsageError
from annotator.core.label_names import label_names
from export.readers.detect import reading

H, W = FRAME
IMAGE = "/upload/4/0123abcd-a.png"
SQUARE = np.zeros(FRAME, bool)
SQUARE[20:30, 30:42] = True


def one(path: Path, *regions: dict[str, Any]) -> NDArray[np.uint8]:
    tasks = tasks_file(path / "x.json", task(annotation(*regions)))
    images, _ = read_by_name(tasks)
    (name,) = images
    return classes_of(images, name)


def percent(x: float, y: float) -> list[float]:
    return [x * 100 / W, y * 100 / H]


def test_brushes_of_a_whole_map_come_back_exactly(tmp_path: Path) -> None:
    truth = np.random.default_rng(3).choice([0, 1, 2, 3, 255], FRAME).astype(np.uint8)
    brushes = [brush_region(name, truth == code) for code, name in enumerate(CLASS_NAMES)]
    assert np.array_equal(one(tmp_path, *brushes), truth)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (
            "polygonlabels",
            {"points": [percent(*p) for p in ((30, 20), (42, 20), (42, 30), (30, 30))]},
        ),
        ("rectanglelabels", {"x": 25, "y": 200 / 9, "width": 10, "height": 100 / 9, "rotation": 0}),
        # Turned a quarter clockwise about its upper left corner: it lies to the left of it.
        (
            "rectanglelabels",
            {
                "x": percent(42, 0)[0],
                "y": percent(0, 20)[1],
                "width": percent(10, 0)[0],
                "height": percent(0, 12)[1],
                "rotation": 90,
            },
        ),
    ],
)
def test_percents_become_pixels(tmp_path: Path, kind: str, value: dict[str, Any]) -> None:
    found = one(tmp_path, region("fat", kind, value))
    assert np.array_equal(found == FAT, SQUARE)
    assert (found[~SQUARE] == UNLABELLED).all()


def test_an_ellipse_is_given_by_its_centre(tmp_path: Path) -> None:
    x, y = percent(60, 45)
    value = {"x": x, "y": y, "radiusX": percent(30, 0)[0], "radiusY": percent(0, 10)[1]}
    found = one(tmp_path, region("bone", "ellipselabels", value | {"rotation": 90}))
    rows, columns = np.nonzero(found == BONE)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (15, 74, 50, 69)


def test_a_bitmask_is_what_is_not_transparent(tmp_path: Path) -> None:
    pixels = np.zeros((*FRAME, 4), np.uint8)
    pixels[SQUARE, 3] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, "PNG")
    address = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    found = one(tmp_path, region("cell", "bitmasklabels", {"imageDataURL": address}))
    assert np.array_equal(found == CELL, SQUARE)


def test_later_regions_lie_on_top(tmp_path: Path) -> None:
    below, above = brush_region("cell", np.ones(FRAME, bool)), brush_region("fat", SQUARE)
    assert np.array_equal(one(tmp_path, below, above) == FAT, SQUARE)
    assert (one(tmp_path, above, below) == CELL).all()


def test_labels_beside_a_tool_repeat_what_was_drawn(tmp_path: Path) -> None:
    value = {"points": [percent(*p) for p in ((30, 20), (42, 20), (42, 30), (30, 30))]}
    drawn = region(None, "polygon", value)
    named = region("fat", "labels", value)
    choice = region(None, "choices", {"choices": ["good"]})
    alone = region(None, "polygon", value, id="r2")
    path = tasks_file(tmp_path / "x.json", task(annotation(drawn, named, choice, alone)))
    (image,) = read_by_name(path)[0].values()
    assert image.painted is not None
    assert np.array_equal(image.painted.classes == FAT, SQUARE)
    assert image.unused == {"polygon without a label": 1}


def test_points_and_relations_are_counted(tmp_path: Path) -> None:
    point = region("fat", "keypointlabels", {"x": 5, "y": 5, "width": 1})
    path = tasks_file(
        tmp_path / "x.json",
        task(annotation(brush_region("fat", SQUARE), point | {"id": "p"}, {"type": "relation"})),
    )
    (image,) = read_by_name(path)[0].values()
    assert image.unused == {"keypointlabels": 1, "relation": 1}


# Which annotation


def test_the_latest_that_was_not_cancelled_counts_and_is_named(tmp_path: Path) -> None:
    first = annotation(brush_region("fat", SQUARE), id=1, updated_at="2026-03-02T10:00:00Z")
    latest = annotation(
        brush_region("bone", SQUARE),
        id=2,
        updated_at="2026-03-04T10:00:00Z",
        completed_by={"id": 4, "email": "eva@lab"},
    )
    cancelled = annotation(
        brush_region("cell", SQUARE), id=3, updated_at="2026-03-09T10:00:00Z", was_cancelled=True
    )
    path = tasks_file(tmp_path / "x.json", task(latest, cancelled, first))
    (image,) = read_by_name(path)[0].values()
    assert image.painted is not None
    assert (image.painted.classes[SQUARE] == BONE).all()
    assert image.notes == (
        "2 annotations of this image: the latest was taken, annotation 2 of "
        "2026-03-04T10:00:00Z by user eva@lab",
    )


def test_predictions_are_no_truth(tmp_path: Path) -> None:
    predicted = {"result": [brush_region("fat", SQUARE)], "score": 0.9}
    path = tasks_file(tmp_path / "x.json", task(predictions=[predicted]))
    (image,) = read_by_name(path)[0].values()
    assert image.painted is not None
    assert image.painted.is_empty
    assert image.notes == ("an annotation is not there; predictions are not taken as truth",)


# Which image


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/4/0123abcd-a.png", "/data/upload/4/0123abcd-a.png"),
        ("/data/local-files/?d=slides%2Ffield%203.png", "slides/field 3.png"),
        ("/data/local-files/?d=slides/a+b.png", "slides/a+b.png"),
        ("s3://bucket/slides/field%203.tif", "/slides/field 3.tif"),
        ("https://x.org/slides/a.png?token=1&n=2", "/slides/a.png"),
        ("a.png", "a.png"),
    ],
)
def test_the_address_of_an_image_gives_its_name(tmp_path: Path, address: str, name: str) -> None:
    tasks = task(annotation(brush_region("fat", SQUARE)), image=address)
    images, _ = read_by_name(tasks_file(tmp_path / "x.json", tasks))
    assert list(images) == [name]


def test_an_upload_is_also_found_by_its_own_name(tmp_path: Path) -> None:
    tasks = task(
        annotation(brush_region("fat", SQUARE)),
        data={"caption": "biopsy 3", "picture": "https://x.org/9.png"},
        file_upload="0123abcd-a.png",
    )
    path = tasks_file(tmp_path / "x.json", tasks)
    with reading(path, lambda name: FRAME if name == "0123abcd-a.png" else None) as found:
        (image,) = found.images
    assert image.painted is not None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (task(annotation(brush_region("fat", SQUARE, original_width=121))), "got 121 x 90"),
        (task(annotation(brush_region("fat", SQUARE[:, :-1]))), "120 x 90 pixels, got 10710"),
        (task(annotation(brush_region("fat", SQUARE, image_rotation=90))), "turned"),
        (task(annotation(brush_region("fat", SQUARE, item_index=1))), "several pages"),
        (
            task(
                annotation(
                    region("fat", "rectanglelabels", {"x": "1", "y": 1, "width": 1, "height": 1})
                )
            ),
            "numbers",
        ),
        (
            task(annotation(region("fat", "polygonlabels", {"points": [[1, 1], [2, 2]]}))),
            "3 corners",
        ),
        (task(annotation(), data={"text": "no picture"}), "address of an image"),
        (task(annotation("what?")), "not a task"),
        ({"id": 9, "annotations": [3]}, "address"),
        ({"id": 9, "annotation_id": 3, "image": "a.png", "label": []}, "JSON-MIN"),
    ],
)
def test_a_task_that_cannot_be_used_does_not_stop_the_others(
    tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    good = task(annotation(brush_region("fat", SQUARE)), image="good.png")
    images, _ = read_by_name(tasks_file(tmp_path / "x.json", good, changed))
    assert np.array_equal(classes_of(images, "good.png") == FAT, SQUARE)
    (refused,) = [image.refused for image in images.values() if image.refused]
    assert why in refused


def test_labels_are_mapped(tmp_path: Path) -> None:
    several = region(
        "fat", "polygonlabels", {"points": [percent(*p) for p in ((0, 0), (9, 0), (9, 9))]}
    )
    several["value"]["polygonlabels"] = ["fat", "bone"]
    regions = brush_region("Adipozyt", SQUARE), several | {"id": "r2"}
    path = tasks_file(tmp_path / "x.json", task(annotation(*regions)))
    images, notes = read_by_name(path, label_names("adipozyt=fat"))
    (image,) = images.values()
    assert image.painted is not None
    assert np.array_equal(image.painted.classes == FAT, SQUARE)
    assert "label 'fat + bone' is none of our classes" in notes[0]


def test_a_list_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"name": "eva"}]), "utf-8")
    with pytest.raises(UsageError, match=r"expected annotations .*Label Studio .*x\.json"):
        read_by_name(path)


def test_a_zip_of_an_export_is_read(tmp_path: Path) -> None:
    text = json.dumps([task(annotation(brush_region("fat", SQUARE)))])
    path = zip_of(tmp_path / "x.zip", {"project-1-at-2026.json": text})
    (image,) = read_by_name(path)[0].values()
    assert image.painted is not None
