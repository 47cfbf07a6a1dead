"""Lay out a phantom: class and instance of every pixel, before any colour.

Lengths are microns until they are divided by `um`, the microns per pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, BONE, CELL, FAT
from annotator.synthetic.adipocytes import adipocytes
from annotator.synthetic.noise import (
    Field,
    Mask,
    Rng,
    as_field,
    distance,
    gaussian,
    hex_points,
    inside,
    pick,
    resize,
    smooth_noise,
    thin,
    top_share,
)
from annotator.synthetic.outlines import Band, band_outline, fill, ragged_edge, split_by_area
from annotator.synthetic.settings import PhantomSettings

SMALLEST_LUMEN = 60.0
"""Square microns; a smaller white spot is part of the tissue, not background."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The truth of a phantom, and what the staining needs to know beyond it.

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
    """Place slide edge, bone, gaps, fat, sinuses, tears and clefts, in this order.

    Parameters
    ----------
    rng : numpy.random.Generator
    settings : PhantomSettings

    Returns
    -------
    Layout
    """
    um = settings.um_per_px
    slide = _slide(rng, settings)
    bone = _bone(rng, settings) & ~slide
    gap = _retraction(rng, settings, bone) & ~slide
    blocked = slide | bone | gap
    ids, broken = adipocytes(rng, settings, blocked)
    ids, opened = _open_at_edge(rng, ids, slide, um)
    # Sinuses and tears keep the width of a wall away from fat and bone.
    fat = ids > 0
    room = distance(~(fat | bone)) * um > settings.wall
    sinus = _bands(rng, settings, settings.sinusoids, _sinus_band) & room
    red_cells = sinus & _floating_cells(rng, settings, sinus)
    tear = _bands(rng, settings, settings.tears, _tear_band) & room
    tissue = room & ~(slide | gap | opened)
    cleft = _clefts(rng, settings, tissue)
    white = slide | opened | gap | tear | (sinus & ~red_cells)
    # White that is too small for a lumen belongs to the tissue: a person would not mark it.
    bg, small = split_by_area((white | cleft) & ~(fat | bone), SMALLEST_LUMEN / um**2)
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
    """The empty slide, (H, W) bool: all beyond a ragged line that cuts off the wanted share."""
    if settings.edge <= 0:
        return np.zeros(settings.shape, np.bool_)
    return ragged_edge(rng, settings.shape, settings.um_per_px, settings.edge)


def _bone(rng: Rng, settings: PhantomSettings) -> Mask:
    """Trabeculae, (H, W) bool: they are added until the wanted share is nearly reached.

    A trabecula that would add almost nothing, or far too much, is drawn again. The share is
    counted on a copy of a quarter of the size, which is sixteen times faster.
    """
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
    """Outline of one trabecula, (M, 2) x y px, of about `room` square microns at most."""
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
    """Round the corners of bone and roughen its surface a little (Howship's lacunae)."""
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
    """White gap between bone and marrow along part of the surface, (H, W) bool."""
    if settings.retraction <= 0 or not bone.any():
        return np.zeros(settings.shape, np.bool_)
    um = settings.um_per_px
    along = smooth_noise(rng, settings.shape, 130.0 / um)
    cut = np.quantile(along[::4, ::4], 1 - settings.retraction)
    width = np.clip((along - cut) * 9.0, 0.0, 18.0) + smooth_noise(rng, settings.shape, 12.0 / um)
    outside = distance(~bone) * np.float32(um)
    gap: Mask = (outside < width) & (along > cut) & ~bone
    return gap


def _seams(ids: NDArray[np.int32], settings: PhantomSettings) -> Field:
    """Share of the wall in pixels where two lumens meet without a pixel of tissue, (H, W)."""
    meet = np.zeros(ids.shape, np.bool_)
    meet[:, 1:] |= (ids[:, 1:] != ids[:, :-1]) & (ids[:, 1:] > 0) & (ids[:, :-1] > 0)
    meet[1:] |= (ids[1:] != ids[:-1]) & (ids[1:] > 0) & (ids[:-1] > 0)
    return meet * np.float32(min(1.0, settings.wall / settings.um_per_px))


def _open_at_edge(
    rng: Rng, ids: NDArray[np.int32], slide: Mask, um: float
) -> tuple[NDArray[np.int32], Mask]:
    """Open most of the adipocytes that the edge of the section cuts; they count as slide.

    Returns
    -------
    ids : (H, W) int32
        Without them, numbered anew.
    opened : (H, W) bool
        Where they were, with the wall towards the slide.
    """
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
    """A random sinus, 8 to 44 um wide."""
    half = float(np.exp(rng.uniform(np.log(4.0), np.log(22.0))))
    return Band(half * rng.uniform(4.0, 14.0) / um, half / um, 0.55, 0.06, 0.9)


def _tear_band(rng: Rng, um: float) -> Band:
    """A random tear, 5 to 28 um wide, with ragged sides."""
    half = float(np.exp(rng.uniform(np.log(2.5), np.log(14.0))))
    return Band(half * rng.uniform(15.0, 45.0) / um, half / um, 0.3, 0.3, 1.0)


def _bands(
    rng: Rng, settings: PhantomSettings, share: float, kind: Callable[[Rng, float], Band]
) -> Mask:
    """Bands of one kind until they cover about a share of the field, (H, W) bool."""
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
    """Red cells scattered in clumps in some of the sinuses, (H, W) bool."""
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
    """Small white clefts in the tissue, (H, W) bool."""
    um = settings.um_per_px
    field = smooth_noise(rng, settings.shape, 7.0 / um)
    field += 0.8 * smooth_noise(rng, settings.shape, 70.0 / um)
    field += 0.35 * smooth_noise(rng, settings.shape, 2.5 / um)
    return top_share(field, settings.clefts, tissue)


def _with_bone(ids: NDArray[np.int32], bone: Mask) -> NDArray[np.int32]:
    """Add an id for each connected piece of bone after the last adipocyte."""
    _, pieces = cv2.connectedComponents(bone.astype(np.uint8), connectivity=8)
    last = int(ids.max()) if ids.size else 0
    return np.where(pieces > 0, pieces + last, ids).astype(np.int32)
