"""Folders of drawn maps beside their truth, for tests of evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from annotator.imaging.codecs import encode_png

SHAPE = (48, 64)


def drawn(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """A smooth map of the four classes, (H, W) uint8; another cellularity for each seed."""
    noise = gaussian_filter(np.random.default_rng(seed).random(shape), 3)
    cuts = np.quantile(noise, [0.15, 0.3 + 0.07 * (seed % 7), 0.85])
    return np.digitize(noise, cuts).astype(np.uint8)


def worsened(codes: np.ndarray, seed: int, share: float = 0.1) -> np.ndarray:
    """The same with some pixels of another class."""
    generator = np.random.default_rng(seed)
    other = generator.integers(0, 4, codes.shape).astype(np.uint8)
    return np.where(generator.random(codes.shape) < share, other, codes)


def write(folder: Path, maps: Mapping[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, codes in maps.items():
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(codes))
    return folder


def two_folders(place: Path, count: int = 6) -> tuple[Path, Path]:
    """Predictions, each worse than the one before, and truth; two images a patient."""
    truth = {f"p{n // 2}_{n}": drawn(n) for n in range(count)}
    said = {
        name: worsened(codes, n, 0.05 * (n + 1)) for n, (name, codes) in enumerate(truth.items())
    }
    return write(place / "pred", said), write(place / "truth", truth)
