"""Tiles and strips that a TIFF leaves out are empty slide; those that are lost are damage."""

import struct

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from support.image_files import (
    GREY,
    HEIGHT,
    RGB,
    SETTINGS,
    WIDTH,
    cmyk_profile,
    encode,
    read,
    refusal,
    tiff,
    write,
)

from annotator.imaging.read import read_image
from annotator.imaging.tiff_segments import segments_of

TILE = 16
DOWN, ACROSS = 3, 4  # 40 x 56 px


def offsets_at(data, code):
    """Where the values of a tag of the first directory lie, and how long each is."""
    start = struct.unpack_from("<I", data, 4)[0]
    for at in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], 12):
        tag, kind, count = struct.unpack_from("<HHI", data, at)
        if tag == code:
            width = {3: 2, 4: 4}[kind]
            inside = width * count <= 4
            return at + 8 if inside else struct.unpack_from("<I", data, at + 8)[0], width
    raise LookupError(code)


def without(data, indices, offsets=True, lengths=True, codes=(273, 279)):
    """Set offset and length of strips (273, 279) or tiles (324, 325) to 0."""
    data = bytearray(data)
    for code, wanted in zip(codes, (offsets, lengths), strict=True):
        start, width = offsets_at(data, code)
        for index in indices if wanted else ():
            data[start + width * index : start + width * (index + 1)] = bytes(width)
    return bytes(data)


def sparse(pixels, absent, **page):
    """A tiled TIFF in which some tiles are named by nothing."""
    return without(tiff((pixels, {"tile": (TILE, TILE)} | page)), absent, codes=(324, 325))


