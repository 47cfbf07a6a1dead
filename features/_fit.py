"""Circles and ellipses through the free outlines of all objects at once, and their turning.

All fits are of least squares and closed: sums over the points of each object, then one small
system of equations an object. Points are centred and scaled first, since sums of fourth powers
of pixel coordinates would use up the digits of a float64.

References
----------
I. Kasa, "A circle fitting procedure and its error analysis", IEEE Trans. Instrum. Meas. 25,
1976.
R. Halir & J. Flusser, "Numerically stable direct least squares fitting of ellipses", Proc.
WSCG, 1998.
P. D. Sampson, "Fitting conic sections to very scattered data", Comput. Graph. Image Process.
18, 1982.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from features._outline import Rings
from features._segments import Groups, divide

MIN_POINTS = 8
LAGS = 16  # the turning is measured over 1/16 of a ring: 22 degrees on a circle


class _Points:
    """Free points of the objects, moved to their mean and scaled to unit RMS radius."""

    def __init__(self, rings: Rings) -> None:
        free = rings.side == 0
        self.groups = Groups.of(rings.groups.owner[free], rings.groups.count)
        self.at = self.groups.owner
        x, y = rings.x[free].astype(np.float64), rings.y[free].astype(np.float64)
        self.number = self.groups.sum(np.ones(len(x)))
        x -= self._mean(x)[self.at]
        y -= self._mean(y)[self.at]
        scale = np.sqrt(self._mean(x * x + y * y))
        self.scale = np.where(scale > 0, scale, 1.0)
        self.x, self.y = x / self.scale[self.at], y / self.scale[self.at]

    def _mean(self, values: Floats) -> Floats:
        """Mean over each object, 0 where it has no free point."""
        return np.nan_to_num(divide(self.groups.sum(values), self.number))

    def rms(self, residual: Floats) -> Floats:
        """RMS over each object, px."""
        return np.sqrt(self._mean(residual**2)) * self.scale

    def moments(self) -> dict[tuple[int, int], Floats]:
        """Sums of x^i y^j for i + j <= 4, (N,) each."""
        xs, ys = [np.ones_like(self.x)], [np.ones_like(self.y)]
        for _ in range(4):
            xs.append(xs[-1] * self.x)
            ys.append(ys[-1] * self.y)
        powers = [(i, j) for i in range(5) for j in range(5 - i)]
        return {(i, j): self.groups.sum(xs[i] * ys[j]) for i, j in powers}


def residuals(rings: Rings) -> tuple[Floats, Floats]:
    """RMS distance of the free outline from its best circle and from its best ellipse.

    Parameters
    ----------
    rings : Rings
        Outer outlines of N objects.

    Returns
    -------
    circle, ellipse : (N,) float64
        px; NaN for an object with fewer than 8 free points or with all of them on a line.
        The circle is an ellipse too, so it takes over where it lies closer.

    References
    ----------
    Kasa 1976 (circle), Halir & Flusser 1998 (ellipse), Sampson 1982 (distance): see above.

    Examples
    --------
    An ellipse twice as long as wide is no circle.

    >>> from annotator.core.objects import objects_from_masks
    >>> from features._outline import outlines
    >>> y, x = np.ogrid[-20:21, -20:21]
    >>> oval = objects_from_masks("a1", (60, 60), [((9, 9), x**2 + 4 * y**2 <= 400)])
    >>> [round(float(each[0]), 1) for each in residuals(outlines(oval).outer)]
    [3.6, 0.3]
    """
    # One pass over the points; everything after it has one row an object.
    points = _Points(rings)
    moments = points.moments()
    number = np.maximum(points.number, 1)

    # Determinant of the points' covariance: 0 on a line, 0.25 on a circle of unit RMS radius.
    spread = moments[2, 0] * moments[0, 2] - moments[1, 1] ** 2
    usable = (points.number >= MIN_POINTS) & (spread / number**2 > 1e-6)
    circle = np.where(usable, points.rms(_circle_distance(points, moments)), np.nan)
    ellipse = np.where(usable, points.rms(_ellipse_distance(points, moments)), np.nan)
    return circle, np.fmin(ellipse, circle)


# Exponents of x and y of the terms of a conic.
_QUADRATIC, _LINEAR = ((2, 0), (1, 1), (0, 2)), ((1, 0), (0, 1), (0, 0))
# Keeps the normal equations of points on a line solvable.
_RIDGE = 1e-9 * np.eye(3)

Moments = dict[tuple[int, int], Floats]
Powers = tuple[tuple[int, int], ...]


def _scatter(moments: Moments, left: Powers, right: Powers) -> NDArray[np.float64]:
    """Sums of the products of terms, (N, len(left), len(right))."""
    rows = [[moments[a + c, b + d] for c, d in right] for a, b in left]
    return np.moveaxis(np.array(rows), -1, 0)


def _circle_distance(points: _Points, moments: Moments) -> Floats:
    """Distance of each point from its object's least-squares circle (Kasa 1976)."""
    # x2 + y2 + d x + e y + f = 0 is linear in d, e and f; the centre is -d/2, -e/2.
    right = -np.stack([moments[i + 2, j] + moments[i, j + 2] for i, j in _LINEAR], axis=1)
    plane = _scatter(moments, _LINEAR, _LINEAR) + _RIDGE
    d, e, f = np.linalg.solve(plane, right[..., None])[..., 0].T
    radius = np.sqrt(np.maximum(d**2 / 4 + e**2 / 4 - f, 0))[points.at]
    away: Floats = np.hypot(points.x + d[points.at] / 2, points.y + e[points.at] / 2) - radius
    return away


