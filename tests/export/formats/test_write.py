"""The one way in, for every format alike."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from annotator.core.classes import DEFAULT_SCHEMA, UNLABELLED
from annotator.core.errors import ExportError
from export.formats.write import FORMATS, write_export
from export.shapes import ExportImage, ExportOptions, check_name, shapes


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_takes_an_iterator(
    tmp_path: Path, name: str, fields: list[ExportImage]
) -> None:
    report = write_export(name, tmp_path / "out", iter(fields), DEFAULT_SCHEMA)
    assert (report.format, report.images) == (name, len(fields))
    assert report.files == (tmp_path / "out",)
    assert (tmp_path / "out").exists()


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_to_export_says_so_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError):
        write_export(name, tmp_path / "out", iter(()), DEFAULT_SCHEMA)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
def test_an_image_that_fails_leaves_what_was_there(tmp_path: Path, name: str, make_field) -> None:
    def failing() -> Iterator[ExportImage]:
        yield make_field("first")
        raise ExportError("the second cannot be read")

    with pytest.raises(ExportError, match="second"):
        write_export(name, tmp_path / "out", failing(), DEFAULT_SCHEMA)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
def test_one_name_for_two_images_is_refused(tmp_path: Path, name: str, make_field) -> None:
    with pytest.raises(ExportError, match="field"):
        write_export(name, tmp_path / "out", [make_field(), make_field()], DEFAULT_SCHEMA)


@pytest.mark.parametrize("name", FORMATS)
def test_overwriting_is_a_choice(tmp_path: Path, name: str, make_field) -> None:
    out = tmp_path / "out"
    write_export(name, out, [make_field(seed=1)], DEFAULT_SCHEMA)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    write_export(name, out, [make_field(seed=2)], DEFAULT_SCHEMA, ExportOptions(overwrite=True))
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert before.keys() == after.keys()
    assert before != after


def test_unknown_format_names_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"'yolo'.*voc, labelmap, coco, geojson"):
        write_export("yolo", tmp_path / "out", [], DEFAULT_SCHEMA)


@pytest.mark.parametrize("name", ["", " a", "a ", "a/b", "a\\b", "..", ".a", "#1", "a\nb", "a\0"])
def test_names_that_a_reader_would_lose_are_refused(name: str) -> None:
    with pytest.raises(ExportError, match=re.escape(repr(name))):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "ä 骨", "a.b.c", "a#b", "(1) [2]", "a'\"&<b"])
def test_names_that_every_format_carries(tmp_path: Path, name: str, make_field) -> None:
    for kind in FORMATS:
        write_export(kind, tmp_path / kind, [make_field(name)], DEFAULT_SCHEMA)
    assert (tmp_path / "labelmap" / "masks" / f"{name}.png").exists()


@pytest.mark.parametrize("seed", range(5))
def test_shapes_hold_every_labelled_pixel_once(make_field, seed: int) -> None:
    label_maps = make_field(seed=seed).label_maps
    times = np.zeros(label_maps.shape, int)
    for shape in shapes(label_maps):
        times[shape.where] += shape.mask
        assert np.all(label_maps.classes[shape.where][shape.mask] == shape.code)
        assert np.all(label_maps.instances[shape.where][shape.mask] == shape.instance)
        assert all(side.any() for side in (shape.mask[0], shape.mask[-1]))
        assert all(side.any() for side in (shape.mask[:, 0], shape.mask[:, -1]))
    assert np.array_equal(times, label_maps.classes != UNLABELLED)


@pytest.mark.parametrize("name", ["voc", "coco"])
@pytest.mark.parametrize("folder", [".", "..", "/"])
def test_a_folder_without_a_name_is_no_archive(name: str, folder: str, make_field) -> None:
    with pytest.raises(ExportError, match="expected the name of an archive, this is a folder"):
        write_export(name, Path(folder), [make_field()], DEFAULT_SCHEMA, ExportOptions(True))
