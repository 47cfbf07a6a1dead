"""Tiles against drawn objects: where the outline lies, what is left free, what SVG says."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.review_objects import held

from annotator.pictures.object_tiles import (
    TILE,
    ZOOM,
    contours,
    draw_tile,
    encode,
    no_tile,
    svg_path,
    window,
)
from annotator.review.object_index import IndexedObjects

RED, GREY = (200, 0, 0), 120


def square(size: int = 200, x0: int = 80, side: int = 40) -> IndexedObjects:
    labels = np.zeros((size, size), np.int32)
    labels[x0 : x0 + side, x0 : x0 + side] = 1
    return held(labels)


def grey(shape: tuple[int, int]) -> NDArray[np.uint8]:
    return np.full((*shape, 3), GREY, np.uint8)


def is_ink(tile: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return (tile == np.array(colour, np.uint8)).all(axis=2)


def drawn(
    pixels: NDArray[np.uint8], objects: IndexedObjects, size: int = TILE
) -> NDArray[np.uint8]:
    return draw_tile(pixels, objects.boxes[0], objects.crop(0), RED, size)


@pytest.mark.parametrize("size", [TILE, ZOOM])
def test_the_outline_lies_around_the_object_and_never_on_it(size: int):
    one = square()
    tile = drawn(grey((200, 200)), one, size)
    frame = window(one.boxes[0], (200, 200), size > TILE)
    scale = size / frame.side
    low, high = (80 - frame.x0) * scale, (120 - frame.x0) * scale
    ink = ~is_ink(tile, (GREY, GREY, GREY))
    inner = slice(int(np.ceil(low)) + 1, int(high) - 1)
    assert not ink[inner, inner].any()
    rows = np.flatnonzero(ink.any(axis=1))
    assert low - size / 25 < rows[0] < low
    assert high < rows[-1] + 1 < high + size / 25
    for colour in (RED, (255, 255, 255), (0, 0, 0)):
        assert is_ink(tile, colour).any()


def test_the_object_is_in_the_middle_with_its_surroundings():
    frame = window(np.array([80, 80, 120, 120], np.int32), (200, 200))
    assert (frame.x0, frame.y0, frame.side) == (68, 68, 64)
    wide = window(np.array([80, 80, 120, 120], np.int32), (200, 200), wide=True)
    assert wide.side == 128


def test_at_the_border_the_window_stays_inside_and_large_objects_get_grey_around():
    frame = window(np.array([0, 0, 40, 40], np.int32), (200, 200))
    assert (frame.x0, frame.y0) == (0, 0)
    one = held(np.ones((30, 300), np.int32))
    tile = drawn(grey((30, 300)), one)
    assert tile.shape == (TILE, TILE, 3)
    assert is_ink(tile, (205, 205, 205)).mean() > 0.5


def test_an_object_of_one_pixel_is_shown_and_outlined():
    labels = np.zeros((400, 400), np.int32)
    labels[200, 200] = 1
    tile = drawn(grey((400, 400)), held(labels))
    assert is_ink(tile, RED).any()


@pytest.mark.parametrize(("x", "y"), [(0, 0), (100, 80), (0, 80)])
def test_at_the_border_of_the_image_no_grey_is_shown(x: int, y: int):
    labels = np.zeros((100, 120), np.int32)
    labels[y : y + 20, x : x + 20] = 1
    tile = drawn(grey((100, 120)), held(labels))
    assert is_ink(tile, RED).any() and not is_ink(tile, (205, 205, 205)).any()


def test_a_speck_is_enlarged_no_further_than_it_shows_anything():
    labels = np.zeros((200, 200), np.int32)
    labels[100:102, 100:102] = 1
    rows = np.flatnonzero(is_ink(drawn(grey((200, 200)), held(labels)), RED).any(axis=1))
    assert rows[-1] - rows[0] <= 14


def test_an_object_of_another_image_is_refused():
    with pytest.raises(ValueError, match=r"80 x 60.*120"):
        drawn(grey((60, 80)), square())


def test_holes_are_outlined_too():
    labels = np.ones((120, 120), np.int32)
    labels[40:80, 40:80] = 0
    labels[:10] = labels[-10:] = labels[:, :10] = labels[:, -10:] = 0
    one = held(labels)
    assert len(contours(one.crop(0), one.boxes[0])) == 2
    tile = drawn(grey((120, 120)), one)
    frame = window(one.boxes[0], (120, 120))
    middle = int((60 - frame.x0) * TILE / frame.side)
    reach = int(22 * TILE / frame.side)
    assert is_ink(tile, RED)[middle, middle - reach : middle + reach].any()


def test_crops_come_back_from_their_bits():
    rng = np.random.default_rng(0)
    labels = np.zeros((40, 60), np.int32)
    labels[3:20, 5:30][rng.random((17, 25)) > 0.3] = 1
    labels[22:39, 31:58][rng.random((17, 27)) > 0.3] = 2
    one = held(labels)
    for at, number in enumerate(one.ids.tolist()):
        x0, y0, x1, y1 = one.boxes[at]
        np.testing.assert_array_equal(one.crop(at), labels[y0:y1, x0:x1] == number)
        assert one.mask(at).key == one.mask_keys[at]


def points_of(path: str) -> list[NDArray[np.float32]]:
    parts = re.findall(r"M([^Z]*)Z", path)
    return [np.array([p.split() for p in part.split("L")], np.float32) for part in parts]


def test_svg_paths_follow_the_mask_within_a_pixel():
    labels = np.zeros((100, 140), np.int32)
    cv2.ellipse(labels, (70, 50), (50, 30), 20, 0, 360, 1, -1)
    cv2.circle(labels, (70, 50), 9, 0, -1)
    one = held(labels)
    parts = points_of(svg_path(one.crop(0), one.boxes[0]))
    assert len(parts) == 2
    drawn = np.zeros((1000, 1400), np.uint8)
    cv2.fillPoly(drawn, [(part * 10).astype(np.int32) for part in parts], 1)
    back = cv2.resize(drawn.astype(np.float32), (140, 100), interpolation=cv2.INTER_AREA) > 0.5
    off = back != (labels == 1)
    edge = cv2.dilate((labels == 1).astype(np.uint8), np.ones((3, 3))) != cv2.erode(
        (labels == 1).astype(np.uint8), np.ones((3, 3))
    )
    assert not (off & ~edge).any()
    assert off.mean() < 0.02


def test_pictures_are_jpegs_and_very_large_ones_are_shrunk():
    for data, shape in (
        (encode(grey((50, 70))), (50, 70, 3)),
        (encode(grey((10, 12000))), (5, 6000, 3)),
        (encode(no_tile()), (TILE, TILE, 3)),
    ):
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == shape
