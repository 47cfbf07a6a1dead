"""Label maps read back with PIL."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from annotator.core.classes import BONE, DEFAULT_SCHEMA, FAT
from annotator.core.errors import ExportError
from annotator.core.label_maps import LabelMaps
from export.archive import MANIFEST
from export.formats.labelmap import instance_map, write_labelmap
from export.shapes import ExportImage, ExportOptions

NO_OPTIONS = ExportOptions()


def read(path: Path, mode: str) -> np.ndarray:
    with Picture.open(path) as image:
        assert image.mode == mode
        return np.array(image)


def test_maps_come_back_pixel_for_pixel(tmp_path: Path, fields: list[ExportImage]) -> None:
    out = tmp_path / "maps"
    report = write_labelmap(out, iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    total = 0
    for field in fields:
        classes, ids = field.label_maps.classes, field.label_maps.instances
        assert np.array_equal(read(out / "masks" / f"{field.name}.png", "L"), classes)
        for code, name in ((FAT, "fat"), (BONE, "bone")):
            found = read(out / "instances" / name / f"{field.name}.png", "I;16")
            assert np.array_equal(found, np.where(classes == code, ids, 0))
            total += len(np.unique(found[found > 0]))
    assert report.shapes == total
    assert report.images == len(fields)


def test_classes_json_says_what_the_codes_are(tmp_path: Path, fields: list[ExportImage]) -> None:
    write_labelmap(tmp_path / "maps", iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    body = json.loads((tmp_path / "maps" / "classes.json").read_text(encoding="utf-8"))
    assert body["classes"][1] == {"name": "fat", "code": 1, "colour": "#800000"}
    assert body["unlabelled"] == 255
    assert body["images"]["two words é 骨髄"]["um_per_px"] == 0.5
    assert body["images"]["nothing"]["um_per_px"] is None
    assert body["images"]["nothing"]["height"] == 12


def test_large_ids_keep_their_value_until_16_bits() -> None:
    field = LabelMaps(np.array([[FAT, BONE]], np.uint8), np.array([[65535, 70000]], np.int32))
    assert instance_map(field, FAT).tolist() == [[65535, 0]]
    with pytest.raises(ExportError, match="70000"):
        instance_map(field, BONE)


def test_two_writes_are_byte_equal(tmp_path: Path, fields: list[ExportImage]) -> None:
    for name in ("a", "b"):
        write_labelmap(tmp_path / name, iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert files == sorted(p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*.*"))
    assert Path(MANIFEST) in files
    for file in files:
        if (tmp_path / "a" / file).is_file():
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
