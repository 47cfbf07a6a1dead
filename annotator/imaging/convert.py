"""From decoded samples to 8-bit RGB: pure functions on arrays, every change noted.

The decoders hand over a :class:`RawImage` (what the file holds), and
:func:`to_rgb` makes of it what the rest of the line works on.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageCms

from annotator.core.errors import ImageError
from annotator.imaging.pixel_size import Spacing
from annotator.settings.images import ReadSettings

# What Pillow, tifffile, imagecodecs and lxml raise on damaged files, found by mutating files:
# a damaged count or offset becomes an IndexError or a MemoryError as easily as a ValueError.
LIBRARY_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    ImageCms.PyCMSError,
    struct.error,
    zlib.error,
)
# sRGB profiles of several makers differ by a few levels; a linear one by more than 60.
_SRGB_TOLERANCE = 24
_STRIP = 256  # rows converted at a time, so that temporary copies stay small
TURNED = "turned upright"
"""How the note of an image begins whose file says that it is to be turned."""
_MODEL_NAMES = {"grey": "greyscale", "rgb": "RGB", "cmyk": "CMYK"}


@dataclass(frozen=True, slots=True, eq=False)
class RawImage:
    """Decoded samples, as the file holds them.

    Parameters
    ----------
    samples : (H, W, C) uint8 or uint16
        Colour channels, then alpha where there is any; 0 is dark (CMYK: no ink).
    model : {"grey", "rgb", "cmyk"}
    alpha : {None, "straight", "premultiplied"}
        What the last channel is, if it is not a colour.
    orientation : int
        EXIF and TIFF orientation, 1-8; anything else counts as 1.
    icc : bytes or None
        Embedded colour profile.
    spacings : tuple of Spacing
        Stated pixel sizes, the most trusted first.
    notes : tuple of str
        What was converted on the way here.
    """

    samples: NDArray[Any]
    model: Literal["grey", "rgb", "cmyk"]
    alpha: Literal["straight", "premultiplied"] | None = None
    orientation: int = 1
    icc: bytes | None = None
    spacings: tuple[Spacing, ...] = ()
    notes: tuple[str, ...] = ()


@contextmanager
def library(kind: str) -> Iterator[None]:
    """Keep a decoding library quiet, and turn what it raises into an `ImageError`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except LIBRARY_ERRORS as error:
            raise ImageError(
                f"expected a complete {kind} image, but it cannot be decoded "
                f"({last_line(error)}); the file is truncated or damaged: copy or export it again"
            ) from error


def last_line(error: BaseException) -> str:
    """The last line of an error's text, or its type where it has none.

    Examples
    --------
    >>> last_line(ValueError("first\\nsecond "))
    'second'
    >>> last_line(MemoryError())
    'MemoryError'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


def check_size(width: int, height: int, settings: ReadSettings) -> None:
    """Refuse what is too large or too small, from the header alone.

    Raises
    ------
    ImageError
    """
    if min(width, height) < settings.min_side:
        raise ImageError(
            f"expected an image of at least {settings.min_side} px a side, got "
            f"{width} x {height} px; is this a thumbnail? (setting min_side)"
        )
    if width * height > settings.max_pixels:
        raise ImageError(
            f"expected at most {settings.max_pixels / 1e6:g} million pixels, got "
            f"{width} x {height} = {width * height / 1e6:.4g} million; "
            "cut it into fields (of a whole slide: trephine slides fields), or raise max_pixels "
            "where memory allows"
        )


def to_rgb(decoded: RawImage) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Convert samples to upright 8-bit sRGB.

    Parameters
    ----------
    decoded : RawImage
        (H, W, C) samples.

    Returns
    -------
    pixels : (H, W, 3) uint8
    notes : tuple of str
        One short sentence a change, the decoded's own first.

    Raises
    ------
    ImageError
        16-bit samples whose range is not known, CMYK without a profile, or
        an alpha channel that hides the whole picture.

    Examples
    --------
    A half transparent black pixel lies on the white of an empty slide.

    >>> samples = np.array([[[0, 0, 0, 127]]], np.uint8)
    >>> pixels, notes = to_rgb(RawImage(samples, "rgb", alpha="straight"))
    >>> pixels.tolist(), notes
    ([[[128, 128, 128]]], ('alpha channel laid over white',))
    """
    notes = list(decoded.notes)
    samples = _to_8_bit(decoded, notes)
    alpha = samples[..., -1] if decoded.alpha else None
    colour = _to_colour(samples[..., :-1] if decoded.alpha else samples, decoded, notes)
    if alpha is not None:
        colour = _over_white(colour, alpha, decoded.alpha == "premultiplied", notes)
    if 2 <= decoded.orientation <= 8:
        colour = orient(colour, decoded.orientation)
        notes.append(f"{TURNED} (orientation {decoded.orientation})")
    return np.ascontiguousarray(colour), tuple(notes)


