"""The building blocks of phantom tissue: smooth noise, point patterns, bands, mosaics.

Points are (N, 2) float64, x y in pixels, unless another shape is given.
"""

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
    """The values as float32; without a copy where they are float32 already."""
    return np.asarray(values, np.float32)


def resize(values: Field, size: tuple[int, int], interpolation: int = cv2.INTER_CUBIC) -> Field:
    """Resample a field, (H, W) float32, to a size ``(width, height)``, px.

    Examples
    --------
    >>> resize(np.ones((2, 3), np.float32), (6, 4)).shape
    (4, 6)
    """
    return as_field(cv2.resize(values, size, interpolation=interpolation))


def gaussian(values: Field, sigma: float) -> Field:
    """Blur a field with a Gaussian of standard deviation `sigma`, px."""
    return as_field(cv2.GaussianBlur(values, (0, 0), sigma))


def smooth_noise(rng: Rng, shape: tuple[int, int], scale: float) -> Field:
    """Smooth random field: Gaussian noise that varies over a given distance.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : (int, int)
        Height and width, px.
    scale : float
        Distance between independent values, px; below 1.5 every pixel is independent.

    Returns
    -------
    (H, W) float32
        Mean 0, standard deviation about 1.

    Examples
    --------
    >>> field = smooth_noise(np.random.default_rng(0), (200, 200), 5.0)
    >>> field.shape, bool(0.7 < field.std() < 1.3)
    ((200, 200), True)
    """
    height, width = shape
    if scale < 1.5:
        return rng.standard_normal(shape, np.float32)
    rows, columns = int(height / scale) + 4, int(width / scale) + 4
    big = rng.standard_normal((rows, columns), np.float32)
    size = round(columns * scale), round(rows * scale)
    # A coarse grid of random values is enlarged. Cubic to a quarter of the size and linear from
    # there looks the same and is three times faster.
    if scale >= 16:
        big = resize(big, (size[0] // 4, size[1] // 4))
        big = resize(big, size, cv2.INTER_LINEAR)
    else:
        big = resize(big, size)
    # A random part of it, so that the knots of the grid do not lie at the same pixels each time.
    y, x = (int(v * scale) for v in rng.random(2))
    top, left = min(y + 1, big.shape[0] - height), min(x + 1, big.shape[1] - width)
    # Interpolation takes away variance between the knots; the factor puts it back on average.
    return np.ascontiguousarray(big[top : top + height, left : left + width]) * np.float32(1.3)


def broad_noise(rng: Rng, shape: tuple[int, int], scale: float) -> Field:
    """Smooth noise as of :func:`smooth_noise`, also over distances wider than the frame.

    It is drawn small and enlarged, and so takes no longer and no more memory at 40x than in an
    overview.

    Examples
    --------
    >>> broad_noise(np.random.default_rng(0), (50, 80), 9000.0).shape
    (50, 80)
    """
    step = int(scale / 24)
    if step < 2:
        return smooth_noise(rng, shape, scale)
    height, width = (n // step + 2 for n in shape)
    small = smooth_noise(rng, (height, width), scale / step)
    return resize(small, (width * step, height * step), cv2.INTER_LINEAR)[: shape[0], : shape[1]]


def top_share(values: Field, share: float, within: Mask | None = None) -> Mask:
    """The pixels with the highest values of a field.

    Parameters
    ----------
    values : (H, W) float32
    share : float
        Share of the pixels to take, 0..1.
    within : (H, W) bool or None
        Where they are counted and taken; everywhere where it is None.

    Returns
    -------
    (H, W) bool

    Examples
    --------
    >>> ramp = np.tile(np.arange(300, dtype=np.float32), (30, 1))
    >>> bool(abs(top_share(ramp, 0.25).mean() - 0.25) < 0.01)
    True
    """
    if share <= 0:
        return np.zeros(values.shape, np.bool_)
    # Every ninth pixel is enough to find the limit.
    sample = values[::3, ::3] if within is None else values[::3, ::3][within[::3, ::3]]
    if sample.size == 0:
        return np.zeros(values.shape, np.bool_)
    mask: Mask = values > np.quantile(sample, max(0.0, 1.0 - share))
    return mask if within is None else mask & within


def distance(mask: Mask) -> Field:
    """Distance of every set pixel to the nearest unset one.

    Returns
    -------
    (H, W) float32
        Px; 0 at unset pixels, a very large number where every pixel is set.

    Examples
    --------
    >>> distance(np.array([[True, True, False]])).round().tolist()
    [[2.0, 1.0, 0.0]]
    """
    if mask.all():
        return np.full(mask.shape, 1e6, np.float32)
    return np.asarray(
        cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5), np.float32
    )


def hex_points(rng: Rng, shape: tuple[int, int], spacing: float, jitter: float) -> Points:
    """Points of a hexagonal grid that covers the frame, each moved at random.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : (int, int)
        Height and width, px.
    spacing : float
        Distance between neighbours, px.
    jitter : float
        Standard deviation of the move, as a share of the spacing.

    Returns
    -------
    (N, 2) float64
        x y, px; some lie beyond the frame.
    """
    height, width = shape
    step = spacing * np.sqrt(3) / 2
    rows = np.arange(-spacing, height + spacing, step)
    columns = np.arange(-spacing, width + spacing, spacing)
    x, y = np.meshgrid(columns, rows)
    x[::2] += spacing / 2
    grid = np.stack([x.ravel(), y.ravel()], 1)
    return grid + rng.normal(0.0, jitter * spacing, grid.shape)


def inside(points: Points, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which points lie in a pixel of the frame, (N,) bool.

    Examples
    --------
    >>> inside(np.array([[1.5, 0.0], [3.0, 0.0]]), (2, 3)).tolist()
    [True, False]
    """
    at = np.floor(points)
    inner: NDArray[np.bool_] = (
        (at[:, 0] >= 0) & (at[:, 0] < shape[1]) & (at[:, 1] >= 0) & (at[:, 1] < shape[0])
    )
    return inner


def pick(values: NDArray[Any], points: Points) -> NDArray[Any]:
    """Values of an (H, W) field at points that lie inside it, (N,).

    Examples
    --------
    >>> pick(np.array([[5, 6, 7]]), np.array([[2.9, 0.0]])).tolist()
    [7]
    """
    picked: NDArray[Any] = values[points[:, 1].astype(np.intp), points[:, 0].astype(np.intp)]
    return picked


def thin(points: Points, apart: float) -> Points:
    """Remove points until none has an earlier neighbour closer than `apart` px.

    Examples
    --------
    >>> thin(np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]]), 2.0).tolist()
    [[0.0, 0.0], [5.0, 0.0]]
    """
    if len(points) < 2:
        return points
    pairs = cKDTree(points).query_pairs(apart, output_type="ndarray")
    keep = np.ones(len(points), np.bool_)
    keep[pairs.max(axis=1)] = False
    return points[keep]


def spread(points: Points, radii: Points, rounds: int = 12) -> Points:
    """Push overlapping discs apart.

    In each round every overlapping pair moves apart by 0.4 of its overlap each; crowded discs
    still overlap a little at the end.

    Parameters
    ----------
    points : (N, 2) float64
        Centres, x y, px.
    radii : (N,) float64
        Px.
    rounds : int

    Returns
    -------
    (N, 2) float64
        A new array.
    """
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
        """Distance of each pixel to the border of its cell, (H, W) float32, px."""
        edge = np.zeros(self.index.shape, np.bool_)
        edge[:, 1:] |= self.index[:, 1:] != self.index[:, :-1]
        edge[1:] |= self.index[1:] != self.index[:-1]
        return distance(~edge)


def mosaic(shape: tuple[int, int], points: Points) -> Mosaic:
    """Voronoi mosaic: each pixel belongs to the nearest point, within a few per cent of distance.

    Parameters
    ----------
    shape : (int, int)
        Height and width, px.
    points : (N, 2) float64
        x y, px, inside the frame. Of two in one pixel the later one owns it.

    Returns
    -------
    Mosaic

    Raises
    ------
    ValueError
        When there is no point.

    Examples
    --------
    >>> mosaic((1, 4), np.array([[0.5, 0.5], [3.5, 0.5]])).index.tolist()
    [[0, 0, 1, 1]]
    """
    if not len(points):
        raise ValueError("a mosaic needs at least one point")
    x, y = points[:, 0].astype(np.intp), points[:, 1].astype(np.intp)
    free = np.full(shape, 1, np.uint8)
    free[y, x] = 0
    # The distance transform numbers the nearest zero of every pixel in its own order, which is
    # then translated into positions of points.
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
    """Share of each pixel that a shape with a soft edge covers.

    Parameters
    ----------
    signed : (H, W) float32
        Signed distance to the outline, positive inside, px.
    width : float
        Over what distance the edge goes from 0 to 1, px.

    Returns
    -------
    (H, W) float32
        0..1.

    Examples
    --------
    >>> soft(np.array([[-1.0, 0.0, 1.0]], np.float32), 1.0).tolist()
    [[0.0, 0.5, 1.0]]
    """
    cover: Field = np.clip(signed * np.float32(1.0 / max(width, 1e-6)) + np.float32(0.5), 0, 1)
    return cover
