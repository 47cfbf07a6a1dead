"""Cut an object out with its surroundings, and outline it. Arrays in, arrays out.

The review page and the contact sheets show the same tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask
from annotator.imaging.codecs import encode_jpeg

Pixels = NDArray[np.uint8]
Rgb = tuple[int, int, int]

TILE, ZOOM = 128, 512
"""Height and width of a tile and of a zoomed tile, px."""

# Side of the window around an object: a multiple of the longer side of its box, at least so
# many px of the image; a zoomed tile shows twice as much.
_CONTEXT, _LEAST = 1.6, 40
_ZOOM_CONTEXT = 2.0
_JPEG_QUALITY = 85
# A larger picture is reduced to this side, px: no screen shows more.
_LARGEST = 6000
# An SVG path may leave out corners that are off the straight line by no more than this, px.
_TOLERANCE = 0.6
# Grey level of what is beyond the image.
_BEYOND = 205


@dataclass(frozen=True, slots=True)
class TileWindow:
    """A square part of an image, px; it may reach beyond the image.

    Parameters
    ----------
    x0, y0 : int
        Left and upper edge.
    side : int
    """

    x0: int
    y0: int
    side: int


def window(box: NDArray[np.int32], shape: tuple[int, int], wide: bool = False) -> TileWindow:
    """The square around an object and its surroundings, moved into the image where it fits.

    Parameters
    ----------
    box : (4,) int32
        Of the object, half-open ``x0 y0 x1 y1``, px.
    shape : (int, int)
        Height and width of the image, px.
    wide : bool
        Twice as much of the surroundings.

    Returns
    -------
    TileWindow

    Examples
    --------
    >>> window(np.array([0, 50, 10, 60], np.int32), (200, 200))
    TileWindow(x0=0, y0=35, side=40)
    """
    x0, y0, x1, y1 = box.tolist()
    longer = max(x1 - x0, y1 - y0)
    side = max(round(_CONTEXT * longer), longer + 8, _LEAST)
    side = round(_ZOOM_CONTEXT * side) if wide else side
    height, width = shape
    return TileWindow(_start(x0 + x1, side, width), _start(y0 + y1, side, height), side)


def _start(ends: int, side: int, size: int) -> int:
    """First row or column of a window; `ends` is the sum of both ends of the box."""
    if side > size:
        return (size - side) // 2
    return min(max((ends - side) // 2, 0), size - side)


def draw_tile(
    pixels: Pixels, box: NDArray[np.int32], crop: BoolMask, colour: Rgb, size: int = TILE
) -> Pixels:
    """Cut an object out with its surroundings, and draw its outline around it.

    The line in the colour of the class lies between a white one and a black one, so that it
    shows on any tissue. All three are outside the object and hide none of its pixels.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB, of the whole image.
    box : (4,) int32
        Of the object, half-open ``x0 y0 x1 y1``, px.
    crop : (h, w) bool
        Its mask in the box.
    colour : (int, int, int)
        RGB.
    size : int
        Height and width of the tile, px; above :data:`TILE` it shows twice the surroundings.

    Returns
    -------
    (size, size, 3) uint8
        RGB. The object is in the middle, or beside it near the edge of the image; an image
        smaller than the window is continued in grey.

    Raises
    ------
    ValueError
        When the box reaches beyond the image: the object is one of another image.

    Examples
    --------
    >>> tissue = np.full((90, 120, 3), 200, np.uint8)
    >>> box, crop = np.array([50, 40, 60, 52], np.int32), np.ones((12, 10), bool)
    >>> draw_tile(tissue, box, crop, (128, 0, 0)).shape
    (128, 128, 3)
    """
    height, width = pixels.shape[:2]
    if min(box[:2]) < 0 or box[2] > width or box[3] > height:
        raise ValueError(f"expected a box inside {width} x {height} px, got {box.tolist()}")
    frame = window(box, (height, width), size > TILE)
    enlarged = cv2.INTER_AREA if frame.side > size else cv2.INTER_CUBIC
    tile = cv2.resize(_cut(pixels, frame), (size, size), interpolation=enlarged)
    scale = size / frame.side
    inside = np.zeros((size, size), np.uint8)
    shift = np.array([frame.x0, frame.y0], np.float64)
    edges = [(points - shift) * scale * 16 for points in contours(crop, box)]
    # OpenCV fills by the even-odd rule, so holes stay open; it takes points in 1/16 px.
    cv2.fillPoly(inside, [edge.round().astype(np.int32) for edge in edges], 1, shift=4)
    inside = np.maximum(inside, _middle(frame, box, size))
    # Lines are drawn by the distance to the object, from the outermost inwards.
    distance = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    line = max(2.0, size / 64)
    rings = ((1.0, (255, 255, 255)), (1.0 + line, colour), (2.0 + line, (0, 0, 0)))
    for outer, ink in reversed(rings):
        tile[(distance > 0) & (distance <= outer)] = ink
    return np.asarray(tile, np.uint8)


def _middle(frame: TileWindow, box: NDArray[np.int32], size: int) -> Pixels:
    """A pixel in the middle of an object that would be too small to see, (size, size) uint8."""
    x0, y0, x1, y1 = box.tolist()
    mark = np.zeros((size, size), np.uint8)
    if max(x1 - x0, y1 - y0) * size < 2 * frame.side:
        x = int(((x0 + x1) / 2 - frame.x0) * size / frame.side)
        y = int(((y0 + y1) / 2 - frame.y0) * size / frame.side)
        mark[min(y, size - 1), min(x, size - 1)] = 1
    return mark


def _cut(pixels: Pixels, frame: TileWindow) -> Pixels:
    """The pixels of a window, (side, side, 3) uint8; grey beyond the image."""
    height, width = pixels.shape[:2]
    x0, y0 = max(0, frame.x0), max(0, frame.y0)
    x1, y1 = min(width, frame.x0 + frame.side), min(height, frame.y0 + frame.side)
    part = pixels[y0:y1, x0:x1]
    if part.shape[:2] == (frame.side, frame.side):
        return part
    square = np.full((frame.side, frame.side, 3), _BEYOND, np.uint8)
    top, left = y0 - frame.y0, x0 - frame.x0
    square[top : top + part.shape[0], left : left + part.shape[1]] = part
    return square


def contours(crop: BoolMask, box: NDArray[np.int32]) -> list[NDArray[np.float64]]:
    """The outlines of a mask and of its holes.

    Parameters
    ----------
    crop : (h, w) bool
    box : (4,) int32
        Of the mask, half-open ``x0 y0 x1 y1``, px.

    Returns
    -------
    list of (n, 2) float64
        ``x y`` in the image, px.

    Notes
    -----
    OpenCV returns the centres of the outermost pixels, which makes of a line of one pixel an
    outline without an inside. So the mask is enlarged to twice its size before, and the result
    divided by two: an outline then runs a quarter of a pixel inside the true edge.

    Examples
    --------
    >>> contours(np.ones((1, 1), bool), np.array([4, 7, 5, 8], np.int32))[0].tolist()
    [[4.25, 7.25], [4.25, 7.75], [4.75, 7.75], [4.75, 7.25]]
    """
    large = np.pad(np.repeat(np.repeat(crop, 2, axis=0), 2, axis=1), 1).astype(np.uint8)
    found, _ = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    corner = np.array([box[0], box[1]], np.float64)
    return [(edge[:, 0, :] - 0.5) / 2.0 + corner for edge in found]


def svg_path(crop: BoolMask, box: NDArray[np.int32]) -> str:
    """The outlines of a mask as the ``d`` of an SVG path, to be filled by ``evenodd``.

    Parameters
    ----------
    crop : (h, w) bool
    box : (4,) int32
        Of the mask, half-open ``x0 y0 x1 y1``, px.

    Returns
    -------
    str
        Coordinates in pixels of the image; corners within 0.6 px of a straight line are left
        out.

    Examples
    --------
    >>> svg_path(np.ones((4, 6), bool), np.array([10, 20, 16, 24], np.int32))
    'M10.2 20.2L10.2 23.8L15.8 23.8L15.8 20.2Z'
    """
    parts = []
    for edge in contours(crop, box):
        simple = cv2.approxPolyDP(edge.astype(np.float32)[:, None], _TOLERANCE, True)[:, 0]
        points = simple if len(simple) > 2 else edge
        steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points.tolist())
        parts.append(f"M{steps}Z")
    return "".join(parts)


def encode(pixels: Pixels) -> bytes:
    """Encode a picture as JPEG; one with a side above 6000 px is reduced.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.

    Returns
    -------
    bytes

    Examples
    --------
    >>> encode(np.zeros((8, 8, 3), np.uint8))[:2].hex()
    'ffd8'
    """
    height, width = pixels.shape[:2]
    scale = _LARGEST / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return encode_jpeg(pixels, _JPEG_QUALITY)


def no_tile(size: int = TILE) -> Pixels:
    """Grey with a cross: for an object whose image is missing or changed.

    Parameters
    ----------
    size : int
        Side of the tile, px.

    Returns
    -------
    (size, size, 3) uint8
        RGB.

    Examples
    --------
    >>> tile = no_tile(64)
    >>> tile.shape, tile[32, 32].tolist()
    ((64, 64, 3), [150, 150, 150])
    """
    tile = np.full((size, size, 3), _BEYOND, np.uint8)
    for ends in (((0, 0), (size, size)), ((0, size), (size, 0))):
        cv2.line(tile, *ends, (150, 150, 150), 2)
    return tile
