"""Which stated pixel sizes are believed."""

import pytest

from annotator.imaging.pixel_size import (
    Spacing,
    aperio_spacing,
    imagej_unit,
    ome_pictures,
    ome_spacing,
    other_pixel_size,
    pixel_size,
)


def test_the_first_plausible_pixel_size_counts():
    sizes = [Spacing(0.25, 0.25, "OME-XML", explicit=True), Spacing(0.5, 0.5, "TIFF resolution")]
    assert pixel_size(sizes) == (0.25, ())


@pytest.mark.parametrize("dpi", [72, 96, 300, 600, 1200])
def test_print_resolutions_are_no_pixel_size(dpi):
    assert pixel_size([Spacing(25400 / dpi, 25400 / dpi, "PNG resolution")]) == (None, ())


@pytest.mark.parametrize("um", [0.05, 0.2, 2.0, 20.0])
def test_microscopy_sizes_count_up_to_the_bounds(um):
    assert pixel_size([Spacing(um, um, "any")]) == (um, ())


@pytest.mark.parametrize("um", [0.049, 20.1, 0.0, -1.0, float("nan"), float("inf")])
def test_an_implausible_stated_size_is_passed_over_with_a_note(um):
    size, notes = pixel_size([Spacing(um, um, "OME-XML", explicit=True), Spacing(1, 1, "any")])
    assert size == 1
    assert len(notes) == 1
    assert "OME-XML) is implausible" in notes[0]


def test_pixels_that_are_not_square_leave_the_size_open():
    size, notes = pixel_size([Spacing(0.5, 0.51, "Aperio MPP"), Spacing(1, 1, "any")])
    assert size is None
    assert "0.5 x 0.51 um (Aperio MPP)" in notes[0]


def test_a_rounding_difference_is_square():
    assert pixel_size([Spacing(0.5, 0.501, "any")]) == (0.5005, ())


def ome(attributes, before=""):
    image = '<Image><Pixels SizeX="9" SizeY="7" ' + attributes + "/></Image>"
    space = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    return f'<?xml version="1.0" encoding="UTF-8"?>{before}<OME xmlns="{space}">{image}</OME>'


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('PhysicalSizeX="0.5" PhysicalSizeY="0.6"', (0.5, 0.6)),
        ('PhysicalSizeX="0.5"', (0.5, 0.5)),
        ('PhysicalSizeX="500" PhysicalSizeXUnit="nm" PhysicalSizeY="0.5"', (0.5, 0.5)),
        ('PhysicalSizeX="0.0005" PhysicalSizeXUnit="mm" PhysicalSizeY="0.5"', (0.5, 0.5)),
    ],
)
def test_ome(attributes, expected):
    found = ome_spacing(ome(attributes), (7, 9))
    assert (found.x, found.y) == pytest.approx(expected)


@pytest.mark.parametrize(
    "attributes",
    ["", 'PhysicalSizeX="x"', 'PhysicalSizeX="0.5" PhysicalSizeXUnit="pixel"', "broken <"],
)
def test_ome_that_says_nothing(attributes):
    assert ome_spacing(ome(attributes), (7, 9)) is None


def test_ome_of_several_pictures_takes_the_one_of_this_shape():
    text = (
        '<OME><Image><Pixels SizeX="1" SizeY="2" PhysicalSizeX="4"/></Image>'
        '<Image><Pixels SizeX="9" SizeY="7" PhysicalSizeX="0.5"/></Image></OME>'
    )
    assert ome_spacing(text, (7, 9)).x == 0.5
    assert ome_spacing(text, (70, 90)).x == 4


def test_ome_entities_are_not_expanded(tmp_path):
    (tmp_path / "size").write_text("0.5")
    doctype = f'<!DOCTYPE OME [<!ENTITY e SYSTEM "{(tmp_path / "size").as_uri()}">]>'
    text = ome('PhysicalSizeX="0.5"', doctype).replace("</OME>", "<A>&e;</A></OME>")
    assert ome_spacing(text, (7, 9)) is None
    laughs = '<!DOCTYPE OME [<!ENTITY a "1"><!ENTITY b "&a;&a;">]>'
    assert ome_spacing(ome('PhysicalSizeX="&b;"', laughs), (7, 9)) is None


@pytest.mark.parametrize(
    ("text", "um"),
    [
        ("Aperio Image Library v11\n1x1 |AppMag = 40|MPP = 0.2498", 0.2498),
        ("Aperio|MPP=0,25", 0.25),
        ("Aperio|AppMag = 40", None),
        ("Aperio|MPP = ,.", None),
        ("someone else's MPP = 0.25", None),
        ("Aperio|XMPP = 0.25", None),
    ],
)
def test_aperio(text, um):
    found = aperio_spacing(text)
    assert (found and found.x) == um


@pytest.mark.parametrize(
    ("unit", "um"),
    [("micron", 1), ("um", 1), ("µm", 1), ("\\u00B5m", 1), ("mm", 1000), ("pixel", None)],
)
def test_imagej(unit, um):
    assert imagej_unit(f"ImageJ=1.53t\nimages=1\nunit={unit}\nloop=false\n") == um


def test_a_unit_that_is_not_imagejs():
    assert imagej_unit("unit=um\n") is None


# Two sizes in one file

OME = Spacing(0.25, 0.25, "OME-XML", explicit=True)


@pytest.mark.parametrize("um", [25400 / 72, 25400 / 96, 0.5, 0.2])
def test_a_second_size_beside_that_of_ome_is_noted_once(um):
    sizes = [OME, Spacing(um, um, "TIFF resolution")]
    (note,) = other_pixel_size(sizes, pixel_size(sizes)[0])
    assert "OME-XML says 0.25" in note
    assert f"TIFF resolution {um:.4g}" in note
    assert "viewers may differ" in note


@pytest.mark.parametrize(
    "sizes",
    [
        [OME],
        [OME, Spacing(0.2501, 0.2501, "TIFF resolution")],
        [Spacing(353, 353, "TIFF resolution")],
        [Spacing(0.5, 0.5, "Aperio MPP", explicit=True), Spacing(353, 353, "TIFF resolution")],
        [Spacing(353, 353, "OME-XML", explicit=True), Spacing(0.5, 0.5, "TIFF resolution")],
    ],
)
def test_sizes_that_agree_or_stand_alone_are_no_news(sizes):
    assert other_pixel_size(sizes, pixel_size(sizes)[0]) == ()


@pytest.mark.parametrize("name", ["label", "Label image", "macro image", "thumbnail", "OVERVIEW"])
def test_pictures_of_the_slide_are_told_by_their_names(name):
    text = ome('PhysicalSizeX="1"').replace("<Image>", f'<Image Name="{name}">')
    assert [each.extra for each in ome_pictures(text)] == [True]
    assert [each.extra for each in ome_pictures(text.replace(name, f"{name} of S12"))] == [False]
