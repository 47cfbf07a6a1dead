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

        Parameters
        ----------
        owner : (Q,) int32
            Position of the object of each value, ascending.
        count : int
            Number of objects, those without a value included.

        Examples
        --------
        >>> groups = Groups.of(np.array([0, 0, 2], np.int32), 3)
        >>> groups.starts.tolist(), groups.present.tolist()
        ([0, 2], [0, 2])
        """
        starts = np.flatnonzero(np.diff(owner, prepend=np.int32(-1)))
        return cls(owner, count, starts, owner[starts].astype(np.int64))

    def sum(self, values: NDArray[Any]) -> Floats:
        """Sum of (Q,) values over each object, (N,) float64; 0 where it has none.

        Examples
        --------
        >>> groups = Groups.of(np.array([0, 0, 2], np.int32), 3)
        >>> groups.sum(np.array([1, 2, 5])).tolist()
        [3.0, 0.0, 5.0]
        """
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
        """Position of each object's first pixel, (N,) int64.

        Examples
        --------
        >>> joined([np.array([4, 5]), np.array([0])]).starts().tolist()
        [0, 2]
        """
        starts: NDArray[np.int64] = np.cumsum(self.sizes) - self.sizes
        return starts

    def gather(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Values of a (H, W) plane at the pixels, (P,).

        Examples
        --------
        >>> plane = np.array([[7, 8, 9], [1, 2, 3]])
        >>> joined([np.array([0, 1]), np.array([5])]).gather(plane).tolist()
        [7, 8, 3]
        """
        # without bounds checks: `flat` numbers the pixels of this very image
        return np.take(plane.reshape(-1), self.flat, mode="clip")

    def histograms(
        self, codes: NDArray[Any], bins: int, skip: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """How often each code occurs in each object.

        Parameters
        ----------
        codes : (P,) int
            Of each pixel, in 0..bins-1.
        bins : int
        skip : (S,) int64, optional
            Positions of pixels that do not count.

        Returns
        -------
        (N, bins) int64

        Examples
        --------
        >>> pixels = joined([np.array([0, 1]), np.array([5])])
        >>> pixels.histograms(np.array([0, 2, 2], np.uint8), 3).tolist()
        [[1, 0, 1], [0, 0, 1]]
        """
        # One number for object and code, so that one count serves all objects. What is left out
        # goes to a bin past the last, which is cut off.
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
        half a bin, (high - low) / 512.

        Parameters
        ----------
        values : (P,) float32
            Of each pixel; what lies outside low..high counts as the nearer of the two.
        shares : tuple of float
            Wanted quantiles, each in 0..1.
        low, high : float
            In the unit of the values.

        Returns
        -------
        list of (N,) float64
            One for each share; NaN where an object has no pixel.

        Examples
        --------
        >>> pixels = joined([np.array([0, 1]), np.array([5])])
        >>> values = np.array([10, 20, 30], np.float32)
        >>> [each.tolist() for each in pixels.quantiles(values, (0.5, 1.0), 0, 256)]
        [[10.5, 30.5], [20.5, 30.5]]
        """
        # Counting is many times faster than sorting the pixels of each object.
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
        """Only the pixels of `keep`, (P,) bool.

        Examples
        --------
        >>> few = joined([np.array([0, 1]), np.array([5])]).select(np.array([True, False, False]))
        >>> few.flat.tolist(), few.sizes.tolist()
        ([0], [1, 0])
        """
        at = np.flatnonzero(keep)
        owner = self.owner[at]
        return Segments(self.flat[at], owner, np.bincount(owner, minlength=self.count))

    def breaks(self, stride: int) -> NDArray[np.bool_]:
        """Pixels that do not follow the one before along a row of `stride`, (P,) bool.

        Examples
        --------
        An object as wide as its image of 2 x 2 pixels breaks at the end of the row.

        >>> joined([np.arange(4)]).breaks(2).tolist()
        [True, False, True, False]
        """
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
        """Unbroken stretches of the pixels, see :class:`Stretches`.

        Parameters
        ----------
        breaks : (P,) bool
            Pixels that begin a stretch, from :meth:`breaks`.
        keep : (P,) bool, optional
            Only these pixels; a stretch also ends where one is left out.

        Examples
        --------
        >>> pixels = joined([np.array([0, 1, 2]), np.array([5])])
        >>> runs = pixels.runs(pixels.breaks(3))
        >>> runs.flat.tolist(), runs.length.tolist()
        ([0, 5], [3, 1])
        """
        # A pixel ends a stretch where the next one begins another.
        ends = np.ones(len(breaks), np.bool_)
        ends[:-1] = breaks[1:]
        begins = breaks
        if keep is not None:
            # A left-out pixel parts the stretch: the next begins one, the one before ends one.
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
        """Positions of the last `count` pixels of every run (or of all it has).

        Returns
        -------
        (R * count,) int64
            Positions in the segments that the runs were made of.

        Examples
        --------
        >>> pixels = joined([np.array([0, 1, 2]), np.array([5])])
        >>> pixels.runs(pixels.breaks(3)).tails(1).tolist()
        [2, 3]
        """
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

    Parameters
    ----------
    above, below : arrays of numbers
        Of shapes that fit together, such as (N, C) and (N, 1).

    Returns
    -------
    float64 of their common shape

    Examples
    --------
    >>> divide(np.array([1.0, 1.0]), np.array([4, 0]))
    array([0.25,  nan])
    """
    out = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out


def segments(objects: ImageObjects, index: NDArray[np.int64]) -> Segments:
    """The pixels of N objects, row by row.

    Parameters
    ----------
    objects : ImageObjects
        They may overlap: a pixel then stands in each of them.
    index : (H, W) int64
        Number of each pixel of the image.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_masks
    >>> objects = objects_from_masks("a1", (2, 3), [((0, 1), np.ones((2, 2), bool))])
    >>> segments(objects, np.arange(6).reshape(2, 3)).flat.tolist()
    [1, 2, 4, 5]
    """
    parts = [index[where][crop] for where, crop in objects]
    return joined(parts)


def transposed(objects: ImageObjects, index: NDArray[np.int64]) -> Segments:
    """The same pixels as of :func:`segments`, column by column.

    Parameters
    ----------
    objects : ImageObjects
    index : (W, H) int64
        Number of each pixel of the transposed image.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_masks
    >>> objects = objects_from_masks("a1", (2, 3), [((0, 1), np.ones((2, 2), bool))])
    >>> transposed(objects, np.arange(6).reshape(3, 2)).flat.tolist()
    [2, 3, 4, 5]
    """
    parts = [index[where[1], where[0]][crop.T] for where, crop in objects]
    return joined(parts)


def joined(parts: list[NDArray[np.int64]]) -> Segments:
    """One array of the pixel numbers of N objects.

    Parameters
    ----------
    parts : list of (n,) int64
        Numbers of the pixels of each object, at least one object.

    Returns
    -------
    Segments
        Of P pixels, (P,) each.

    Examples
    --------
    >>> pixels = joined([np.array([4, 5]), np.array([0])])
    >>> pixels.flat.tolist(), pixels.owner.tolist()
    ([4, 5, 0], [0, 0, 1])
    """
    sizes = np.array([len(part) for part in parts], np.int64)
    owner = np.repeat(np.arange(len(parts), dtype=np.int32), sizes)
    return Segments(np.concatenate(parts), owner, sizes)