def _ellipse_distance(points: _Points, moments: Moments) -> Floats:
    """Distance of each point from its object's least-squares ellipse, to first order.

    Direct fit of Halir & Flusser (WSCG 1998), distance of Sampson (1982).
    """
    x, y = points.x, points.y
    a, b, c, d, e, f = _conics(moments)[points.at].T
    # The conic's value over the length of its gradient; at a double point there is none.
    value: Floats = (a * x + b * y + d) * x + (c * y + e) * y + f
    slope = np.hypot(2 * a * x + b * y + d, b * x + 2 * c * y + e)
    np.divide(value, slope, out=value, where=slope > 0)
    return value


def _conics(moments: Moments) -> NDArray[np.float64]:
    """Coefficients of x2, xy, y2, x, y, 1 of each object's ellipse, (N, 6)."""
    # The linear terms follow from the quadratic ones, so three unknowns are left of six.
    s1 = _scatter(moments, _QUADRATIC, _QUADRATIC)
    s2 = _scatter(moments, _QUADRATIC, _LINEAR)
    s3 = _scatter(moments, _LINEAR, _LINEAR) + _RIDGE
    down = -np.linalg.solve(s3, s2.transpose(0, 2, 1))
    reduced = s1 + s2 @ down
    # The constraint 4ac - b2 = 1, inverted: it admits ellipses only.
    swapped = np.stack([reduced[:, 2] / 2, -reduced[:, 1], reduced[:, 0] / 2], axis=1)
    # One of three eigenvectors has 4ac - b2 > 0, up to rounding: the largest is it.
    _, vectors = np.linalg.eig(swapped)
    vectors = vectors.real
    condition = 4 * vectors[:, 0] * vectors[:, 2] - vectors[:, 1] ** 2
    best = np.argmax(condition, axis=1)
    upper = np.take_along_axis(vectors, best[:, None, None], axis=2)
    result: NDArray[np.float64] = np.concatenate([upper, down @ upper], axis=1)[..., 0]
    return result


def roughness(rings: Rings) -> Floats:
    """Spread of the turning along the free outline relative to a circle's.

    Parameters
    ----------
    rings : Rings
        Outer outlines of N objects.

    Returns
    -------
    (N,) float64
        Standard deviation of the turning over 1/16 of the ring, in units of the turning of a
        circle: 0 for a circle but for its pixels. NaN with fewer than 8 usable points.

    Examples
    --------
    A disk turns evenly, a square only at its corners.

    >>> from annotator.core.objects import objects_from_masks
    >>> from features._outline import outlines
    >>> y, x = np.ogrid[-20:21, -20:21]
    >>> parts = [((1, 1), x**2 + y**2 <= 400), ((50, 1), np.ones((41, 41), bool))]
    >>> shapes = objects_from_masks("a1", (99, 60), parts)
    >>> roughness(outlines(shapes).outer).round(1).tolist()
    [0.3, 1.3]
    """
    # The angle between the chords to a point from before it and on from there.
    lag = np.maximum(rings.size // LAGS, 2)
    back, ahead = rings.shifted(-lag), rings.shifted(lag)
    ux, uy = rings.x - rings.x[back], rings.y - rings.y[back]
    vx, vy = rings.x[ahead] - rings.x, rings.y[ahead] - rings.y
    turning = np.arctan2(ux * vy - uy * vx, ux * vx + uy * vy)

    # Only where all three points are free; a circle turns by 2 pi over the whole ring.
    usable = (rings.side == 0) & (rings.side[back] == 0) & (rings.side[ahead] == 0)
    groups = Groups.of(rings.groups.owner[usable], rings.groups.count)
    relative = turning[usable] * (rings.size / (2 * np.pi * lag))[usable]
    number = groups.sum(np.ones(len(relative)))
    mean = divide(groups.sum(relative), number)
    spread = divide(groups.sum((relative - mean[groups.owner]) ** 2), number)
    return np.where(number >= MIN_POINTS, np.sqrt(spread), np.nan)
