"""Which page of a TIFF is the picture: pyramids, slides with labels, and stacks."""

import numpy as np
import pytest
import tifffile
from support.image_files import GREY, RGB, SETTINGS, read, refusal, tiff, write

from annotator.imaging.read import read_image

HALF, QUARTER = RGB[::2, ::2].copy(), RGB[::4, ::4].copy()
SMALLER = {"subfiletype": 1}


@pytest.mark.parametrize(
    "pages",
    [
        [(RGB, {"subifds": 2}), (HALF, SMALLER), (QUARTER, SMALLER)],
        [(RGB, {}), (HALF, SMALLER), (QUARTER, SMALLER)],
        [(RGB, {"tile": (16, 16)}), (HALF, {}), (QUARTER, {})],
        [(QUARTER, {}), (HALF, {}), (RGB, {})],
        [(QUARTER, SMALLER | {"subifds": 1}), (RGB, {})],
        [(RGB, {}), (RGB[:9, :50].copy(), {"subfiletype": 9})],
    ],
    ids=["sub-IFDs", "flagged", "unflagged", "smallest first", "full in sub-IFD", "with a label"],
)
def test_pyramids_give_the_full_resolution(tmp_path, pages):
    image = read(tmp_path, "a.tif", tiff(*pages))
    assert np.array_equal(image.pixels, RGB)


def test_an_aperio_slide_gives_the_full_resolution_and_mpp(tmp_path):
    text = "Aperio Image Library v11.2.1\r\n56x40 |AppMag = 20|MPP = 0.4990"
    jpeg = {"compression": "jpeg", "compressionargs": {"level": 98}, "subsampling": (1, 1)}
    data = tiff(
        (RGB, jpeg | {"tile": (16, 16), "description": text}),
        (HALF[:, :9].copy(), {"description": "Aperio Image Library\r\nthumbnail"}),
        (HALF, {"description": "Aperio Image Library\r\nlevel"}),
        (RGB[:12, :13].copy(), {"description": "Aperio Image Library\r\nlabel"}),
    )
    image = read(tmp_path, "a.svs", data)
    assert np.abs(image.pixels.astype(int) - RGB).mean() < 2
    assert image.um_per_px == 0.499
    assert image.notes == ()


@pytest.mark.parametrize(
    ("pages", "count"),
    [
        ([(RGB, {}), (RGB, {}), (RGB, {})], 3),
        ([(RGB, {}), (RGB[:20].copy(), {})], 2),
        ([(GREY, {"photometric": "minisblack"})] * 3, 3),
    ],
)
def test_stacks_are_refused(tmp_path, pages, count):
    message = refusal(write(tmp_path, "a.tif", tiff(*pages)))
    assert f"stack of {count}" in message
    assert "save the plane" in message


def test_imagej_stacks_are_refused_whatever_way_they_are_written(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack([GREY] * 5), imagej=True)
    assert "stack of 5" in refusal(path)


def colour_planes(path, names):
    """RGB as an OME-TIFF of three planes, written in the order of the names."""
    order = ["red", "green", "blue"]
    at = [order.index(name.lower()) if name.lower() in order else k for k, name in enumerate(names)]
    planes = np.ascontiguousarray(np.moveaxis(RGB[..., at], -1, 0))
    metadata = {"axes": "CYX", "Channel": {"Name": names}, "PhysicalSizeX": 0.25}
    tifffile.imwrite(path, planes, photometric="minisblack", ome=True, metadata=metadata)


@pytest.mark.parametrize("names", [["Red", "Green", "Blue"], ["blue", "green", "red"]])
def test_planes_of_red_green_and_blue_are_one_picture(tmp_path, names):
    colour_planes(tmp_path / "a.ome.tif", names)
    image = read_image(tmp_path / "a.ome.tif", SETTINGS)
    np.testing.assert_array_equal(image.pixels, RGB)
    assert "planes of red, green and blue joined" in image.notes
    assert image.um_per_px == 0.25


def test_planes_of_three_fluorescent_stains_stay_a_stack(tmp_path):
    colour_planes(tmp_path / "a.ome.tif", ["DAPI", "FITC", "Cy5"])
    assert "stack of 3" in refusal(tmp_path / "a.ome.tif")


def test_ndpi_is_named(tmp_path):
    data = tiff((RGB, {"extratags": [(65420, 4, 1, 1, True), (271, 2, None, "Hamamatsu", True)]}))
    assert "Hamamatsu NDPI" in refusal(write(tmp_path, "a.tif", data))


def test_a_plain_tiff_with_the_name_of_a_slide_is_read(tmp_path):
    image = read(tmp_path, "a.ndpi", tiff((RGB, {})))
    assert np.array_equal(image.pixels, RGB)
    assert image.notes == ("named .ndpi but holds a TIFF",)


# Labels, thumbnails, pictures of the whole slide

LABEL = np.full((14, 9, 3), (250, 250, 240), np.uint8)
LARGE_MACRO = np.full((60, 90, 3), (20, 90, 160), np.uint8)


