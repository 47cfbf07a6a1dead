"""From low-resolution logits to masks at the image's size, each on its own crop.

The result is that of the package's ``SamAutomaticMaskGenerator``, which upscales every
mask to the whole image, thresholds it three times, and counts. Here a mask is upscaled
only in a window that holds all pixels that count:

A pixel is a weighted mean of low-resolution cells, so it exceeds a value only where one
of its cells does. All that is asked of a mask (the pixels above ``-offset``, 0 and
``offset``) lies where some cell exceeds ``-offset``; the matrices of
:class:`~annotator.segmentation.sam.mask_upscaling_matrices.Resize` say which rows and columns of
the image that is.

Imports torch at its head: only engine modules import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annotator.core.objects import BoolMask
from annotator.segmentation.sam.mask_upscaling_matrices import Resize, WeightBand
from annotator.segmentation.sam.masks import Candidate, pack

# Logits made at once: on the CPU they are counted before they leave its cache (256 KB);
# elsewhere one transfer answers for as many masks as 256 MB of them make.
CACHED_PIXELS = 1 << 16
DEVICE_PIXELS = 1 << 26

# Columns made at once on the CPU; each part reads the cells under it alone.
PART_WIDTH = 256

# Weights of a pixel sum to 1 but for rounding, so that cells of exactly -offset may give a
# pixel above it. This share of the offset is far more than float32 can be wrong by.
ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class MaskRule:
    """Which masks hold when they are cut stricter and looser.

    Parameters
    ----------
    stability_score_thresh : float
        Least stability, 0..1; 0 or less lets all masks pass, as in the package.
    stability_score_offset : float
        How much stricter and looser, in units of the logits; never below 0.
    """

    stability_score_thresh: float
    stability_score_offset: float

    def holds(self, stability: np.float32) -> bool:
        """Whether a mask is stable enough; compared in float32, as the package does."""
        least = self.stability_score_thresh
        return least <= 0 or bool(stability >= np.float32(least))


class LowMasks(Protocol):
    """Masks as they leave the decoder, such as ``DecodedMasks`` of :mod:`.model`."""

    @property
    def low(self) -> Tensor:
        """Logits, (K, h, w) float32."""

    @property
    def scores(self) -> Tensor:
        """Predicted IoU, (K,) float32."""

    @property
    def owners(self) -> Tensor:
        """Index of the prompt, (K,) int64."""


@dataclass(frozen=True, slots=True)
class MaskWindow:
    """The part of the image that one mask can reach, and the cells that it is made of.

    Parameters
    ----------
    mask : int
        Position of the mask among the K of its batch.
    y, x : slice
        Rows and columns of the image, px.
    low_y, low_x : slice
        Rows and columns of the low-resolution mask.
    """

    mask: int
    y: slice
    x: slice
    low_y: slice
    low_x: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of the image."""
        return self.y.stop - self.y.start, self.x.stop - self.x.start


@dataclass(frozen=True, slots=True, eq=False)
class WindowMask:
    """A mask in its window, (h, w) bool, and how many pixels exceed ``offset`` and ``-offset``."""

    mask: BoolMask
    inner: int
    outer: int


@torch.inference_mode()
def cut(
    decoded: LowMasks, resize: Resize, points: NDArray[np.float64], rule: MaskRule
) -> list[Candidate]:
    """Bring masks to the image's size; keep those that are stable and not empty.

    Parameters
    ----------
    decoded : LowMasks
        On any device.
    resize : Resize
        On the same device.
    points : (B, 2) float64
        x and y of the prompts in pixels of the image; ``decoded.owners`` counts in them.
    rule : MaskRule

    Returns
    -------
    list of Candidate
        In the order of the masks, in pixels of the image.

    Notes
    -----
    Stability is ``amg.calculate_stability_score`` of the package: the IoU of the mask cut at
    ``offset`` and the one cut at ``-offset``. The first lies within the second, so that IoU
    is a quotient of two counts.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from annotator.segmentation.sam.mask_upscaling_matrices import identity
    >>> low = torch.full((1, 6, 8), -9.0)
    >>> low[0, 1:4, 2:7] = 9.0
    >>> decoded = SimpleNamespace(low=low, scores=torch.tensor([0.9]), owners=torch.tensor([0]))
    >>> (mask,) = cut(decoded, identity((6, 8), "cpu"), np.array([[4.0, 2.0]]), MaskRule(0.8, 1.0))
    >>> mask.box, mask.stability
    ((2, 1, 7, 4), 1.0)
    """
    if not len(decoded.low):
        return []
    low, offset = decoded.low, rule.stability_score_offset
    windows = find_windows(low, resize, offset)
    candidate_of = _CandidateMaker(decoded.scores.tolist(), decoded.owners.tolist(), points, rule)
    if low.device.type != "cpu":
        found = [candidate_of(*seen) for seen in upscale_together(low, resize, windows, offset)]
    else:
        with one_thread() as threads:
            found = _in_threads(
                windows,
                lambda w: candidate_of(w, upscale_in_strips(low, resize, w, offset)),
                threads,
            )
    return [candidate for candidate in found if candidate is not None]


