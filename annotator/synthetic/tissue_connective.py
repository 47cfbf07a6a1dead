"""Connective tissue: dense collagen in bundles, and loose tissue of thin fibres. Class cell."""

from __future__ import annotations

import numpy as np

from annotator.core.classes import CELL
from annotator.synthetic.fibres import course, crossed_streaks, streaks
from annotator.synthetic.noise import Field, Mask, Rng, as_field, top_share
from annotator.synthetic.outlines import split_by_area
from annotator.synthetic.tissue_sheet import (
    ROUND_NUCLEUS,
    SPINDLE_NUCLEUS,
    TissueSheet,
    add_nuclei_along,
    scatter,
)

_WIDE_CLEFT = 500.0  # square microns; the class of a larger white cleft stays open


def lay_dense(rng: Rng, sheet: TissueSheet, mask: Mask) -> None:
    """Lay collagen in wavy bundles, from dense to split by white clefts."""
    if mask.any():
        _lay_collagen(rng, sheet, mask, _crimped(rng, sheet))


def lay_septum(rng: Rng, sheet: TissueSheet, mask: Mask) -> None:
    """Lay collagen whose fibres run along a narrow band."""
    if mask.any():
        along, _ = _crimped(rng, sheet)
        across = sheet.depth(mask) + sheet.noise(rng, 18) * np.float32(1.2)
        _lay_collagen(rng, sheet, mask, (along, as_field(across)))


def _lay_collagen(rng: Rng, sheet: TissueSheet, mask: Mask, way: tuple[Field, Field]) -> None:
    """Lay collagen along a course."""
    along, across = way
    h, e, broad = _bundles(rng, sheet, along, across)
    cleft = _clefts(rng, sheet, mask, way, broad)
    white = sheet.softened(cleft) * np.float32(rng.uniform(0.75, 1.0))
    sheet.lay(mask, h * (1 - white), e * (1 - white), CELL)
    sheet.doubt(split_by_area(cleft, _WIDE_CLEFT / sheet.um**2)[0])
    sites = scatter(rng, mask & ~cleft, rng.uniform(12, 20) / sheet.um, rng.uniform(0.1, 0.45))
    add_nuclei_along(rng, sheet, sites, across, SPINDLE_NUCLEUS)


def _crimped(rng: Rng, sheet: TissueSheet) -> tuple[Field, Field]:
    """A course with the crimp of collagen: waves of 20 to 50 um along the fibres."""
    along, across = course(rng, sheet.shape, sheet.um, rng.uniform(0.4, 1.4))
    phase = along / np.float32(rng.uniform(18, 45) / 2) + 2 * sheet.noise(rng, 120)
    across = across + np.sin(phase) * np.float32(rng.uniform(0, 4))
    # Torn fibres do not lie quite parallel.
    across = across + sheet.noise(rng, 6) * np.float32(rng.choice([0.0, rng.uniform(0, 1.2)]))
    return along, as_field(across)


def _bundles(
    rng: Rng, sheet: TissueSheet, along: Field, across: Field
) -> tuple[Field, Field, Field]:
    """Haematoxylin, eosin, and the broad tone of the bundles."""
    um, fray = sheet.um, np.float32(rng.uniform(0.1, 0.32))
    fine = crossed_streaks(rng, along, across, 30, max(1.6, 1.2 * um), um) * sheet.seen(1.6)
    thread = streaks(rng, along, across, 10, max(0.9, um)) * np.float32(sheet.seen(1.0))
    bundle = streaks(rng, along, across, 110, 9)
    broad = streaks(rng, along, across, 300, 40)
    gleam = streaks(rng, along, across, 22, 2.2) + 0.6 * sheet.noise(rng, 35)
    gleam = np.clip(gleam - rng.uniform(0.6, 1.8), 0, 1) * np.float32(0.75 * sheet.seen(2.0))
    e = 1 + fray * fine + np.float32(0.6) * fray * thread + 0.16 * bundle + 0.1 * broad
    h = 1 + fray * (fine + thread) + 0.4 * bundle
    e *= rng.uniform(0.4, 0.85) * (1 - gleam)
    h *= rng.uniform(0.04, 0.22) * (1 - gleam)
    return as_field(h), as_field(e), broad


def _clefts(
    rng: Rng, sheet: TissueSheet, mask: Mask, way: tuple[Field, Field], broad: Field
) -> Mask:
    """White splits between the bundles."""
    white = streaks(rng, *way, rng.uniform(14, 50), rng.uniform(2.5, 7))
    white = white + 0.7 * broad + 0.8 * sheet.noise(rng, 24) + 0.25 * sheet.noise(rng, 4)
    share = float(rng.choice([0.02, 0.06, rng.uniform(0.0, 0.28)]))
    return top_share(as_field(white), share, mask)


def lay_loose(rng: Rng, sheet: TissueSheet, mask: Mask) -> None:
    """Lay loose connective tissue or oedematous marrow: thin fibres and few cells in white."""
    if not mask.any():
        return
    e, across = _fibre_web(rng, sheet)
    sheet.lay(mask, e * np.float32(rng.uniform(0.15, 0.8)), e, CELL)
    busy = sheet.noise(rng, 120) > rng.uniform(-1.5, 0.8)
    sites = np.concatenate(
        [
            scatter(rng, mask, 18 / sheet.um, rng.uniform(0.05, 0.4)),
            scatter(rng, mask & busy, 9 / sheet.um, rng.uniform(0, 0.3)),
        ]
    )
    spindle = rng.random(len(sites)) < rng.uniform(0.3, 0.9)
    add_nuclei_along(rng, sheet, sites[spindle], across, SPINDLE_NUCLEUS)
    add_nuclei_along(rng, sheet, sites[~spindle], across, ROUND_NUCLEUS)


def _fibre_web(rng: Rng, sheet: TissueSheet) -> tuple[Field, Field]:
    """Eosin of thin fibres in several directions, and the coordinate across the last of them."""
    um, shape = sheet.um, sheet.shape
    angle, contrast = rng.uniform(0, np.pi), rng.uniform(0.12, 0.3)
    e = np.clip(1 + 0.5 * sheet.noise(rng, 60), 0, 3) * rng.choice([0.01, rng.uniform(0.01, 0.09)])
    across = e
    for _ in range(int(rng.integers(4, 8))):
        along, across = course(rng, shape, um, rng.uniform(0.8, 2.2), angle + rng.normal(0, 0.5))
        field = streaks(rng, along, across, rng.uniform(25, 130), rng.uniform(6, 22))
        e = e + _fibre_lines(rng, sheet, field) * rng.uniform(0.5, 1.7) * contrast
    e = e + _fibre_lines(rng, sheet, sheet.noise(rng, rng.uniform(6, 14))) * contrast * 0.5
    patch = np.clip(sheet.noise(rng, 90) - 0.9, 0, 1) * rng.uniform(0, 0.4)
    e = e + patch * np.clip(1 + 0.4 * sheet.noise(rng, 5), 0, 2)
    return as_field(e), as_field(across)


def _fibre_lines(rng: Rng, sheet: TissueSheet, field: Field) -> Field:
    """Thin lines where a field passes zero, here strong and there gone."""
    field = field + np.float32(0.05) * sheet.noise(rng, 4)
    strength = np.clip(0.35 + 0.6 * sheet.noise(rng, 45), 0, 1.5) * sheet.seen(1.6)
    return as_field(np.exp(-np.abs(field) / max(0.09, 0.1 * sheet.um)) * strength)
