"""A map of classes and instances as shapes of CVAT's API, and back; what is checked on the way.

Each frame gets one shape for all its cell and one for all its background, below them all, and
one for each adipocyte and bone object, every one with a ``z_order`` of its own. Nothing is
painted where the map is unlabelled. Beyond a budget of shapes the smallest objects of a class
share one shape.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from annotator.core.classes import BG, BONE, CELL, CLASS_NAMES, FAT
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
    """sha256 over what shapes say, whatever their ids and the order of the list.

    Coordinates count to the hundredth of a pixel, as the server paints them.

    Examples
    --------
    >>> one, other = CvatShape(0, 1, "mask", (0, 1, 0, 0, 0, 0)), CvatShape(1, 1, "mask", (0.0, 1))
    >>> digest([one, other]) == digest([other, one])
    True
    """
    parts = sorted(map(_digest, shapes))
    return hashlib.sha256(b"".join(parts)).hexdigest()


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
    return frozenset(map(_digest, shapes))


def _digest(shape: CvatShape) -> bytes:
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
    points = np.round(np.asarray(shape.points, np.float64), 2) + 0.0
    return hashlib.sha256(repr(head).encode() + points.astype("<f8").tobytes()).digest()


@dataclass(frozen=True, slots=True, eq=False)
class ImageShapes:
    """The shapes of one image.

    Parameters
    ----------
    shapes : tuple of CvatShape
    merged_ids : frozenset of int
        Ids of the objects that share a shape with others.
    merged : mapping of str to int
        How many these are, by class.
    """

    shapes: tuple[CvatShape, ...]
    merged_ids: frozenset[int] = frozenset()
    merged: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _UnlabelledShape:
    """A shape before it has labels: class, box, mask, and the ids of the objects in it."""

    code: int
    box: tuple[int, int, int, int]
    mask: BoolMask
    ids: tuple[int, ...] = ()


def draw(
    stitched: LabelMaps,
    confidence: Mapping[int, float],
    labels: LabelIds,
    frame: int = 0,
    budget: int = 200,
) -> ImageShapes:
    """Cut a map into shapes.

    Parameters
    ----------
    stitched : LabelMaps
    confidence : mapping of int to float
        Of instances, by id, in 0..1; those that are missing count as 0.
    labels : LabelIds
    frame : int
        Of the task.
    budget : int
        Most shapes; beyond it the smallest fat and bone objects become one shape a class.
    """
    objects = list(_objects(stitched))
    regions = [*_region(stitched, CELL), *_region(stitched, BG)]
    kept, rest = _within(objects, budget - len(regions))
    shared = {code: [one for one in rest if one.code == code] for code in (FAT, BONE)}
    merged = [_union(same, stitched) for same in shared.values() if same]
    shapes = tuple(
        _shape(piece, confidence, labels, frame, z_order)
        for z_order, piece in enumerate([*regions, *merged, *kept])
    )
    counts = Counter(CLASS_NAMES[one.code] for one in rest)
    return ImageShapes(shapes, frozenset(one.ids[0] for one in rest), dict(sorted(counts.items())))


def _objects(stitched: LabelMaps) -> Iterable[_UnlabelledShape]:
    """One piece an instance, by id."""
    for number, where in enumerate(find_objects(stitched.instances), start=1):
        if where is not None:
            rows, columns = where
            mask = stitched.instances[where] == number
            code = int(stitched.classes[where][mask][0])
            box = (columns.start, rows.start, columns.stop, rows.stop)
            yield _UnlabelledShape(code, box, mask, (number,))


def _region(stitched: LabelMaps, code: int) -> list[_UnlabelledShape]:
    """All pixels of a class as one piece, holes and loose parts included."""
    mask: BoolMask = stitched.classes == code
    box = tight_box(mask)
    return (
        [] if box is None else [_UnlabelledShape(code, box, mask[box[1] : box[3], box[0] : box[2]])]
    )


def _within(
    objects: Sequence[_UnlabelledShape], most: int
) -> tuple[list[_UnlabelledShape], list[_UnlabelledShape]]:
    """Objects with a shape of their own, and the smallest, which share one a class."""
    if len(objects) <= most:
        return list(objects), []
    areas = [int(np.count_nonzero(one.mask)) for one in objects]
    by_size = sorted(range(len(objects)), key=lambda k: (-areas[k], k))
    own = max(0, most - 1)
    while own and own + len({objects[k].code for k in by_size[own:]}) > most:
        own -= 1
    rest = _alone_stay(objects, by_size[own:])
    shared = set(rest)
    kept = [one for k, one in enumerate(objects) if k not in shared]
    return kept, [objects[k] for k in sorted(rest)]


def _alone_stay(objects: Sequence[_UnlabelledShape], rest: Sequence[int]) -> list[int]:
    """What shares a shape with nobody keeps its own."""
    counts = Counter(objects[k].code for k in rest)
    return [k for k in rest if counts[objects[k].code] > 1]


def _union(pieces: Sequence[_UnlabelledShape], stitched: LabelMaps) -> _UnlabelledShape:
    x0, y0 = (min(one.box[k] for one in pieces) for k in (0, 1))
    x1, y1 = (max(one.box[k] for one in pieces) for k in (2, 3))
    ids = tuple(one.ids[0] for one in pieces)
    mask: BoolMask = np.isin(stitched.instances[y0:y1, x0:x1], ids)
    return _UnlabelledShape(pieces[0].code, (x0, y0, x1, y1), mask, ids)


def _shape(
    piece: _UnlabelledShape,
    confidence: Mapping[int, float],
    labels: LabelIds,
    frame: int,
    z_order: int,
) -> CvatShape:
    name = "" if not piece.ids else str(piece.ids[0]) if len(piece.ids) == 1 else MERGED
    sure = min((confidence.get(number, 0.0) for number in piece.ids), default=0.0)
    percent = str(round(100 * min(max(float(sure), 0.0), 1.0)))
    return CvatShape(
        frame,
        labels.label(piece.code),
        "mask",
        tuple(map(float, encode_points(piece.box, piece.mask))),
        z_order=z_order,
        attributes=labels.attributes(piece.code, **{OBJECT: name, CONFIDENCE: percent}),
    )


# Checks


def check(
    shapes: Sequence[CvatShape], frames: Mapping[int, tuple[int, int]], labels: LabelIds
) -> None:
    """Refuse shapes that the server would take and keep wrong, before they are sent.

    Parameters
    ----------
    shapes : sequence of CvatShape
        Of one job.
    frames : mapping of int to (int, int)
        Height and width of each frame of the job.
    labels : LabelIds

    Raises
    ------
    CvatError
        Naming the first that is wrong: a frame or label that is not there, runs that do not
        fill their box, a box beyond the image, pixels of another shape, a z_order twice.
    """
    covered = {frame: np.zeros(size, np.bool_) for frame, size in frames.items()}
    seen: set[tuple[int, int]] = set()
    for shape in shapes:
        what = f"shape {shape.z_order} of frame {shape.frame}"
        if shape.frame not in frames:
            raise CvatError(f"{what}: expected one of the frames {sorted(frames)}; nothing sent")
        if labels.code(shape.label) is None or shape.kind != "mask":
            raise CvatError(f"{what}: expected a mask with a label of the study; nothing sent")
        if (shape.frame, shape.z_order) in seen:
            raise CvatError(f"{what}: expected a z_order of its own; nothing sent")
        seen.add((shape.frame, shape.z_order))
        _cover(shape, what, covered[shape.frame])


def _cover(shape: CvatShape, what: str, covered: BoolMask) -> None:
    try:
        (x0, y0, x1, y1), mask = decode_points(shape.points, (covered.shape[0], covered.shape[1]))
    except UsageError as error:
        raise CvatError(f"{what}: {error}; nothing sent") from error
    window = covered[y0:y1, x0:x1]
    if np.any(window & mask) or not mask.any():
        raise CvatError(f"{what}: expected pixels that no other shape has; nothing sent")
    window |= mask


# Back again


def paint_frame(
    shapes: Iterable[CvatShape], frame: int, size: tuple[int, int], labels: LabelIds
) -> Painted:
    """Paint the shapes of one frame, as the server does.

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
    """Pixels by which two maps of an image differ."""

    classes_px: int
    instances_px: int

    def __bool__(self) -> bool:
        return bool(self.classes_px or self.instances_px)


