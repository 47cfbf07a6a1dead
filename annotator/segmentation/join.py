"""Objects by two makers, joined: SAM's outline where it is confident, else the classical one.

Which of two outlines is the better one cannot be seen from the outlines alone; that
both mean the same thing can. So SAM may redraw, split and merge what the classical maker
found, and add what it missed; it may not put a part in the place of the whole, nor
the whole field in the place of the things in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.hashing import short_hash
from annotator.core.objects import BoolMask, ImageObjects, joined_objects, objects_from_masks
from annotator.core.progress import Stopwatch
from annotator.imaging.appearance import Appearance
from annotator.segmentation.proposer import Proposer
from annotator.settings.annotation import JoinSettings

# The tests hold all shares below to synthetic fields, with a SAM that is right, one that finds
# one mask of everything, one that cuts along its tokens, and one that sees only nuclei: the
# outlines may get worse with none of them.

# Raised whenever the same objects would be joined in another way.
_VERSION = 1
# A region belongs to the mask that covers at least this share of it.
_MOSTLY = 0.5
# A mask that lies in one region by this share is a part of it, or the whole of it.
_INSIDE = 0.8
# What a mask that crosses the borders of regions has to share with those that it covers.
_ACROSS = 1 / 3
# A mask merges regions when those beside the main one have this share of it.
_SECOND = 0.25
# SAM sees the same things as the classical maker from so many masks on that say so.
_FEW = 3
# From this share on a mask can part a region in two, if both are so much more solid then.
_PART, _MORE_SOLID = 0.2, 0.05
# A mask is a rounder thing in ragged ground when it is so much more solid.
_ROUNDER = 0.15
# A mask is in one piece when its largest part has this share of it.
_ONE_PIECE = 0.8
# A mask of more than this share of the field says nothing about the things in it.
_FIELD = 0.8
# What is left of a region stays from this share of its area and of its thickness on.
_LEFT, _THICK = 0.5, 0.4


class PromptedProposer(Proposer, Protocol):
    """A maker of proposals that can begin with the regions of another one."""

    def propose_from(
        self, appearance: Appearance, regions: ImageObjects, watch: Stopwatch | None = None
    ) -> ImageObjects:
        """Return its objects, asked for in the regions first."""


@dataclass(frozen=True, slots=True)
class JoinedProposer:
    """The classical proposer's regions, seen again by SAM."""

    classical: Proposer
    sam: PromptedProposer
    settings: JoinSettings = field(default_factory=JoinSettings)

    @property
    def name(self) -> str:
        """``auto``."""
        return "auto"

    @property
    def fingerprint(self) -> str:
        """See :func:`joined_fingerprint`."""
        return joined_fingerprint(self.classical.fingerprint, self.sam.fingerprint, self.settings)

    def propose(self, appearance: Appearance, watch: Stopwatch | None = None) -> ImageObjects:
        """Ask both makers and join what they found."""
        watch = watch or Stopwatch()
        regions = self.classical.propose(appearance, watch)
        found = self.sam.propose_from(appearance, regions, watch)
        with watch("join"):
            return join(regions, found, appearance.working_um_per_px, self.settings)


def joined_fingerprint(classical: str, sam: str, settings: JoinSettings) -> str:
    """Key of everything that shapes the result; needs neither maker."""
    return short_hash(f"auto {_VERSION} {classical} {sam} {settings!r}")


def join(
    classical: ImageObjects, sam: ImageObjects, um_per_px: float, settings: JoinSettings
) -> ImageObjects:
    """Take SAM's outline where it is confident and means a thing, the classical one elsewhere.

    Parameters
    ----------
    classical : ImageObjects
        Regions that do not overlap.
    sam : ImageObjects
        Masks of the same image with scores and stability; they may overlap anything.
    um_per_px : float
        Microns per pixel.
    settings : JoinSettings

    Returns
    -------
    ImageObjects
        The regions that stay, without the ground that SAM's objects took, under their own
        ids; then SAM's objects. `sources` says whose each one is.

    Examples
    --------
    SAM moves an edge by one pixel, and is sure of it: its outline is taken.

    >>> square = np.ones((20, 20), bool)
    >>> ours = objects_from_masks("x", (40, 40), [((5, 5), square)])
    >>> theirs = objects_from_masks("x", (40, 40), [((5, 6), square)], [0.97], [0.98], "sam")
    >>> join(ours, theirs, 0.5, JoinSettings()).by_source()
    {'sam': 1}
    """
    # Doubtful masks go first: they neither redraw anything nor count as agreement.
    sure = sam.select(_confident(sam, settings))
    least_part = settings.part_um2 / um_per_px**2
    choice = _MaskSelection.between(classical, sure, settings.same_iou, least_part)
    chosen = sure.select(choice.made())

    # Ground belongs to one maker only: what SAM took is cut out of the regions.
    return joined_objects(_left_over(classical, chosen.coverage() > 0), chosen)


