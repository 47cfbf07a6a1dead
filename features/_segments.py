"""The pixels of many objects as one array, and statistics of each object's stretch of it.

Objects can overlap, so a label map cannot hold them. Here the pixels of all objects
stand one object after the other, and one pass of numpy serves them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.objects import ImageObjects

_BINS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Values that belong to N objects, object by object.

    Parameters
    ----------
    owner : (Q,) int32
        Position of the object of each value, ascending.
    count : int
        Number of objects; some may have no value.
    starts, present : (K,) int64
        First value of each object that has any, and the position of that object.
    """

    owner: NDArray[np.int32]
    count: int
    starts: NDArray[np.int64]
    present: NDArray[np.int64]

    @classmethod
    def of(cls, owner: NDArray[np.int32], count: int) -> Groups:
        """Find where each object's values start.

        Examples
        --------
        >>> groups = Groups.of(np.array([0, 0, 2], np.int32), 3)
        >>> groups.sum(np.array([1, 2, 5]))
        array([3., 0., 5.])
        """
        starts = np.flatnonzero(np.diff(owner, prepend=np.int32(-1)))
        return cls(owner, count, starts, owner[starts].astype(np.int64))

    def sum(self, values: NDArray[Any]) -> Floats:
        """Sum of (Q,) values over each object, (N,) float64; 0 where it has none."""
        total = np.zeros(self.count)
        if len(self.starts):
            total[self.present] = np.add.reduceat(values, self.starts, dtype=np.float64)
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Pixels of N objects, row by row, one object after the other.

    Parameters
    ----------
    flat : (P,) int64
        Index of each pixel in the ravelled image.
    owner : (P,) int32
        Position of the object that the pixel belongs to, ascending.
    sizes : (N,) int64
        Pixels of each object; some may have none.
    """

    flat: NDArray[np.int64]
    owner: NDArray[np.int32]
    sizes: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.sizes)

    def starts(self) -> NDArray[np.int64]:
        """Position of each object's first pixel, (N,) int64."""
        starts: NDArray[np.int64] = np.cumsum(self.sizes) - self.sizes
        return starts

    def gather(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Values of a (H, W) plane at the pixels, (P,)."""
        # without bounds checks: `flat` numbers the pixels of this very image
        return np.take(plane.reshape(-1), self.flat, mode="clip")

    def histograms(
        self, codes: NDArray[Any], bins: int, skip: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """How often each code 0..bins-1 occurs in each object, (N, bins) int64.

        Pixels at the positions of `skip` do not count.
        """
        size = self.count * bins
        key = self.owner * np.int32(bins)
        key += codes
        if skip is not None:
            key[skip] = size
        counts = np.bincount(key, minlength=size + 1)[:size]
        return counts.reshape(self.count, bins)

    def quantiles(
        self, values: NDArray[Any], shares: tuple[float, ...], low: float, high: float
    ) -> list[Floats]:
        """Quantiles of each object from a histogram of 256 bins over low..high.

        The value is the centre of the bin that holds the quantile, so it is right to
        half a bin, (high - low) / 512. NaN where an object has no pixel.
        """
        width = (high - low) / _BINS
        codes = values - np.float32(low)
        codes *= np.float32(1 / width)
        np.clip(codes, 0, _BINS - 1, out=codes)
        running = np.cumsum(self.histograms(codes.astype(np.uint8), _BINS), axis=1)
        total = running[:, -1:]
        result = []
        for share in shares:
            # the smallest value that at least `share` of the pixels do not exceed
            at = np.argmax(running >= np.maximum(np.ceil(share * total), 1), axis=1)
            result.append(np.where(total[:, 0] > 0, low + (at + 0.5) * width, np.nan))
        return result

    def select(self, keep: NDArray[np.bool_]) -> Segments:
        """Only the pixels of `keep`, (P,) bool."""
        at = np.flatnonzero(keep)
        owner = self.owner[at]
        return Segments(self.flat[at], owner, np.bincount(owner, minlength=self.count))

    def breaks(self, stride: int) -> NDArray[np.bool_]:
        """Pixels that do not follow the one before along a row of `stride`, (P,) bool."""
        breaks = np.ones(len(self.flat), np.bool_)
        np.not_equal(self.flat[1:], self.flat[:-1] + 1, out=breaks[1:])
        breaks[self.starts()[self.sizes > 0]] = True
        # where an object is as wide as the image, a row runs on into the next
        first = np.flatnonzero(breaks)
        length = np.diff(first, append=len(self.flat))
        if (self.flat[first] % stride + length > stride).any():
            breaks |= self.flat % stride == 0
        return breaks

    def runs(self, breaks: NDArray[np.bool_], keep: NDArray[np.bool_] | None = None) -> Stretches:
        """Unbroken stretches of the pixels (of `keep`), see :class:`Stretches`."""
        ends = np.ones(len(breaks), np.bool_)
        ends[:-1] = breaks[1:]
        begins = breaks
        if keep is not None:
            begins, ends = keep.copy(), keep & ends
            begins[1:] &= breaks[1:] | ~keep[:-1]
            ends[:-1] |= keep[:-1] & ~keep[1:]
        first, last = np.flatnonzero(begins), np.flatnonzero(ends)
        groups = Groups.of(self.owner[first], self.count)
        return Stretches(self.flat[first], last - first + 1, groups, last)


@dataclass(frozen=True, slots=True, eq=False)
class Stretches:
    """Stretches of pixels that follow each other along a row, of N objects.

    Sums over an object are sums over its runs, and those are differences of a running
    sum along the rows of the image: a plane is read once, however objects overlap.

    Parameters
    ----------
    flat : (R,) int64
        Index of each run's first pixel in the ravelled image.
    length : (R,) int64
        Pixels of each run.
    groups : Groups
        Objects of the runs.
    last : (R,) int64
        Position of each run's last pixel in the segments it was made of.
    """

    flat: NDArray[np.int64]
    length: NDArray[np.int64]
    groups: Groups
    last: NDArray[np.int64]

    def tails(self, count: int) -> NDArray[np.int64]:
        """Positions of the last `count` pixels of every run (or of all it has)."""
        # a run shorter than `count` reaches into the tail of the one before: no harm
        tails: NDArray[np.int64] = np.maximum(self.last[:, None] - np.arange(count), 0).ravel()
        return tails


def join_runs(parts: Sequence[Stretches]) -> Stretches:
    """Runs of several groups of objects, one group after the other."""
    before = np.cumsum([0, *(part.groups.count for part in parts)])
    owners = [part.groups.owner + shift for part, shift in zip(parts, before, strict=False)]
    return Stretches(
        np.concatenate([part.flat for part in parts]),
        np.concatenate([part.length for part in parts]),
        Groups.of(np.concatenate(owners).astype(np.int32), int(before[-1])),
        np.concatenate([part.last for part in parts]),
    )


def divide(above: NDArray[Any], below: NDArray[Any]) -> Floats:
    """Quotient, NaN where the denominator is 0.

    Examples
    --------
    >>> divide(np.array([1.0, 1.0]), np.array([4, 0]))
    array([0.25,  nan])
    """
    out = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out


def segments(objects: ImageObjects, index: NDArray[np.int64]) -> Segments:
    """The pixels of the objects; `index` is (H, W), the number of each pixel."""
    parts = [index[where][crop] for where, crop in objects]
    return joined(parts)


def transposed(objects: ImageObjects, index: NDArray[np.int64]) -> Segments:
    """The same pixels column by column; `index` is (W, H), the number of each pixel."""
    parts = [index[where[1], where[0]][crop.T] for where, crop in objects]
    return joined(parts)


def joined(parts: list[NDArray[np.int64]]) -> Segments:
    """One array of the pixel numbers of each object."""
    sizes = np.array([len(part) for part in parts], np.int64)
    owner = np.repeat(np.arange(len(parts), dtype=np.int32), sizes)
    return Segments(np.concatenate(parts), owner, sizes)
