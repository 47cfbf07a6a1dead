"""Path -> Image: the only reader of pixels.

What is read: PNG, JPEG, TIFF (strips, tiles, BigTIFF, pyramids, Aperio SVS) and BMP, told
apart by their content, never by their name.

What is trusted for ``um_per_px``, in this order: OME-XML ``PhysicalSizeX``, Aperio
``MPP``, ImageJ's unit, and last the print resolution (TIFF ``XResolution``, PNG ``pHYs``,
JFIF density, BMP pixels per metre), which microscopes fill in truthfully and office
software with 72, 96 or 300 dpi. Hence only sizes between 0.05 and 20 um count
(300 dpi is 85 um), and only square pixels. All else leaves it None.

Peak memory is about three times the decoded picture (height x width x 3 bytes), 3.5 times
with alpha; what is too large is refused from the header, before anything is decoded.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import imagecodecs
import numpy as np
import PIL
import tifffile
from numpy.typing import NDArray
from PIL import BmpImagePlugin, ExifTags, JpegImagePlugin, PngImagePlugin
from PIL.ImageFile import ImageFile

from annotator.core.errors import ImageError
from annotator.core.hashing import fingerprint
from annotator.core.objects import Image
from annotator.imaging.convert import LIBRARY_ERRORS, RawImage, check_size, library, to_rgb
from annotator.imaging.find import SUFFIXES
from annotator.imaging.pixel_size import Spacing, other_pixel_size, pixel_size
from annotator.imaging.slide_region import SlideRegion
from annotator.imaging.tiff import read_tiff
from annotator.settings.images import ReadSettings

# Raised whenever our own code may read a file as other pixels, another size or with other notes.
_VERSION = 1

# Pillow's classes, not Image.open: that one has its own idea of what is too large.
_PLUGINS: dict[str, type[ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
_MAGIC = (
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"II[*+]\0|MM\0[*+]", "TIFF"),
    (rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", "BMP"),
)
_FOREIGN = (
    (rb"GIF8[79]a", "a GIF"),
    (rb"RIFF....WEBP", "a WebP picture"),
    (rb"%PDF", "a PDF document"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript document"),
    (rb"P[1-7]\s", "a PNM picture"),
    (rb"ZISRAWFILE", "a Zeiss CZI slide"),
    (rb"PK\x03\x04", "a zip archive"),
    (rb"\x1f\x8b|BZh|7z\xbc\xaf|Rar!|\xfd7zXZ", "a compressed archive"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (rb"\0\0\0\x0cJXL |\xff\x0a", "a JPEG XL picture"),
    (rb"....ftypavi[fs]", "an AVIF picture"),
    (rb"....ftyp(?:hei|hev|mif|msf)", "a HEIC picture"),
    (rb".{128}DICM", "a DICOM file"),
    (rb"8BPS", "a Photoshop document"),
    (rb"\x89HDF", "an HDF5 file"),
    (rb"\xd0\xcf\x11\xe0", "an Olympus OIB or old Office file"),
    (rb"\x70\0\0\0.{4}\x2a", "a Leica LIF stack"),
    (rb"\0\x05\x16[\x00\x07]", "the companion that macOS keeps beside a file"),
    (rb"version https://git-lfs", "a Git LFS pointer (git lfs pull fetches the picture)"),
    (rb"(?i:\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!doctype svg[^>]*>\s*)?<svg)", "an SVG"),
    (rb"(?i:\s*<(?:!doctype )?html)", "a web page (a failed download?)"),
    (rb"\s*<\?xml", "an XML file"),
)


def reader_key(settings: ReadSettings) -> str:
    """Another one whenever the same file may be read as something else: by others' code, too.

    Examples
    --------
    >>> reader_key(ReadSettings()) == reader_key(ReadSettings())
    True
    """
    decoders = (imagecodecs.__version__, PIL.__version__, tifffile.__version__)
    return fingerprint("reader", _VERSION, *decoders, settings)


def read_image(path: Path, settings: ReadSettings) -> Image:
    """Read one field as 8-bit RGB.

    Converted, with a note: greyscale, 1-bit, palette, alpha (over white: an empty
    slide), orientation, embedded profiles other than sRGB, 16-bit RGB over
    the full range, CMYK with an embedded profile. Refused: CMYK without one (its
    colours are anybody's guess), 16-bit greyscale and 16-bit RGB that leaves the upper
    half of its range empty (the black and white points are unknown), float samples,
    stacks, and all that is damaged.

    Parameters
    ----------
    path : Path
        Of a file, or of a region of a slide (:mod:`annotator.imaging.slide_region`).
    settings : ReadSettings

    Returns
    -------
    Image
        Its ``um_per_px`` is set where the file says so plausibly (see the module).

    Raises
    ------
    ImageError
        With what was expected, what came and what to do. The message does not
        repeat the path: whoever reports it shows the path beside it.
    """
    region = SlideRegion.from_path(path)
    if region is not None and region.slide.is_file():
        return _read_region(region)
    with _open(path) as handle:
        size = os.fstat(handle.fileno()).st_size
        kind = _kind(handle)
        if kind == "TIFF":
            decoded = read_tiff(handle, size, settings)
        else:
            decoded = _read_picture(handle, kind, settings)
    notes = () if path.suffix.lower() in SUFFIXES[kind] else (_misnamed(path, kind),)
    um_per_px, size_notes = pixel_size(decoded.spacings)
    size_notes += other_pixel_size(decoded.spacings, um_per_px)
    pixels, colour_notes = to_rgb(decoded)
    return Image.from_pixels(
        pixels, um_per_px, notes + colour_notes + size_notes + _one_colour(pixels)
    )


def _read_region(region: SlideRegion) -> Image:
    # Opening the library takes longer than many a run without a slide has to spare.
    from annotator.imaging.slides import read_region

    pixels = read_region(region)
    return Image.from_pixels(pixels, region.um_per_px, _one_colour(pixels))


def _one_colour(pixels: NDArray[np.uint8]) -> tuple[str, ...]:
    """A note on a picture of one colour: often what a program makes of tiles it cannot read."""
    colour = pixels[0, 0]
    if (pixels[0] != colour).any() or (pixels != colour).any():
        return ()
    named = {(0, 0, 0): "black", (255, 255, 255): "white"}
    rgb = tuple(colour.tolist())
    return (
        f"every pixel is {named.get(rgb, f'of one colour, {rgb}')}: look at the original, and "
        "export it again if that is not what it shows",
    )


def _misnamed(path: Path, kind: str) -> str:
    return f"named {path.suffix or 'without an extension'} but holds a {kind}"


def _open(path: Path) -> BinaryIO:
    """Open a regular, non-empty file for reading."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            next(path.iterdir(), None)
            raise ImageError("expected an image file, got a folder; name the files, or its parent")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("expected an image file, got a device, pipe or socket; name a file")
        if status.st_size == 0:
            raise ImageError("expected an image, got an empty file (0 bytes); copy it again")
        return path.open("rb")
    except FileNotFoundError as error:
        if path.is_symlink():
            raise ImageError("the link leads to nothing; restore its target") from error
        raise ImageError(
            "no such file; check the name (or the pattern: nothing matches)"
        ) from error
    except PermissionError as error:
        raise ImageError("not allowed to read it; change its permissions") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ImageError(f"cannot be opened: {reason}; check the name and the disk") from error


def _kind(handle: BinaryIO) -> str:
    """Tell the format by the first bytes, or say what the file is instead."""
    head = _read(handle, 1024)
    handle.seek(0)
    for pattern, name in _MAGIC:
        if re.match(pattern, head, re.DOTALL):
            return name
    foreign = [name for pattern, name in _FOREIGN if re.match(pattern, head, re.DOTALL)]
    foreign += ["a text file" if _is_text(head) else "bytes of no known image format"]
    raise ImageError(
        f"expected PNG, JPEG, TIFF or BMP, got {foreign[0]}; export the field as PNG or TIFF"
    )


def _is_text(head: bytes) -> bool:
    return not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", head)


def _read(handle: BinaryIO, count: int = -1) -> bytes:
    try:
        return handle.read(count)
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}; check the disk") from error


