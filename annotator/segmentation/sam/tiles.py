"""Large images in tiles that overlap, and the tiles' objects put together again.

The encoder sees at most 1024 pixels along the longer side. A field that is larger is cut
into tiles; each is encoded and prompted for itself, and what a seam cut comes out whole
(:mod:`annotator.segmentation.sam.tile_seams` tells what belongs together).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from annotator.core.objects import intersection
from annotator.segmentation.sam.masks import Box, Candidate, pack
from annotator.segmentation.sam.tile_seams import (
    SeamSettings,
    TileObject,
    agreeing,
    covered,
    shared,
    view_of,
)


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of an image; `box` is half-open ``x0 y0 x1 y1`` px."""

    box: Box

    @property
    def where(self) -> tuple[slice, slice]:
        """Rows and columns, to take the tile out of an image."""
        x0, y0, x1, y1 = self.box
        return slice(y0, y1), slice(x0, x1)


def tiles(shape: tuple[int, int], side: int, overlap: int) -> tuple[Tile, ...]:
    """Cover an image with tiles, row by row.

    Parameters
    ----------
    shape : (int, int)
        Height and width in pixels.
    side : int
        Longest side of a tile; an image that fits is one tile.
    overlap : int
        Least pixels that neighbours share. An object is joined by what both see of it
        there, and one that is smaller is whole in one of the two.

    Returns
    -------
    tuple of Tile
        All of the same size, as far apart as the overlap lets them be, evenly.

    Raises
    ------
    ValueError
        When the overlap leaves no way forward.

    Examples
    --------
    >>> [tile.box for tile in tiles((1200, 1920), 1024, 128)][::3]
    [(0, 0, 1024, 1024), (896, 176, 1920, 1200)]
    """
    if not 0 <= overlap < side:
        raise ValueError(f"expected 0 <= overlap < side, got overlap {overlap}, side {side}")
    if max(shape) <= side:
        return (Tile((0, 0, shape[1], shape[0])),)
    rows, columns = (_starts(length, side, overlap) for length in shape)
    return tuple(
        Tile((x, y, min(x + side, shape[1]), min(y + side, shape[0])))
        for y in rows
        for x in columns
    )