@pytest.mark.parametrize("at", [0, 1])
def test_a_label_of_other_proportions_is_left_out_with_a_note(tmp_path, at):
    pages = [(RGB, {})]
    pages.insert(at, (LABEL, {}))
    image = read(tmp_path, "a.tif", tiff(*pages))
    assert np.array_equal(image.pixels, RGB)
    assert image.notes == (
        "a smaller page of other proportions left out (label or thumbnail?): 9 x 14 px",
    )


@pytest.mark.parametrize(
    "page",
    [
        {"description": "Aperio Image Library v10\r\nmacro 90x60"},
        {"description": "Macro"},
        {"description": "Label Image"},
        {"description": "<Akoya><ImageType>Overview</ImageType></Akoya>"},
        {"extratags": [(285, 2, None, "Thumbnail", True)]},
        {"subfiletype": 9},
        {"subfiletype": 1},
        {"extratags": [(255, 3, 1, 2, True)]},
    ],
    ids=str,
)
def test_a_page_that_is_called_a_label_may_be_larger_than_the_field(tmp_path, page):
    for pages in ([(RGB, {}), (LARGE_MACRO, page)], [(LARGE_MACRO, page), (RGB, {})]):
        image = read(tmp_path, "a.tif", tiff(*pages))
        assert np.array_equal(image.pixels, RGB)
        assert image.notes == ()


def test_a_small_field_of_an_aperio_slide_beside_a_larger_macro(tmp_path):
    text = "Aperio Image Library v11.2.1\r\n56x40 |AppMag = 20|MPP = 0.5"
    data = tiff(
        (RGB, {"description": text}),
        (LABEL, {"description": "Aperio Image Library v11.2.1\r\nlabel 9x14"}),
        (LARGE_MACRO, {"description": "Aperio Image Library v11.2.1\r\nmacro 90x60"}),
    )
    image = read(tmp_path, "a.svs", data)
    assert np.array_equal(image.pixels, RGB)
    assert image.um_per_px == 0.5


def ome_file(path, pictures, with_names):
    """An OME-TIFF of several pictures of different names."""
    with tifffile.TiffWriter(path, ome=True) as writer:
        for samples, name in pictures:
            metadata = {"axes": "YXS"} | ({"Name": name} if with_names else {})
            writer.write(samples, photometric="rgb", metadata=metadata)


def test_ome_names_tell_label_and_macro_apart(tmp_path):
    path = tmp_path / "a.ome.tif"
    pictures = [(LARGE_MACRO, "macro image"), (RGB, "field 1"), (LABEL, "label image")]
    ome_file(path, pictures, with_names=True)
    image = read_image(path, SETTINGS)
    assert np.array_equal(image.pixels, RGB)
    assert image.notes == ()


def test_ome_without_such_names_lists_different_pictures(tmp_path):
    """OME-XML says that the small one is a picture of its own, and not of what."""
    path = tmp_path / "a.ome.tif"
    ome_file(path, [(RGB, "field 1"), (LABEL, "field 2")], with_names=True)
    assert "stack of 2" in refusal(path)


def test_planes_of_colours_beside_a_label(tmp_path):
    path = tmp_path / "a.ome.tif"
    planes = np.ascontiguousarray(np.moveaxis(RGB, -1, 0))
    with tifffile.TiffWriter(path, ome=True) as writer:
        names = {"axes": "CYX", "Channel": {"Name": ["Red", "Green", "Blue"]}, "Name": "field"}
        writer.write(planes, photometric="minisblack", metadata=names)
        writer.write(LABEL, photometric="rgb", metadata={"axes": "YXS", "Name": "label image"})
    assert np.array_equal(read_image(path, SETTINGS).pixels, RGB)


@pytest.mark.parametrize("axes", ["ZYXS", "TYXS"])
def test_a_stack_with_a_label_stays_a_stack(tmp_path, axes):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        metadata = {"axes": axes, "Name": "field"}
        writer.write(np.stack([RGB] * 4), photometric="rgb", metadata=metadata)
        writer.write(LABEL, photometric="rgb", metadata={"axes": "YXS", "Name": "label image"})
    assert "stack of 4" in refusal(path)
    pages = [(RGB, {}), (RGB, {}), (LABEL, {}), (LABEL, {"subfiletype": 1})]
    assert "stack of 2" in refusal(write(tmp_path, "a.tif", tiff(*pages)))


def test_another_picture_that_is_hardly_smaller_is_no_label(tmp_path):
    data = tiff((RGB, {}), (RGB[:39, :40].copy(), {}))
    assert "stack of 2" in refusal(write(tmp_path, "a.tif", data))


def test_a_field_whose_text_speaks_of_a_label_is_no_label(tmp_path):
    text = "Label: S12-345, bone marrow\nmacro view of the core"
    data = tiff((RGB, {"description": text}), (HALF, {}))
    assert np.array_equal(read(tmp_path, "a.tif", data).pixels, RGB)


def test_a_picture_that_is_alone_is_the_picture_whatever_it_is_called(tmp_path):
    data = tiff((RGB, {"description": "macro", "subfiletype": 1}))
    assert np.array_equal(read(tmp_path, "a.tif", data).pixels, RGB)


def test_a_largest_page_that_is_flagged_as_reduced_is_still_the_picture(tmp_path):
    data = tiff((HALF, {}), (RGB, {"subfiletype": 1}))
    assert np.array_equal(read(tmp_path, "a.tif", data).pixels, RGB)
