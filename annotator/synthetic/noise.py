"""Smooth noise, point patterns, bands and mosaics: what phantom tissue is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Rng = np.random.Generator


def as_field(values: Any) -> Field:
    """The same values as float32 (without a copy where they are already)."""
    return np.asarray(values, np.float32)


def resize(values: Field, size: tuple[int, int], interpolation: int = cv2.INTER_CUBIC) -> Field:
    """Resample to a width and height."""
    return as_field(cv2.resize(values, size, interpolation=interpolation))


def gaussian(values: Field, sigma: float) -> Field:
    """Gaussian blur, standard deviation in px."""
    return as_field(cv2.GaussianBlur(values, (0, 0), sigma))


def smooth_noise(rng: Rng, shape: tuple[int, int], scale: float) -> Field:
    """Gaussian noise of mean 0 and deviation about 1 that varies over `scale` px, (H, W)."""
    height, width = shape
    if scale < 1.5:
        return rng.standard_normal(shape, np.float32)
    rows, columns = int(height / scale) + 4, int(width / scale) + 4
    big = rng.standard_normal((rows, columns), np.float32)
    size = round(columns * scale), round(rows * scale)
    # Cubic to a quarter of the size and linear from there looks the same and is three times faster.
    if scale >= 16:
        big = resize(big, (size[0] // 4, size[1] // 4))
        big = resize(big, size, cv2.INTER_LINEAR)
    else:
        big = resize(big, size)
    y, x = (int(v * scale) for v in rng.random(2))
    top, left = min(y + 1, big.shape[0] - height), min(x + 1, big.shape[1] - width)
    # Interpolation takes away variance between the knots.
    return np.ascontiguousarray(big[top : top + height, left : left + width]) * np.float32(1.3)


def top_share(values: Field, share: float, within: Mask | None = None) -> Mask:
    """The highest `share` of a field, counted inside `within`, (H, W) bool."""
    if share <= 0:
        return np.zeros(values.shape, np.bool_)
    sample = values[::3, ::3] if within is None else values[::3, ::3][within[::3, ::3]]
    if sample.size == 0:
        return np.zeros(values.shape, np.bool_)
    mask: Mask = values > np.quantile(sample, max(0.0, 1.0 - share))
    return mask if within is None else mask & within


def distance(mask: Mask) -> Field:
    """Distance of every set pixel to the nearest clear one, px, (H, W) float32."""
    if mask.all():
        return np.full(mask.shape, 1e6, np.float32)
    return np.asarray(
        cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5), np.float32
    )


def hex_points(rng: Rng, shape: tuple[int, int], spacing: float, jitter: float) -> Points:
    """Jittered hexagonal grid that covers the frame, (N, 2) x y in px."""
    height, width = shape
    step = spacing * np.sqrt(3) / 2
    rows = np.arange(-spacing, height + spacing, step)
    columns = np.arange(-spacing, width + spacing, spacing)
    x, y = np.meshgrid(columns, rows)
    x[::2] += spacing / 2
    grid = np.stack([x.ravel(), y.ravel()], 1)
    return grid + rng.normal(0.0, jitter * spacing, grid.shape)


def inside(points: Points, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which points round to a pixel of the frame, (N,) bool."""
    at = np.floor(points)
    inner: NDArray[np.bool_] = (
        (at[:, 0] >= 0) & (at[:, 0] < shape[1]) & (at[:, 1] >= 0) & (at[:, 1] < shape[0])
    )
    return inner


def pick(values: NDArray[Any], points: Points) -> NDArray[Any]:
    """Values of a field under points that lie inside it, (N,)."""
    picked: NDArray[Any] = values[points[:, 1].astype(np.intp), points[:, 0].astype(np.intp)]
    return picked


def thin(points: Points, apart: float) -> Points:
    """Keep points so that none has an earlier neighbour closer than `apart` px."""
    if len(points) < 2:
        return points
    pairs = cKDTree(points).query_pairs(apart, output_type="ndarray")
    keep = np.ones(len(points), np.bool_)
    keep[pairs.max(axis=1)] = False
    return points[keep]


