"""LabelMe: every kind of shape, names of images, and files that cannot be used."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.annotation_files import (
    classes_of,
    labelme_file,
    labelme_mask,
    labelme_shape,
    read_by_name,
)
from support.cvat_archives import FRAME, png_of, zip_of

from annotator.core.classes import BG, BONE, CELL, CLASS_NAMES, FAT, UNLABELLED
from annotator.core.errors import UsageError
from annotator.core.label_names import label_names
from annotator.core.objects import BoolMask, tight_box
from export.readers.detect import reading

SQUARE = [[30.0, 20.0], [40.0, 20.0], [40.0, 30.0], [30.0, 30.0]]
FAT_SQUARE = labelme_shape("fat", "polygon", SQUARE)


def one(path: Path, *shapes: dict[str, Any]) -> NDArray[np.uint8]:
    return classes_of(read_by_name(labelme_file(path / "a.json", shapes))[0], "a.png")


def disc(centre: tuple[float, float], radius: float) -> BoolMask:
    y, x = np.mgrid[: FRAME[0], : FRAME[1]] + 0.5
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("polygon", SQUARE),
        ("rectangle", [[30.0, 20.0], [40.0, 30.0]]),
        ("rectangle", [[40.0, 30.0], [30.0, 20.0]]),
        ("rectangle", SQUARE),
        ("oriented_rectangle", SQUARE),
    ],
)
def test_edges_lie_between_pixels(tmp_path: Path, kind: str, points: list[list[float]]) -> None:
    expected = np.full(FRAME, UNLABELLED, np.uint8)
    expected[20:30, 30:40] = FAT
    assert np.array_equal(one(tmp_path, labelme_shape("fat", kind, points)), expected)


def test_a_circle_is_its_centre_and_a_point_on_it(tmp_path: Path) -> None:
    found = one(tmp_path, labelme_shape("bone", "circle", [[50.5, 40.0], [53.5, 44.0]]))
    assert np.array_equal(found == BONE, disc((50.5, 40.0), 5.0))


def test_masks_of_a_whole_map_come_back_exactly(tmp_path: Path) -> None:
    truth = np.random.default_rng(3).choice([0, 1, 2, 3, 255], FRAME).astype(np.uint8)
    shapes = []
    for code, name in enumerate(CLASS_NAMES):
        box = tight_box(truth == code)
        assert box is not None
        x0, y0, x1, y1 = box
        shapes.append(labelme_mask(name, truth[y0:y1, x0:x1] == code, x0, y0))
    assert np.array_equal(one(tmp_path, *shapes), truth)


def test_a_mask_that_leaves_the_image_is_cut(tmp_path: Path) -> None:
    found = one(tmp_path, labelme_mask("fat", np.ones((10, 10), bool), -4, FRAME[0] - 3))
    expected = np.full(FRAME, UNLABELLED, np.uint8)
    expected[-3:, :6] = FAT
    assert np.array_equal(found, expected)
    outside = labelme_mask("fat", np.ones((10, 10), bool), FRAME[1] + 5, 0)
    assert (one(tmp_path, outside) == UNLABELLED).all()


def test_later_shapes_lie_on_top_and_holes_stay_open(tmp_path: Path) -> None:
    above = labelme_shape("cell", "polygon", [[35, 20], [50, 20], [50, 30], [35, 30]])
    found = one(tmp_path, FAT_SQUARE, above)
    assert (found[25, 32], found[25, 37], found[5, 5]) == (FAT, CELL, UNLABELLED)


def test_a_group_is_one_instance_also_group_0(tmp_path: Path) -> None:
    shapes = [
        labelme_shape("fat", "rectangle", [[x, 5], [x + 5, 10]], group_id=group)
        for x, group in ((0, 0), (10, 0), (20, None), (30, None), (40, 1))
    ]
    images, _ = read_by_name(labelme_file(tmp_path / "a.json", shapes))
    painted = images["a.png"].painted
    assert painted is not None
    found = [int(painted.instances[7, x]) for x in (2, 12, 22, 32, 42)]
    assert found[0] == found[1]
    assert len(set(found)) == 4


def test_lines_and_points_are_counted(tmp_path: Path) -> None:
    shapes = [
        labelme_shape("fat", "line", [[1, 1], [5, 5]]),
        labelme_shape("vessel", "linestrip", [[1, 1], [5, 5], [9, 9]]),
        labelme_shape("fat", "point", [[1, 1]]),
        FAT_SQUARE,
    ]
    images, notes = read_by_name(labelme_file(tmp_path / "a.json", shapes))
    assert images["a.png"].unused == {"line": 1, "linestrip": 1, "point": 1}
    assert notes == []


@pytest.mark.parametrize("place", ["..\\slides\\a.png", "../slides/a.png", "C:\\x\\a.png"])
def test_folders_of_any_system_are_no_part_of_the_name(tmp_path: Path, place: str) -> None:
    path = labelme_file(tmp_path / "x.json", [FAT_SQUARE], place)
    with reading(path, lambda name: FRAME if name == place else None) as found:
        (image,) = found.images
    assert image.painted is not None


def test_a_file_is_found_by_its_own_name_where_the_image_was_renamed(tmp_path: Path) -> None:
    path = labelme_file(tmp_path / "field 7.json", [FAT_SQUARE], "old name.png")
    with reading(path, lambda name: FRAME if name == "field 7" else None) as found:
        (image,) = found.images
    assert image.name == "field 7"
    assert image.painted is not None


def test_an_embedded_picture_can_be_compared(tmp_path: Path) -> None:
    picture = png_of(np.zeros((*FRAME, 3), np.uint8))
    for name, data in (("a", picture), ("b", b"\xff\xd8\xff a JPEG")):
        coded = base64.b64encode(data).decode()
        labelme_file(tmp_path / f"{name}.json", [FAT_SQUARE], f"{name}.png", imageData=coded)
    with reading(tmp_path, lambda _: FRAME) as found:
        pictures = {image.name: found.picture(image.name) for image in found.images}
    assert pictures == {"a.png": picture, "b.png": None}


def test_a_folder_and_a_zip_of_it_are_read_alike(tmp_path: Path) -> None:
    for name in ("a", "b", "other"):
        labelme_file(tmp_path / "in" / "deep" / f"{name}.json", [FAT_SQUARE], f"{name}.png")
    (tmp_path / "in" / "deep" / "a.png").write_bytes(b"the picture itself")
    files = {f"in/{p.name}": p.read_bytes() for p in (tmp_path / "in" / "deep").iterdir()}
    zipped = zip_of(tmp_path / "x.zip", files | {"__MACOSX/in/._a.json": b"\0\5"})
    for path in (tmp_path / "in", zipped):
        images, _ = read_by_name(path)
        assert {n: i.painted is not None for n, i in images.items()} == {
            "a.png": True,
            "b.png": True,
            "other.png": False,
        }
        assert not any(image.refused for image in images.values())


def test_labels_are_mapped_trimmed_and_in_any_case(tmp_path: Path) -> None:
    shapes = [
        labelme_shape(" Adipocyte ", "rectangle", [[0, 0], [10, 10]]),
        labelme_shape("BONE", "rectangle", [[10, 0], [20, 10]]),
        labelme_shape("cell", "rectangle", [[20, 0], [50, 10]]),
        labelme_shape("vessel", "rectangle", [[30, 0], [40, 10]]),
        labelme_shape("what?", "rectangle", [[40, 0], [50, 10]]),
    ]
    path = labelme_file(tmp_path / "a.json", shapes)
    images, notes = read_by_name(path, label_names("adipocyte=fat,Vessel=ignore"))
    row = classes_of(images, "a.png")[5, 5:60:10].tolist()
    # What somebody called otherwise is not what lies under it.
    assert row == [FAT, BONE, CELL, UNLABELLED, UNLABELLED, UNLABELLED]
    assert [note.split(" (")[0] for note in notes] == [
        "label 'what?' is none of our classes",
        "ignored, as you said: 'vessel' 1 time(s)",
    ]


@pytest.mark.parametrize(
    ("shapes", "more", "why"),
    [
        ([FAT_SQUARE], {"imageHeight": 91}, "120 x 90 pixels, as in the study, got 120 x 91"),
        ([labelme_shape("fat", "polygon", SQUARE[:2])], {}, "shape 1 (fat): .*3 corners"),
        ([labelme_shape("fat", "polygon", [])], {}, "points"),
        ([labelme_shape("fat", "polygon", [["1", 2]])], {}, "numbers"),
        ([labelme_shape("fat", "polygon", [[1e9, 2], [1, 2], [2, 3]])], {}, "near an image"),
        ([labelme_shape("fat", "ellipse", SQUARE)], {}, "'ellipse' of 4 points"),
        ([labelme_shape("fat", "mask", SQUARE[:2], mask="AAAA")], {}, "not a whole PNG"),
        ([labelme_shape("fat", "mask", SQUARE[:2])], {}, "not a whole PNG"),
        ("fat", {}, "list of shapes"),
    ],
)
def test_a_file_that_cannot_be_used_does_not_stop_the_others(
    tmp_path: Path, shapes: Any, more: dict[str, Any], why: str
) -> None:
    labelme_file(tmp_path / "a.json", [FAT_SQUARE])
    labelme_file(tmp_path / "b.json", shapes, "b.png", **more)
    images, _ = read_by_name(tmp_path)
    assert classes_of(images, "a.png")[25, 35] == FAT
    assert images["b.json"].painted is None
    refused = images["b.json"].refused
    assert all(part in refused for part in why.split(".*")), refused


def test_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    labelme_file(tmp_path / "a.json", [FAT_SQUARE])
    (tmp_path / "settings.json").write_text('{"theme": "dark"}', "utf-8")
    (tmp_path / "broken.json").write_text('{"shapes": [', "utf-8")
    images, _ = read_by_name(tmp_path)
    assert sorted(name for name, image in images.items() if image.refused) == [
        "broken.json",
        "settings.json",
    ]


def test_a_file_without_a_label_of_ours_is_refused_with_advice(tmp_path: Path) -> None:
    path = labelme_file(tmp_path / "a.json", [labelme_shape("0", "polygon", SQUARE)])
    with pytest.raises(UsageError, match="got '0'; say what they mean, as in --map '0=fat'"):
        read_by_name(path)
    assert (classes_of(read_by_name(path, label_names("0=bg"))[0], "a.png") == BG).sum() == 100


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = labelme_file(tmp_path / "a.json", [FAT_SQUARE])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert classes_of(read_by_name(path)[0], "a.png")[25, 35] == FAT
