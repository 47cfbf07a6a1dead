"""Objects at the seams of tiles: which ones of two tiles are the same, by the shared strip.

An object that a tile cuts off has a counterpart in the neighbour, and in the strip that
both see the two must agree. They are compared piece by piece (connected within the
strip): an arch whose legs cross the seam is one object to one tile and two to the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from annotator.core.objects import BoolMask, intersection
from annotator.segmentation.sam.masks import Box, Candidate
from annotator.settings.bounds import check_bounds

# IoU by which a piece's second choice may be worse, where its best counterpart is taken.
_SECOND_BEST = 0.1


@dataclass(frozen=True, slots=True)
class SeamSettings:
    """When the objects of two tiles are one.

    Raises
    ------
    SettingsError
        When a value is out of its range.
    """

    agreement: float = field(
        default=0.5,
        metadata={
            "doc": "Least IoU, in the strip that two tiles share, of the parts of one object",
            "gt": 0,
            "le": 1,
        },
    )
    duplicate: float = field(
        default=0.7,
        metadata={"doc": "Of two whole masks with at least this IoU, one goes", "gt": 0, "le": 1},
    )
    inside: float = field(
        default=0.9,
        metadata={
            "doc": "A part of which this share lies in a whole object adds nothing to it",
            "gt": 0,
            "le": 1,
        },
    )
    touch: int = field(
        default=4,
        metadata={
            "doc": "Pixels by which a mask may stop short of the edge that cuts it; "
            "one pixel of SAM's own masks is 4",
            "ge": 0,
        },
    )
    least_pixels: int = field(
        default=32,
        metadata={"doc": "Pieces of fewer pixels in the strip say nothing", "ge": 1},
    )

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, eq=False)
class TileObject:
    """An object as one tile shows it.

    Parameters
    ----------
    tile : Box
        Half-open ``x0 y0 x1 y1`` in the image.
    candidate : Candidate
        Its box in pixels of the image.
    area : int
        Pixels.
    edges : (bool, bool, bool, bool)
        Whether it touches the tile's left, top, right, bottom edge where the image goes
        on beyond.
    """

    tile: Box
    candidate: Candidate
    area: int
    edges: tuple[bool, bool, bool, bool]

    @property
    def cut(self) -> bool:
        """Whether some of it may lie outside of the tile."""
        return any(self.edges)

    @property
    def thickness(self) -> int:
        """Pixels that it reaches into the tile from the edge that cuts it."""
        x0, y0, x1, y1 = self.candidate.box
        sides = (x1 - x0, y1 - y0, x1 - x0, y1 - y0)
        return min((s for s, e in zip(sides, self.edges, strict=True) if e), default=max(sides))


def view_of(candidate: Candidate, tile: Box, shape: tuple[int, int], touch: int) -> TileObject:
    """Tell which inner edges of its tile an object touches, give or take `touch` pixels."""
    gaps = [abs(a - b) for a, b in zip(candidate.box, tile, strict=True)]
    inner = (tile[0] > 0, tile[1] > 0, tile[2] < shape[1], tile[3] < shape[0])
    left, top, right, bottom = (i and gap <= touch for i, gap in zip(inner, gaps, strict=True))
    area = int(np.count_nonzero(candidate.crop))
    return TileObject(tile, candidate, area, (left, top, right, bottom))


def shared(a: Box, b: Box) -> Box | None:
    """The half-open box that two boxes share, or None.

    Examples
    --------
    >>> shared((0, 0, 10, 8), (6, 2, 16, 10)), shared((0, 0, 4, 4), (4, 0, 8, 4))
    ((6, 2, 10, 8), None)
    """
    x0, y0, x1, y1 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def is_remnant(view: TileObject, settings: SeamSettings) -> bool:
    """Whether a tile shows too little of a cut object to compare: a sliver or a speck."""
    thin = view.thickness <= 2 * settings.touch or view.area < settings.least_pixels
    return view.cut and thin


def covered(
    views: Sequence[TileObject], others: Sequence[TileObject], settings: SeamSettings
) -> set[int]:
    """Positions of the remnants of one tile of which another tile shows more.

    The other tile must see all of the remnant, and have an object over half of it; a
    sliver may lie beside that object by as much as masks stop short.
    """
    found = set()
    for index, view in enumerate(views):
        if is_remnant(view, settings) and others:
            box = view.candidate.box
            if shared(box, others[0].tile) == box and any(
                _lies_over(other, view, settings.touch) for other in others
            ):
                found.add(index)
    return found


def _lies_over(other: TileObject, view: TileObject, reach: int) -> bool:
    """Whether an object, grown by `reach` pixels, lies over half of a remnant."""
    x0, y0, x1, y1 = view.candidate.box
    around = (x0 - reach, y0 - reach, x1 + reach, y1 + reach)
    if other.area <= view.area or shared(around, other.candidate.box) is None:
        return False
    # Grown in a window of the remnant alone: other objects are thousands of pixels large.
    near = window(other.candidate, around).view(np.uint8)
    grown = cv2.dilate(near, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    over = grown[reach : reach + y1 - y0, reach : reach + x1 - x0] > 0
    return 2 * int(np.count_nonzero(over & view.candidate.crop)) >= view.area


def window(candidate: Candidate, box: Box) -> BoolMask:
    """The part of a mask inside any box, (h, w) bool; False where it does not reach.

    Examples
    --------
    >>> from annotator.segmentation.sam.masks import pack
    >>> mask = pack(np.ones((2, 3), bool), 0.9, 0.9, (5.0, 5.0), corner=(4, 4))
    >>> window(mask, (3, 4, 6, 6)).astype(int).tolist()
    [[0, 1, 1], [0, 1, 1]]
    """
    x0, y0, x1, y1 = box
    part = np.zeros((y1 - y0, x1 - x0), np.bool_)
    both = shared(candidate.box, box)
    if both is not None:
        left, top, right, bottom = both
        from_x, from_y = candidate.box[:2]
        part[top - y0 : bottom - y0, left - x0 : right - x0] = candidate.crop[
            top - from_y : bottom - from_y, left - from_x : right - from_x
        ]
    return part


@dataclass(frozen=True, slots=True, eq=False)
class _StripPart:
    """A connected part of an object within a strip.

    `owner` is the position of its view, `pixels` what that view has in the strip.
    """

    owner: int
    view: TileObject
    pixels: int
    box: Box
    crop: BoolMask
    area: int


def agreeing(
    first: Sequence[TileObject], second: Sequence[TileObject], settings: SeamSettings
) -> list[tuple[int, int]]:
    """Pairs of positions whose objects are one, at least one of the two being cut.

    Parameters
    ----------
    first, second : sequence of TileObject
        All objects of two tiles, in an order that does not depend on how they came:
        it decides between equals.
    settings : SeamSettings

    Returns
    -------
    list of (int, int)
        Positions in `first` and in `second`, in rising order; an object may be in several
        pairs.

    Notes
    -----
    Pieces are paired one to one, the best IoU first, so that of nested objects each
    meets its own level. A pair of objects joins when its paired pieces are at least half
    of what one of them has in the strip: a common speck joins nothing. Where tiles share
    a corner only, what fills half of it says nothing: whatever fills it looks alike, and
    the two tiles beside them see it as well.
    """
    strip = shared(first[0].tile, second[0].tile) if first and second else None
    if strip is None:
        return []
    # Pieces, not objects, are compared: what two legs of an arch are to one tile, is one
    # object to the other.
    one, two = (_pieces(views, strip, settings) for views in (first, second))
    # A shared corner is small: what fills half of it looks alike in any two tiles.
    if not _is_side(strip, first[0].tile):
        one, two = ([p for p in pieces if 2 * p.area < _size(strip)] for pieces in (one, two))
    paired: dict[tuple[int, int], list[tuple[_StripPart, _StripPart]]] = {}
    for p, q in _best_first(one, two, settings):
        # Remnants are paired, so that nothing else is in their place, but join nothing.
        remnant = is_remnant(p.view, settings) or is_remnant(q.view, settings)
        if (p.view.cut or q.view.cut) and not remnant:
            paired.setdefault((p.owner, q.owner), []).append((p, q))
    return sorted(owners for owners, pairs in paired.items() if _enough(pairs))


def _is_side(strip: Box, tile: Box) -> bool:
    """Whether a strip runs along a whole side of a tile."""
    return strip[::2] == tile[::2] or strip[1::2] == tile[1::2]


def _size(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _enough(pairs: Sequence[tuple[_StripPart, _StripPart]]) -> bool:
    """Whether the paired pieces are half of what one of the two views has in the strip."""
    (p, q), (one, two) = pairs[0], zip(*pairs, strict=True)
    return bool(
        2 * sum(piece.area for piece in one) >= p.pixels
        or 2 * sum(piece.area for piece in two) >= q.pixels
    )


def _fits(piece: _StripPart, other: TileObject, inside: float) -> bool:
    """Whether the other may be the same object, by what lies outside of its tile.

    An object that goes on beyond the other's tile must be cut there in the other. What
    lies whole within a larger one is not.
    """
    if piece.pixels >= inside * piece.view.area:
        return True
    (x0, y0, x1, y1), edge = piece.view.tile, other.edges
    left, top, right, bottom = other.tile
    return bool(
        (edge[0] and x0 < left < x1)
        or (edge[1] and y0 < top < y1)
        or (edge[2] and x0 < right < x1)
        or (edge[3] and y0 < bottom < y1)
    )


def _pieces(views: Sequence[TileObject], strip: Box, settings: SeamSettings) -> list[_StripPart]:
    """The pieces of all views in a strip that are large enough to compare."""
    pieces: list[_StripPart] = []
    for owner, view in enumerate(views):
        box = shared(view.candidate.box, strip)
        if box is None:
            continue
        part = window(view.candidate, box)
        pixels = int(np.count_nonzero(part))
        for corner, crop, area in _connected(part, settings.least_pixels):
            x, y = box[0] + corner[0], box[1] + corner[1]
            place = (x, y, x + crop.shape[1], y + crop.shape[0])
            pieces.append(_StripPart(owner, view, pixels, place, crop, area))
    return pieces


def _connected(part: BoolMask, least: int) -> Iterator[tuple[tuple[int, int], BoolMask, int]]:
    """Corner (x, y), mask and pixels of each 8-connected region that is large enough."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(part.view(np.uint8), connectivity=8)
    for label, (x, y, width, height, area) in enumerate(stats.tolist()):
        if label and area >= least:
            yield (x, y), labels[y : y + height, x : x + width] == label, area