def _read_picture(handle: BinaryIO, kind: str, settings: ReadSettings) -> RawImage:
    """Decode a PNG, JPEG or BMP."""
    if kind == "JPEG":
        _check_jpeg_kind(_read(handle))
        handle.seek(0)
    with library(kind):
        picture = _PLUGINS[kind](handle)
    with picture:
        check_size(*picture.size, settings)
        position = handle.tell()
        chunks = _check_png(handle) if kind == "PNG" else None
        if kind == "JPEG":
            _check_jpeg(handle)
        if chunks and chunks.wide:
            return _read_wide_png(handle, picture)
        samples = _plain_png(handle, picture) if chunks and not chunks.exif else None
        if samples is not None:
            return RawImage(samples, "rgb", None, 1, _icc(picture), _spacings(picture, kind), ())
        handle.seek(position)
        with library(kind):
            picture.load()
        return _decoded(picture, kind)


@dataclass(frozen=True, slots=True)
class _PngChunks:
    """What the chunks of a PNG say: 16-bit colour; an orientation, maybe, as EXIF has it."""

    wide: bool
    exif: bool


def _check_png(handle: BinaryIO) -> _PngChunks:
    """Check the chunks of a PNG up to its end.

    Pillow does not check the sums of the pixel data, and stops at the last row.
    """
    handle.seek(8)
    wide = exif = False
    name = b""
    while name != b"IEND":
        header = _read(handle, 8)
        length, name = struct.unpack(">I4s", header) if len(header) == 8 else (1, b"")
        data = _read(handle, length) if length < 1 << 31 else b""
        end = _read(handle, 4)
        if len(data) != length or len(end) != 4:
            raise ImageError(
                "expected a complete PNG, but it ends in the middle (truncated); copy it again"
            )
        # lower case: an optional chunk, no pixels in it
        if name[:1].isupper() and zlib.crc32(data, zlib.crc32(name)) != int.from_bytes(end):
            raise ImageError(
                "expected a sound PNG, but a check sum is wrong (damaged); copy it again"
            )
        if name == b"CgBI":
            raise ImageError(
                "expected a standard PNG, got Apple's variant for iPhones (CgBI), which swaps red "
                "and blue; export the field again on a computer"
            )
        if name == b"IHDR":
            wide = data[8] == 16 and data[9] in (2, 6)
            if data[8:10] == b"\x10\x04":
                raise _no_wide_grey("16-bit greyscale")
        # Where Pillow finds an orientation: EXIF, EXIF as text, and XMP.
        exif |= name in (b"eXIf", b"iTXt") or data.startswith(b"Raw profile type")
    return _PngChunks(wide, exif)


