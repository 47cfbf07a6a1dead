"""Objects, their classes and the cell mask, joined to one label map and one instance map.

Every pixel gets one class by a declared order of precedence. The result does not depend on
the order in which the objects are stored: between two objects of one class the lower id wins.
The steps:

1. Paint: the classes from the last of the order to the first, so that the
   first ends on top. Objects of class cell are left out: the cell mask says
   where cell is. Where a segmentation network saw the image, single pixels are
   then corrected.
2. A bone object that was cut in pieces keeps its id on the largest piece.
   Pieces that are small beside it go to what surrounds them most; the others
   become instances of their own, with new ids.
3. Fat instances that touch, even by a corner, get a membrane of cell between
   them, one pixel wide, taken from the one with the higher id.
4. Step 2 for fat, repeated with step 3 until nothing touches. After that the
   connected components of fat are exactly its instances, whichever of the two
   connectivities a reader uses.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from annotator.core.classes import BONE, CELL, CLASS_NAMES, FAT, UNLABELLED, invalid_codes
from annotator.core.label_maps import INSTANCE_LIMIT, LabelMaps
from annotator.core.objects import BoolMask, ImageObjects
from annotator.segmentation.surer_classes import corrected
from annotator.settings.annotation import StitchSettings

_INSTANCED = (FAT, BONE)
_Window = tuple[slice, slice]
_Piece = tuple[_Window, BoolMask]


DEFAULT_STITCH = StitchSettings()


def stitch(
    objects: ImageObjects,
    codes: NDArray[np.uint8],
    cell: BoolMask,
    settings: StitchSettings = DEFAULT_STITCH,
    surer: NDArray[np.uint8] | None = None,
) -> LabelMaps:
    """Join objects and cell mask to one label map and one instance map.

    Parameters
    ----------
    objects : ImageObjects
        N objects of one image; they may overlap.
    codes : (N,) uint8
        Class of each object: 0 bg, 1 fat, 2 cell, 3 bone; 255 for an object to leave out.
    cell : (H, W) bool
        Where cell is, unless something that comes before cell in the order is there.
    settings : StitchSettings
    surer : (H, W) uint8, optional
        What corrects the objects pixel by pixel, see
        :func:`annotator.segmentation.surer_classes.corrected`.

    Returns
    -------
    LabelMaps
        (H, W). Instances have the ids of their objects; pieces that were cut off have new ids
        above the highest, listed in ``split_from``.

    Raises
    ------
    ValueError
        When `codes` or `cell` do not fit `objects`.

    Examples
    --------
    A fat object of id 1 and a bone object of id 2 that overlap in one column:

    >>> from annotator.core.objects import objects_from_masks
    >>> full = np.ones((2, 3), bool)
    >>> both = objects_from_masks("x", (2, 6), [((0, 0), full), ((0, 2), full)])
    >>> out = stitch(both, np.array([1, 3], np.uint8), np.ones((2, 6), bool))
    >>> out.classes[0].tolist(), out.instances[0].tolist()
    ([1, 1, 3, 3, 3, 2], [1, 1, 2, 2, 2, 0])
    """
    _check_inputs(objects, codes, cell)
    # While they are worked on, objects are numbered 1, 2, 3 ... by id; 0 is none.
    by_id = np.argsort(objects.ids)
    painted = _paint(objects.select(by_id), codes[by_id], cell, settings.order)
    canvas = _Canvas(*(painted if surer is None else corrected(*painted, surer)))
    # Which object each number belongs to; pieces that are cut off get further numbers.
    parents = list(range(len(objects) + 1))
    canvas.settle_pieces(BONE, parents, settings)
    canvas.separate_fat()
    canvas.settle_pieces(FAT, parents, settings)
    # A membrane can cut an adipocyte in pieces, and a speck that is given to a neighbour can
    # touch another one. Each membrane takes fat away for good, so this ends.
    while canvas.separate_fat():
        canvas.settle_pieces(FAT, parents, settings)
    ids, split_from = _name_parts(objects.ids[by_id], parents)
    return LabelMaps(canvas.classes, ids[canvas.owner], split_from)


def unlabelled_reasons(
    label_maps: LabelMaps,
    objects: ImageObjects,
    codes: NDArray[np.uint8],
    black: BoolMask | None = None,
) -> dict[str, int]:
    """Count the unlabelled pixels by the reason why they have no class.

    Parameters
    ----------
    label_maps : LabelMaps
        What :func:`stitch` made of `objects` and `codes`.
    objects : ImageObjects
    codes : (N,) uint8
    black : (H, W) bool, optional
        What has no class for another reason; it is not counted.

    Returns
    -------
    dict of str to int
        Pixels for each of ``cell object outside the cell mask``, ``object
        without a class``, ``speck cut off an object`` and ``no object``; a pixel
        counts for the first that applies.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_masks
    >>> one = objects_from_masks("x", (1, 3), [((0, 0), np.ones((1, 1), bool))])
    >>> codes = np.array([255], np.uint8)
    >>> label_maps = stitch(one, codes, np.array([[False, True, False]]))
    >>> [reason for reason, count in unlabelled_reasons(label_maps, one, codes).items() if count]
    ['object without a class', 'no object']
    """
    empty = label_maps.classes == UNLABELLED
    if black is not None:
        empty &= ~black
    counts: dict[str, int] = {}
    for reason, chosen in (
        ("cell object outside the cell mask", codes == CELL),
        ("object without a class", codes == UNLABELLED),
        ("speck cut off an object", codes != CELL),
    ):
        covered = objects.select(chosen).coverage() > 0 if empty.any() else empty
        counts[reason] = int(np.count_nonzero(empty & covered))
        empty = empty & ~covered
    counts["no object"] = int(np.count_nonzero(empty))
    return counts


def _check_inputs(objects: ImageObjects, codes: NDArray[np.uint8], cell: BoolMask) -> None:
    if codes.shape != (len(objects),) or codes.dtype != np.uint8:
        raise ValueError(f"codes must be ({len(objects)},) uint8, got {codes.shape} {codes.dtype}")
    if invalid_codes(codes).any():
        raise ValueError(f"codes must be 0-3 or 255, got {np.unique(codes).tolist()}")
    if cell.shape != objects.shape or cell.dtype != np.bool_:
        raise ValueError(f"cell must be {objects.shape} bool, got {cell.shape} {cell.dtype}")


def _paint(
    objects: ImageObjects, codes: NDArray[np.uint8], cell: BoolMask, order: tuple[str, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Paint objects sorted by id; the owner of a pixel is the object's position + 1, or 0."""
    classes = np.full(objects.shape, UNLABELLED, np.uint8)
    owner = np.zeros(objects.shape, np.int32)
    windows = list(objects)
    for name in reversed(order):
        code = CLASS_NAMES.index(name)
        if code == CELL:
            classes[cell], owner[cell] = CELL, 0
            continue
        # From the highest id to the lowest, so that the lowest ends on top.
        for position in np.flatnonzero(codes == code)[::-1].tolist():
            where, crop = windows[position]
            classes[where][crop] = code
            owner[where][crop] = position + 1 if code in _INSTANCED else 0
    return classes, owner


