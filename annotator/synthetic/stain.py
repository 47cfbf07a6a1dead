"""Haematoxylin and eosin in phantom marrow and bone, as maps of optical density."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, BONE, CELL, FAT
from annotator.synthetic.layout import Layout
from annotator.synthetic.noise import (
    Field,
    Mask,
    Mosaic,
    Points,
    Rng,
    as_field,
    distance,
    gaussian,
    hex_points,
    inside,
    mosaic,
    pick,
    smooth_noise,
    soft,
    thin,
    top_share,
)
from annotator.synthetic.settings import PhantomSettings

ERYTHROID, MYELOID, BLAST, RED, GHOST, SPINDLE = range(6)

# Per kind of cell: half axes of the nucleus and what they vary by (um), its
# haematoxylin, the share that the section missed, the cytoplasm's haematoxylin and
# eosin, the white around the cell (um).
_LONG = np.array([3.1, 3.5, 4.6, 0.0, 0.0, 5.2], np.float32)
_SHORT = np.array([2.8, 2.6, 4.0, 0.0, 0.0, 1.5], np.float32)
_DENSITY = np.array([1.75, 1.5, 1.0, 0.0, 0.0, 1.1], np.float32)
_ABSENT = np.array([0.12, 0.25, 0.2, 1.0, 1.0, 0.65], np.float32)
_CYTO_H = np.array([0.20, 0.12, 0.26, 0.02, 0.02, 0.06], np.float32)
_CYTO_E = np.array([0.58, 0.55, 0.52, 0.66, 0.24, 0.45], np.float32)
_GAP = np.array([0.2, 0.05, 0.1, 0.3, 0.3, -0.6], np.float32)


_MIX = (0.25, 0.25, 0.1, 0.4)


@dataclass(frozen=True, slots=True, eq=False)
class Stains:
    """Optical densities (natural logarithm) of each stain, all (H, W) float32."""

    haematoxylin: Field
    eosin: Field
    grey: Field


def stain_tissue(rng: Rng, settings: PhantomSettings, layout: Layout) -> Stains:
    """Stain marrow, then bone, then what lines both; lumens are left to the caller."""
    zones, blood = _zones(rng, settings), _blood(rng, settings)
    zones[blood] = RED
    packing = _pack(rng, settings, zones)
    h, e = _cytoplasm(rng, settings, packing)
    _white_gaps(rng, settings, packing, blood, h, e)
    white = _soft_edge(layout.clefts)
    h *= 1 - white
    e *= 1 - white
    _add_nuclei(rng, settings, packing, h, e)
    _add_megakaryocytes(rng, settings, layout, zones, h, e)
    red = _soft_edge(layout.red_cells)
    h *= 1 - red
    e += red * (np.float32(0.75) - e)
    _stain_bone(rng, settings, layout, h, e)
    _add_lining(rng, settings, layout, h, e)
    return Stains(h, e, np.zeros(settings.shape, np.float32))


def _soft_edge(mask: Mask) -> Field:
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (3, 3), 0.5), np.float32)


def _zones(rng: Rng, settings: PhantomSettings) -> NDArray[np.uint8]:
    """What kind of cell grows where: islands of each lineage, blood, stroma, (H, W) uint8."""
    um, shape = settings.um_per_px, settings.shape
    zones = np.full(shape, MYELOID, np.uint8)
    zones[top_share(smooth_noise(rng, shape, 55.0 / um), 0.35)] = ERYTHROID
    zones[top_share(smooth_noise(rng, shape, 45.0 / um), 0.16)] = BLAST
    comb = smooth_noise(rng, shape, 40.0 / um) + 0.6 * smooth_noise(rng, shape, 15.0 / um)
    zones[top_share(comb, settings.honeycomb)] = RED
    zones[top_share(comb, 0.3 * settings.honeycomb) & (smooth_noise(rng, shape, 60 / um) > 0.3)] = (
        GHOST
    )
    zones[top_share(smooth_noise(rng, shape, 70.0 / um), settings.stroma)] = SPINDLE
    return zones


def _blood(rng: Rng, settings: PhantomSettings) -> Mask:
    """Lakes of blood, ragged at the shore, (H, W) bool."""
    um, shape = settings.um_per_px, settings.shape
    lake = smooth_noise(rng, shape, 150.0 / um) + 0.35 * smooth_noise(rng, shape, 30.0 / um)
    return top_share(lake, settings.blood)


def _cell_points(
    rng: Rng, settings: PhantomSettings, zones: NDArray[np.uint8]
) -> tuple[Points, NDArray[np.uint8]]:
    """Centres (px) and kinds of all cells: every kind has its own packing."""
    um, shape = settings.um_per_px, settings.shape
    points, kinds = [], []
    for spacing, members in (
        (9.0, (ERYTHROID, MYELOID)),
        (11.5, (BLAST, SPINDLE)),
        (6.8, (RED, GHOST)),
    ):
        grid = hex_points(rng, shape, max(spacing / um, 2.0), 0.16)
        grid = grid[inside(grid, shape)]
        at = pick(zones, grid)
        mine = np.isin(at, members)
        points.append(grid[mine])
        kinds.append(at[mine])
    centres, kind = np.concatenate(points), np.concatenate(kinds).astype(np.uint8)
    return centres, _strays(rng, kind)


def _strays(rng: Rng, kind: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lineages mix: part of the cells are of another kind than their zone."""
    lot = rng.random(len(kind))
    dense = (kind == RED) | (kind == GHOST)
    # Red cells are packed closer than a blast is wide.
    other = np.where(
        dense,
        rng.choice(np.array([ERYTHROID, MYELOID], np.uint8), len(kind)),
        rng.choice(np.array([ERYTHROID, MYELOID, BLAST, RED], np.uint8), len(kind), p=_MIX),
    )
    share = np.where(dense | (kind == SPINDLE), 0.08, 0.35)
    return np.where(lot < share, other, kind).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class _Packing:
    """Cells side by side: their centres (px) and kinds, and which of them owns a pixel."""

    centres: Points
    kind: NDArray[np.uint8]
    at: Mosaic
    own: NDArray[np.uint8]


