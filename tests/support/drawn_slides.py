"""Small whole slides with drawn tissue on glass, as scanners write them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings

Pixels = NDArray[np.uint8]
GLASS = (243, 242, 245)
UM = 0.5


@cache
def tissue(height: int = 900, width: int = 1600) -> Pixels:
    """A drawn field at 0.5 um per px, RGB."""
    field = make_phantom(PhantomSettings(seed=11, shape=(height, width), um_per_px=UM))
    return np.asarray(field.image.pixels)


@cache
def core_on_glass(
    shape: tuple[int, int] = (1800, 2600), corner: tuple[int, int] = (400, 500)
) -> Pixels:
    """A core of tissue with its upper left corner (row, column) on an empty slide."""
    slide = np.empty((*shape, 3), np.uint8)
    noise = np.random.default_rng(5).integers(-1, 2, (*shape, 1))
    slide[:] = np.clip(np.array(GLASS) + noise, 0, 255)
    piece = tissue()
    y, x = corner
    slide[y : y + piece.shape[0], x : x + piece.shape[1]] = piece
    return slide


def write_svs(
    path: Path,
    pixels: Pixels,
    um: float | None = UM,
    magnification: float | None = 20,
    factors: Sequence[tuple[float, float]] = ((4, 4),),
) -> Path:
    """Write a slide as Aperio's scanners do: tiles of JPEG, its levels one after the other.

    Parameters
    ----------
    path : Path
    pixels : (H, W, 3) uint8
    um : float or None
        Microns per pixel that it says; None: it says nothing.
    magnification : float or None
    factors : sequence of (float, float)
        By which each coarser level is reduced, down and across.
    """
    height, width = pixels.shape[:2]
    said = f"Aperio Image Library v12.0.15\r\n{width}x{height} (256x256) JPEG/RGB Q=90"
    said += "" if magnification is None else f"|AppMag = {magnification:g}"
    said += "" if um is None else f"|MPP = {um:g}"
    levels = [pixels]
    for down, across in factors:
        size = max(1, round(width / across)), max(1, round(height / down))
        levels.append(np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)))
    with tifffile.TiffWriter(path) as writer:
        for level in levels:
            writer.write(
                level,
                tile=(256, 256),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 92},
                description=said,
                metadata=None,
            )
    return path
