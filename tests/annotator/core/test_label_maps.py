"""Rasters as bytes: lossless where they must be, and instances that fit edited classes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from annotator.core.errors import StudyError
from annotator.core.label_maps import compact, fit_instances
from annotator.imaging.codecs import decode_jpeg, decode_png, encode_jpeg, encode_png


def independent(data: bytes) -> np.ndarray:
    with PillowImage.open(io.BytesIO(data)) as picture:
        return np.asarray(picture).astype(np.int64)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_map_is_lossless_also_for_an_independent_reader(dtype):
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (37, 53)).astype(dtype)
    data = encode_png(values)
    assert np.array_equal(decode_png(data), values)
    assert decode_png(data).dtype == dtype
    assert np.array_equal(independent(data), values)
    assert data == encode_png(values)


@pytest.mark.parametrize("bad", [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.int32)])
def test_what_is_no_map_is_not_written(bad):
    with pytest.raises(ValueError, match=r"uint8|uint16"):
        encode_png(bad)


@pytest.mark.parametrize("data", [b"", b"nonsense", encode_jpeg(np.zeros((4, 4, 3), np.uint8))])
def test_what_is_no_map_is_not_read(data):
    with pytest.raises(StudyError):
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


def test_more_instances_than_sixteen_bits_are_refused():
    with pytest.raises(StudyError, match=r"65535 .* 65536"):
        compact(np.arange(65537, dtype=np.int32).reshape(1, -1))


def test_instances_are_counted_from_one_in_order():
    rng = np.random.default_rng(1)
    instances = rng.choice([0, 5, 9, 1000, 123456], (20, 20)).astype(np.int32)
    small = compact(instances)
    assert sorted(np.unique(small)) == [0, 1, 2, 3, 4]
    for new, old in enumerate([0, 5, 9, 1000, 123456]):
        assert np.array_equal(small == new, instances == old)


def test_unchanged_classes_keep_their_instances():
    classes = np.array([[1, 1, 2, 3], [1, 2, 3, 3]], np.uint8)
    instances = np.array([[4, 4, 0, 2], [4, 0, 2, 2]], np.int32)
    assert np.array_equal(fit_instances(classes, instances), instances)


def test_instances_follow_what_a_person_changed():
    before = np.array([[1, 1, 0, 0], [2, 2, 2, 2], [2, 2, 2, 2]], np.int32)
    classes = np.array([[1, 0, 0, 1], [2, 2, 2, 1], [3, 3, 2, 2]], np.uint8)
    after = fit_instances(classes, np.where(before == 1, 1, 0).astype(np.int32))
    assert after[0, 0] == 1
    assert after[0, 1] == 0
    assert after[0, 3] == after[1, 3] > 1
    assert after[2, 0] == after[2, 1] > 1
    assert after[2, 0] != after[0, 3]


def test_an_instance_painted_in_two_classes_keeps_the_larger_part():
    classes = np.array([[1, 1, 3]], np.uint8)
    after = fit_instances(classes, np.array([[6, 6, 6]], np.int32))
    assert after.tolist() == [[6, 6, 7]]
