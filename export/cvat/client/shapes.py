"""Label maps as mask shapes of CVAT's API, and back; with checks before and after the sending.

Each frame gets one shape for all of its cell and one for all of its background, which lie
below the others, and one for each adipocyte and each bone object. Every shape has a
``z_order`` of its own, so that the order in which they are painted is never left to the
server. Unlabelled pixels are in no shape. CVAT's page slows down with many shapes: beyond a
budget the smallest objects of a class share one.

How a mask is written in the ``points`` of a shape: see :mod:`export.readers.rle`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, BONE, CELL, CLASS_NAMES, FAT, UNLABELLED
from annotator.core.errors import CvatError, UsageError
from annotator.core.label_maps import LabelMaps
from annotator.core.objects import BoolMask, tight_box
from annotator.core.runs import runs_of
from export.cvat.client.labels import CONFIDENCE, OBJECT, LabelIds
from export.cvat.client.server import CvatShape
from export.readers.painting import KINDS, Mark, Painted, crop_of_shape, paint
from export.readers.rle import decode_points, encode_points

MERGED = "merged"
"""Value of :data:`OBJECT` of a shape that several objects share."""


def digest(shapes: Iterable[CvatShape]) -> str:
    """sha256 of the content of shapes: equal whatever their ids and their order in the list.

    Content is all that a person can change: frame, label, kind, points, ``z_order``, group,
    rotation and attributes. Coordinates are rounded to the hundredth of a pixel, as the server
    does before it paints them.

    Parameters
    ----------
    shapes : iterable of CvatShape

    Returns
    -------
    str
        64 hex digits; also of no shapes at all.

    Examples
    --------
    >>> one, other = CvatShape(0, 1, "mask", (0, 1, 0, 0, 0, 0)), CvatShape(1, 1, "mask", (0.0, 1))
    >>> digest([one, other]) == digest([other, one])
    True
    """
    return _joined(_digests(shapes))


NO_SHAPES = hashlib.sha256().hexdigest()
""":func:`digest` of no shapes."""


def digest_by_frame(shapes: Iterable[CvatShape]) -> tuple[str, dict[int, str]]:
    """As :func:`digest`: of all shapes, and of those of each frame that has any.

    Examples
    --------
    >>> one, other = CvatShape(0, 1, "mask", (0, 1, 0, 0, 0, 0)), CvatShape(1, 1, "mask", (0.0, 1))
    >>> whole, of_frame = digest_by_frame([one, other])
    >>> whole == digest([other, one]), of_frame == {0: digest([one]), 1: digest([other])}
    (True, True)
    """
    listed = list(shapes)
    of_frame: dict[int, list[bytes]] = {}
    for shape, one in zip(listed, _digests(listed), strict=True):
        of_frame.setdefault(shape.frame, []).append(one)
    whole = _joined(chain.from_iterable(of_frame.values()))
    return whole, {frame: _joined(digests) for frame, digests in of_frame.items()}


def _joined(digests: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def distinct_digests(shapes: Iterable[CvatShape]) -> frozenset[bytes]:
    """The sha256 of each different shape; equal shapes count once.

    Examples
    --------
    >>> one = CvatShape(0, 1, "mask", (0, 1, 0, 0, 0, 0))
    >>> distinct_digests([one, one]) == distinct_digests([one])
    True
    >>> digest([one, one]) == digest([one])
    False
    """
    return frozenset(_digests(shapes))


def _digests(shapes: Iterable[CvatShape]) -> Iterator[bytes]:
    """sha256 of each shape; the ``+ 0.0`` turns -0.0 into 0.0, which is the same place."""
    listed = list(shapes)
    # All points at once: a shape has few, and there are thousands of shapes.
    values = np.fromiter(chain.from_iterable(shape.points for shape in listed), np.float64)
    content = memoryview((np.round(values, 2) + 0.0).astype("<f8").tobytes())
    begin = 0
    for shape in listed:
        end = begin + 8 * len(shape.points)
        hashed = hashlib.sha256(_head(shape))
        hashed.update(content[begin:end])
        yield hashed.digest()
        begin = end


def _head(shape: CvatShape) -> bytes:
    """What a person can change of a shape beside its points."""
    attributes = sorted((int(k), str(v)) for k, v in shape.attributes.items())
    head = (
        int(shape.frame),
        int(shape.label),
        shape.kind,
        int(shape.z_order),
        int(shape.group or 0),
        round(float(shape.rotation), 2) + 0.0,
        attributes,
    )
    return repr(head).encode()


@dataclass(frozen=True, slots=True, eq=False)
class ImageShapes:
    """The shapes of one image.

    Parameters
    ----------
    shapes : tuple of CvatShape
        From the lowest to the highest ``z_order``.
    merged_ids : frozenset of int
        Ids of the objects that share a shape with others.
    merged : mapping of str to int
        How many objects share a shape, by the name of their class.
    """

    shapes: tuple[CvatShape, ...]
    merged_ids: frozenset[int] = frozenset()
    merged: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _UnlabelledShape:
    """A shape before the server's labels are put on it.

    Parameters
    ----------
    code : int
        Class, 0-3.
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1`` in the image, px.
    mask : (h, w) bool
    ids : tuple of int
        Objects in it; none for a region of cell or background.
    """

    code: int
    box: tuple[int, int, int, int]
    mask: BoolMask
    ids: tuple[int, ...] = ()


def draw(
    label_maps: LabelMaps,
    confidence: Mapping[int, float],
    labels: LabelIds,
    frame: int = 0,
    budget: int = 200,
) -> ImageShapes:
    """Cut label maps into mask shapes; painted in their order they give the maps back.

    Parameters
    ----------
    label_maps : LabelMaps
        (H, W).
    confidence : mapping of int to float
        By id of the instance, in 0..1; an instance that is missing counts as 0. It is sent in
        percent, as an attribute of the shape.
    labels : LabelIds
    frame : int
        Number of the frame in its task, from 0.
    budget : int
        Most shapes; beyond it the smallest fat and bone objects become one shape a class.

    Returns
    -------
    ImageShapes

    Examples
    --------
    >>> from annotator.core.classes import DEFAULT_SCHEMA
    >>> from export.cvat.client.labels import labels_of, with_ids
    >>> labels = LabelIds(with_ids(labels_of(DEFAULT_SCHEMA)))
    >>> classes = np.array([[2, 2, 1, 1]], np.uint8)
    >>> instances = np.array([[0, 0, 7, 7]], np.int32)
    >>> drawn = draw(LabelMaps(classes, instances), {7: 0.9}, labels)
    >>> [(labels.code(shape.label), shape.points) for shape in drawn.shapes]
    [(2, (0.0, 2.0, 0.0, 0.0, 1.0, 0.0)), (1, (0.0, 2.0, 2.0, 0.0, 3.0, 0.0))]
    """
    objects = list(_objects(label_maps))
    regions = [*_region(label_maps, CELL), *_region(label_maps, BG)]
    own_shape, sharing = _within_budget(objects, budget - len(regions))
    by_class = {code: [one for one in sharing if one.code == code] for code in (FAT, BONE)}
    merged = [_union(same, label_maps) for same in by_class.values() if same]
    shapes = tuple(
        _shape(unlabelled, confidence, labels, frame, z_order)
        for z_order, unlabelled in enumerate([*regions, *merged, *own_shape])
    )
    counts = Counter(CLASS_NAMES[one.code] for one in sharing)
    merged_ids = frozenset(one.ids[0] for one in sharing)
    return ImageShapes(shapes, merged_ids, dict(sorted(counts.items())))


def _objects(label_maps: LabelMaps) -> Iterable[_UnlabelledShape]:
    """One shape for each instance, by id."""
    from scipy.ndimage import find_objects  # slow to import, and only a push needs it

    for number, where in enumerate(find_objects(label_maps.instances), start=1):
        if where is not None:
            rows, columns = where
            mask = label_maps.instances[where] == number
            y, x = divmod(int(mask.argmax()), mask.shape[1])
            code = int(label_maps.classes[rows.start + y, columns.start + x])
            box = (columns.start, rows.start, columns.stop, rows.stop)
            yield _UnlabelledShape(code, box, mask, (number,))


def _region(label_maps: LabelMaps, code: int) -> list[_UnlabelledShape]:
    """All pixels of a class as one shape, with its holes and loose parts; none without pixels."""
    mask: BoolMask = label_maps.classes == code
    box = tight_box(mask)
    if box is None:
        return []
    x0, y0, x1, y1 = box
    return [_UnlabelledShape(code, box, mask[y0:y1, x0:x1])]


def _within_budget(
    objects: Sequence[_UnlabelledShape], most: int
) -> tuple[list[_UnlabelledShape], list[_UnlabelledShape]]:
    """Objects that get a shape of their own, and the smallest, which share one for each class.

    The number of own shapes is lowered until they and the shared ones fit into the budget: two
    classes among the small objects need two shared shapes.
    """
    if len(objects) <= most:
        return list(objects), []
    areas = [int(np.count_nonzero(one.mask)) for one in objects]
    by_size = sorted(range(len(objects)), key=lambda k: (-areas[k], k))
    own = max(0, most - 1)
    while own and own + len({objects[k].code for k in by_size[own:]}) > most:
        own -= 1
    sharing = set(_with_company(objects, by_size[own:]))
    own_shape = [one for k, one in enumerate(objects) if k not in sharing]
    return own_shape, [objects[k] for k in sorted(sharing)]


def _with_company(objects: Sequence[_UnlabelledShape], positions: Sequence[int]) -> list[int]:
    """Those positions whose class occurs at least twice: a shape for one object is its own."""
    counts = Counter(objects[k].code for k in positions)
    return [k for k in positions if counts[objects[k].code] > 1]


def _union(same_class: Sequence[_UnlabelledShape], label_maps: LabelMaps) -> _UnlabelledShape:
    x0, y0 = (min(one.box[k] for one in same_class) for k in (0, 1))
    x1, y1 = (max(one.box[k] for one in same_class) for k in (2, 3))
    ids = tuple(one.ids[0] for one in same_class)
    mask: BoolMask = np.isin(label_maps.instances[y0:y1, x0:x1], ids)
    return _UnlabelledShape(same_class[0].code, (x0, y0, x1, y1), mask, ids)


def _shape(
    unlabelled: _UnlabelledShape,
    confidence: Mapping[int, float],
    labels: LabelIds,
    frame: int,
    z_order: int,
) -> CvatShape:
    """The shape as the server takes it; a shared one has the lowest confidence of its objects."""
    ids = unlabelled.ids
    name = "" if not ids else str(ids[0]) if len(ids) == 1 else MERGED
    lowest = min((confidence.get(number, 0.0) for number in ids), default=0.0)
    percent = str(round(100 * min(max(float(lowest), 0.0), 1.0)))
    return CvatShape(
        frame,
        labels.label(unlabelled.code),
        "mask",
        tuple(map(float, encode_points(unlabelled.box, unlabelled.mask))),
        z_order=z_order,
        attributes=labels.attributes(unlabelled.code, **{OBJECT: name, CONFIDENCE: percent}),
    )


# Checks


def check(
    shapes: Sequence[CvatShape], frames: Mapping[int, tuple[int, int]], labels: LabelIds
) -> dict[int, Painted]:
    """Refuse shapes that the server would accept without a word and keep wrong.

    Parameters
    ----------
    shapes : sequence of CvatShape
        Those of one job.
    frames : mapping of int to (int, int)
        Height and width of each frame of the job, px.
    labels : LabelIds

    Returns
    -------
    dict of int to Painted
        What the shapes of each frame show, by its number.

    Raises
    ------
    CvatError
        When one has a frame or label that does not exist, runs that do not fill their box, a box
        beyond the image, pixels that another shape has too, or the z_order of another. The
        message says which is the first.
    """
    canvases = {frame: np.zeros(size, np.int32) for frame, size in frames.items()}
    codes = [UNLABELLED]
    seen: set[tuple[int, int]] = set()
    for number, shape in enumerate(shapes, start=1):
        what = f"shape {shape.z_order} of frame {shape.frame}"
        if shape.frame not in frames:
            raise CvatError(f"{what}: expected one of the frames {sorted(frames)}; nothing sent")
        code = labels.code(shape.label)
        if code is None or shape.kind != "mask":
            raise CvatError(f"{what}: expected a mask with a label of the study; nothing sent")
        if (shape.frame, shape.z_order) in seen:
            raise CvatError(f"{what}: expected a z_order of its own; nothing sent")
        seen.add((shape.frame, shape.z_order))
        codes.append(code)
        _cover(shape, what, canvases[shape.frame], number)
    code_of_shape = np.array(codes, np.uint8)
    return {
        frame: Painted(code_of_shape.take(canvas), canvas) for frame, canvas in canvases.items()
    }


def _cover(shape: CvatShape, what: str, canvas: NDArray[np.int32], number: int) -> None:
    """Paint a shape with its number; refuse it where another was painted before."""
    try:
        (x0, y0, x1, y1), mask = decode_points(shape.points, (canvas.shape[0], canvas.shape[1]))
    except UsageError as error:
        raise CvatError(f"{what}: {error}; nothing sent") from error
    window = canvas[y0:y1, x0:x1]
    if (window.astype(np.bool_) & mask).any() or not mask.any():
        raise CvatError(f"{what}: expected pixels that no other shape has; nothing sent")
    np.copyto(window, np.int32(number), where=mask)


# What the server holds


def paint_frame(
    shapes: Iterable[CvatShape], frame: int, size: tuple[int, int], labels: LabelIds
) -> Painted:
    """Paint the shapes of one frame, as the server does.

    Parameters
    ----------
    shapes : iterable of CvatShape
        Those of other frames are left out.
    frame : int
    size : (int, int)
        Height and width of the frame, px.
    labels : LabelIds

    Returns
    -------
    Painted
        Classes and instances, (H, W).

    Raises
    ------
    CvatError
        When a shape has another label or cannot be painted.
    """
    marks = []
    for shape in shapes:
        if shape.frame != frame:
            continue
        code = labels.code(shape.label)
        if code is None or shape.kind not in KINDS:
            raise CvatError(f"frame {frame}: a {shape.kind} of label {shape.label} is not ours")
        try:
            crop = crop_of_shape(shape.kind, shape.points, size, shape.rotation)
        except UsageError as error:
            raise CvatError(f"frame {frame}: {error}") from error
        if crop is not None:
            marks.append(Mark(code, *crop, shape.z_order, shape.id or 0, shape.group))
    return paint(marks, size)


@dataclass(frozen=True, slots=True)
class Difference:
    """By how many pixels two label maps of an image differ; true where they differ at all."""

    classes_px: int
    instances_px: int

    def __bool__(self) -> bool:
        return bool(self.classes_px or self.instances_px)


def difference(
    label_maps: LabelMaps, painted: Painted, merged_ids: frozenset[int] = frozenset()
) -> Difference:
    """Compare label maps that were sent with what the server holds, pixel by pixel.

    Instances are compared as sets of pixels: the server numbers them in its own way.

    Parameters
    ----------
    label_maps : LabelMaps
        (H, W), what was sent.
    painted : Painted
        (H, W), what was read back.
    merged_ids : frozenset of int
        Instances that were sent as one shape for each class: they count as one instance here.

    Returns
    -------
    Difference

    Examples
    --------
    The numbers differ, the pixels do not:

    >>> classes = np.array([[1, 1, 3]], np.uint8)
    >>> sent = LabelMaps(classes, np.array([[4, 4, 9]], np.int32))
    >>> difference(sent, Painted(classes, np.array([[2, 2, 1]], np.int32)))
    Difference(classes_px=0, instances_px=0)
    """
    # Over runs of equal pixels instead of single ones: some hundred times fewer.
    runs = runs_of(label_maps.classes, label_maps.instances, painted.classes, painted.instances)
    codes, numbers = runs.of(label_maps.classes), runs.of(label_maps.instances)
    other_class = codes != runs.of(painted.classes)
    is_object = numbers > 0
    sent = _join_merged(numbers, codes, merged_ids)
    instances_px = _mismatched(
        sent[is_object], runs.of(painted.instances)[is_object], runs.lengths[is_object]
    )
    return Difference(int(runs.lengths[other_class].sum()), instances_px)


def _join_merged(
    numbers: NDArray[np.int32], codes: NDArray[np.uint8], merged_ids: frozenset[int]
) -> NDArray[np.int64]:
    """Instance numbers, (R,), in which those that share a shape have one number for each class."""
    joined = numbers.astype(np.int64)
    if merged_ids:
        shared = np.isin(numbers, np.fromiter(merged_ids, np.int64))
        # Numbers above the highest are free; the class code keeps fat and bone apart.
        joined[shared] = int(numbers.max()) + codes[shared].astype(np.int64)
    return joined


def _mismatched(
    sent: NDArray[np.int64], read_back: NDArray[np.int32], pixels: NDArray[np.int64]
) -> int:
    """Pixels of pairs (sent, read back) in which either instance also has another partner.

    Two maps hold the same instances exactly where each number of one meets a single number of
    the other, and that is not 0.

    Parameters
    ----------
    sent : (R,) int64
    read_back : (R,) int32
    pixels : (R,) int64
        Length of each run.
    """
    width = int(read_back.max(initial=0)) + 1
    # Both numbers in one, so that pairs can be counted as single values.
    pairs, pair_of_run = np.unique(sent * width + read_back, return_inverse=True)
    first, second = pairs // width, pairs % width
    only_partner = (np.bincount(first)[first] == 1) & (np.bincount(second)[second] == 1)
    same = only_partner & (second > 0)
    return int(pixels[~same[pair_of_run]].sum())
