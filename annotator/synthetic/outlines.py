"""Outlines of tissue: ragged edges, blobs, bands, splinters, and the outline of a biopsy core.

Most functions return a mask, (H, W) bool. Lengths are microns until they are divided by `um`, the
microns per pixel; `rng` is a numpy generator and `shape` the height and width in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.synthetic.noise import (
    Mask,
    Points,
    Rng,
    as_field,
    broad_noise,
    distance,
    hex_points,
    inside,
    mosaic,
    pick,
    smooth_noise,
    top_share,
)

Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Band:
    """A winding band: a trabecula, a sinus or a tear.

    Parameters
    ----------
    length, half_width : float
        Px.
    wander : float
        Standard deviation of the change of direction at each bend, radians.
    roughness : float
        How uneven the sides are, as a share of the half width.
    taper : float
        How far the ends narrow, 0..1.
    """

    length: float
    half_width: float
    wander: float
    roughness: float
    taper: float


def band_outline(rng: Rng, start: Points, angle: float, band: Band) -> NDArray[np.float64]:
    """Outline of a band whose course, width and sides vary at random.

    Parameters
    ----------
    rng : numpy.random.Generator
    start : (2,) float64
        Middle of the band, x y, px.
    angle : float
        Direction at its first end, radians.
    band : Band

    Returns
    -------
    (M, 2) float64
        Corners of the polygon, x y, px.

    Examples
    --------
    >>> band = Band(100.0, 5.0, wander=0.0, roughness=0.0, taper=0.0)
    >>> outline = band_outline(np.random.default_rng(0), np.array([60.0, 20.0]), 0.0, band)
    >>> bool(np.ptp(outline[:, 0]) > 8 * np.ptp(outline[:, 1]))
    True
    """
    steps = max(12, min(160, int(band.length / max(band.half_width * 0.35, 1.0))))
    # The course: directions at a few bends, and between them interpolated.
    t = np.linspace(0.0, 1.0, steps)
    knots = max(3, int(band.length / (band.half_width * 5 + 1)) + 2)
    at = np.linspace(0.0, 1.0, knots)
    heading = angle + np.interp(t, at, np.cumsum(rng.normal(0.0, band.wander, knots)))
    step = band.length / steps
    centre = np.stack([np.cumsum(np.cos(heading)), np.cumsum(np.sin(heading))], 1) * step
    centre += np.asarray(start) - centre[steps // 2]
    # The width along it, narrower towards both ends.
    waist = np.interp(t, at, rng.uniform(0.65, 1.25, knots))
    ends = np.clip(np.minimum(t, 1 - t) * band.length / (band.half_width * 1.5), 0, 1)
    profile = waist * (1 - band.taper + band.taper * np.sqrt(ends)) * band.half_width
    # Both sides, each with a roughness of its own.
    normal = np.stack([-np.sin(heading), np.cos(heading)], 1)
    sides = []
    for sign in (1.0, -1.0):
        burr = np.interp(t, np.linspace(0, 1, steps // 2), rng.standard_normal(steps // 2))
        rough = 1.0 + band.roughness * (burr + 0.4 * rng.standard_normal(steps))
        sides.append(centre + sign * normal * (profile * rough)[:, None])
    return np.concatenate([sides[0], sides[1][::-1]])


def fill(mask: NDArray[np.uint8], outline: NDArray[np.float64]) -> None:
    """Draw a filled polygon into a mask, in place.

    Parameters
    ----------
    mask : (H, W) uint8
        Set to 1 inside.
    outline : (M, 2) float64
        x y, px; OpenCV takes them in sixteenths of a pixel (``shift=4``).

    Examples
    --------
    >>> mask = np.zeros((3, 4), np.uint8)
    >>> fill(mask, np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    >>> int(mask.sum())
    4
    """
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1, shift=4)


def split_by_area(mask: Mask, smallest: float) -> tuple[Mask, Mask]:
    """The connected parts of at least `smallest` pixels, and the others; (H, W) bool each.

    Examples
    --------
    >>> large, small = split_by_area(np.array([[True, True, False, True]]), 2)
    >>> large.tolist(), small.tolist()
    ([[True, True, False, False]], [[False, False, False, True]])
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= smallest
    large[0] = False
    in_large = large[labels]
    return in_large, mask & ~in_large


def ragged_edge(rng: Rng, shape: Shape, um: float, share: float, roughness: float = 1.0) -> Mask:
    """All beyond a ragged line across the field that cuts off the wanted share.

    Examples
    --------
    >>> off = ragged_edge(np.random.default_rng(0), (200, 300), 1.0, 0.3)
    >>> bool(abs(off.mean() - 0.3) < 0.02)
    True
    """
    if share <= 0:
        return np.zeros(shape, np.bool_)
    y, x = (np.arange(n, dtype=np.float32) for n in shape)
    angle = rng.uniform(0, 2 * np.pi)
    across = y[:, None] * np.float32(np.sin(angle)) + x[None, :] * np.float32(np.cos(angle))
    for scale, height in ((400.0, 60.0), (90.0, 22.0), (25.0, 5.0), (6.0, 1.5)):
        across += smooth_noise(rng, shape, scale / um) * np.float32(roughness * height / um)
    return top_share(across, share)


def blobs(rng: Rng, shape: Shape, um: float, share: float, size: float) -> Mask:
    """Irregular patches of about `size` um; in an overview, where more fits in, they are larger."""
    scale = size * max(1.0, um) ** 0.6 / um
    field = broad_noise(rng, shape, scale) + 0.3 * broad_noise(rng, shape, scale / 4)
    return top_share(as_field(field + 0.08 * broad_noise(rng, shape, scale / 15)), share)


def roughen(rng: Rng, mask: Mask, um: float, amount: float) -> Mask:
    """Move the outline in and out at random, by about `amount` um."""
    shape = (mask.shape[0], mask.shape[1])
    depth = np.clip(distance(mask) - distance(~mask), -200, 200) * np.float32(um)
    depth += broad_noise(rng, shape, 12 / um) * np.float32(0.6 * amount)
    depth += broad_noise(rng, shape, 45 / um) * np.float32(amount)
    return np.asarray(depth > 0)


def bands(rng: Rng, shape: Shape, um: float, count: int, half_width: tuple[float, float]) -> Mask:
    """Winding bands, such as trabeculae, of random half width between two limits, um."""
    canvas = np.zeros(shape, np.uint8)
    for _ in range(count):
        half = rng.uniform(*half_width)
        band = Band(
            length=half * rng.uniform(5, 24) / um,
            half_width=max(1.5, half / um),
            wander=rng.uniform(0.1, 0.4),
            roughness=rng.uniform(0.02, 0.12),
            taper=rng.uniform(0.1, 0.8),
        )
        fill(canvas, band_outline(rng, _anywhere(rng, shape), rng.uniform(0, np.pi), band))
    return roughen(rng, canvas > 0, um, 3.0)


def strand(rng: Rng, shape: Shape, um: float, half_width: float) -> Mask:
    """One long narrow band across the field, such as a septum between lobules of fat."""
    canvas = np.zeros(shape, np.uint8)
    band = Band(1.6 * max(shape), max(1.5, half_width / um), 0.16, 0.15, 0.2)
    fill(canvas, band_outline(rng, _anywhere(rng, shape), rng.uniform(0, 2 * np.pi), band))
    return roughen(rng, canvas > 0, um, 1.6)


def splinters(rng: Rng, shape: Shape, um: float, share: float, size: float) -> Mask:
    """Angular pieces of about `size` um, in heaps, with narrow gaps between them."""
    points = hex_points(rng, shape, max(6.0, size / um), 0.4)
    points = points[inside(points, shape)]
    if len(points) < 2:
        return np.zeros(shape, np.bool_)
    cells = mosaic(shape, points)
    heap = pick(broad_noise(rng, shape, 3 * size / um), points)
    liking = heap + rng.normal(0, 0.7, len(points))
    chosen = liking > np.quantile(liking, 1 - share)
    gap = np.clip(0.5 + broad_noise(rng, shape, 70 / um), 0, 3) * rng.uniform(1, 8) / um
    return roughen(rng, chosen[cells.index] & (cells.border() > gap), um, 1.5)


def core_outline(rng: Rng, shape: Shape, um: float) -> Mask:
    """One or two pieces of a biopsy core on the slide, with a ragged edge."""
    canvas = np.zeros(shape, np.uint8)
    for _ in range(int(rng.choice([1, 1, 2]))):
        # A core is 1 to 2 mm thick; where that is more than the field holds, it is cut thinner.
        half = min(rng.uniform(450, 1100) / um, rng.uniform(0.18, 0.4) * shape[0])
        middle = np.array(shape[::-1]) * rng.uniform(0.3, 0.7, 2)
        length = rng.uniform(0.5, 1.4) * shape[1]
        band = Band(length, half, 0.1, 0.05, rng.uniform(0.1, 0.9))
        fill(canvas, band_outline(rng, middle, rng.normal(0, 0.35), band))
    coarse = roughen(rng, canvas > 0, um, 12 + 4 * um)
    return roughen(rng, coarse, um, 3 + 2 * um)


def _anywhere(rng: Rng, shape: Shape) -> Points:
    """A random point of the frame, (2,) float64, x y px."""
    return rng.random(2) * (shape[1], shape[0])