def _confident(sam: ImageObjects, settings: JoinSettings) -> BoolMask:
    # NaN is not confident: it compares as false.
    sure = (sam.scores >= settings.least_score) & (sam.stability >= settings.least_stability)
    return np.asarray(sure & (sam.areas() <= _FIELD * sam.shape[0] * sam.shape[1]))


@dataclass(slots=True)
class _MaskSelection:
    """Which masks are taken: those that mean one region first, then the bolder ones.

    Parameters
    ----------
    masks, regions : ImageObjects
        M confident ones, and N regions.
    mask_areas, areas : (M,) and (N,) int64
        Of the masks and the regions, px.
    shared : (M, N) int64
        Pixels that they share.
    same_iou, least_part : float
        See :class:`JoinSettings`; the part in px.
    taken : (H, W) bool
        Ground of the masks taken so far.
    chosen : list of int
        Their positions.
    agreeing : int
        Masks that mean one region each.
    """

    masks: ImageObjects
    regions: ImageObjects
    mask_areas: NDArray[np.int64]
    areas: NDArray[np.int64]
    shared: NDArray[np.int64]
    same_iou: float
    least_part: float
    taken: BoolMask
    chosen: list[int]
    agreeing: int = 0

    @classmethod
    def between(
        cls, regions: ImageObjects, masks: ImageObjects, same_iou: float, least_part: float
    ) -> _MaskSelection:
        # Regions do not overlap, so one label map holds them all, and one count a mask
        # gives its overlap with every region.
        labels = regions.label_map()
        shared = np.zeros((len(masks), len(regions)), np.int64)
        for row, (where, crop) in enumerate(masks):
            shared[row] = np.bincount(labels[where][crop], minlength=len(regions) + 1)[1:]
        ground = np.zeros(masks.shape, np.bool_)
        areas = masks.areas(), regions.areas()
        return cls(masks, regions, *areas, shared, same_iou, least_part, ground, [])

    def made(self) -> NDArray[np.intp]:
        """Positions of the masks taken, in order."""
        # Overlap of each mask with each region; the best one says what the mask means.
        iou = self.shared / (self.areas + self.mask_areas[:, None] - self.shared)
        best = iou.max(axis=1, initial=0.0)
        same = [i for i in _descending(best) if best[i] >= self.same_iou]

        # A mask that holds several regions agrees with none of them, however large the
        # overlap with the main one.
        merging = {i for i in range(len(self.masks)) if self._merges(i)}
        self.agreeing = len(set(same) - merging)

        # From safe to bold, so that a bold mask finds the ground of the safe ones taken.
        self._take(i for i in same if i not in merging or self._is_one_thing(i))
        self._take(self._parts())
        bold = np.array([self._bold(i) for i in range(len(self.masks))])
        self._take(i for i in _descending(bold) if bold[i] > 0)
        self._take(self._unclaimed())
        return np.sort(np.array(self.chosen, np.intp))

    def _take(self, positions: Iterable[int]) -> None:
        """Take those whose ground is not mostly taken by a better one."""
        for i in positions:
            x0, y0, x1, y1 = self.masks.boxes[i]
            here, crop = self.taken[y0:y1, x0:x1], self.masks.crops[i]
            if i not in self.chosen and np.count_nonzero(here & crop) < _MOSTLY * crop.sum():
                here |= crop
                self.chosen.append(i)

    def _parts(self) -> list[int]:
        """Masks that together are a region which none of them is alone."""
        # A part lies mostly in the region; at least two parts cover it, and what they
        # cover outside counts against them.
        inside = self.shared >= _MOSTLY * self.mask_areas[:, None]
        inside[self.chosen] = False
        covered = np.where(inside, self.shared, 0).sum(axis=0)
        outside = np.where(inside, self.mask_areas[:, None] - self.shared, 0).sum(axis=0)
        split = (inside.sum(axis=0) > 1) & (covered >= self.same_iou * (self.areas + outside))
        return [int(i) for i in np.flatnonzero(inside[:, split].any(axis=1))]

    def _bold(self, i: int) -> float:
        """How well a mask agrees with regions that it merges or splits, 0 where it does not."""
        if not self.shared[i].any():
            return 0.0
        # Across borders it merges regions; inside one it is a part of it, or nothing.
        n = int(self.shared[i].argmax())
        if self.shared[i, n] < _INSIDE * self.mask_areas[i]:
            covered = self._covered(i)
            both = self.shared[i, covered].sum()
            iou = float(both / (self.areas[covered].sum() + self.mask_areas[i] - both))
            if iou >= _ACROSS and self._is_one_thing(i):
                return iou
        return self._as_part(i, n)

    def _covered(self, i: int) -> NDArray[np.intp]:
        """Positions of the regions that lie mostly under a mask, (K,)."""
        return np.flatnonzero(self.shared[i] >= _MOSTLY * self.areas)

    def _merges(self, i: int) -> bool:
        """Whether a mask covers more than one region worth the word."""
        # All but the largest share are what the mask would add to its main region.
        shared = np.sort(self.shared[i, self._covered(i)])
        return bool(shared[:-1].sum() >= _SECOND * self.mask_areas[i])

    def _is_one_thing(self, i: int) -> bool:
        """Whether a mask of several regions may stand for them.

        It may when it is more solid than they, or when SAM's other masks show that it
        sees the same things here as the classical maker.
        """
        if not _in_one_piece(self.masks.crops[i]):
            return False
        # Solidity of the regions that it would replace, the larger ones counting more.
        covered = self._covered(i)
        solidities = [solidity(self.regions.crops[n]) for n in covered]
        weights = self.areas[covered]
        before = float(np.average(solidities, weights=weights)) if solidities else 0.0
        return self._agreed() or solidity(self.masks.crops[i]) >= before

    def _agreed(self) -> bool:
        """Whether most of SAM's masks mean what the classical maker sees, too."""
        return self.agreeing >= max(_FEW, _MOSTLY * len(self.masks))

    def _as_part(self, i: int, n: int) -> float:
        """Share of a region that a mask parts from it, 0 where it had better not.

        It may when both halves are the better for it, or when it is a rounder thing of
        some size in ragged ground, and SAM is right about other things.
        """
        # A round thing in ragged ground needs no rest that is better than before.
        share = float(self.shared[i, n] / self.areas[n])
        mine, whole = solidity(self.masks.crops[i]), solidity(self.regions.crops[n])
        if self._agreed() and self.mask_areas[i] >= self.least_part and mine >= whole + _ROUNDER:
            return share
        if share < _PART:
            return 0.0

        # Else both halves have to gain: the mean solidity of mask and rest, by their shares.
        x0, y0, x1, y1 = self.regions.boxes[n]
        rest = self.regions.crops[n] & ~self.masks.full_mask(i)[y0:y1, x0:x1]
        after = share * mine + (1 - share) * solidity(rest)
        return share if after >= whole + _MORE_SOLID else 0.0

    def _unclaimed(self) -> list[int]:
        """Masks that lie mostly where no region is left, the largest first."""
        # Ground that was never a region's, and what is dropped of regions as a scrap.
        free = _left_over(self.regions, self.taken).coverage() == 0
        mostly = [
            np.count_nonzero(free[where] & crop) >= _MOSTLY * np.count_nonzero(crop)
            for where, crop in self.masks
        ]
        return [i for i in _descending(self.mask_areas) if mostly[i]]


