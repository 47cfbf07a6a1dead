"""Where everything lies in a phantom: the exact truth, before any colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from annotator.core.classes import BG, BONE, CELL, FAT
from annotator.synthetic.noise import (
    Band,
    Field,
    Mask,
    Points,
    Rng,
    as_field,
    band_outline,
    distance,
    fill,
    gaussian,
    hex_points,
    inside,
    pick,
    resize,
    smooth_noise,
    spread,
    thin,
    top_share,
)
from annotator.synthetic.settings import PhantomSettings

SMALLEST_LUMEN = 60.0
"""White smaller than this many square microns is part of the tissue."""

_SMALLEST_FAT = 180.0


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The truth, and what the painter needs to know beyond it.

    Parameters
    ----------
    classes : (H, W) uint8
        0 bg, 1 fat, 2 cell, 3 bone.
    instances : (H, W) int32
        An id for each adipocyte and each bone, 0 elsewhere.
    clefts : (H, W) bool
        White pixels that are class cell: too small for a lumen.
    red_cells : (H, W) bool
        Erythrocytes that float in a sinus; class cell.
    seams : (H, W) float32
        Share of a fat pixel that a wall thinner than the pixel covers, 0..1.
    """

    classes: NDArray[np.uint8]
    instances: NDArray[np.int32]
    clefts: Mask
    red_cells: Mask
    seams: Field


def lay_out(rng: Rng, settings: PhantomSettings) -> Layout:
    """Place slide edge, bone, gaps, fat, sinuses, tears and clefts."""
    um = settings.um_per_px
    slide = _slide(rng, settings)
    bone = _bone(rng, settings) & ~slide
    gap = _retraction(rng, settings, bone) & ~slide
    blocked = slide | bone | gap
    ids, broken = _adipocytes(rng, settings, blocked)
    ids, opened = _open_at_edge(rng, ids, slide, um)
    fat = ids > 0
    room = distance(~(fat | bone)) * um > settings.wall
    sinus = _bands(rng, settings, settings.sinusoids, _sinus_band) & room
    red_cells = sinus & _floating_cells(rng, settings, sinus)
    tear = _bands(rng, settings, settings.tears, _tear_band) & room
    tissue = room & ~(slide | gap | opened)
    cleft = _clefts(rng, settings, tissue)
    white = slide | opened | gap | tear | (sinus & ~red_cells)
    bg, small = _split_by_area((white | cleft) & ~(fat | bone), SMALLEST_LUMEN / um**2)
    classes = np.full(settings.shape, CELL, np.uint8)
    classes[bone], classes[fat], classes[bg] = BONE, FAT, BG
    return Layout(
        classes,
        _with_bone(ids, bone),
        small & (classes == CELL),
        red_cells & (classes == CELL),
        _seams(ids, settings) * ~broken,
    )


def _slide(rng: Rng, settings: PhantomSettings) -> Mask:
    """Everything beyond a ragged line that cuts off the wanted share."""
    if settings.edge <= 0:
        return np.zeros(settings.shape, np.bool_)
    um = settings.um_per_px
    y, x = (np.arange(n, dtype=np.float32) for n in settings.shape)
    angle = rng.uniform(0, 2 * np.pi)
    across = y[:, None] * np.float32(np.sin(angle)) + x[None, :] * np.float32(np.cos(angle))
    for scale, height in ((400.0, 60.0), (90.0, 22.0), (25.0, 5.0), (6.0, 1.5)):
        across += smooth_noise(rng, settings.shape, scale / um) * np.float32(height / um)
    return top_share(across, settings.edge)


