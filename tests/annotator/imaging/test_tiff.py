"""TIFF: layouts, colours, pages and what they say about their size."""

import logging

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from support.image_files import (
    COLUMNS,
    GREY,
    HEIGHT,
    PICTURE,
    RGB,
    ROWS,
    SETTINGS,
    UPRIGHT,
    WIDTH,
    cmyk_profile,
    encode,
    linear_profile,
    read,
    refusal,
    srgb_of_linear,
    tiff,
    with_tag,
    write,
)

from annotator.imaging.read import read_image
from annotator.settings.images import ReadSettings


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"rowsperstrip": 7},
        {"tile": (16, 32)},
        {"tile": (64, 64)},
        {"compression": "lzw", "rowsperstrip": 8},
        {"compression": "lzw", "predictor": True},
        {"compression": "zlib", "tile": (16, 16), "predictor": True},
        {"compression": "packbits"},
        {"compression": "zstd"},
        {"compression": "jpeg2000", "tile": (32, 32)},
    ],
    ids=str,
)
@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}], ids=str)
def test_lossless_layouts_come_back_pixel_for_pixel(tmp_path, page, options):
    image = read(tmp_path, "a.tif", tiff((RGB, page), **options))
    assert np.array_equal(image.pixels, RGB)
    assert image.notes == ()


@pytest.mark.parametrize("page", [{}, {"compression": "zlib", "tile": (16, 16)}], ids=str)
def test_separate_planes(tmp_path, page):
    planes = np.ascontiguousarray(np.moveaxis(RGB, 2, 0))
    data = tiff((planes, {"planarconfig": "separate"} | page))
    assert np.array_equal(read(tmp_path, "a.tif", data).pixels, RGB)


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_jpeg_in_ycbcr(tmp_path, tile, subsampling):
    page = {"compression": "jpeg", "compressionargs": {"level": 95}, "tile": tile}
    image = read(tmp_path, "a.tif", tiff((RGB, page | {"subsampling": subsampling})))
    assert np.abs(image.pixels.astype(int) - RGB).mean() < 3


def test_jpeg_that_stayed_rgb(tmp_path):
    """Aperio's way: JPEG tiles whose channels are red, green and blue."""
    page = {"compression": "jpeg", "compressionargs": {"level": 95, "outcolorspace": "rgb"}}
    data = tiff((RGB, page | {"tile": (16, 16)}))
    assert np.abs(read(tmp_path, "a.tif", data).pixels.astype(int) - RGB).mean() < 3


def test_ycbcr_that_is_not_jpeg_is_converted(tmp_path):
    ycrcb = cv2.cvtColor(RGB, cv2.COLOR_RGB2YCrCb)
    data = bytearray(tiff((np.ascontiguousarray(ycrcb[..., [0, 2, 1]]), {})))
    image = read(tmp_path, "a.tif", with_tag(data, 262, 6, extra=(530, (1, 1))))
    assert np.abs(image.pixels.astype(int) - RGB).max() <= 3


# Colours


@pytest.mark.parametrize(("photometric", "turn"), [("minisblack", 0), ("miniswhite", 255)])
def test_grey(tmp_path, photometric, turn):
    image = read(tmp_path, "a.tif", tiff((GREY, {"photometric": photometric})))
    assert np.array_equal(image.pixels[..., 2], GREY ^ np.uint8(turn))
    assert "RGB" in image.notes[-1]
    assert ("white-is-zero inverted" in image.notes) == bool(turn)


@pytest.mark.parametrize("compression", ["raw", "group4"])
def test_1_bit(tmp_path, compression):
    bits = (ROWS + COLUMNS) % 5 > 1
    data = encode(PillowImage.fromarray(bits), "TIFF", compression=compression)
    image = read(tmp_path, "a.tif", data)
    assert np.array_equal(image.pixels[..., 0], bits * 255)
    assert any("1-bit" in note for note in image.notes)


def test_palette(tmp_path):
    palette = PICTURE.quantize(32)
    image = read(tmp_path, "a.tif", encode(palette, "TIFF"))
    assert np.array_equal(image.pixels, np.asarray(palette.convert("RGB")))
    assert image.notes == ("palette expanded to RGB",)


def rgba(alpha, kind):
    return tiff((np.dstack([RGB, alpha]), {"extrasamples": [kind]}))