def _starts(length: int, side: int, overlap: int) -> list[int]:
    """Where tiles begin along one axis."""
    if length <= side:
        return [0]
    steps = math.ceil((length - side) / (side - overlap))
    return [step * (length - side) // steps for step in range(steps + 1)]


def merge_tiles(
    per_tile: Iterable[tuple[Tile, Sequence[Candidate]]],
    shape: tuple[int, int],
    settings: SeamSettings | None = None,
) -> list[Candidate]:
    """Put the objects of tiles together: each once, and whole.

    - An object that touches no inner edge of its tile is whole; where two tiles see it
      whole, the better score stays.
    - One that is cut joins those of other tiles that agree with it in the strip that both
      see, and so on across any number of tiles. Score: mean weighted by area; stability:
      the least; point: that of the largest part. Where a tile sees it whole, its outline
      stands for the parts that lie in it.
    - A sliver or speck at a seam goes when the neighbour shows the object it is of.
    - A cut one without a counterpart stays as it is. Objects that lie side by side, or
      one in the other, are never joined.

    Parameters
    ----------
    per_tile : iterable of (Tile, sequence of Candidate)
        Boxes and points in pixels of the image
        (:func:`annotator.segmentation.sam.tile_seams.moved`). A generator may encode the next tile
        when it is asked for it: only packed masks are held.
    shape : (int, int)
        Height and width of the image.
    settings : SeamSettings, optional

    Returns
    -------
    list of Candidate
        Best score first. The order of objects within a tile does not matter. A tile that
        is the whole image comes back as it was.
    """
    seams = settings or SeamSettings()
    groups = _Groups(seams)
    for tile, found in per_tile:
        if tile.box == (0, 0, shape[1], shape[0]):
            return list(found)
        views = [view_of(candidate, tile.box, shape, seams.touch) for candidate in found]
        groups.add(_distinct(views, seams.duplicate))
    whole = [_joined(views, seams.inside) for views in groups.members()]
    # What is still cut repeats a whole object rather than the other way round.
    distinct = _distinct(whole, seams.duplicate, lambda view: (view.cut, *_rank(view)))
    return [view.candidate for view in sorted(distinct, key=_rank)]


class _Groups:
    """Views of the tiles so far, and which of them are the same object (union-find)."""

    def __init__(self, settings: SeamSettings) -> None:
        self._settings = settings
        self._tiles: list[tuple[int, list[TileObject]]] = []
        self._views: list[TileObject] = []
        self._parent: list[int] = []
        self._links: list[tuple[int, int]] = []
        self._gone: set[int] = set()

    def add(self, views: list[TileObject]) -> None:
        """Compare the next tile's views with those of all tiles that it overlaps."""
        start = len(self._views)
        for before, others in self._tiles:
            if not views or not others or shared(views[0].tile, others[0].tile) is None:
                continue
            self._gone |= {start + i for i in covered(views, others, self._settings)}
            self._gone |= {before + i for i in covered(others, views, self._settings)}
            for i, j in agreeing(others, views, self._settings):
                self._links.append((before + i, start + j))
        self._tiles.append((start, views))
        self._views += views
        self._parent += range(start, start + len(views))

    def members(self) -> list[list[TileObject]]:
        """The views of each object, in order of tile."""
        for a, b in self._links:
            low, high = sorted((self._root(a), self._root(b)))
            self._parent[high] = low
        found: dict[int, list[TileObject]] = {}
        for index, view in enumerate(self._views):
            if index not in self._gone:
                found.setdefault(self._root(index), []).append(view)
        return list(found.values())

    def _root(self, index: int) -> int:
        while self._parent[index] != index:
            index = self._parent[index]
        return index


def _joined(views: list[TileObject], inside: float) -> TileObject:
    """One object of the views that tiles have of it."""
    wholes = sorted((view for view in views if not view.cut), key=_rank)
    if wholes:
        parts = [view for view in views if view.cut and _share(view, wholes[0]) < inside]
        views = [wholes[0], *parts]
    return views[0] if len(views) == 1 else _union(views)


def _share(part: TileObject, whole: TileObject) -> float:
    """How much of a part lies in a whole object, 0..1."""
    a, b = part.candidate, whole.candidate
    return intersection(a.box, a.crop, b.box, b.crop) / part.area


def _union(views: Sequence[TileObject]) -> TileObject:
    boxes = np.array([view.candidate.box for view in views])
    (x0, y0), (x1, y1) = boxes[:, :2].min(0).tolist(), boxes[:, 2:].max(0).tolist()
    mask = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for view in views:
        left, top, right, bottom = view.candidate.box
        mask[top - y0 : bottom - y0, left - x0 : right - x0] |= view.candidate.crop
    areas = [view.area for view in views]
    score = sum(v.candidate.score * a for v, a in zip(views, areas, strict=True)) / sum(areas)
    stability = min(view.candidate.stability for view in views)
    point = views[int(np.argmax(areas))].candidate.point
    candidate = pack(mask, score, stability, point, (y0, x0))
    if candidate is None:
        raise ValueError("expected masks of at least one pixel, got an empty one")
    return TileObject((x0, y0, x1, y1), candidate, int(np.count_nonzero(mask)), (False,) * 4)


def _rank(view: TileObject) -> tuple[float, int, Box, bytes]:
    """Better ones first, and an order among equals that is of the objects alone."""
    candidate = view.candidate
    return -candidate.score, -view.area, candidate.box, candidate.packed


def _distinct(
    views: Sequence[TileObject],
    threshold: float,
    rank: Callable[[TileObject], tuple[Any, ...]] = _rank,
) -> list[TileObject]:
    """Drop each mask that repeats a better one, by IoU of the masks; best first."""
    ordered = sorted(views, key=rank)
    boxes = np.array([view.candidate.box for view in ordered]).reshape(-1, 4)
    areas = np.array([view.area for view in ordered])
    alive = np.ones(len(ordered), np.bool_)
    for best, view in enumerate(ordered):
        if not alive[best]:
            continue
        rest = boxes[best + 1 :]
        sides = np.minimum(boxes[best, 2:], rest[:, 2:]) - np.maximum(boxes[best, :2], rest[:, :2])
        # Boxes that share too little settle most pairs before a mask is unpacked.
        most = sides.clip(0).prod(axis=1)
        close = most >= threshold * np.maximum(areas[best], areas[best + 1 :])
        for index in (np.flatnonzero(close & alive[best + 1 :]) + best + 1).tolist():
            alive[index] = _iou(view, ordered[index]) < threshold
    return [view for view, stays in zip(ordered, alive, strict=True) if stays]


def _iou(a: TileObject, b: TileObject) -> float:
    first, second = a.candidate, b.candidate
    both = intersection(first.box, first.crop, second.box, second.crop)
    return both / (a.area + b.area - both)
