"""Pictures as they are sent to CVAT: the pixels that were annotated, and nothing beside them.

A slide's metadata may name the patient. Most fields are PNG files already: their compressed
pixels are taken over, which is far quicker than to pack them again, and all else is left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np

from annotator.core.objects import image_id

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_WITH_PIXELS = (b"IHDR", b"IDAT", b"IEND")
_WORST = 0.75
"""Share of the bytes of bare pixels beyond which a file is better packed again."""


def png_as_it_is(path: Path, known_id: str, shape: tuple[int, int]) -> bytes | None:
    """The PNG in a file without its metadata, where it holds just what was annotated.

    Parameters
    ----------
    path : Path
    known_id : str
        :func:`annotator.core.objects.image_id` of the pixels that were annotated.
    shape : (int, int)
        Height and width, as the study knows them.

    Returns
    -------
    bytes or None
        None for every other file, also for a PNG that is turned, transparent or in colours of a
        profile, and for one that is packed badly.
    """
    try:
        data = path.read_bytes()
        if not data.startswith(_SIGNATURE) or len(data) > _WORST * 3 * shape[0] * shape[1]:
            return None
        bare = pixels_alone(data)
        pixels = np.asarray(imagecodecs.png_decode(bare))
    except (OSError, ValueError, RuntimeError, struct.error):
        return None
    # The id is a hash of the pixels: what the bare file shows is what was annotated, or it isn't.
    plain = pixels.shape == (*shape, 3) and pixels.dtype == np.uint8
    return bare if plain and image_id(pixels) == known_id else None


def pixels_alone(png: bytes) -> bytes:
    """A PNG with its header and its pixels, and nothing else that may be in the file.

    Raises
    ------
    ValueError
        When it ends in the middle.

    Examples
    --------
    >>> from annotator.imaging.codecs import encode_rgb_png
    >>> png = encode_rgb_png(np.zeros((2, 3, 3), np.uint8))
    >>> said = b"Author\\x00Mrs Miller"
    >>> chunk = struct.pack(">I", len(said)) + b"tEXt" + said + bytes(4)
    >>> pixels_alone(png[:33] + chunk + png[33:]) == pixels_alone(png)
    True
    """
    return _SIGNATURE + b"".join(chunk for name, chunk in _chunks(png) if name in _WITH_PIXELS)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and bytes of each chunk, up to the one that ends the picture."""
    start, name = len(_SIGNATURE), b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", png, start)
        end = start + 12 + length
        if end > len(png):
            raise ValueError("expected a whole PNG, got one that ends in the middle")
        yield name, png[start:end]
        start = end
