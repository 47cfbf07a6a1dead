"""Pictures to look at: overlays and contact sheets.

Arrays in, arrays out; nothing here touches a file except the font that comes with
matplotlib. Class colours come from the schema alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from annotator.core.classes import CELL, CLASS_NAMES, ClassSchema
from annotator.core.objects import BoolMask, freeze

if TYPE_CHECKING:
    from annotator.core.label_maps import LabelMaps

Pixels = NDArray[np.uint8]

THUMBNAIL = (320, 214)
"""Largest width and height of the pictures in a contact sheet, px."""
PAGE_TILES = 60
"""Tiles on one page of a contact sheet."""
_GAP, _LINE = 12, 17
# Room for three pairs of the widest pictures.
_PAGE_WIDTH = _GAP + 3 * (2 * THUMBNAIL[0] + 4 + _GAP)
_LEGEND_WIDTH = 520
_PAPER, _INK, _GREY = (255, 255, 255), (20, 20, 20), (110, 110, 110)


@dataclass(frozen=True, slots=True, eq=False)
class SheetTile:
    """One image of a contact sheet, already small.

    Parameters
    ----------
    name : str
        Name of the image in the study; any script.
    image, overlay : (h, w, 3) uint8
        From :func:`thumbnail`, the same shape.
    shares : tuple of float
        Share of the image of each class, by code, 0..1.
    cellularity : float or None
        0..1; None where the image holds neither cells nor fat.
    """

    name: str
    image: Pixels
    overlay: Pixels
    shares: tuple[float, ...]
    cellularity: float | None

    def __post_init__(self) -> None:
        if self.image.shape != self.overlay.shape or self.image.ndim != 3:
            raise ValueError(
                f"image and overlay must be one (h, w, 3) shape, "
                f"got {self.image.shape} and {self.overlay.shape}"
            )
        object.__setattr__(self, "image", freeze(self.image))
        object.__setattr__(self, "overlay", freeze(self.overlay))


def outlines(labels: NDArray[np.integer], width: int = 1) -> BoolMask:
    """Outlines of the regions of a label map.

    A line lies on both sides of a border, so that each region has its own.

    Parameters
    ----------
    labels : (H, W) int
    width : int
        Of the line on each side, px.

    Returns
    -------
    (H, W) bool
        True within `width` pixels, along rows or columns, of another label.

    Examples
    --------
    >>> outlines(np.array([[1, 1, 1, 2]])).astype(int)
    array([[0, 0, 1, 1]])
    """
    edge = np.zeros(labels.shape, np.bool_)
    for step in range(1, width + 1):
        down = labels[step:] != labels[:-step]
        edge[step:] |= down
        edge[:-step] |= down
        right = labels[:, step:] != labels[:, :-step]
        edge[:, step:] |= right
        edge[:, :-step] |= right
    return edge


def line_width(shape: Sequence[int]) -> int:
    """Width of an outline that can still be seen when the whole image is shown, px.

    Parameters
    ----------
    shape : sequence of int
        Height, width, ...; px.

    Examples
    --------
    >>> line_width((1200, 1920)), line_width((60, 80))
    (2, 1)
    """
    return max(1, round(max(shape[:2]) / 1000))


def overlay(
    pixels: Pixels, label_maps: LabelMaps, schema: ClassSchema, alpha: float = 0.35
) -> Pixels:
    """Tint an image by its classes and outline its instances.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.
    label_maps : LabelMaps
        Classes and instances of the same height and width.
    schema : ClassSchema
        The only source of colours.
    alpha : float
        Weight of the class colour inside a region, 0..1. Outlines are opaque.
        Unlabelled pixels stay as they are.

    Returns
    -------
    (H, W, 3) uint8
        RGB, a new array.

    Raises
    ------
    ValueError
        When the image and the label maps differ in height or width.

    Examples
    --------
    >>> from annotator.core.classes import DEFAULT_SCHEMA
    >>> from annotator.core.label_maps import LabelMaps
    >>> cells = LabelMaps(np.full((4, 4), CELL, np.uint8), np.zeros((4, 4), np.int32))
    >>> overlay(np.full((4, 4, 3), 200, np.uint8), cells, DEFAULT_SCHEMA)[0, 0].tolist()
    [175, 175, 130]
    """
    if pixels.shape[:2] != label_maps.classes.shape:
        raise ValueError(f"image {pixels.shape[:2]} and classes {label_maps.classes.shape} differ")
    classes = label_maps.classes
    labelled = classes < len(CLASS_NAMES)
    # Through a table, plane by plane, and copied under masks by OpenCV: a third of numpy's time.
    table = schema.palette()[:, None, :]
    colours = cv2.LUT(cv2.merge([classes, classes, classes]), table)
    painted = cv2.addWeighted(pixels, 1 - alpha, colours, alpha, 0).astype(np.uint8, copy=False)
    if not labelled.all():
        cv2.copyTo(pixels, (~labelled).view(np.uint8), painted)

    # Class cell fills the space between the others, so its side of a border gets no line.
    width = line_width(pixels.shape)
    edge = outlines(classes, width) | outlines(label_maps.instances, width)
    edge &= labelled & (classes != CELL)
    cv2.copyTo(colours, edge.view(np.uint8), painted)
    return painted


def hatch(picture: Pixels, mask: BoolMask) -> Pixels:
    """Draw dark slanting lines over what is excluded, and a line around it.

    Parameters
    ----------
    picture : (H, W, 3) uint8
        RGB.
    mask : (H, W) bool

    Returns
    -------
    (H, W, 3) uint8
        RGB, a new array.

    Examples
    --------
    >>> picture = np.full((40, 40, 3), 200, np.uint8)
    >>> mask = np.zeros((40, 40), bool)
    >>> mask[:20] = True
    >>> (hatch(picture, mask) != picture).any(axis=(1, 2))[[5, 30]].tolist()
    [True, False]
    """
    width = line_width(picture.shape)
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    slanting = (rows + columns) % (8 * width) < width
    hatched = picture.copy()
    hatched[mask & (slanting | outlines(mask.view(np.uint8), width))] = _INK
    return hatched


def thumbnail(pixels: Pixels, box: tuple[int, int] = THUMBNAIL) -> Pixels:
    """Reduce an image to fit into a width and height; a smaller one keeps its size.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
    box : (int, int)
        Largest width and height, px.

    Returns
    -------
    (h, w, 3) uint8

    Examples
    --------
    >>> thumbnail(np.zeros((1200, 1920, 3), np.uint8)).shape
    (200, 320, 3)
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, box[0] / width, box[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


@lru_cache(maxsize=1)
def _font_file() -> Path:
    """DejaVu Sans from matplotlib's folder; matplotlib itself, which is slow, is not imported."""
    spec = find_spec("matplotlib")
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise ModuleNotFoundError("matplotlib is not installed; its fonts label the pictures")
    return Path(places[0]) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans at a size in px."""
    return ImageFont.truetype(str(_font_file()), size)


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(_font_file())).get_charmap())


def printable(text: str) -> str:
    """Text that the font can draw: characters that it lacks are written as their code points.

    Examples
    --------
    >>> printable("Knochenmark_größe 1")
    'Knochenmark_größe 1'
    >>> printable("骨髓1")
    '<9AA8><9AD3>1'
    """
    composed = unicodedata.normalize("NFC", text)
    return "".join(c if ord(c) in _glyphs() else f"<{ord(c):04X}>" for c in composed)


def shorten(text: str, length: int) -> str:
    """Cut the middle out of a long name, since names of images differ at both ends.

    Examples
    --------
    >>> shorten("biopsy_2024_slide_0001.png", 16)
    'biopsy_…0001.png'
    """
    if len(text) <= length:
        return text
    tail = length // 2
    return text[: length - 1 - tail] + "…" + text[-tail:]


def contact_sheet(
    tiles: Iterable[SheetTile], schema: ClassSchema, per_page: int = PAGE_TILES
) -> Iterator[Pixels]:
    """Lay out images beside their overlays on pages, with names and figures.

    Parameters
    ----------
    tiles : iterable of SheetTile
        Taken one page at a time, so that a generator keeps memory bounded.
    schema : ClassSchema
        For the legend.
    per_page : int
        Tiles on a page.

    Yields
    ------
    (H, W, 3) uint8
        RGB, the pages in order; none where there are no tiles.

    Examples
    --------
    >>> from annotator.core.classes import DEFAULT_SCHEMA
    >>> small = np.zeros((60, 240, 3), np.uint8)
    >>> tile = SheetTile("field", small, small, (0.0, 0.0, 1.0, 0.0), 1.0)
    >>> len(list(contact_sheet([tile] * 5, DEFAULT_SCHEMA, per_page=2)))
    3
    """
    queue = iter(tiles)
    while page := list(islice(queue, per_page)):
        yield _page(page, schema)


def _page(tiles: Sequence[SheetTile], schema: ClassSchema) -> Pixels:
    """Pairs side by side, each as wide as it is, in as many rows as they need."""
    top = 2 * _LINE + _GAP
    corners: list[tuple[int, int]] = []
    x, y, width, height = _GAP, top, _LEGEND_WIDTH, 0
    for tile in tiles:
        pair = _pair_width(tile)
        if corners and x + pair + _GAP > _PAGE_WIDTH:
            x, y, height = _GAP, y + height, 0
        corners.append((x, y))
        x += pair + _GAP
        width = max(width, x)
        height = max(height, tile.image.shape[0] + 2 * _LINE + _GAP)
    sheet = PilImage.new("RGB", (width, y + height + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _legend(draw, (_GAP, _GAP), schema)
    for tile, corner in zip(tiles, corners, strict=True):
        _paste(sheet, draw, tile, corner)
    return np.asarray(sheet)


def _pair_width(tile: SheetTile) -> int:
    """Width of an image beside its overlay, or of the figures below them, px."""
    return max(2 * int(tile.image.shape[1]) + 4, round(font(12).getlength(caption(tile))))


def _legend(draw: ImageDraw.ImageDraw, corner: tuple[int, int], schema: ClassSchema) -> None:
    x, y = corner
    for name in CLASS_NAMES:
        draw.rectangle((x, y + 2, x + 12, y + 14), fill=schema.rgb(name))
        draw.text((x + 18, y), name, _INK, font(13))
        x += 30 + int(font(13).getlength(name))
    draw.text((x + 12, y), "rough classes, not reviewed by a person", _GREY, font(13))


def _paste(
    sheet: PilImage.Image,
    draw: ImageDraw.ImageDraw,
    tile: SheetTile,
    corner: tuple[int, int],
) -> None:
    x, y = corner
    sheet.paste(PilImage.fromarray(tile.image), (x, y))
    sheet.paste(PilImage.fromarray(tile.overlay), (x + tile.image.shape[1] + 4, y))
    y += tile.image.shape[0] + 2
    draw.text((x, y), shorten(printable(tile.name), _pair_width(tile) // 9), _INK, font(13))
    draw.text((x, y + _LINE), caption(tile), _GREY, font(12))


def caption(tile: SheetTile) -> str:
    """The line of figures under an image and its overlay.

    Examples
    --------
    >>> dot = np.zeros((1, 1, 3), np.uint8)
    >>> caption(SheetTile("a", dot, dot, (0.1, 0.3, 0.6, 0.0), 2 / 3))
    'cellularity 67 % · bg 10 · fat 30 · cell 60 · bone 0 % of the image'
    """
    cellularity = "none" if tile.cellularity is None else f"{100 * tile.cellularity:.0f} %"
    shares = (f"{n} {100 * s:.0f}" for n, s in zip(CLASS_NAMES, tile.shares, strict=False))
    return f"cellularity {cellularity} · {' · '.join(shares)} % of the image"
