"""From a study to what a classifier learns from: objects, features, labels, patients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from active_learning.classifier.examples import Examples, area_weights, take_rows
from active_learning.labels.label import trainable
from active_learning.rounds.current_labels import LabelledImage, labelled_image
from annotator.core.errors import ModelError
from annotator.core.labels import Label
from annotator.study.deleted_images import deleted_in_cvat
from annotator.study.excluded_area import ExcludedArea, counted_objects
from annotator.study.patients import patients_of
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from features.table import FeatureTable, concatenate

LABELS_FROM = ("labels", "truth", "both")
_SOURCES = {
    "labels": ("seed", "person"),
    "truth": ("truth",),
    "both": ("seed", "person", "truth"),
}
REVIEWED = ("person", "truth")
"""Sources of labels that somebody gave to single objects or pixels."""

# A seed label counts at least so much, however impure its group seemed.
_LEAST_WEIGHT = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class StudyObjects:
    """The objects of some images of a study, described by its present features.

    Objects that lie mostly in excluded regions are not among them, unless asked for.

    Parameters
    ----------
    images : tuple of KnownImage
        Those that have such objects, by name.
    table : FeatureTable
        M objects.
    areas : (M,) float64
        Pixels of each.
    boxes : (M, 4) int32
        Of each, half-open ``x0 y0 x1 y1``.
    labels : tuple of Label
        Their labels that hold today, under their present numbers, in the order of arrival.
    outdated : tuple of str
        Names of images whose objects have other features: to be annotated again.
    orphaned : int
        Labels of these images whose object is gone, and that were not moved to another one.
    """

    images: tuple[KnownImage, ...]
    table: FeatureTable
    areas: NDArray[np.float64]
    boxes: NDArray[np.int32]
    labels: tuple[Label, ...]
    outdated: tuple[str, ...] = ()
    orphaned: int = 0

    def rows(self) -> dict[tuple[str, int], int]:
        """Row of each object, by image and number."""
        keys = zip(self.table.image_ids.tolist(), self.table.object_ids.tolist(), strict=True)
        return {key: row for row, key in enumerate(keys)}

    def reviewed(self) -> NDArray[np.bool_]:
        """Objects that have a label of a person or a corrected mask, (M,) bool."""
        keys = {label.key for label in self.labels if label.source in REVIEWED}
        return np.array([key in keys for key in self.rows()], np.bool_)

    def image_rows(self) -> dict[str, NDArray[np.intp]]:
        """Rows of the table by id of the image, (K,) intp each, ascending."""
        ids = self.table.image_ids
        return {image.id: np.flatnonzero(ids == image.id) for image in self.images}


@dataclass(frozen=True, slots=True, eq=False)
class LearningSet:
    """Labelled objects, and what stands behind each label.

    Parameters
    ----------
    examples : Examples
        M objects, by image and number; the groups are patients.
    labels : tuple of M Label
        The one that counts of each.
    notes : tuple of str
        What a person should know of them.
    """

    examples: Examples
    labels: tuple[Label, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.bool_]) -> LearningSet:
        """Some of the labelled objects; the notes stay.

        Parameters
        ----------
        rows : (M,) bool
        """
        labels = tuple(self.labels[row] for row in np.flatnonzero(rows).tolist())
        return LearningSet(self.examples.take(rows), labels, self.notes)

    @property
    def reviewed(self) -> NDArray[np.bool_]:
        """Labels that a person or a corrected mask gave, (M,) bool."""
        return np.array([label.source in REVIEWED for label in self.labels], np.bool_)

    @property
    def mask_keys(self) -> NDArray[np.str_]:
        """Keys of the objects' masks, (M,) str."""
        return np.array([label.mask_key for label in self.labels], np.str_)


def gather(
    study: Study, images: Sequence[KnownImage] | None = None, with_excluded: bool = False
) -> StudyObjects:
    """The objects of a study, or of some of its images, and what was said of them.

    Parameters
    ----------
    study : Study
    images : sequence of KnownImage, optional
    with_excluded : bool
        Also objects that lie mostly in excluded regions: groups are made of all.

    Raises
    ------
    StudyError
        When the objects of an image are damaged.
    ModelError
        When no image has objects with the present features.
    """
    wanted = study.features
    labelled_images, outdated = [], []
    holding: list[Label] = []
    excluded = {} if with_excluded else study.excluded_regions.areas()
    # Read before the images: whoever labels meanwhile has labels that find their objects.
    stored = study.labels.all()
    of_image: dict[str, list[Label]] = {}
    for label in stored:
        of_image.setdefault(label.image_id, []).append(label)
    for image in study.images() if images is None else images:
        labelled = labelled_image(study, image, of_image.get(image.id, ()))
        if labelled is not None and labelled.described.table.fingerprint == wanted:
            holding += labelled.labels
            labelled_images.append(_without_excluded(labelled, excluded.get(image.id)))
        elif labelled is not None:
            outdated.append(image.name)
    if not labelled_images:
        raise ModelError(
            f"{study.path}: expected images with objects, got none"
            f"{f' with the present features ({len(outdated)} with others)' if outdated else ''}; "
            f"run trephine annotate {study.path} IMAGES first"
        )
    orphaned = _orphaned(stored, holding, labelled_images)
    joined = _joined(labelled_images, tuple(outdated), orphaned)
    return replace(joined, labels=_standing(study, joined.labels))