def _pack(rng: Rng, settings: PhantomSettings, zones: NDArray[np.uint8]) -> _Packing:
    centres, kind = _cell_points(rng, settings, zones)
    if not len(centres):
        centres, kind = np.array([[0.5, 0.5]]), np.array([MYELOID], np.uint8)
    cells = mosaic(settings.shape, centres)
    return _Packing(centres, kind, cells, kind[cells.index])


def _cytoplasm(rng: Rng, settings: PhantomSettings, packing: _Packing) -> tuple[Field, Field]:
    """Haematoxylin and eosin of the marrow without nuclei, as if it filled the frame."""
    um, shape = settings.um_per_px, settings.shape
    kind, owner, stroma = packing.kind, packing.at.index, packing.own == SPINDLE
    vary = np.exp(rng.normal(0.0, 0.1, (2, len(kind)))).astype(np.float32)
    vary[:, kind == SPINDLE] = 1.0
    grain = smooth_noise(rng, shape, 0.7 / um) * np.float32(0.18 if um < 1.2 else 0.05)
    grain += smooth_noise(rng, shape, 2.6 / um) * np.float32(0.08)
    fibre = np.abs(smooth_noise(rng, shape, 9.0 / um)) * np.float32(0.3) - np.float32(0.15)
    e = (_CYTO_E[kind] * vary[0])[owner] * (1 + grain + fibre * stroma)
    e *= 1 + smooth_noise(rng, shape, 50.0 / um) * np.float32(0.08)
    h = (_CYTO_H[kind] * vary[1])[owner] * (1 + 2 * grain)
    serum = stroma & (smooth_noise(rng, shape, 80.0 / um) > 0.2)
    e[serum] *= np.float32(0.55)
    foam = np.clip(smooth_noise(rng, shape, 1.4 / um) - np.float32(0.9), 0, 1)
    foam *= np.clip(smooth_noise(rng, shape, 22.0 / um), 0, 1) * np.float32(min(1.0, 0.6 / um))
    return h, as_field(e * (1 - foam))