@dataclass(frozen=True, slots=True, eq=False)
class _CandidateMaker:
    """Makes candidates of those masks that are stable and not empty."""

    scores: list[float]
    owners: list[int]
    points: NDArray[np.float64]
    rule: MaskRule

    def __call__(self, window: MaskWindow, seen: WindowMask) -> Candidate | None:
        # In float32, like the package. Where nothing exceeds -offset the mask is empty.
        stability = np.float32(seen.inner) / np.float32(max(seen.outer, 1))
        if not self.rule.holds(stability):
            return None
        x, y = self.points[self.owners[window.mask]].tolist()
        corner = (window.y.start, window.x.start)
        return pack(seen.mask, self.scores[window.mask], float(stability), (x, y), corner)


def _in_threads(
    windows: Sequence[MaskWindow], make: Callable[[MaskWindow], Candidate | None], threads: int
) -> list[Candidate | None]:
    """Work on windows, several at a time where there are threads for it; in their order."""
    if threads == 1 or len(windows) == 1:
        return [make(window) for window in windows]
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(make, windows))


def find_windows(low: Tensor, resize: Resize, offset: float) -> list[MaskWindow]:
    """Windows outside of which no pixel exceeds ``-offset``, for all masks at once.

    Masks without a cell above 0 have no pixel above 0 either, and get no window.

    Parameters
    ----------
    low : (K, h, w) float32 tensor
        Logits.
    resize : Resize
    offset : float
        In units of the logits, 0 or more.

    Returns
    -------
    list of MaskWindow
        In the order of the masks, K at most.

    Examples
    --------
    >>> from annotator.segmentation.sam.mask_upscaling_matrices import identity
    >>> low = torch.full((2, 6, 8), -9.0)
    >>> low[1, 1:4, 2:7] = 9.0
    >>> [(w.mask, w.y, w.x) for w in find_windows(low, identity((6, 8), "cpu"), 1.0)]
    [(1, slice(1, 4, None), slice(2, 7, None))]
    """
    # One transfer for all: on a GPU it is the wait that costs.
    rows = low.shape[1]
    highest = torch.cat([low.amax(dim=2), low.amax(dim=1)], dim=1).cpu().numpy()
    # The rows and columns that hold a cell which may lift a pixel over -offset.
    above = highest > np.float32(-offset * (1 + ROUNDING))
    alive = np.flatnonzero((highest[:, :rows] > 0).any(axis=1))
    y, low_y = _spans(above[alive, :rows], resize.row_band)
    x, low_x = _spans(above[alive, rows:], resize.column_band)
    windows = map(MaskWindow, alive.tolist(), y, x, low_y, low_x)
    return [window for window in windows if 0 not in window.shape]


def _spans(above: BoolMask, band: WeightBand) -> tuple[list[slice], list[slice]]:
    """For each row of (K, m): the pixels that the set cells reach, and the cells they read."""
    first, stop = above.argmax(axis=1), above.shape[1] - above[:, ::-1].argmax(axis=1)
    start, end = band.reached_from(first, stop)
    last = np.maximum(end - 1, 0)
    reads = band.first[np.minimum(start, last)], band.stop[last]
    return _slices(start, end), _slices(*reads)


