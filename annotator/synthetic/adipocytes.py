"""Lay out the adipocytes of a phantom: discs that crowd each other, with walls between them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from annotator.synthetic.noise import (
    Field,
    Mask,
    Points,
    Rng,
    as_field,
    distance,
    hex_points,
    pick,
    smooth_noise,
    spread,
    top_share,
)
from annotator.synthetic.settings import PhantomSettings

_SMALLEST_FAT = 180.0  # square microns


def adipocytes(
    rng: Rng, settings: PhantomSettings, blocked: Mask
) -> tuple[NDArray[np.int32], Mask]:
    """Lumens of adipocytes in the free space.

    Discs are placed, pushed apart and cut at the walls between them; then all grow or shrink
    together until the lumens fill the wanted share.

    Parameters
    ----------
    rng : numpy.random.Generator
    settings : PhantomSettings
        Shape and scale, cellularity, and what the adipocytes are like.
    blocked : (H, W) bool
        Where bone and other tissue lies already.

    Returns
    -------
    ids : (H, W) int32
        From 1; 0 where there is no lumen.
    broken : (H, W) bool
        Where walls are broken.

    Examples
    --------
    >>> settings = PhantomSettings(shape=(256, 256), um_per_px=1.0, cellularity=0.5)
    >>> blocked = np.zeros((256, 256), bool)
    >>> ids, _ = adipocytes(np.random.default_rng(0), settings, blocked)
    >>> bool(0.3 < (ids > 0).mean() < 0.6)
    True
    """
    um = settings.um_per_px
    free = ~blocked
    aim = 1.0 - settings.cellularity
    points, radii = _discs(rng, settings, aim)
    if not len(points) or aim <= 0.01:
        return np.zeros(settings.shape, np.int32), ~free
    best, second, owner = weighted_voronoi(rng, settings.shape, um, points, radii)
    best += smooth_noise(rng, settings.shape, 11.0 / um) * np.float32(0.5)
    best += smooth_noise(rng, settings.shape, 4.0 / um) * np.float32(0.22)
    wall = np.full(settings.shape, settings.wall, np.float32)
    wall *= np.clip(1.0 + 0.5 * smooth_noise(rng, settings.shape, 60.0 / um), 0.4, 2.5)
    broken = top_share(smooth_noise(rng, settings.shape, 18.0 / um), settings.broken)
    wall[broken] = 0.0
    # Between two discs the depths are equal in the middle of the wall and differ by its width at
    # its sides.
    apart = best - second > wall
    near = distance(free) * np.float32(um) > wall + np.float32(0.5)
    possible = apart & near & free
    grow = _growth(best, possible, aim * free.mean(), settings.fat_diameter)
    lumen = possible & (best + grow > 0)
    ids = np.where(lumen, owner, 0).astype(np.int32)
    return largest_parts(ids, _SMALLEST_FAT / um**2), broken


def _discs(rng: Rng, settings: PhantomSettings, aim: float) -> tuple[Points, Points]:
    """Centres, (N, 2) x y px, and radii, (N,) px, of adipocytes, in patches of random density."""
    um = settings.um_per_px
    diameter = settings.fat_diameter / um
    points = hex_points(rng, settings.shape, diameter * 1.02, 0.22)
    field = smooth_noise(rng, settings.shape, 260.0 / um) + smooth_noise(
        rng, settings.shape, 110.0 / um
    )
    inner = np.clip(points, 0, (settings.shape[1] - 1, settings.shape[0] - 1))
    liking = pick(field, inner) + rng.normal(0.0, 0.6, len(points))
    keep = min(1.0, aim / 0.72)
    chosen = liking >= np.quantile(liking, 1 - keep)
    points = points[chosen]
    radii = np.clip(rng.lognormal(0.0, 0.24, len(points)), 0.5, 1.6) * diameter / 2
    return spread(points, radii), radii


def weighted_voronoi(
    rng: Rng, shape: tuple[int, int], um: float, points: Points, radii: Points
) -> tuple[Field, Field, NDArray[np.int32]]:
    """Partition of the frame between discs, as an additively weighted Voronoi diagram.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : (int, int)
        Height and width, px.
    um : float
        Microns per pixel.
    points : (N, 2) float64
        Centres, x y, px.
    radii : (N,) float64
        Px.

    Returns
    -------
    best, second : (H, W) float32
        Depth of each pixel inside the disc in which it lies deepest, and inside the next one,
        um; negative outside.
    owner : (H, W) int32
        Position of the deepest disc, from 1; 0 where there is none near.

    Notes
    -----
    The depth is the radius less the distance to the centre, ``r - |x - c|``; a pixel goes to the
    disc in which it lies deepest, not to the nearest centre, so large adipocytes get more room.
    (A power diagram, with ``r**2 - |x - c|**2``, would have straight walls; here they bend
    slightly around the smaller one, as those of crowded adipocytes do.) Distances are measured
    in bent and squeezed coordinates, so that no adipocyte is a circle.

    References
    ----------
    Aurenhammer, "Voronoi diagrams: a survey of a fundamental geometric data structure", ACM
    Computing Surveys 23, 1991.
    """
    height, width = shape
    best = np.full(shape, -1e6, np.float32)
    second = best.copy()
    owner = np.zeros(shape, np.int32)
    # Bent coordinates: no adipocyte is a true ellipse, and neighbours bend alike.
    bent_x, bent_y = (smooth_noise(rng, shape, 45 / um) * np.float32(2.2 / um) for _ in "xy")
    bent_x += np.arange(width, dtype=np.float32)[None, :]
    bent_y += np.arange(height, dtype=np.float32)[:, None]
    turn = rng.uniform(0, np.pi, len(points))
    course = as_field([np.cos(turn), np.sin(turn)])
    squeeze = as_field(np.exp(rng.normal(0.0, 0.1, len(points))))
    wide, narrow = course * squeeze, course / squeeze
    for i, ((cx, cy), r) in enumerate(zip(points, radii, strict=True)):
        reach = r * 1.5 + 8.0 / um
        x0, x1 = max(0, int(cx - reach)), min(width, int(cx + reach) + 1)
        y0, y1 = max(0, int(cy - reach)), min(height, int(cy + reach) + 1)
        if x0 >= x1 or y0 >= y1:
            continue
        at = np.s_[y0:y1, x0:x1]
        x, y = bent_x[at] - np.float32(cx), bent_y[at] - np.float32(cy)
        u, v = x * wide[0, i] + y * wide[1, i], y * narrow[0, i] - x * narrow[1, i]
        depth = (np.float32(r) - cv2.magnitude(u, v)) * np.float32(um)
        old, won = best[at], depth > best[at]
        second[at] = np.maximum(second[at], np.minimum(depth, old))
        owner[at][won] = i + 1
        best[at] = np.maximum(old, depth)
    return best, second, owner


def _growth(best: Field, possible: Mask, share: float, diameter: float) -> np.float32:
    """By how much (um) all adipocytes must grow so that lumens fill the wanted share.

    Negative to shrink; bounded by a share of the diameter.
    """
    depth = np.sort(best[::3, ::3][possible[::3, ::3]])[::-1]
    wanted = int(share * best[::3, ::3].size)
    if not len(depth):
        return np.float32(0.0)
    needed = -depth[min(wanted, len(depth) - 1)]
    return np.float32(np.clip(needed, -0.22 * diameter, 0.4 * diameter))


def largest_parts(ids: NDArray[np.int32], smallest: float) -> NDArray[np.int32]:
    """Keep the largest connected part of every id where it is large enough; number from 1."""
    out = np.zeros_like(ids)
    count = 0
    for value, where in enumerate(find_objects(ids), start=1):
        if where is None:
            continue
        mask = (ids[where] == value).astype(np.uint8)
        _, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        areas = stats[1:, cv2.CC_STAT_AREA]
        if areas.max() >= smallest:
            count += 1
            out[where][parts == areas.argmax() + 1] = count
    return out
