"""Drawn fields under another light, or with black in them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
WHITE = (236, 231, 238)


def drawn_tissue(
    ground: tuple[int, int, int] = (205, 150, 195),
    lumens: bool = True,
    side: int = 400,
    seed: int = 3,
) -> Pixels:
    """Mottled stain with nuclei, and adipocytes on a lattice of 160 px, (side, side, 3) uint8."""
    rng = np.random.default_rng(seed)
    mottle = cv2.GaussianBlur(rng.normal(0, 60, (side, side, 3)), (0, 0), 2)
    field = np.full((side, side, 3), ground) + mottle
    for x, y in rng.integers(0, side, (side**2 // 400, 2)).tolist():
        cv2.circle(field, (x, y), int(rng.integers(5, 9)), (95, 60, 130), -1, cv2.LINE_AA)
    for x, y in np.ndindex(side // 160, side // 160) if lumens else ():
        at = (90 + 160 * x + int(rng.integers(-9, 9)), 80 + 160 * y + int(rng.integers(-9, 9)))
        cv2.circle(field, at, int(rng.integers(52, 66)), WHITE, -1, cv2.LINE_AA)
    return np.clip(field + rng.normal(0, 3, field.shape), 0, 255).astype(np.uint8)


def under_light(pixels: Pixels, gains: tuple[float, float, float], gamma: float = 1.0) -> Pixels:
    """The picture with each channel multiplied, after another gamma."""
    return np.clip(255 * (pixels / 255) ** gamma * gains, 0, 255).astype(np.uint8)


def through_eyepiece(pixels: Pixels, radius: float, softness: float = 16.0) -> Pixels:
    """The picture as through an eyepiece: dark around a circle with a soft edge, never 0."""
    height, width = pixels.shape[:2]
    y, x = np.ogrid[:height, :width]
    far = np.hypot(y - height / 2, x - width / 2)[..., None]
    noise = np.random.default_rng(1).normal(0, 2, pixels.shape)
    seen = pixels * np.clip((radius - far) / softness + 0.5, 0, 1)
    return np.clip(seen + 8 + noise, 0, 255).astype(np.uint8)


def as_jpeg(pixels: Pixels, quality: int = 75) -> Pixels:
    """The picture after compression."""
    data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
