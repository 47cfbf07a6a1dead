"""Outlines painted again by crossing counts, and against the strict rules of GeoJSON."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from annotator.core.classes import CLASS_NAMES, DEFAULT_SCHEMA, UNLABELLED
from export.formats.geojson import polygons, rings, signed_area, write_geojson
from export.shapes import ExportImage, ExportOptions

NO_OPTIONS = ExportOptions()


def raster(found: list[list[list[tuple[int, int]]]], shape: tuple[int, int]) -> np.ndarray:
    """Even-odd rule at the centres of the pixels: count vertical edges to the left."""
    crossings = np.zeros((shape[0], shape[1] + 1), int)
    for polygon in found:
        for ring in polygon:
            for (x0, y0), (x1, y1) in pairwise(ring):
                assert (x0 == x1) != (y0 == y1)
                if x0 == x1:
                    crossings[min(y0, y1) : max(y0, y1), x0] += 1
    return np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1


def random_mask(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 14, 2)) < rng.choice([0.3, 0.5, 0.7, 0.9])
    mask.flat[0] = True
    return mask


@pytest.mark.parametrize("seed", range(60))
def test_painting_the_outlines_gives_the_mask(seed: int) -> None:
    mask = random_mask(seed)
    assert np.array_equal(raster(polygons(mask), mask.shape), mask)


@pytest.mark.parametrize("seed", range(60))
def test_rings_are_simple_and_one_polygon_is_one_part(seed: int) -> None:
    mask = random_mask(seed)
    parts, count = ndimage.label(mask)
    found = polygons(mask)
    assert len(found) == count
    for number, polygon in enumerate(found, start=1):
        areas = [signed_area(ring) for ring in polygon]
        assert areas[0] > 0
        assert all(area < 0 for area in areas[1:])
        assert sum(areas) == np.count_nonzero(parts == number)
        for ring in polygon:
            assert ring[0] == ring[-1]
            assert max(Counter(ring[1:]).values()) == 1
            assert len(ring) >= 5


def test_pixels_that_touch_by_a_corner_are_two_polygons() -> None:
    assert len(polygons(np.eye(2, dtype=bool))) == 2
    assert len(polygons(np.eye(2, dtype=bool)[::-1].copy())) == 2


def test_a_ring_closed_over_a_corner_has_a_hole_of_its_own() -> None:
    mask = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
    (polygon,) = polygons(mask)
    assert [signed_area(ring) for ring in polygon] == [8, -1]


def test_corners_only() -> None:
    """A straight edge has no points in between."""
    (ring,) = rings(np.ones((7, 9), bool))
    assert sorted(ring[:-1]) == [(0, 0), (0, 7), (9, 0), (9, 7)]


def test_files_hold_every_labelled_pixel_once(tmp_path: Path, fields: list[ExportImage]) -> None:
    report = write_geojson(tmp_path / "out", iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    assert report.images == len(fields)
    for field in fields:
        classes = np.full(field.label_maps.shape, UNLABELLED, np.uint8)
        for feature in read(tmp_path / "out" / f"{field.name}.geojson"):
            found = feature["geometry"]["coordinates"]
            single = feature["geometry"]["type"] == "Polygon"
            mask = raster([found] if single else found, classes.shape)
            assert np.all(classes[mask] == UNLABELLED)
            name = feature["properties"]["classification"]["name"]
            classes[mask] = CLASS_NAMES.index(name)
            assert feature["properties"]["measurements"]["area_px"] == np.count_nonzero(mask)
        assert np.array_equal(classes, field.label_maps.classes)


def read(path: Path) -> list[dict]:
    body = json.loads(path.read_text(encoding="utf-8"))
    assert body["type"] == "FeatureCollection"
    return body["features"]


def test_features_carry_what_qupath_shows(tmp_path: Path, make_field) -> None:
    last = int(make_field().label_maps.instances.max())
    field = make_field(um_per_px=0.5, confidence={last: 0.25})
    write_geojson(tmp_path / "out", [field], DEFAULT_SCHEMA, NO_OPTIONS)
    features = read(tmp_path / "out" / "field.geojson")
    assert len({f["id"] for f in features}) == len(features)
    mask = field.label_maps.instances == last
    label = CLASS_NAMES[field.label_maps.classes[mask][0]]
    area = np.count_nonzero(mask)
    (one,) = [f for f in features if f["properties"]["name"] == f"{label} {last}"]
    assert one["type"] == "Feature"
    assert one["properties"] == {
        "objectType": "annotation",
        "name": f"{label} {last}",
        "classification": {"name": label, "color": list(DEFAULT_SCHEMA.rgb(label))},
        "measurements": {"area_px": area, "area_um2": area / 4, "confidence": 0.25},
    }


def test_two_writes_are_byte_equal(tmp_path: Path, fields: list[ExportImage]) -> None:
    for name in ("a", "b"):
        write_geojson(tmp_path / name, iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_an_image_that_is_to_be_turned_is_named(tmp_path: Path, make_field) -> None:
    turned = replace(make_field(), is_turned=True)
    report = write_geojson(tmp_path / "out", [turned], DEFAULT_SCHEMA, NO_OPTIONS)
    assert len(report.notes) == 1
    assert report.notes[0].startswith("field: its file says that it is to be turned")
    plain = write_geojson(tmp_path / "plain", [make_field()], DEFAULT_SCHEMA, NO_OPTIONS)
    assert plain.notes == ()
