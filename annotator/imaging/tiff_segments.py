"""The strips or tiles of a TIFF page: are all there, and which were left out on purpose.

Scanners, and GDAL with ``SPARSE_OK``, do not write a tile in which nothing was scanned: its
offset and its length are both 0. Such a tile is empty slide. A tile that is named and lies
beyond the end of the file, or has only one of the two, is damage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.errors import ImageError
from annotator.core.objects import BoolMask
from annotator.settings.images import ReadSettings


@dataclass(frozen=True, slots=True)
class TiffSegments:
    """How a page is cut into strips or tiles.

    Parameters
    ----------
    height, width : int
        Of one strip or tile, in pixels; a strip is as wide as the page.
    down, across : int
        How many of them lie below and beside each other.
    planes : int
        How often the page is cut: once, or once for each colour.
    """

    height: int
    width: int
    down: int
    across: int
    planes: int


def segments_of(page: Any, settings: ReadSettings) -> TiffSegments:
    """How a page is cut, by its tags.

    Raises
    ------
    ImageError
        For tiles that no decoder should be asked for.
    """
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    if not page.is_tiled:
        rows = max(1, page.rowsperstrip)
        return TiffSegments(rows, page.imagewidth, math.ceil(page.imagelength / rows), 1, planes)
    width, length = page.tilewidth, page.tilelength
    # one tile is decoded whole, and may be larger than the picture
    if min(width, length) < 1 or width * length > max(settings.max_pixels, 1 << 24):
        raise ImageError(
            f"expected tiles that fit the picture, got tiles of {width} x {length} px; "
            "the TIFF is damaged: copy or export it again"
        )
    across, down = math.ceil(page.imagewidth / width), math.ceil(page.imagelength / length)
    return TiffSegments(length, width, down, across, planes)


def left_out(pages: Sequence[Any], size: int, settings: ReadSettings) -> BoolMask:
    """Which strips or tiles the writer left out; all others are checked to be in the file.

    Parameters
    ----------
    pages : sequence of tifffile.TiffPage
        The page of the picture, or those of its colours.
    size : int
        Of the file, in bytes.
    settings : ReadSettings

    Returns
    -------
    (down, across) bool

    Raises
    ------
    ImageError
        When data are missing, when all of them are, or those of some colours only.
    """
    colours = [plane for page in pages for plane in _empty_segments(page, size, settings)]
    absent: BoolMask = colours[0]
    if absent.all():
        raise ImageError(
            "expected a picture, but not one strip or tile of it was written; "
            "the file was never finished: copy or export it again"
        )
    # Colours without gaps may be cut in different ways.
    gaps = [each for each in colours if each.any()]
    if gaps and not all(np.array_equal(each, absent) for each in colours):
        raise ImageError(
            "expected a complete TIFF, but strips or tiles of some colours are missing; "
            "the file was never finished: copy or export it again"
        )
    return absent


def _empty_segments(page: Any, size: int, settings: ReadSettings) -> BoolMask:
    """Which strips or tiles have neither offset nor length, (planes, down, across) bool."""
    cut = segments_of(page, settings)
    count = cut.planes * cut.down * cut.across
    offsets, lengths = page.dataoffsets, page.databytecounts
    empty = [o == 0 and n == 0 for o, n in zip(offsets, lengths, strict=False)]
    if not any(empty) and page.is_contiguous:
        # Strips in one run: it is the length of the whole that counts.
        empty = [False] * count
        present = 0 < offsets[0] <= size - page.nbytes
    else:
        present = len(empty) >= count and all(
            absent or (offset > 0 and length > 0 and offset + length <= size)
            for absent, offset, length in zip(empty, offsets, lengths, strict=False)
        )
    if not present:
        raise ImageError(
            "expected a complete TIFF, but strips or tiles of the picture are missing; "
            "the file is truncated or was never finished: copy or export it again"
        )
    return np.reshape(empty[:count], (cut.planes, cut.down, cut.across))


def paint_left_out(
    samples: NDArray[Any], absent: BoolMask, page: Any, white: NDArray[Any], settings: ReadSettings
) -> str:
    """Paint what was left out as empty slide, in place; say how much it is.

    Parameters
    ----------
    samples : (H, W, C) uint8 or uint16
        Changed.
    absent : (down, across) bool
        As :func:`left_out` gives it.
    page : tifffile.TiffPage
    white : (C,) uint8 or uint16
        The samples of empty slide.
    settings : ReadSettings

    Returns
    -------
    str
        The note.
    """
    cut = segments_of(page, settings)
    painted = 0
    for row, column in np.argwhere(absent).tolist():
        y, x = row * cut.height, column * cut.width
        area = samples[y : y + cut.height, x : x + cut.width]
        area[:] = white
        painted += area.shape[0] * area.shape[1]
    share = 100 * painted / (samples.shape[0] * samples.shape[1])
    return (
        f"{np.count_nonzero(absent)} of {absent.size} {'tiles' if page.is_tiled else 'strips'} "
        f"({share:.1f} % of the picture) were left out by the writer: white there, as empty slide"
    )
