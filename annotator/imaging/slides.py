"""Whole slides: what a file holds, an overview of it, and any part of it at any scale.

Read by OpenSlide: SVS, NDPI, SCN, MRXS, BIF, VSI, DICOM and tiled TIFF. A part is read from the
coarsest level that is fine enough, and each of its pixels is the mean of the area that it
covers: no level is ever in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import openslide
from numpy.typing import NDArray

from annotator.core.errors import ImageError
from annotator.imaging.area_sampling import AxisSampling, sample_areas, sample_axis
from annotator.imaging.slide_region import SlideRegion

Pixels = NDArray[np.uint8]
_PLAUSIBLE_UM = (0.05, 20.0)
# Sides of a pixel that differ by more than this share are no rounding.
_SQUARE = 0.05
# Levels whose widths and heights are reduced by factors that differ by more than this share.
_ONE_ASPECT = 0.02
# A level that is coarser than what is asked for by less than this share is fine enough.
_NEARLY = 1.001
_MOST_PIXELS = 120_000_000
_OPEN_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class SlideLevel:
    """One level of the pyramid.

    Parameters
    ----------
    shape : (int, int)
        Height and width, px.
    downsample : float
        How many pixels of the finest level one of its pixels spans, along a side.
    """

    shape: tuple[int, int]
    downsample: float


@dataclass(frozen=True, slots=True)
class SlideInfo:
    """What the file of a slide says of itself.

    Parameters
    ----------
    path : Path
    vendor : str
        As OpenSlide names the format: ``aperio``, ``hamamatsu``, ``generic-tiff``...
    levels : tuple of SlideLevel
        Finest first.
    um_per_px : float or None
        Of the finest level; None where the file does not say it plausibly.
    objective : float or None
        Magnification.
    notes : tuple of str
        What a person should know.
    """

    path: Path
    vendor: str
    levels: tuple[SlideLevel, ...]
    um_per_px: float | None
    objective: float | None
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the finest level, px."""
        return self.levels[0].shape


class Slide:
    """An open slide. Use it as a context, or call :meth:`close`.

    Attributes
    ----------
    info : SlideInfo
    """

    def __init__(self, path: Path, handle: Any) -> None:
        self._handle = handle
        self.info = _info(path, handle)
        self._background = _background(handle.properties)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._handle.close()

    def um_per_px(self, given: float | None = None) -> float:
        """Microns per pixel of the finest level: as a person said it, else as the file does.

        Raises
        ------
        ImageError
            When nobody says it.
        """
        known = given or self.info.um_per_px
        if known is None:
            raise ImageError(
                "the slide does not say how large a pixel is; give it with --slide-um-per-px "
                "(a scan at 40x is about 0.25, at 20x about 0.5)"
            )
        return known

    def shape_at(self, um_per_px: float, given: float | None = None) -> tuple[int, int]:
        """Height and width of the whole slide at a scale, px; whole pixels alone."""
        step = um_per_px / self.um_per_px(given)
        height, width = self.info.shape
        return max(1, int(height / step)), max(1, int(width / step))

    def read(self, region: SlideRegion) -> Pixels:
        """A part of the slide, (H, W, 3) uint8 RGB.

        Raises
        ------
        ImageError
            When the region does not lie in the slide, or its data are damaged.
        """
        height, width = self.shape_at(region.um_per_px, region.slide_um_per_px)
        if region.x + region.width > width or region.y + region.height > height:
            raise ImageError(
                f"expected a region inside {width} x {height} px at {region.um_per_px:g} um/px, "
                f"got one that ends at {region.x + region.width}, {region.y + region.height}"
            )
        step = region.um_per_px / self.um_per_px(region.slide_um_per_px)
        return self._sampled((region.x, region.y), (region.height, region.width), step)

    def overview(self, longest: int = 2000) -> tuple[Pixels, float]:
        """The whole slide, small.

        Parameters
        ----------
        longest : int
            Longest side, px.

        Returns
        -------
        pixels : (h, w, 3) uint8
            RGB.
        step : float
            Pixels of the finest level that one of them spans.
        """
        height, width = self.info.shape
        step = max(1.0, max(height, width) / longest)
        shape = max(1, int(height / step)), max(1, int(width / step))
        return self._sampled((0, 0), shape, step), step

    def _sampled(self, corner: tuple[int, int], shape: tuple[int, int], step: float) -> Pixels:
        """Sample a rectangle; corner and shape in samples, the step in px of the finest level."""
        number = self._level_for(step)
        level = self.info.levels[number]
        own = step / level.downsample
        across = sample_axis(corner[0] * own, own, shape[1], level.shape[1])
        down = sample_axis(corner[1] * own, own, shape[0], level.shape[0])
        return sample_areas(self._part(number, down, across), down, across)

    def _level_for(self, step: float) -> int:
        """The coarsest level that is as fine as the step, or the finest."""
        fine = [n for n, level in enumerate(self.info.levels) if level.downsample <= step * _NEARLY]
        return fine[-1] if fine else 0

    def _part(self, number: int, down: AxisSampling, across: AxisSampling) -> Pixels:
        level = self.info.levels[number]
        size = across.stop - across.start, down.stop - down.start
        if size[0] * size[1] > _MOST_PIXELS:
            raise ImageError(
                f"expected levels between which a part can be read, got {size[0]} x {size[1]} px "
                f"to read from level {number}; save the slide as a pyramid"
            )
        place = round(across.start * level.downsample), round(down.start * level.downsample)
        try:
            found = self._handle.read_region(place, number, size)
        except openslide.OpenSlideError as error:
            raise ImageError(
                f"its data are damaged at x {place[0]}, y {place[1]} of the finest level: {error}"
            ) from error
        return _on_background(np.asarray(found), self._background)