def _white_gaps(
    rng: Rng,
    settings: PhantomSettings,
    packing: _Packing,
    blood: Mask,
    h: Field,
    e: Field,
) -> None:
    """Wash out the seams between cells, in place; red cells are rounder and keep a darker rim."""
    um, shape = settings.um_per_px, settings.shape
    cells, own = packing.at, packing.own
    red = (own == RED) | (own == GHOST)
    width = _GAP[own] + smooth_noise(rng, shape, 14.0 / um) * np.float32(0.4)
    width += smooth_noise(rng, shape, 60.0 / um) * np.float32(0.3)
    width = np.minimum(width, np.float32(0.75))
    width[blood] = np.minimum(width[blood] - np.float32(0.25), np.float32(0.35))
    reach = width - cells.border() * np.float32(um)
    beyond = cv2.magnitude(cells.dx, cells.dy) * np.float32(um) - np.float32(4.0)
    reach = np.where(red & (width > 0), np.maximum(reach, beyond), reach)
    gap = soft(reach, max(0.5, um)) * np.float32(min(1.0, 1.4 / um))
    gap *= np.clip(width * 3, 0, 1)
    # What lies between cells is seldom empty: serum leaves a breath of pink.
    gap *= np.clip(np.float32(0.85) + smooth_noise(rng, shape, 25.0 / um) * np.float32(0.15), 0, 1)
    rim = np.exp(-(((reach + np.float32(0.75)) / np.float32(max(0.55, um))) ** 2))
    e += rim * red * np.float32(0.22 * min(1.0, 1.2 / um))
    e *= 1 - gap
    h *= 1 - gap


def _nuclear_turn(rng: Rng, settings: PhantomSettings, packing: _Packing) -> Field:
    """Direction of each nucleus, radians: any, but spindles lie side by side, (N,)."""
    free = rng.uniform(0, 2 * np.pi, len(packing.kind))
    grain = smooth_noise(rng, settings.shape, 120.0 / settings.um_per_px)
    along = 1.2 * pick(grain, packing.centres) + 0.15 * free
    return as_field(np.where(packing.kind == SPINDLE, along, free))


def _add_nuclei(rng: Rng, settings: PhantomSettings, packing: _Packing, h: Field, e: Field) -> None:
    """Round, lobed, mottled and spindle nuclei, in place."""
    um, kind, cells, n = settings.um_per_px, packing.kind, packing.at, len(packing.kind)
    turn = _nuclear_turn(rng, settings, packing)
    size = np.exp(rng.normal(0.0, 0.14, n)).astype(np.float32)
    long, short = _LONG[kind] * size / um, _SHORT[kind] * size / um
    dark = _DENSITY[kind] * np.exp(rng.normal(0.0, 0.17, n)).astype(np.float32)
    dark[rng.random(n) < _ABSENT[kind]] = 0.0

    ix, own = cells.index, packing.own
    c, s = np.cos(turn)[ix], np.sin(turn)[ix]
    a, b = np.maximum(long, 1e-3)[ix], np.maximum(short, 1e-3)[ix]
    u = (cells.dx * c + cells.dy * s) / a
    v = (cells.dy * c - cells.dx * s) / b
    lobed = own == MYELOID
    lobe = cv2.magnitude(
        np.abs(u) - np.float32(0.62), (v - np.float32(0.55) * np.abs(u)) * np.float32(0.8)
    )
    radius = np.where(lobed, lobe + np.float32(0.42), cv2.magnitude(u, v)).astype(np.float32)
    signed = (1 - radius) * np.minimum(a, b)
    cover = soft(signed, max(1.0, 0.3 / um))
    cover *= dark[ix]
    # Chromatin: clumps, darkest under the membrane of large pale nuclei.
    clump = smooth_noise(rng, settings.shape, 1.0 / um) * np.float32(0.22 if um < 1.0 else 0.1)
    pale = own == BLAST
    shell = np.where(pale, np.clip(radius, 0, 1) ** 4 * np.float32(0.55) - np.float32(0.15), 0)
    cover *= 1 + np.where(pale, 1.6, 0.5).astype(np.float32) * clump + shell.astype(np.float32)
    h += cover
    e += cover * np.float32(0.12)


