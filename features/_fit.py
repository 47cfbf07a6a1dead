"""Circles and ellipses through the free outlines of all objects at once, and their turning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features._outline import Rings
from features._segments import Floats, divide, per_object_sum

MIN_POINTS = 8
LAGS = 16  # the turning is measured over 1/16 of a ring: 22 degrees on a circle


class _Points:
    """Free points of the objects, moved to their mean and scaled to unit RMS radius."""

    def __init__(self, rings: Rings) -> None:
        free = rings.side == 0
        self.owner, self.count = rings.owner[free], rings.count
        x, y = rings.x[free].astype(np.float64), rings.y[free].astype(np.float64)
        self.number = self.sum(np.ones(len(x)))
        x -= self._mean(x)[self.owner]
        y -= self._mean(y)[self.owner]
        scale = np.sqrt(self._mean(x * x + y * y))
        self.scale = np.where(scale > 0, scale, 1.0)
        self.x, self.y = x / self.scale[self.owner], y / self.scale[self.owner]

    def sum(self, values: Floats) -> Floats:
        """Sum over each object."""
        return per_object_sum(values, self.owner, self.count)

    def _mean(self, values: Floats) -> Floats:
        """Mean over each object, 0 where it has no free point."""
        return np.nan_to_num(divide(self.sum(values), self.number))

    def usable(self) -> NDArray[np.bool_]:
        """Objects with at least 8 free points that are not all on a line, (N,) bool."""
        xx, yy = self._mean(self.x**2), self._mean(self.y**2)
        spread = xx * yy - self._mean(self.x * self.y) ** 2
        enough: NDArray[np.bool_] = (self.number >= MIN_POINTS) & (spread > 1e-6)
        return enough

    def rms(self, residual: Floats) -> Floats:
        """RMS over each object in pixels, NaN where it is not usable."""
        value = np.sqrt(self._mean(residual**2)) * self.scale
        return np.where(self.usable(), value, np.nan)

    def products(self, left: list[Floats], right: list[Floats]) -> NDArray[np.float64]:
        """Sums of all products, (N, len(left), len(right))."""
        rows = [[self.sum(a * b) for b in right] for a in left]
        return np.moveaxis(np.array(rows), -1, 0)


# Keeps the normal equations of points on a line solvable.
_RIDGE = 1e-9 * np.eye(3)


def circle_residual(rings: Rings) -> Floats:
    """RMS distance of the free points from their least-squares circle, px (Kasa 1976)."""
    points = _Points(rings)
    x, y = points.x, points.y
    plane = [x, y, np.ones_like(x)]
    square = x * x + y * y
    right = -points.products(plane, [square])
    solution = np.linalg.solve(points.products(plane, plane) + _RIDGE, right)[..., 0]
    cx, cy = -solution[:, 0] / 2, -solution[:, 1] / 2
    radius = np.sqrt(np.maximum(cx**2 + cy**2 - solution[:, 2], 0))
    at = points.owner
    return points.rms(np.hypot(x - cx[at], y - cy[at]) - radius[at])


def ellipse_residual(rings: Rings) -> Floats:
    """RMS distance of the free points from their least-squares ellipse, px.

    Direct fit of Halir & Flusser (WSCG 1998); distance to first order (Sampson). The
    circle is an ellipse too, so it takes over where it lies closer.
    """
    points = _Points(rings)
    x, y = points.x, points.y
    conic = _conics(points)[points.owner].T
    a, b, c, d, e, f = conic
    value = a * x * x + b * x * y + c * y * y + d * x + e * y + f
    slope = np.hypot(2 * a * x + b * y + d, b * x + 2 * c * y + e)
    distance = np.divide(value, slope, out=np.zeros_like(value), where=slope > 0)
    return np.fmin(points.rms(distance), circle_residual(rings))


def _conics(points: _Points) -> NDArray[np.float64]:
    """Coefficients of x2, xy, y2, x, y, 1 of each object's ellipse, (N, 6)."""
    x, y = points.x, points.y
    quadratic, plane = [x * x, x * y, y * y], [x, y, np.ones_like(x)]
    s1 = points.products(quadratic, quadratic)
    s2 = points.products(quadratic, plane)
    s3 = points.products(plane, plane) + _RIDGE
    down = -np.linalg.solve(s3, s2.transpose(0, 2, 1))
    reduced = s1 + s2 @ down
    # the constraint 4ac - b2 = 1, inverted
    swapped = np.stack([reduced[:, 2] / 2, -reduced[:, 1], reduced[:, 0] / 2], axis=1)
    _, vectors = np.linalg.eig(swapped)
    vectors = vectors.real
    condition = 4 * vectors[:, 0] * vectors[:, 2] - vectors[:, 1] ** 2
    best = np.argmax(condition, axis=1)
    upper = np.take_along_axis(vectors, best[:, None, None], axis=2)
    result: NDArray[np.float64] = np.concatenate([upper, down @ upper], axis=1)[..., 0]
    return result


def roughness(rings: Rings) -> Floats:
    """Spread of the turning along the free outline relative to a circle's, (N,) float64."""
    lag = np.maximum(rings.size // LAGS, 2)
    back, ahead = rings.shifted(-lag), rings.shifted(lag)
    ux, uy = rings.x - rings.x[back], rings.y - rings.y[back]
    vx, vy = rings.x[ahead] - rings.x, rings.y[ahead] - rings.y
    turning = np.arctan2(ux * vy - uy * vx, ux * vx + uy * vy)
    usable = (rings.side == 0) & (rings.side[back] == 0) & (rings.side[ahead] == 0)
    owner = rings.owner[usable]
    relative = turning[usable] * (rings.size / (2 * np.pi * lag))[usable]
    number = per_object_sum(np.ones(len(owner)), owner, rings.count)
    mean = divide(per_object_sum(relative, owner, rings.count), number)
    spread = divide(per_object_sum((relative - mean[owner]) ** 2, owner, rings.count), number)
    return np.where(number >= MIN_POINTS, np.sqrt(spread), np.nan)