@dataclass(slots=True)
class _Canvas:
    """The two maps while they are worked on.

    Parameters
    ----------
    classes : (H, W) uint8
        Codes 0-3, 255 for none.
    owner : (H, W) int32
        Number of the object or piece that owns a pixel of fat or bone, without gaps from 1; 0
        elsewhere.
    """

    classes: NDArray[np.uint8]
    owner: NDArray[np.int32]

    def separate_fat(self) -> bool:
        """Put a membrane between touching fat instances; whether any had to be put.

        A pixel becomes membrane where one of its eight neighbours belongs to a lower owner: the
        later of two instances gives way. The erosion finds the lowest owner around every pixel
        at once. float32 holds every owner exactly, since there are fewer than 2**24; what is not
        fat counts as higher than all.
        """
        owners = self.owner.astype(np.float32)
        owners[self.classes != FAT] = INSTANCE_LIMIT
        lowest = cv2.erode(owners, np.ones((3, 3), np.uint8), borderValue=INSTANCE_LIMIT)
        membrane = (lowest < owners) & (self.classes == FAT)
        self.classes[membrane], self.owner[membrane] = CELL, 0
        return bool(membrane.any())

    def settle_pieces(self, code: int, parents: list[int], settings: StitchSettings) -> None:
        """Give each large piece of a cut object its own number, and each speck to its neighbour."""
        specks: list[_Piece] = []
        for number, where in enumerate(find_objects(self.owner * (self.classes == code)), start=1):
            large, small = _pieces(where, self.owner, number, settings) if where else ([], [])
            for piece in large:
                parents.append(parents[number])
                self._repaint(piece, code, len(parents) - 1)
            specks += small
        # All specks are cleared before the first is given away, so that none of them counts as
        # the neighbour of another.
        for piece in specks:
            self._repaint(piece, UNLABELLED, 0)
        for piece in specks:
            self._absorb(piece)

    def _repaint(self, piece: _Piece, code: int, owner: int) -> None:
        where, mask = piece
        self.classes[where][mask], self.owner[where][mask] = code, owner

    def _absorb(self, piece: _Piece) -> None:
        """Give a speck to the neighbour that it shares most of its outline with."""
        where, mask = piece
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        ring = cv2.dilate(mask.astype(np.uint8), cross).astype(bool) & ~mask
        ring &= self.classes[where] != UNLABELLED
        if ring.any():
            around = np.stack([self.classes[where][ring], self.owner[where][ring]])
            kinds, votes = np.unique(around, axis=1, return_counts=True)
            self._repaint(piece, *kinds[:, int(votes.argmax())].tolist())


