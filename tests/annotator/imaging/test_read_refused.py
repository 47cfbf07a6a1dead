"""What the reader refuses, and a seeded fuzz over all formats."""

import io
import os
import random
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from PIL import PngImagePlugin
from support.image_files import (
    HEIGHT,
    PICTURE,
    RGB,
    SETTINGS,
    WIDTH,
    cmyk_profile,
    encode,
    linear_profile,
    png_header,
    read,
    refusal,
    tiff,
    with_tag,
    write,
)

from annotator.core.errors import ImageError
from annotator.imaging.read import read_image
from annotator.settings.images import ReadSettings


def test_missing(tmp_path):
    assert "no such file" in refusal(tmp_path / "a.png")


def test_a_link_to_nothing(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    assert "link" in refusal(tmp_path / "a.png")


def test_a_folder(tmp_path):
    assert "got a folder" in refusal(tmp_path)


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert "pipe" in refusal(tmp_path / "a.png")


def test_empty(tmp_path):
    assert "empty file (0 bytes)" in refusal(write(tmp_path, "a.png", b""))


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "nul\0.png"])
def test_names_that_no_file_can_have(tmp_path, name):
    assert "cannot be opened" in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GIF89a" + bytes(40), "a GIF"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP picture"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG"),
        (b"<svg/>", "an SVG"),
        (b'<?xml version="1.0"?><annotation/>', "an XML file"),
        (b"%PDF-1.7", "a PDF document"),
        (b"ZISRAWFILE" + bytes(50), "a Zeiss CZI slide"),
        (b"PK\x03\x04" + bytes(50), "a zip archive"),
        (b"\x1f\x8b\x08" + bytes(50), "a compressed archive"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"\0\0\0\x20ftypheic", "a HEIC picture"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
        (b"\0\x05\x16\x07" + bytes(60), "the companion that macOS keeps"),
        (b"%!PS-Adobe-3.0 EPSF", "a PostScript document"),
        (b"P6\n40 40\n255\n" + bytes(60), "a PNM picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"BM is how this letter begins", "a text file"),
        ("Zellularität".encode(), "a text file"),
        (bytes(range(200)), "bytes of no known image format"),
    ],
)
def test_other_formats_are_named(tmp_path, data, said):
    message = refusal(write(tmp_path, "a.png", data))
    assert f"got {said}" in message
    assert "PNG, JPEG, TIFF or BMP" in message


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("BMP", {}), ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)  # fmt: skip
def test_truncation_is_always_seen(tmp_path, kind, options):
    data = encode(PICTURE, kind, **options)
    for length in [*range(9, len(data) - 1, max(1, len(data) // 23)), len(data) - 2]:
        path = write(tmp_path, "a", data[:length])
        try:
            image = read_image(path, SETTINGS)
        except ImageError:
            continue
        # what can be lost at the end of a TIFF is the table of tags, not pixels
        assert kind == "TIFF"
        assert np.array_equal(image.pixels, RGB)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_interrupted_download_filled_up_with_zeros(tmp_path, kind):
    data = encode(PICTURE, kind)
    path = write(tmp_path, "a", data[: len(data) // 2].ljust(len(data) + 5000, b"\0"))
    assert "copy it again" in refusal(path)


def test_truncation_says_so(tmp_path):
    data = encode(PICTURE, "PNG")
    assert "truncated" in refusal(write(tmp_path, "a.png", data[:-20]))


def test_a_wrong_check_sum(tmp_path):
    data = bytearray(encode(PICTURE, "PNG"))
    data[len(data) // 2] ^= 1
    assert "check sum" in refusal(write(tmp_path, "a.png", bytes(data)))


def test_bytes_after_the_end_do_no_harm(tmp_path):
    assert np.array_equal(read(tmp_path, "a.png", encode(PICTURE, "PNG") + b"more").pixels, RGB)
    assert read(tmp_path, "a.jpg", encode(PICTURE, "JPEG") + b"more").shape == RGB.shape[:2]


def test_too_many_pixels_are_refused_from_the_header(tmp_path):
    message = refusal(write(tmp_path, "a.png", png_header(20000, 20000)))
    assert "64 million" in message and "20000 x 20000" in message
    assert "max_pixels" in message


@pytest.mark.parametrize("kind", ["JPEG", "BMP"])
def test_other_headers_are_refused_before_decoding_too(tmp_path, kind):
    data = bytearray(encode(PICTURE, kind))
    if kind == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", 20000, 20000)
    else:
        data[18:26] = struct.pack("<ii", 20000, 20000)
    assert "400 million" in refusal(write(tmp_path, "a", bytes(data)))


def test_a_bomb_that_claims_to_be_small_is_refused_or_small(tmp_path):
    bomb = zlib.compress(bytes(20_000_000))
    image = read(tmp_path, "a.png", png_header(64, 64, bomb))
    assert image.shape == (64, 64)


def test_the_bound_is_the_settings(tmp_path):
    path = write(tmp_path, "a.png", encode(PICTURE, "PNG"))
    assert read_image(path, ReadSettings(max_pixels=HEIGHT * WIDTH)).shape == (HEIGHT, WIDTH)
    assert "at most" in refusal(path, ReadSettings(max_pixels=HEIGHT * WIDTH - 1))


@pytest.mark.parametrize("size", [(1, 1), (31, 100), (100, 31)])
def test_tiny(tmp_path, size):
    message = refusal(write(tmp_path, "a.png", encode(PillowImage.new("RGB", size), "PNG")))
    assert "32 px" in message and f"{size[0]} x {size[1]}" in message


def test_zero_sides(tmp_path):
    assert refusal(write(tmp_path, "a.png", png_header(0, 64)))


def test_text_bombs_in_a_png_are_refused(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 3_000_000, zip=True)
    data = encode(PICTURE, "PNG", pnginfo=info)
    assert "cannot be decoded" in refusal(write(tmp_path, "a.png", data))


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_pngs_of_iphones_are_named(tmp_path):
    data = encode(PICTURE, "PNG")
    path = write(tmp_path, "a.png", data[:8] + chunk(b"CgBI", b"P\0 \2") + data[8:])
    assert "CgBI" in refusal(path)


def test_16_bit_grey_with_alpha_is_refused_as_without(tmp_path):
    wide = np.dstack([RGB[..., 0], RGB[..., 1]]).astype(np.uint16) * 257
    assert "16-bit greyscale" in refusal(write(tmp_path, "a.png", imagecodecs.png_encode(wide)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (imagecodecs.jpegls_encode(RGB), "JPEG-LS"),
        (imagecodecs.jpeg_encode(RGB.astype(np.uint16) * 16, bitspersample=12), "12 bits"),
    ],
    ids=["JPEG-LS", "12 bits"],
)
def test_jpegs_that_are_sound_but_of_another_kind(tmp_path, data, said):
    message = refusal(write(tmp_path, "a.jpg", data))
    assert said in message
    assert "damaged" not in message


def test_a_compression_that_nobody_knows_is_named(tmp_path):
    path = write(tmp_path, "a.tif", with_tag(tiff((RGB, {"rowsperstrip": 8})), 259, 34711))
    message = refusal(path)
    assert "got number 34711" in message
    assert "damaged" not in message


# Nothing else comes out


def samples():
    exif = PillowImage.Exif()
    exif[0x0112] = 8
    tiff = {"photometric": "rgb"}
    files = {
        "rgb.png": encode(PICTURE, "PNG", exif=exif, icc_profile=linear_profile()),
        "palette.png": encode(PICTURE.quantize(16), "PNG", transparency=2),
        "a.jpg": encode(PICTURE, "JPEG", exif=exif),
        "cmyk.jpg": encode(PICTURE.convert("CMYK"), "JPEG", icc_profile=cmyk_profile()),
        "a.bmp": encode(PICTURE, "BMP"),
        "palette.bmp": encode(PICTURE.quantize(16), "BMP"),
        "palette.tif": encode(PICTURE.quantize(16), "TIFF"),
        "fax.tif": encode(PICTURE.convert("1"), "TIFF", compression="group4"),
    }
    for name, options in {
        "tiled.tif": {"tile": (16, 16), "compression": "zlib", "predictor": True},
        "lzw.tif": {"compression": "lzw", "rowsperstrip": 8, "bigtiff": True},
        "jpeg.tif": {"compression": "jpeg", "tile": (16, 16)},
        "jpeg2000.tif": {"compression": "jpeg2000"},
    }.items():
        out = io.BytesIO()
        tifffile.imwrite(out, RGB, **tiff, **options)
        files[name] = out.getvalue()
    return files


def mutate(data, dice):
    """Change a few bytes, in the header or the table of tags more often than elsewhere."""
    mutated = bytearray(data)
    window = dice.choice([(0, 400), (0, len(data)), (max(0, len(data) - 400), len(data))])
    for _ in range(dice.randint(1, 8)):
        mutated[min(dice.randrange(*window), len(data) - 1)] = dice.choice(
            [0, 1, 127, 128, 255, dice.randrange(256)]
        )
    end = dice.choice([len(data)] * 4 + [dice.randrange(1, len(data))])
    return bytes(mutated[:end])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "data"), samples().items(), ids=samples())
def test_damaged_files_give_an_image_or_an_image_error(tmp_path, name, data, capfd):
    dice = random.Random(name)
    path = write(tmp_path, name, data)
    assert read_image(path, SETTINGS).pixels.size
    refused = 0
    for _ in range(10 if name == "cmyk.jpg" else 40):  # lcms is slow to set CMYK up
        path.write_bytes(mutate(data, dice))
        try:
            assert read_image(path, SETTINGS).pixels.dtype == np.uint8
        except ImageError as error:
            refused += 1
            assert str(error)
    assert refused
    assert capfd.readouterr() == ("", "")
