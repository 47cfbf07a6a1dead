"""PNG, JPEG and BMP: pixels, notes and pixel size."""

import struct
import unicodedata
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageCms
from support.image_files import (
    COLUMNS,
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
    write,
)

from annotator.core.objects import image_id
from annotator.imaging.read import read_image, reader_key
from annotator.settings.images import ReadSettings


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.bmp", "BMP"), ("A.PNG", "PNG")])
def test_lossless_rgb_comes_back_pixel_for_pixel(tmp_path, name, kind):
    image = read(tmp_path, name, encode(PICTURE, kind))
    assert np.array_equal(image.pixels, RGB)
    assert image.id == image_id(RGB)
    assert image.um_per_px is None
    assert image.notes == ()


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(tmp_path, progressive):
    data = encode(PICTURE, "JPEG", quality=95, subsampling=0, progressive=progressive)
    image = read(tmp_path, "a.jpg", data)
    assert np.abs(image.pixels.astype(int) - RGB).mean() < 1.5
    assert image.notes == ()


def test_16_bit_rgb_png_keeps_its_upper_byte(tmp_path):
    data = cv2.imencode(".png", RGB[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    image = read(tmp_path, "a.png", data)
    assert np.array_equal(image.pixels, RGB)
    assert image.notes == ("16-bit RGB reduced to 8 bits",)


def test_16_bit_rgb_png_is_turned_upright(tmp_path):
    exif = PillowImage.Exif()
    exif[0x0112] = 3
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block
    chunk += struct.pack(">I", zlib.crc32(b"eXIf" + block))
    data = cv2.imencode(".png", RGB[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    image = read(tmp_path, "a.png", data[:33] + chunk + data[33:])
    assert np.array_equal(image.pixels, RGB[::-1, ::-1])
    assert image.notes[-1] == "turned upright (orientation 3)"


def test_12_bits_in_16_are_refused(tmp_path):
    data = cv2.imencode(".png", RGB.astype(np.uint16) * 16)[1].tobytes()
    assert "12 or 14 bits in 16?" in refusal(write(tmp_path, "a.png", data))


def test_16_bit_grey_png_is_refused(tmp_path):
    data = encode(PillowImage.fromarray(RGB[..., 0].astype(np.uint16) * 257), "PNG")
    message = refusal(write(tmp_path, "a.png", data))
    assert "got 16-bit greyscale" in message
    assert "8-bit RGB" in message


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_grey(tmp_path, kind):
    grey = np.repeat(ROWS.astype(np.uint8) * 6, 1, axis=1)
    image = read(tmp_path, f"a.{kind.lower()}", encode(PillowImage.fromarray(grey), kind))
    assert np.abs(image.pixels.astype(int) - grey[..., None]).max() <= (3 if kind == "JPEG" else 0)
    assert image.notes == ("greyscale expanded to RGB: there is no stain colour in it",)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_1_bit(tmp_path, kind):
    bits = (ROWS + COLUMNS) % 3 == 0
    image = read(tmp_path, f"a.{kind.lower()}", encode(PillowImage.fromarray(bits), kind))
    assert np.array_equal(image.pixels[..., 1], bits * 255)
    assert "1-bit" in image.notes[0]


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_palette(tmp_path, kind):
    palette = PICTURE.quantize(32)
    image = read(tmp_path, f"a.{kind.lower()}", encode(palette, kind))
    assert np.array_equal(image.pixels, np.asarray(palette.convert("RGB")))
    assert image.notes == ("palette expanded to RGB",)


def test_palette_with_a_transparent_colour(tmp_path):
    palette = PICTURE.quantize(16)
    image = read(tmp_path, "a.png", encode(palette, "PNG", transparency=3))
    expected = np.asarray(palette.convert("RGB")).copy()
    expected[np.asarray(palette) == 3] = 255
    assert np.array_equal(image.pixels, expected)
    assert image.notes == ("palette expanded to RGB", "alpha channel laid over white")


def test_alpha(tmp_path):
    alpha = (COLUMNS * 4).astype(np.uint8)
    data = encode(PillowImage.fromarray(np.dstack([RGB, alpha])), "PNG")
    image = read(tmp_path, "a.png", data)
    share = alpha[..., None] / 255
    assert np.abs(image.pixels - (RGB * share + 255 * (1 - share))).max() <= 0.5
    assert image.notes == ("alpha channel laid over white",)


def test_grey_with_alpha(tmp_path):
    both = np.stack([ROWS * 6, COLUMNS * 4], axis=2).astype(np.uint8)
    image = read(tmp_path, "a.png", encode(PillowImage.fromarray(both, "LA"), "PNG"))
    assert (image.pixels[:, 0] == 255).all()
    assert np.array_equal(image.pixels[..., 0], image.pixels[..., 2])
    assert len(image.notes) == 2


def test_one_transparent_colour(tmp_path):
    data = encode(PICTURE, "PNG", transparency=tuple(int(v) for v in RGB[7, 9]))
    image = read(tmp_path, "a.png", data)
    assert (image.pixels[7, 9] == 255).all()
    assert np.array_equal(image.pixels[8], RGB[8])


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_exif_orientation_is_applied(tmp_path, kind, orientation):
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    image = read(tmp_path, f"a.{kind.lower()}", encode(PICTURE, kind, exif=exif, **options))
    upright = UPRIGHT[orientation](RGB)
    assert image.shape == upright.shape[:2]
    assert image.shape == ((WIDTH, HEIGHT) if orientation > 4 else (HEIGHT, WIDTH))
    assert np.abs(image.pixels.astype(int) - upright).mean() < 2
    turned = (f"turned upright (orientation {orientation})",)
    assert image.notes == (() if orientation == 1 else turned)


def test_an_srgb_profile_is_no_news(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = read(tmp_path, "a.png", encode(PICTURE, "PNG", icc_profile=profile))
    assert np.array_equal(image.pixels, RGB)
    assert image.notes == ()


def test_another_rgb_profile_is_converted_to_srgb(tmp_path):
    image = read(tmp_path, "a.png", encode(PICTURE, "PNG", icc_profile=linear_profile()))
    assert np.abs(image.pixels - srgb_of_linear(RGB)).max() < 2
    assert image.notes == ("converted to sRGB by the embedded RGB profile (unnamed)",)


def test_cmyk_jpeg_with_a_profile_is_converted(tmp_path):
    inks = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    inks[:, 16:32, 3] = 255
    inks[:, 32:, 0] = 255
    picture = PillowImage.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes())
    data = encode(picture, "JPEG", quality=100, icc_profile=cmyk_profile())
    image = read(tmp_path, "a.jpg", data)
    # L* = 50.2 is 119 in sRGB (CIE, 0.1841 linear)
    for column, grey in ((4, 255), (24, 0), (48, 119)):
        assert np.abs(image.pixels[:, column].astype(int) - grey).max() <= 4
    assert "embedded CMYK profile" in image.notes[0]


def test_cmyk_jpeg_without_a_profile_is_refused(tmp_path):
    path = write(tmp_path, "a.jpg", encode(PICTURE.convert("CMYK"), "JPEG"))
    assert "no colour profile" in refusal(path)


@pytest.mark.parametrize(
    "name",
    ["骨髓 é.png", unicodedata.normalize("NFD", "é ü.png"), "a b  c'\".png", "x" * 251 + ".png"],
)
def test_any_name_works(tmp_path, name):
    assert np.array_equal(read(tmp_path, name, encode(PICTURE, "PNG")).pixels, RGB)


@pytest.mark.parametrize(
    ("name", "said"), [("a.jpg", ".jpg"), ("a", "without an extension"), ("a.", "without")]
)
def test_content_decides_and_a_wrong_extension_is_noted(tmp_path, name, said):
    image = read(tmp_path, name, encode(PICTURE, "PNG"))
    assert np.array_equal(image.pixels, RGB)
    assert said in image.notes[0]
    assert "holds a PNG" in image.notes[0]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "link.png").symlink_to(write(tmp_path, "a.png", encode(PICTURE, "PNG")))
    assert np.array_equal(read_image(tmp_path / "link.png", SETTINGS).pixels, RGB)


@pytest.mark.parametrize(
    ("colour", "said"),
    [((0, 0, 0), "black"), ((255, 255, 255), "white"), ((9, 120, 3), "of one colour, (9, 120, 3)")],
)
def test_a_picture_of_one_colour_is_flagged(tmp_path, colour, said):
    """What pyvips 8 makes of tiles in zstd, LZMA or JPEG 2000, without an error."""
    flat = np.full((HEIGHT, WIDTH, 3), colour, np.uint8)
    (note,) = read(tmp_path, "a.png", encode(PillowImage.fromarray(flat), "PNG")).notes
    assert note.startswith(f"every pixel is {said}: look at the original")
    flat[-1, -1] += 1
    assert read(tmp_path, "a.png", encode(PillowImage.fromarray(flat), "PNG")).notes == ()


# Pixel size


def test_png_resolution(tmp_path):
    data = encode(PICTURE, "PNG", dpi=(25400 / 0.5, 25400 / 0.5))
    assert read(tmp_path, "a.png", data).um_per_px == 0.5


def test_bmp_resolution(tmp_path):
    assert read(tmp_path, "a.bmp", encode(PICTURE, "BMP", dpi=(50800, 50800))).um_per_px == 0.5


@pytest.mark.parametrize(
    ("unit", "density", "um"), [(2, 20000, 0.5), (1, 25400, 1.0), (0, 1, None)]
)
def test_jfif_density(tmp_path, unit, density, um):
    data = bytearray(encode(PICTURE, "JPEG"))
    data[13:18] = struct.pack(">BHH", unit, density, density)
    assert read(tmp_path, "a.jpg", bytes(data)).um_per_px == um


@pytest.mark.parametrize(("kind", "dpi"), [("PNG", 72), ("JPEG", 300), ("BMP", 96)])
def test_office_resolutions_mean_nothing(tmp_path, kind, dpi):
    image = read(tmp_path, f"a.{kind.lower()}", encode(PICTURE, kind, dpi=(dpi, dpi)))
    assert image.um_per_px is None
    assert image.notes == ()


def test_pixels_that_are_not_square(tmp_path):
    image = read(tmp_path, "a.png", encode(PICTURE, "PNG", dpi=(50800, 25400)))
    assert image.um_per_px is None
    assert "0.5 x 1 um (PNG resolution)" in image.notes[0]


def test_warnings_are_kept_from_the_user_and_filters_left_alone(tmp_path):
    before = list(warnings.filters)
    data = encode(PICTURE, "TIFF", tiffinfo={270: "x"})
    read(tmp_path, "a.tif", data)
    assert warnings.filters == before


def test_a_path_is_enough(tmp_path, monkeypatch):
    write(tmp_path, "a.png", encode(PICTURE, "PNG"))
    monkeypatch.chdir(tmp_path)
    assert read_image(Path("a.png"), SETTINGS).id == image_id(RGB)


def test_other_decoders_are_another_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reader_key(ReadSettings())
    assert reader_key(ReadSettings(min_side=17)) != before
    monkeypatch.setattr("imagecodecs.__version__", "1900.1.1")
    assert reader_key(ReadSettings()) != before
