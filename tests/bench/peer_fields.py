"""Fields with their truth, and how good a prediction of them is; for ``peers.py``.

::

    DATA/images/NAME.png        RGB
    DATA/gt/NAME.png            0 bg, 1 fat, 2 cell, 3 bone, 255 not scored
    DATA/instances/NAME.png     adipocytes one by one, where somebody told them apart

The name begins with the source: ``OSA_3_edge`` is a field of OSA.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from active_learning.network.patches import TruthField
from annotator.core.classes import CELL, CLASS_NAMES, FAT
from annotator.core.errors import UsageError
from annotator.evaluation.pixels import accuracy, cellularity, confusion, dice
from annotator.imaging.label_map_files import read_codes, read_instances
from annotator.imaging.read import read_image
from annotator.settings.images import ReadSettings

UM_PER_PX = {"MEKA": 2.0, "OSA": 0.5, "GTEX": 0.5, "BM": 0.25}
"""Of each source, about."""
LARGEST = 1.5
"""A field is enlarged at most so many times for a finer scale: as the network sees it."""
# Classes with less of a field's scored pixels say little of it.
_LEAST_SHARE = 0.01
# Cell and fat together must be so much of a field, for its cellularity to mean something.
_LEAST_MARROW = 0.1

Predict = Callable[[NDArray[np.uint8], float], NDArray[np.uint8]]
"""From pixels (H, W, 3) and microns per pixel to class codes (H, W)."""
Train = Callable[[Sequence[TruthField], float], Predict]
"""From fields and a budget, seconds of the processor, to a prediction of others."""


@dataclass(frozen=True, slots=True)
class FieldScores:
    """How good the prediction of one field is.

    Parameters
    ----------
    name, source : str
    dice : float
        Mean over the classes that hold at least 1 % of the field's scored pixels.
    right : float
        Share of the scored pixels with their true class.
    cellularity_error : float or None
        Points; None where cell and fat hold less than a tenth of the scored pixels.
    classes : mapping of str to float
        Dice of each class that holds at least 1 %.
    """

    name: str
    source: str
    dice: float
    right: float
    cellularity_error: float | None
    classes: dict[str, float]


def read_fields(folder: Path) -> list[TruthField]:
    """Read all fields of a folder that have a truth, by name.

    The patient of a field is its source: no source is ever on both sides of a split.

    Raises
    ------
    UsageError
        When there is none, or nobody knows the scale of one.
    """
    paths = sorted((folder / "gt").glob("*.png"))
    if not paths:
        raise UsageError(f"{folder}: expected gt/NAME.png and images/NAME.png, got none")
    return [_read_field(folder, path) for path in paths]


def _read_field(folder: Path, path: Path) -> TruthField:
    source = path.stem.split("_")[0]
    if source not in UM_PER_PX:
        raise UsageError(
            f"{path.name}: expected a name that begins with {', '.join(UM_PER_PX)}, got "
            f"{source}; say in {Path(__file__).name} how large its pixels are"
        )
    image = read_image(folder / "images" / path.name, ReadSettings())
    codes = read_codes(path, image.shape)
    numbered = folder / "instances" / path.name
    instances = None
    # A map of zeros beside fat: nobody told adipocytes apart.
    if numbered.exists():
        found = read_instances(numbered, image.shape, ("uint8", "uint16")).astype(np.uint16)
        instances = found if found.any() or not (codes == FAT).any() else None
    return TruthField(path.stem, source, image.pixels, codes, instances, UM_PER_PX[source])


def field_scores(field: TruthField, predicted: NDArray[np.uint8]) -> FieldScores:
    """Compare a prediction, (H, W) uint8, with a field's truth."""
    counts = confusion(field.codes, predicted)
    shares = counts.sum(1) / max(counts.sum(), 1)
    values = dice(counts)
    classes = {
        name: float(value)
        for name, value, share in zip(CLASS_NAMES, values, shares, strict=True)
        if share >= _LEAST_SHARE
    }
    error = None
    if shares[FAT] + shares[CELL] >= _LEAST_MARROW:
        truth, said = cellularity(counts)
        # Neither fat nor cell predicted: no cells.
        error = abs(float(truth) - float(np.nan_to_num(said)))
    mean = float(np.mean(list(classes.values())))
    return FieldScores(field.name, field.patient, mean, float(accuracy(counts)), error, classes)


def at_scale(pixels: NDArray[np.uint8], um_per_px: float, scale: float) -> NDArray[np.uint8]:
    """Pixels at another scale, um/px, enlarged :data:`LARGEST` times at most.

    Parameters
    ----------
    pixels : (H, W, 3) or (H, W) uint8
        RGB, or codes: these take the nearest pixel's.
    """
    shrink = max(scale / um_per_px, 1 / LARGEST)
    height, width = (max(1, round(side / shrink)) for side in pixels.shape[:2])
    how = cv2.INTER_AREA if shrink > 1 else cv2.INTER_LINEAR
    if pixels.ndim == 2:
        how = cv2.INTER_NEAREST
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)


def enlarged(planes: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Planes (N, h, w) at the size of a field, (N, H, W)."""
    size = shape[1], shape[0]
    return np.stack([cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in planes])