def _pieces(
    box: _Window, owner: NDArray[np.int32], number: int, settings: StitchSettings
) -> tuple[list[_Piece], list[_Piece]]:
    """The 4-connected pieces of one owner without the largest: the large ones, then the specks.

    A speck has fewer pixels than the settings ask for, or a small share of the largest piece.
    """
    where = _grow(box, owner.shape)
    mask = (owner[where] == number).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    area = stats[1:, cv2.CC_STAT_AREA]
    limit = max(settings.fragment_px, settings.fragment_share * area.max())
    large: list[_Piece] = []
    small: list[_Piece] = []
    for index in range(count - 1):
        if index != int(area.argmax()):
            x, y, width, height = stats[index + 1, :4].tolist()
            near = _grow((slice(y, y + height), slice(x, x + width)), labels.shape)
            piece = _inside(where, near), labels[near] == index + 1
            (small if area[index] < limit else large).append(piece)
    return large, small


def _grow(window: _Window, shape: tuple[int, ...]) -> _Window:
    """The window with one pixel more on each side, as far as the image goes."""
    rows, columns = window
    return (
        slice(max(0, rows.start - 1), min(shape[0], rows.stop + 1)),
        slice(max(0, columns.start - 1), min(shape[1], columns.stop + 1)),
    )


def _inside(outer: _Window, inner: _Window) -> _Window:
    """A window of a window, in coordinates of the image."""
    y, x = outer[0].start, outer[1].start
    rows, columns = inner
    return slice(y + rows.start, y + rows.stop), slice(x + columns.start, x + columns.stop)


def _name_parts(
    ids: NDArray[np.int32], parents: list[int]
) -> tuple[NDArray[np.int32], tuple[tuple[int, int], ...]]:
    """Id of each owner number, and for the pieces that were cut off the id of their object."""
    object_ids = [0, *ids.tolist()]
    first_new = max(object_ids) + 1
    pieces = parents[len(object_ids) :]
    split_from = tuple((first_new + k, object_ids[parent]) for k, parent in enumerate(pieces))
    return np.array(object_ids + [new for new, _ in split_from], np.int32), split_from
