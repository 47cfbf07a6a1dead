"""Marrow, blood, and vessels cut across. Class cell, but for adipocytes and open lumens."""

from __future__ import annotations

import cv2
import numpy as np

from annotator.core.classes import BG, CELL, FAT, UNLABELLED
from annotator.synthetic.fibres import streaks
from annotator.synthetic.layout import lay_out
from annotator.synthetic.noise import Field, Mask, Rng, as_field, mosaic, smooth_noise, soft
from annotator.synthetic.optics import empty_lumens
from annotator.synthetic.settings import PhantomSettings
from annotator.synthetic.stain import stain_tissue
from annotator.synthetic.tissue_sheet import FLAT_NUCLEUS, TissueSheet, add_nuclei, scatter


def lay_marrow(rng: Rng, sheet: TissueSheet, mask: Mask) -> None:
    """Lay marrow as phantoms have it, with its adipocytes; some of it pale."""
    if not mask.any():
        return
    settings = _marrow_settings(rng, sheet)
    layout = lay_out(rng, settings)
    stains = empty_lumens(rng, settings, layout, stain_tissue(rng, settings, layout))
    pale = np.float32(rng.choice([1.0, 1.0, rng.uniform(0.4, 0.9)]))
    ids = np.where(layout.classes == FAT, layout.instances, 0)
    first = int(sheet.ids.max())
    sheet.lay(mask, stains.haematoxylin * pale, stains.eosin * pale, CELL)
    sheet.grey[mask] = stains.grey[mask]
    sheet.codes[mask] = layout.classes[mask]
    sheet.ids[mask] = np.where(ids > 0, ids + first, 0)[mask]


def _marrow_settings(rng: Rng, sheet: TissueSheet) -> PhantomSettings:
    um = sheet.um
    return PhantomSettings(
        shape=sheet.shape,
        um_per_px=um,
        cellularity=rng.uniform(0.12, 0.95),
        fat_diameter=max(rng.uniform(40, 70), 4.5 * um),
        wall=rng.uniform(0.9, 3),
        broken=rng.uniform(0, 0.15),
        stained_fat=rng.uniform(0, 0.4),
        folds=rng.uniform(0, 0.4),
        tears=rng.uniform(0, 0.02),
        sinusoids=rng.uniform(0, 0.05),
        blood=rng.uniform(0, 0.3),
        honeycomb=rng.uniform(0.05, 0.45),
        stroma=rng.uniform(0.02, 0.5),
        clefts=rng.uniform(0.005, 0.06),
    )


def lay_blood(rng: Rng, sheet: TissueSheet, mask: Mask) -> None:
    """Lay red cells, packed or with white between them."""
    um = sheet.um
    sites = scatter(rng, sheet.everywhere, rng.uniform(6.2, 8.5) / um, rng.uniform(0.6, 1.0))
    disc = np.full(sheet.shape, 0.85, np.float32)
    if um < 2.5 and len(sites):
        cells = mosaic(sheet.shape, sites)
        away = cv2.magnitude(cells.dx, cells.dy)
        disc = soft(np.float32(3.4 / um) - away, max(1.0, 1.2 / um))
        disc = np.maximum(disc, np.float32(rng.choice([0.0, 0.85])))
    tone = 1 + 0.12 * sheet.noise(rng, 18) + 0.08 * sheet.noise(rng, 2)
    e = disc * np.clip(tone, 0.3, 2) * np.float32(rng.uniform(0.6, 1.4))
    sheet.lay(mask, e * np.float32(rng.uniform(0.0, 0.12)), e, CELL)


def add_vessels(rng: Rng, sheet: TissueSheet, mask: Mask, most: int) -> None:
    """Add at most so many vessels on the mask."""
    for _ in range(int(rng.integers(0, most + 1))):
        sites = scatter(rng, mask, 30 / sheet.um, 0.5)
        if len(sites):
            x, y = sites[int(rng.integers(len(sites)))]
            _lay_vessel(rng, sheet, mask, (float(x), float(y)))


def _lay_vessel(rng: Rng, sheet: TissueSheet, mask: Mask, at: tuple[float, float]) -> None:
    """Lay one vessel: a wall with its nuclei, and a lumen that is empty or holds blood."""
    um = sheet.um
    radius = rng.uniform(6, 38)
    wall = radius * rng.uniform(0.15, 0.7) + 1.5
    stretch, turn = rng.uniform(1, 2.2), rng.uniform(0, np.pi)
    # Only the window around it is drawn, in coordinates (um) turned and squeezed with it.
    reach = int((radius + wall) * 2.3 / um) + 3
    x0, y0 = max(0, int(at[0]) - reach), max(0, int(at[1]) - reach)
    window = np.s_[y0 : int(at[1]) + reach, x0 : int(at[0]) + reach]
    inside = mask[window]
    x = (np.arange(x0, x0 + inside.shape[1], dtype=np.float32) - np.float32(at[0]))[None] * um
    y = (np.arange(y0, y0 + inside.shape[0], dtype=np.float32) - np.float32(at[1]))[:, None] * um
    c, s = np.cos(turn), np.sin(turn)
    u, v = as_field((x * c + y * s) / stretch), as_field(y * c - x * s)
    r = cv2.magnitude(u, v) + smooth_noise(rng, u.shape, 14 / um) * np.float32(0.09 * radius)

    part = TissueSheet(um, *(getattr(sheet, n)[window] for n in ("h", "e", "grey", "codes", "ids")))
    body = soft((np.float32(radius + wall) - r) / np.float32(um), 2.0) * inside
    _lay_wall(rng, part, body, as_field(np.arctan2(v, u) * radius), as_field(r))
    lumen = (r < radius) & inside
    part.cut(lumen, BG if radius / um > 6 else UNLABELLED)
    _fill_with_blood(rng, part, lumen)
    theta = rng.uniform(0, 2 * np.pi, int(2 * np.pi * radius / rng.uniform(8, 16)))
    away = radius + rng.uniform(0.5, max(1.0, wall * 0.8), len(theta))
    across, down = away * np.cos(theta) * stretch, away * np.sin(theta)
    sites = np.stack([across * c - down * s, across * s + down * c], 1) / um + (
        at[0] - x0,
        at[1] - y0,
    )
    add_nuclei(rng, part, sites, theta + np.pi / 2 + turn, FLAT_NUCLEUS)


def _lay_wall(rng: Rng, part: TissueSheet, body: Field, around: Field, r: Field) -> None:
    """Stain a vessel's wall, with fibres around the lumen."""
    fibres = 1 + streaks(rng, around + np.float32(500), r, 22, 2.4) * 0.2 * part.seen(0.8)
    e = rng.uniform(0.25, 0.7) * (fibres + 0.1 * part.noise(rng, 5))
    part.e += body * (as_field(e) - part.e)
    part.h += body * (np.float32(rng.uniform(0.05, 0.3)) - part.h)
    part.grey *= 1 - body
    part.codes[body > 0.5], part.ids[body > 0.5] = CELL, 0


def _fill_with_blood(rng: Rng, part: TissueSheet, lumen: Mask) -> None:
    """Leave a lumen empty, or lay blood in all of it (class cell) or some (left open)."""
    full = float(rng.choice([0.0, 0.4, 1.0]))
    clot = lumen & (part.noise(rng, 9) > 1.2 - 3 * full)
    if full:
        e = rng.uniform(0.7, 1.3) * (1 + 0.15 * rng.standard_normal(part.shape))
        part.lay(clot, 0.03, e, CELL if full == 1.0 else UNLABELLED)