def open_slide(path: Path) -> Slide:
    """Open a slide.

    Raises
    ------
    ImageError
        With what was expected, what came and what to do.
    """
    if not path.is_file():
        raise ImageError("expected the file of a slide, got no file")
    try:
        if openslide.OpenSlide.detect_format(str(path)) is None:
            raise ImageError(
                "expected a whole slide (SVS, NDPI, SCN, MRXS, DICOM, tiled TIFF), got a file that "
                "OpenSlide does not know; a field that is no slide goes to trephine annotate"
            )
        handle = openslide.OpenSlide(str(path))
    except openslide.OpenSlideError as error:
        raise ImageError(
            f"the slide cannot be opened: {error}; it may have been cut short while it was copied"
        ) from error
    try:
        return Slide(path, handle)
    except BaseException:
        handle.close()
        raise


def read_region(region: SlideRegion) -> Pixels:
    """Read a region of a slide that stays open for the next one, (H, W, 3) uint8 RGB.

    Raises
    ------
    ImageError
        When the slide cannot be opened, or the region not be read.
    """
    try:
        state = region.slide.stat()
    except OSError as error:
        raise ImageError(f"the slide cannot be read: {error.strerror or error}") from error
    key = (region.slide, state.st_size, state.st_mtime_ns)
    try:
        return _kept_open(*key).read(region)
    except ImageError:
        # OpenSlide reads nothing more from a handle that met an error.
        _kept_open.cache_clear()
        raise


@lru_cache(maxsize=_OPEN_AT_ONCE)
def _kept_open(path: Path, size: int, modified_ns: int) -> Slide:
    return open_slide(path)


def _info(path: Path, handle: Any) -> SlideInfo:
    levels = tuple(
        SlideLevel((height, width), float(downsample))
        for (width, height), downsample in zip(
            handle.level_dimensions, handle.level_downsamples, strict=True
        )
    )
    properties: Mapping[str, str] = handle.properties
    um_per_px, notes = _pixel_size(properties)
    return SlideInfo(
        path,
        str(properties.get(openslide.PROPERTY_NAME_VENDOR, "")),
        levels,
        um_per_px,
        _number(properties, openslide.PROPERTY_NAME_OBJECTIVE_POWER),
        (*notes, *_level_notes(levels)),
    )


def _pixel_size(properties: Mapping[str, str]) -> tuple[float | None, tuple[str, ...]]:
    """Microns per pixel, and what is odd with them."""
    across = _number(properties, openslide.PROPERTY_NAME_MPP_X)
    down = _number(properties, openslide.PROPERTY_NAME_MPP_Y)
    if across is None or down is None:
        return None, ("it does not say how large a pixel is",)
    if abs(across - down) > _SQUARE * max(across, down):
        return None, (f"its pixels are not square ({across:g} x {down:g} um): no size is taken",)
    if not _PLAUSIBLE_UM[0] <= across <= _PLAUSIBLE_UM[1]:
        return None, (f"it says that a pixel is {across:g} um wide, which no microscope makes",)
    found = (across + down) / 2
    objective = _number(properties, openslide.PROPERTY_NAME_OBJECTIVE_POWER)
    if objective and not 0.6 < found * objective / 10 < 1.7:
        return found, (
            f"it says {found:g} um per pixel and an objective of {objective:g}x, which do not fit "
            "each other; the first is taken",
        )
    return found, ()


def _level_notes(levels: tuple[SlideLevel, ...]) -> tuple[str, ...]:
    height, width = levels[0].shape
    notes = []
    for number, level in enumerate(levels[1:], start=1):
        tall, wide = height / level.shape[0], width / level.shape[1]
        rounding = 2 * max(1 / level.shape[0], 1 / level.shape[1])
        if abs(tall - wide) > (_ONE_ASPECT + rounding) * max(tall, wide):
            notes.append(
                f"level {number} is reduced by {wide:.2f} across and {tall:.2f} down: it shows "
                "something else, or is stretched"
            )
    if len(levels) == 1 and max(height, width) > 20_000:
        notes.append("it has no coarser levels: overviews of it take long")
    return tuple(notes)


def _number(properties: Mapping[str, str], name: str) -> float | None:
    try:
        found = float(properties.get(name, ""))
    except ValueError:
        return None
    return found if np.isfinite(found) and found > 0 else None


def _background(properties: Mapping[str, str]) -> tuple[int, int, int]:
    """The colour of what was not scanned: as the file says, else white as an empty slide."""
    text = properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "ffffff")
    try:
        return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)
    except ValueError:
        return 255, 255, 255


def _on_background(rgba: Pixels, background: tuple[int, int, int]) -> Pixels:
    """RGB of RGBA: what was not scanned is transparent."""
    alpha = rgba[..., 3]
    rgb = np.ascontiguousarray(rgba[..., :3])
    if (alpha == 255).all():
        return rgb
    share = alpha[..., None].astype(np.float32) / 255
    mixed = rgb * share + np.array(background, np.float32) * (1 - share)
    return np.floor(mixed + 0.5).astype(np.uint8)
