"""Adipose tissue: crowded polygonal adipocytes with thin, pale, partly broken membranes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, CELL, FAT
from annotator.synthetic.adipocytes import largest_parts, weighted_voronoi
from annotator.synthetic.noise import (
    Field,
    Mask,
    Rng,
    as_field,
    hex_points,
    soft,
    spread,
    top_share,
)
from annotator.synthetic.outlines import Band, band_outline, fill
from annotator.synthetic.tissue_sheet import (
    FLAT_NUCLEUS,
    TissueSheet,
    add_nuclei_along,
    scatter,
)

_SMALLEST = 200.0  # square microns
_SHRED = 0.08  # optical density from which a shred is no slide


@dataclass(frozen=True, slots=True, eq=False)
class _CrowdedAdipocytes:
    """Adipocytes side by side.

    Parameters
    ----------
    owner : (H, W) int32
        Which adipocyte each pixel belongs to, from 1; 0 where there is none.
    reach : (H, W) float32
        Distance to the nearest membrane, um.
    crowding : (H, W) float32
        Depth in the adipocyte, um; lowest where three meet.
    corner : (H, W) bool
        The tissue where three meet.
    """

    owner: NDArray[np.int32]
    reach: Field
    crowding: Field
    corner: Mask


def lay_adipose(rng: Rng, sheet: TissueSheet, mask: Mask, opened: float = 0.0) -> None:
    """Lay adipose tissue.

    Parameters
    ----------
    rng : numpy.random.Generator
    sheet : TissueSheet
    mask : (H, W) bool
    opened : float
        Share of the adipocytes that are torn open, 0..1; their truth stays open.
    """
    if not mask.any():
        return
    cells = _pack(rng, sheet, mask)
    wall = rng.uniform(0.45, 1.05)
    h, e = _membranes(rng, sheet, cells, wall)
    e += _content(rng, sheet, cells)
    ids = np.where(mask & ~cells.corner & (cells.reach > 0.35 * wall), cells.owner, 0)
    ids = largest_parts(ids.astype(np.int32), max(12.0, _SMALLEST / sheet.um**2))
    first = int(sheet.ids.max())
    sheet.lay(mask, h, e, FAT)
    sheet.ids[mask] = np.where(ids > 0, ids + first, 0)[mask]
    sheet.doubt(mask & (ids == 0) & ~cells.corner)
    sheet.codes[mask & (ids == 0) & cells.corner] = CELL
    if opened:
        _tear_open(rng, sheet, mask, cells, opened)
    _add_corner_nuclei(rng, sheet, mask, cells)
    if rng.random() < 0.5:
        _add_folds(rng, sheet, mask & (sheet.codes == FAT))


def _pack(rng: Rng, sheet: TissueSheet, mask: Mask) -> _CrowdedAdipocytes:
    um = sheet.um
    # In an overview adipocytes are a few pixels wide, but never less than five.
    diameter = max(rng.uniform(42, 105) / um, 5.0)
    points = hex_points(rng, sheet.shape, diameter, 0.3)
    size = np.clip(rng.lognormal(0, rng.uniform(0.1, 0.32), len(points)), 0.4, 1.8)
    points = spread(points, size * diameter / 2, 8)
    radii = size * diameter / 2 * 1.12
    best, second, owner = weighted_voronoi(rng, sheet.shape, um, points, radii)
    # The difference of the depths in two neighbours is twice the distance to their wall.
    best += sheet.noise(rng, 14) * np.float32(0.5 * sheet.seen(1.0))
    reach = np.minimum((best - second) / 2, sheet.depth(mask))
    share = rng.uniform(0.005, 0.04)
    corner = top_share(-best + sheet.noise(rng, 40) * np.float32(1.5), share) | (owner == 0)
    return _CrowdedAdipocytes(owner, as_field(reach), best, corner)


def _membranes(
    rng: Rng, sheet: TissueSheet, cells: _CrowdedAdipocytes, wall: float
) -> tuple[Field, Field]:
    """Haematoxylin and eosin of membranes of about `wall` um, and of the corners."""
    um = sheet.um
    width = np.clip(1 + 0.35 * sheet.noise(rng, 50), 0.4, 2.2) * np.float32(wall)
    drawn = np.maximum(width, np.float32(0.55 * um))
    line = np.exp(-((cells.reach / drawn) ** 2)) * np.minimum(1, width / np.float32(0.6 * um))
    strength = np.clip(rng.uniform(0.5, 1.0) + 0.45 * sheet.noise(rng, 30), 0.0, 1.6)
    strength[top_share(sheet.noise(rng, 22), rng.uniform(0.0, 0.22))] *= np.float32(0.12)
    # Where the cut runs along a membrane, it is seen as a pale strip.
    broad = np.clip(sheet.noise(rng, 38) - np.float32(0.7), 0, 2) * np.float32(rng.uniform(4, 9))
    strip = soft((broad - cells.reach) / np.float32(um), 1.5) * (broad > 0.6)
    e = line * strength * np.float32(rng.uniform(0.2, 0.6))
    e += strip * np.float32(rng.uniform(0.04, 0.14))
    e *= 1 + np.float32(0.12) * sheet.noise(rng, 1.5)
    h = e * np.float32(rng.uniform(0.3, 1.0))
    grain = np.clip(1 + 0.3 * sheet.noise(rng, 4), 0, 2) * cells.corner
    e += grain * np.float32(rng.uniform(0.2, 0.6))
    h += grain * np.float32(rng.uniform(0.1, 0.35))
    return as_field(h), as_field(e)


def _content(rng: Rng, sheet: TissueSheet, cells: _CrowdedAdipocytes) -> Field:
    """Eosin in the lumens: next to none in most, haze or pink content in some."""
    count = int(cells.owner.max()) + 1
    haze = rng.uniform(0, 0.012, count)
    some = rng.random(count) < rng.choice([0.0, 0.03, 0.2])
    haze[some] += rng.uniform(0.02, 0.12, int(some.sum()))
    return as_field(as_field(haze)[cells.owner] * np.clip(1 + 0.4 * sheet.noise(rng, 25), 0, 2))


def _tear_open(
    rng: Rng, sheet: TissueSheet, mask: Mask, cells: _CrowdedAdipocytes, share: float
) -> None:
    """Open some adipocytes: half of their membrane is gone, and they count as neither."""
    opened = rng.random(int(cells.owner.max()) + 1) < share
    opened[0] = False
    hole = mask & opened[cells.owner] & ~cells.corner & (sheet.noise(rng, 120) > -0.6)
    sheet.doubt(hole)
    sheet.wash(sheet.softened(hole & (sheet.noise(rng, 15) > -0.2), 0.7) * mask)


def tear_to_shreds(rng: Rng, sheet: TissueSheet, tears: Mask) -> None:
    """Tear adipose tissue so that shreds of membranes are left on the slide: background.

    What is left of an adipocyte beside the tear counts as neither.
    """
    torn = np.unique(sheet.ids[tears])
    beside = np.isin(sheet.ids, torn[torn > 0]) & ~tears
    gone = tears & (sheet.noise(rng, rng.uniform(12, 40)) > rng.uniform(-1.0, 0.4))
    sheet.wash(sheet.softened(gone, 0.7) * tears)
    sheet.codes[tears], sheet.ids[tears] = BG, 0
    sheet.doubt(beside | (tears & (sheet.h + sheet.e > _SHRED)))


def _add_corner_nuclei(rng: Rng, sheet: TissueSheet, mask: Mask, cells: _CrowdedAdipocytes) -> None:
    """Nuclei of adipocytes and capillaries, along membranes and mostly where three meet."""
    lowest = np.quantile(cells.crowding[::4, ::4], 0.25)
    seat = mask & (cells.reach < 2.0) & (cells.crowding < lowest)
    sites = scatter(rng, seat, 7 / sheet.um, rng.uniform(0.01, 0.1))
    add_nuclei_along(rng, sheet, sites, cells.reach, FLAT_NUCLEUS)


def _add_folds(rng: Rng, sheet: TissueSheet, lumens: Mask) -> None:
    """Film that lies over several adipocytes, and folds across them."""
    um = sheet.um
    if rng.random() < 0.6:
        film = top_share(sheet.noise(rng, 130), rng.uniform(0.03, 0.25))
        sheet.grey += sheet.softened(film, 1.0) * lumens * np.float32(rng.uniform(0.02, 0.1))
    canvas = np.zeros(sheet.shape, np.uint8)
    for _ in range(int(rng.choice([0, 2, 5, 10]))):
        start = rng.random(2) * (sheet.shape[1], sheet.shape[0])
        half = max(0.5, rng.uniform(0.4, 3.0) / um)
        band = Band(rng.uniform(40, 260) / um, half, 0.3, 0.3, 0.9)
        fill(canvas, band_outline(rng, start, rng.uniform(0, np.pi), band))
    fold = sheet.softened(canvas > 0) * np.clip(0.7 + 0.3 * sheet.noise(rng, 9), 0, 1.4)
    fold *= np.float32(sheet.seen(3.0))
    sheet.grey += fold * np.float32(rng.uniform(0.1, 0.5))
    sheet.e += fold * np.float32(rng.uniform(0, 0.2))
