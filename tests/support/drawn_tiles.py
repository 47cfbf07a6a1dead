"""Drawn objects, and what a faultless segmenter would find of them in one tile."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from annotator.core.objects import BoolMask, intersection
from annotator.segmentation.sam.masks import Candidate, pack
from annotator.segmentation.sam.tile_seams import shared
from annotator.segmentation.sam.tiles import Tile


def disc(shape: tuple[int, int], x: float, y: float, radius: float) -> BoolMask:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def bar(shape: tuple[int, int], box: tuple[int, int, int, int]) -> BoolMask:
    mask = np.zeros(shape, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def strand(shape: tuple[int, int], points: Sequence[tuple[float, float]], width: int) -> BoolMask:
    canvas = np.zeros(shape, np.uint8)
    cv2.polylines(canvas, [np.array(points, np.int32)], False, 1, width)
    return canvas > 0


def wave(shape: tuple[int, int], height: float, width: int) -> BoolMask:
    """A long curved trabecula from one side of the image to the other."""
    x = np.linspace(5, shape[1] - 6, 60)
    y = shape[0] * height + shape[0] * 0.18 * np.sin(x / shape[1] * 7)
    return strand(shape, list(zip(x, y, strict=True)), width)


def adipocytes(shape: tuple[int, int], pitch: int, gap: int = 0) -> list[BoolMask]:
    """A grid of cells that touch, wall to wall; 30 to 60 px across in most fields."""
    found = []
    for y in range(3, shape[0] - pitch, pitch):
        for x in range(5, shape[1] - pitch, pitch):
            found.append(bar(shape, (x, y, x + pitch - gap, y + pitch - gap)))
    return found


def scattered(shape: tuple[int, int], count: int, seed: int) -> list[BoolMask]:
    """Discs, bars and strands anywhere, which may lie over each other."""
    rng, found = np.random.default_rng(seed), []
    for turn in range(count):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        if turn % 3 == 0:
            mask = disc(shape, x, y, rng.uniform(5, 50))
        elif turn % 3 == 1:
            wide, high = rng.integers(6, 120, 2)
            mask = bar(shape, (int(x), int(y), int(x + wide), int(y + high)))
        else:
            ends = rng.uniform((0, 0), shape[::-1], (4, 2))
            mask = strand(shape, [tuple(end) for end in ends], int(rng.integers(5, 24)))
        if mask.sum() >= 40:
            found.append(mask)
    return found


def seen(
    truth: Sequence[BoolMask], tile: Tile, rng: np.random.Generator, jitter: int = 0
) -> list[Candidate]:
    """What one tile shows of the truth, in boxes of the image and in random order.

    What is in several pieces within the tile comes as several objects, as from points.
    Jittered: each is moved, and grown or shrunk, by up to so many pixels.
    """
    found, (x0, y0, _, _) = [], tile.box
    for mask in truth:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask[tile.where].view(np.uint8))
        for label in range(1, len(stats)):
            piece = labels == label
            if jitter:
                piece = shaken(piece, rng, jitter)
            score, stability = rng.uniform(0.8, 1), rng.uniform(0.8, 1)
            candidate = pack(piece, score, stability, (x0 + 1.0, y0 + 1.0), (y0, x0))
            if candidate is not None:
                found.append(candidate)
    return [found[i] for i in rng.permutation(len(found))]


def shaken(mask: BoolMask, rng: np.random.Generator, most: int) -> BoolMask:
    grow, dx, dy = rng.integers(-1, 2), *rng.integers(-most, most + 1, 2)
    kernel, wide = (
        np.ones((3, 3), np.uint8),
        cv2.copyMakeBorder(mask.astype(np.uint8), 8, 8, 8, 8, cv2.BORDER_REPLICATE),
    )
    changed = (wide, cv2.dilate(wide, kernel), cv2.erode(wide, kernel))[grow]
    height, width = mask.shape
    return changed[8 - dy : 8 - dy + height, 8 - dx : 8 - dx + width] > 0


def overlap(a: Candidate, b: Candidate) -> float:
    """IoU of two masks."""
    both = intersection(a.box, a.crop, b.box, b.crop)
    return both / (int(a.crop.sum()) + int(b.crop.sum()) - both)


def agreements(truth: Sequence[BoolMask], found: Sequence[Candidate]) -> list[float]:
    """IoU of each true object with the found one that fits it best."""
    whole = [pack(mask, 1.0, 1.0, (0.0, 0.0)) for mask in truth]
    return [
        max((overlap(true, other) for other in found if near(true, other)), default=0.0)
        for true in whole
        if true is not None
    ]


def near(a: Candidate, b: Candidate) -> bool:
    return shared(a.box, b.box) is not None


def apart(masks: Sequence[BoolMask], most: float) -> list[BoolMask]:
    """Those masks that no earlier one repeats by more than an IoU."""
    kept: list[BoolMask] = []
    for mask in masks:
        if max(agreements([mask], [pack(k, 1.0, 1.0, (0.0, 0.0)) for k in kept])) <= most:
            kept.append(mask)
    return kept
