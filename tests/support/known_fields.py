"""Small drawn fields whose classes are known, and quick settings to learn from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from active_learning.network.patches import TruthField
from annotator.settings.network_training import NetworkTrainSettings

QUICK = NetworkTrainSettings(
    patch_px=64, patches=6, batch=3, epochs=2, folds=2, coarsest_um=2.0, threads=1
)


def known_field(seed: int, patient: str = "", shape: tuple[int, int] = (96, 128)) -> TruthField:
    """Purple cells on the left, white fat in the middle, pink bone on the right; slide below."""
    rng = np.random.default_rng(seed)
    height, width = shape
    codes = np.full(shape, 2, np.uint8)
    codes[:, width // 3 : 2 * width // 3] = 1
    codes[:, 2 * width // 3 :] = 3
    codes[3 * height // 4 :] = 0
    colours = np.array([[245, 245, 245], [235, 230, 235], [120, 60, 150], [225, 130, 170]])
    pixels = colours[codes] + rng.integers(-9, 10, (*shape, 3))
    instances = np.where(codes == 1, 1 + (np.arange(height)[:, None] // 24), 0).astype(np.uint16)
    name = f"field{seed}"
    return TruthField(
        name, patient or name, pixels.astype(np.uint8), codes, instances, um_per_px=1.0
    )


def open_everywhere(field: TruthField) -> TruthField:
    """The same field, of which nobody knows anything."""
    return replace(field, codes=np.full_like(field.codes, 255))