def _add_megakaryocytes(
    rng: Rng,
    settings: PhantomSettings,
    layout: Layout,
    zones: NDArray[np.uint8],
    h: Field,
    e: Field,
) -> None:
    """Giant cells with broad pink cytoplasm and a knotted nucleus, in place."""
    um = settings.um_per_px
    tissue = (distance(layout.classes == CELL) * um > 8.0) & (zones != RED)
    area = float(tissue[::4, ::4].mean()) * tissue.size * um**2
    count = int(rng.poisson(area / 16_000.0))
    points = hex_points(rng, settings.shape, max(55.0 / um, 4.0), 0.3)
    points = points[inside(points, settings.shape)]
    points = points[pick(tissue, points)]
    for x, y in points[rng.permutation(len(points))[:count]]:
        _stamp_megakaryocyte(rng, um, (float(x), float(y)), h, e)


def _stamp_megakaryocyte(rng: Rng, um: float, at: tuple[float, float], h: Field, e: Field) -> None:
    radius = rng.uniform(9.0, 19.0) / um
    reach = int(radius * 1.5) + 2
    x0, y0 = max(0, int(at[0]) - reach), max(0, int(at[1]) - reach)
    x1, y1 = min(h.shape[1], int(at[0]) + reach), min(h.shape[0], int(at[1]) + reach)
    x = np.arange(x0, x1, dtype=np.float32)[None, :] - np.float32(at[0])
    y = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(at[1])
    if x.size < 2 or y.size < 2:
        return
    window = np.s_[y0:y1, x0:x1]
    theta = np.arctan2(y, x)
    edge = radius * (
        1
        + 0.12 * np.cos(2 * theta + rng.uniform(0, 6))
        + 0.08 * np.cos(3 * theta + rng.uniform(0, 6))
    )
    body = soft((edge - np.hypot(x, y)).astype(np.float32), max(1.0, 0.6 / um))
    grain = 1 + 0.05 * rng.standard_normal(body.shape, np.float32)
    e[window] += body * (np.float32(rng.uniform(0.65, 0.95)) * grain - e[window])
    h[window] += body * (np.float32(rng.uniform(0.12, 0.28)) - h[window])
    lobes = np.full(body.shape, -1e6, np.float32)
    for _ in range(int(rng.integers(3, 7))):
        ox, oy = rng.normal(0.0, 0.22 * radius, 2)
        r = rng.uniform(0.2, 0.34) * radius
        lobes = np.maximum(lobes, (r - np.hypot(x - ox, y - oy)).astype(np.float32))
    clump = gaussian(rng.standard_normal(body.shape, np.float32), max(0.7 / um, 0.5))
    clump *= np.float32(0.25) / max(float(clump.std()), 1e-3)
    h[window] += (
        soft(lobes, max(1.0, 0.6 / um)) * body * np.float32(rng.uniform(0.9, 1.5)) * (1 + clump)
    )