def _bone(rng: Rng, settings: PhantomSettings) -> Mask:
    """Trabeculae until the wanted share is reached, none that overshoots it far."""
    height, width = settings.shape
    um, quarter = settings.um_per_px, 4
    small = np.zeros((height // quarter, width // quarter), np.uint8)
    outlines = []
    for attempt in range(400):
        missing = settings.bone - small.mean()
        if missing < 0.1 * settings.bone or settings.bone <= 0:
            break
        room = missing * height * width * um**2
        outline = _trabecula(rng, settings, room)
        trial = small.copy()
        fill(trial, outline / quarter)
        gained = trial.mean() - small.mean()
        if gained < 0.15 * min(missing, 0.04) or (gained > 1.3 * missing and attempt < 300):
            continue
        small = trial
        outlines.append(outline)
    mask = np.zeros(settings.shape, np.uint8)
    for outline in outlines:
        fill(mask, outline)
    return _worn(rng, mask > 0, um)


def _trabecula(rng: Rng, settings: PhantomSettings, room: float) -> NDArray[np.float64]:
    height, width = settings.shape
    um = settings.um_per_px
    thick = rng.uniform(80.0, 250.0)
    if settings.bone > 0.3:
        thick *= 1.3
    longest = float(np.clip(room / thick, 250.0, 2400.0))
    band = Band(
        length=rng.uniform(0.5, 1.2) * longest / um,
        half_width=thick / 2 / um,
        wander=0.35,
        roughness=0.02,
        taper=0.9,
    )
    start = rng.random(2) * (width, height)
    return band_outline(rng, start, rng.uniform(0, np.pi), band)


def _worn(rng: Rng, mask: Mask, um: float) -> Mask:
    """Round the corners of bone and gnaw its surface a little (Howship's lacunae)."""
    if not mask.any():
        return mask
    signed = (distance(mask) - distance(~mask)) * np.float32(um)
    # Ten microns of blur round corners; at 40x that is a wide kernel, so it works on a small copy.
    step = max(1, int(4.0 / um))
    size = (mask.shape[1] // step + 1, mask.shape[0] // step + 1)
    coarse = gaussian(resize(as_field(signed), size), max(10.0 / um / step, 0.3))
    full = (mask.shape[1], mask.shape[0])
    signed = resize(coarse, full)
    signed += smooth_noise(rng, mask.shape, 40.0 / um) * np.float32(2.5)
    signed += smooth_noise(rng, mask.shape, 9.0 / um) * np.float32(0.5)
    worn: Mask = signed > 0
    return worn


def _retraction(rng: Rng, settings: PhantomSettings, bone: Mask) -> Mask:
    """White gap between bone and marrow along part of the surface."""
    if settings.retraction <= 0 or not bone.any():
        return np.zeros(settings.shape, np.bool_)
    um = settings.um_per_px
    along = smooth_noise(rng, settings.shape, 130.0 / um)
    cut = np.quantile(along[::4, ::4], 1 - settings.retraction)
    width = np.clip((along - cut) * 9.0, 0.0, 18.0) + smooth_noise(rng, settings.shape, 12.0 / um)
    outside = distance(~bone) * np.float32(um)
    gap: Mask = (outside < width) & (along > cut) & ~bone
    return gap


def _adipocytes(
    rng: Rng, settings: PhantomSettings, blocked: Mask
) -> tuple[NDArray[np.int32], Mask]:
    """Lumens of adipocytes in the free space, ids from 1, and where walls are broken."""
    um = settings.um_per_px
    free = ~blocked
    aim = 1.0 - settings.cellularity
    points, radii = _discs(rng, settings, aim)
    if not len(points) or aim <= 0.01:
        return np.zeros(settings.shape, np.int32), ~free
    best, second, owner = _power(rng, settings, points, radii)
    best += smooth_noise(rng, settings.shape, 11.0 / um) * np.float32(0.5)
    best += smooth_noise(rng, settings.shape, 4.0 / um) * np.float32(0.22)
    wall = np.full(settings.shape, settings.wall, np.float32)
    wall *= np.clip(1.0 + 0.5 * smooth_noise(rng, settings.shape, 60.0 / um), 0.4, 2.5)
    broken = top_share(smooth_noise(rng, settings.shape, 18.0 / um), settings.broken)
    wall[broken] = 0.0
    apart = best - second > wall
    near = distance(free) * np.float32(um) > wall + np.float32(0.5)
    possible = apart & near & free
    grow = _growth(best, possible, aim * free.mean(), settings.fat_diameter)
    lumen = possible & (best + grow > 0)
    ids = np.where(lumen, owner, 0).astype(np.int32)
    return _whole(ids, _SMALLEST_FAT / um**2), broken


def _discs(rng: Rng, settings: PhantomSettings, aim: float) -> tuple[Points, Points]:
    """Centres and radii (px) of adipocytes before they crowd each other."""
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


def _power(
    rng: Rng, settings: PhantomSettings, points: Points, radii: Points
) -> tuple[Field, Field, NDArray[np.int32]]:
    """Depth (um) inside the nearest and the second disc of each pixel, and the nearest's id.

    This is an additively weighted Voronoi diagram: discs that touch share a wall
    that is nearly straight, as crowded adipocytes do.
    """
    um, (height, width) = settings.um_per_px, settings.shape
    best = np.full(settings.shape, -1e6, np.float32)
    second = best.copy()
    owner = np.zeros(settings.shape, np.int32)
    # Bent coordinates: no adipocyte is a true ellipse, and neighbours bend alike.
    bent_x, bent_y = (
        smooth_noise(rng, settings.shape, 45 / um) * np.float32(2.2 / um) for _ in "xy"
    )
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
    """How far (um) all adipocytes swell or shrink so that lumens fill the wanted share."""
    depth = np.sort(best[::3, ::3][possible[::3, ::3]])[::-1]
    wanted = int(share * best[::3, ::3].size)
    if not len(depth):
        return np.float32(0.0)
    needed = -depth[min(wanted, len(depth) - 1)]
    return np.float32(np.clip(needed, -0.22 * diameter, 0.4 * diameter))


def _whole(ids: NDArray[np.int32], smallest: float) -> NDArray[np.int32]:
    """Keep the largest connected part of every id, drop small ones, number from 1."""
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


def _seams(ids: NDArray[np.int32], settings: PhantomSettings) -> Field:
    """Where lumens of two adipocytes meet without a pixel of tissue, and how much wall is there."""
    meet = np.zeros(ids.shape, np.bool_)
    meet[:, 1:] |= (ids[:, 1:] != ids[:, :-1]) & (ids[:, 1:] > 0) & (ids[:, :-1] > 0)
    meet[1:] |= (ids[1:] != ids[:-1]) & (ids[1:] > 0) & (ids[:-1] > 0)
    return meet * np.float32(min(1.0, settings.wall / settings.um_per_px))


def _open_at_edge(
    rng: Rng, ids: NDArray[np.int32], slide: Mask, um: float
) -> tuple[NDArray[np.int32], Mask]:
    """Most adipocytes that the edge of the section cut are open, and count as slide."""
    if not slide.any():
        return ids, slide
    rim = np.unique(ids[distance(~slide) * um < 5.0])
    rim = rim[rim > 0]
    gone = np.zeros(int(ids.max()) + 1, np.bool_)
    gone[rim[rng.random(len(rim)) < 0.65]] = True
    opened = gone[ids]
    # An opened adipocyte has lost its outer wall: join it to the slide.
    reach = max(1, round(7.0 / um))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    near = cv2.dilate(opened.astype(np.uint8), kernel) > 0
    bridge = near & (distance(~slide) * um < 7.0) & (ids == 0) & ~slide
    number = np.cumsum(~gone, dtype=np.int32) - 1
    number[gone] = 0
    return number[ids], opened | bridge


def _sinus_band(rng: Rng, um: float) -> Band:
    half = float(np.exp(rng.uniform(np.log(4.0), np.log(22.0))))
    return Band(half * rng.uniform(4.0, 14.0) / um, half / um, 0.55, 0.06, 0.9)


def _tear_band(rng: Rng, um: float) -> Band:
    half = float(np.exp(rng.uniform(np.log(2.5), np.log(14.0))))
    return Band(half * rng.uniform(15.0, 45.0) / um, half / um, 0.3, 0.3, 1.0)


def _bands(
    rng: Rng, settings: PhantomSettings, share: float, kind: Callable[[Rng, float], Band]
) -> Mask:
    height, width = settings.shape
    um = settings.um_per_px
    mask = np.zeros(settings.shape, np.uint8)
    area, wanted = 0.0, share * height * width
    while area < wanted:
        band = kind(rng, um)
        size = band.length * band.half_width * 1.6
        area += min(size, 0.5 * wanted)
        if size > max(1.5 * wanted, 900.0 / um**2):
            continue
        start = rng.random(2) * (width, height)
        fill(mask, band_outline(rng, start, rng.uniform(0, np.pi), band))
    return mask > 0


def _floating_cells(rng: Rng, settings: PhantomSettings, sinus: Mask) -> Mask:
    """Erythrocytes scattered in clumps in some of the sinuses."""
    um = settings.um_per_px
    points = hex_points(rng, settings.shape, max(8.0 / um, 2.0), 0.2)
    points = points[inside(points, settings.shape)]
    crowd = smooth_noise(rng, settings.shape, 40.0 / um)
    points = points[pick(sinus, points) & (pick(crowd, points) > 0.75)]
    free = np.ones(settings.shape, np.bool_)
    points = thin(points, 6.0 / um)
    if not len(points):
        return ~free
    free[points[:, 1].astype(np.intp), points[:, 0].astype(np.intp)] = False
    near: Mask = distance(free) * um < 3.3
    return near


def _clefts(rng: Rng, settings: PhantomSettings, tissue: Mask) -> Mask:
    um = settings.um_per_px
    field = smooth_noise(rng, settings.shape, 7.0 / um)
    field += 0.8 * smooth_noise(rng, settings.shape, 70.0 / um)
    field += 0.35 * smooth_noise(rng, settings.shape, 2.5 / um)
    return top_share(field, settings.clefts, tissue)


def _split_by_area(mask: Mask, smallest: float) -> tuple[Mask, Mask]:
    """Components of at least `smallest` px, and the others."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= smallest
    large[0] = False
    kept = large[labels]
    return kept, mask & ~kept


def _with_bone(ids: NDArray[np.int32], bone: Mask) -> NDArray[np.int32]:
    """Add an id for each connected piece of bone after the last adipocyte."""
    _, pieces = cv2.connectedComponents(bone.astype(np.uint8), connectivity=8)
    last = int(ids.max()) if ids.size else 0
    return np.where(pieces > 0, pieces + last, ids).astype(np.int32)
