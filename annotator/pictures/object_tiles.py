"""Contact sheets of clusters: what is typical of each, and what lies on its border.

Arrays in, arrays out. Each object is shown in its surroundings with its outline in the
colour of the class, because an object alone can rarely be named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw

from annotator.core.objects import Image, ImageObjects, freeze
from annotator.pictures.overlay import font, printable, shorten

Pixels = NDArray[np.uint8]

TILE = 132
"""Height and width of an object's picture, px."""
_COLUMNS, _GAP, _LINE = 6, 8, 16
_PAPER, _INK, _GREY = (255, 255, 255), (20, 20, 20), (110, 110, 110)
# Surroundings on each side as a share of the object's longer side, and at least so many px.
_MARGIN, _LEAST_MARGIN = 0.5, 12
# Small objects are enlarged at most so much: beyond, nothing more is seen.
_LARGEST_ZOOM = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One object in its surroundings.

    Parameters
    ----------
    pixels : (TILE, TILE, 3) uint8
        From :func:`in_context`.
    caption : str
        Where it is: image and object.
    """

    pixels: Pixels
    caption: str

    def __post_init__(self) -> None:
        if self.pixels.shape != (TILE, TILE, 3):
            raise ValueError(f"expected pixels of {(TILE, TILE, 3)}, got {self.pixels.shape}")
        object.__setattr__(self, "pixels", freeze(self.pixels))


def in_context(
    image: Image, objects: ImageObjects, index: int, colour: tuple[int, int, int]
) -> Pixels:
    """Cut an object with its surroundings out of its image and outline it.

    Parameters
    ----------
    image : Image
    objects : ImageObjects
        Of that image.
    index : int
        Position of the object, not its id.
    colour : (int, int, int)
        Of the outline, RGB.

    Returns
    -------
    (TILE, TILE, 3) uint8
        The object is in the middle, or aside where the image ends; grey is beyond an
        image that is smaller than the window.
    """
    if objects.shape != image.shape:
        raise ValueError(f"objects lie on {objects.shape}, the image is {image.shape}")
    y0, x0, side = _window(objects.boxes[index], image.shape)
    cut = _padded(image.pixels, y0, x0, side, 190)
    mask = _padded(objects.full_mask(index).astype(np.uint8), y0, x0, side, 0)
    zoom = cv2.INTER_AREA if side > TILE else cv2.INTER_CUBIC
    tile = cv2.resize(cut, (TILE, TILE), interpolation=zoom).astype(np.uint8, copy=False)
    large = cv2.resize(mask, (TILE, TILE), interpolation=cv2.INTER_NEAREST)
    outline, _ = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # A pale line under the coloured one keeps dark colours visible on dark tissue.
    cv2.drawContours(tile, outline, -1, (255, 255, 255), 4)
    cv2.drawContours(tile, outline, -1, colour, 2)
    return tile


def _window(box: NDArray[np.int32], shape: tuple[int, int]) -> tuple[int, int, int]:
    """Top, left and side of the square around a box and its surroundings, px."""
    x0, y0, x1, y1 = map(int, box)
    longer = max(x1 - x0, y1 - y0)
    side = longer + 2 * max(_LEAST_MARGIN, round(_MARGIN * longer))
    side = max(side, round(TILE / _LARGEST_ZOOM))
    height, width = shape
    return _start(y0 + y1, side, height), _start(x0 + x1, side, width), side


def _start(ends: int, side: int, size: int) -> int:
    """First pixel of a window around the middle of two ends, inside the image if it fits."""
    if side > size:
        return (size - side) // 2
    return min(max((ends - side) // 2, 0), size - side)


def _padded(plane: Pixels, y0: int, x0: int, side: int, fill: int) -> Pixels:
    """A square of a plane, filled where it leaves it."""
    height, width = plane.shape[:2]
    square = np.full((side, side, *plane.shape[2:]), fill, np.uint8)
    top, left = max(0, -y0), max(0, -x0)
    part = plane[max(0, y0) : min(height, y0 + side), max(0, x0) : min(width, x0 + side)]
    square[top : top + part.shape[0], left : left + part.shape[1]] = part
    return square


def cluster_sheet(title: str, rows: Sequence[tuple[str, Sequence[Example]]]) -> Pixels:
    """Lay out examples under headings.

    Parameters
    ----------
    title : str
        Name, class and size of the cluster.
    rows : sequence of (str, sequence of Example)
        ``typical`` and ``borderline``, say; a row without examples says so.

    Returns
    -------
    (H, W, 3) uint8
    """
    step = TILE + _LINE + _GAP
    lines = [max(1, -(-len(examples) // _COLUMNS)) for _, examples in rows]
    top = 2 * _LINE + _GAP
    height = top + sum(_LINE + _GAP + count * step for count in lines)
    sheet = PilImage.new("RGB", (_GAP + _COLUMNS * (TILE + _GAP), height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), shorten(printable(title), 90), _INK, font(16))
    y = top
    for (heading, examples), count in zip(rows, lines, strict=True):
        draw.text((_GAP, y), heading if examples else f"{heading}: none", _INK, font(13))
        y += _LINE + _GAP
        for index, example in enumerate(examples):
            row, column = divmod(index, _COLUMNS)
            corner = _GAP + column * (TILE + _GAP), y + row * step
            sheet.paste(PilImage.fromarray(example.pixels), corner)
            below = corner[0], corner[1] + TILE + 1
            draw.text(below, shorten(printable(example.caption), 22), _GREY, font(11))
        y += count * step
    return np.asarray(sheet)