def _check_jpeg_kind(data: bytes) -> None:
    """Check by the header of its frame that a JPEG is one that everybody reads.

    Scanners and cameras write JPEG-LS and 12 bits, which libjpeg calls damaged.
    """
    at = 2
    while at + 5 <= len(data):
        marker = data[at + 1]
        frame = 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)
        if data[at] == 0xFF and (marker == 0xF7 or (frame and data[at + 4] != 8)):
            what = "JPEG-LS" if marker == 0xF7 else f"{data[at + 4]} bits"
            raise ImageError(
                f"expected a JPEG of 8 bits, got {what}; export the field as PNG or TIFF"
            )
        if data[at] != 0xFF or frame or marker == 0xDA:
            return
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4])


def _check_jpeg(handle: BinaryIO) -> None:
    """Check that the data of a JPEG come to their end marker.

    libjpeg paints the rest grey where they do not, and Pillow notices only at
    the end of the file: not when zeros follow, as after an interrupted download.
    """
    handle.seek(0)
    data = _read(handle)
    at = 2
    while at + 4 <= len(data) and data[at : at + 2] != b"\xff\xda":
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4])
    if data.find(b"\xff\xd9", at) < 0:
        raise ImageError(
            "expected a complete JPEG, but its end is missing (truncated); copy it again"
        )


def _plain_png(handle: BinaryIO, picture: ImageFile) -> NDArray[np.uint8] | None:
    """Samples of an 8-bit RGB PNG without transparency, (H, W, 3); None for any other.

    By libspng: the same samples in half of Pillow's time. What it does not take, Pillow
    judges.
    """
    if picture.mode != "RGB" or "transparency" in picture.info:
        return None
    handle.seek(0)
    try:
        samples = imagecodecs.spng_decode(_read(handle))
    except LIBRARY_ERRORS:
        return None
    width, height = picture.size
    fits = samples.shape == (height, width, 3) and samples.dtype == np.uint8
    return samples if fits else None


