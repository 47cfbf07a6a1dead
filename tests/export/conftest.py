"""Fields to export, drawn at random but always the same."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.label_maps import Stitched
from export.shapes import ExportImage

DATA = Path(__file__).parent / "data"
MakeField = Callable[..., ExportImage]


def dots(shape: tuple[int, int], count: int) -> Stitched:
    """Single-pixel fat and 2x2 bone instances on a lattice: many, of two sizes."""
    classes = np.full(shape, CELL, np.uint8)
    instances = np.zeros(shape, np.int32)
    per_row = shape[1] // 4
    for k in range(count):
        y, x = 4 * (k // per_row), 4 * (k % per_row)
        side, code = (2, BONE) if k % 10 == 9 else (1, FAT)
        classes[y : y + side, x : x + side] = code
        instances[y : y + side, x : x + side] = k + 1
    return Stitched(classes, instances)


def painted(seed: int, shape: tuple[int, int] = (70, 90)) -> Stitched:
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
    return Stitched(classes, instances)


@pytest.fixture
def make_field() -> MakeField:
    def make(name: str = "field", seed: int = 0, **more: object) -> ExportImage:
        stitched = more.pop("stitched", None) or painted(seed)
        return ExportImage(name, f"{name}.jpg", stitched, **more)

    return make


@pytest.fixture
def crowded() -> Stitched:
    """300 instances of fat and bone in one field."""
    return dots((80, 100), 300)


@pytest.fixture
def fields(make_field: MakeField) -> list[ExportImage]:
    return [
        make_field("plain", 1),
        make_field("two words é 骨髄", 2, um_per_px=0.5, confidence={1: 0.25}),
        make_field("dots.in.name", 3),
        make_field("nothing", stitched=uniform(BG)),
        make_field("one instance", stitched=uniform(FAT)),
        make_field("unlabelled", stitched=uniform(UNLABELLED)),
    ]


def uniform(code: int) -> Stitched:
    shape = (12, 17)
    ids = 1 if code in (FAT, BONE) else 0
    return Stitched(np.full(shape, code, np.uint8), np.full(shape, ids, np.int32))