def _stain_bone(rng: Rng, settings: PhantomSettings, layout: Layout, h: Field, e: Field) -> None:
    """Smooth eosin with faint lamellae along the surface, lacunae, fine cracks; in place."""
    bone = layout.classes == BONE
    if not bone.any():
        return
    um, shape = settings.um_per_px, settings.shape
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
    """Coverage by osteocyte lacunae, and by the nuclei in most of them."""
    um = settings.um_per_px
    points = hex_points(rng, settings.shape, max(32.0 / um, 3.0), 0.3)
    points = points[inside(points, settings.shape)]
    points = points[(pick(depth, points) > 6.0) & (rng.random(len(points)) < 0.75)]
    if not len(points):
        empty = np.zeros(settings.shape, np.float32)
        return empty, empty
    nearest = mosaic(settings.shape, points)
    turn = _tangent(depth, points, 12.0 / um) + rng.normal(0, 0.3, len(points))
    a, b = rng.uniform(3.8, 6.5, len(points)), rng.uniform(1.6, 2.9, len(points))
    hole = _ellipses(nearest, turn, a / um, b / um)
    filled = (rng.random(len(points)) < 0.8).astype(np.float32)[nearest.index]
    kernel = _ellipses(nearest, turn, 0.62 * a / um, 0.62 * b / um)
    strength = np.float32(min(1.0, 1.5 / um))
    return soft(hole, 1.0) * strength, soft(kernel, 1.0) * filled * strength


def _tangent(field: Field, points: Points, scale: float) -> NDArray[np.float64]:
    """Direction along the level lines of a field at points, radians, (N,)."""
    step = max(1, int(scale / 2))
    small = cv2.GaussianBlur(np.ascontiguousarray(field[::step, ::step]), (0, 0), 1.0)
    gx, gy = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    at = points / step
    at = np.minimum(at, (small.shape[1] - 1, small.shape[0] - 1))
    turn: NDArray[np.float64] = np.arctan2(pick(gy, at), pick(gx, at)) + np.pi / 2
    return turn


def _ellipses(
    nearest: Mosaic, turn: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> Field:
    """About the signed distance (px) to the ellipse around the nearest point."""
    ix = nearest.index
    c, s = np.cos(turn).astype(np.float32)[ix], np.sin(turn).astype(np.float32)[ix]
    wide, narrow = a.astype(np.float32)[ix], b.astype(np.float32)[ix]
    u = (nearest.dx * c + nearest.dy * s) / wide
    v = (nearest.dy * c - nearest.dx * s) / narrow
    return (1 - cv2.magnitude(u, v)) * narrow


def _add_lining(rng: Rng, settings: PhantomSettings, layout: Layout, h: Field, e: Field) -> None:
    """Membranes of fat and sinuses, and flat nuclei along them and along bone; in place."""
    um, shape = settings.um_per_px, settings.shape
    tissue = layout.classes == CELL
    lumen = (layout.classes == FAT) | (layout.classes == BG)
    to_lumen = distance(~lumen) * np.float32(um)
    strength = np.clip(0.5 + 0.3 * smooth_noise(rng, shape, 25.0 / um), 0.08, 1.0)
    strength *= np.float32(min(1.0, 1.3 / um))
    film = np.exp(-((to_lumen / np.float32(max(0.9, 0.7 * um))) ** 2)) * tissue
    film *= strength
    e += film * np.maximum(np.float32(0.75) - e * np.float32(0.6), 0)
    h += film * np.maximum(np.float32(0.3) - h * np.float32(0.6), 0)

    solid = layout.classes != CELL
    gap = distance(~solid) * np.float32(um)
    points = hex_points(rng, shape, max(4.0 / um, 2.0), 0.3)
    points = points[inside(points, shape)]
    by = pick(gap, points)
    crowd = pick(smooth_noise(rng, shape, 60.0 / um), points)
    points = points[(by > 1.2) & (by < 3.6) & (crowd > 0.6)]
    points = thin(points[rng.permutation(len(points))], max(9.0 / um, 2.0))
    if not len(points):
        return
    nearest = mosaic(shape, points)
    turn = _tangent(gap, points, 3.0 / um)
    a, b = rng.uniform(3.0, 5.5, len(points)), rng.uniform(1.2, 1.9, len(points))
    flat = soft(_ellipses(nearest, turn, a / um, b / um), 1.0) * np.float32(min(1.0, 2.0 / um))
    flat *= tissue
    h += flat * np.maximum(np.float32(1.6) - h, 0)