def _standing(study: Study, labels: tuple[Label, ...]) -> tuple[Label, ...]:
    """Labels without those of masks that are no truth any more: their frame was deleted in CVAT.

    They stay stored, and count again once the frame is restored.
    """
    deleted = deleted_in_cvat(study)
    return tuple(
        label for label in labels if label.source != "truth" or label.image_id not in deleted
    )


def labelled_objects(study: Study, more: Iterable[str] = ()) -> StudyObjects:
    """The objects of the images that have labels, or are named by id in `more`."""
    ids = {*study.labels.image_ids(), *more}
    images = [image for image in study.images() if image.id in ids]
    if not images:
        raise ModelError(
            f"{study.path}: expected labels, got none; run trephine seed, import labels with "
            "trephine labels import, or put corrected masks into truth/"
        )
    return gather(study, images)


def _without_excluded(labelled: LabelledImage, area: ExcludedArea | None) -> LabelledImage:
    """An image without the objects that lie mostly in excluded regions, and their labels."""
    described = labelled.described
    counted = counted_objects(described.objects, area)
    if counted.all():
        return labelled
    objects = described.objects.select(counted)
    ids = set(objects.ids.tolist())
    return replace(
        labelled,
        described=replace(described, objects=objects, table=take_rows(described.table, counted)),
        labels=tuple(label for label in labelled.labels if label.object_id in ids),
    )


def _joined(
    labelled_images: Sequence[LabelledImage], outdated: tuple[str, ...], orphaned: int
) -> StudyObjects:
    objects = [labelled.described.objects for labelled in labelled_images]
    labels = tuple(label for labelled in labelled_images for label in labelled.labels)
    return StudyObjects(
        tuple(labelled.image for labelled in labelled_images),
        concatenate([labelled.described.table for labelled in labelled_images]),
        np.concatenate([of_image.areas() for of_image in objects]).astype(np.float64),
        np.concatenate([of_image.boxes for of_image in objects]),
        labels,
        outdated,
        orphaned,
    )


def learning_set(
    study: Study, objects: StudyObjects, labels_from: str, more: Sequence[Label] = ()
) -> LearningSet:
    """The labels that count and name a class, with features and patients.

    Parameters
    ----------
    study : Study
    objects : StudyObjects
    labels_from : {"labels", "truth", "both"}
        Which sources count: people and seed groups, corrected masks, or all of them.
    more : sequence of Label
        That are not stored yet.

    Raises
    ------
    ModelError
        When no label is left.
    """
    sources = _SOURCES[labels_from]
    candidates = [label for label in (*objects.labels, *more) if label.source in sources]
    rows = objects.rows()
    labels = tuple(label for label in trainable(candidates) if label.key in rows)
    if not labels:
        raise ModelError(
            f"{study.path}: expected labels from {' or '.join(sources)}, got none that names a "
            "class; run trephine seed, import labels, or put corrected masks into truth/"
        )
    at = np.array([rows[label.key] for label in labels], np.intp)
    patients = patients_of(objects.images, study.settings.patients, study.path)
    examples = Examples(
        take_rows(objects.table, at),
        np.array([label.code for label in labels], np.uint8),
        np.array([patients[label.image_id] for label in labels], np.str_),
        _weights(labels, area_weights(objects.areas[at], study.settings.train.area)),
    )
    return LearningSet(examples, labels, _notes(objects, labels))


def _weights(labels: Sequence[Label], by_area: NDArray[np.float64]) -> NDArray[np.float64]:
    """By area; a seed label counts as far as its group seemed pure, any other in full."""
    shares = [
        1.0 if label.source in REVIEWED else max(label.confidence, _LEAST_WEIGHT)
        for label in labels
    ]
    weights: NDArray[np.float64] = by_area * np.array(shares)
    return weights


def _orphaned(
    stored: Sequence[Label], labels: Sequence[Label], labelled_images: Sequence[LabelledImage]
) -> int:
    image_ids = {labelled.image.id for labelled in labelled_images}
    # A label that was moved to another object names its first one as origin: both are one label.
    present = {label.origin or label.id for label in labels}
    wanted = {label.origin or label.id for label in stored if label.image_id in image_ids}
    return len(wanted - present)


def _notes(objects: StudyObjects, labels: Sequence[Label]) -> tuple[str, ...]:
    notes = []
    if objects.outdated:
        notes.append(
            f"{len(objects.outdated)} labelled image(s) left out: their objects have other "
            "features; run trephine annotate on them again"
        )
    if objects.orphaned:
        notes.append(
            f"{objects.orphaned} label(s) hold for no object of today and wait; "
            "run trephine labels move"
        )
    seeds = sum(label.source == "seed" for label in labels)
    if seeds:
        notes.append(
            f"{seeds} of {len(labels)} labels are those of seed groups: nobody has looked at "
            "each of them"
        )
    return tuple(notes)
