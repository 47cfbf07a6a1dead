"""JPEG inside TIFF: the colours are those that libtiff, by way of Pillow, finds there."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from support.image_files import RGB, read, refusal, tiff, with_tag, write

SUBSAMPLINGS = {"4:4:4": (1, 1), "4:2:2": (2, 1), "4:2:0": (2, 2)}
PILLOW = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
# Colours that change slowly, so that subsampling loses little.
SMOOTH = np.asarray(PillowImage.fromarray(RGB).resize((200, 136), PillowImage.Resampling.BICUBIC))
# A block of each primary colour: channels that are swapped or not converted stand out.
BLOCKS = np.zeros((96, 128, 3), np.uint8)
BLOCKS[:48, :64, 0] = BLOCKS[:48, 64:, 1] = BLOCKS[48:, :64, 2] = 230
BLOCKS[48:, 64:] = 200, 120, 170


def of_pillow(data):
    with PillowImage.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def photometric(data):
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return int(file.pages[0].photometric), 347 in file.pages[0].tags


@pytest.mark.parametrize("pixels", [SMOOTH, BLOCKS], ids=["smooth", "blocks"])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("page", [{"tile": (32, 48)}, {"rowsperstrip": 16}, {}], ids=str)
def test_ycbcr_without_tables(tmp_path, pixels, subsampling, page):
    jpeg = {"compression": "jpeg", "compressionargs": {"level": 95}}
    data = tiff((pixels, jpeg | page | {"subsampling": SUBSAMPLINGS[subsampling]}))
    assert photometric(data) == (6, False)
    image = read(tmp_path, "a.tif", data)
    assert np.abs(image.pixels - of_pillow(data)).max() <= 2
    assert np.median(np.abs(image.pixels.astype(int) - pixels)) <= 3
    assert image.notes == ()


@pytest.mark.parametrize("pixels", [SMOOTH, BLOCKS], ids=["smooth", "blocks"])
@pytest.mark.parametrize("rows", [16, 64, 4000])
def test_what_libtiff_writes(tmp_path, pixels, rows):
    """Abbreviated strips: the tables stand once, in a tag."""
    out = io.BytesIO()
    options = {"compression": "jpeg", "quality": 95, "tiffinfo": {278: rows}}
    PillowImage.fromarray(pixels).save(out, "TIFF", **options)
    data = out.getvalue()
    assert photometric(data)[1]
    image = read(tmp_path, "a.tif", data)
    assert np.abs(image.pixels - of_pillow(data)).max() <= 2
    assert np.median(np.abs(image.pixels.astype(int) - pixels)) <= 3


def split_tables(jpeg):
    """A JPEG as its tables alone and the rest, as TIFF keeps them."""
    tables, rest, at = b"\xff\xd8", b"\xff\xd8", 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        if jpeg[at + 1] in (0xDB, 0xC4):
            tables += jpeg[at:end]
        elif jpeg[at + 1] != 0xE0:
            rest += jpeg[at:end]
        at = end
    return tables + b"\xff\xd9", rest + jpeg[at:]


@pytest.mark.parametrize(
    ("colours", "subsampling"),
    [("ycbcr", "4:4:4"), ("ycbcr", "4:2:2"), ("ycbcr", "4:2:0"), ("rgb", "4:4:4")],
)
def test_tiles_with_tables_in_a_tag(tmp_path, colours, subsampling):
    options = {"quality": 95, "subsampling": PILLOW[subsampling]}
    if colours == "rgb":
        options["keep_rgb"] = True
    tiles = []
    for y, x in np.ndindex(3, 4):
        out = io.BytesIO()
        tile = BLOCKS[y * 32 : y * 32 + 32, x * 32 : x * 32 + 32]
        PillowImage.fromarray(tile).save(out, "JPEG", **options)
        tables, rest = split_tables(out.getvalue())
        tiles.append(rest)
    page = {"compression": "jpeg", "tile": (32, 32), "shape": BLOCKS.shape, "dtype": "u1"}
    page |= {"photometric": colours, "jpegtables": tables}
    if colours == "ycbcr":
        page["subsampling"] = SUBSAMPLINGS[subsampling]
    else:
        page["compressionargs"] = {"outcolorspace": "rgb"}
    data = tiff((iter(tiles), page))
    assert photometric(data) == ({"ycbcr": 6, "rgb": 2}[colours], True)
    image = read(tmp_path, "a.tif", data)
    assert np.abs(image.pixels - of_pillow(data)).max() <= 2
    assert np.median(np.abs(image.pixels.astype(int) - BLOCKS)) <= 3


@pytest.mark.parametrize("page", [{"tile": (32, 48)}, {"rowsperstrip": 16}], ids=str)
def test_rgb_inside_jpeg(tmp_path, page):
    args = {"level": 95, "outcolorspace": "rgb"}
    data = tiff((BLOCKS, page | {"compression": "jpeg", "compressionargs": args}))
    assert photometric(data)[0] == 2
    image = read(tmp_path, "a.tif", data)
    assert np.abs(image.pixels - of_pillow(data)).max() <= 2


def test_grey_inside_jpeg(tmp_path):
    grey = np.ascontiguousarray(SMOOTH[..., 1])
    page = {"photometric": "minisblack", "compression": "jpeg", "tile": (32, 32)}
    data = tiff((grey, page))
    image = read(tmp_path, "a.tif", data)
    assert np.abs(image.pixels - of_pillow(data)).max() <= 1


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_packed_chroma_outside_jpeg_is_refused(tmp_path, compression):
    """Its bytes lie in an order of their own, and would come out as noise."""
    data = tiff((RGB, {"compression": compression}))
    subsampled = with_tag(data, 262, 6, extra=(530, (2, 2)))
    assert "YCbCr" in refusal(write(tmp_path, "a.tif", subsampled))
    unsaid = with_tag(data, 262, 6)
    assert "export the field as RGB" in refusal(write(tmp_path, "b.tif", unsaid))