def _best_first(
    one: Sequence[_StripPart], two: Sequence[_StripPart], settings: SeamSettings
) -> Iterator[tuple[_StripPart, _StripPart]]:
    """Pair pieces one to one, the best IoU first, and of equal ones the larger objects."""
    # IoU is taken where boxes overlap only: hundreds of pieces make few such pairs.
    rated = []
    for i, j in _near(one, two):
        p, q = one[i], two[j]
        both = intersection(p.box, p.crop, q.box, q.crop)
        iou = both / (p.area + q.area - both)
        if (
            iou >= settings.agreement
            and _fits(p, q.view, settings.inside)
            and _fits(q, p.view, settings.inside)
        ):
            rated.append((-iou, -p.view.area - q.view.area, i, j))
    # Greedy, one to one: nested outlines (a vacuole and its rim) each find their own level.
    best: tuple[dict[int, float], dict[int, float]] = ({}, {})
    taken: tuple[set[int], set[int]] = (set(), set())
    for negative_iou, _, i, j in sorted(rated):
        # Levels that look alike in the strip each find one; a distant second choice is
        # another object.
        least = (
            max(best[0].setdefault(i, -negative_iou), best[1].setdefault(j, -negative_iou))
            - _SECOND_BEST
        )
        if i not in taken[0] and j not in taken[1] and -negative_iou >= least:
            taken[0].add(i)
            taken[1].add(j)
            yield one[i], two[j]


def _near(one: Sequence[_StripPart], two: Sequence[_StripPart]) -> list[tuple[int, int]]:
    """Positions of the pairs of pieces whose boxes overlap."""
    if not one or not two:
        return []
    a = np.array([p.box for p in one])[:, None]
    b = np.array([p.box for p in two])[None]
    overlap = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return [(int(i), int(j)) for i, j in np.argwhere((overlap > 0).all(axis=-1))]


def moved(candidate: Candidate, x: int, y: int) -> Candidate:
    """A candidate of a tile's own pixels in those of the image, the tile's corner given."""
    x0, y0, x1, y1 = candidate.box
    return replace(
        candidate,
        box=(x0 + x, y0 + y, x1 + x, y1 + y),
        point=(candidate.point[0] + x, candidate.point[1] + y),
    )
