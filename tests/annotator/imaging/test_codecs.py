"""Rasters as bytes: lossless where they must be, and the channels in their order."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from annotator.core.errors import StudyError
from annotator.imaging.codecs import (
    decode_jpeg,
    decode_png,
    encode_jpeg,
    encode_png,
    encode_rgb_png,
    encode_small_png,
)


def independent(data: bytes) -> np.ndarray:
    with Picture.open(io.BytesIO(data)) as picture:
        return np.asarray(picture).astype(np.int64)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_map_is_lossless_also_for_an_independent_reader(dtype):
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (37, 53)).astype(dtype)
    data = encode_png(values)
    assert np.array_equal(decode_png(data), values)
    assert decode_png(data).dtype == dtype
    assert np.array_equal(independent(data), values)
    assert data == encode_png(values)


def as_pillow_writes(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Picture.fromarray(values).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (40, 3)])
@pytest.mark.parametrize("write", [encode_png, encode_small_png, as_pillow_writes])
def test_maps_of_all_writers_are_read_and_can_be_written_to(write, shape, dtype):
    # Along a slope the writers take filters, which ours does not.
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    found = decode_png(write(values))
    assert found.dtype == dtype
    assert np.array_equal(found, values)
    found += 1
    assert np.array_equal(found, values + dtype(1))


def test_a_map_with_words_beside_the_pixels_is_read():
    values = np.array([[0, 1, 255]], np.uint8)
    words = PngInfo()
    words.add_text("Comment", "corrected by eva")
    file = io.BytesIO()
    Picture.fromarray(values).save(file, "PNG", pnginfo=words)
    assert np.array_equal(decode_png(file.getvalue()), values)


@pytest.mark.parametrize("end", [8, 20, 33, 40])
def test_a_map_that_was_cut_short_is_refused(end):
    data = encode_png(np.random.default_rng(0).integers(0, 4, (50, 50), np.uint8))
    with pytest.raises(StudyError, match="expected a grey PNG"):
        decode_png(data[:end])


@pytest.mark.parametrize("at", [20, 60, 200])
def test_a_damaged_map_is_refused(at):
    data = bytearray(encode_png(np.random.default_rng(0).integers(0, 4, (50, 50), np.uint8)))
    data[at] ^= 1
    with pytest.raises(StudyError, match="expected a grey PNG"):
        decode_png(bytes(data))


@pytest.mark.parametrize("bad", [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.int32)])
def test_what_is_no_map_is_not_written(bad):
    with pytest.raises(ValueError, match="expected"):
        encode_png(bad)


@pytest.mark.parametrize("data", [b"", b"nonsense", encode_jpeg(np.zeros((4, 4, 3), np.uint8))])
def test_what_is_no_map_is_not_read(data):
    with pytest.raises(StudyError, match="expected a grey PNG"):
        decode_png(data)


def test_jpeg_keeps_the_order_of_the_channels():
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    back = decode_jpeg(encode_jpeg(red))
    assert back is not None
    assert np.abs(back.astype(int) - red).max() < 6


def test_a_damaged_jpeg_is_none():
    assert decode_jpeg(b"") is None
    assert decode_jpeg(b"x" * 50) is None


@pytest.mark.parametrize("quick", [False, True])
def test_a_png_of_pixels_is_exact(quick: bool) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 7, 3), np.uint8)
    assert np.array_equal(independent(encode_rgb_png(pixels, quick)), pixels)


def test_small_png_of_16_bits_and_of_colours() -> None:
    assert encode_small_png(np.zeros((2, 2), np.uint16))[24] == 16
    assert encode_small_png(np.zeros((2, 2, 3), np.uint8))[25] == 2
    pixels = np.random.default_rng(2).integers(0, 256, (9, 7, 3), np.uint8)
    assert np.array_equal(independent(encode_small_png(pixels)), pixels)


def test_a_higher_quality_is_nearer_to_the_pixels() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (32, 32, 3), np.uint8)

    def error(quality: int) -> float:
        back = decode_jpeg(encode_jpeg(pixels, quality))
        assert back is not None
        return float(np.abs(back.astype(int) - pixels).mean())

    assert error(95) < error(40)
    assert encode_jpeg(pixels) == encode_jpeg(pixels, 90)
