"""Pictures of classes and objects: labels by name, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.cvat_archives import FRAME, painted, png_of, read_all, zip_of

from annotator.core.classes import BG, BONE, FAT, UNLABELLED
from annotator.core.errors import UsageError
from annotator.core.label_names import label_names
from export.formats.voc import voc_colormap
from export.readers.detect import reading

MAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nfat:9,8,7::\nbg:255,255,255::\n"


def picture(*blocks: tuple[slice, slice, tuple[int, int, int]]) -> NDArray[np.uint8]:
    canvas = np.zeros((*FRAME, 3), np.uint8)
    for rows, columns, colour in blocks:
        canvas[rows, columns] = colour
    return canvas


CLASSES = picture(
    (slice(0, 9), slice(0, 9), (9, 8, 7)), (slice(20, 30), slice(0, 9), (255, 255, 255))
)


def mask_zip(path: Path, classes: NDArray[np.uint8] | bytes, **more: object) -> Path:
    files: dict[str, bytes | str] = {
        "labelmap.txt": str(more.get("label_map", MAP)),
        "ImageSets/Segmentation/default.txt": "a\n",
        "SegmentationClass/a.png": classes if isinstance(classes, bytes) else png_of(classes),
    }
    objects = more.get("objects")
    if isinstance(objects, np.ndarray):
        files["SegmentationObject/a.png"] = png_of(objects)
    return zip_of(path / "x.zip", files)


def test_labels_are_read_by_name_and_black_is_open(tmp_path: Path) -> None:
    found = painted(mask_zip(tmp_path, CLASSES)).classes
    assert (found[0, 0], found[25, 0], found[50, 50]) == (FAT, BG, UNLABELLED)


def test_a_palette_is_read_as_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray((CLASSES[..., 0] == 9).astype(np.uint8), "L").convert("P")
    image.putpalette([0, 0, 0, 9, 8, 7])
    path = tmp_path / "p.png"
    image.save(path)
    assert painted(mask_zip(tmp_path, path.read_bytes())).classes[0, 0] == FAT


def test_objects_are_pairs_of_colour_and_class(tmp_path: Path) -> None:
    objects = picture(
        (slice(0, 4), slice(0, 9), (128, 0, 0)),
        (slice(4, 9), slice(0, 9), (0, 128, 0)),
        (slice(20, 30), slice(0, 9), (128, 0, 0)),
    )
    found = painted(mask_zip(tmp_path, CLASSES, objects=objects)).instances
    assert len({found[0, 0], found[5, 0], found[25, 0]}) == 3
    assert found.max() == 3
    assert found[50, 50] == 0


def test_without_objects_they_are_connected_pieces(tmp_path: Path) -> None:
    found = painted(mask_zip(tmp_path, CLASSES)).instances
    assert sorted(np.unique(found)) == [0, 1, 2]


def test_more_objects_than_the_format_tells_apart_are_named(tmp_path: Path) -> None:
    classes, objects = np.zeros((2, *FRAME, 3), np.uint8)
    for number in range(1, 256):
        y, x = divmod(number, 30)
        classes[4 * y, 4 * x] = (9, 8, 7)
        objects[4 * y, 4 * x] = voc_colormap()[number]
    with reading(mask_zip(tmp_path, classes, objects=objects), lambda _: FRAME) as archive:
        assert len(list(archive.images)) == 1
        assert "a: 255 objects" in archive.notes[0]


def test_names_with_blanks_stand_in_quotes(tmp_path: Path) -> None:
    lists = {"ImageSets/Segmentation/default.txt": '"fall 12"\n#no\n\n', "labelmap.txt": MAP}
    assert read_all(zip_of(tmp_path / "x.zip", lists)).keys() == {"fall 12"}


@pytest.mark.parametrize(
    ("label_map", "why"),
    [
        (MAP.replace("9,8,7", "9,8,6"), "\\(9, 8, 7\\)"),
        (MAP.replace("9,8,7", "9,8"), "name:red,green,blue"),
        (MAP.replace("9,8,7", "9,8,256"), "name:red,green,blue"),
        (MAP.replace("9,8,7", "9,8," + "7" * 5000), "name:red,green,blue"),
        (MAP.replace("9,8,7", "255,255,255"), "'fat' .*'bg'"),
        ("\n", "colour"),
    ],
)
def test_labels_and_colours_that_are_not_ours_are_refused(
    tmp_path: Path, label_map: str, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        read_all(mask_zip(tmp_path, CLASSES, label_map=label_map))


def test_a_label_that_is_not_ours_is_named_and_its_pixels_stay_open(tmp_path: Path) -> None:
    path = mask_zip(tmp_path, CLASSES, label_map=MAP.replace("fat:", "vessel:"))
    with reading(path, lambda _: FRAME) as archive:
        (image,) = archive.images
    assert image.painted is not None
    found = image.painted.classes
    assert (found[0, 0], found[25, 0]) == (UNLABELLED, BG)
    assert "label 'vessel' is none of our classes (1 time(s), in a)" in archive.notes[-1]


def test_a_label_means_what_a_person_says(tmp_path: Path) -> None:
    path = mask_zip(tmp_path, CLASSES, label_map=MAP.replace("fat:", "Vessel :"))
    with reading(path, lambda _: FRAME, label_names("vessel=bone")) as archive:
        (image,) = archive.images
    assert image.painted is not None
    assert image.painted.classes[0, 0] == BONE


def test_a_label_that_is_not_ours_and_not_drawn_does_no_harm(tmp_path: Path) -> None:
    path = mask_zip(tmp_path, CLASSES, label_map=f"{MAP}vessel:1,2,3::\nbone:3,3,3::\n")
    assert BONE not in painted(path).classes


WHOLE = png_of(CLASSES)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (WHOLE[: len(WHOLE) // 2], "PNG"),
        (b"", "PNG"),
        (b"GIF89a", "PNG"),
        (png_of(CLASSES[:, :-1]), "119 x 90"),
        (png_of(np.zeros(FRAME, np.uint16)), "8 bits"),
        (WHOLE[:16] + b"\x00\x01\x00\x00" * 2 + WHOLE[24:], "PNG|65536 x 65536"),
    ],
)
def test_a_picture_that_cannot_be_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        read_all(mask_zip(tmp_path, data))


def test_the_label_that_excludes_takes_its_pixels_out(tmp_path: Path) -> None:
    classes = CLASSES.copy()
    classes[0:2] = (200, 0, 200)
    found = painted(mask_zip(tmp_path, classes, label_map=f"{MAP}exclude:200,0,200::\n"))
    assert found.excluded is not None
    assert found.excluded[0:2].all()
    assert found.excluded.sum() == 2 * FRAME[1]
    assert (found.classes[0, 0], found.classes[2, 0]) == (UNLABELLED, FAT)
    assert found.instances[0, 0] == 0
    assert painted(mask_zip(tmp_path, CLASSES)).excluded is None
