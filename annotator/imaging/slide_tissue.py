"""Where the tissue of a slide lies, by an overview of it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask, freeze
from annotator.imaging.black import black_areas, filled
from annotator.imaging.white import white_reference, whiteness

# Gaps up to this width inside tissue are adipocytes, clefts and sinuses, um.
_GAP_UM = 200.0
# Smaller pieces are dust and cells that came loose, mm2.
_LEAST_MM2 = 0.02
# CIELAB units beyond the threshold of white: glass is never quite even.
_STAINED = 1.3
# Finer overviews are looked at in a smaller copy.
_FINEST_UM = 8.0


def tissue_mask(overview: NDArray[np.uint8], um_per_px: float) -> BoolMask:
    """Tissue in the overview of a slide, with the adipocytes in it.

    Parameters
    ----------
    overview : (h, w, 3) uint8
        RGB.
    um_per_px : float
        Of the overview.

    Returns
    -------
    (h, w) bool
        False on glass, dust, ink of a pen, and black beside what was scanned.

    Examples
    --------
    >>> slide = np.full((60, 90, 3), 244, np.uint8)
    >>> slide[20:40, 20:70] = 200, 120, 170
    >>> slide[25:30, 30:35] = 244
    >>> mask = tissue_mask(slide, 10.0)
    >>> bool(mask[27, 32]), bool(mask[5, 5]), int(mask.sum())
    (True, False, 1000)
    """
    if um_per_px < _FINEST_UM:
        return _of_smaller(overview, um_per_px)
    black = black_areas(overview)
    pixels = filled(overview, black)
    white = white_reference(pixels)
    stained = whiteness(pixels, white) > _STAINED * white.threshold
    stained &= ~black & ~_ink(pixels)
    return freeze(_without_specks(_closed(stained, um_per_px), um_per_px))


def _of_smaller(overview: NDArray[np.uint8], um_per_px: float) -> BoolMask:
    """Look at a smaller copy: tissue needs no fine pixels, and discs over them take long."""
    height, width = overview.shape[:2]
    factor = um_per_px / _FINEST_UM
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = np.asarray(cv2.resize(overview, size, interpolation=cv2.INTER_AREA), np.uint8)
    mask = tissue_mask(small, _FINEST_UM)
    whole = cv2.resize(mask.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return freeze(whole.view(np.bool_))


def _ink(pixels: NDArray[np.uint8]) -> BoolMask:
    """Green, cyan and blue of felt pens: haematoxylin and eosin always leave more red than that."""
    red, green, blue = (plane.astype(np.int16) for plane in cv2.split(pixels))
    greenish = (green > red + 20) & (green >= blue - 40)
    bluish = (blue > red + 70) & (green > red)
    ink: BoolMask = greenish | bluish
    return ink


def _closed(stained: BoolMask, um_per_px: float) -> BoolMask:
    """Close gaps that are no wider than an adipocyte or two, and fill holes."""
    radius = max(1, round(_GAP_UM / 2 / um_per_px))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    padded = np.pad(stained.view(np.uint8), radius)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(closed, outlines, -1, 1, cv2.FILLED)
    return np.asarray(closed[radius:-radius, radius:-radius], np.bool_)


def _without_specks(mask: BoolMask, um_per_px: float) -> BoolMask:
    least = _LEAST_MM2 * 1e6 / um_per_px**2
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= least
    large[0] = False
    kept: BoolMask = large[labels]
    return kept