def _descending(values: NDArray[np.float64] | NDArray[np.int64]) -> list[int]:
    """Positions from the largest value on; equal ones in their order."""
    order: list[int] = np.argsort(-values, kind="stable").tolist()
    return order


def _left_over(regions: ImageObjects, taken: BoolMask) -> ImageObjects:
    """The regions without the ground that was taken, those that are still worth it."""
    kept, pieces = [], []
    for index, (where, crop) in enumerate(regions):
        rest = crop & ~taken[where]
        if _worth_keeping(rest, crop):
            kept.append(index)
            pieces.append(((where[0].start, where[1].start), rest))

    # Trimmed masks from a fresh set of objects; ids, scores and sources stay the regions' own.
    stays = regions.select(np.array(kept, np.intp))
    trimmed = objects_from_masks(regions.image_id, regions.shape, pieces)
    return replace(stays, boxes=trimmed.boxes, crops=trimmed.crops)


def _worth_keeping(rest: BoolMask, whole: BoolMask) -> bool:
    """Whether what is left is a thing still, and no scrap or rim of one."""
    area, area_before = np.count_nonzero(rest), np.count_nonzero(whole)
    if area == area_before:
        return True
    # A rim has much of the area and none of the thickness.
    return bool(area >= _LEFT * area_before and _depth(rest) >= _THICK * _depth(whole))


def _depth(mask: BoolMask) -> float:
    """Radius of the largest circle inside a mask, px."""
    padded = np.pad(mask, 1).astype(np.uint8)
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max())


def _in_one_piece(mask: BoolMask) -> bool:
    """Whether the largest connected part of a mask is nearly all of it."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    return bool(sizes.max() >= _ONE_PIECE * sizes.sum())


def solidity(mask: BoolMask) -> float:
    """Share of its convex hull that a mask fills, 0..1; 0 for an empty one.

    Parameters
    ----------
    mask : (h, w) bool
        In one piece or several; the hull is that of all of them.

    Notes
    -----
    The hull is drawn and its pixels are counted: the area of its polygon runs through the
    centres of the pixels and would be too small, so that thin masks had more than 1.

    Examples
    --------
    >>> solidity(np.ones((5, 9), bool))
    1.0
    >>> round(solidity(np.eye(9, dtype=bool) | np.eye(9, dtype=bool)[::-1]), 2)
    0.21
    """
    outlines, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    if not outlines:
        return 0.0
    hull = cv2.convexHull(np.concatenate(outlines))
    filled = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(filled, hull, 1)
    return float(np.count_nonzero(mask) / np.count_nonzero(filled))
