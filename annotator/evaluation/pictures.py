"""Pictures of a predicted map beside its truth: the image, both maps, their differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw

from annotator.core.classes import CLASS_NAMES, UNLABELLED, ClassSchema
from annotator.core.objects import BoolMask
from annotator.pictures.overlay import Pixels, font, printable, shorten, thumbnail

Codes = NDArray[np.uint8]

PANEL = (800, 800)
"""Largest width and height of a panel, px."""
_GAP, _HEAD, _LINE = 12, 24, 22
_PAPER, _INK, _GREY = (255, 255, 255), (20, 20, 20), (90, 90, 90)
_RIGHT = (225, 225, 225)


@dataclass(frozen=True, slots=True, eq=False)
class MapComparison:
    """An image with its predicted and its true label map.

    Parameters
    ----------
    title, caption : str
        Above and below.
    predicted, truth : (H, W) uint8
        Codes 0-3; 255 for open.
    pixels : (H, W, 3) uint8 or None
        The image itself, where it is still there.
    """

    title: str
    caption: str
    predicted: Codes
    truth: Codes
    pixels: Pixels | None = None


def draw_comparison(comparison: MapComparison, schema: ClassSchema) -> Pixels:
    """Draw the image, the predicted map, the truth and their differences, (h, w, 3) uint8."""
    panels = [
        ("evaluated", painted(comparison.predicted, schema)),
        ("truth", painted(comparison.truth, schema)),
        (
            "differences: what should be there",
            differences(comparison.predicted, comparison.truth, schema),
        ),
    ]
    if comparison.pixels is not None:
        panels.insert(0, ("image", comparison.pixels))
    return _laid_out(comparison, [(title, thumbnail(p, PANEL)) for title, p in panels], schema)


def painted(codes: Codes, schema: ClassSchema) -> Pixels:
    """Draw each class in its colour and open pixels white, (H, W, 3) uint8.

    Parameters
    ----------
    codes : (H, W) uint8
        0-3, and 255 where open.
    schema : ClassSchema

    Examples
    --------
    >>> from annotator.core.classes import DEFAULT_SCHEMA
    >>> painted(np.array([[255]], np.uint8), DEFAULT_SCHEMA).tolist()
    [[[255, 255, 255]]]
    """
    palette = schema.palette()
    palette[UNLABELLED] = _PAPER
    picture: Pixels = palette[codes]
    return picture


def differences(predicted: Codes, truth: Codes, schema: ClassSchema) -> Pixels:
    """Draw the true class where the prediction is wrong; grey where right, white where open.

    Parameters
    ----------
    predicted, truth : (H, W) uint8
        0-3, and 255 where open.
    schema : ClassSchema

    Returns
    -------
    (H, W, 3) uint8
        RGB.

    Examples
    --------
    >>> from annotator.core.classes import DEFAULT_SCHEMA
    >>> truth = np.array([[1, 2, 255]], np.uint8)
    >>> differences(np.array([[2, 2, 0]], np.uint8), truth, DEFAULT_SCHEMA)[0].tolist()
    [[128, 0, 0], [225, 225, 225], [255, 255, 255]]
    """
    picture = painted(truth, schema)
    right: BoolMask = (predicted == truth) & (truth != UNLABELLED)
    picture[right] = _RIGHT
    return picture


def _laid_out(
    comparison: MapComparison, panels: list[tuple[str, Pixels]], schema: ClassSchema
) -> Pixels:
    """Two panels a row, the title above, caption and colours below."""
    height, width = panels[0][1].shape[:2]
    rows = -(-len(panels) // 2)
    top, foot = _GAP + _HEAD, 2 * _LINE + _GAP
    whole = 2 * width + 3 * _GAP, top + rows * (height + _HEAD + _GAP) + foot
    sheet = PilImage.new("RGB", (max(whole[0], 480), whole[1]), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP // 2), shorten(printable(comparison.title), 80), _INK, font(18))
    for index, (title, picture) in enumerate(panels):
        row, column = divmod(index, 2)
        x, y = _GAP + column * (width + _GAP), top + row * (height + _HEAD + _GAP)
        draw.text((x, y), title, _GREY, font(14))
        sheet.paste(PilImage.fromarray(picture), (x, y + _HEAD))
    below = whole[1] - foot
    draw.text((_GAP, below), printable(comparison.caption), _GREY, font(14))
    _legend(draw, (_GAP, below + _LINE), schema)
    return np.asarray(sheet)


def _legend(draw: ImageDraw.ImageDraw, corner: tuple[int, int], schema: ClassSchema) -> None:
    x, y = corner
    entries = [(name, schema.rgb(name)) for name in CLASS_NAMES]
    for name, colour in [*entries, ("open", _PAPER), ("right", _RIGHT)]:
        draw.rectangle((x, y + 2, x + 12, y + 14), fill=colour, outline=_GREY)
        draw.text((x + 18, y), name, _INK, font(13))
        x += 34 + int(font(13).getlength(name))
