"""Stain phantom marrow and bone with haematoxylin and eosin, as maps of optical density.

In the functions here `h` and `e` are the maps of haematoxylin and eosin, (H, W) float32; those
that end in "in place" change them. Lengths are microns until they are divided by `um`, the
microns per pixel. A factor such as ``min(1.0, 1.5 / um)`` fades out what is smaller than a pixel
of an overview.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, CELL, FAT
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
from annotator.synthetic.stain_bone import ellipse_distance, stain_bone, tangents

ERYTHROID, MYELOID, BLAST, RED, GHOST, SPINDLE = range(6)
"""Kinds of cells: erythroid and myeloid precursors, blasts, red cells, pale red cells, stroma."""

# Of each kind of cell: half axes of its nucleus (um), the haematoxylin of the nucleus, the share
# of cells whose nucleus is not in the section, haematoxylin and eosin of the cytoplasm, and the
# width of the white gap around the cell (um; below 0 there is none).
_LONG = np.array([3.1, 3.5, 4.6, 0.0, 0.0, 5.2], np.float32)
_SHORT = np.array([2.8, 2.6, 4.0, 0.0, 0.0, 1.5], np.float32)
_DENSITY = np.array([1.75, 1.5, 1.0, 0.0, 0.0, 1.1], np.float32)
_ABSENT = np.array([0.12, 0.25, 0.2, 1.0, 1.0, 0.65], np.float32)
_CYTO_H = np.array([0.20, 0.12, 0.26, 0.02, 0.02, 0.06], np.float32)
_CYTO_E = np.array([0.58, 0.55, 0.52, 0.66, 0.24, 0.45], np.float32)
_GAP = np.array([0.2, 0.05, 0.1, 0.3, 0.3, -0.6], np.float32)


# How often a stray cell is erythroid, myeloid, a blast, a red cell.
_MIX = (0.25, 0.25, 0.1, 0.4)


@dataclass(frozen=True, slots=True, eq=False)
class Stains:
    """Optical density (natural logarithm, no unit) of each stain.

    Parameters
    ----------
    haematoxylin, eosin, grey : (H, W) float32
        Not negative. Grey is what absorbs all colours: folds, dust, shadow.
    """

    haematoxylin: Field
    eosin: Field
    grey: Field


def stain_tissue(rng: Rng, settings: PhantomSettings, layout: Layout) -> Stains:
    """Stain marrow, then bone, then the membranes and flat cells that line both.

    Parameters
    ----------
    rng : numpy.random.Generator
    settings : PhantomSettings
    layout : Layout

    Returns
    -------
    Stains
        Marrow fills the lumens too: :func:`annotator.synthetic.optics.empty_lumens` clears them.
    """
    zones, blood = _zones(rng, settings), _blood(rng, settings)
    zones[blood] = RED
    packing = _pack(rng, settings, zones)
    # Marrow: cytoplasm everywhere, then white gaps and clefts, then nuclei.
    h, e = _cytoplasm(rng, settings, packing)
    _white_gaps(rng, settings, packing, blood, h, e)
    white = _soft_edge(layout.clefts)
    h *= 1 - white
    e *= 1 - white
    _add_nuclei(rng, settings, packing, h, e)
    _add_megakaryocytes(rng, settings, layout, zones, h, e)
    # Red cells in sinuses, bone, and the lining of both.
    red = _soft_edge(layout.red_cells)
    h *= 1 - red
    e += red * (np.float32(0.75) - e)
    stain_bone(rng, settings, layout, h, e)
    _add_lining(rng, settings, layout, h, e)
    return Stains(h, e, np.zeros(settings.shape, np.float32))


def _soft_edge(mask: Mask) -> Field:
    """A mask as (H, W) float32 in 0..1, blurred by half a pixel."""
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (3, 3), 0.5), np.float32)


def _zones(rng: Rng, settings: PhantomSettings) -> NDArray[np.uint8]:
    """Kind of cell at each pixel, (H, W) uint8: islands of each lineage, blood, stroma."""
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
    """Centres, (N, 2) x y px, and kinds, (N,), of all cells; the spacing depends on the kind."""
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
    """Change the kind of some cells, since lineages mix, (N,) uint8."""
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
    """Cells that fill the frame side by side.

    Parameters
    ----------
    centres : (N, 2) float64
        x y, px.
    kind : (N,) uint8
    at : Mosaic
        Which cell each pixel belongs to.
    own : (H, W) uint8
        Kind of the cell at each pixel.
    """

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
    """Haematoxylin and eosin of the cytoplasm, as if marrow filled the frame."""
    um, shape = settings.um_per_px, settings.shape
    kind, owner, stroma = packing.kind, packing.at.index, packing.own == SPINDLE
    vary = np.exp(rng.normal(0.0, 0.1, (2, len(kind)))).astype(np.float32)
    vary[:, kind == SPINDLE] = 1.0
    # Granules, and fibres in the stroma.
    grain = smooth_noise(rng, shape, 0.7 / um) * np.float32(0.18 if um < 1.2 else 0.05)
    grain += smooth_noise(rng, shape, 2.6 / um) * np.float32(0.08)
    fibre = np.abs(smooth_noise(rng, shape, 9.0 / um)) * np.float32(0.3) - np.float32(0.15)
    e = (_CYTO_E[kind] * vary[0])[owner] * (1 + grain + fibre * stroma)
    e *= 1 + smooth_noise(rng, shape, 50.0 / um) * np.float32(0.08)
    h = (_CYTO_H[kind] * vary[1])[owner] * (1 + 2 * grain)
    # Oedema in parts of the stroma, and foamy cytoplasm.
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
    """Wash out the gaps between cells, in place; red cells are round and keep a darker rim."""
    um, shape = settings.um_per_px, settings.shape
    cells, own = packing.at, packing.own
    red = (own == RED) | (own == GHOST)
    width = _GAP[own] + smooth_noise(rng, shape, 14.0 / um) * np.float32(0.4)
    width += smooth_noise(rng, shape, 60.0 / um) * np.float32(0.3)
    width = np.minimum(width, np.float32(0.75))
    width[blood] = np.minimum(width[blood] - np.float32(0.25), np.float32(0.35))
    # How far (um) a pixel lies inside a gap: near the border of its cell, or, in red cells,
    # farther than 4 um from its centre.
    reach = width - cells.border() * np.float32(um)
    beyond = cv2.magnitude(cells.dx, cells.dy) * np.float32(um) - np.float32(4.0)
    reach = np.where(red & (width > 0), np.maximum(reach, beyond), reach)
    gap = soft(reach, max(0.5, um)) * np.float32(min(1.0, 1.4 / um))
    gap *= np.clip(width * 3, 0, 1)
    # The space between cells is seldom empty: serum stains it faintly pink.
    gap *= np.clip(np.float32(0.85) + smooth_noise(rng, shape, 25.0 / um) * np.float32(0.15), 0, 1)
    rim = np.exp(-(((reach + np.float32(0.75)) / np.float32(max(0.55, um))) ** 2))
    e += rim * red * np.float32(0.22 * min(1.0, 1.2 / um))
    e *= 1 - gap
    h *= 1 - gap


def _nuclear_turn(rng: Rng, settings: PhantomSettings, packing: _Packing) -> Field:
    """Direction of each nucleus, (N,) float32, radians: any; spindles lie side by side."""
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

    # Each pixel in the coordinates of its nucleus: (u, v) is on the outline where its length is 1.
    ix, own = cells.index, packing.own
    c, s = np.cos(turn)[ix], np.sin(turn)[ix]
    a, b = np.maximum(long, 1e-3)[ix], np.maximum(short, 1e-3)[ix]
    u = (cells.dx * c + cells.dy * s) / a
    v = (cells.dy * c - cells.dx * s) / b
    # Two lobes in the shape of a horseshoe for the myeloid ones.
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
    """Draw one megakaryocyte around a point x y (px), in place."""
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
    # The nucleus: the union of three to six discs, with clumped chromatin.
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


def _add_lining(rng: Rng, settings: PhantomSettings, layout: Layout, h: Field, e: Field) -> None:
    """Draw membranes of fat and sinuses, and flat nuclei along them and along bone; in place."""
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

    # Flat nuclei of endothelium and bone lining, 1.2 to 3.6 um from the surface.
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
    turn = tangents(gap, points, 3.0 / um)
    a, b = rng.uniform(3.0, 5.5, len(points)), rng.uniform(1.2, 1.9, len(points))
    flat = soft(ellipse_distance(nearest, turn, a / um, b / um), 1.0) * np.float32(
        min(1.0, 2.0 / um)
    )
    flat *= tissue
    h += flat * np.maximum(np.float32(1.6) - h, 0)
