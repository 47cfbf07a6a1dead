"""Where labels meet objects: which of them hold today, and moving those that do not.

A label is said of a mask. As long as an image has an object with exactly this mask, the
label holds, whatever number the object has now. When other settings make other objects,
:func:`move_labels` gives it to the one that is most nearly the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from active_learning.labels.from_masks import DEFAULT_LABELS, Transfer, transfer
from active_learning.labels.label import (
    Agreement,
    Disagreement,
    LabelArrays,
    cohen_kappa,
    current,
    disagreements,
    moved,
    to_arrays,
)
from annotator.core.errors import StudyError
from annotator.core.labels import Label
from annotator.core.objects import ImageObjects, objects_from_masks
from annotator.settings.learning import LabelSettings
from annotator.study.labels import LabelledMask, labelled_mask, mask_key
from annotator.study.objects_file import ImageFeatures
from annotator.study.rough import KnownImage
from annotator.study.study import Study


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImage:
    """An image with its objects of today, and what was said of them.

    Parameters
    ----------
    image : KnownImage
    described : ImageFeatures
    labels : tuple of Label
        The labels that hold, with the numbers that the objects have today, in the order of
        arrival.
    """

    image: KnownImage
    described: ImageFeatures
    labels: tuple[Label, ...]

    def mask(self, object_id: int) -> LabelledMask:
        """The packed mask of an object; ValueError when there is no such object."""
        objects = self.described.objects
        (position,) = np.flatnonzero(objects.ids == object_id)
        return labelled_mask(self.image.id, objects.boxes[position], objects.crops[position])


@dataclass(frozen=True, slots=True)
class Move:
    """An object whose labels went to another one.

    Parameters
    ----------
    image : str
        Name in the study.
    old_id, new_id : int
        Its number when it was labelled, and that of the object that has its labels now.
    iou : float
        Overlap of the two, 0..1.
    """

    image: str
    old_id: int
    new_id: int
    iou: float


@dataclass(frozen=True, slots=True)
class Loss:
    """A labelled object that no object of today is like; its labels wait for one.

    Parameters
    ----------
    image : str
        Name in the study.
    old_id : int
    box : (int, int, int, int)
        Where it was, half-open ``x0 y0 x1 y1``.
    code : int
        Of the label that counts.
    """

    image: str
    old_id: int
    box: tuple[int, int, int, int]
    code: int


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What became of the labels whose objects changed.

    Parameters
    ----------
    moves : tuple of Move
    losses : tuple of Loss
    labels : int
        Labels that were moved: several can be of one object.
    waiting : tuple of str
        Names of labelled images without objects at present.
    """

    moves: tuple[Move, ...] = ()
    losses: tuple[Loss, ...] = ()
    labels: int = 0
    waiting: tuple[str, ...] = ()


def present_labels(study: Study, image_ids: Collection[str] | None = None) -> tuple[Label, ...]:
    """All labels that hold today, with the numbers that the objects have today.

    Parameters
    ----------
    study : Study
    image_ids : collection of str, optional
        Of these images alone.

    Raises
    ------
    StudyError
        When the objects of a labelled image are damaged.
    """
    images = _labelled(study, image_ids)
    return tuple(label for image in images for label in _present(study, image))


def current_labels(study: Study) -> LabelArrays:
    """The label that counts of each object of today; mixed and skipped ones included."""
    return to_arrays(current(present_labels(study)))


def agreement(study: Study) -> tuple[tuple[Agreement, ...], tuple[Disagreement, ...]]:
    """How far people agree on the objects of today, and where they do not."""
    labels = present_labels(study)
    return cohen_kappa(labels), disagreements(labels)


def labelled_image(
    study: Study, image: KnownImage, stored: Sequence[Label] | None = None
) -> LabelledImage | None:
    """An image with what was said of its objects; None where it has no objects yet.

    Parameters
    ----------
    study : Study
    image : KnownImage
    stored : sequence of Label, optional
        All labels of the image, where they were read already.

    Raises
    ------
    StudyError
        When its objects are damaged.
    """
    described = described_image(study, image)
    if described is None:
        return None
    given = study.labels.for_image(image.id) if stored is None else stored
    return LabelledImage(image, described, _renumbered(given, _numbers(described.objects)))


def move_labels(study: Study, settings: LabelSettings = DEFAULT_LABELS) -> MoveReport:
    """Give labels whose objects are gone to the objects of today that are most like them.

    Author and time stay, the label that each one comes from is noted, and nothing is taken
    away: under the former settings the former labels hold again. Labels are always moved
    from the mask that they were said of, so that they do not drift. Doing it twice moves
    nothing more.

    Parameters
    ----------
    study : Study
    settings : LabelSettings

    Raises
    ------
    StudyError
        When another run holds the study, or the objects of an image are damaged.
    """
    report = MoveReport()
    labels: list[Label] = []
    masks: list[LabelledMask] = []
    with study.writing():
        for image in _labelled(study):
            labelled = labelled_image(study, image)
            if labelled is None:
                report = replace(report, waiting=(*report.waiting, image.name))
                continue
            for generation in _orphaned(study.labels.for_image(image.id), labelled.labels):
                new, new_masks, part = _move(study, labelled, generation, settings)
                labels += new
                masks += new_masks
                report = replace(
                    report,
                    moves=report.moves + part.moves,
                    losses=report.losses + part.losses,
                )
        study.labels.append(labels, masks)
    return replace(report, labels=len(labels))


