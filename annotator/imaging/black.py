"""Black that is no tissue: bars, a frame, the edge of an eyepiece, tiles that got lost.

No stain is as black as no light, but ink, pigment and crushed nuclei come near. So darkness is
not enough: black must be flat and without colour over a large piece, and have the outline of
something that was made: straight along rows and columns, or around a field that bulges
outwards everywhere, as a circle does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from annotator.core.objects import BoolMask

# Brightest value of black in any channel: cameras add noise and light that strays in an
# eyepiece. In pieces that are as dark as this, half the pixels differ from the median by no
# more than `_FLAT`, and their channels from each other by no more than `_GREY`.
_BLACK, _FLAT, _GREY = 40, 4.0, 12.0
# What is this dark nearly everywhere was set to black by a program, whatever its outline.
_NOTHING, _NEARLY_ALL = 2, 0.9
# Share of the image that a black piece at the border has at the least, and one of any outline;
# a lost tile inside, px.
_LEAST_AT_BORDER, _LEAST_OF_ANY_SHAPE, _LEAST_INSIDE_PX = 0.002, 0.01, 1024
# Share of the image up to which light that black surrounds is writing in it, not a field.
_WRITING = 0.01
# Share of a piece that may lie in the hull of the field; share of its outline along the axes.
_IN_FIELD, _ALONG_AXES = 0.15, 0.85
# Steps of an outline up to which it is straight, and the shortest side that counts, px.
_JAGGED, _SIDE = 2.0, 8
# A soft edge ends where the field is nearly as bright as further in; it is sought so far, as a
# share of the shorter side of the image.
_NEARLY_BRIGHT, _SOFT_REACH = 0.85, 0.08


@dataclass(frozen=True, slots=True)
class _Piece:
    """A dark piece: its mask, and the window of the image that holds it."""

    mask: BoolMask
    x: int
    y: int

    @property
    def window(self) -> tuple[slice, slice]:
        height, width = self.mask.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)


def black_areas(pixels: NDArray[np.uint8]) -> BoolMask:
    """Pixels that no light reached or no data fills, (H, W) bool.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.

    Notes
    -----
    Black at the border counts from 0.2 % of the image on, within it from 1024 px on. Dark soft
    edges, as an eyepiece has, belong to it.

    Examples
    --------
    A bar counts; a dark spot in the tissue does not.

    >>> pixels = np.full((100, 100, 3), 200, np.uint8)
    >>> pixels[:10] = pixels[50:60, 50:60] = 0
    >>> black_areas(pixels)[[5, 55], 55].tolist()
    [True, False]
    """
    brightest = _brightest(pixels)
    mask = np.zeros(brightest.shape, np.bool_)
    pieces = _dark_pieces(brightest)
    if not pieces:
        return mask
    for piece in pieces:
        mask[piece.window] |= piece.mask
    field = _hull(_without_islands(~mask))
    mask[:] = False
    for piece in pieces:
        if _is_black(pixels, piece) and _is_made(brightest, piece, field):
            mask[piece.window] |= piece.mask
    if not mask.any():
        return mask
    mask = ~_without_islands(~mask)
    return mask | _soft_edges(brightest, mask)


def filled(pixels: NDArray[np.uint8], black: BoolMask) -> NDArray[np.uint8]:
    """The picture with its black filled by the mirror image of what lies beside it.

    So nothing that looks at a neighbourhood (white, textures, a network) meets an edge or a
    dark that the tissue has not.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.
    black : (H, W) bool

    Returns
    -------
    (H, W, 3) uint8
        The very array where nothing is black, or all.

    Examples
    --------
    >>> pixels = np.array([[[0] * 3, [0] * 3, [5] * 3, [6] * 3, [7] * 3]], np.uint8)
    >>> filled(pixels, np.array([[True, True, False, False, False]]))[0, :, 0].tolist()
    [7, 6, 5, 6, 7]
    """
    if not black.any() or black.all():
        return pixels
    nearest = ndi.distance_transform_edt(black, return_distances=False, return_indices=True)
    at = np.argwhere(black)
    edge = nearest[:, at[:, 0], at[:, 1]].T
    most = np.array(black.shape) - 1
    # What is mirrored into other black, or out of the image, is mirrored once more there.
    source = np.clip(2 * edge - at, 0, most)
    for _ in range(4):
        again = black[source[:, 0], source[:, 1]]
        if not again.any():
            break
        near = nearest[:, source[again, 0], source[again, 1]].T
        source[again] = np.clip(2 * near - source[again], 0, most)
    again = black[source[:, 0], source[:, 1]]
    source[again] = edge[again]
    result = pixels.copy()
    result[black] = pixels[source[:, 0], source[:, 1]]
    return result


def _brightest(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Largest of the three channels, (H, W) uint8; a tenth of the time of ``max``."""
    red, green, blue = cv2.split(pixels)
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def _dark_pieces(brightest: NDArray[np.uint8]) -> list[_Piece]:
    """Connected dark pieces that are large enough to be asked about."""
    dark = (brightest <= _BLACK).view(np.uint8)
    least = min(_LEAST_AT_BORDER * dark.size, _LEAST_INSIDE_PX)
    if np.count_nonzero(dark) < least:
        return []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=4)
    height, width = dark.shape
    pieces = []
    for label in range(1, count):
        x, y, w, h, area = stats[label].tolist()
        at_border = x == 0 or y == 0 or x + w == width or y + h == height
        if area >= (_LEAST_AT_BORDER * dark.size if at_border else _LEAST_INSIDE_PX):
            pieces.append(_Piece(labels[y : y + h, x : x + w] == label, x, y))
    return pieces


