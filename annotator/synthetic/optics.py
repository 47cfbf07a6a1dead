"""Fill the lumens, and turn optical densities into a picture.

Light that passes stained tissue is weakened by the Beer-Lambert law: what arrives at the camera
is ``I = I0 * exp(-sum_s(c_s * a_s))``, with the amount ``c_s`` of each stain and its absorption
``a_s`` of red, green and blue. Densities here are natural logarithms and without a unit.

References
----------
Ruifrok and Johnston, "Quantification of histochemical staining by color deconvolution", Anal
Quant Cytol Histol 23, 2001: the absorptions of haematoxylin and eosin.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, FAT
from annotator.imaging.codecs import decode_jpeg, encode_jpeg
from annotator.synthetic.layout import Layout
from annotator.synthetic.noise import (
    Field,
    Rng,
    as_field,
    gaussian,
    smooth_noise,
)
from annotator.synthetic.outlines import Band, band_outline, fill
from annotator.synthetic.settings import PhantomSettings
from annotator.synthetic.stain import Stains

# Absorption of red, green and blue. Haematoxylin and eosin follow Ruifrok and Johnston except
# in blue, where laboratories differ most: haematoxylin's is set here, eosin's by the settings
# (`eosin_warmth`). Grey is folded membrane, dust and shadow.
_HAEMATOXYLIN = (0.65, 0.70, 0.38)
_EOSIN = (0.12, 0.93)
_GREY = (0.60, 0.62, 0.42)


def empty_lumens(rng: Rng, settings: PhantomSettings, layout: Layout, stains: Stains) -> Stains:
    """Remove the stain from fat and background, then add what real lumens hold.

    That is mounting film, haze, pink content, streaks, specks and folds: adipocytes in a
    section are seldom clean, and are not all white.

    Parameters
    ----------
    rng : numpy.random.Generator
    settings : PhantomSettings
    layout : Layout
    stains : Stains
        Those of the tissue, as if it filled the lumens too.

    Returns
    -------
    Stains
        With `grey` filled; all (H, W) float32, optical density.
    """
    um, shape = settings.um_per_px, settings.shape
    fat = layout.classes == FAT
    lumen = fat | (layout.classes == BG)
    # Empty lumens, with a film over all glass and a breath of pink.
    h = np.where(lumen, 0, stains.haematoxylin).astype(np.float32)
    e = np.where(lumen, 0, stains.eosin).astype(np.float32)
    grey = np.zeros(shape, np.float32)
    grey += mounting_film(rng, shape, um) * np.where(fat, 1.0, 0.5 * lumen).astype(np.float32)
    e += lumen * np.clip(smooth_noise(rng, shape, 35.0 / um) * 0.012 + 0.008, 0, 1)

    # Which adipocytes hold something is drawn for each as a whole.
    count = int(layout.instances.max()) + 1
    owner = np.where(fat, layout.instances, 0)
    hazy = (
        _chosen(rng, count, settings.stained_fat, 0.03, 0.16) + _chosen(rng, count, 1.0, 0, 0.025)
    )[owner]
    pink = _chosen(rng, count, 0.4 * settings.stained_fat, 0.04, 0.22)[owner]
    streaky = _chosen(rng, count, settings.folds, 0.05, 0.3)[owner]
    # Haze in clouds, and pink content with the grain of precipitated protein.
    cloud = np.clip(0.7 + 0.5 * smooth_noise(rng, shape, 22.0 / um), 0, 2)
    grey += hazy * cloud
    curd = 0.75 + 0.15 * smooth_noise(rng, shape, 1.5 / um) + 0.3 * cloud
    e += pink * np.clip(curd + 0.2 * smooth_noise(rng, shape, 7.0 / um), 0, 1.6)
    h += pink * np.float32(0.15)
    # Streaks, specks of debris and folds.
    grey += streaky * _streaks(rng, settings)
    specks = smooth_noise(rng, shape, 2.2 / um) + 0.5 * smooth_noise(rng, shape, 14.0 / um)
    grey += streaky * np.clip(specks - np.float32(2.9), 0, 1) * np.float32(6.0)
    folds = _folds(rng, settings, layout) * fat
    grey += folds
    # A wall thinner than a pixel shades the two lumens that it parts.
    wall = gaussian(layout.seams, 0.5)
    e += (folds + 3 * wall) * np.float32(0.25)
    h += wall * np.float32(0.2)
    return Stains(h, e, grey)


def mounting_film(rng: Rng, shape: tuple[int, int], um: float) -> Field:
    """The film of mounting medium on clear glass, optical density: facets, creases, dust."""
    first, second = (smooth_noise(rng, shape, s / um) for s in (55.0, 30.0))
    facets = (first > 0) * np.float32(0.014) + (second > 0.3) * np.float32(0.012)
    crease = np.exp(-((first / np.float32(0.02 * max(1.0, um))) ** 2))
    crease *= np.clip(second, 0, 1) * np.float32(0.06)
    dust = np.clip(smooth_noise(rng, shape, 1.2 / um) - np.float32(3.4), 0, 1) * np.float32(0.8)
    grain = smooth_noise(rng, shape, 3.0 / um) * np.float32(0.006)
    return as_field(np.maximum(facets + crease + dust + grain, 0))


def _chosen(rng: Rng, count: int, share: float, low: float, high: float) -> Field:
    """A random strength for each instance, 0 for those that are not drawn, (count,) float32."""
    strength = rng.uniform(low, high, count) * (rng.random(count) < share)
    strength[0] = 0.0
    return as_field(strength)


def _streaks(rng: Rng, settings: PhantomSettings) -> Field:
    """Broad soft bands in one direction, as of a wrinkled film, (H, W) float32 in 0..1."""
    um, (height, width) = settings.um_per_px, settings.shape
    angle = rng.uniform(0, np.pi)
    x = np.arange(width, dtype=np.float32)[None, :] * np.float32(np.cos(angle) * um)
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(np.sin(angle) * um)
    along = x + y + smooth_noise(rng, settings.shape, 70.0 / um) * np.float32(6.0)
    wave = np.sin(along * np.float32(2 * np.pi / 27.0)) + np.sin(
        along * np.float32(2 * np.pi / 43.0)
    )
    return as_field(np.clip(wave * 0.7 - 0.35, 0, 1) * np.float32(0.6))


def _folds(rng: Rng, settings: PhantomSettings, layout: Layout) -> Field:
    """Dark wavy creases across some of the adipocytes, optical density, (H, W) float32."""
    um, shape = settings.um_per_px, settings.shape
    canvas = np.zeros(shape, np.uint8)
    centres = _centres(layout)
    centres = centres[rng.random(len(centres)) < settings.folds]
    for path in _wavy_paths(rng, np.repeat(centres, rng.integers(1, 4, len(centres)), 0), um):
        width = max(1, round(rng.uniform(0.5, 1.8) / um))
        cv2.polylines(canvas, [path], False, int(rng.integers(50, 200)), width, cv2.LINE_AA, 4)
    crease = canvas.astype(np.float32) * np.float32(1 / 255 * min(1.0, 1.4 / um))
    shadow = gaussian(crease, max(1.5 / um, 0.4))
    uneven = np.clip(0.7 + 0.5 * smooth_noise(rng, shape, 3.0 / um), 0, 1.5)
    return as_field(crease * uneven + 0.4 * shadow)


def _wavy_paths(rng: Rng, centres: NDArray[np.float64], um: float) -> NDArray[np.int32]:
    """Winding lines that start near the centres, (N, 24, 2) int32: x y in 1/16 px for OpenCV."""
    n, steps = len(centres), 24
    heading = rng.uniform(0, 2 * np.pi, (n, 1)) + np.cumsum(rng.normal(0, 0.28, (n, steps)), 1)
    step = rng.uniform(8.0, 45.0, (n, 1)) / um / steps
    path = np.stack([np.cumsum(np.cos(heading) * step, 1), np.cumsum(np.sin(heading) * step, 1)], 2)
    path += (centres + rng.normal(0, 10.0 / um, (n, 2)))[:, None]
    return np.round(path * 16).astype(np.int32)


def _centres(layout: Layout) -> NDArray[np.float64]:
    """Centre of gravity of every adipocyte, (N, 2) float64: x y, px."""
    y, x = np.nonzero(layout.classes == FAT)
    owner = layout.instances[y, x]
    weight = np.bincount(owner)
    seen = weight > 0
    return np.stack([np.bincount(owner, v)[seen] / weight[seen] for v in (x, y)], 1)


def photograph(rng: Rng, settings: PhantomSettings, stains: Stains) -> NDArray[np.uint8]:
    """Photograph a stained section: light, lens, sensor and file in turn.

    Parameters
    ----------
    rng : numpy.random.Generator
    settings : PhantomSettings
    stains : Stains
        (H, W) float32 each, optical density.

    Returns
    -------
    (H, W, 3) uint8
        RGB.

    Examples
    --------
    Without any stain the picture is the empty slide:

    >>> clear = np.zeros((64, 64), np.float32)
    >>> plain = PhantomSettings(shape=(64, 64), illumination=0.0, noise=0.0)
    >>> photograph(np.random.default_rng(0), plain, Stains(clear, clear, clear))[0, 0].tolist()
    [236, 230, 238]
    """
    eosin = np.array([*_EOSIN, settings.eosin_warmth], np.float32)
    eosin /= np.linalg.norm(eosin)
    h = stains.haematoxylin * np.float32(settings.haematoxylin)
    e = stains.eosin * np.float32(settings.eosin)
    h, e = _overlap(rng, settings, h, e)
    light = _lamp(rng, settings)
    # The lens blurs light, not density; the sensor adds its noise behind the lens.
    planes = []
    for channel in range(3):
        density = h * np.float32(_HAEMATOXYLIN[channel]) + e * eosin[channel]
        density += stains.grey * np.float32(_GREY[channel])
        plane = np.exp(-density) * light * np.float32(settings.white[channel])
        if settings.blur > 0:
            plane = gaussian(plane, settings.blur)
        plane += rng.standard_normal(settings.shape, np.float32) * np.float32(settings.noise)
        planes.append(np.clip(np.rint(plane), 0, 255).astype(np.uint8))
    return _through_jpeg(np.dstack(planes), settings.jpeg)


def _overlap(rng: Rng, settings: PhantomSettings, h: Field, e: Field) -> tuple[Field, Field]:
    """Strengthen both stains along bands where the section lies folded on itself.

    The truth there is that of the tissue below, as if it were not folded.
    """
    um, (height, width) = settings.um_per_px, settings.shape
    mask = np.zeros(settings.shape, np.uint8)
    for _ in range(settings.pleats):
        band = Band(rng.uniform(80.0, 500.0) / um, rng.uniform(3.0, 12.0) / um, 0.15, 0.1, 0.9)
        start = rng.random(2) * (width, height)
        fill(mask, band_outline(rng, start, rng.uniform(0, np.pi), band))
    if not settings.pleats:
        return h, e
    gain = 1 + np.float32(0.75) * gaussian(mask.astype(np.float32), max(1.5 / um, 0.5))
    return h * gain, e * gain


def _lamp(rng: Rng, settings: PhantomSettings) -> Field:
    """Uneven illumination, (H, W) float32 around 1: a tilt, and a fall towards the corners."""
    height, width = settings.shape
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    tilt = rng.uniform(-0.5, 0.5, 2)
    fall = x * np.float32(tilt[0]) + y * np.float32(tilt[1]) - np.float32(0.5) * (x * x + y * y) / 2
    return as_field(1 + np.float32(settings.illumination) * fall)


def _through_jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """The pixels after they were saved as JPEG and read again; unchanged for quality 0."""
    if not quality:
        return pixels
    decoded = decode_jpeg(encode_jpeg(pixels, quality))
    if decoded is None:
        raise ValueError(f"cannot read back {pixels.shape} {pixels.dtype} as JPEG")
    return decoded
