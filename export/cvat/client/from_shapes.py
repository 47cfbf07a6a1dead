"""Paint the shapes of one frame as a person left them, and give objects their numbers back.

An object keeps its number through CVAT, so that its correction can be told from a deletion
and a new object. Its shape carries the number as an attribute. Objects that were sent as one
shape get theirs back from the map that was sent (the baseline), as long as their pixels are
the same. Every other shape is compared with the baseline: it is the object that it overlaps
most, or a new one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BONE, CLASS_NAMES, FAT, UNLABELLED
from annotator.core.errors import CvatError, UsageError
from annotator.core.label_maps import LabelMaps
from annotator.core.label_names import EXCLUDE, IGNORE, OUR_NAMES, LabelNames
from annotator.core.objects import BoolMask
from annotator.core.runs import runs_of
from export.cvat.client.labels import OBJECT
from export.cvat.client.server import CvatLabel, CvatShape
from export.cvat.client.shapes import MERGED
from export.readers.painting import EXCLUDED, KINDS, Mark, crop_of_shape, paint

Window = tuple[slice, slice]
_MOST_DEGREES = 1e6  # the server writes 0-360
_NUMBER = re.compile("[0-9]{1,8}")
WITHOUT_PIXEL = "shape without a pixel"


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedFrame:
    """The label maps that the shapes of one frame make.

    Parameters
    ----------
    label_maps : LabelMaps
        (H, W); instances are those of fat and bone.
    tied_px : int
        Pixels where two shapes of different classes and equal z_order lie on top, so that only
        their ids decide which is seen.
    unused : mapping of str to int
        How many shapes cannot be painted, by kind.
    excluded : (H, W) bool or None
        Pixels under shapes of the label ``exclude``; None where there is no such shape.
    left_out : mapping of str to int
        How many shapes were left out, by the label, which is no class of the study.
    """

    label_maps: LabelMaps
    tied_px: int = 0
    unused: Mapping[str, int] = field(default_factory=dict)
    excluded: BoolMask | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


class ServerLabels:
    """The labels of a project, to find the class and the object of a shape.

    Parameters
    ----------
    labels : sequence of CvatLabel
        As the server gives them; labels that the study does not know may be among them.
    deleted : collection of str
        Classes whose label is known to be deleted: no shape can have it.
    names : LabelNames
        What labels mean that are not the study's.

    Raises
    ------
    CvatError
        When another one of our classes is missing.
    """

    def __init__(
        self,
        labels: Sequence[CvatLabel],
        deleted: Collection[str] = (),
        names: LabelNames = OUR_NAMES,
    ) -> None:
        self._names = {label.id: label.name for label in labels}
        there = {*self._names.values(), *deleted}
        missing = [name for name in CLASS_NAMES if name not in there]
        if missing:
            raise CvatError(
                f"expected the labels {', '.join(CLASS_NAMES)} in the project, got none called "
                f"{', '.join(missing)}; call them so again in CVAT"
            )
        self._codes = {label.id: _code(label.name, names) for label in labels}
        self._object_attributes = {
            a.id for label in labels for a in label.attributes if a.name == OBJECT
        }

    def code(self, shape: CvatShape) -> int | None:
        """Class of a shape; None where nobody said what its label means.

        255 for a label that is to be ignored, and :data:`export.readers.painting.EXCLUDED` for
        one whose pixels count nowhere.
        """
        return self._codes.get(shape.label)

    def name(self, shape: CvatShape) -> str:
        """Name of the label of a shape."""
        return self._names.get(shape.label, f"label {shape.label}")

    def object_of(self, shape: CvatShape) -> str:
        """The object that a shape was sent for: its number, or ``merged``; empty for a new one.

        Each label has attributes with ids of their own. A shape whose class a person changed may
        hold those of both labels, so the first that is not empty counts.
        """
        values = (
            value.strip()
            for key, value in shape.attributes.items()
            if key in self._object_attributes
        )
        return next(filter(None, values), "")


def _code(label: str, names: LabelNames) -> int | None:
    # The study's own labels are told by name and number: what else a name may mean is not asked.
    meaning = label if label in CLASS_NAMES else names.meaning(label)
    if meaning is None or meaning in CLASS_NAMES:
        return None if meaning is None else CLASS_NAMES.index(meaning)
    return {IGNORE: UNLABELLED, EXCLUDE: EXCLUDED}[meaning]


def correct_frame(
    shapes: Iterable[CvatShape],
    size: tuple[int, int],
    labels: ServerLabels,
    baseline: LabelMaps | None = None,
) -> CorrectedFrame:
    """Paint what a person left on one frame, in order of ``(z_order, id)``.

    Parameters
    ----------
    shapes : iterable of CvatShape
        Those of this frame.
    size : (int, int)
        Height and width, px.
    labels : ServerLabels
    baseline : LabelMaps or None
        The map that was sent, from which objects get their numbers back; without it they are
        numbered anew.

    Returns
    -------
    CorrectedFrame
        With maps of (H, W), the size of the frame.

    Raises
    ------
    CvatError
        When a shape has points that cannot be its own.
    """
    drawn: list[tuple[CvatShape, Mark]] = []
    unused: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for shape in shapes:
        code = labels.code(shape)
        if shape.kind not in KINDS:
            unused[shape.kind] += 1
            continue
        if code is None:
            left_out[labels.name(shape)] += 1
            continue
        mark = _mark(shape, size, code)
        if mark is None:
            unused[WITHOUT_PIXEL] += 1
        else:
            drawn.append((shape, mark))
    # As CVAT draws them: the highest layer on top, and in a layer the latest shape.
    drawn.sort(key=lambda shape_mark: (shape_mark[1].z_order, shape_mark[1].order))
    painted = paint([mark for _, mark in drawn], size)
    numbering = _Numbering(painted.instances, baseline)
    for parts in _instances(drawn):
        objects = [labels.object_of(shape) for _, shape, _ in parts]
        numbered_marks = [(number, mark) for number, _, mark in parts]
        if MERGED in objects and len(parts) == 1:
            numbering.add_shared_shape(*numbered_marks[0])
        else:
            numbering.add_instance(numbered_marks, objects)
    return CorrectedFrame(
        LabelMaps(painted.classes, numbering.instances()),
        painted.tied_px,
        dict(unused),
        painted.excluded,
        dict(left_out),
    )


def _mark(shape: CvatShape, size: tuple[int, int], code: int) -> Mark | None:
    try:
        if not abs(shape.rotation) <= _MOST_DEGREES:
            raise UsageError(f"expected a rotation in degrees, got {shape.rotation}")
        crop = crop_of_shape(shape.kind, shape.points, size, shape.rotation)
    except UsageError as error:
        raise CvatError(
            f"{shape.kind} {shape.id}: {error}; correct or delete it in CVAT, and pull again"
        ) from error
    # No group here: each shape gets a number of its own when it is painted, and those of one
    # group are joined afterwards.
    return None if crop is None else Mark(code, *crop, shape.z_order, shape.id or 0)


def _instances(drawn: Sequence[tuple[CvatShape, Mark]]) -> list[list[tuple[int, CvatShape, Mark]]]:
    """The shapes of each instance of fat and bone: those of one group and class are one.

    Each shape comes with the number under which it was painted.
    """
    instances: dict[tuple[int, ...], list[tuple[int, CvatShape, Mark]]] = {}
    for number, (shape, mark) in enumerate(drawn, start=1):
        if mark.code in (FAT, BONE):
            key = (shape.group, mark.code) if shape.group else (0, mark.code, number)
            instances.setdefault(key, []).append((number, shape, mark))
    return list(instances.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Claim:
    """An instance that asks for the number of an object in the baseline.

    Parameters
    ----------
    wanted : int
        Number of that object; 0 for a new one.
    overlap : int
        Pixels that it shares with the object. Where two ask for one number, the larger overlap
        gets it.
    painted : tuple of int
        Numbers under which its shapes were painted; empty for a piece of a shared shape.
    window, mask
        Where a piece of a shared shape lies in the image, and its (h, w) bool mask there.
    """

    wanted: int
    overlap: int
    painted: tuple[int, ...] = ()
    window: Window | None = None
    mask: BoolMask | None = None


class _Numbering:
    """Gives the instances of a painted frame their numbers in the baseline.

    Parameters
    ----------
    painted : (H, W) int32
        Number of the shape that is seen at each pixel, from 1; 0 where there is none.
    baseline : LabelMaps or None
        What was sent.
    """

    def __init__(self, painted: NDArray[np.int32], baseline: LabelMaps | None) -> None:
        self._painted = painted
        self._baseline = baseline
        self._claims: list[_Claim] = []
        self._unchanged: list[tuple[Window, BoolMask]] = []
        # Numbers below this one belong to the baseline; new objects get the following ones.
        self._first_new = 1 if baseline is None else int(baseline.instances.max()) + 1

    @cached_property
    def _areas(self) -> NDArray[np.int64]:
        """Pixels of each instance of the baseline, by number; 0 for number 0."""
        areas = np.zeros(self._first_new, np.int64)
        if self._baseline is not None:
            runs = runs_of(self._baseline.instances)
            np.add.at(areas, runs.of(self._baseline.instances), runs.lengths)
        areas[0] = 0
        return areas

    def add_instance(self, marks: Sequence[tuple[int, Mark]], objects: Sequence[str]) -> None:
        """Add an instance of fat or bone.

        Parameters
        ----------
        marks : sequence of (int, Mark)
            Its shapes, each with the number under which it was painted.
        objects : sequence of str
            The object that each shape was sent for, as its attribute has it.

        Notes
        -----
        Among the objects that its shapes name, the one with the largest overlap counts. An
        instance whose shapes name none is the object with which it has an intersection over
        union above one half, if there is one; two instances that do not overlap cannot both have
        that with one object.
        """
        named = [int(text) for text in objects if _NUMBER.fullmatch(text)]
        painted = tuple(number for number, _ in marks)
        if len(set(named)) == 1 and 0 < named[0] < self._first_new:
            # Nearly always: one object is quicker to count than all that lie there.
            shared = self._overlap(named[0], [mark for _, mark in marks])
            self._claims.append(_Claim(named[0] if shared else 0, shared, painted))
            return
        overlaps = self._overlaps((mark.where, mark.mask) for _, mark in marks)
        wanted = max(
            (number for number in named if number < len(overlaps)),
            key=overlaps.__getitem__,
            default=0,
        )
        if not wanted:
            area = sum(int(np.count_nonzero(mark.mask)) for _, mark in marks)
            nearest = int(overlaps.argmax())
            shared = int(overlaps[nearest])
            union = area + int(self._areas[nearest]) - shared
            wanted = nearest if 2 * shared > union else 0
        overlap = int(overlaps[wanted])
        self._claims.append(_Claim(wanted if overlap else 0, overlap, painted))

    def add_shared_shape(self, painted: int, mark: Mark) -> None:
        """Add the instances of a shape that was sent for several objects.

        Where its pixels are exactly those of objects in the baseline, these come back as they
        were. Otherwise a person changed it: then each connected piece is looked at by itself.
        """
        visible: BoolMask = self._painted[mark.where] == painted
        if self._is_unchanged(mark.where, mark.mask, mark.code):
            self._unchanged.append((mark.where, visible))
            return
        for window, mask in _pieces(mark.where, visible):
            if self._is_unchanged(window, mask, mark.code):
                self._unchanged.append((window, mask))
            else:
                self._claims.append(self._claim_of_piece(window, mask))

    def instances(self) -> NDArray[np.int32]:
        """The numbered instances of fat and bone, (H, W) int32, 0 elsewhere.

        Numbers are given out in this order: to unchanged objects, to claims by falling overlap;
        whoever comes too late gets a new number.
        """
        taken = {
            int(number)
            for where, mask in self._unchanged
            for number in np.unique(self._baseline_in(where)[mask])
        }
        new_numbers = iter(range(self._first_new, 2**24))
        # A shape that is wholly hidden has a claim, and no pixel.
        seen = int(self._painted.max(initial=0))
        most = max([seen, *(number for claim in self._claims for number in claim.painted)])
        number_of_shape = np.zeros(most + 1, np.int32)
        numbered: list[tuple[_Claim, int]] = []
        for claim in sorted(self._claims, key=lambda claim: -claim.overlap):
            is_free = claim.wanted and claim.wanted not in taken
            number = claim.wanted if is_free else next(new_numbers)
            taken.add(number)
            number_of_shape[list(claim.painted)] = number
            numbered.append((claim, number))
        instances = self._renumbered(number_of_shape)
        for claim, number in numbered:
            if claim.window is not None and claim.mask is not None:
                instances[claim.window][claim.mask] = number
        for where, mask in self._unchanged:
            instances[where][mask] = self._baseline_in(where)[mask]
        return instances

    def _renumbered(self, number_of_shape: NDArray[np.int32]) -> NDArray[np.int32]:
        runs = runs_of(self._painted)
        instances: NDArray[np.int32] = runs.spread(number_of_shape[runs.of(self._painted)])
        return instances

    def _baseline_in(self, where: Window) -> NDArray[np.int32]:
        """Instances of the baseline in a window; zeros without a baseline."""
        if self._baseline is None:
            return np.zeros_like(self._painted[where])
        return self._baseline.instances[where]

    def _overlap(self, number: int, marks: Sequence[Mark]) -> int:
        """Pixels of one instance of the baseline under some shapes."""
        return sum(
            int(np.count_nonzero((self._baseline_in(mark.where) == number) & mark.mask))
            for mark in marks
        )

    def _overlaps(self, masks: Iterable[tuple[Window, BoolMask]]) -> NDArray[np.int64]:
        """Pixels of each instance of the baseline under some masks, by number; 0 for number 0."""
        counts = np.zeros(self._first_new, np.int64)
        for where, mask in masks:
            counts += np.bincount(self._baseline_in(where)[mask], minlength=self._first_new)
        counts[0] = 0
        return counts

    def _is_unchanged(self, where: Window, mask: BoolMask, code: int) -> bool:
        """Whether a mask is exactly the pixels of some objects of the baseline, of its class."""
        if self._baseline is None or np.any(self._baseline.classes[where][mask] != code):
            return False
        counts = np.bincount(self._baseline_in(where)[mask], minlength=self._first_new)
        return bool(np.all((counts == 0) | (counts == self._areas)))

    def _claim_of_piece(self, where: Window, mask: BoolMask) -> _Claim:
        overlaps = self._overlaps([(where, mask)])
        wanted = int(overlaps.argmax())
        return _Claim(wanted, int(overlaps[wanted]), (), where, mask)


def _pieces(where: Window, visible: BoolMask) -> Iterator[tuple[Window, BoolMask]]:
    """Connected pieces of a mask, each with its own window in the image."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(visible.astype(np.uint8))
    top, left = where[0].start, where[1].start
    for piece, (x, y, width, height, _) in enumerate(stats[1:].tolist(), start=1):
        mask: BoolMask = labels[y : y + height, x : x + width] == piece
        yield (
            (slice(top + y, top + y + height), slice(left + x, left + x + width)),
            mask,
        )
