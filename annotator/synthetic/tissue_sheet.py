"""The sheet on which tissue is drawn: stains and truth of a field in the making.

The modules that draw tissue share their words: `rng` is a numpy generator, `sheet` a
:class:`TissueSheet`, `mask` (H, W) bool says where, and "lay" means to replace what was there.
Stains are optical density (natural logarithm). Lengths are microns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, UNLABELLED
from annotator.synthetic.noise import (
    Field,
    Mask,
    Points,
    Rng,
    as_field,
    broad_noise,
    distance,
    gaussian,
    hex_points,
    inside,
    mosaic,
    pick,
    soft,
)
from annotator.synthetic.stain_bone import ellipse_distance, tangents


@dataclass(slots=True, eq=False)
class TissueSheet:
    """Stains and truth of a field while it is drawn; the methods that lay tissue change it.

    Parameters
    ----------
    um : float
        Microns per pixel.
    h, e, grey : (H, W) float32
        Haematoxylin, eosin, and what absorbs all colours; optical density.
    codes : (H, W) uint8
        0 bg, 1 fat, 2 cell, 3 bone, 255 not counted.
    ids : (H, W) int32
        One id for each adipocyte, 0 elsewhere.
    """

    um: float
    h: Field
    e: Field
    grey: Field
    codes: NDArray[np.uint8]
    ids: NDArray[np.int32]

    @classmethod
    def empty(cls, shape: tuple[int, int], um: float) -> TissueSheet:
        """An empty slide of a height and width, px."""
        h, e, grey = (np.zeros(shape, np.float32) for _ in range(3))
        return cls(um, h, e, grey, np.full(shape, BG, np.uint8), np.zeros(shape, np.int32))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.codes.shape[0], self.codes.shape[1]

    @property
    def everywhere(self) -> Mask:
        """A mask of the whole frame."""
        return np.ones(self.shape, np.bool_)

    def noise(self, rng: Rng, scale: float) -> Field:
        """Smooth noise, mean 0 and standard deviation 1, that varies over `scale` um."""
        return broad_noise(rng, self.shape, scale / self.um)

    def seen(self, width: float) -> float:
        """How strongly something of `width` um still shows, 0..1: less than a pixel fades."""
        return min(1.0, width / self.um)

    def depth(self, mask: Mask) -> Field:
        """How deep each pixel lies in the mask, um; 0 outside."""
        return distance(mask) * np.float32(self.um)

    def softened(self, mask: Mask, width: float = 0.5) -> Field:
        """The mask in 0..1 with an edge blurred over `width` um, at least half a pixel."""
        return gaussian(mask.astype(np.float32), max(0.6, width / self.um))

    def lay(self, mask: Mask, h: Any, e: Any, code: int) -> None:
        """Lay tissue of one class over the mask; negative stain counts as none."""
        h, e = (np.broadcast_to(np.maximum(as_field(v), 0), self.shape) for v in (h, e))
        self.h[mask], self.e[mask], self.grey[mask] = h[mask], e[mask], 0
        self.codes[mask], self.ids[mask] = code, 0

    def cut(self, mask: Mask, code: int = BG) -> None:
        """Cut a hole: nothing is left but the slide."""
        self.lay(mask, 0.0, 0.0, code)

    def wash(self, share: Field) -> None:
        """Take a share, (H, W) float32 in 0..1, of both stains away."""
        self.h *= 1 - share
        self.e *= 1 - share

    def doubt(self, mask: Mask) -> None:
        """Leave the class of the mask open."""
        self.codes[mask], self.ids[mask] = UNLABELLED, 0


Lay = Callable[[Rng, TissueSheet, Mask], None]
"""A function that lays one kind of tissue over a mask."""


def scatter(rng: Rng, mask: Mask, spacing: float, share: float = 1.0) -> Points:
    """Random points on a mask.

    Parameters
    ----------
    rng : numpy.random.Generator
    mask : (H, W) bool
    spacing : float
        Distance between neighbours before any is left out, px; 2 at least.
    share : float
        Share of the points to keep, 0..1.

    Returns
    -------
    (N, 2) float64
        x y, px.
    """
    shape = (mask.shape[0], mask.shape[1])
    points = hex_points(rng, shape, float(max(spacing, 2.0)), 0.3)
    points = points[inside(points, shape) & (rng.random(len(points)) < share)]
    chosen: Points = points[pick(mask, points)]
    return chosen


@dataclass(frozen=True, slots=True)
class Nucleus:
    """What the nuclei of one kind of cell are like: half axes, um, and haematoxylin."""

    long: float
    short: float
    dark: float = 1.2


SPINDLE_NUCLEUS = Nucleus(4.5, 1.0, 1.1)
ROUND_NUCLEUS = Nucleus(2.5, 2.0, 1.4)
FLAT_NUCLEUS = Nucleus(3.5, 1.4, 1.25)


def add_nuclei(
    rng: Rng, sheet: TissueSheet, points: Points, turn: NDArray[np.float64], kind: Nucleus
) -> None:
    """Stain nuclei at points.

    Parameters
    ----------
    rng : numpy.random.Generator
    sheet : TissueSheet
        Stained in place.
    points : (N, 2) float64
        Centres, x y px; those beyond the frame are left out.
    turn : (N,) float64
        Direction of the long axis, radians.
    kind : Nucleus
    """
    within = inside(points, sheet.shape)
    points, turn = points[within], turn[within]
    n, um = len(points), sheet.um
    if not n:
        return
    size = np.exp(rng.normal(0, 0.25, (2, n)))
    cells = mosaic(sheet.shape, points)
    signed = ellipse_distance(
        cells,
        turn,
        np.maximum(kind.long * size[0] / um, 0.5),
        np.maximum(kind.short * size[1] / um, 0.4),
    )
    fade = sheet.seen((kind.long * kind.short * np.pi) ** 0.5)
    dark = as_field(kind.dark * fade * np.exp(rng.normal(0, 0.25, n)))
    cover = soft(signed, max(1.0, 0.5 / um)) * dark[cells.index]
    sheet.h += cover * (1 + np.float32(0.15) * rng.standard_normal(sheet.shape, np.float32))
    sheet.e += cover * np.float32(0.15)


def add_nuclei_along(
    rng: Rng, sheet: TissueSheet, points: Points, field: Field, kind: Nucleus
) -> None:
    """Stain nuclei that lie along the level lines of a field, (H, W) float32."""
    if len(points):
        add_nuclei(rng, sheet, points, tangents(field, points, 8 / sheet.um), kind)
