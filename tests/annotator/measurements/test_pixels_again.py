"""The shorter way to known pixels gives the same pixels, or leaves it to the longer one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from annotator.core.errors import ImageError
from annotator.imaging.read import read_image
from annotator.measurements.measure import pixels_again
from annotator.settings.images import ReadSettings

SETTINGS = ReadSettings()
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)


def grey() -> Picture.Image:
    return Picture.fromarray(PIXELS[..., 0])


def clear() -> Picture.Image:
    return Picture.fromarray(np.dstack([PIXELS, PIXELS[..., :1]]))


def turned() -> Picture.Image:
    made = Picture.fromarray(PIXELS)
    made.getexif()[0x0112] = 6
    return made


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg"])
@pytest.mark.parametrize("make", [lambda: Picture.fromarray(PIXELS), grey, clear, turned])
def test_every_way_gives_the_pixels_of_read_image(
    tmp_path: Path, suffix: str, make: object
) -> None:
    assert callable(make)
    made = make()
    path = tmp_path / f"field{suffix}"
    exif = made.getexif() if suffix in (".png", ".jpg") else None
    kept = made.convert("RGB") if suffix in (".jpg", ".bmp") else made
    kept.save(path, **({} if exif is None else {"exif": exif}))
    image = read_image(path, SETTINGS)
    again = pixels_again(path, image.id, image.shape, SETTINGS)
    assert again is not None
    assert np.array_equal(again, image.pixels)


def test_other_pixels_are_none(tmp_path: Path) -> None:
    path = tmp_path / "field.png"
    cv2.imwrite(str(path), PIXELS)
    known = read_image(path, SETTINGS)
    cv2.imwrite(str(path), PIXELS[::-1])
    assert pixels_again(path, known.id, known.shape, SETTINGS) is None
    assert pixels_again(path, known.id, (50, 40), SETTINGS) is None


def test_damaged_and_missing_files_are_refused_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "field.png"
    cv2.imwrite(str(path), PIXELS)
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], data[:40], b"", b"x" * 100):
        path.write_bytes(broken)
        with pytest.raises(ImageError):
            pixels_again(path, "0" * 16, (40, 50), SETTINGS)
    path.unlink()
    with pytest.raises(ImageError):
        pixels_again(path, "0" * 16, (40, 50), SETTINGS)