def test_straight_alpha(tmp_path):
    alpha = (COLUMNS * 4).astype(np.uint8)
    image = read(tmp_path, "a.tif", rgba(alpha, "unassalpha"))
    share = alpha[..., None] / 255
    assert np.abs(image.pixels - (RGB * share + 255 * (1 - share))).max() <= 0.5
    assert image.notes == ("alpha channel laid over white",)


def test_premultiplied_alpha(tmp_path):
    alpha = np.full_like(GREY, 255)
    alpha[:, :20] = 0
    premultiplied = np.where(alpha[..., None] > 0, RGB, 0).astype(np.uint8)
    data = tiff((np.dstack([premultiplied, alpha]), {"extrasamples": ["assocalpha"]}))
    image = read(tmp_path, "a.tif", data)
    assert (image.pixels[:, :20] == 255).all()
    assert np.array_equal(image.pixels[:, 20:], RGB[:, 20:])


def test_a_fourth_channel_of_no_known_meaning_is_dropped(tmp_path):
    image = read(tmp_path, "a.tif", rgba(np.zeros_like(GREY), "unspecified"))
    assert np.array_equal(image.pixels, RGB)
    assert "not called alpha" in image.notes[0]


def test_16_bit_rgb(tmp_path):
    image = read(tmp_path, "a.tif", tiff((RGB.astype(np.uint16) * 257, {})))
    assert np.array_equal(image.pixels, RGB)
    assert image.notes == ("16-bit RGB reduced to 8 bits",)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("page", [{"rowsperstrip": 8}, {"tile": (16, 16)}], ids=str)
def test_orientation(tmp_path, orientation, page):
    tag = {"extratags": [(274, 3, 1, orientation, True)]}
    image = read(tmp_path, "a.tif", tiff((RGB, page | tag)))
    assert np.array_equal(image.pixels, UPRIGHT[orientation](RGB))
    turned = (f"turned upright (orientation {orientation})",)
    assert image.notes == (() if orientation == 1 else turned)


def test_orientation_of_a_jpeg_in_tiff(tmp_path):
    page = {"compression": "jpeg", "compressionargs": {"level": 95}, "tile": (16, 16)}
    data = tiff((RGB, page | {"extratags": [(274, 3, 1, 8, True)]}))
    image = read(tmp_path, "a.tif", data)
    assert np.abs(image.pixels.astype(int) - UPRIGHT[8](RGB)).mean() < 3


def test_another_profile_is_converted(tmp_path):
    image = read(tmp_path, "a.tif", tiff((RGB, {"iccprofile": linear_profile()})))
    assert "embedded RGB profile" in image.notes[0]
    assert np.abs(image.pixels - srgb_of_linear(RGB)).max() < 2


def test_cmyk_with_a_profile(tmp_path):
    inks = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    inks[:, 20:, 3] = 255
    page = {"photometric": "separated", "iccprofile": cmyk_profile()}
    image = read(tmp_path, "a.tif", tiff((inks, page)))
    assert (image.pixels[:, :20] >= 254).all()
    assert (image.pixels[:, 20:] <= 1).all()


@pytest.mark.parametrize(
    ("samples", "page", "said"),
    [
        (np.zeros((HEIGHT, WIDTH, 4), np.uint8), {"photometric": "separated"}, "CMYK"),
        (GREY.astype(np.float32), {"photometric": "minisblack"}, "32-bit floating-point"),
        (RGB.astype(np.float32) / 255, {}, "32-bit floating-point"),
        (GREY.astype(np.int16), {"photometric": "minisblack"}, "16-bit signed"),
        (GREY.astype(np.uint32), {"photometric": "minisblack"}, "32-bit unsigned"),
        (GREY.astype(np.uint16) * 200, {"photometric": "minisblack"}, "16-bit greyscale"),
        (RGB.astype(np.uint16) * 16, {}, "4080 of 65535"),
        (RGB, {"photometric": "minisblack", "planarconfig": "contig"}, "3 channel(s) of grey"),
        (RGB, {"photometric": "cielab"}, "CIELab"),
        (np.dstack([RGB, RGB]), {}, "6 channel(s) of RGB"),
        (RGB >> 4, {"bitspersample": 4}, "4-bit RGB"),
        (
            GREY.astype(np.uint16),
            {"photometric": "palette", "colormap": np.zeros((3, 65536), np.uint16)},
            "16-bit palette",
        ),
    ],
)
def test_other_samples_are_refused(tmp_path, samples, page, said):
    message = refusal(write(tmp_path, "a.tif", tiff((samples, page))))
    assert "expected" in message
    assert said in message
    assert "RGB" in message


