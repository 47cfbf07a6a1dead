"""Pictures in other colour spaces come out in sRGB, from every format."""

import io

import numpy as np
import pytest
import tifffile
from PIL import ExifTags
from PIL import Image as PillowImage
from support.colour_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    adobe_curve,
    grey_profile,
    in_srgb,
    matrix_profile,
    srgb_curve,
    to_xyz,
)
from support.image_files import cmyk_profile, encode, read, refusal, write

SPACES = {
    "Adobe RGB (1998)": (ADOBE_RGB, adobe_curve),
    "Display P3": (DISPLAY_P3, srgb_curve),
}
# Eosin, haematoxylin, a red cell, slide, and greens and reds that sRGB does not have.
COLOURS = np.array(
    [
        [214, 140, 178], [110, 70, 140], [190, 60, 90], [243, 241, 244],
        [20, 230, 40], [240, 10, 20], [0, 0, 0], [255, 255, 255],
    ],
    np.uint8,
)  # fmt: skip
# Blocks of 16 px: a JPEG keeps them.
PIXELS = np.repeat(np.repeat(COLOURS.reshape(2, 4, 3), 16, axis=0), 16, axis=1)


def tiff(pixels=PIXELS, **page):
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, metadata=None, **{"photometric": "rgb"} | page)
    return out.getvalue()


def file_of(kind, profile):
    if kind == "TIFF":
        return tiff(iccprofile=profile)
    if kind == "JPEG in TIFF":
        jpeg = {"compression": "jpeg", "compressionargs": {"level": 100}, "tile": (16, 16)}
        return tiff(iccprofile=profile, subsampling=(1, 1), **jpeg)
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    return encode(PillowImage.fromarray(PIXELS), kind, icc_profile=profile, **options)


def centres(pixels):
    """The colours in the middle of the blocks, (8, 3)."""
    return pixels[8::16, 8::16].reshape(-1, 3)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "JPEG in TIFF"])
def test_wide_colours_are_converted_and_noted(tmp_path, name, kind):
    image = read(
        tmp_path, "a." + kind[-4:].lower(), file_of(kind, matrix_profile(name, *SPACES[name]))
    )
    expected = in_srgb(COLOURS, *SPACES[name])
    assert np.abs(expected - COLOURS).max() > 20
    assert np.abs(centres(image.pixels) - expected).max() <= (3 if "JPEG" in kind else 1)
    assert image.notes == (f"converted to sRGB by the embedded RGB profile ({name})",)


def test_the_oracle_has_the_published_matrices():
    """Adobe RGB (1998), section 4.3.5.3; CSS Color 4, section 18, for P3."""
    adobe = [[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]]
    assert np.abs(to_xyz(ADOBE_RGB) - adobe).max() < 2e-4
    p3 = [[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09827]]
    assert np.abs(np.linalg.inv(to_xyz(SRGB)) @ to_xyz(DISPLAY_P3) - p3).max() < 2e-4


def test_colour_planes_of_an_ome_tiff_have_a_profile_too(tmp_path):
    profile = matrix_profile("Adobe RGB (1998)", ADOBE_RGB, adobe_curve)
    planes = np.ascontiguousarray(np.moveaxis(PIXELS, -1, 0))
    path = tmp_path / "a.ome.tif"
    names = {"axes": "CYX", "Channel": {"Name": ["Red", "Green", "Blue"]}}
    tifffile.imwrite(
        path, planes, photometric="minisblack", ome=True, metadata=names, iccprofile=profile
    )
    image = read(tmp_path, "b.tif", path.read_bytes())
    assert np.abs(centres(image.pixels) - in_srgb(COLOURS, ADOBE_RGB, adobe_curve)).max() <= 1
    assert "planes of red, green and blue joined" in image.notes[0]
    assert "Adobe RGB" in image.notes[1]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (cmyk_profile(), "is for CMYK"),
        (grey_profile(), "is for greyscale"),
        (b"no profile at all", "cannot be used"),
        (matrix_profile("cut", ADOBE_RGB, adobe_curve)[:200], "cannot be used"),
    ],
    ids=["CMYK", "grey", "junk", "cut"],
)
def test_a_profile_that_does_not_fit_is_a_note(tmp_path, kind, profile, said):
    image = read(tmp_path, f"a.{kind.lower()}", file_of(kind, profile))
    assert np.abs(centres(image.pixels).astype(int) - COLOURS).max() <= (2 if kind == "JPEG" else 0)
    assert len(image.notes) == 1
    assert said in image.notes[0] and "ignored" in image.notes[0]


def test_grey_pixels_pass_over_any_profile(tmp_path):
    grey = PillowImage.fromarray(PIXELS[..., 0])
    image = read(tmp_path, "a.png", encode(grey, "PNG", icc_profile=grey_profile()))
    assert np.array_equal(image.pixels[..., 1], PIXELS[..., 0])
    assert len(image.notes) == 1


def test_srgb_of_another_maker_changes_nothing(tmp_path):
    profile = matrix_profile("sRGB IEC61966-2.1", SRGB, srgb_curve)
    image = read(tmp_path, "a.png", file_of("PNG", profile))
    assert np.array_equal(image.pixels, PIXELS)
    assert image.notes == ()


def test_a_linear_profile_is_converted_though_it_is_called_srgb(tmp_path):
    profile = matrix_profile("sRGB linear", SRGB, lambda value: value)
    image = read(tmp_path, "a.png", file_of("PNG", profile))
    assert np.abs(centres(image.pixels) - in_srgb(COLOURS, SRGB, lambda v: v)).max() <= 1
    assert "converted to sRGB" in image.notes[0]


def test_16_bits_of_another_space(tmp_path):
    profile = matrix_profile("Display P3", DISPLAY_P3, srgb_curve)
    data = tiff(PIXELS.astype(np.uint16) * 257, iccprofile=profile)
    image = read(tmp_path, "a.tif", data)
    assert np.abs(centres(image.pixels) - in_srgb(COLOURS, DISPLAY_P3, srgb_curve)).max() <= 1


def test_a_profile_of_cmyk_does_not_save_cmyk_with_another(tmp_path):
    profile = matrix_profile("Display P3", DISPLAY_P3, srgb_curve)
    data = encode(PillowImage.fromarray(PIXELS).convert("CMYK"), "JPEG", icc_profile=profile)
    assert "its colour profile cannot be used" in refusal(write(tmp_path, "a.jpg", data))


@pytest.mark.parametrize(("index", "noted"), [("R03", True), ("R98", False)])
def test_a_camera_that_says_adobe_rgb_without_a_profile(tmp_path, index, noted):
    exif = PillowImage.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: index}
    picture, options = PillowImage.fromarray(PIXELS), {"quality": 100, "subsampling": 0}
    data = encode(picture, "JPEG", exif=exif, **options)
    image = read(tmp_path, "a.jpg", data)
    assert any("EXIF says Adobe RGB" in note for note in image.notes) == noted
    assert np.abs(centres(image.pixels).astype(int) - COLOURS).max() <= 2
    profile = matrix_profile("Adobe RGB (1998)", ADOBE_RGB, adobe_curve)
    data = encode(picture, "JPEG", exif=exif, icc_profile=profile, **options)
    (note,) = read(tmp_path, "b.jpg", data).notes
    assert "converted to sRGB" in note
