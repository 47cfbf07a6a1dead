"""Stain phantom bone: lamellae, osteoid, cement lines, lacunae with osteocytes, cracks.

As in :mod:`annotator.synthetic.stain`, `h` and `e` are haematoxylin and eosin, (H, W) float32
optical density, and `um` is microns per pixel.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BONE
from annotator.synthetic.layout import Layout
from annotator.synthetic.noise import (
    Field,
    Mosaic,
    Points,
    Rng,
    distance,
    hex_points,
    inside,
    mosaic,
    pick,
    smooth_noise,
    soft,
)
from annotator.synthetic.settings import PhantomSettings


def stain_bone(rng: Rng, settings: PhantomSettings, layout: Layout, h: Field, e: Field) -> None:
    """Stain bone, in place: smooth eosin with faint lamellae, lacunae and fine cracks."""
    bone = layout.classes == BONE
    if not bone.any():
        return
    um, shape = settings.um_per_px, settings.shape
    # Lamellae follow the surface: waves of 8 um in the depth below it.
    depth = distance(bone) * np.float32(um)
    phase = depth / np.float32(8.0) + smooth_noise(rng, shape, 45.0 / um) * np.float32(0.9)
    lamellae = np.sin(phase * np.float32(2 * np.pi)) * np.float32(0.035 * min(1.0, 2.0 / um))
    lamellae *= np.clip(smooth_noise(rng, shape, 60.0 / um), 0, 1)
    tone = 1 + lamellae + smooth_noise(rng, shape, 90.0 / um) * np.float32(0.07)
    tone += smooth_noise(rng, shape, 22.0 / um) * np.float32(0.03)
    tone += smooth_noise(rng, shape, 1.5 / um) * np.float32(rng.uniform(0.015, 0.05))
    # Osteoid, the unmineralised seam, stains paler and pinker.
    seam = np.exp(-((depth / np.float32(6.0)) ** 2)) * np.float32(rng.uniform(-0.15, 0.25))
    bone_e = np.float32(0.6 * settings.bone_eosin) * (tone + seam)
    bone_h = np.float32(rng.uniform(0.02, 0.22)) * (tone - 2 * seam)
    # Cement lines, which stain blue.
    cement = np.exp(-((smooth_noise(rng, shape, 110.0 / um) / np.float32(0.02)) ** 2))
    cement *= np.clip(smooth_noise(rng, shape, 70.0 / um), 0, 1)
    bone_h += cement * np.float32(0.2 * min(1.0, 1.5 / um))
    lacuna, nucleus = _lacunae(rng, settings, depth)
    bone_e *= 1 - np.float32(0.75) * lacuna
    bone_h = bone_h * (1 - lacuna) + nucleus * np.float32(1.5)
    crack = np.abs(smooth_noise(rng, shape, 60.0 / um)) < np.float32(0.012)
    crack &= smooth_noise(rng, shape, 120.0 / um) > 1.0
    bone_e[crack & (depth > 3)] *= np.float32(0.35)
    h[bone], e[bone] = np.maximum(bone_h, 0)[bone], bone_e[bone]


def _lacunae(rng: Rng, settings: PhantomSettings, depth: Field) -> tuple[Field, Field]:
    """Coverage, (H, W) float32 in 0..1, by osteocyte lacunae, and by the nuclei in most of them."""
    um = settings.um_per_px
    points = hex_points(rng, settings.shape, max(32.0 / um, 3.0), 0.3)
    points = points[inside(points, settings.shape)]
    points = points[(pick(depth, points) > 6.0) & (rng.random(len(points)) < 0.75)]
    if not len(points):
        empty = np.zeros(settings.shape, np.float32)
        return empty, empty
    nearest = mosaic(settings.shape, points)
    turn = tangents(depth, points, 12.0 / um) + rng.normal(0, 0.3, len(points))
    a, b = rng.uniform(3.8, 6.5, len(points)), rng.uniform(1.6, 2.9, len(points))
    hole = ellipse_distance(nearest, turn, a / um, b / um)
    filled = (rng.random(len(points)) < 0.8).astype(np.float32)[nearest.index]
    kernel = ellipse_distance(nearest, turn, 0.62 * a / um, 0.62 * b / um)
    strength = np.float32(min(1.0, 1.5 / um))
    return soft(hole, 1.0) * strength, soft(kernel, 1.0) * filled * strength


def tangents(field: Field, points: Points, scale: float) -> NDArray[np.float64]:
    """Direction along the level lines of a field at points, (N,) float64, radians.

    The gradient is taken from a copy reduced by about `scale` / 2 px, so that noise is ignored.

    Examples
    --------
    A field that rises downwards has level lines along the rows.

    >>> field = np.tile(np.arange(40, dtype=np.float32)[:, None], 40)
    >>> abs(np.sin(tangents(field, np.array([[20.0, 20.0]]), 4.0))).round(3).tolist()
    [0.0]
    """
    step = max(1, int(scale / 2))
    small = cv2.GaussianBlur(np.ascontiguousarray(field[::step, ::step]), (0, 0), 1.0)
    gx, gy = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    at = points / step
    at = np.minimum(at, (small.shape[1] - 1, small.shape[0] - 1))
    turn: NDArray[np.float64] = np.arctan2(pick(gy, at), pick(gx, at)) + np.pi / 2
    return turn


def ellipse_distance(
    nearest: Mosaic, turn: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> Field:
    """Approximate signed distance to the ellipse around the nearest point.

    Parameters
    ----------
    nearest : Mosaic
        Cells of N points.
    turn : (N,) float64
        Direction of the long axis of each ellipse, radians.
    a, b : (N,) float64
        Half axes, px.

    Returns
    -------
    (H, W) float32
        px, positive inside; exact on the outline and along the short axis `b`.

    Examples
    --------
    >>> nearest = mosaic((9, 9), np.array([[4.5, 4.5]]))
    >>> far = ellipse_distance(nearest, np.zeros(1), np.array([4.0]), np.array([2.0]))
    >>> far[4, [4, 8]].round(1).tolist(), far[[2, 1], 4].round(1).tolist()
    ([2.0, 0.0], [0.0, -1.0])
    """
    ix = nearest.index
    c, s = np.cos(turn).astype(np.float32)[ix], np.sin(turn).astype(np.float32)[ix]
    wide, narrow = a.astype(np.float32)[ix], b.astype(np.float32)[ix]
    u = (nearest.dx * c + nearest.dy * s) / wide
    v = (nearest.dy * c - nearest.dx * s) / narrow
    return (1 - cv2.magnitude(u, v)) * narrow
