"""TIFF -> Decoded: choose the page, check that all of it is there, decode it.

The decoder is tifffile with imagecodecs; this module decides what a file means.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from annotator.core.errors import ImageError
from annotator.imaging.convert import RawImage, check_size, library
from annotator.imaging.pixel_size import (
    Spacing,
    aperio_spacing,
    imagej_unit,
    ome_colour_planes,
    ome_spacing,
)
from annotator.settings.images import ReadSettings

_MOST_PAGES = 64  # no pyramid has more; a long stack is recognised well before
_NUMBERS = (
    "imagewidth", "imagelength", "imagedepth", "tilewidth", "tilelength", "rowsperstrip",
    "samplesperpixel", "planarconfig", "photometric", "compression", "subfiletype",
)  # fmt: skip
_JPEG = {6, 7, 34892, 33007}
_APERIO_YCBCR = 33003
_NDPI = 65420  # a tag that every NDPI file has
_TIFF_UNIT_UM = {2: 25400.0, 3: 1e4}
_PHOTOMETRIC = {
    3: "palette",
    4: "a transparency mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "a raw camera mosaic",
    34892: "linear raw",
}


@dataclass(frozen=True, slots=True)
class _File:
    """What is needed of an open TIFF: its pages, and what its first page says."""

    pages: tuple[Any, ...]
    description: str
    aperio: bool


def read_tiff(handle: BinaryIO, size: int, settings: ReadSettings) -> RawImage:
    """Decode the full-resolution page of a TIFF or BigTIFF.

    Parameters
    ----------
    handle : binary file
        Open and seekable.
    size : int
        Of the file, in bytes.
    settings : ReadSettings

    Raises
    ------
    ImageError
        For a stack, sample types other than 8 or 16-bit unsigned, unsupported
        colours, missing data, or what tifffile cannot decode.
    """
    with _quiet():
        with library("TIFF"):
            file = _open(handle)
        colours = _colour_planes(file)
        page = colours[0] if colours else _full_resolution(file)
        check_size(page.imagewidth, page.imagelength, settings)
        for each in colours or (page,):
            _check_samples(each)
            _check_complete(each, size, settings)
        with library("TIFF"):
            planes = [
                _contiguous(each.asarray(squeeze=False, maxworkers=1))
                for each in colours or (page,)
            ]
            spacings = _spacings(file, page)
        if colours:
            return _joined_planes(page, planes, spacings)
        return _decoded(page, planes[0], spacings)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep tifffile's log lines about odd tags off the user's terminal."""
    logger = logging.getLogger("tifffile")

    def reject(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(reject)
    try:
        yield
    finally:
        logger.removeFilter(reject)


def _open(handle: BinaryIO) -> _File:
    # is_ndpi: tifffile would otherwise go by the file's name
    tif: Any = tifffile.TiffFile(handle, is_ndpi=False)
    top = list(islice(tif.pages, _MOST_PAGES))
    pages = list(top)
    for page in top:
        if page.subifds:
            pages += islice(page.pages, _MOST_PAGES)
    foreign = (
        "a Hamamatsu NDPI slide" if top and _NDPI in top[0].tags
        else "a Zeiss LSM stack" if tif.is_lsm
        else "a MetaMorph STK stack" if tif.is_stk
        else ""
    )  # fmt: skip
    if foreign:
        raise ImageError(
            f"expected a TIFF image, got {foreign}; export the field as plain TIFF or PNG"
        )
    for page in pages:
        _check_tags(page)
    pages = [p for p in pages if p.imagewidth > 0 and p.imagelength > 0]
    if not pages:
        raise ImageError("expected a TIFF image, but there is no picture in it; export it again")
    return _File(tuple(pages), str(top[0].description or ""), bool(tif.is_svs))


def _check_tags(page: Any) -> None:
    """Check that numbers are numbers: a damaged tag comes as a tuple or a text."""
    wrong = [name for name in _NUMBERS if not isinstance(getattr(page, name), int)]
    if wrong:
        raise ImageError(
            f"expected a number as {wrong[0]}, got {getattr(page, wrong[0])!r:.60}; "
            "the TIFF is damaged: copy or export it again"
        )


def _colour_planes(file: _File) -> tuple[Any, ...]:
    """The pages of red, green and blue of an OME-TIFF that keeps each by itself, or none.

    Converters write RGB so. Three stains under fluorescence look alike to a reader: planes
    with other names than those of the three colours stay a stack.
    """
    largest = max(p.imagewidth * p.imagelength for p in file.pages)
    full = [p for p in file.pages if p.imagewidth * p.imagelength == largest]
    kinds = {(p.imagewidth, p.samplesperpixel, p.bitspersample, int(p.photometric)) for p in full}
    names = ome_colour_planes(file.description)
    if len(full) != 3 or names is None or len(kinds) > 1 or kinds.pop()[1:] != (1, 8, 1):
        return ()
    return tuple(full[at] for at in names)


def _joined_planes(
    page: Any, planes: Sequence[NDArray[Any]], spacings: tuple[Spacing, ...]
) -> RawImage:
    samples = np.concatenate(planes, axis=-1)
    notes = ("planes of red, green and blue joined",)
    return RawImage(samples, "rgb", None, _orientation(page), None, spacings, notes)


def _full_resolution(file: _File) -> Any:
    """The largest page, if all others are smaller views of it (or a slide's label).

    Two pages of one size are a stack (focus, time, channels): which plane to
    annotate is not ours to choose.
    """
    full = max(file.pages, key=lambda p: p.imagewidth * p.imagelength)
    images = re.search(r"^images=(\d+)", file.description, re.MULTILINE)
    planes = int(images[1]) if images and file.description.startswith("ImageJ=") else 1
    others = [p for p in file.pages if p is not full and not _is_view(p, full, file.aperio)]
    if others or planes > 1 or full.imagedepth > 1:
        count = max(len(others) + 1, planes, full.imagedepth)
        raise ImageError(
            f"expected one picture (or a pyramid of it), got a stack of {count} different pages; "
            "save the plane to annotate as a file of its own"
        )
    return full


def _is_view(page: Any, full: Any, aperio: bool) -> bool:
    """Whether a page is a reduced copy, a mask or a label rather than another picture."""
    if aperio or page.subfiletype & 0b101:
        return True
    if page.imagewidth >= full.imagewidth or page.imagelength >= full.imagelength:
        return False
    x, y = page.imagewidth / full.imagewidth, page.imagelength / full.imagelength
    # levels are rounded to whole pixels
    rounding = 1 / min(full.imagewidth, full.imagelength)
    return bool(abs(x - y) <= 0.01 * max(x, y) + rounding)


def _check_samples(page: Any) -> None:
    """Refuse what is not unsigned 8-bit (or 16-bit, or packed) samples of a known colour."""
    formats = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
    kind = formats.get(page.sampleformat or 1, "undefined")
    bits, colours, photometric = page.bitspersample, page.samplesperpixel, page.photometric
    if kind != "unsigned" or bits not in (1, 2, 4, 8, 16):
        raise ImageError(
            f"expected 8-bit RGB, got {bits}-bit {kind} samples, whose black and white points "
            "are unknown; export the field as 8-bit RGB"
        )
    allowed = {0: (1, 2), 1: (1, 2), 2: (3, 4), 3: (1,), 5: (4,), 6: (3,)}.get(photometric, ())
    if colours not in allowed:
        name = _PHOTOMETRIC.get(photometric, "grey" if photometric in (0, 1) else "RGB")
        raise ImageError(
            f"expected RGB, got {colours} channel(s) of {name}; export the field as 8-bit RGB"
        )
    packed, wide = photometric in (0, 1, 3), photometric in (0, 1, 2, 5)
    if (bits < 8 and not packed) or (bits == 16 and not wide):
        name = _PHOTOMETRIC.get(photometric, "RGB")
        raise ImageError(
            f"expected 8-bit RGB, got {bits}-bit {name}; export the field as 8-bit RGB"
        )
    if photometric == 6 and page.compression not in _JPEG | {_APERIO_YCBCR, 1, 5, 8, 32946}:
        raise ImageError("expected RGB, got YCbCr that is not JPEG; export the field as RGB")


def _check_complete(page: Any, size: int, settings: ReadSettings) -> None:
    """Check that every strip or tile lies in the file: tifffile fills missing ones with 0."""
    offsets, counts = page.dataoffsets, page.databytecounts
    if page.is_contiguous:
        present = offsets[0] + page.nbytes <= size
    else:
        present = min(len(offsets), len(counts)) >= _segments(page, settings) and all(
            offset > 0 and count > 0 and offset + count <= size
            for offset, count in zip(offsets, counts, strict=False)
        )
    if not present:
        raise ImageError(
            "expected a complete TIFF, but strips or tiles of the picture are missing; "
            "the file is truncated or was never finished: copy or export it again"
        )


def _segments(page: Any, settings: ReadSettings) -> int:
    """How many strips or tiles the page must have."""
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    if not page.is_tiled:
        return int(planes * math.ceil(page.imagelength / max(1, page.rowsperstrip)))
    width, length = page.tilewidth, page.tilelength
    # one tile is decoded whole, and may be larger than the picture
    if min(width, length) < 1 or width * length > max(settings.max_pixels, 1 << 24):
        raise ImageError(
            f"expected tiles that fit the picture, got tiles of {width} x {length} px; "
            "the TIFF is damaged: copy or export it again"
        )
    across, down = math.ceil(page.imagewidth / width), math.ceil(page.imagelength / length)
    return int(planes * across * down)


def _contiguous(samples: NDArray[Any]) -> NDArray[Any]:
    """(planes, 1, H, W, channels) as tifffile stores it -> (H, W, C)."""
    if len(samples) > 1:
        return np.moveaxis(samples[:, 0, :, :, 0], 0, -1)
    contiguous: NDArray[Any] = samples[0, 0]
    return contiguous


def _decoded(page: Any, samples: NDArray[Any], spacings: tuple[Spacing, ...]) -> RawImage:
    notes: list[str] = []
    photometric = int(page.photometric)
    model: Literal["grey", "rgb", "cmyk"] = "rgb"
    if photometric in (0, 1):
        model, samples = "grey", _grey(page, samples, notes)
    elif photometric == 3:
        samples = _expand_palette(page, samples)
        notes.append("palette expanded to RGB")
    elif photometric == 5:
        model = "cmyk"
    if page.compression == _APERIO_YCBCR or (photometric == 6 and page.compression not in _JPEG):
        samples = _ycbcr_to_rgb(samples)
    samples, alpha = _alpha(page, samples, model, notes)
    tag = page.tags.get(34675)
    icc = bytes(tag.value) if tag is not None and isinstance(tag.value, bytes) else None
    return RawImage(samples, model, alpha, _orientation(page), icc, spacings, tuple(notes))


def _orientation(page: Any) -> int:
    tag = page.tags.get(274)
    return int(tag.value) if tag is not None and isinstance(tag.value, int) else 1


def _grey(page: Any, samples: NDArray[Any], notes: list[str]) -> NDArray[Any]:
    """Scale packed greys to 0-255, and turn white-is-zero round."""
    bits = int(page.bitspersample)
    if bits < 8:
        notes.append(f"{bits}-bit samples scaled to 8 bits")
        samples = samples.astype(np.uint8) * np.uint8(255 // ((1 << bits) - 1))
    if page.photometric == 0 and samples.dtype == np.uint8:
        notes.append("white-is-zero inverted")
        samples = samples.copy()
        samples[..., 0] = 255 - samples[..., 0]
    return samples


def _expand_palette(page: Any, samples: NDArray[Any]) -> NDArray[np.uint8]:
    colours = page.colormap
    if colours is None or colours.ndim != 2 or colours.shape[1] <= int(samples.max()):
        raise ImageError("expected a palette that holds every colour; the TIFF is damaged")
    # 16-bit entries by the standard; some writers put 0-255 there
    table = (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8).T
    expanded: NDArray[np.uint8] = np.ascontiguousarray(table)[samples[..., 0].astype(np.uint8)]
    return expanded


def _ycbcr_to_rgb(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Full-range BT.601, as JPEG has it."""
    import cv2

    order = np.ascontiguousarray(samples[..., [0, 2, 1]])
    return np.asarray(cv2.cvtColor(order, cv2.COLOR_YCrCb2RGB), np.uint8)


def _alpha(
    page: Any, samples: NDArray[Any], model: str, notes: list[str]
) -> tuple[NDArray[Any], Literal["straight", "premultiplied"] | None]:
    """Say what a channel beyond the colours is; one that is not called alpha is dropped."""
    colours = {"grey": 1, "rgb": 3, "cmyk": 4}[model]
    if samples.shape[2] == colours:
        return samples, None
    kind = int(page.extrasamples[0]) if page.extrasamples else 0
    if kind == 1:
        return samples, "premultiplied"
    if kind == 2:
        return samples, "straight"
    notes.append("an extra channel that is not called alpha was dropped")
    return samples[..., :colours], None


def _spacings(file: _File, page: Any) -> tuple[Spacing, ...]:
    """Stated pixel sizes, the most explicit first."""
    text = file.description
    shape = (int(page.imagelength), int(page.imagewidth))
    found = [ome_spacing(text, shape), aperio_spacing(text)]
    resolution = _resolution(page)
    if resolution is not None:
        tag = page.tags.get(296)
        unit = _TIFF_UNIT_UM.get(int(tag.value) if tag is not None else 2)
        imagej = imagej_unit(text)
        x, y = resolution
        if imagej is not None:
            found.append(Spacing(imagej / x, imagej / y, "ImageJ", explicit=True))
        elif unit is not None:
            found.append(Spacing(unit / x, unit / y, "TIFF resolution"))
    return tuple(s for s in found if s is not None)


def _resolution(page: Any) -> tuple[float, float] | None:
    """Pixels per unit in x and y, or None."""
    values = []
    for code in (282, 283):
        tag = page.tags.get(code)
        value: Sequence[int] = tag.value if tag is not None else (0, 1)
        if len(value) != 2 or not value[0] or not value[1]:
            return None
        values.append(value[0] / value[1])
    return values[0], values[1]
