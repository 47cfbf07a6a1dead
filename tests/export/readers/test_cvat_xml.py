"""XML of CVAT: what cannot be painted, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.cvat_archives import cvat_zip, image_xml, mask_xml, painted, read_all, zip_of

from annotator.core.classes import BONE, FAT, UNLABELLED
from annotator.core.errors import UsageError
from export.readers.detect import reading
from export.shapes import ExportImage, shapes

FULL = np.ones((4, 5), bool)
GOOD = mask_xml("fat", FULL)


def refused(path: Path, *shapes: str, head: str = "", **more: object) -> str:
    with pytest.raises(UsageError) as caught:
        read_all(cvat_zip(path / "x.zip", image_xml(*shapes, **more), head=head))
    return str(caught.value)


def test_masks_lie_by_z_order_and_then_as_they_come(tmp_path: Path) -> None:
    shapes = [
        mask_xml("bone", FULL, z_order=2),
        mask_xml("fat", FULL, left=4, z_order=1),
        mask_xml("fat", FULL, top=3, z_order=2),
    ]
    found = painted(cvat_zip(tmp_path / "x.zip", image_xml(*shapes)))
    assert found.classes[0, 4] == BONE
    assert found.classes[3, 4] == FAT
    assert found.tied_px == 5


def test_a_mask_without_a_pixel_and_what_has_no_area_are_counted(tmp_path: Path) -> None:
    shapes = [
        GOOD,
        mask_xml("fat", FULL).replace("0, 20", "20"),
        '<points label="fat" points="1,1;2,2" z_order="0"></points>',
        '<polyline label="vessel" points="1,1;2,2" z_order="0"></polyline>',
        '<tag label="good"></tag>',
        '<points label="fat" points="1,1" z_order="0"></points>',
    ]
    found = read_all(cvat_zip(tmp_path / "x.zip", image_xml(*shapes)))["a"]
    assert found.unused == {"shape without a pixel": 1, "points": 2, "polyline": 1, "tag": 1}


def test_tracks_are_counted(tmp_path: Path) -> None:
    path = cvat_zip(tmp_path / "x.zip", image_xml(GOOD), '<track id="0" label="fat"></track>')
    with reading(path, lambda _: (90, 120)) as archive:
        assert len(list(archive.images)) == 1
        assert archive.unused == {"track": 1}


def test_groups_are_one_instance(tmp_path: Path) -> None:
    pair = [
        mask_xml("fat", FULL, left=left).replace("z_order", 'group_id="4" z_order')
        for left in (0, 20)
    ]
    found = painted(cvat_zip(tmp_path / "x.zip", image_xml(*pair)))
    assert found.instances.max() == 1


def test_a_turned_box_is_a_polygon(tmp_path: Path) -> None:
    box = '<box label="fat" xtl="20" ytl="30" xbr="40" ybr="40" rotation="90.0" z_order="0"></box>'
    found = painted(cvat_zip(tmp_path / "x.zip", image_xml(box)))
    rows, columns = np.nonzero(found.classes == FAT)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (25, 44, 25, 34)


def test_a_fault_names_the_image_and_the_shape(tmp_path: Path) -> None:
    message = refused(tmp_path, GOOD, GOOD.replace("0, 20", "0, 21"))
    assert "a.png, mask 2" in message


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('label="fat"', 'label="vessel"', "bg, fat, cell, bone, .*'vessel'"),
        ('label="fat"', "", "'label'"),
        ("0, 20", "0, 19", "20"),
        ("0, 20", "0, x", "whole"),
        ("0, 20", f"0, {'9' * 40}", "whole"),
        ("0, 20", f"0, {'9' * 9000}", "whole"),
        ("0, 20", "", "whole"),
        ('left="0"', 'left="116"', "120 x 90"),
        ('left="0"', 'left="-1"', "120 x 90"),
        ('left="0"', f'left="{2**40}"', "2\\*\\*31"),
        ('width="5"', 'width="0"', "120 x 90"),
        ('z_order="0"', 'z_order="top"', "z_order.*'top'"),
    ],
)
def test_a_mask_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(UsageError, match=why):
        read_all(cvat_zip(tmp_path / "x.zip", image_xml(GOOD.replace(old, new))))


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ('<polygon label="fat" points="1,1;2,2"></polygon>', "at least 3 corners"),
        ('<polygon label="fat" points="1,1;2,2;x"></polygon>', "expected points"),
        ('<polygon label="fat" points="1,1;2,2;1e99,0"></polygon>', "in or near an image"),
        ('<polygon label="fat" points="1,1;2,2;nan,0"></polygon>', "in or near an image"),
        ('<box label="fat" xtl="1" ytl="1" xbr="inf" ybr="2"></box>', "below 1e9"),
        ('<box label="fat" xtl="1" ytl="1" xbr="2"></box>', "'ybr', got none"),
        ('<ellipse label="fat" cx="1" cy="1" rx="1e6" ry="1"></ellipse>', "half axes"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(tmp_path: Path, shape: str, why: str) -> None:
    assert why in refused(tmp_path, shape)


def test_a_huge_image_is_refused_before_it_is_painted(tmp_path: Path) -> None:
    assert "got 100000000 x 100000000" in refused(tmp_path, frame=(10**8, 10**8))


BOMB = '<!DOCTYPE annotations [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
FILE = '<!DOCTYPE annotations [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize("head", [BOMB, FILE, "<!DOCTYPE annotations SYSTEM 'http://x/y.dtd'>"])
def test_a_document_type_is_refused(tmp_path: Path, head: str) -> None:
    assert "document type" in refused(tmp_path, GOOD, head=head)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-7", "utf-32"])
def test_a_document_type_cannot_hide_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>{BOMB}<annotations></annotations>'
    packed = text.encode(encoding) if encoding != "utf-7" else text.encode("ascii")
    with pytest.raises(UsageError, match="UTF-8"):
        read_all(zip_of(tmp_path / "x.zip", {"annotations.xml": packed}))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "XML"),
        (b'<?xml version="1.0" encoding="\x89"?><annotations/>', "UTF-8"),
        (b"<annotations>\xff</annotations>", "XML"),
        ("<annotations><image", "XML"),
        ("<annotation></annotation>", "<annotations>.*<annotation>"),
        ("<annotations>" + "<a>" * 300 + "</a>" * 300 + "</annotations>", "XML"),
        ("<annotations>&a;</annotations>", "XML"),
    ],
)
def test_what_is_no_xml_of_cvat_is_refused(tmp_path: Path, text: str | bytes, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        read_all(zip_of(tmp_path / "x.zip", {"annotations.xml": text}))


@pytest.mark.parametrize("seed", range(8))
def test_shapes_with_holes_and_loose_parts_come_back_exactly(
    make_field: Callable[..., ExportImage], tmp_path: Path, seed: int
) -> None:
    label_maps = make_field(seed=seed).label_maps
    drawn = shapes(label_maps)
    xml = [
        mask_xml(one.label, one.mask, one.box[0], one.box[1], z_order)
        for z_order, one in enumerate(drawn)
    ]
    archive = cvat_zip(tmp_path / "x.zip", image_xml(*xml, frame=label_maps.shape))
    found = painted(archive, frame=label_maps.shape)
    assert np.array_equal(found.classes, label_maps.classes)
    assert found.instances.max() == len(drawn) > 10
    for number, one in enumerate(drawn, start=1):
        assert np.array_equal(found.instances[one.where] == number, one.mask)


def test_the_label_that_excludes_wins_whatever_its_z_order(tmp_path: Path) -> None:
    shapes = [
        '<polygon label="exclude" points="0,0;10,0;10,10;0,10" z_order="-5"></polygon>',
        '<box label="fat" xtl="0" ytl="0" xbr="20" ybr="5" z_order="0"></box>',
    ]
    found = painted(cvat_zip(tmp_path / "x.zip", image_xml(*shapes)))
    assert found.excluded is not None
    assert found.excluded.sum() == 100
    assert found.tied_px == 0
    assert found.classes[0, 0] == UNLABELLED
    assert (found.classes == FAT).sum() == 50
