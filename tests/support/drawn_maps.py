"""Label maps to export, drawn at random but always the same."""

from collections.abc import Callable

import cv2
import numpy as np

from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.label_maps import LabelMaps
from export.shapes import ExportImage

MakeField = Callable[..., ExportImage]


def dots(shape: tuple[int, int], count: int) -> LabelMaps:
    """Single-pixel fat and 2x2 bone instances on a lattice: many, of two sizes."""
    classes = np.full(shape, CELL, np.uint8)
    instances = np.zeros(shape, np.int32)
    per_row = shape[1] // 4
    for k in range(count):
        y, x = 4 * (k // per_row), 4 * (k % per_row)
        side, code = (2, BONE) if k % 10 == 9 else (1, FAT)
        classes[y : y + side, x : x + side] = code
        instances[y : y + side, x : x + side] = k + 1
    return LabelMaps(classes, instances)


def painted(seed: int, shape: tuple[int, int] = (70, 90)) -> LabelMaps:
    """Ellipses of all classes with jagged edges, holes, corners that touch, and gaps."""
    rng = np.random.default_rng(seed)
    classes = np.full(shape, CELL, np.uint8)
    instances = np.zeros(shape, np.int32)
    for number in range(1, 15):
        mask = np.zeros(shape, np.uint8)
        centre = (int(rng.integers(shape[1])), int(rng.integers(shape[0])))
        cv2.ellipse(mask, centre, tuple(rng.integers(2, 14, 2).tolist()), 0, 0, 360, 1, -1)
        where = mask.astype(bool) & (rng.random(shape) < 0.93)
        code = int(rng.choice([BG, FAT, FAT, BONE, UNLABELLED]))
        classes[where] = code
        instances[where] = number if code in (FAT, BONE) else 0
    return LabelMaps(classes, instances)


def uniform(code: int) -> LabelMaps:
    shape = (12, 17)
    ids = 1 if code in (FAT, BONE) else 0
    return LabelMaps(np.full(shape, code, np.uint8), np.full(shape, ids, np.int32))