def _to_8_bit(decoded: RawImage, notes: list[str]) -> NDArray[np.uint8]:
    if decoded.samples.dtype == np.uint8:
        return decoded.samples
    if decoded.model != "rgb":
        raise ImageError(
            f"expected 8-bit RGB, got 16-bit {_MODEL_NAMES[decoded.model]} (fluorescence?), whose "
            "black and white points are unknown; export the stained field as 8-bit RGB"
        )
    colour = decoded.samples[..., :3]
    top = int(colour.max())
    # A bright field has bright pixels: samples that leave the upper half empty are 10, 12 or
    # 14 bits in 16, or a raw exposure, and nothing in the file says which.
    if top < 1 << 15:
        raise ImageError(
            f"expected 16-bit RGB over the full range, but the brightest sample is {top} of 65535 "
            "(12 or 14 bits in 16?); scale it and export it as 8-bit RGB"
        )
    notes.append("16-bit RGB reduced to 8 bits")
    reduced: NDArray[np.uint8] = (decoded.samples >> 8).astype(np.uint8)
    return reduced


def _to_colour(
    samples: NDArray[np.uint8], decoded: RawImage, notes: list[str]
) -> NDArray[np.uint8]:
    if decoded.model == "grey":
        notes.append("greyscale expanded to RGB: there is no stain colour in it")
        return np.repeat(samples[..., :1], 3, axis=2)
    if decoded.icc is not None:
        return _by_profile(samples, decoded.icc, decoded.model, notes)
    if decoded.model == "cmyk":
        raise _no_cmyk_profile("there is no colour profile in it")
    return samples


def _no_cmyk_profile(why: str) -> ImageError:
    return ImageError(
        f"expected RGB, got CMYK (print colours), and {why}, so that its colours are anybody's "
        "guess; export the field as RGB from the original"
    )


def _by_profile(
    samples: NDArray[np.uint8], icc: bytes, model: str, notes: list[str]
) -> NDArray[np.uint8]:
    """Convert to sRGB by an embedded profile; sRGB itself and unusable RGB profiles are skipped."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        name = (profile.profile.profile_description or "unnamed").strip()
        transform = ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            model.upper(),
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        called_srgb = model == "rgb" and "srgb" in name.lower()
        if called_srgb and (not profile.profile.is_matrix_shaper or _changes_little(transform)):
            return samples
        converted = _in_strips(samples, model.upper(), transform)
    except LIBRARY_ERRORS as error:
        if model == "cmyk":
            raise _no_cmyk_profile("its colour profile cannot be used") from error
        kind = _profile_kind(icc)
        what = f"is for {kind}, not RGB," if kind else "cannot be used"
        notes.append(f"the embedded colour profile {what} and was ignored")
        return samples
    notes.append(f"converted to sRGB by the embedded {model.upper()} profile ({name[:60]})")
    return converted


def _changes_little(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a profile that is called sRGB is: there are linear ones of that name."""
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    changed = _in_strips(cube, "RGB", transform)
    return bool(np.abs(changed.astype(int) - cube).max() <= _SRGB_TOLERANCE)


def _profile_kind(icc: bytes) -> str:
    """The colours that a profile is for, where that is clear and they are not RGB."""
    kinds = {b"GRAY": "greyscale", b"CMYK": "CMYK (print colours)", b"Lab ": "CIELAB"}
    return kinds.get(icc[16:20], "") if icc[36:40] == b"acsp" else ""


def _in_strips(
    samples: NDArray[np.uint8], mode: str, transform: ImageCms.ImageCmsTransform
) -> NDArray[np.uint8]:
    out = np.empty((*samples.shape[:2], 3), np.uint8)
    for y in range(0, len(samples), _STRIP):
        strip = np.ascontiguousarray(samples[y : y + _STRIP])
        height, width = strip.shape[:2]
        picture = PillowImage.frombytes(mode, (width, height), strip.tobytes())
        converted = ImageCms.applyTransform(picture, transform)
        out[y : y + height] = np.asarray(converted)
    return out


def _over_white(
    colour: NDArray[np.uint8], alpha: NDArray[np.uint8], premultiplied: bool, notes: list[str]
) -> NDArray[np.uint8]:
    """Lay a partly transparent picture over white, the colour of an empty slide."""
    low, high = int(alpha.min()), int(alpha.max())
    if high == 0:
        raise ImageError(
            "expected a visible picture, but its alpha channel is 0 everywhere; "
            "export it without transparency"
        )
    if low == 255:
        notes.append("opaque alpha channel dropped")
        return colour
    out = np.empty_like(colour)
    for y in range(0, len(colour), _STRIP):
        rows = slice(y, y + _STRIP)
        share = alpha[rows, :, None].astype(np.uint16)
        part = colour[rows].astype(np.uint16)
        # 255 * 255 + 127 < 2**16, so that uint16 holds either sum
        part = part + (255 - share) if premultiplied else _blend(part, share)
        out[rows] = np.minimum(part, 255)
    notes.append("alpha channel laid over white")
    return out


def _blend(part: NDArray[np.uint16], share: NDArray[np.uint16]) -> NDArray[np.uint16]:
    blended: NDArray[np.uint16] = (part * share + 255 * (255 - share) + 127) // 255
    return blended


def orient(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF or TIFF orientation, (H, W, C) or transposed; a view where it can be.

    Examples
    --------
    >>> row = np.array([[[1], [2]]], np.uint8)
    >>> orient(row, 6)[..., 0].tolist()
    [[1], [2]]
    >>> orient(row, 8)[..., 0].tolist()
    [[2], [1]]
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
