"""Patches of fields with their truth, as other laboratories might have made them.

Microns per pixel, direction, stain, sharpness and noise of each patch are drawn anew. Stain
is varied in optical density, which is where laboratories differ: how much of each dye lies
in the section, and which colours it absorbs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from annotator.core.classes import CLASS_NAMES, FAT, UNLABELLED
from annotator.core.objects import freeze
from annotator.segmentation.network.architecture import OUTPUT_STRIDE

UNKNOWN = 255
"""In the line: nobody told adipocytes apart here."""

# Optical density of each grey level; black is as dense as grey level 1.
_DENSITY = -np.log(np.maximum(np.arange(256, dtype=np.float32), 1) / 255)
# Room for turning a patch in its window.
_MARGIN = 1.3
# Adipocytes closer than this touch, px of the patch.
_TOUCHING = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class TruthField:
    """A field whose classes are known.

    Parameters
    ----------
    name, patient : str
    pixels : (H, W, 3) uint8
        RGB.
    codes : (H, W) uint8
        Classes; 255 counts for nothing.
    instances : (H, W) uint16 or None
        Adipocytes one by one; None where nobody told them apart.
    um_per_px : float
        Known or guessed.
    weight : float
        How many times as many patches it gives as others.
    is_scale_known : bool
        Whether the scale can be learned from.
    """

    name: str
    patient: str
    pixels: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    instances: NDArray[np.uint16] | None
    um_per_px: float
    weight: float = 1.0
    is_scale_known: bool = True

    def __post_init__(self) -> None:
        shape = self.pixels.shape[:2]
        maps = (self.codes,) if self.instances is None else (self.codes, self.instances)
        if any(each.shape != shape for each in maps):
            raise ValueError(f"expected maps of {shape}, got {[each.shape for each in maps]}")
        for name in ("pixels", "codes", "instances"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, freeze(getattr(self, name)))

    @property
    def depth(self) -> NDArray[np.uint8]:
        """How deep each pixel lies in its adipocyte, (H, W) uint8; see :class:`Patch`."""
        return _depth_of(self)


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A square cut out of a field, and what is known of it at the network's output.

    Parameters
    ----------
    pixels : (S, S, 3) uint8
    codes : (S/2, S/2) uint8
        0-3, 255 for nothing.
    line : (S/2, S/2) uint8
        1 between adipocytes that touch, 0 elsewhere, 255 unknown.
    depth : (S/2, S/2) uint8
        How deep a pixel lies in its adipocyte, 254 at its deepest; 0 outside, 255 unknown.
    um_per_px : float
        As the patch shows it; nan where the scale is not known.
    """

    pixels: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    line: NDArray[np.uint8]
    depth: NDArray[np.uint8]
    um_per_px: float


@dataclass(frozen=True, slots=True)
class PatchSettings:
    """How patches are drawn.

    Parameters
    ----------
    side : int
        Pixels, a multiple of 32.
    finest_um, coarsest_um : float
        Bounds of the microns per pixel, drawn evenly on a logarithmic scale.
    variation : {"stain", "brightness", "none"}
        What is varied of the look: stain, sharpness, noise and compression; brightness alone;
        or nothing, as where a network is judged. With stain the angle and the proportions are
        varied too; else a patch is mirrored and turned by quarters.
    """

    side: int = 256
    finest_um: float = 0.4
    coarsest_um: float = 8.0
    variation: str = "stain"


