"""What lies on the slide beside tissue: crumbs and dust; and what is printed over the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, BONE, CELL, UNLABELLED
from annotator.synthetic.noise import Mask, Points, Rng
from annotator.synthetic.outlines import fill
from annotator.synthetic.tissue_sheet import TissueSheet

_SMALLEST_CRUMB = 30  # pixels; the class of a smaller one stays open
_SMALLEST_BONE = 8.0  # half width, um
_INKS = ((220, 30, 20), (20, 20, 20), (30, 120, 40), (30, 40, 200))
_LETTERS = tuple("Prediction0123456789 ():.umAB")


def add_crumbs(rng: Rng, sheet: TissueSheet, count: int) -> None:
    """Add small pieces of bone and other tissue, and dust, where the slide is empty."""
    slide = sheet.codes == BG
    at = np.flatnonzero(slide)
    if not len(at):
        return
    width = sheet.shape[1]
    for place in at[rng.integers(0, len(at), count)]:
        half = min(float(np.exp(rng.uniform(np.log(1.5), np.log(30)))) / sheet.um, 60.0)
        canvas = np.zeros(sheet.shape, np.uint8)
        fill(canvas, _crumb_outline(rng, (place % width, place // width), half))
        piece = (canvas > 0) & slide
        if piece.any():
            _lay_crumb(rng, sheet, piece, half)


def _crumb_outline(rng: Rng, at: tuple[int, int], half: float) -> Points:
    """An irregular outline, (M, 2) float64, around x y px."""
    turn = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(9, 22))))
    bulge = 1 + 0.3 * np.sin(turn * rng.integers(1, 4) + rng.uniform(0, 6))
    away = half * bulge * rng.uniform(0.75, 1.1, len(turn))
    flat = rng.uniform(0.4, 1)
    return np.stack([at[0] + away * np.cos(turn), at[1] + flat * away * np.sin(turn)], 1)


def _lay_crumb(rng: Rng, sheet: TissueSheet, piece: Mask, half: float) -> None:
    """Lay a crumb: bone, other tissue, or dust, which is background."""
    lot = rng.random()
    grain = np.clip(1 + 0.25 * sheet.noise(rng, 3), 0, 2)
    if lot < 0.35:
        code = BONE if half * sheet.um > _SMALLEST_BONE else CELL
        sheet.lay(piece, grain * rng.uniform(0.02, 0.3), grain * rng.uniform(0.4, 1.3), code)
    elif lot < 0.8:
        sheet.lay(piece, grain * rng.uniform(0.1, 0.9), grain * rng.uniform(0.2, 0.7), CELL)
    else:
        sheet.grey[piece] = (grain * np.float32(rng.uniform(0.1, 1.4)))[piece]
        sheet.codes[piece] = BG if half < 6 else UNLABELLED
    if piece.sum() < _SMALLEST_CRUMB:
        sheet.codes[piece] = UNLABELLED


def print_labels(rng: Rng, image: NDArray[np.uint8], codes: NDArray[np.uint8], count: int) -> None:
    """Print small letters in boxes, and at times a scale bar, over a picture, in place.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : (H, W, 3) uint8
        RGB.
    codes : (H, W) uint8
        Becomes 255 under the print.
    count : int
        How many labels; 0 prints nothing.
    """
    height, width = codes.shape
    ink = _INKS[int(rng.choice(4, p=[0.5, 0.25, 0.15, 0.1]))]
    before = image.copy()
    for _ in range(count):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        size = int(rng.integers(6, 16))
        words = "".join(rng.choice(_LETTERS, int(rng.integers(2, 14))))
        cv2.rectangle(image, (x, y), (x + size, y + size), ink, 1)
        font, high = cv2.FONT_HERSHEY_SIMPLEX, 0.22 + size / 100
        cv2.putText(image, words, (x, y - 3), font, high, ink, 1, cv2.LINE_AA)
    if count and rng.random() < 0.5:
        x, y = int(rng.integers(width)), int(rng.integers(height))
        cv2.line(image, (x, y), (x + int(30 + width * 0.1), y), (10, 10, 10), 3)
    printed = (image != before).any(axis=2).astype(np.uint8)
    codes[cv2.dilate(printed, np.ones((3, 3), np.uint8)) > 0] = UNLABELLED