def _labelled(study: Study, image_ids: Collection[str] | None = None) -> list[KnownImage]:
    """The labelled images, by their names."""
    ids = set(study.labels.image_ids())
    wanted = ids if image_ids is None else ids.intersection(image_ids)
    return [image for image in study.images() if image.id in wanted]


def _present(study: Study, image: KnownImage) -> tuple[Label, ...]:
    labelled = labelled_image(study, image)
    return () if labelled is None else labelled.labels


def described_image(study: Study, image: KnownImage) -> ImageFeatures | None:
    """The objects of an image with their features; None where it has none yet.

    Raises
    ------
    StudyError
        When they are damaged.
    """
    try:
        return study.described(image)
    except ValueError as error:
        raise StudyError(
            f"{study.objects_path(image)}: {error}; run trephine annotate again"
        ) from error


def _numbers(objects: ImageObjects) -> dict[str, list[int]]:
    """Ids of the objects with each mask; two objects can have the same."""
    numbers: dict[str, list[int]] = {}
    for object_id, box, crop in zip(objects.ids, objects.boxes, objects.crops, strict=True):
        numbers.setdefault(mask_key(box, crop), []).append(int(object_id))
    return numbers


def _renumbered(labels: Sequence[Label], numbers: Mapping[str, Sequence[int]]) -> tuple[Label, ...]:
    """The labels whose masks are there, under the numbers that these have.

    Of a label and those that were moved from it, one holds: itself where its own mask is
    there, else the one that was moved last.
    """
    holding: dict[int, Label] = {}
    for label in labels:
        family = label.origin or label.id
        other = holding.get(family)
        if label.mask_key in numbers and (other is None or other.origin):
            holding[family] = label
    return tuple(
        _under(holding[family], number)
        for family in sorted(holding)
        for number in numbers[holding[family].mask_key]
    )


def _under(label: Label, number: int) -> Label:
    """A label under a number; most objects have the one that they had."""
    return label if label.object_id == number else replace(label, object_id=number)


@dataclass(frozen=True, slots=True)
class _Generation:
    """Labels said of objects that were there together.

    `orphaned` hold for no object of today; `taken` are the objects of today that have labels
    of the same generation.
    """

    orphaned: tuple[Label, ...]
    taken: frozenset[int]


def _orphaned(labels: Sequence[Label], present: Iterable[Label]) -> list[_Generation]:
    """The labels that hold nowhere, by the settings that their objects came of."""
    present_ids: dict[int, set[int]] = {}
    for label in present:
        present_ids.setdefault(label.origin or label.id, set()).add(label.object_id)
    originals: dict[str, list[Label]] = {}
    for label in labels:
        if not label.origin:
            originals.setdefault(label.objects_key, []).append(label)
    generations = []
    for objects_key in sorted(originals):
        originals_of_run = originals[objects_key]
        orphaned = tuple(label for label in originals_of_run if label.id not in present_ids)
        taken = frozenset(
            number for label in originals_of_run for number in present_ids.get(label.id, ())
        )
        if orphaned:
            generations.append(_Generation(orphaned, taken))
    return generations


def _move(
    study: Study, labelled: LabelledImage, generation: _Generation, settings: LabelSettings
) -> tuple[list[Label], list[LabelledMask], MoveReport]:
    """Match the objects of the orphaned labels with those of today that are free."""
    by_mask: dict[str, list[Label]] = {}
    for label in generation.orphaned:
        by_mask.setdefault(label.mask_key, []).append(label)
    stored = study.labels.masks(labelled.image.id)
    masks = [stored[key] for key in by_mask]
    today = labelled.described.objects
    free = today.select(~np.isin(today.ids, list(generation.taken)))
    matched = transfer(_as_objects(labelled, masks), free, settings.least_iou)
    groups = list(by_mask.values())
    new_masks = [labelled.mask(int(number)) for number in matched.new_ids]
    labels = [
        moved(label, int(new), mask.key, labelled.described.key)
        for old, new, mask in zip(matched.old_ids, matched.new_ids, new_masks, strict=True)
        for label in groups[old - 1]
    ]
    return labels, new_masks, _report(labelled.image.name, groups, masks, matched)


def _as_objects(labelled: LabelledImage, masks: Sequence[LabelledMask]) -> ImageObjects:
    """Stored masks as objects 1, 2, 3 ..."""
    parts = [((mask.box[1], mask.box[0]), mask.crop()) for mask in masks]
    return objects_from_masks(labelled.image.id, labelled.image.shape, parts)


def _report(
    name: str,
    groups: Sequence[Sequence[Label]],
    masks: Sequence[LabelledMask],
    matched: Transfer,
) -> MoveReport:
    moves = tuple(
        Move(name, groups[old - 1][-1].object_id, int(new), float(iou))
        for old, new, iou in zip(matched.old_ids, matched.new_ids, matched.iou, strict=True)
    )
    losses = tuple(
        Loss(name, group[-1].object_id, mask.box, current(_as_one(group))[0].code)
        for group, mask in (
            (groups[i], masks[i]) for i in (matched.lost_ids.astype(np.int64) - 1).tolist()
        )
    )
    return MoveReport(moves, losses)


def _as_one(group: Sequence[Label]) -> list[Label]:
    """Labels of one mask under one number: it can have had several."""
    return [replace(label, object_id=1) for label in group]