# Pixel size


@pytest.mark.parametrize(
    ("resolution", "unit", "um"),
    [
        ((20000, 20000), 3, 0.5),
        ((50800, 50800), 2, 0.5),
        ((300, 300), 2, None),
        ((72, 72), 2, None),
        ((20000, 20000), 1, None),
        ((0, 0), 3, None),
    ],
)
def test_resolution(tmp_path, resolution, unit, um):
    page = {"resolution": resolution, "resolutionunit": unit}
    image = read(tmp_path, "a.tif", tiff((RGB, page)))
    assert image.um_per_px == um
    assert image.notes == ()


HALF = RGB[::2, ::2].copy()


def test_ome(tmp_path):
    path = tmp_path / "a.ome.tif"
    size = {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25}
    resolution = {"resolution": (20000, 20000), "resolutionunit": 3}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(
            RGB, photometric="rgb", subifds=1, metadata={"axes": "YXS"} | size, **resolution
        )
        writer.write(HALF, photometric="rgb", subfiletype=1)
    image = read_image(path, SETTINGS)
    assert np.array_equal(image.pixels, RGB)
    assert image.um_per_px == 0.25  # OME-XML before the resolution


@pytest.mark.parametrize("dpi", [72, 96, 25400])
def test_ome_beside_another_resolution(tmp_path, dpi):
    """OpenSlide 4.0.1 takes 72 dpi for the scale, 353 um; here it is that of OME-XML."""
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    tags = {"resolution": (dpi, dpi), "resolutionunit": 2}
    tifffile.imwrite(path, RGB, photometric="rgb", ome=True, metadata=metadata, **tags)
    image = read_image(path, SETTINGS)
    assert image.um_per_px == 0.25
    (note,) = image.notes
    assert f"TIFF resolution {25400 / dpi:.4g}: 0.25 is used, viewers may differ" in note


def test_ome_size_that_is_implausible(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path, RGB, photometric="rgb", ome=True, metadata={"axes": "YXS", "PhysicalSizeX": 1000.0}
    )
    image = read_image(path, SETTINGS)
    assert image.um_per_px is None
    assert "1000 x 1000 um (OME-XML)" in image.notes[0]


def test_imagej(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    image = read_image(path, SETTINGS)
    assert np.array_equal(image.pixels, RGB)
    assert image.um_per_px == 0.5


# Damage


def test_too_large_is_refused_from_the_header(tmp_path):
    data = tiff((RGB, {}))
    path = write(tmp_path, "a.tif", with_tag(with_tag(data, 256, 20000), 257, 20000))
    assert "400 million" in refusal(path)


def test_a_tile_far_larger_than_the_picture(tmp_path):
    data = tiff((RGB, {"tile": (16, 16), "compression": "zlib"}))
    path = write(tmp_path, "a.tif", with_tag(with_tag(data, 322, 60000), 323, 60000))
    assert "60000 x 60000" in refusal(path)


@pytest.mark.parametrize("page", [{"rowsperstrip": 8}, {"tile": (16, 16)}], ids=str)
def test_truncated(tmp_path, page):
    data = tiff((RGB, page))
    path = write(tmp_path, "a.tif", data[: len(data) // 2])
    message = refusal(path)
    assert "missing" in message
    assert "truncated" in message


def test_a_bound_of_the_settings(tmp_path):
    path = write(tmp_path, "a.tif", tiff((RGB, {})))
    assert "at most 0.001 million" in refusal(path, ReadSettings(max_pixels=1000))


def test_the_librarys_log_stays_quiet_and_as_it_was(tmp_path, caplog):
    filters = list(logging.getLogger("tifffile").filters)
    data = bytearray(tiff((RGB, {"rowsperstrip": 8, "description": "x" * 50})))
    for at in range(len(data) - 150, len(data) - 1, 7):
        data[at] ^= 0xFF
    path = write(tmp_path, "a.tif", with_tag(data, 296, 77))
    read_image(path, SETTINGS)
    assert not caplog.records
    assert logging.getLogger("tifffile").filters == filters