def difference(
    stitched: LabelMaps, painted: Painted, merged_ids: frozenset[int] = frozenset()
) -> Difference:
    """Compare what was meant with what the server holds, pixel by pixel.

    Instances are the same where each covers just the pixels of one other, whatever their
    numbers; those that share a shape count as one a class.
    """
    theirs = painted.classes, painted.instances
    runs = runs_of(stitched.classes, stitched.instances, *theirs)
    wrong = runs.of(stitched.classes) != runs.of(painted.classes)
    numbers = runs.of(stitched.instances)
    own = numbers > 0
    payload = _shared(numbers, runs.of(stitched.classes), merged_ids)
    pixels = runs.lengths[own]
    instances_px = _mismatched(payload[own], runs.of(painted.instances)[own], pixels)
    return Difference(int(runs.lengths[wrong].sum()), instances_px)


def _shared(
    numbers: NDArray[np.int32], codes: NDArray[np.uint8], merged_ids: frozenset[int]
) -> NDArray[np.int64]:
    """Numbers of instances, (R,), with one for all of a class that share a shape."""
    payload = numbers.astype(np.int64)
    if merged_ids:
        shared = np.isin(numbers, np.fromiter(merged_ids, np.int64))
        payload[shared] = int(numbers.max()) + codes[shared].astype(np.int64)
    return payload


def _mismatched(
    first: NDArray[np.int64], second: NDArray[np.int32], pixels: NDArray[np.int64]
) -> int:
    """Pixels of pairs in which either number also has another partner."""
    width = int(second.max(initial=0)) + 1
    pairs, place = np.unique(first * width + second, return_inverse=True)
    one, other = pairs // width, pairs % width
    alone = (np.bincount(one)[one] == 1) & (np.bincount(other)[other] == 1) & (other > 0)
    return int(pixels[~alone[place]].sum())
