"""Run lengths of COCO read into crops: column by column over the whole frame, unset first.

Read here and not by pycocotools, which trusts its input: its decoder writes as many pixels
as the runs say. A crop is cut from the runs without ever painting the frame.
"""

from __future__ import annotations

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
