"""Pictures as they are sent: the same pixels, and nothing else of the file."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image as PilImage
from PIL.PngImagePlugin import PngInfo

from annotator.core.objects import image_id
from export.sent_pictures import pixels_alone, png_as_it_is

ROWS, COLUMNS = np.mgrid[:40, :56]
RGB = np.stack([ROWS * 6, COLUMNS * 4, 255 - ROWS - COLUMNS], axis=2).astype(np.uint8)
ID = image_id(RGB)


def save(folder: Path, picture: PilImage.Image, name: str = "field.png", **options: object) -> Path:
    path = folder / name
    picture.save(path, **options)
    return path


def test_metadata_stay_here(tmp_path: Path) -> None:
    said = PngInfo()
    said.add_text("Patient", "Mrs Miller")
    said.add_itxt("XML:com.adobe.xmp", "Mrs Miller", zip=True)
    exif = PilImage.Exif()
    exif[0x010E] = "Mrs Miller"
    path = save(tmp_path, PilImage.fromarray(RGB), pnginfo=said, exif=exif, dpi=(300, 300))
    with path.open("ab") as file:
        file.write(b"Mrs Miller behind the end")
    sent = png_as_it_is(path, ID, RGB.shape[:2])
    assert sent is not None
    assert b"Mill" not in sent and b"pHYs" not in sent and b"iTXt" not in sent
    assert np.array_equal(imagecodecs.png_decode(sent), RGB)
    assert len(sent) < path.stat().st_size


def test_a_file_that_shows_other_pixels_is_packed_again(tmp_path: Path) -> None:
    picture = PilImage.fromarray(RGB)
    odd = [
        save(tmp_path, picture, "field.jpg"),
        save(tmp_path, picture.convert("RGBA"), "alpha.png"),
        save(tmp_path, picture.convert("L"), "grey.png"),
        save(tmp_path, picture.convert("P"), "palette.png"),
        save(tmp_path, PilImage.fromarray(RGB[::-1]), "other.png"),
        tmp_path / "missing.png",
    ]
    (tmp_path / "half.png").write_bytes(save(tmp_path, picture).read_bytes()[:-30])
    odd.append(tmp_path / "half.png")
    assert [png_as_it_is(path, ID, RGB.shape[:2]) for path in odd] == [None] * len(odd)


def test_a_file_that_is_packed_badly_is_packed_again(tmp_path: Path) -> None:
    path = save(tmp_path, PilImage.fromarray(RGB), compress_level=0)
    assert png_as_it_is(path, ID, RGB.shape[:2]) is None


def test_half_a_file_is_refused() -> None:
    with pytest.raises(ValueError, match="ends in the middle"):
        pixels_alone(b"\x89PNG\r\n\x1a\n" + (90).to_bytes(4) + b"IDAT" + bytes(20))
