"""The run lengths in which Label Studio keeps what was brushed.

A stream of bits, the highest bit of each byte first: 32 bits say how many values follow, 5 how
many bits a value has less 1, and four times 4 bits how many bits a count of each of four sizes
has, less 1. Then come blocks: a bit that says whether it is a run, 2 bits for the size of its
count, and the count less 1. A run has one value, any other block as many values as it counts.

The values are red, green, blue and opacity of each pixel, row by row. What was brushed is what
is not transparent.

References
----------
``rle-pack`` of https://github.com/thi-ng/umbrella, which Label Studio uses; read in Python by
``label_studio_sdk.converter.brush``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.core.errors import UsageError
from annotator.core.objects import BoolMask

_CHANNELS = 4
_BITS_OF_LENGTH, _BITS_OF_WORD, _BITS_OF_SIZE, _SIZES = 32, 5, 4, 4
_CUT = "expected run lengths as Label Studio writes them, got a list that ends too early"


def brushed(rle: Sequence[int], frame: tuple[int, int]) -> BoolMask:
    """The pixels that were brushed.

    Parameters
    ----------
    rle : sequence of int
        Bytes, 0-255.
    frame : (int, int)
        Height and width of the image, px.

    Returns
    -------
    (H, W) bool

    Raises
    ------
    UsageError
        When they are not such run lengths, or not those of an image of this size.

    Examples
    --------
    One run of eight values, 255 each: an image of two pixels, both brushed.

    >>> brushed([0, 0, 0, 8, 57, 27, 252, 255, 224], (1, 2)).tolist()
    [[True, True]]
    """
    height, width = frame
    if not isinstance(rle, list) or not all(type(byte) is int and 0 <= byte < 256 for byte in rle):
        raise UsageError("expected run lengths as a list of bytes, 0-255")
    data = bytes(rle)
    bits = _Bits(data)
    count = bits.number(_BITS_OF_LENGTH)
    if count != height * width * _CHANNELS:
        raise UsageError(
            f"expected a brush of {width} x {height} pixels, got {count / _CHANNELS:g} pixels"
        )
    return _values(bits, count).reshape(height, width, _CHANNELS)[..., 3] > 0


def _values(bits: _Bits, count: int) -> NDArray[np.uint32]:
    word = bits.number(_BITS_OF_WORD) + 1
    sizes = [bits.number(_BITS_OF_SIZE) + 1 for _ in range(_SIZES)]
    values = np.zeros(count, np.uint32)
    at = 0
    while at < count:
        is_run = bits.number(1)
        end = at + 1 + bits.number(sizes[bits.number(2)])
        if end > count:
            raise UsageError("expected run lengths that fill the image, got longer ones")
        values[at:end] = bits.number(word) if is_run else bits.numbers(end - at, word)
        at = end
    return values


class _Bits:
    """Numbers of any width, read one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._bits = np.unpackbits(np.frombuffer(data, np.uint8))
        self._at = 0

    def number(self, width: int) -> int:
        """The next number."""
        end = self._at + width
        if end > self._bits.size:
            raise UsageError(_CUT)
        # Only the bytes that hold it are turned into a number: each is read in the same time.
        whole = int.from_bytes(self._data[self._at >> 3 : (end + 7) >> 3], "big")
        self._at = end
        return (whole >> (-end % 8)) & ((1 << width) - 1)

    def numbers(self, count: int, width: int) -> NDArray[np.uint32]:
        """The next numbers of one width, (count,)."""
        end = self._at + count * width
        if end > self._bits.size:
            raise UsageError(_CUT)
        rows = self._bits[self._at : end].reshape(count, width).astype(np.uint32)
        self._at = end
        weights = np.left_shift(np.uint32(1), np.arange(width - 1, -1, -1, dtype=np.uint32))
        values: NDArray[np.uint32] = (rows * weights).sum(axis=1, dtype=np.uint32)
        return values
