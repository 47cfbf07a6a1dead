"""VOC archives read back with zipfile, PIL and lxml; and two that a CVAT server took."""

import io
import zipfile
from pathlib import Path, PurePath

import numpy as np
import pytest
from lxml import etree
from PIL import Image as Picture

from annotator.core.classes import CLASS_NAMES, DEFAULT_SCHEMA, UNLABELLED, ClassSchema
from annotator.core.errors import ExportError, ImageError
from annotator.core.label_maps import LabelMaps
from export.formats.voc import number_shapes, voc_colormap, write_voc
from export.shapes import ExportImage, ExportOptions, shapes

DATA = Path(__file__).parents[2] / "data"
NO_OPTIONS = ExportOptions()


def picture(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with Picture.open(io.BytesIO(archive.read(name))) as image:
        assert image.mode == "RGB"
        return np.array(image)


def packed(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(np.int64) @ [65536, 256, 1]


def label_colours(archive: zipfile.ZipFile) -> dict[str, int]:
    lines = archive.read("labelmap.txt").decode().splitlines()
    assert lines[:2] == ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    rows = [line.split(":") for line in lines[1:]]
    assert all(len(row) == 4 and row[2:] == ["", ""] for row in rows)
    return {row[0]: int(packed(np.array(row[1].split(","), int))) for row in rows}


def classes_of(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Codes as any reader gets them: colours matched by name through labelmap.txt."""
    colours = packed(picture(archive, f"SegmentationClass/{name}.png"))
    codes = np.full(colours.shape, 99, np.uint8)
    for label, colour in label_colours(archive).items():
        codes[colours == colour] = UNLABELLED if label == "background" else CLASS_NAMES.index(label)
    return codes


def numbers_of(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    colours = packed(picture(archive, f"SegmentationObject/{name}.png"))
    table = packed(voc_colormap()).tolist()
    present, where = np.unique(colours, return_inverse=True)
    return np.array([table.index(c) for c in present.tolist()])[where].reshape(colours.shape)


def masks_of(archive: zipfile.ZipFile, name: str) -> set[tuple[str, bytes]]:
    """What CVAT makes of it: class and mask of each instance that is not black."""
    codes, numbers = classes_of(archive, name), numbers_of(archive, name)
    masks = set()
    for number in np.unique(numbers[numbers > 0]):
        (code,) = np.unique(codes[numbers == number])
        masks.add((CLASS_NAMES[code], (numbers == number).tobytes()))
    return masks


def test_pictures_come_back_pixel_for_pixel(tmp_path: Path, fields: list[ExportImage]) -> None:
    report = write_voc(tmp_path / "a.zip", iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    assert (report.images, report.merged, report.notes) == (len(fields), {}, ())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        names = archive.read("ImageSets/Segmentation/default.txt").decode().splitlines()
        assert names == [f.name for f in fields]
        for field in fields:
            classes, ids = field.label_maps.classes, field.label_maps.instances
            assert np.array_equal(classes_of(archive, field.name), classes)
            numbers = numbers_of(archive, field.name)
            assert np.array_equal(numbers > 0, classes != UNLABELLED)
            pairs = np.unique(np.stack([numbers[ids > 0], ids[ids > 0]]), axis=1)
            assert pairs.shape[1] == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))


def test_annotations_hold_size_and_half_open_boxes(
    tmp_path: Path, fields: list[ExportImage]
) -> None:
    write_voc(tmp_path / "a.zip", iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        for field in fields:
            root = etree.fromstring(archive.read(f"Annotations/{field.name}.xml"))
            size = tuple(int(root.findtext(f"size/{k}")) for k in ("height", "width"))
            assert size == field.label_maps.shape
            assert root.findtext("filename") == f"{field.name}.jpg"
            for row, shape in zip(root.findall("object"), shapes(field.label_maps), strict=True):
                x0, y0, x1, y1 = (
                    int(row.findtext(f"bndbox/{k}")) for k in ("xmin", "ymin", "xmax", "ymax")
                )
                full = np.zeros(field.label_maps.shape, bool)
                full[shape.where][shape.mask] = True
                assert not np.delete(full, np.s_[y0:y1], 0).any()
                assert all(full[y0:y1, x0:x1][side].any() for side in (0, -1, np.s_[:, 0]))
                assert full[:, x1 - 1].any()
                assert not full[:, x1:].any()
                assert row.findtext("name") == shape.label


def test_two_writes_are_byte_equal(tmp_path: Path, fields: list[ExportImage]) -> None:
    for name in ("a.zip", "b.zip"):
        write_voc(tmp_path / name, iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "b.zip"]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        infos = archive.infolist()
    assert {i.date_time for i in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {(i.create_system, i.external_attr >> 16) for i in infos} == {(3, 0o644)}


def test_colours_come_from_the_schema(tmp_path: Path, fields: list[ExportImage]) -> None:
    schema = ClassSchema(("#ffffff", "#f2d64b", "#d94f4f", "#4fa3d9"))
    write_voc(tmp_path / "a.zip", fields[:1], schema, NO_OPTIONS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert label_colours(archive)["fat"] == 0xF2D64B
        assert np.array_equal(classes_of(archive, "plain"), fields[0].label_maps.classes)


def test_no_boxes_that_cvat_would_turn_into_rectangles(
    tmp_path: Path, fields: list[ExportImage]
) -> None:
    write_voc(tmp_path / "a.zip", iter(fields), DEFAULT_SCHEMA, NO_OPTIONS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        lists = [n for n in archive.namelist() if n.startswith("ImageSets")]
    assert lists == ["ImageSets/Segmentation/default.txt"]


def test_pictures_go_along_byte_for_byte(tmp_path: Path, make_field) -> None:
    source = tmp_path / "scan 01.TIF"
    source.write_bytes(bytes(range(256)) * 50)
    field = ExportImage("scan 01", source.name, make_field().label_maps, source_path=source)
    write_voc(tmp_path / "a.zip", [field], DEFAULT_SCHEMA, ExportOptions(images=True))
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("JPEGImages/scan 01.TIF") == source.read_bytes()


def test_a_picture_that_is_gone_is_named(tmp_path: Path, make_field) -> None:
    options = ExportOptions(images=True)
    with pytest.raises(ExportError, match="field"):
        write_voc(tmp_path / "a.zip", [make_field()], DEFAULT_SCHEMA, options)
    gone = make_field(source_path=tmp_path / "gone.jpg")
    with pytest.raises(ExportError, match=r"gone\.jpg"):
        write_voc(tmp_path / "a.zip", [gone], DEFAULT_SCHEMA, options)
    assert list(tmp_path.iterdir()) == []


def other_pixels() -> None:
    raise ImageError("its file holds other pixels now; annotate it again")


def test_a_picture_that_was_replaced_does_not_go_out_with_the_old_mask(
    tmp_path: Path, make_field
) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(b"picture")
    maps = make_field().label_maps
    right = ExportImage("a", "a.png", maps, source_path=source, check_source=lambda: None)
    wrong = ExportImage("b", "a.png", maps, source_path=source, check_source=other_pixels)
    options = ExportOptions(images=True)
    report = write_voc(tmp_path / "a.zip", [wrong, right], DEFAULT_SCHEMA, options)
    assert report.images == 1 and report.incomplete == ("b",)
    assert report.notes == ("b: left out: its file holds other pixels now; annotate it again",)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert not [name for name in archive.namelist() if PurePath(name).stem == "b"]
        assert archive.read("ImageSets/Segmentation/default.txt") == b"a\n"
    with pytest.raises(ExportError, match="other pixels now"):
        write_voc(tmp_path / "none.zip", [wrong], DEFAULT_SCHEMA, options)
    without = write_voc(tmp_path / "masks.zip", [wrong], DEFAULT_SCHEMA, NO_OPTIONS)
    assert without.images == 1 and not without.incomplete


def test_more_than_255_instances(tmp_path: Path, make_field, crowded: LabelMaps) -> None:
    few, many = make_field("few", 1), make_field("many", label_maps=crowded)
    report = write_voc(tmp_path / "a.zip", [few, many], DEFAULT_SCHEMA, NO_OPTIONS)
    assert report.files == (tmp_path / "a.zip", tmp_path / "a-instances-coco.zip")
    assert report.merged == {"many": {"fat": 300 - 30 - (254 - 31)}}
    assert "47 fat" in report.notes[0]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert np.array_equal(classes_of(archive, "many"), crowded.classes)
        masks = masks_of(archive, "many")
    assert len(masks) == 255
    bones = {m for label, m in masks if label == "bone"}
    ids = np.unique(crowded.instances[crowded.classes == 3])
    assert bones == {(crowded.instances == k).tobytes() for k in ids}


def test_large_instances_then_small_then_pieces_of_bg_keep_their_number() -> None:
    classes, instances = np.full((40, 120), 2, np.uint8), np.zeros((40, 120), np.int32)
    corners = [(y, x) for y in range(0, 40, 4) for x in range(0, 120, 4)]
    for number, (y, x) in enumerate(corners, start=1):
        fat = number <= 200
        classes[y : y + 1 + (not fat), x : x + 2] = 1 if fat else 0
        instances[y, x : x + 2] = number if fat else 0
    drawn = shapes(LabelMaps(classes, instances))
    numbers, merged = number_shapes(drawn)
    assert merged == {"bg": 301 - 254}
    own = [s for s, n in zip(drawn, numbers, strict=True) if np.sum(numbers == n) == 1]
    assert sum(s.label == "fat" for s in own) == 200
    assert sorted(set(numbers.tolist())) == list(range(1, 256))


@pytest.mark.parametrize("tile", ["tile_001", "tile_002"])
def test_what_cvat_accepted_is_made_again(tmp_path: Path, tile: str) -> None:
    """Same structure, same modes, and the same masks as an archive that arrived exactly."""
    with zipfile.ZipFile(DATA / "accepted_voc.zip") as accepted:
        classes = classes_of(accepted, tile)
        numbers = numbers_of(accepted, tile)
        wanted = masks_of(accepted, tile)
        structure = {n for n in accepted.namelist() if tile in n or n.endswith(".txt")}
        syntax = accepted.read("labelmap.txt").decode().splitlines()
    ids = np.where((classes == 1) | (classes == 3), numbers, 0).astype(np.int32)
    field = ExportImage(tile, f"{tile}.png", LabelMaps(classes, ids))
    schema = ClassSchema(("#ffffff", "#f2d64b", "#d94f4f", "#4fa3d9"))
    write_voc(tmp_path / "a.zip", [field], schema, NO_OPTIONS)
    with zipfile.ZipFile(tmp_path / "a.zip") as ours:
        assert set(ours.namelist()) - {f"Annotations/{tile}.xml"} == structure
        assert sorted(ours.read("labelmap.txt").decode().splitlines()) == sorted(syntax)
        assert masks_of(ours, tile) == wanted
        assert ours.read("ImageSets/Segmentation/default.txt") == f"{tile}\n".encode()


def test_xml_has_the_fields_of_cvats_own(tmp_path: Path, make_field) -> None:
    write_voc(tmp_path / "a.zip", [make_field("tile_002", 1)], DEFAULT_SCHEMA, NO_OPTIONS)
    name = "Annotations/tile_002.xml"
    with zipfile.ZipFile(DATA / "made_by_cvat_voc.zip") as theirs:
        wanted = etree.fromstring(theirs.read(name))
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        ours = etree.fromstring(archive.read(name))
    assert [e.tag for e in ours[:5]] == [e.tag for e in wanted[:5]]
    assert [e.tag for e in ours.find("size")] == [e.tag for e in wanted.find("size")]
    tags = [e.tag for e in wanted.find("object") if e.tag != "attributes"]
    assert [e.tag for e in ours.find("object")] == tags
    box = [e.tag for e in wanted.find("object/bndbox")]
    assert [e.tag for e in ours.find("object/bndbox")] == box


def test_colour_map_is_the_one_in_cvats_own_archive() -> None:
    with zipfile.ZipFile(DATA / "made_by_cvat_voc.zip") as theirs:
        numbers = numbers_of(theirs, "tile_002")
    assert np.unique(numbers).tolist() == list(range(10))
