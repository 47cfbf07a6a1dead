"""Run-length encoded masks of COCO and of CVAT, read and written with every number checked.

There are two orders. COCO counts column by column over the whole image, CVAT row by row inside
the box of the mask. Both list the lengths of runs of unset and set pixels in turn, and start
with the unset ones: a mask that begins with a set pixel has 0 as its first run.

COCO's runs are not read by pycocotools, which trusts its input: its decoder writes as many
pixels as the runs say, wherever that is. Here a mask is also cut out without ever painting the
whole image.

A mask shape of CVAT's API is one list of numbers: the runs, then ``left, top, right, bottom``
of its box. These are inclusive: a mask of one pixel has ``right`` equal to ``left``. Everywhere
else in Trephine boxes are half-open, so 1 is added or taken away here and nowhere else. The
server accepts runs that do not add up and boxes beyond the image; here both are refused.

References
----------
The compressed form of COCO is that of ``rleToString`` and ``rleFrString`` in ``maskApi.c`` of
the COCO API, which pycocotools contains.
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
    """Run lengths from the compressed text that pycocotools writes as ``counts``.

    Parameters
    ----------
    text : bytes

    Returns
    -------
    (N,) int64
        Not checked yet: :func:`crop_of_runs` does that.

    Raises
    ------
    UsageError
        When the text holds other characters, or ends within a number.

    Notes
    -----
    Each character holds 5 bits of a number, the lowest first, in its code less 48; its sixth
    bit says that more of the number follow. From the fourth run on, the text holds the
    difference from the run two before, of the same kind (set or unset), which tends to be small.

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
        if part & 32:  # more of this number follow
            continue
        if part & 16:  # the highest bit of a number is its sign
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise UsageError("expected whole run lengths of COCO, got a text that ends within one")
    return np.array(runs, np.int64)


def crop_of_runs(runs: NDArray[np.int64], frame: tuple[int, int]) -> tuple[Box, BoolMask] | None:
    """The mask of COCO's runs, cut to its tight box.

    Parameters
    ----------
    runs : (N,) int64
        Lengths in pixels, unset and set in turn, column by column.
    frame : (int, int)
        Height and width of the image, px.

    Returns
    -------
    (box, mask) or None
        Half-open ``x0 y0 x1 y1`` and (h, w) bool; None where no pixel is set.

    Raises
    ------
    UsageError
        When the runs do not fill the image exactly.

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
    # Positions count down the columns, so the first and last run give the columns of the box.
    # Its rows are known only after these columns are painted.
    x0, x1 = int(starts[0] // height), int((stops[-1] - 1) // height) + 1
    # +1 where a run begins and -1 behind its end: the running sum is the mask.
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
    # A sum of int64 can wrap around: that no run is longer than the image is checked first.
    if runs.size and (runs.min() < 0 or runs.max() > area):
        raise UsageError(f"expected runs of 0 to {area} pixels, the area of the image, got others")
    if int(runs.sum()) != area:
        raise UsageError(
            f"expected runs that add up to {area}, the area of the image, got {int(runs.sum())}"
        )


def encode(mask: BoolMask) -> list[int]:
    """Runs of a mask in CVAT's order: row by row inside its box.

    Parameters
    ----------
    mask : (H, W) bool
        At least one pixel large.

    Returns
    -------
    list of int
        Lengths of unset and set runs in turn.

    Examples
    --------
    >>> encode(np.array([[True, True], [False, True]]))
    [0, 2, 1, 1]
    """
    flat = mask.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    # Last pixel of each run, with the one before the first: the steps between are the lengths.
    # Masks come by the thousand, and np.diff and np.r_ take longer than all the rest.
    last = np.empty(edges.size + 2, np.int64)
    last[0], last[1:-1], last[-1] = -1, edges, flat.size - 1
    runs: list[int] = (last[1:] - last[:-1]).tolist()
    return [0, *runs] if flat[0] else runs


def encode_points(box: Box, mask: BoolMask) -> list[int]:
    """The ``points`` of a mask shape of CVAT.

    Parameters
    ----------
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1`` in the image, px.
    mask : (h, w) bool
        Its pixels in the box.

    Returns
    -------
    list of int
        The runs, then the inclusive box ``left, top, right, bottom``.

    Examples
    --------
    >>> encode_points((5, 3, 7, 4), np.array([[True, True]]))
    [0, 2, 5, 3, 6, 3]
    """
    x0, y0, x1, y1 = box
    return [*encode(mask), x0, y0, x1 - 1, y1 - 1]


def decode(runs: NDArray[np.int64], box: Box, frame: tuple[int, int]) -> BoolMask:
    """The mask of CVAT's runs inside a box.

    Parameters
    ----------
    runs : (N,) int64
        Lengths in pixels, unset and set in turn, row by row.
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1`` in the image, px.
    frame : (int, int)
        Height and width of the image, px.

    Returns
    -------
    (h, w) bool

    Raises
    ------
    UsageError
        When the box does not lie in the image, or the runs do not fill the box exactly.

    Examples
    --------
    >>> decode(np.array([1, 2, 1]), (0, 0, 2, 2), (10, 10)).tolist()
    [[False, True], [True, False]]
    """
    x0, y0, x1, y1 = box
    height, width = frame
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise UsageError(f"expected a mask inside {width} x {height}, got the box {box}")
    area = (x1 - x0) * (y1 - y0)
    # A sum of int64 can wrap around: that no run is longer than the box is checked first.
    if runs.size and (runs.min() < 0 or runs.max() > area):
        raise UsageError(f"expected runs of 0 to {area} pixels in the box {box}, got others")
    if runs.size > 2 * area + 1:
        raise UsageError(f"expected at most {2 * area + 1} runs in the box {box}, got {runs.size}")
    if int(runs.sum()) != area:
        raise UsageError(
            f"expected runs that add up to {area}, the area of the box {box}, got {int(runs.sum())}"
        )
    values = np.zeros(runs.size, np.bool_)
    values[1::2] = True
    return values.repeat(runs).reshape(y1 - y0, x1 - x0)


def decode_points(points: Sequence[float], frame: tuple[int, int]) -> tuple[Box, BoolMask]:
    """The box and the mask in the ``points`` of a mask shape of CVAT.

    Parameters
    ----------
    points : sequence of float
        Whole numbers: the runs, then the inclusive box ``left, top, right, bottom``.
    frame : (int, int)
        Height and width of the image, px.

    Returns
    -------
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1``, px; not always tight.
    mask : (h, w) bool

    Raises
    ------
    UsageError
        When they are not run lengths with a box behind, or :func:`decode` refuses them.

    Examples
    --------
    >>> decode_points([0.0, 2.0, 5.0, 3.0, 6.0, 3.0], (10, 10))
    ((5, 3, 7, 4), array([[ True,  True]]))
    """
    numbers = np.asarray(points, np.float64)
    # Also refuses what is not finite, which no whole number can be made of.
    if numbers.size <= 4 or not -(2**53) < numbers.min() <= numbers.max() < 2**53:
        raise UsageError("expected a mask as whole run lengths with its box behind, got others")
    whole = numbers.astype(np.int64)
    if not np.array_equal(whole, numbers):
        raise UsageError("expected a mask as whole run lengths with its box behind, got others")
    left, top, right, bottom = whole[-4:].tolist()
    box = (left, top, right + 1, bottom + 1)
    return box, decode(whole[:-4], box, frame)