def _read_wide_png(handle: BinaryIO, picture: ImageFile) -> RawImage:
    """Decode 16-bit colour, of which Pillow would silently drop the lower byte."""
    handle.seek(0)
    data = _read(handle)
    with library("PNG"):
        samples = imagecodecs.png_decode(data)
    if samples.ndim != 3 or samples.shape[2] not in (3, 4):
        raise ImageError("expected RGB or RGBA in a 16-bit PNG; export it as 8-bit RGB")
    alpha: Literal["straight"] | None = "straight" if samples.shape[2] == 4 else None
    notes: list[str] = []
    # Pillow would decode the picture once more to look for EXIF behind it
    orientation = _orientation(picture, notes) if "exif" in picture.info else 1
    spacings = _spacings(picture, "PNG")
    return RawImage(samples, "rgb", alpha, orientation, _icc(picture), spacings, tuple(notes))


def _decoded(picture: ImageFile, kind: str) -> RawImage:
    notes: list[str] = []
    mode = picture.mode
    if mode == "1":
        notes.append("1-bit samples scaled to 8 bits")
        mode = "L"
    elif mode == "P":
        notes.append("palette expanded to RGB")
        mode = "RGB"
    if mode in ("RGB", "L") and "transparency" in picture.info:
        mode += "A"
    if mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        bits = "16-bit greyscale" if mode.startswith("I") else f"samples of type {mode}"
        raise _no_wide_grey(bits)
    orientation = _orientation(picture, notes)
    icc, spacings = _icc(picture), _spacings(picture, kind)
    if kind == "JPEG" and icc is None and _says_adobe_rgb(picture):
        notes.append(
            "EXIF says Adobe RGB, but there is no colour profile: taken as sRGB, a little too pale"
        )
    with library(kind):
        samples = _samples(picture, "RGBA" if mode == "LA" else mode)
    alpha: Literal["straight"] | None = "straight" if mode.endswith("A") else None
    model: Literal["grey", "rgb", "cmyk"] = "rgb"
    if mode in ("L", "LA"):
        model = "grey"
        samples = samples[..., [0, 3]] if alpha else samples
    elif mode == "CMYK":
        model = "cmyk"
    return RawImage(samples, model, alpha, orientation, icc, spacings, tuple(notes))


def _no_wide_grey(what: str) -> ImageError:
    return ImageError(
        f"expected 8-bit RGB, got {what} (fluorescence?), whose black and white points are "
        "unknown; export the stained field as 8-bit RGB"
    )


def _samples(picture: ImageFile, mode: str) -> NDArray[np.uint8]:
    """Samples as (H, W, C), in bands: Pillow's own export makes two more copies."""
    converted = picture if picture.mode == mode else picture.convert(mode)
    width, height = converted.size
    out = np.empty((height, width, len(mode)), np.uint8)
    for y in range(0, height, 256):
        band = converted.crop((0, y, width, min(y + 256, height)))
        out[y : y + 256] = np.asarray(band).reshape(-1, width, len(mode))
    return out


def _orientation(picture: ImageFile, notes: list[str]) -> int:
    try:
        return int(picture.getexif().get(0x0112, 1))
    except LIBRARY_ERRORS:
        notes.append("the EXIF block cannot be read and was ignored")
        return 1


def _says_adobe_rgb(picture: ImageFile) -> bool:
    """Whether a camera marked its picture as Adobe RGB, as DCF 2.0 has it."""
    try:
        return bool(picture.getexif().get_ifd(ExifTags.IFD.Interop).get(1) == "R03")
    except LIBRARY_ERRORS:
        return False


def _icc(picture: ImageFile) -> bytes | None:
    icc = picture.info.get("icc_profile")
    return icc if isinstance(icc, bytes) and icc else None


def _spacings(picture: ImageFile, kind: str) -> tuple[Spacing, ...]:
    """Print resolution as pixel size; JPEG's from JFIF, PNG's and BMP's in pixels per metre."""
    info: dict[Any, Any] = picture.info
    if kind == "JPEG":
        unit = {1: 25400.0, 2: 1e4}.get(info.get("jfif_unit", 0), 0.0)
        x, y = info.get("jfif_density", (0, 0))
    else:
        unit, (x, y) = 25400.0, info.get("dpi", (0, 0))
    if not (unit and x > 0 and y > 0):
        return ()
    return (Spacing(unit / x, unit / y, f"{kind} resolution"),)
