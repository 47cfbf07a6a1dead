"""The shapes of one frame as a person left them: painted, with the instances that were sent.

An object keeps its number through the server: its shape carries it as an attribute. Objects
that went out as one shape get theirs back from the map that was sent, as long as their pixels
are the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BONE, CLASS_NAMES, FAT
from annotator.core.errors import CvatError, UsageError
from annotator.core.label_maps import LabelMaps
from annotator.core.objects import BoolMask
from annotator.core.runs import runs_of
from export.cvat.client.labels import OBJECT, LabelIds
from export.cvat.client.server import CvatLabel, CvatShape
from export.cvat.client.shapes import MERGED
from export.readers.painting import KINDS, Mark, crop_of_shape, paint

Window = tuple[slice, slice]
_TURNS = 1e6  # degrees; the server writes 0-360
_NUMBER = re.compile("[0-9]{1,8}")
WITHOUT_PIXEL = "shape without a pixel"


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedFrame:
    """What the shapes of one frame come to.

    Parameters
    ----------
    stitched : LabelMaps
    tied_px : int
        Pixels whose class only the ids of the shapes decided: two of different classes and one
        z_order lie on top there.
    unused : mapping of str to int
        Things that cannot be painted, by kind.
    """

    stitched: LabelMaps
    tied_px: int = 0
    unused: Mapping[str, int] = field(default_factory=dict)


class ServerLabels:
    """The labels of a project as shapes are read by them.

    Parameters
    ----------
    labels : sequence of CvatLabel
        As the server gives them; others than ours may be among them.

    Raises
    ------
    CvatError
        When one of our classes is missing.
    """

    def __init__(self, labels: Sequence[CvatLabel]) -> None:
        self._names = {label.id: label.name for label in labels}
        missing = [name for name in CLASS_NAMES if name not in self._names.values()]
        if missing:
            raise CvatError(
                f"expected the labels {', '.join(CLASS_NAMES)} in the project, got none called "
                f"{', '.join(missing)}; call them so again in CVAT"
            )
        self._ids = LabelIds(labels)
        self._objects = {a.id for label in labels for a in label.attributes if a.name == OBJECT}

    def code(self, shape: CvatShape) -> int:
        """Class of a shape.

        Raises
        ------
        CvatError
            When its label is not one of ours.
        """
        code = self._ids.code(shape.label)
        if code is None:
            name = self._names.get(shape.label, f"label {shape.label}")
            raise CvatError(
                f"shape {shape.id}: expected one of the labels {', '.join(CLASS_NAMES)}, got "
                f"{name!r}; give it one of them in CVAT, and pull again"
            )
        return code

    def object_of(self, shape: CvatShape) -> str:
        """What a shape says of the object that it was sent for; empty for a new one.

        A shape of another class than before can hold the attribute of both.
        """
        said = (value.strip() for key, value in shape.attributes.items() if key in self._objects)
        return next(filter(None, said), "")


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
        Of that frame.
    size : (int, int)
        Height and width.
    labels : ServerLabels
    baseline : LabelMaps or None
        The map that was sent, from which objects get their numbers back; without it they are
        numbered anew.

    Raises
    ------
    CvatError
        When a shape has a label of no class, or points that cannot be its own.
    """
    drawn: list[tuple[CvatShape, Mark]] = []
    unused: Counter[str] = Counter()
    for shape in shapes:
        if shape.kind not in KINDS:
            unused[shape.kind] += 1
            continue
        mark = _mark(shape, size, labels)
        if mark is None:
            unused[WITHOUT_PIXEL] += 1
        else:
            drawn.append((shape, mark))
    drawn.sort(key=lambda one: (one[1].z_order, one[1].order))
    painted = paint([mark for _, mark in drawn], size)
    numbers = _Numbers(painted.instances, baseline)
    for parts in _units(drawn):
        said = [labels.object_of(shape) for _, shape, _ in parts]
        number_marks = [(number, mark) for number, _, mark in parts]
        if MERGED in said and len(parts) == 1:
            numbers.part(*number_marks[0])
        else:
            numbers.claim(number_marks, said)
    return CorrectedFrame(
        LabelMaps(painted.classes, numbers.settle()), painted.tied_px, dict(unused)
    )


def _mark(shape: CvatShape, size: tuple[int, int], labels: ServerLabels) -> Mark | None:
    code = labels.code(shape)
    try:
        if not abs(shape.rotation) <= _TURNS:
            raise UsageError(f"expected a rotation in degrees, got {shape.rotation}")
        crop = crop_of_shape(shape.kind, shape.points, size, shape.rotation)
    except UsageError as error:
        raise CvatError(
            f"{shape.kind} {shape.id}: {error}; correct or delete it in CVAT, and pull again"
        ) from error
    # Groups are joined afterwards, so that every shape has a number of its own here.
    return None if crop is None else Mark(code, *crop, shape.z_order, shape.id or 0)


