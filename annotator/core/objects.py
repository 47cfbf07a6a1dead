"""An image, its objects, and the geometry of masks.

Boxes are int32, half-open, ``x0 y0 x1 y1``. Masks are kept as crops of their
boxes: a thousand crops of 60 x 60 are 3.6 MB, a thousand full-frame masks of
1200 x 1920 are 2.3 GB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.hashing import short_hash

BoolMask = NDArray[np.bool_]

OBJECT_SOURCES = ("superpixel", "sam", "white", "network")
"""Who can have made an object; its code is the position here. ``white`` is white that no
proposer claimed, ``network`` what a segmentation network found where there was no object.
Codes lie in files: new makers go to the end."""


def freeze(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array as a read-only view; the caller's own stays as it is.

    Examples
    --------
    >>> freeze(np.zeros(2)).flags.writeable
    False
    """
    view = array.view()
    view.flags.writeable = False
    return view


def image_id(pixels: NDArray[np.uint8]) -> str:
    """First 16 hex digits of the sha256 of the shape and the decoded pixels.

    Examples
    --------
    >>> image_id(np.zeros((2, 3, 3), np.uint8))
    'e6313b50127a40b8'
    """
    return short_hash("x".join(map(str, pixels.shape)), np.ascontiguousarray(pixels).data)


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A decoded field.

    Parameters
    ----------
    id : str
        Content hash, see :func:`image_id`. Identity is the pixels, not the path.
    pixels : (H, W, 3) uint8
        RGB, always.
    um_per_px : float or None
        Microns per pixel, or None where nobody says.
    notes : tuple of str
        What was converted on the way in ("palette expanded to RGB"), for people.

    Raises
    ------
    ValueError
        When the pixels have another shape or dtype, or the scale is not positive.
    """

    id: str
    pixels: NDArray[np.uint8]
    um_per_px: float | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        p = self.pixels
        if p.ndim != 3 or p.shape[2] != 3 or p.dtype != np.uint8 or p.size == 0:
            raise ValueError(f"pixels must be (H, W, 3) uint8, got {p.shape} {p.dtype}")
        if self.um_per_px is not None and not 0 < self.um_per_px < float("inf"):
            raise ValueError(f"um_per_px must be positive, got {self.um_per_px}")
        object.__setattr__(self, "pixels", freeze(np.ascontiguousarray(p)))

    @classmethod
    def from_pixels(
        cls, pixels: NDArray[np.uint8], um_per_px: float | None = None, notes: tuple[str, ...] = ()
    ) -> Image:
        """Make an image of (H, W, 3) uint8 pixels, RGB; its id is computed from them.

        Examples
        --------
        >>> Image.from_pixels(np.zeros((2, 3, 3), np.uint8)).id
        'e6313b50127a40b8'
        """
        return cls(image_id(pixels), pixels, um_per_px, notes)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def at_scale(self, um_per_px: float | None) -> Image:
        """The same pixels at another scale; None where nobody knows it.

        Examples
        --------
        >>> image = Image.from_pixels(np.zeros((2, 3, 3), np.uint8))
        >>> image.at_scale(0.5).um_per_px
        0.5
        """
        return replace(self, um_per_px=um_per_px)


@dataclass(frozen=True, slots=True, eq=False)
class ImageObjects:
    """The objects of one image, as a struct of arrays.

    Parameters
    ----------
    image_id : str
    shape : (int, int)
        Height and width of the image.
    ids : (N,) int32
        Unique and positive; they stay with an object when others are pruned.
    boxes : (N, 4) int32
        Half-open ``x0 y0 x1 y1`` inside the image, tight around the crop.
    crops : tuple of N (h, w) bool
        The mask inside its box; every crop has at least one pixel.
    scores : (N,) float32
        Predicted quality in 0..1, NaN where the maker gives none.
    stability : (N,) float32
        Stability score in 0..1 (IoU of the mask under a stricter and a looser
        threshold), NaN where the maker gives none.
    sources : (N,) uint8
        Who made each object: its position in :data:`OBJECT_SOURCES`.

    Raises
    ------
    ValueError
        When the arrays have other shapes or dtypes, or contradict each other.
    """

    image_id: str
    shape: tuple[int, int]
    ids: NDArray[np.int32]
    boxes: NDArray[np.int32]
    crops: tuple[BoolMask, ...]
    scores: NDArray[np.float32]
    stability: NDArray[np.float32]
    sources: NDArray[np.uint8]

    def __post_init__(self) -> None:
        n = len(self.crops)
        for name, shape, dtype in (
            ("ids", (n,), np.int32),
            ("boxes", (n, 4), np.int32),
            ("scores", (n,), np.float32),
            ("stability", (n,), np.float32),
            ("sources", (n,), np.uint8),
        ):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(
                    f"{name} must be {shape} {np.dtype(dtype)}, got {array.shape} {array.dtype}"
                )
            object.__setattr__(self, name, freeze(array))
        if len(np.unique(self.ids)) != n or (n and self.ids.min() < 1):
            raise ValueError("ids must be unique and positive")
        if self.sources.max(initial=0) >= len(OBJECT_SOURCES):
            known = ", ".join(OBJECT_SOURCES)
            raise ValueError(f"expected codes of makers ({known}), got {self.sources.max()}")
        height, width = self.shape
        for (x0, y0, x1, y1), crop in zip(self.boxes.tolist(), self.crops, strict=True):
            if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
                raise ValueError(f"box {(x0, y0, x1, y1)} does not lie in {width} x {height}")
            if crop.shape != (y1 - y0, x1 - x0) or crop.dtype != np.bool_:
                raise ValueError(f"crop {crop.shape} {crop.dtype} does not fit {(x0, y0, x1, y1)}")
            if not crop.any():
                raise ValueError(f"the crop in {(x0, y0, x1, y1)} must have at least one pixel")
        object.__setattr__(self, "crops", tuple(freeze(c) for c in self.crops))

    def __len__(self) -> int:
        return len(self.crops)

    def __iter__(self) -> Iterator[tuple[tuple[slice, slice], BoolMask]]:
        """Yield ``(rows, columns), crop`` for each object."""
        for (x0, y0, x1, y1), crop in zip(self.boxes.tolist(), self.crops, strict=True):
            yield (slice(y0, y1), slice(x0, x1)), crop

    def areas(self) -> NDArray[np.int64]:
        """Pixels of each object, (N,) int64.

        Examples
        --------
        >>> objects_from_labels("a1", np.array([[2, 2, 1]], np.int32)).areas().tolist()
        [1, 2]
        """
        return np.array([np.count_nonzero(c) for c in self.crops], np.int64)

    def select(self, keep: NDArray[np.integer[Any]] | BoolMask) -> ImageObjects:
        """Return the objects at these positions, in this order.

        Parameters
        ----------
        keep : (K,) int, or (N,) bool

        Examples
        --------
        >>> objects = objects_from_labels("a1", np.array([[1, 2, 3]], np.int32))
        >>> objects.select(np.array([2, 0])).ids.tolist()
        [3, 1]
        """
        at = np.arange(len(self))[keep]
        if len(np.unique(at)) != len(at):
            raise ValueError("ids must be unique and positive: an object was chosen twice")
        # What was checked once need not be checked again, mask by mask.
        chosen = object.__new__(ImageObjects)
        for name, value in (("image_id", self.image_id), ("shape", self.shape)):
            object.__setattr__(chosen, name, value)
        for name in ("ids", "boxes", "scores", "stability", "sources"):
            object.__setattr__(chosen, name, freeze(getattr(self, name)[at]))
        object.__setattr__(chosen, "crops", tuple(self.crops[i] for i in at.tolist()))
        return chosen

    def by_source(self) -> dict[str, int]:
        """How many objects each maker made; those who made none are left out."""
        counts = np.bincount(self.sources, minlength=len(OBJECT_SOURCES)).tolist()
        return {name: n for name, n in zip(OBJECT_SOURCES, counts, strict=True) if n}

    def full_mask(self, index: int) -> BoolMask:
        """The mask of one object on the whole frame, (H, W) bool.

        Examples
        --------
        >>> objects = objects_from_labels("a1", np.array([[1, 2, 2]], np.int32))
        >>> objects.full_mask(1).tolist()
        [[False, True, True]]
        """
        mask = np.zeros(self.shape, np.bool_)
        x0, y0, x1, y1 = self.boxes[index]
        mask[y0:y1, x0:x1] = self.crops[index]
        return mask

    def coverage(self) -> NDArray[np.uint16]:
        """How many objects lie on each pixel, (H, W) uint16.

        Examples
        --------
        >>> parts = [((0, 0), np.ones((1, 2), bool)), ((0, 1), np.ones((1, 2), bool))]
        >>> objects_from_masks("a1", (1, 4), parts).coverage().tolist()
        [[1, 2, 1, 0]]
        """
        count = np.zeros(self.shape, np.uint16)
        for where, crop in self:
            count[where] += crop
        return count

    def label_map(self) -> NDArray[np.int32]:
        """Position + 1 of the object on each pixel, (H, W) int32; 0 for none, later ones on top.

        Examples
        --------
        >>> parts = [((0, 0), np.ones((1, 2), bool)), ((0, 1), np.ones((1, 2), bool))]
        >>> objects_from_masks("a1", (1, 4), parts).label_map().tolist()
        [[1, 2, 2, 0]]
        """
        labels = np.zeros(self.shape, np.int32)
        for index, (where, crop) in enumerate(self):
            labels[where][crop] = index + 1
        return labels


def objects_from_masks(
    image_id: str,
    shape: tuple[int, int],
    parts: Sequence[tuple[tuple[int, int], BoolMask]],
    scores: Sequence[float] | None = None,
    stability: Sequence[float] | None = None,
    maker: str = "superpixel",
) -> ImageObjects:
    """Build objects from ``((y, x), mask)`` pairs; masks are trimmed, empty ones dropped.

    Parameters
    ----------
    image_id, shape
        Of the image.
    parts : sequence of ((int, int), (h, w) bool)
        Top-left corner of a window of the image, and the mask in that window.
    scores, stability : sequence of float, optional
        Parallel to `parts`; NaN by default.
    maker : str
        Of all of them, one of :data:`OBJECT_SOURCES`.

    Examples
    --------
    >>> window = np.array([[False, True, True], [False, True, True]])
    >>> objects = objects_from_masks("a1", (9, 9), [((4, 2), window)])
    >>> objects.boxes.tolist(), objects.areas().tolist()
    ([[3, 4, 5, 6]], [4])
    """
    boxes: list[tuple[int, int, int, int]] = []
    crops: list[BoolMask] = []
    with_pixels: list[int] = []
    for index, ((y, x), mask) in enumerate(parts):
        tight = tight_box(mask)
        if tight is None:
            continue
        x0, y0, x1, y1 = tight
        boxes.append((x + x0, y + y0, x + x1, y + y1))
        crops.append(mask[y0:y1, x0:x1].copy())
        with_pixels.append(index)
    nan = [float("nan")] * len(parts)
    return ImageObjects(
        image_id,
        shape,
        np.arange(1, len(with_pixels) + 1, dtype=np.int32),
        np.array(boxes, np.int32).reshape(-1, 4),
        tuple(crops),
        np.array(nan if scores is None else scores, np.float32)[with_pixels],
        np.array(nan if stability is None else stability, np.float32)[with_pixels],
        np.full(len(with_pixels), OBJECT_SOURCES.index(maker), np.uint8),
    )


def objects_from_labels(
    image_id: str, labels: NDArray[np.int32], maker: str = "superpixel"
) -> ImageObjects:
    """Build one object a non-zero label of a (H, W) int32 map, in order of label.

    Examples
    --------
    >>> objects = objects_from_labels("a1", np.array([[0, 5, 5], [2, 0, 0]], np.int32))
    >>> objects.boxes.tolist()
    [[0, 1, 1, 2], [1, 0, 3, 1]]
    """
    from scipy.ndimage import find_objects

    # Its boxes are tight already.
    boxes: list[tuple[int, int, int, int]] = []
    crops: list[BoolMask] = []
    for value, where in enumerate(find_objects(labels), start=1):
        if where is not None:
            rows, columns = where
            boxes.append((columns.start, rows.start, columns.stop, rows.stop))
            crops.append(labels[where] == value)
    count = len(crops)
    unknown = np.full(count, np.nan, np.float32)
    return ImageObjects(
        image_id,
        (labels.shape[0], labels.shape[1]),
        np.arange(1, count + 1, dtype=np.int32),
        np.array(boxes, np.int32).reshape(-1, 4),
        tuple(crops),
        unknown,
        unknown.copy(),
        np.full(count, OBJECT_SOURCES.index(maker), np.uint8),
    )


def joined_objects(first: ImageObjects, second: ImageObjects) -> ImageObjects:
    """Objects of one image put together; those of the second get ids above the first's.

    Examples
    --------
    >>> first = objects_from_labels("a1", np.array([[1, 0]], np.int32))
    >>> second = objects_from_labels("a1", np.array([[0, 1]], np.int32), "white")
    >>> joined = joined_objects(first, second)
    >>> joined.ids.tolist(), joined.by_source()
    ([1, 2], {'superpixel': 1, 'white': 1})
    """
    highest = first.ids.max(initial=np.int32(0))
    return ImageObjects(
        first.image_id,
        first.shape,
        np.concatenate([first.ids, second.ids + highest]),
        np.concatenate([first.boxes, second.boxes]),
        first.crops + second.crops,
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.stability, second.stability]),
        np.concatenate([first.sources, second.sources]),
    )


def tight_box(mask: BoolMask) -> tuple[int, int, int, int] | None:
    """Half-open ``x0 y0 x1 y1`` of the set pixels, or None when there are none.

    Examples
    --------
    >>> mask = np.zeros((5, 6), bool)
    >>> mask[1:3, 2:6] = True
    >>> tight_box(mask)
    (2, 1, 6, 3)
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def intersection(
    box_a: Sequence[int], crop_a: BoolMask, box_b: Sequence[int], crop_b: BoolMask
) -> int:
    """Pixels that two masks share, without leaving their boxes.

    Parameters
    ----------
    box_a, box_b : (int, int, int, int)
        Half-open ``x0 y0 x1 y1``.
    crop_a, crop_b : (h, w) bool
        Each the mask inside its box.

    Examples
    --------
    >>> mask = np.ones((2, 2), bool)
    >>> intersection((0, 0, 2, 2), mask, (1, 0, 3, 2), mask)
    2
    """
    x0, y0 = max(box_a[0], box_b[0]), max(box_a[1], box_b[1])
    x1, y1 = min(box_a[2], box_b[2]), min(box_a[3], box_b[3])
    if x0 >= x1 or y0 >= y1:
        return 0
    part_a = crop_a[y0 - box_a[1] : y1 - box_a[1], x0 - box_a[0] : x1 - box_a[0]]
    part_b = crop_b[y0 - box_b[1] : y1 - box_b[1], x0 - box_b[0] : x1 - box_b[0]]
    return int(np.count_nonzero(part_a & part_b))


def fill_holes(mask: BoolMask) -> BoolMask:
    """Fill every hole of a (h, w) bool mask that does not touch its border.

    Examples
    --------
    >>> ring = np.ones((3, 3), bool)
    >>> ring[1, 1] = False
    >>> fill_holes(ring).all()
    np.True_
    """
    bytes_of_mask = np.ascontiguousarray(mask).view(np.uint8)
    padded = cv2.copyMakeBorder(bytes_of_mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    cv2.floodFill(padded, None, (0, 0), 2)
    filled: BoolMask = padded[1:-1, 1:-1] != 2
    return filled
