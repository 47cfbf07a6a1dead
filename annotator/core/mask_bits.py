"""Masks as a database keeps them: row by row, eight pixels a byte, deflated."""

from __future__ import annotations

import zlib

import numpy as np

from annotator.core.objects import BoolMask


def pack_mask(mask: BoolMask) -> bytes:
    """Bits of a mask, (h, w) bool, deflated."""
    return zlib.compress(np.packbits(mask).tobytes())


def unpack_mask(bits: bytes, shape: tuple[int, int]) -> BoolMask:
    """The mask that :func:`pack_mask` packed.

    Parameters
    ----------
    bits : bytes
    shape : (int, int)
        Its height and width.

    Raises
    ------
    ValueError
        When the bits are damaged, or those of a mask of another size.

    Examples
    --------
    >>> unpack_mask(pack_mask(np.array([[True, False, True]])), (1, 3)).tolist()
    [[True, False, True]]
    """
    count = shape[0] * shape[1]
    try:
        packed = np.frombuffer(zlib.decompress(bits), np.uint8)
    except zlib.error as error:
        raise ValueError(f"expected deflated bits: {error}") from error
    # numpy would fill up what is missing with zeros.
    if len(packed) != -(-count // 8):
        raise ValueError(f"expected the bits of {count} pixels, got {len(packed)} bytes")
    return np.unpackbits(packed, count=count).astype(np.bool_).reshape(shape)
