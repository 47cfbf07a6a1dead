"""PNG and JPEG: bytes to arrays and back.

Arrays are RGB or grey; OpenCV's order of channels, blue first, stays inside this module.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from annotator.core.errors import StudyError

JPEG_QUALITY = 90

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Bytes that a map may have unpacked to be read the short way; larger ones go the long way.
_LARGEST_MAP = 1 << 30


def _map_flags() -> list[int]:
    """Label maps: no filter, instead of trying five on each row. Also the quickest to read."""
    flags = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    flags += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT]
    # OpenCV before 4.11 cannot be told, and takes longer.
    filter_flag = getattr(cv2, "IMWRITE_PNG_FILTER", None)
    return flags if filter_flag is None else [*flags, filter_flag, cv2.IMWRITE_PNG_FILTER_NONE]


def encode_png(grey: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Write a (H, W) map of 8 or 16 bits as a grey PNG, lossless.

    Raises
    ------
    ValueError
        When it has another shape or dtype.

    Examples
    --------
    >>> codes = np.array([[0, 3], [255, 1]], np.uint8)
    >>> decode_png(encode_png(codes)).tolist()
    [[0, 3], [255, 1]]
    """
    if grey.ndim != 2 or grey.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected (H, W) uint8 or uint16, got {grey.shape} {grey.dtype}")
    return _encode(".png", grey, _map_flags())


def decode_png(data: bytes) -> NDArray[Any]:
    """Read a grey PNG of 8 or 16 bits, (H, W) uint8 or uint16.

    Raises
    ------
    StudyError
        When the bytes are something else.

    Examples
    --------
    >>> decode_png(b"scribble")
    Traceback (most recent call last):
    annotator.core.errors.StudyError: expected a grey PNG of 8 or 16 bits, got no picture
    """
    quick = _unfiltered_grey(data)
    if quick is not None:
        return quick
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        found = None
    if found is None or found.ndim != 2 or found.dtype not in (np.uint8, np.uint16):
        what = "no picture" if found is None else f"{found.shape} {found.dtype}"
        raise StudyError(f"expected a grey PNG of 8 or 16 bits, got {what}")
    return found


def _unfiltered_grey(data: bytes) -> NDArray[Any] | None:
    """A grey PNG as :func:`encode_png` writes it, unpacked by libdeflate; None for all others.

    Without filters the unpacked bytes are the rows themselves, each after a byte that says so.
    Whatever is odd, damage included, is left to OpenCV.
    """
    try:
        header, packed = _chunks_of_plain_png(data)
        width, height, depth, *rest = struct.unpack(">IIBBBBB", header)
        row = 1 + width * depth // 8
        if depth not in (8, 16) or any(rest) or not 0 < row * height <= _LARGEST_MAP:
            return None
        rows = np.frombuffer(imagecodecs.deflate_decode(packed, out=row * height), np.uint8)
        rows = rows.reshape(height, row)
    except (ValueError, RuntimeError, ImportError, struct.error):
        return None
    if rows[:, 0].any():
        return None
    grey = rows[:, 1:].copy()
    return grey if depth == 8 else grey.view(">u2").astype(np.uint16)


def _chunks_of_plain_png(data: bytes) -> tuple[bytes, bytes]:
    """The header of a PNG and its packed pixels.

    Raises
    ------
    ValueError, struct.error
        When it is no PNG, is damaged, or holds anything else.
    """
    if not data.startswith(_SIGNATURE):
        raise ValueError("no PNG")
    kinds, bodies, at = [], [], len(_SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        named = data[at + 4 : at + 8 + length]
        (check,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(named) != check:
            raise ValueError("damaged")
        kinds.append(named[:4])
        bodies.append(named[4:])
        at += 12 + length
    if kinds[:1] + kinds[-1:] != [b"IHDR", b"IEND"] or {*kinds[1:-1]} != {b"IDAT"}:
        raise ValueError("other parts")
    return bodies[0], b"".join(bodies[1:-1])


def encode_small_png(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Write a grey (H, W) map of 8 or 16 bits, or an RGB (H, W, 3) uint8, as PNG for archives.

    Run lengths alone: of all settings the smallest and the quickest for label maps that are
    packed once and sent often.

    Examples
    --------
    >>> decode_png(encode_small_png(np.array([[0, 300]], np.uint16))).tolist()
    [[0, 300]]
    """
    flags = [cv2.IMWRITE_PNG_COMPRESSION, 6]
    flags += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    return _encode(".png", _other_order(pixels) if pixels.ndim == 3 else pixels, flags)


def encode_rgb_png(rgb: NDArray[np.uint8], quick: bool = False) -> bytes:
    """Write a (H, W, 3) uint8 RGB picture as PNG.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    quick : bool
        Six times as quickly, and 2 % larger.

    Examples
    --------
    OpenCV gives the channels of a red pixel blue first.

    >>> data = encode_rgb_png(np.array([[[200, 0, 0]]], np.uint8))
    >>> cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).tolist()
    [[[0, 0, 200]]]
    """
    # Without flags OpenCV takes its quickest settings.
    return _encode(".png", _other_order(rgb), [] if quick else [cv2.IMWRITE_PNG_COMPRESSION, 6])


def encode_sent_png(rgb: NDArray[np.uint8]) -> bytes:
    """Write a (H, W, 3) uint8 RGB picture as PNG that is sent once: quick, and nearly as small.

    One filter and run lengths: about half the time of :func:`encode_small_png`, and some per cent
    larger.

    Examples
    --------
    >>> data = encode_sent_png(np.array([[[200, 0, 0]]], np.uint8))
    >>> cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).tolist()
    [[[0, 0, 200]]]
    """
    flags = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    flags += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    # OpenCV before 4.11 cannot be told, and takes longer.
    filter_flag = getattr(cv2, "IMWRITE_PNG_FILTER", None)
    flags += [] if filter_flag is None else [filter_flag, cv2.IMWRITE_PNG_FILTER_UP]
    return _encode(".png", _other_order(rgb), flags)


def encode_jpeg(rgb: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> bytes:
    """Write a (H, W, 3) uint8 RGB picture as JPEG; the quality is 1..100.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    >>> len(encode_jpeg(noise, 50)) < len(encode_jpeg(noise))
    True
    """
    return _encode(".jpg", _other_order(rgb), [cv2.IMWRITE_JPEG_QUALITY, quality])


def decode_jpeg(data: bytes) -> NDArray[np.uint8] | None:
    """Read a JPEG, (H, W, 3) uint8 RGB; None when it is damaged.

    Examples
    --------
    >>> grey = np.full((16, 16, 3), 200, np.uint8)
    >>> decode_jpeg(encode_jpeg(grey))[0, 0].tolist()
    [200, 200, 200]
    """
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if bgr is None else _other_order(bgr)


def _other_order(colours: NDArray[Any]) -> NDArray[Any]:
    """RGB as BGR, or back: OpenCV does it in a tenth of the time of a copy by numpy."""
    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2BGR))


def _encode(suffix: str, pixels: NDArray[Any], flags: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, np.ascontiguousarray(pixels), flags)
    if not done:
        raise ValueError(f"cannot encode {pixels.shape} {pixels.dtype} as {suffix}")
    return data.tobytes()
