"""Prompts where they pay: coarse to fine, until white and bone-like ground is covered.

Knows nothing of the network: it asks for the masks of points, and looks at what came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask
from annotator.segmentation.sam.masks import Candidate
from annotator.segmentation.sam.prompts import (
    Ground,
    Points,
    Regions,
    deepest_points,
    points_inside,
)

# Prompts put to the network at a time; what their masks cover gets no prompt any more.
_AT_ONCE = 16
# Shares of all prompts in the first round: for white, for bone-like, and for open ground.
_WHITE, _SMOOTH, _OPEN = 0.8, 0.15, 0.05
# Squares of the first grids along the image's longer side.
_SMOOTH_GRID, _OPEN_GRID = 12, 8
# A mask is that of a white circle when it has this share of the circle's area at least.
_FILLED = 0.75
# Around a prompt no other one is put, within these shares of its circle's radius: without
# a mask most of the circle is given up, with one only the prompt's own place.
_GIVEN_UP, _ANSWERED = 0.7, 0.2
_ROUNDS = 8
# Ground of a kind is given up when of this many points fewer than this share found a new thing.
_TRIED, _FRUITFUL = 16, 1 / 8
# A mask is of a thing found before when their boxes overlap by more than this (IoU).
_SAME = 0.8
# The grid on bone-like ground is halved this often.
_FINEST = 2


class AskMasks(Protocol):
    """Asks for the masks of (N, 2) points, or of points with (N, 4) boxes."""

    def __call__(
        self, points: Points, boxes: NDArray[np.float64] | None = None, /
    ) -> Sequence[Candidate]:
        """Return good and stable masks; ``point`` says whose each one is."""


@dataclass(slots=True)
class Search:
    """What has been asked and found so far in one tile of an image.

    Parameters
    ----------
    ground : Ground
    ask : AskMasks
    most : int
        Points at most; regions come on top.
    least_area : float
        Smaller objects are not looked for, px.

    Attributes
    ----------
    found : list of Candidate
        All masks so far, in the order they came.
    asked : int
        Points so far, without the regions.
    white, smooth : (H, W) bool
        White and bone-like ground that no mask has covered yet.
    """

    ground: Ground
    ask: AskMasks
    most: int
    least_area: float
    found: list[Candidate] = field(default_factory=list)
    asked: int = 0
    white: BoolMask = field(init=False)
    smooth: BoolMask = field(init=False)
    _tried: dict[str, list[bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.white, self.smooth = self.ground.white.copy(), self.ground.smooth.copy()

    def run(self, regions: Regions | None = None) -> list[Candidate]:
        """Ask until everything is covered, gives nothing, or the points are used up.

        Parameters
        ----------
        regions : Regions, optional
            Asked first, each with its box.
        """
        # Regions first: what their masks cover needs no point of the budget.
        if regions is not None:
            self._ask_regions(regions)
        # First round: each kind of ground has a share, so that none uses up the others'.
        longest = max(self.white.shape)
        # Half the radius of the smallest object: circles are blurred, and outlines not round.
        least = 0.5 * (self.least_area / np.pi) ** 0.5
        self._white_round(least, self._share(_WHITE))
        self._smooth_round(longest / _SMOOTH_GRID, least, self._share(_SMOOTH))
        self._open_round(longest / _OPEN_GRID, 2 * least, self._share(_OPEN))
        # Later rounds, on what is still uncovered: finer on bone, deepest first on white.
        for finer in range(1, _ROUNDS):
            before = self.asked
            self._white_round(least, self.most)
            self._smooth_round(longest / _SMOOTH_GRID / 2 ** min(finer, _FINEST), least, self.most)
            # A round without a new point changes nothing, so neither would the next.
            if self.asked == before:
                break
        return self.found

    def _ask_regions(self, regions: Regions) -> None:
        """Ask the regions whose middle no mask of a larger one has covered by then."""
        # Regions are often parts of one thing: bone in superpixels, slide, a torn adipocyte.
        waiting = np.arange(len(regions.points))
        while len(waiting):
            x, y = regions.points[waiting].astype(int).T
            waiting = waiting[self.white[y, x] | self.smooth[y, x]]
            now, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
            if len(now):
                asked = regions.points[now], regions.boxes[now]
                self._learn(self.ask(*asked), regions.points[now], regions.radius[now])

    def _share(self, share: float) -> int:
        return self.asked + round(share * self.most)

    def _white_round(self, least: float, until: int) -> None:
        points, radius = deepest_points(self.white, least)
        self._ask_open("white", self.white, points, radius, until)

    def _smooth_round(self, spacing: float, least: float, until: int) -> None:
        points = points_inside(self.smooth, spacing, least)
        self._ask_open("smooth", self.smooth, points, np.full(len(points), spacing / 2), until)

    def _open_round(self, spacing: float, least: float, until: int) -> None:
        points = points_inside(self.ground.open, spacing, least)
        uncovered = self.ground.open.copy()
        self._ask_open("open", uncovered, points, np.full(len(points), spacing / 2), until)

    def _ask_open(
        self,
        kind: str,
        uncovered: BoolMask,
        points: Points,
        radius: NDArray[np.float64],
        until: int,
    ) -> None:
        """Ask the points that are still uncovered when their turn comes, while they find things."""
        # Few at a time: most points of a large adipocyte are covered by the first one's mask.
        waiting = np.arange(len(points))
        tried = self._tried.setdefault(kind, [])
        while len(waiting) and self.asked < min(until, self.most) and not _barren(tried):
            x, y = points[waiting].astype(int).T
            waiting = waiting[uncovered[y, x]]
            now = waiting[: min(_AT_ONCE, min(until, self.most) - self.asked)]
            waiting = waiting[len(now) :]
            if len(now):
                self.asked += len(now)
                before, answers = len(self.found), self.ask(points[now])
                settled = self._learn(answers, points[now], radius[now])
                new = _new_things(self.found, before)
                tried += [tuple(point) in new for point in points[now].tolist()]
                # Whatever came: the same place is never asked twice, so that this ends.
                for at, done in zip(now, settled, strict=True):
                    _clear_disc(
                        uncovered, points[at], (_ANSWERED if done else _GIVEN_UP) * radius[at]
                    )

    def _learn(
        self, answers: Sequence[Candidate], points: Points, radius: NDArray[np.float64]
    ) -> list[bool]:
        """Add masks to those found, and cover ground by them; tell which points they settle."""
        self.found += answers
        settled = []
        for point, reach in zip(map(tuple, points.tolist()), radius.tolist(), strict=True):
            own = [_Answer.of(c, self.ground) for c in answers if c.point == point]
            on_white = self.ground.white[int(point[1]), int(point[0])]
            settled.append(self._cover_white(own, reach) if on_white else self._cover_smooth(own))
        return settled

    def _cover_white(self, answers: Sequence[_Answer], radius: float) -> bool:
        """Take the ground of the mask that settles a white point out of what is to be asked.

        Of nested masks that is the smallest one that fills the circle: a mask of several
        adipocytes settles nothing about each of them. Where none fills it, parts of
        the thing are all there is.
        """
        white = [a for a in answers if a.white > 0.5]
        filling = [a for a in white if a.area >= _FILLED * np.pi * radius**2]
        if not white:
            return False
        smallest = min(filling, key=lambda a: a.area, default=None)
        _clear(self.white, (smallest or max(white, key=lambda a: a.area)).candidate)
        return True

    def _cover_smooth(self, answers: Sequence[_Answer]) -> bool:
        """The same for a point on stained ground: of its bone-like masks the purest."""
        smooth = [a for a in answers if a.smooth > 0.5]
        if not smooth:
            return False
        _clear(self.smooth, max(smooth, key=lambda a: (a.smooth, a.area)).candidate)
        return True


@dataclass(frozen=True, slots=True)
class _Answer:
    """A mask, its pixels, and which share of them is white and bone-like."""

    candidate: Candidate
    area: int
    white: float
    smooth: float

    @classmethod
    def of(cls, candidate: Candidate, ground: Ground) -> _Answer:
        crop = candidate.crop
        x0, y0, x1, y1 = candidate.box
        area = int(np.count_nonzero(crop))
        inside = [
            np.count_nonzero(crop & mask[y0:y1, x0:x1]) / max(area, 1)
            for mask in (ground.white, ground.smooth)
        ]
        return cls(candidate, area, *inside)


def _barren(tried: Sequence[bool]) -> bool:
    """Tell whether the last points of a kind of ground found hardly anything new.

    Examples
    --------
    >>> _barren([True] * 30), _barren([True] * 30 + [False] * 30), _barren([False] * 10)
    (False, True, False)
    """
    lately = tried[-_TRIED:]
    return len(lately) == _TRIED and sum(lately) < _FRUITFUL * _TRIED


def _new_things(found: Sequence[Candidate], before: int) -> set[tuple[float, float]]:
    """Points of the masks from position `before` on that repeat no earlier mask.

    Examples
    --------
    >>> def mask(box, point):
    ...     return Candidate(box, b"", 1.0, 1.0, point)
    >>> found = [mask((0, 0, 9, 9), (1, 1)), mask((0, 0, 9, 8), (2, 2)), mask((5, 5, 9, 9), (7, 7))]
    >>> _new_things(found, 1)
    {(7, 7)}
    """
    boxes = np.array([candidate.box for candidate in found], np.float64).reshape(-1, 4)
    points = set()
    for index in range(before, len(found)):
        if not len(boxes[:index]) or box_overlaps(boxes[:index], boxes[index]).max() <= _SAME:
            points.add(found[index].point)
    return points


def box_overlaps(boxes: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of each of (N, 4) half-open boxes ``x0 y0 x1 y1`` with one box, (N,) float64.

    Examples
    --------
    >>> box_overlaps(np.array([[0, 0, 4, 4], [8, 8, 9, 9.0]]), np.array([0, 0, 4, 2.0])).tolist()
    [0.5, 0.0]
    """
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / (sizes - shared))


def _clear(mask: BoolMask, candidate: Candidate) -> None:
    x0, y0, x1, y1 = candidate.box
    mask[y0:y1, x0:x1] &= ~candidate.crop


def _clear_disc(mask: BoolMask, point: NDArray[np.float64], radius: float) -> None:
    (x, y), reach = point.astype(int), int(np.ceil(radius))
    top, left = max(0, y - reach), max(0, x - reach)
    part = mask[top : y + reach + 1, left : x + reach + 1]
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    part &= (rows + top - y) ** 2 + (columns + left - x) ** 2 > radius**2