def _is_black(pixels: NDArray[np.uint8], piece: _Piece) -> bool:
    """Whether a dark piece is flat and without colour."""
    values = pixels[piece.window][piece.mask].astype(np.float32)
    level = values.max(axis=1)
    uneven = float(np.median(np.abs(level - np.median(level))))
    return uneven <= _FLAT and float(np.median(level - values.min(axis=1))) <= _GREY


def _is_made(brightest: NDArray[np.uint8], piece: _Piece, field: BoolMask) -> bool:
    """Whether a dark piece has an outline that tissue has not, or was erased."""
    height, width = brightest.shape
    y, x = piece.window
    at_border = y.start == 0 or x.start == 0 or y.stop == height or x.stop == width
    if not at_border:
        return _is_along_axes(piece.mask)
    inside = np.count_nonzero(field[piece.window] & piece.mask)
    area = np.count_nonzero(piece.mask)
    erased = brightest[piece.window][piece.mask] <= _NOTHING
    return bool(
        inside <= _IN_FIELD * area
        or (area >= _LEAST_OF_ANY_SHAPE * brightest.size and erased.mean() >= _NEARLY_ALL)
        or _is_along_axes(piece.mask)
    )


def _is_along_axes(mask: BoolMask) -> bool:
    """Whether the outline of a mask runs along rows and columns, as that of tiles does."""
    padded = np.pad(mask, 1).astype(np.uint8)
    contours, _ = cv2.findContours(padded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    corners = cv2.approxPolyDP(max(contours, key=len), _JAGGED, True)[:, 0].astype(np.float64)
    across, down = np.abs(np.roll(corners, -1, axis=0) - corners).T
    length = np.hypot(across, down)
    straight = (np.minimum(across, down) <= _JAGGED) & (length >= _SIDE)
    return bool(length[straight].sum() >= _ALONG_AXES * length.sum())


def _without_islands(light: BoolMask) -> BoolMask:
    """Light without its small pieces: writing in a bar, noise in black."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        light.astype(np.uint8), connectivity=4
    )
    keep = stats[:, cv2.CC_STAT_AREA] > _WRITING * light.size
    keep[0] = False
    return np.asarray(keep[labels], np.bool_) if count > 1 else light


def _hull(light: BoolMask) -> BoolMask:
    """Convex hull of a mask."""
    out = np.zeros(light.shape, np.uint8)
    contours, _ = cv2.findContours(light.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if contours:
        cv2.fillConvexPoly(out, cv2.convexHull(np.concatenate(contours)), 1)
    return out.astype(np.bool_)


def _soft_edges(brightest: NDArray[np.uint8], black: BoolMask) -> BoolMask:
    """What lies around each black piece as far as the light still rises, (H, W) bool."""
    result = np.zeros(black.shape, np.bool_)
    reach = max(8, round(_SOFT_REACH * min(black.shape)))
    count, labels = cv2.connectedComponents(black.astype(np.uint8), connectivity=4)
    for label in range(1, count):
        far = cv2.distanceTransform((labels != label).astype(np.uint8), cv2.DIST_L2, 5)
        near = (far > 0) & (far <= reach) & ~black
        if not near.any():
            continue
        # Mean light at each distance from the black, against that in the outer half.
        step = np.ceil(far[near]).astype(np.intp)
        number = np.bincount(step, minlength=reach + 2)
        light = np.bincount(step, brightest[near], minlength=reach + 2) / np.maximum(number, 1)
        outer = light[reach // 2 : reach + 1][number[reach // 2 : reach + 1] > 0]
        if not len(outer):
            continue
        bright = np.flatnonzero((light >= _NEARLY_BRIGHT * np.median(outer)) & (number > 0))
        width = int(bright[bright > 0][0]) - 1 if (bright > 0).any() else 0
        # Its last step, which is still a little darker, is as wide as a third of the others.
        result |= near & (far <= width * 4 / 3)
    return result
