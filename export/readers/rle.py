"""Run lengths of masks, of COCO and of CVAT, read and written without trust.

COCO counts column by column over the whole frame, CVAT row by row inside the box; both
start with the unset pixels.

COCO's are read here and not by pycocotools, which trusts its input: its decoder writes as
many pixels as the runs say. A crop is cut from the runs without ever painting the frame.

A mask shape of CVAT's API is one list of numbers: the runs, then ``left, top, right,
bottom``, all inclusive. The server takes runs that do not add up and boxes beyond the image
without a word; here both are refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.core.errors import UsageError
from annotator.core.objects import BoolMask

Box = tuple[int, int, int, int]
_LONGEST = 7  # characters of a run: 35 bits, more than any frame has pixels


def runs_of_text(text: bytes) -> NDArray[np.int64]:
    """Runs of a compressed RLE, as pycocotools writes its ``counts``.

    Five bits a character, the lowest first, from 48 on; bit 6 says that more come. From the
    fourth run on, the difference from the run two before is kept (``rleToString``).

    Raises
    ------
    UsageError
        When the text is none.

    Examples
    --------
    >>> from pycocotools import mask
    >>> runs_of_text(mask.encode(np.eye(3, dtype=np.uint8, order="F"))["counts"]).tolist()
    [0, 1, 3, 1, 3, 1]
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        part = character - 48
        if not 0 <= part < 64 or shift >= 5 * _LONGEST:
            raise UsageError("expected run lengths of COCO, got other characters")
        value |= (part & 31) << shift
        shift += 5
        if part & 32:
            continue
        if part & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise UsageError("expected whole run lengths of COCO, got a text that ends within one")
    return np.array(runs, np.int64)


def crop_of_runs(runs: NDArray[np.int64], frame: tuple[int, int]) -> tuple[Box, BoolMask] | None:
    """Tight half-open box ``x0 y0 x1 y1`` and the mask in it; None where nothing is set.

    Parameters
    ----------
    runs : (N,) int64
        Pixels, unset and set in turn.
    frame : (int, int)
        Height and width that the runs go over.

    Raises
    ------
    UsageError
        When they do not fill the frame.

    Examples
    --------
    >>> crop_of_runs(np.array([3, 1, 2]), (2, 3))
    ((1, 1, 2, 2), array([[ True]]))
    """
    height, width = frame
    _check(runs, height * width)
    ends = np.cumsum(runs)
    starts, stops = (ends - runs)[1::2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    if not starts.size:
        return None
    # Whole columns first: the rows can only be cut once they are painted.
    x0, x1 = int(starts[0] // height), int((stops[-1] - 1) // height) + 1
    steps = np.zeros((x1 - x0) * height + 1, np.int8)
    np.add.at(steps, starts - x0 * height, 1)
    np.add.at(steps, stops - x0 * height, -1)
    columns = np.cumsum(steps[:-1], dtype=np.int8).astype(np.bool_).reshape(x1 - x0, height)
    rows = np.flatnonzero(columns.any(axis=0))
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    return (x0, y0, x1, y1), np.ascontiguousarray(columns[:, y0:y1].T)


def _check(runs: NDArray[np.int64], area: int) -> None:
    if runs.size > 2 * area + 2:
        raise UsageError(f"expected at most {2 * area + 2} runs in the image, got {runs.size}")
    # A sum of int64 can wrap around; no run may be longer than the image, so first that.
    if runs.size and (runs.min() < 0 or runs.max() > area):
        raise UsageError(f"expected runs of 0 to {area} pixels, the area of the image, got others")
    if int(runs.sum()) != area:
        raise UsageError(
            f"expected runs that add up to {area}, the area of the image, got {int(runs.sum())}"
        )


def encode(mask: BoolMask) -> list[int]:
    """Runs of a mask inside its box.

    Parameters
    ----------
    mask : (h, w) bool
        With at least one pixel.

    Examples
    --------
    >>> encode(np.array([[True, True], [False, True]]))
    [0, 2, 1, 1]
    """
    flat = mask.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs: list[int] = np.diff(np.r_[0, edges, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs


def encode_points(box: Box, mask: BoolMask) -> list[int]:
    """The ``points`` of a mask shape, for a half-open box ``x0 y0 x1 y1``.

    Examples
    --------
    >>> encode_points((5, 3, 7, 4), np.array([[True, True]]))
    [0, 2, 5, 3, 6, 3]
    """
    x0, y0, x1, y1 = box
    return [*encode(mask), x0, y0, x1 - 1, y1 - 1]


def decode(runs: NDArray[np.int64], box: Box, frame: tuple[int, int]) -> BoolMask:
    """The mask inside a half-open box ``x0 y0 x1 y1``.

    Parameters
    ----------
    runs : (N,) int64
        Pixels, unset and set in turn.
    box : (int, int, int, int)
    frame : (int, int)
        Height and width of the image.

    Returns
    -------
    (h, w) bool

    Raises
    ------
    UsageError
        When the box does not lie in the image, or the runs do not fill it.
    """
    x0, y0, x1, y1 = box
    height, width = frame
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise UsageError(f"expected a mask inside {width} x {height}, got the box {box}")
    area = (x1 - x0) * (y1 - y0)
    # A sum of int64 can wrap around; no run may be longer than the box, so first that.
    if runs.size and (runs.min() < 0 or runs.max() > area):
        raise UsageError(f"expected runs of 0 to {area} pixels in the box {box}, got others")
    if runs.size > 2 * area + 1:
        raise UsageError(f"expected at most {2 * area + 1} runs in the box {box}, got {runs.size}")
    if int(runs.sum()) != area:
        raise UsageError(
            f"expected runs that add up to {area}, the area of the box {box}, got {int(runs.sum())}"
        )
    values = (np.arange(runs.size) % 2).astype(np.bool_)
    return np.repeat(values, runs).reshape(y1 - y0, x1 - x0)


def decode_points(points: Sequence[float], frame: tuple[int, int]) -> tuple[Box, BoolMask]:
    """Half-open box and mask of the ``points`` of a mask shape.

    Raises
    ------
    UsageError
        When they are no run lengths with a box behind, or :func:`decode` refuses them.

    Examples
    --------
    >>> decode_points([0.0, 2.0, 5.0, 3.0, 6.0, 3.0], (10, 10))
    ((5, 3, 7, 4), array([[ True,  True]]))
    """
    numbers = np.asarray(points, np.float64)
    whole = numbers.size > 4 and bool(np.all(np.isfinite(numbers) & (np.abs(numbers) < 2**53)))
    if not whole or np.any(numbers != np.floor(numbers)):
        raise UsageError("expected a mask as whole run lengths with its box behind, got others")
    left, top, right, bottom = numbers[-4:].astype(np.int64).tolist()
    box = (left, top, right + 1, bottom + 1)
    return box, decode(numbers[:-4].astype(np.int64), box, frame)