def spread(points: Points, radii: Points, rounds: int = 12) -> Points:
    """Push overlapping discs apart, (N, 2) px."""
    points = points.copy()
    if len(points) < 2:
        return points
    for _ in range(rounds):
        pairs = cKDTree(points).query_pairs(2.0 * radii.max(), output_type="ndarray")
        a, b = pairs[:, 0], pairs[:, 1]
        offset = points[b] - points[a]
        gap = np.hypot(offset[:, 0], offset[:, 1]) + 1e-6
        push = np.maximum(radii[a] + radii[b] - gap, 0.0) * 0.4
        move = offset / gap[:, None] * push[:, None]
        for axis in (0, 1):
            points[:, axis] += np.bincount(b, move[:, axis], len(points))
            points[:, axis] -= np.bincount(a, move[:, axis], len(points))
    return points


@dataclass(frozen=True, slots=True)
class Band:
    """A winding band: a trabecula, a sinus, a tear. Lengths in px."""

    length: float
    half_width: float
    wander: float
    roughness: float
    taper: float


def band_outline(rng: Rng, start: Points, angle: float, band: Band) -> NDArray[np.float64]:
    """Polygon of a band whose course, width and sides vary, (M, 2) x y in px.

    Parameters
    ----------
    start : (2,)
        Middle of the band.
    angle : float
        Direction at the start, radians.
    """
    steps = max(12, min(160, int(band.length / max(band.half_width * 0.35, 1.0))))
    t = np.linspace(0.0, 1.0, steps)
    knots = max(3, int(band.length / (band.half_width * 5 + 1)) + 2)
    at = np.linspace(0.0, 1.0, knots)
    heading = angle + np.interp(t, at, np.cumsum(rng.normal(0.0, band.wander, knots)))
    step = band.length / steps
    centre = np.stack([np.cumsum(np.cos(heading)), np.cumsum(np.sin(heading))], 1) * step
    centre += np.asarray(start) - centre[steps // 2]
    waist = np.interp(t, at, rng.uniform(0.65, 1.25, knots))
    ends = np.clip(np.minimum(t, 1 - t) * band.length / (band.half_width * 1.5), 0, 1)
    profile = waist * (1 - band.taper + band.taper * np.sqrt(ends)) * band.half_width
    normal = np.stack([-np.sin(heading), np.cos(heading)], 1)
    sides = []
    for sign in (1.0, -1.0):
        burr = np.interp(t, np.linspace(0, 1, steps // 2), rng.standard_normal(steps // 2))
        rough = 1.0 + band.roughness * (burr + 0.4 * rng.standard_normal(steps))
        sides.append(centre + sign * normal * (profile * rough)[:, None])
    return np.concatenate([sides[0], sides[1][::-1]])


def fill(mask: NDArray[np.uint8], outline: NDArray[np.float64]) -> None:
    """Draw a filled polygon into a mask, in place, to a sixteenth of a pixel."""
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1, shift=4)


@dataclass(frozen=True, slots=True, eq=False)
class Mosaic:
    """A tessellation of the frame into cells around points.

    Parameters
    ----------
    index : (H, W) int32
        Position of the point that owns a pixel.
    dx, dy : (H, W) float32
        Offset of the pixel from that point, px.
    """

    index: NDArray[np.int32]
    dx: Field
    dy: Field

    def border(self) -> Field:
        """Distance to the border of the cell, px, about 0.5 beside it."""
        edge = np.zeros(self.index.shape, np.bool_)
        edge[:, 1:] |= self.index[:, 1:] != self.index[:, :-1]
        edge[1:] |= self.index[1:] != self.index[:-1]
        return distance(~edge)


def mosaic(shape: tuple[int, int], points: Points) -> Mosaic:
    """Voronoi mosaic of points that lie inside the frame.

    Raises
    ------
    ValueError
        Without a point there is no owner.
    """
    if not len(points):
        raise ValueError("a mosaic needs at least one point")
    x, y = points[:, 0].astype(np.intp), points[:, 1].astype(np.intp)
    free = np.full(shape, 1, np.uint8)
    free[y, x] = 0
    _, labels = cv2.distanceTransformWithLabels(
        free, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(labels.max()) + 1, np.int32)
    owner[labels[y, x]] = np.arange(len(points), dtype=np.int32)
    index = owner[labels]
    px, py = points.astype(np.float32).T
    dx = np.arange(shape[1], dtype=np.float32)[None, :] + np.float32(0.5) - px[index]
    dy = np.arange(shape[0], dtype=np.float32)[:, None] + np.float32(0.5) - py[index]
    return Mosaic(index, dx, dy)


def soft(signed: Field, width: float) -> Field:
    """Coverage of a pixel by a shape, from its signed distance to the outline, 0..1."""
    cover: Field = np.clip(signed * np.float32(1.0 / max(width, 1e-6)) + np.float32(0.5), 0, 1)
    return cover