def with_white(pixels, absent, white=255):
    out = pixels.copy()
    for index in absent:
        y, x = TILE * (index // ACROSS), TILE * (index % ACROSS)
        out[y : y + TILE, x : x + TILE] = white
    return out


@pytest.mark.parametrize("absent", [{5}, {0}, {11}, {0, 1, 2, 3, 7}, set(range(11))], ids=str)
@pytest.mark.parametrize("page", [{}, {"compression": "zlib"}, {"compression": "lzw"}], ids=str)
def test_tiles_that_were_left_out_are_white(tmp_path, absent, page):
    image = read(tmp_path, "a.tif", sparse(RGB, absent, **page))
    assert np.array_equal(image.pixels, with_white(RGB, absent))
    (note,) = image.notes
    assert note.startswith(f"{len(absent)} of 12 tiles")


def test_the_share_is_that_of_the_picture(tmp_path):
    """The tile of the corner is cut to 8 x 8 of 40 x 56 px."""
    (note,) = read(tmp_path, "a.tif", sparse(RGB, {11})).notes
    assert note == (
        "1 of 12 tiles (2.9 % of the picture) were left out by the writer: white there, as "
        "empty slide"
    )


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey(tmp_path, photometric):
    image = read(tmp_path, "a.tif", sparse(GREY, {0, 6}, photometric=photometric))
    shown = GREY if photometric == "minisblack" else 255 - GREY
    assert np.array_equal(image.pixels[..., 1], with_white(shown, {0, 6}))


@pytest.mark.parametrize("colours", ["ycbcr", "rgb"])
@pytest.mark.parametrize("absent", [{5}, {0, 1}])
def test_jpeg(tmp_path, colours, absent):
    args = {"level": 95} | ({"outcolorspace": "rgb"} if colours == "rgb" else {})
    page = {"compression": "jpeg", "compressionargs": args}
    if colours == "ycbcr":
        page["subsampling"] = (1, 1)
    data = sparse(RGB, absent, **page)
    image = read(tmp_path, "a.tif", data)
    expected = with_white(RGB, absent)
    assert np.abs(image.pixels.astype(int) - expected).mean() < 3
    for index in absent:
        y, x = TILE * (index // ACROSS), TILE * (index % ACROSS)
        assert (image.pixels[y : y + TILE, x : x + TILE] == 255).all()
    assert f"{len(absent)} of 12 tiles" in image.notes[-1]


def test_jfif_tiles_after_a_gap_keep_their_colours(tmp_path):
    """A JFIF tile is YCbCr whatever the tag says; the first tile, which says so, is not there."""
    padded = np.pad(RGB, [(0, 8), (0, 8), (0, 0)], "edge")
    tiles = [
        encode(PillowImage.fromarray(padded[y : y + TILE, x : x + TILE]), "JPEG", quality=95)
        for y in range(0, HEIGHT, TILE)
        for x in range(0, WIDTH, TILE)
    ]
    page = {"compression": "jpeg", "photometric": "rgb", "tile": (TILE, TILE)}
    data = tiff((iter(tiles), page | {"shape": RGB.shape, "dtype": "u1"}))
    data = without(data, {0}, codes=(324, 325))
    image = read(tmp_path, "a.tif", data)
    assert np.abs(image.pixels.astype(int) - with_white(RGB, {0})).mean() < 3


def test_palette_and_inks_of_paper(tmp_path):
    """White is no index of the palette, and no ink at all."""
    colours = np.zeros((3, 256), np.uint16)
    colours[:, :200] = 257 * np.arange(200)[::-1]
    page = {"photometric": "palette", "colormap": colours}
    image = read(tmp_path, "a.tif", sparse(np.full_like(GREY, 150), {2}, **page))
    assert np.unique(image.pixels).tolist() == [49, 255]
    assert (image.pixels[:TILE, 2 * TILE : 3 * TILE] == 255).all()
    inks = np.full((HEIGHT, WIDTH, 4), (0, 0, 0, 255), np.uint8)
    page = {"photometric": "separated", "iccprofile": cmyk_profile()}
    image = read(tmp_path, "b.tif", sparse(inks, {2}, **page))
    assert (image.pixels[:TILE, 2 * TILE : 3 * TILE] >= 254).all()
    assert (image.pixels[TILE:] <= 1).all()


def test_alpha_is_opaque_where_a_tile_was_left_out(tmp_path):
    rgba = np.dstack([RGB, np.full_like(GREY, 128)])
    image = read(tmp_path, "a.tif", sparse(rgba, {2}, extrasamples=["unassalpha"]))
    assert (image.pixels[:TILE, 2 * TILE : 3 * TILE] == 255).all()


def test_16_bits(tmp_path):
    wide = RGB.astype(np.uint16) * 257
    image = read(tmp_path, "a.tif", sparse(wide, {2}))
    assert np.array_equal(image.pixels, with_white(RGB, {2}, RGB.max()))
    path = write(tmp_path, "a.tif", sparse(RGB.astype(np.uint16) * 16, {2}))
    assert "of 65535" in refusal(path)


@pytest.mark.parametrize("page", [{}, {"compression": "lzw"}], ids=str)
def test_strips_that_were_left_out_are_white(tmp_path, page):
    data = without(tiff((RGB, {"rowsperstrip": 8} | page)), {0, 4})
    image = read(tmp_path, "a.tif", data)
    expected = RGB.copy()
    expected[:8] = expected[32:] = 255
    assert np.array_equal(image.pixels, expected)
    assert image.notes[0].startswith("2 of 5 strips (40.0 % of the picture)")


def test_planes_that_lack_the_same_tile(tmp_path):
    planes = np.ascontiguousarray(np.moveaxis(RGB, 2, 0))
    data = tiff((planes, {"planarconfig": "separate", "tile": (TILE, TILE)}))
    of_all = without(data, {5, 17, 29}, codes=(324, 325))
    assert np.array_equal(read(tmp_path, "a.tif", of_all).pixels, with_white(RGB, {5}))
    of_one = without(data, {5}, codes=(324, 325))
    assert "some colours" in refusal(write(tmp_path, "a.tif", of_one))


@pytest.mark.parametrize("only", ["offsets", "lengths"])
@pytest.mark.parametrize("page", [{"rowsperstrip": 8}, {"tile": (TILE, TILE)}], ids=str)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_an_offset_without_a_length_is_damage(tmp_path, only, page, compression):
    codes = (324, 325) if "tile" in page else (273, 279)
    data = tiff((RGB, page | {"compression": compression}))
    data = without(data, {1}, offsets=only == "offsets", lengths=only == "lengths", codes=codes)
    assert "missing" in refusal(write(tmp_path, "a.tif", data))


@pytest.mark.parametrize("page", [{}, {"rowsperstrip": 8}, {"tile": (TILE, TILE)}], ids=str)
def test_a_picture_without_any_data_was_never_finished(tmp_path, page):
    """A reader that does not look shows the first bytes of the file as pixels."""
    codes = (324, 325) if "tile" in page else (273, 279)
    data = tiff((RGB, page))
    every = range(12 if "tile" in page else 5 if page else 1)
    message = refusal(write(tmp_path, "a.tif", without(data, every, codes=codes)))
    assert "never finished" in message


def test_a_truncated_file_with_gaps_is_damage(tmp_path):
    data = sparse(RGB, {2})
    assert "truncated" in refusal(write(tmp_path, "a.tif", data[:-200]))


def test_gaps_are_turned_upright_with_the_picture(tmp_path):
    data = sparse(RGB, {0}, extratags=[(274, 3, 1, 6, True)])
    image = read(tmp_path, "a.tif", data)
    assert np.array_equal(image.pixels, np.rot90(with_white(RGB, {0}), -1))


def test_how_a_page_is_cut(tmp_path):
    path = write(tmp_path, "a.tif", tiff((RGB, {"tile": (16, 32)})))
    with tifffile.TiffFile(path) as file:
        cut = segments_of(file.pages[0], SETTINGS)
    assert (cut.height, cut.width, cut.down, cut.across, cut.planes) == (16, 32, 3, 2, 1)
    assert read_image(path, SETTINGS).shape == (HEIGHT, WIDTH)
