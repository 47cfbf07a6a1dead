"""Contact sheets of clusters of objects: typical ones, and those on the border of the cluster.

Arrays in, arrays out. Each object is shown in its surroundings with its outline in the colour
of its class, because an object that is cut out alone can rarely be named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw

from annotator.core.objects import freeze
from annotator.pictures.object_tiles import TILE, Pixels
from annotator.pictures.overlay import font, printable, shorten

_COLUMNS, _GAP, _LINE = 6, 8, 16
_PAPER, _INK, _GREY = (255, 255, 255), (20, 20, 20), (110, 110, 110)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One object in its surroundings, with a caption.

    Parameters
    ----------
    pixels : (TILE, TILE, 3) uint8
        From :func:`annotator.pictures.object_tiles.draw_tile`.
    caption : str
        Image and number of the object, on lines of their own; a line that is too long is
        continued on the next one.

    Raises
    ------
    ValueError
        When the pixels have another shape.
    """

    pixels: Pixels
    caption: str

    def __post_init__(self) -> None:
        if self.pixels.shape != (TILE, TILE, 3):
            raise ValueError(f"expected pixels of {(TILE, TILE, 3)}, got {self.pixels.shape}")
        object.__setattr__(self, "pixels", freeze(self.pixels))


def cluster_sheet(title: str, rows: Sequence[tuple[str, Sequence[Example]]]) -> Pixels:
    """Lay out examples of one cluster under headings.

    Parameters
    ----------
    title : str
        Name, class and size of the cluster.
    rows : sequence of (str, sequence of Example)
        Headings such as ``typical`` and ``borderline``, each with its examples; where there are
        none, the heading says so.

    Returns
    -------
    (H, W, 3) uint8
        RGB.

    Examples
    --------
    >>> tile = np.zeros((TILE, TILE, 3), np.uint8)
    >>> sheet = cluster_sheet("Cluster 1", [("typical", [Example(tile, "field, 7")])])
    >>> sheet.dtype, sheet.ndim
    (dtype('uint8'), 3)
    """
    captions = {
        id(example): caption_lines(example.caption) for _, examples in rows for example in examples
    }
    # All rows are as high as the longest caption needs.
    step = TILE + _LINE * max((len(lines) for lines in captions.values()), default=1) + _GAP
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
            for at, line in enumerate(captions[id(example)]):
                below = corner[0], corner[1] + TILE + 1 + at * _LINE
                draw.text(below, line, _GREY, font(11))
        y += count * step
    return np.asarray(sheet)


def caption_lines(caption: str) -> list[str]:
    """Break a caption so that no line is wider than a tile; nothing of it is left out.

    What stands on the sheet is written into tables by hand: a name that is cut cannot be.

    Parameters
    ----------
    caption : str

    Examples
    --------
    >>> caption_lines("field_1" + chr(10) + "object 7")
    ['field_1', 'object 7']
    >>> "".join(caption_lines("biopsy_2024_slide_0001_level_0_x_1200_y_800"))
    'biopsy_2024_slide_0001_level_0_x_1200_y_800'
    """
    lines = []
    for text in caption.split("\n"):
        line = ""
        for character in printable(text):
            if line and font(11).getlength(line + character) > TILE:
                lines.append(line)
                line = ""
            line += character
        lines.append(line)
    return lines
