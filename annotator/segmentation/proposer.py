"""What every maker of proposals offers, and the pruning after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask, ImageObjects, intersection
from annotator.core.progress import Stopwatch
from annotator.imaging.appearance import Appearance
from annotator.settings.annotation import PruneSettings


class Proposer(Protocol):
    """Cuts an image into objects.

    ``fingerprint`` changes whenever the same image could give other objects:
    it holds the maker's settings and the hash of its weights, if it has any.
    """

    @property
    def name(self) -> str:
        """``superpixel``, ``sam`` or ``auto``."""

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of a sha256 over all that shapes the result."""

    def propose(self, appearance: Appearance, watch: Stopwatch | None = None) -> ImageObjects:
        """Return the objects of one image; a pure function of pixels and settings.

        The watch is told what each stage took, and how much there was to do.
        """


@dataclass(frozen=True, slots=True)
class PruneReport:
    """How many objects were dropped and why, and how the rest cover the image.

    Parameters
    ----------
    specks, duplicates, nested : int
        Objects dropped.
    covered_0, covered_1, covered_more : float
        Share of the pixels with no, one, or more than one object, 0..1.
    """

    specks: int
    duplicates: int
    nested: int
    covered_0: float
    covered_1: float
    covered_more: float


def prune(
    objects: ImageObjects, settings: PruneSettings, um_per_px: float
) -> tuple[ImageObjects, PruneReport]:
    """Drop specks, duplicates and nested parts.

    The result does not depend on the order of the objects: better scores come
    first, then larger areas, then the position and the mask itself; of two copies the
    lower id.

    Parameters
    ----------
    objects : ImageObjects
    settings : PruneSettings
    um_per_px : float
        Known or guessed.

    Returns
    -------
    ImageObjects
        The objects that stay, in their former order.
    PruneReport
    """
    areas = objects.areas()
    least = max(settings.min_area_px, settings.min_area_um2 / um_per_px**2)
    big = areas >= least
    # What shares no pixel with another object is neither a duplicate nor nested.
    shares = big & _shares_pixels(objects)
    order = _best_first(objects, areas, np.flatnonzero(shares))
    kept = np.zeros(len(objects), np.bool_)
    duplicates = nested = 0
    for i in order:
        verdict = _against_kept(objects, areas, i, np.flatnonzero(kept), settings)
        duplicates += verdict == "duplicate"
        nested += verdict == "nested"
        kept[i] = verdict == "keep"
    for i in _still_nested(objects, areas, np.flatnonzero(kept), settings):
        kept[i] = False
        nested += 1
    kept |= big & ~shares
    result = objects.select(kept)
    return result, _report(result, int((~big).sum()), duplicates, nested)


def _shares_pixels(objects: ImageObjects) -> BoolMask:
    """Which objects have a pixel that another one has, too, (N,) bool."""
    coverage = objects.coverage()
    if coverage.max(initial=0) < 2:
        return np.zeros(len(objects), np.bool_)
    return np.array([(coverage[where][crop] > 1).any() for where, crop in objects], np.bool_)


def _best_first(
    objects: ImageObjects, areas: NDArray[np.int64], among: NDArray[np.intp]
) -> list[int]:
    """Positions of some objects, the best of them first."""

    def key(i: int) -> tuple[object, ...]:
        score, stability = np.nan_to_num([objects.scores[i], objects.stability[i]], nan=-1.0)
        box = tuple(objects.boxes[i].tolist())
        mask = np.packbits(objects.crops[i]).tobytes()
        return -score, -stability, -areas[i], box, mask, int(objects.ids[i])

    return sorted(among.tolist(), key=key)


def _overlaps(objects: ImageObjects, i: int, others: NDArray[np.intp]) -> list[tuple[int, int]]:
    """(other, shared pixels) for the others whose boxes meet the box of `i`."""
    x0, y0, x1, y1 = objects.boxes[i]
    b = objects.boxes[others]
    meet = (b[:, 0] < x1) & (b[:, 2] > x0) & (b[:, 1] < y1) & (b[:, 3] > y0)
    found = []
    for j in others[meet].tolist():
        shared = intersection(
            objects.boxes[i], objects.crops[i], objects.boxes[j], objects.crops[j]
        )
        if shared and i != j:
            found.append((j, shared))
    return found


def _against_kept(
    objects: ImageObjects,
    areas: NDArray[np.int64],
    i: int,
    kept: NDArray[np.intp],
    settings: PruneSettings,
) -> str:
    # Both tests over all neighbours, so that the counts do not depend on their order.
    met = _overlaps(objects, i, kept)
    if any(n / (areas[i] + areas[j] - n) >= settings.duplicate_iou for j, n in met):
        return "duplicate"
    return "nested" if any(_nested(areas[i], areas[j], n, settings) for j, n in met) else "keep"


def _still_nested(
    objects: ImageObjects,
    areas: NDArray[np.int64],
    kept: NDArray[np.intp],
    settings: PruneSettings,
) -> list[int]:
    """Kept objects that lie in a larger one which was kept after them."""
    return [
        i
        for i in kept.tolist()
        if any(
            _nested(areas[i], areas[j], shared, settings)
            for j, shared in _overlaps(objects, i, kept)
        )
    ]


def _nested(inner: int, outer: int, shared: int, settings: PruneSettings) -> bool:
    return bool(
        inner < outer
        and shared >= settings.nested_share * inner
        and outer <= settings.nested_ratio * inner
    )


def _report(result: ImageObjects, specks: int, duplicates: int, nested: int) -> PruneReport:
    counts = np.bincount(np.minimum(result.coverage(), 2).ravel(), minlength=3)
    shares = [float(c) / max(1, counts.sum()) for c in counts]
    return PruneReport(specks, duplicates, nested, *shares)
