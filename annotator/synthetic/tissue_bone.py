"""Bone by itself: lamellae and osteons, lacunae, canals, splits, and calcified bone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from annotator.core.classes import BONE, CELL
from annotator.synthetic.fibres import course, crossed_streaks, streaks
from annotator.synthetic.noise import Field, Mask, Rng, as_field, mosaic, soft
from annotator.synthetic.outlines import split_by_area
from annotator.synthetic.stain_bone import ellipse_distance, tangents
from annotator.synthetic.tissue_sheet import (
    FLAT_NUCLEUS,
    TissueSheet,
    add_nuclei_along,
    scatter,
)

_SMALLEST_LUMEN = 60.0  # square microns; a smaller hole belongs to the bone


@dataclass(frozen=True, slots=True, eq=False)
class _Lamellae:
    """The course of the lamellae, um, and the canals that some of them run around.

    Parameters
    ----------
    along, across : (H, W) float32
    canal : (H, W) bool
    """

    along: Field
    across: Field
    canal: Mask


def lay_bone(rng: Rng, sheet: TissueSheet, mask: Mask) -> None:
    """Lay bone, from pale pink to crimson; one piece in four is calcified."""
    if mask.any():
        _lay_bone(rng, sheet, mask, calcified=rng.random() < 0.25)


def lay_calcified_bone(rng: Rng, sheet: TissueSheet, mask: Mask) -> None:
    """Lay bone that has kept its mineral and so takes haematoxylin: violet to dark purple."""
    if mask.any():
        _lay_bone(rng, sheet, mask, calcified=True)


def _lay_bone(rng: Rng, sheet: TissueSheet, mask: Mask, calcified: bool) -> None:
    lamellae = _course_of_lamellae(rng, sheet)
    depth = sheet.depth(mask)
    h, e = _stained(rng, sheet, lamellae, depth, calcified)
    sheet.lay(mask, h, e, BONE)
    _add_lacunae(rng, sheet, mask, lamellae, depth)
    if rng.random() < 0.6:
        _cut_canals(rng, sheet, mask, lamellae.canal & mask)
    for _ in range(int(rng.choice([0, 1, 2, 5]))):
        _cut_split(rng, sheet, mask, lamellae)


def _course_of_lamellae(rng: Rng, sheet: TissueSheet) -> _Lamellae:
    """Lamellae in one winding direction, and osteons where they run in rings."""
    um = sheet.um
    along, across = course(rng, sheet.shape, um, rng.uniform(0.15, 1.2))
    centres = scatter(rng, sheet.everywhere, rng.uniform(160, 420) / um, rng.uniform(0, 0.6))
    if not len(centres):
        return _Lamellae(along, across, ~sheet.everywhere)
    near = mosaic(sheet.shape, centres)
    ring = cv2.magnitude(near.dx, near.dy) * np.float32(um) + sheet.noise(rng, 30) * np.float32(3)
    size, bore = (as_field(rng.uniform(*r, len(centres))) for r in ((20, 90), (4, 24)))
    share = soft((size[near.index] - ring) / np.float32(um), 12 / um)
    around = np.arctan2(near.dy, near.dx) * np.float32(40)
    return _Lamellae(
        as_field(along * (1 - share) + around * share),
        as_field(across * (1 - share) + ring * share),
        ring < bore[near.index],
    )


def _stained(
    rng: Rng, sheet: TissueSheet, lamellae: _Lamellae, depth: Field, calcified: bool
) -> tuple[Field, Field]:
    """Haematoxylin and eosin of the matrix."""
    tone = _tone(rng, sheet, lamellae)
    e = tone * np.float32(rng.uniform(0.25, 0.8) if calcified else 0.35 + 1.1 * rng.random() ** 1.5)
    h = tone * np.float32(rng.uniform(0.3, 0.9) if calcified else rng.uniform(0.0, 0.16))
    if calcified or rng.random() < 0.4:
        low = np.float32(rng.uniform(-0.2, 0.8))
        cloud = np.clip(sheet.noise(rng, rng.uniform(60, 300)) - low, 0, 1.6)
        h += cloud * tone * np.float32(rng.uniform(0.08, 0.5))
        e *= 1 - np.float32(0.15) * np.clip(cloud, 0, 1)
    # Cement lines; and a seam along the surface that is darker or paler.
    cement = np.exp(-((sheet.noise(rng, 120) / np.float32(0.02 * max(1.0, sheet.um))) ** 2))
    cement *= np.clip(sheet.noise(rng, 80), 0, 1) * np.float32(sheet.seen(2.0))
    seam = np.exp(-((depth / np.float32(rng.uniform(1.5, 9))) ** 2))
    h += cement * np.float32(rng.uniform(0, 0.3)) + seam * np.float32(rng.uniform(0, 0.22))
    e *= 1 + seam * np.float32(rng.uniform(-0.3, 0.25))
    return as_field(h), as_field(e)


def _tone(rng: Rng, sheet: TissueSheet, lamellae: _Lamellae) -> Field:
    """Light and dark of the matrix around 1: lamellae of several widths, clouds, grain."""
    um, way = sheet.um, (lamellae.along, lamellae.across)
    lines = 0.7 * crossed_streaks(rng, *way, 50, max(1.3, um), um)
    lines += 0.8 * streaks(rng, *way, 160, 3.5) + 0.5 * streaks(rng, *way, 400, 15)
    seen = np.clip(0.6 + 0.5 * sheet.noise(rng, 140), 0.05, 1.4) * sheet.seen(2.0)
    tone = 1 + lines * seen * rng.uniform(0.03, 0.13)
    tone += 0.08 * sheet.noise(rng, 260) + 0.03 * sheet.noise(rng, 50)
    mottle, grain = rng.uniform(0.0, 0.06, 2)
    return as_field(tone + mottle * sheet.noise(rng, 5) + grain * sheet.noise(rng, 1.2))


def _add_lacunae(
    rng: Rng, sheet: TissueSheet, mask: Mask, lamellae: _Lamellae, depth: Field
) -> None:
    """Lacunae along the lamellae: white rims around an osteocyte, or empty."""
    um = sheet.um
    patch = sheet.noise(rng, 150) > rng.uniform(-2, 0.8)
    spacing = rng.uniform(18, 40) / um
    sites = scatter(rng, (depth > 4) & patch, spacing, rng.uniform(0.1, 0.55))
    count = len(sites)
    if not count:
        return
    near = mosaic(sheet.shape, sites)
    turn = tangents(lamellae.across, sites, 10 / um) + rng.normal(0, 0.2, count)
    a, b = rng.uniform(3, 7.5, count) / um, rng.uniform(1.0, 2.8, count) / um
    shows = np.float32(sheet.seen(1.6)) * mask
    hole = soft(ellipse_distance(near, turn, a, b), 1.2) * shows
    hole = np.clip(hole * (1 + np.float32(0.5) * sheet.noise(rng, 2)), 0, 1)
    filled = rng.uniform(0.3, 1, count) * (rng.random(count) > rng.uniform(0.1, 0.9))
    cell = soft(ellipse_distance(near, turn, 0.6 * a, 0.55 * b), 1.2) * shows
    cell *= as_field(filled)[near.index]
    sheet.wash(hole * np.float32(rng.uniform(0.5, 0.95)))
    sheet.h += cell * np.float32(rng.uniform(0.5, 1.3))
    sheet.e += cell * np.float32(0.3)


def _cut_canals(rng: Rng, sheet: TissueSheet, mask: Mask, canal: Mask) -> None:
    """Cut canals: white, or partly filled with a vessel and its tissue (class cell)."""
    sheet.cut(canal)
    filled = canal & (sheet.noise(rng, 12) > rng.uniform(-1, 1))
    sheet.lay(filled, 0.15, rng.uniform(0.15, 0.5), CELL)
    sheet.codes[split_by_area(canal, _SMALLEST_LUMEN / sheet.um**2)[1]] = BONE
    away = sheet.depth(~canal)
    rim = (away < 3) & mask & ~canal
    sheet.h[rim] += np.float32(0.12)
    sites = scatter(rng, rim | filled, 7 / sheet.um, 0.35)
    add_nuclei_along(rng, sheet, sites, away, FLAT_NUCLEUS)


def _cut_split(rng: Rng, sheet: TissueSheet, mask: Mask, lamellae: _Lamellae) -> None:
    """Cut a white split along the lamellae, or less often a crack across them."""
    line = lamellae.across if rng.random() < 0.75 else lamellae.along
    values = line[mask]
    level = values[int(rng.integers(values.size))]
    width = np.clip(sheet.noise(rng, rng.uniform(120, 300)) - np.float32(0.3), 0, 2)
    width *= np.float32(rng.uniform(1, 9))
    split = np.abs(line - level + sheet.noise(rng, 20) * np.float32(1.5)) < width
    split &= mask
    sheet.cut(split)
    sheet.codes[split_by_area(split, max(8.0, _SMALLEST_LUMEN / sheet.um**2))[1]] = BONE
    sheet.e += sheet.softened(split, 2.0) * (mask & ~split) * np.float32(0.2)
