"""GeoJSON as QuPath and other programs write it: our own come back, and drawn by hand."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.pulled_studies import SHAPE, add_image, changed, field, truth_of

from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.errors import UsageError
from annotator.core.label_names import LabelNames
from annotator.study.study import Study
from export.cvat.pull_archive import pull_file
from export.dataset.export import export_study
from export.readers.corrected import Corrected
from export.readers.detect import reading
from export.readers.geojson import class_name, excluding_masks
from export.readers.labels import LabelReader
from export.shapes import ExportOptions

NO_OPTIONS = ExportOptions()


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as opened:
        yield opened


def square(x: int, y: int, side: int, *holes: tuple[int, int, int]) -> dict[str, Any]:
    rings = []
    for left, top, width in ((x, y, side), *holes):
        right, bottom = left + width, top + width
        corners = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        rings.append(corners)
    return {"type": "Polygon", "coordinates": rings}


def feature(geometry: dict[str, Any], classification: Any = None, **members: Any) -> dict[str, Any]:
    properties = {"objectType": "annotation", **members}
    if classification is not None:
        properties["classification"] = classification
    return {"type": "Feature", "id": "some id", "geometry": geometry, "properties": properties}


def of_class(name: str, geometry: dict[str, Any]) -> dict[str, Any]:
    return feature(geometry, {"name": name, "color": [1, 2, 3]})


def drawn(tmp_path: Path, document: Any, name: str = "tile_001.geojson") -> Path:
    path = tmp_path / name
    path.write_text(json.dumps(document), "utf-8")
    return path


def corrected(path: Path, shape: tuple[int, int] = SHAPE) -> Corrected:
    with reading(path, lambda _: shape) as found:
        (image,) = found.images
    return image


# Our own


@pytest.mark.parametrize("packed", [False, True])
def test_our_own_export_comes_back_exactly(study: Study, tmp_path: Path, packed: bool) -> None:
    rough = changed(
        field(), (40, 50, 0, 30, BG, 0), (60, 70, 3, 9, UNLABELLED, 0), (70, 80, 60, 90, BONE, 9)
    )
    image = add_image(study, "in/Fall 12.ome.tif", rough=rough)
    other = add_image(study, "in/tile_002.png", number=2)
    path = tmp_path / "qupath"
    export_study(study, "geojson", path, NO_OPTIONS)
    if packed:
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            for file in path.iterdir():
                archive.write(file, file.name)
        path = tmp_path / "x.zip"
    report = pull_file(study, path)
    assert np.array_equal(truth_of(study, image), rough.classes)
    assert np.array_equal(truth_of(study, other), field().classes)
    found = study.truth.read(image.name)
    assert found is not None
    assert np.array_equal(found.instances > 0, rough.instances > 0)
    assert report.correction is not None
    assert report.correction.objects.sum(axis=0)[1:].tolist() == [0, 0, 0, 0]
    assert [row.unused for row in report.images] == [{}, {}]


def test_an_edited_one_is_painted_in_the_order_of_the_file(study: Study, tmp_path: Path) -> None:
    image = add_image(study)
    export_study(study, "geojson", tmp_path / "qupath", NO_OPTIONS)
    document = json.loads((tmp_path / "qupath" / "tile_001.geojson").read_text("utf-8"))
    document["features"][0]["properties"]["classification"]["name"] = "bone"
    document["features"].append(of_class("bg", square(0, 80, 5)))
    pull_file(study, drawn(tmp_path, document))
    # The first object was fat with a hole of cell.
    bone = field().classes.copy()
    bone[10:30, 10:30][field().classes[10:30, 10:30] == FAT] = BONE
    bone[80:85, 0:5] = BG
    assert np.array_equal(truth_of(study, image), bone)


def test_what_went_through_geopandas_is_read(study: Study, tmp_path: Path) -> None:
    """`id` moves among the properties, isLocked becomes 1.0, nested members become text."""
    image = add_image(study)
    export_study(study, "geojson", tmp_path / "qupath", NO_OPTIONS)
    document = json.loads((tmp_path / "qupath" / "tile_001.geojson").read_text("utf-8"))
    for number, one in enumerate(document["features"]):
        properties = one["properties"]
        properties |= {"id": one.pop("id"), "isLocked": 1.0, "metadata": None}
        properties["classification"] = json.dumps(properties["classification"])
        one["id"] = str(number)
    document |= {"name": "tile", "crs": {"type": "name", "properties": {"name": "urn:ogc"}}}
    pull_file(study, drawn(tmp_path, document))
    assert np.array_equal(truth_of(study, image), field().classes)


# Drawn by hand


@pytest.mark.parametrize("form", ["collection", "list", "single"])
def test_each_form_is_read(tmp_path: Path, form: str) -> None:
    one = of_class("fat", square(10, 20, 6, (12, 22, 2)))
    documents = {
        "collection": {"type": "FeatureCollection", "features": [one]},
        "list": [one],
        "single": one,
    }
    painted = corrected(drawn(tmp_path, documents[form], "tile.json")).painted
    assert painted is not None
    assert np.argwhere(painted.classes == FAT).shape[0] == 36 - 4
    # What nobody outlined is open, and never background.
    assert painted.unlabelled_px == SHAPE[0] * SHAPE[1] - 32


def test_a_multipolygon_is_one_instance(tmp_path: Path) -> None:
    parts = [square(x, 5, 4)["coordinates"] for x in (0, 20)]
    document = [of_class("fat", {"type": "MultiPolygon", "coordinates": parts})]
    painted = corrected(drawn(tmp_path, document)).painted
    assert painted is not None
    assert np.bincount(painted.instances.ravel()).tolist() == [SHAPE[0] * SHAPE[1] - 32, 32]


def test_what_has_no_class_is_named_and_the_rest_is_taken(tmp_path: Path) -> None:
    document = [
        of_class("Cell: pale", square(0, 0, 4)),
        of_class("tumour", square(10, 0, 4)),
        of_class("tumour: pale", square(10, 0, 4)),
        of_class("Ignore*", square(20, 0, 4)),
        feature(square(30, 0, 4)),
        feature(square(30, 0, 4), {"name": "Unclassified"}),
        feature({"type": "LineString", "coordinates": [[0, 0], [5, 5]]}, {"name": "fat"}),
        feature(square(40, 0, 4), {"name": "bone", "colorRGB": -65536}, objectType="detection"),
    ]
    image = corrected(drawn(tmp_path, document))
    assert image.painted is not None
    counts = np.bincount(image.painted.classes.ravel(), minlength=256)
    assert (counts[CELL], counts[BONE], counts[UNLABELLED]) == (16, 16, SHAPE[0] * SHAPE[1] - 32)
    assert image.unused == {"object without a class": 2, "LineString": 1}
    with reading(tmp_path / "tile_001.geojson", lambda _: SHAPE) as found:
        list(found.images)
    named = [
        note.split(" is none of our classes (1 time(s), in tile_001)")[0] for note in found.notes
    ]
    assert named[1:] == ["label 'tumour'", "label 'tumour: pale'"]


def test_a_person_says_what_names_mean(tmp_path: Path) -> None:
    document = [
        of_class("Adipocyte", square(0, 0, 4)),
        of_class("adipocyte: large", square(10, 0, 4)),
        of_class("vessel", square(0, 0, 2)),
        of_class("Pen", square(20, 0, 4)),
        of_class("Ignore*", square(30, 0, 4)),
    ]
    names = LabelNames({"adipocyte": "fat", "vessel": "ignore", "pen": "exclude"})
    with reading(drawn(tmp_path, document), lambda _: SHAPE, names) as found:
        (image,) = found.images
    assert image.painted is not None
    assert image.unused == {}
    # Under what is ignored nothing is known: somebody said that it is none of our classes.
    assert np.count_nonzero(image.painted.classes == FAT) == 16 + 16 - 4
    assert image.painted.excluded is not None
    assert np.argwhere(image.painted.excluded)[[0, -1]].tolist() == [[0, 20], [3, 23]]
    assert found.notes[1:] == ["ignored, as you said: 'vessel' 1 time(s)"]
    said = LabelNames({"ignore*": "bone"})
    with reading(tmp_path / "tile_001.geojson", lambda _: SHAPE, said) as found:
        (image,) = found.images
    assert image.painted is not None
    assert np.count_nonzero(image.painted.classes == BONE) == 16


def test_where_no_name_is_known_nothing_is_taken(study: Study, tmp_path: Path) -> None:
    image = add_image(study)
    path = drawn(tmp_path, [of_class("Tumor", square(0, 0, 4))])
    with pytest.raises(UsageError, match=r"got 'Tumor'; say what they mean, as in --map"):
        pull_file(study, path)
    assert not study.truth.exists(image.name)


def test_one_damaged_file_does_not_stop_the_others(study: Study, tmp_path: Path) -> None:
    image, other = add_image(study), add_image(study, "in/tile_002.png", number=2)
    folder = tmp_path / "qupath"
    folder.mkdir()
    drawn(folder, [of_class("fat", square(0, 0, 4))])
    (folder / "tile_002.geojson").write_text("{", "utf-8")
    report = pull_file(study, folder)
    assert study.truth.exists(image.name)
    assert not study.truth.exists(other.name)
    (failure,) = report.failed
    assert failure.what == "tile_002.geojson"
    assert failure.why.startswith("not JSON")


@pytest.mark.parametrize(
    ("classification", "name"),
    [
        ({"name": "fat"}, "fat"),
        ({"names": ["cell", "pale"]}, "cell: pale"),
        ("bone", "bone"),
        ('{"name": "fat"}', "fat"),
        (None, ""),
        ({"name": None}, ""),
        (7, ""),
    ],
)
def test_names_of_classes(classification: Any, name: str) -> None:
    assert class_name(feature(square(0, 0, 1), classification)) == name
    assert LabelReader().code(" FAT ", "tile") == FAT


# Excluded


def test_exclude_takes_pixels_out_whatever_lies_on_top(study: Study, tmp_path: Path) -> None:
    image = add_image(study)
    document = [
        of_class("Exclude", square(0, 0, 10)),
        of_class("cell", square(0, 0, 20)),
        of_class("fat", square(5, 5, 10)),
    ]
    report = pull_file(study, drawn(tmp_path, document))
    assert report.images[0].excluded_px == 100
    classes = truth_of(study, image)
    assert (classes[:10, :10] == UNLABELLED).all()
    assert (classes == CELL).sum() == 400 - 100 - 75
    area = study.excluded_regions.area(image.id, image.shape)
    assert area is not None
    assert area.mask()[:10, :10].all()
    assert area.pixels == 100
    assert study.rough.read(image).classes[0, 0] == UNLABELLED
    # Drawn anew it takes the place of what was drawn before; left away, it stays, with a note.
    pull_file(study, drawn(tmp_path, [of_class("exclude", square(0, 0, 5)), document[1]]))
    assert study.excluded_regions.area(image.id, image.shape).pixels == 25  # type: ignore[union-attr]
    report = pull_file(study, drawn(tmp_path, document[1:]))
    assert study.excluded_regions.area(image.id, image.shape).pixels == 25  # type: ignore[union-attr]
    assert "restore-region" in report.images[0].notes[0]


def test_regions_of_another_name_exclude_where_a_person_says_so() -> None:
    document = [
        of_class("Pen: blue", square(0, 0, 4)),
        of_class("fat", square(10, 0, 4)),
        feature(square(20, 0, 4)),
    ]
    data = json.dumps(document).encode()
    boxes = [box for box, _ in excluding_masks(data, "x", SHAPE, LabelNames({"pen": "exclude"}))]
    assert boxes == [(0, 0, 4, 4), (20, 0, 24, 4)]
    assert [box for box, _ in excluding_masks(data, "x", SHAPE)] == [(20, 0, 24, 4)]


# What is refused


def test_the_name_tells_the_image(study: Study, tmp_path: Path) -> None:
    image = add_image(study)
    document = [of_class("fat", square(0, 0, 4))]
    with pytest.raises(UsageError, match=r"tile_001.*got 'other'.*call it like the image"):
        pull_file(study, drawn(tmp_path, document, "other.geojson"))
    assert not study.truth.exists(image.name)
    pull_file(study, drawn(tmp_path, document, "tile_001.png.geojson"))
    assert study.truth.exists(image.name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no", "expected GeoJSON"),
        ('{"images": []}', "FeatureCollection"),
        ('{"type": "FeatureCollection", "features": [7]}', "FeatureCollection"),
        (json.dumps([of_class("fat", square(0, 0, 4000))]), r"feature 1.*near an image.*pixels"),
        (
            json.dumps([of_class("fat", {"type": "Polygon", "coordinates": [[["x", 1]]]})]),
            "expected corners",
        ),
        ('[{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": NaN}}]', "NaN"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "tile.geojson"
    path.write_text(text, "utf-8")
    refused = corrected(path)
    assert refused.painted is None
    assert re.search(rf"tile\.geojson.*{why}", refused.refused)


def test_a_folder_without_any_is_refused(tmp_path: Path) -> None:
    drawn(tmp_path, {"images": []}, "coco.json")
    with pytest.raises(UsageError, match=r"expected annotations.*GeoJSON.*coco\.json"):
        corrected(tmp_path)
