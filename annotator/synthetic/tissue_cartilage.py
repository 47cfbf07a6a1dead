"""Hyaline cartilage: a smooth matrix, chondrocytes alone and in pairs, dark halos. Class bone."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BONE
from annotator.synthetic.fibres import course, streaks
from annotator.synthetic.noise import Field, Mask, Points, Rng, as_field, inside, mosaic, soft
from annotator.synthetic.stain_bone import ellipse_distance
from annotator.synthetic.tissue_sheet import TissueSheet, scatter


def lay_cartilage(rng: Rng, sheet: TissueSheet, mask: Mask) -> None:
    """Lay hyaline cartilage, from pale pink to bluish violet."""
    if not mask.any():
        return
    h, e = _matrix(rng, sheet)
    sheet.lay(mask, h, e, BONE)
    nests = scatter(rng, mask, rng.uniform(50, 130) / sheet.um, 0.85)
    if len(nests):
        _add_halos(rng, sheet, mask, nests)
        _add_chondrocytes(rng, sheet, mask, *_in_pairs(rng, sheet, nests))
    if rng.random() < 0.35:
        tide = np.exp(-((sheet.noise(rng, 260) / np.float32(0.012 * max(1.0, sheet.um))) ** 2))
        sheet.h += tide * mask * np.float32(0.25)


def _matrix(rng: Rng, sheet: TissueSheet) -> tuple[Field, Field]:
    """Haematoxylin and eosin of the matrix: where one is stronger the other is weaker."""
    along, across = course(rng, sheet.shape, sheet.um, 0.5)
    drift = 0.7 * sheet.noise(rng, 420) + 0.3 * streaks(rng, along, across, 400, 90)
    grain = 0.03 * sheet.noise(rng, 1.0)
    grain += streaks(rng, along, across, 120, 2.2) * np.float32(0.02 * sheet.seen(1.0))
    e = rng.uniform(0.2, 0.75) * (1 + 0.12 * drift + grain + 0.04 * sheet.noise(rng, 60))
    h = rng.uniform(0.05, 0.5) * (1 - 0.35 * drift + grain)
    return as_field(h), as_field(e)


def _add_halos(rng: Rng, sheet: TissueSheet, mask: Mask, nests: Points) -> None:
    """The territorial matrix around each nest takes more haematoxylin."""
    near = mosaic(sheet.shape, nests)
    away = cv2.magnitude(near.dx, near.dy) * np.float32(sheet.um)
    size = as_field(rng.uniform(12, 34, len(nests)))[near.index]
    strength = as_field(rng.uniform(0.0, 0.5, len(nests)) * rng.uniform(0.3, 1.3))[near.index]
    sheet.h += np.exp(-((away / size) ** 2)) * strength * mask


def _in_pairs(rng: Rng, sheet: TissueSheet, nests: Points) -> tuple[Points, NDArray[np.float64]]:
    """Centres and directions of chondrocytes: in half of the nests there are two."""
    count = len(nests)
    pair = rng.random(count) < 0.5
    turn = rng.uniform(0, np.pi, count)
    offset = np.stack([np.cos(turn), np.sin(turn)], 1) * rng.uniform(4, 7, (count, 1)) / sheet.um
    sites = np.concatenate([nests + offset * pair[:, None], (nests - offset)[pair]])
    turn = np.concatenate([turn, turn[pair]]) + np.pi / 2
    within = inside(sites, sheet.shape)
    return sites[within], turn[within] + rng.normal(0, 0.3, int(within.sum()))


def _add_chondrocytes(
    rng: Rng, sheet: TissueSheet, mask: Mask, sites: Points, turn: NDArray[np.float64]
) -> None:
    """Lacunae with a capsule, a white gap, a shrunken cell and its nucleus."""
    count, um = len(sites), sheet.um
    if not count:
        return
    near = mosaic(sheet.shape, sites)
    a, b = rng.uniform(4.5, 9, count) / um, rng.uniform(3.5, 6.5, count) / um
    shows = np.float32(sheet.seen(4.0)) * mask

    def ellipse(share: float) -> Field:
        return soft(ellipse_distance(near, turn, share * a, share * b), 1.3) * shows

    alive = as_field(rng.random(count) < 0.8)[near.index]
    body = ellipse(0.78) * alive * np.clip(0.55 + 0.5 * sheet.noise(rng, 4), 0, 1)
    sheet.h += ellipse(1.35) * np.float32(rng.uniform(0.0, 0.25))
    sheet.wash(ellipse(1.0) * np.float32(rng.uniform(0.6, 0.97)))
    sheet.h += body * np.float32(rng.uniform(0.3, 0.8)) + ellipse(0.43) * alive * np.float32(0.9)
    sheet.e += body * np.float32(0.2)
