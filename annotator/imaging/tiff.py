"""TIFF -> RawImage: decode the page that is the picture, and say what its samples mean.

The decoder is tifffile with imagecodecs; this module decides what a file means.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from annotator.core.errors import ImageError
from annotator.core.objects import BoolMask
from annotator.imaging.convert import RawImage, check_size, library
from annotator.imaging.pixel_size import Spacing, aperio_spacing, imagej_unit, ome_spacing
from annotator.imaging.tiff_pages import TiffPages, find_picture, open_pages
from annotator.imaging.tiff_segments import left_out, paint_left_out
from annotator.settings.images import ReadSettings

_JPEG = {6, 7, 34892, 33007}
_APERIO_YCBCR = 33003
_RAW_YCBCR = {1, 5, 8, 32946}  # uncompressed, LZW, deflate
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
            file = open_pages(handle)
        picture = find_picture(file)
        page = picture.planes[0]
        check_size(page.imagewidth, page.imagelength, settings)
        for plane in picture.planes:
            _check_samples(plane)
        absent = left_out(picture.planes, size, settings)
        with library("TIFF"):
            planes = [_samples(plane) for plane in picture.planes]
            spacings = _spacings(file, page)
        if len(planes) > 1:
            samples = np.concatenate(planes, axis=-1)
            decoded = RawImage(samples, "rgb", None, _orientation(page), _icc(page), spacings)
        else:
            decoded = _decoded(page, planes[0], spacings)
        decoded = replace(decoded, notes=picture.notes + decoded.notes)
        return _with_empty_slide(decoded, page, absent, settings) if absent.any() else decoded


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


def _check_samples(page: Any) -> None:
    """Refuse what is not unsigned 8-bit (or 16-bit, or packed) samples of a known colour."""
    if page.compression not in tifffile.TIFF.DECOMPRESSORS:
        raise ImageError(
            f"expected a TIFF compression that can be read, got {_compression_name(page)}; "
            "export the field without compression, or with LZW or JPEG"
        )
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
    if photometric == 6 and page.compression not in _JPEG | _RAW_YCBCR | {_APERIO_YCBCR}:
        raise ImageError("expected RGB, got YCbCr that is not JPEG; export the field as RGB")
    if photometric == 6 and (page.planarconfig == 2 or _is_packed_chroma(page)):
        raise ImageError(
            "expected RGB, got YCbCr in planes or with subsampled colours, uncompressed; "
            "export the field as RGB"
        )


def _compression_name(page: Any) -> str:
    name = getattr(page.compression, "name", "")
    return f"number {int(page.compression)}" + (f" ({name})" if name else "")


def _is_packed_chroma(page: Any) -> bool:
    """Whether colours are subsampled outside a JPEG, which nobody unpacks."""
    tag = page.tags.get(530)
    # By the standard 2 x 2 where it is not said.
    subsampling = tuple(tag.value) if tag is not None else (2, 2)
    return page.compression in _RAW_YCBCR and subsampling != (1, 1)


def _samples(page: Any) -> NDArray[Any]:
    """Decode a page, (H, W, C)."""
    page.is_jfif = _holds_jfif(page)
    # (planes, 1, H, W, channels)
    samples: NDArray[Any] = page.asarray(squeeze=False, maxworkers=1)
    return np.moveaxis(samples[:, 0, :, :, 0], 0, -1) if len(samples) > 1 else samples[0, 0]


def _holds_jfif(page: Any) -> bool:
    """Whether JPEG strips or tiles say JFIF, and so are YCbCr whatever the tags call them.

    tifffile asks the first one alone, which may have been left out.
    """
    file = page.parent.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset > 0 and count > 10 and page.compression in _JPEG:
            file.seek(offset + 6)
            return bool(file.read(4) == b"JFIF")
    return False


def _with_empty_slide(
    decoded: RawImage, page: Any, absent: BoolMask, settings: ReadSettings
) -> RawImage:
    """Show strips or tiles that were left out as empty slide."""
    samples = decoded.samples
    # 16 bits: white is the brightest sample, so that a range of 12 or 14 bits still shows.
    white = np.full(samples.shape[2], 255 if samples.dtype == np.uint8 else samples.max())
    if decoded.model == "cmyk":
        white[:4] = 0
    painted = samples if samples.flags.writeable else samples.copy()
    note = paint_left_out(painted, absent, page, white, settings)
    return replace(decoded, samples=painted, notes=(*decoded.notes, note))


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
    return RawImage(samples, model, alpha, _orientation(page), _icc(page), spacings, tuple(notes))


def _orientation(page: Any) -> int:
    tag = page.tags.get(274)
    return int(tag.value) if tag is not None and isinstance(tag.value, int) else 1


def _icc(page: Any) -> bytes | None:
    tag = page.tags.get(34675)
    return bytes(tag.value) if tag is not None and isinstance(tag.value, bytes) else None


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


def _spacings(file: TiffPages, page: Any) -> tuple[Spacing, ...]:
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