def _slices(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> list[slice]:
    return [slice(a, b) for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]


@torch.inference_mode()
def upscale_in_strips(low: Tensor, resize: Resize, window: MaskWindow, offset: float) -> WindowMask:
    """Upscale one mask in its window, strip by strip; for the CPU.

    The logits of a strip are compared and counted while they lie in the cache. NumPy
    compares several times faster than torch, which in turn has to make all products:
    two libraries with a pool of threads each slow one another down.

    Parameters
    ----------
    low : (K, h, w) float32 tensor
        Logits, on the CPU.
    resize : Resize
    window : MaskWindow
        Of (H, W) pixels.
    offset : float
        In units of the logits.

    Returns
    -------
    WindowMask
        Its mask is (H, W) bool.
    """
    # Columns first: they are done once, while each strip does its own rows.
    across = _across(low[window.mask, window.low_y, window.low_x], resize, window)
    mask = np.empty(window.shape, np.bool_)
    room = torch.empty(min(_height(window), window.shape[0]), window.shape[1])
    inner = outer = 0
    for y in _parts(window.y, _height(window)):
        cells = resize.row_band.cells(y)
        logits = torch.mm(
            resize.rows[y, cells],
            across[_within(cells, window.low_y)],
            out=room[: y.stop - y.start],
        ).numpy()
        inner += int(np.count_nonzero(logits > np.float32(offset)))
        outer += int(np.count_nonzero(logits > np.float32(-offset)))
        np.greater(logits, 0, out=mask[_within(y, window.y)])
    return WindowMask(mask, inner, outer)


def _across(cells: Tensor, resize: Resize, window: MaskWindow) -> Tensor:
    """Rows of cells brought to the window's columns; each part reads few of the cells."""
    across = cells.new_empty(len(cells), window.shape[1])
    for x in _parts(window.x, PART_WIDTH):
        read = resize.column_band.cells(x)
        part = cells[:, _within(read, window.low_x)] @ resize.columns[x, read].T
        across[:, _within(x, window.x)] = part
    return across


def _height(window: MaskWindow) -> int:
    return max(1, CACHED_PIXELS // window.shape[1])


def _parts(whole: slice, size: int) -> Iterator[slice]:
    for start in range(whole.start, whole.stop, size):
        yield slice(start, min(start + size, whole.stop))


def _within(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)


@contextmanager
def one_thread() -> Iterator[int]:
    """Have torch use one thread for a while, and as many as before afterwards.

    Yields how many it had.

    The products here are too small to share: waiting for one another takes longer,
    and on a busy machine hundreds of times as long.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


def upscale_together(
    low: Tensor, resize: Resize, windows: Sequence[MaskWindow], offset: float
) -> Iterator[tuple[MaskWindow, WindowMask]]:
    """Upscale many masks in their windows with one wait for the answer; for GPUs.

    Parameters
    ----------
    low : (K, h, w) float32 tensor
        Logits.
    resize : Resize
        On the same device.
    windows : sequence of MaskWindow
    offset : float
        In units of the logits.

    Yields
    ------
    window : MaskWindow
    mask : WindowMask
    """
    for group in groups(windows, DEVICE_PIXELS):
        counts, masks = [], []
        for window in group:
            cells = low[window.mask, window.low_y, window.low_x]
            across = cells @ resize.columns[window.x, window.low_x].T
            logits = resize.rows[window.y, window.low_y] @ across
            counts += [(logits > offset).sum(), (logits > -offset).sum()]
            masks.append((logits > 0).flatten())
        # Until here the device only got orders: the first answer that is asked for waits for all.
        counted = torch.stack(counts).reshape(-1, 2).tolist()
        flat = torch.cat(masks).cpu().numpy()
        ends = np.cumsum([len(mask) for mask in masks])[:-1]
        for window, (inner, outer), mask in zip(group, counted, np.split(flat, ends), strict=True):
            yield window, WindowMask(mask.reshape(window.shape), inner, outer)


def groups(windows: Sequence[MaskWindow], pixels: int) -> Iterator[list[MaskWindow]]:
    """Runs of windows that hold about this many pixels together; never an empty run."""
    group: list[MaskWindow] = []
    held = 0
    for window in windows:
        area = window.shape[0] * window.shape[1]
        if group and held + area > pixels:
            yield group
            group, held = [], 0
        group.append(window)
        held += area
    if group:
        yield group
