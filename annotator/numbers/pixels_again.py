"""The pixels of a known image once more, by a shorter way where that gives the same pixels.

The content hash decides: plain 8-bit RGB as PNG is decoded by libpng alone, in half the time
of the way through :mod:`annotator.imaging.read`; should its hash not be the image's (a profile, an
orientation, another picture), the long way is taken, with all its checks.
"""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import image_id
from annotator.imaging.read import read_image
from annotator.settings.images import ReadSettings

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = 33


def pixels_again(
    path: Path, known_id: str, shape: tuple[int, int], settings: ReadSettings
) -> NDArray[np.uint8] | None:
    """Read an image that the study knows.

    Parameters
    ----------
    path : Path
    known_id : str
        Its content hash.
    shape : (int, int)
        Height and width, as the study knows them.
    settings : ReadSettings

    Returns
    -------
    (H, W, 3) uint8 or None
        RGB; None where the file holds other pixels now.

    Raises
    ------
    ImageError
        When there is no image there that can be read.
    """
    quick = _quick(path, shape)
    if quick is not None and image_id(quick) == known_id:
        return quick
    found = read_image(path, settings)
    return found.pixels if found.id == known_id else None


def _quick(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8] | None:
    """Plain 8-bit RGB of this size, or None; what else is wrong the long way says."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            if not _is_plain(head, shape):
                return None
            data = head + file.read()
        pixels = np.asarray(imagecodecs.png_decode(data))
    except (OSError, ValueError, RuntimeError):
        return None
    return pixels if pixels.shape == (*shape, 3) and pixels.dtype == np.uint8 else None


def _is_plain(head: bytes, shape: tuple[int, int]) -> bool:
    """By the header, before anything is decoded: a PNG of this size, 8 bits, RGB.

    Examples
    --------
    >>> size = struct.pack(">II", 4, 3)
    >>> head = _SIGNATURE + b"\\0\\0\\0\\rIHDR" + size + b"\\x08\\x02" + bytes(7)
    >>> _is_plain(head, (3, 4)), _is_plain(head, (4, 3)), _is_plain(b"BM", (3, 4))
    (True, False, False)
    """
    if len(head) < _HEAD or not head.startswith(_SIGNATURE):
        return False
    width, height, depth, kind = struct.unpack(">IIBB", head[16:26])
    return (height, width, depth, kind) == (*shape, 8, 2)