def _units(drawn: Sequence[tuple[CvatShape, Mark]]) -> list[list[tuple[int, CvatShape, Mark]]]:
    """Shapes of fat and bone by the instance that they are: those of one group are one.

    Each with the number under which it was painted.
    """
    units: dict[tuple[int, ...], list[tuple[int, CvatShape, Mark]]] = {}
    for number, (shape, mark) in enumerate(drawn, start=1):
        if mark.code in (FAT, BONE):
            key = (shape.group, mark.code) if shape.group else (0, mark.code, number)
            units.setdefault(key, []).append((number, shape, mark))
    return list(units.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Claim:
    """Pixels that are one instance, and the number in the baseline that it would have.

    `painted` are the numbers under which it was painted; a piece of one shape is given as its
    window and mask instead.
    """

    wanted: int
    overlap: int
    painted: tuple[int, ...] = ()
    window: Window | None = None
    mask: BoolMask | None = None


class _Numbers:
    """Gives the instances of a painted frame their numbers."""

    def __init__(self, painted: NDArray[np.int32], baseline: LabelMaps | None) -> None:
        self._painted = painted
        self._baseline = baseline
        self._claims: list[_Claim] = []
        self._whole: list[tuple[Window, BoolMask]] = []
        # The baseline knows the numbers below this one; new ones follow.
        self._count = 1 if baseline is None else int(baseline.instances.max()) + 1

    @cached_property
    def _areas(self) -> NDArray[np.int64]:
        """Pixels of each instance of the baseline, by number; 0 of number 0."""
        areas = np.zeros(self._count, np.int64)
        if self._baseline is not None:
            runs = runs_of(self._baseline.instances)
            np.add.at(areas, runs.of(self._baseline.instances), runs.lengths)
        areas[0] = 0
        return areas

    def claim(self, marks: Sequence[tuple[int, Mark]], said: Sequence[str]) -> None:
        """Note an instance that was painted as these marks, and what their shapes say.

        One that says nothing is the object with which it shares more than half of the union.
        """
        counts = self._counts((mark.where, mark.mask) for _, mark in marks)
        wanted = [int(text) for text in said if _NUMBER.fullmatch(text)]
        number = max((n for n in wanted if n < len(counts)), key=counts.__getitem__, default=0)
        if not number:
            area = sum(int(np.count_nonzero(mark.mask)) for _, mark in marks)
            most = int(counts.argmax())
            shared = int(counts[most])
            number = most if 2 * shared > area + int(self._areas[most]) - shared else 0
        overlap = int(counts[number])
        painted = tuple(number for number, _ in marks)
        self._claims.append(_Claim(number if overlap else 0, overlap, painted))

    def part(self, painted: int, mark: Mark) -> None:
        """Note the instances of a shape that several objects share."""
        visible: BoolMask = self._painted[mark.where] == painted
        if self._is_whole(mark.where, mark.mask, mark.code):
            self._whole.append((mark.where, visible))
            return
        for window, mask in _pieces(mark.where, visible):
            if self._is_whole(window, mask, mark.code):
                self._whole.append((window, mask))
            else:
                self._claims.append(self._piece(window, mask))

    def settle(self) -> NDArray[np.int32]:
        """The instances: of fat and bone, numbered as in the baseline, new ones after those."""
        taken = {int(n) for where, mask in self._whole for n in np.unique(self._sent(where)[mask])}
        fresh = iter(range(self._count, 2**24))
        table = np.zeros(int(self._painted.max()) + 1, np.int32)
        pieces: list[tuple[_Claim, int]] = []
        for claim in sorted(self._claims, key=lambda c: -c.overlap):
            number = claim.wanted if claim.wanted and claim.wanted not in taken else next(fresh)
            taken.add(number)
            table[list(claim.painted)] = number
            pieces.append((claim, number))
        instances = self._by_table(table)
        for claim, number in pieces:
            if claim.window is not None and claim.mask is not None:
                instances[claim.window][claim.mask] = number
        for where, mask in self._whole:
            instances[where][mask] = self._sent(where)[mask]
        return instances

    def _by_table(self, table: NDArray[np.int32]) -> NDArray[np.int32]:
        runs = runs_of(self._painted)
        instances: NDArray[np.int32] = runs.spread(table[runs.of(self._painted)])
        return instances

    def _sent(self, where: Window) -> NDArray[np.int32]:
        if self._baseline is None:
            return np.zeros_like(self._painted[where])
        return self._baseline.instances[where]

    def _counts(self, places: Iterable[tuple[Window, BoolMask]]) -> NDArray[np.int64]:
        """Pixels of every instance of the baseline under some masks, by number."""
        counts = np.zeros(self._count, np.int64)
        for where, mask in places:
            counts += np.bincount(self._sent(where)[mask], minlength=self._count)
        counts[0] = 0
        return counts

    def _is_whole(self, where: Window, mask: BoolMask, code: int) -> bool:
        """Whether these pixels are just those of some objects that were sent, of this class."""
        if self._baseline is None or np.any(self._baseline.classes[where][mask] != code):
            return False
        counts = np.bincount(self._sent(where)[mask], minlength=self._count)
        return bool(np.all((counts == 0) | (counts == self._areas)))

    def _piece(self, where: Window, mask: BoolMask) -> _Claim:
        counts = self._counts([(where, mask)])
        wanted = int(counts.argmax())
        return _Claim(wanted, int(counts[wanted]), (), where, mask)


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
