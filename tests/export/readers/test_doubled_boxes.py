"""Boxes that a converter put around masks: left out, told, and never what a person drew."""

from pathlib import Path

import numpy as np
from support.cvat_archives import FRAME, coco_zip, cvat_zip, image_xml, mask_xml, read_all

from annotator.core.classes import CELL, FAT, UNLABELLED
from export.readers.detect import reading

DISC = np.hypot(*(np.mgrid[:20, :20] - 9.5)) < 10
SEGMENT = {"segmentation": [[50.0, 20.0, 60.0, 20.0, 55.0, 35.0]]}


def box_xml(x0: int, y0: int, x1: int, y1: int, group: str, label: str = "fat") -> str:
    corners = f'xtl="{x0}.00" ytl="{y0}.00" xbr="{x1}.00" ybr="{y1}.00"'
    return f'<box label="{label}" {corners} z_order="0" {group}></box>'


def test_a_mask_and_its_box_in_one_group_are_one_object(tmp_path: Path) -> None:
    """As datumaro 1.x writes CVAT's XML from COCO: the box comes after the mask."""
    group = 'group_id="5"'
    mask = mask_xml("fat", DISC, 30, 40).replace("<mask", f"<mask {group}")
    below = mask_xml("cell", np.ones(FRAME, bool))
    path = cvat_zip(tmp_path / "x.zip", image_xml(below, mask, box_xml(30, 40, 50, 60, group)))
    image = read_all(path)["a"]
    assert image.painted is not None
    expected = np.full(FRAME, CELL, np.uint8)
    expected[40:60, 30:50][DISC] = FAT
    assert np.array_equal(image.painted.classes, expected)
    (note,) = image.notes
    assert "1 object(s) are there twice, as a mask and as a box of one group" in note
    assert "the order may be reversed" in note


def test_the_box_of_several_polygons_goes_around_them_all(tmp_path: Path) -> None:
    group = 'group_id="5"'
    polygons = [
        f'<polygon label="fat" points="{x},40;{x + 10},40;{x},50" z_order="0" {group}></polygon>'
        for x in (30, 60)
    ]
    path = cvat_zip(tmp_path / "x.zip", image_xml(*polygons, box_xml(30, 40, 71, 50, group)))
    image = read_all(path)["a"]
    assert image.painted is not None
    assert image.painted.classes[42, 55] == UNLABELLED
    assert len(image.notes) == 1


def test_boxes_that_people_drew_stay(tmp_path: Path) -> None:
    mask = mask_xml("fat", DISC, 30, 40)
    grouped = mask.replace("<mask", '<mask group_id="5"')
    for shapes in (
        [mask, box_xml(5, 5, 20, 20, "")],
        [grouped, box_xml(30, 40, 50, 60, 'group_id="6"')],
        [grouped, box_xml(30, 40, 50, 60, 'group_id="5"', "bone")],
        [grouped, box_xml(5, 5, 20, 20, 'group_id="5"')],
    ):
        image = read_all(cvat_zip(tmp_path / "x.zip", image_xml(*shapes)))["a"]
        assert image.notes == ()
        assert image.painted is not None
        assert image.painted.classes[8, 8] != UNLABELLED or image.painted.classes[41, 31] != 255


def test_an_annotation_of_coco_that_repeats_an_object_as_a_box(tmp_path: Path) -> None:
    box = {"segmentation": [], "bbox": [50, 20, 10, 15]}
    image = read_all(coco_zip(tmp_path / "x.zip", SEGMENT | {"bbox": [50, 20, 10, 15]}, box))["a"]
    assert image.painted is not None
    assert image.painted.classes[34, 51] == UNLABELLED
    assert "order may be reversed" in image.notes[0]


def test_annotations_that_run_backwards_are_told(tmp_path: Path) -> None:
    backwards = [SEGMENT | {"id": number} for number in (3, 2, 1)]
    for annotations, count in ((backwards, 1), (backwards[::-1], 0)):
        with reading(coco_zip(tmp_path / "x.zip", *annotations), lambda _: FRAME) as found:
            assert len(list(found.images)) == 1
        assert sum("run backwards, as datumaro 1.x" in note for note in found.notes) == count