# Depths of the fields that patches are being drawn of: of each field once.
@lru_cache(maxsize=512)
def _depth_of(field: TruthField) -> NDArray[np.uint8]:
    depth = np.zeros(field.codes.shape, np.uint8)
    if field.instances is None:
        return depth
    numbered = field.instances > 0
    beside = cv2.dilate(numbered.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    depth[(field.codes == UNLABELLED) & ~beside] = UNKNOWN
    depth[(field.codes == FAT) & ~numbered] = UNKNOWN
    for number, window in enumerate(ndi.find_objects(field.instances), 1):
        if window is None:
            continue
        mask = field.instances[window] == number
        # The frame is no border: what it cuts goes on outside.
        padded = np.pad(mask, 1)
        for axis, (span, length) in enumerate(zip(window, field.codes.shape, strict=True)):
            turned = np.moveaxis(padded, axis, 0)
            if span.start == 0:
                turned[0] = turned[1]
            if span.stop == length:
                turned[-1] = turned[-2]
        far = cv2.distanceTransform(padded.astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        depth[window][mask] = np.round(far / far[mask].max() * (UNKNOWN - 1))[mask]
    return depth


def draw_patch(field: TruthField, settings: PatchSettings, rng: np.random.Generator) -> Patch:
    """Cut a patch out of a field, at a scale, place and angle by chance, and vary its look.

    A field smaller than the patch is mirrored at its borders. A patch of which less than a
    tenth is known is drawn again, a few times.
    """
    for _ in range(6):
        cut = _cut(field, settings, rng)
        pixels, codes, instances = cut.pixels, cut.codes, cut.instances
        if np.mean(codes < len(CLASS_NAMES)) >= 0.1:
            break
    known = field.instances is not None or not np.any(codes == FAT)
    if settings.variation != "none":
        pixels = (_vary if settings.variation == "stain" else _brighten)(pixels, rng)
    step = OUTPUT_STRIDE
    agreed = codes[::step, ::step].copy()
    for y, x in ((0, 1), (1, 0), (1, 1)):
        agreed[agreed != codes[y::step, x::step]] = UNLABELLED
    line = _touching_line(instances) if known else np.full_like(codes, UNKNOWN)
    return Patch(
        pixels,
        agreed,
        line.reshape(*agreed.shape[:1], step, -1, step).max((1, 3)),
        (cut.depth if known else np.full_like(codes, UNKNOWN))[::step, ::step].copy(),
        cut.um_per_px if field.is_scale_known else float("nan"),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """A patch before its look is varied."""

    pixels: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    depth: NDArray[np.uint8]
    um_per_px: float


def _cut(field: TruthField, settings: PatchSettings, rng: np.random.Generator) -> _Cut:
    side = settings.side
    height, width = field.codes.shape
    target = np.exp(rng.uniform(np.log(settings.finest_um), np.log(settings.coarsest_um)))
    # Finer than the field is, there is little more to see.
    shrink = max(target / field.um_per_px, 0.7)
    window = int(np.ceil(side * shrink * _MARGIN))
    size = min(window, height), min(window, width)
    y, x = (
        int(rng.integers(0, full - part + 1))
        for full, part in zip((height, width), size, strict=True)
    )
    cut = np.s_[y : y + size[0], x : x + size[1]]
    small = max(round(size[1] / shrink), 8), max(round(size[0] / shrink), 8)
    smoothly = cv2.INTER_AREA if shrink > 1 else cv2.INTER_LINEAR
    instances = field.instances
    if instances is None:
        instances = np.zeros(field.codes.shape, np.uint16)

    turned = _turning(small, side, rng, freely=settings.variation == "stain")

    def warped(values: NDArray[Any], resizing: int, warping: int) -> NDArray[Any]:
        resized = cv2.resize(np.ascontiguousarray(values[cut]), small, interpolation=resizing)
        return np.asarray(
            cv2.warpAffine(
                resized, turned, (side, side), flags=warping, borderMode=cv2.BORDER_REFLECT
            ),
            values.dtype,
        )

    nearest = cv2.INTER_NEAREST
    return _Cut(
        warped(field.pixels, smoothly, cv2.INTER_LINEAR),
        warped(field.codes, nearest, nearest),
        warped(instances, nearest, nearest),
        warped(field.depth, nearest, nearest),
        # The mean of both axes: a patch is stretched a little along each.
        field.um_per_px * shrink / float(np.sqrt(abs(np.linalg.det(turned[:, :2])))),
    )


def _turning(
    size: tuple[int, int], side: int, rng: np.random.Generator, freely: bool
) -> NDArray[np.float64]:
    """Affine map, (2, 3), that turns and mirrors about the middle of a window, (width, height)."""
    tilt, uneven = rng.uniform(-15, 15), rng.uniform(-0.08, 0.08, 2)
    angle = np.deg2rad(90 * rng.integers(4) + tilt * freely)
    stretch = np.exp(uneven * freely) * (1, rng.choice((-1, 1)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * stretch
    shift = np.full(2, side / 2) - turn @ (np.array(size) / 2)
    return np.hstack([turn, shift[:, None]])


def _touching_line(instances: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """1 where two adipocytes meet, grown by a few pixels; (S, S) uint8."""
    free = (instances == 0).astype(np.uint8)
    if free.all():
        return np.zeros(instances.shape, np.uint8)
    far, nearest = cv2.distanceTransformWithLabels(
        free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # Each pixel takes the adipocyte nearest to it; the label of a pixel of it says which.
    which = np.zeros(int(nearest.max()) + 1, np.float32)
    which[nearest[free == 0]] = instances[free == 0]
    grown = np.where(far <= _TOUCHING, which[nearest], 0).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    least = cv2.erode(np.where(grown > 0, grown, np.float32(1e9)), kernel)
    most = cv2.dilate(grown, kernel)
    return np.asarray((least != most) & (most > 0) & (grown > 0), np.uint8)


def _brighten(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light up to a fifth stronger or weaker."""
    scaled = pixels.astype(np.float32) * rng.uniform(0.8, 1.2)
    return np.asarray(np.clip(scaled + 0.5, 0, 255), np.uint8)


def _vary(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another laboratory's stain, light, optics and file."""
    density = _DENSITY[pixels]
    if rng.random() < 0.5:
        density = density * rng.uniform(0.55, 1.6, 3).astype(np.float32)
    else:
        density = density * np.float32(rng.uniform(0.55, 1.6))
    mixing = (np.eye(3) + rng.normal(0, 0.08, (3, 3))).astype(np.float32)
    density = np.maximum(density @ mixing, 0)
    light = rng.uniform(0.85, 1.0) * rng.uniform(0.94, 1.0, 3)
    varied = np.exp(-density) * (255 * light).astype(np.float32)
    if rng.random() < 0.3:
        varied = cv2.GaussianBlur(varied, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.5:
        varied = varied + rng.standard_normal(varied.shape, np.float32) * rng.uniform(0, 7)
    result = np.clip(varied + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))]
        coded = cv2.imencode(".jpg", result, quality)[1]
        result = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(result)
