"""Add labels to a study: of people, of corrected masks, of seed groups.

Each of these adds all of its labels or none, in one transaction: a run that is killed
leaves the study as before or after. A label that is there already is not added again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from active_learning.classification import Classifier
from active_learning.labels.from_masks import DEFAULT_LABELS, TruthLabels, labels_from_mask
from active_learning.labels.label import latest_of_each
from active_learning.rounds.current_labels import LabelledImage, labelled_image
from annotator.core.classes import UNLABELLED
from annotator.core.errors import StudyError
from annotator.core.labels import SKIP, Label
from annotator.settings.learning import LabelSettings
from annotator.study.database import now
from annotator.study.labels import LabelledMask
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from features.table import FeatureTable


@dataclass(frozen=True, slots=True)
class NewLabel:
    """A label of one object of an image, not added yet.

    Parameters
    ----------
    object_id : int
        As the objects are numbered today.
    code : int
        0-3, 4 mixed, 5 skip.
    author, source : str
    confidence : float
        0..1.
    """

    object_id: int
    code: int
    author: str
    source: str = "person"
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Added:
    """How many labels were added.

    Parameters
    ----------
    added : int
    already : int
        Were there: the last label of the same author and source on the object was the same.
    changed : int
        Of those added: the same author and source had given another label before.
    """

    added: int = 0
    already: int = 0
    changed: int = 0


class NewLabels:
    """Labels that wait until all of them can be added at once.

    Parameters
    ----------
    round_ : int
        Of the learning loop.
    """

    def __init__(self, round_: int) -> None:
        self._round = round_
        self._time = now()
        self._labels: list[Label] = []
        self._masks: list[LabelledMask] = []
        self._already = 0
        self._changed = 0

    def add(self, labelled: LabelledImage, new_labels: Iterable[NewLabel]) -> None:
        """Take in labels of objects of one image, except those that are there already.

        Raises
        ------
        StudyError
            When the image has no such object.
        """
        last = last_words(labelled.labels)
        known = set(labelled.described.objects.ids.tolist())
        for new_label in new_labels:
            if new_label.object_id not in known:
                raise StudyError(
                    f"expected an object of image {labelled.image.name}, got "
                    f"{new_label.object_id}; "
                    "annotate again, and label the objects that it has then"
                )
            key = new_label.object_id, new_label.source, new_label.author
            if last.get(key) == new_label.code:
                self._already += 1
                continue
            self._changed += key in last
            last[key] = new_label.code
            mask = labelled.mask(new_label.object_id)
            self._masks.append(mask)
            self._labels.append(self._label(labelled, new_label, mask))

    def _label(self, labelled: LabelledImage, new_label: NewLabel, mask: LabelledMask) -> Label:
        return Label(
            image_id=labelled.image.id,
            object_id=new_label.object_id,
            code=new_label.code,
            source=new_label.source,
            round=self._round,
            author=new_label.author,
            time=self._time,
            confidence=new_label.confidence,
            mask_key=mask.key,
            objects_key=labelled.described.key,
        )

    @property
    def labels(self) -> tuple[Label, ...]:
        """Those that wait, in the order in which they came."""
        return tuple(self._labels)

    @property
    def masks(self) -> tuple[LabelledMask, ...]:
        """The masks of the objects that they name."""
        return tuple(self._masks)

    @property
    def counts(self) -> Added:
        """How many there are."""
        return Added(len(self._labels), self._already, self._changed)

    def store(self, study: Study) -> Added:
        """Add them to the study, all or none."""
        study.labels.append(self._labels, self._masks)
        return self.counts


def last_words(labels: Iterable[Label]) -> dict[tuple[int, str, str], int]:
    """The last code by object, source and author, of the labels of one image."""
    return {
        (label.object_id, label.source, label.author): label.code
        for label in latest_of_each(labels)
    }


def add_labels(study: Study, labels_of: Mapping[str, Sequence[NewLabel]], round_: int = 0) -> Added:
    """Add labels of objects of some images, all or none.

    Parameters
    ----------
    study : Study
    labels_of : mapping
        By id of the image.
    round_ : int
        Of the learning loop.

    Raises
    ------
    StudyError
        When an image or an object is not there, or another run holds the study.
    """
    images = {image.id: image for image in study.all_images()}
    with study.writing():
        new = NewLabels(round_)
        for image_id, of_image in labels_of.items():
            image = images.get(image_id)
            labelled = None if image is None else labelled_image(study, image)
            if labelled is None:
                raise StudyError(
                    f"expected an image of the study with its objects, got {image_id}; "
                    "annotate it first"
                )
            new.add(labelled, of_image)
        return new.store(study)


# Seed groups


@dataclass(frozen=True, slots=True)
class NamedGroup:
    """A seed group with a class.

    Parameters
    ----------
    code : int
        0-3, 4 mixed.
    purity : float
        How pure it seems, 0..1.
    by_person : bool
        Whether a person gave the class. Otherwise objects keep what a person said of a group
        at the review page.
    """

    code: int
    purity: float = 1.0
    by_person: bool = True


def label_groups(
    study: Study,
    images: Sequence[KnownImage],
    group_of: Callable[[FeatureTable], NDArray[np.int64]],
    groups: Mapping[int, NamedGroup],
    author: str,
    round_: int = 0,
) -> Added:
    """Label all objects of some images by their groups; source ``seed``.

    Parameters
    ----------
    study : Study
    images : sequence of KnownImage
        Those without objects are passed over.
    group_of : callable
        Group of each row of a table, (M,) int64.
    groups : mapping
        The groups that have a class; objects of others get no label.
    author : str
        Who named the groups.
    round_ : int

    Raises
    ------
    StudyError
        When another run holds the study, or the objects of an image are damaged.
    """
    with study.writing():
        new = NewLabels(round_)
        reviewed = study.labels.given_at_review_page()
        for image in images:
            labelled = labelled_image(study, image)
            if labelled is not None:
                named = {
                    label.object_id for label in labelled.labels if _first_id(label) in reviewed
                }
                new.add(labelled, _of_groups(labelled, group_of, groups, author, named))
        return new.store(study)


def _first_id(label: Label) -> int:
    """Number of a label, or of the one that it was moved from."""
    return label.origin or label.id


def _of_groups(
    labelled: LabelledImage,
    group_of: Callable[[FeatureTable], NDArray[np.int64]],
    groups: Mapping[int, NamedGroup],
    author: str,
    named: Collection[int],
) -> list[NewLabel]:
    table = labelled.described.table
    pairs = zip(table.object_ids.tolist(), group_of(table).tolist(), strict=True)
    return [
        NewLabel(object_id, groups[group].code, author, "seed", groups[group].purity)
        for object_id, group in pairs
        if group in groups and (groups[group].by_person or object_id not in named)
    ]


# Corrected masks


@dataclass(frozen=True, slots=True)
class TruthRow:
    """Labels that the corrected mask of one image gives to its objects.

    Parameters
    ----------
    image : str
        Name in the study.
    labelled, mixed, unlabelled : int
        Objects with one class, with several, and those that the mask leaves mostly open.
    flagged : tuple of int
        Objects whose class was predicted otherwise; empty where nothing was predicted.
    """

    image: str
    labelled: int
    mixed: int
    unlabelled: int
    flagged: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TruthReport:
    """Labels that were made of corrected masks.

    Parameters
    ----------
    rows : tuple of TruthRow
        One an image with a mask, by name.
    added : Added
    without_objects : tuple of str
        Names of images with a mask, but without objects yet.
    """

    rows: tuple[TruthRow, ...]
    added: Added
    without_objects: tuple[str, ...]


def labels_from_truth(
    study: Study,
    author: str,
    round_: int = 0,
    settings: LabelSettings = DEFAULT_LABELS,
    classifier: Classifier | None = None,
) -> TruthReport:
    """Label the objects of every image that has a corrected mask in ``truth/``.

    Objects that are mixed get the label ``mixed``, so that no seed group or model speaks
    for them; objects that the mask leaves open get none. Where an earlier mask had said
    something of such an object, ``skip`` is added: the earlier label counts no more.

    Parameters
    ----------
    study : Study
    author : str
        Who corrected the masks.
    round_ : int
    settings : LabelSettings
    classifier : Classifier, optional
        Whose predictions the masks are compared with.

    Raises
    ------
    StudyError
        When a mask or the objects of an image cannot be used, or another run holds the
        study; no label was added.
    """
    with study.writing():
        new, report = collect_truth(study, author, round_, settings, classifier)
        new.store(study)
        return report


def collect_truth(
    study: Study,
    author: str,
    round_: int = 0,
    settings: LabelSettings = DEFAULT_LABELS,
    classifier: Classifier | None = None,
) -> tuple[NewLabels, TruthReport]:
    """The labels that :func:`labels_from_truth` would add, not added yet.

    Whoever calls holds the study (:meth:`Study.writing`): else the objects could change
    between this and the adding. Takes and raises the same as :func:`labels_from_truth`.

    Returns
    -------
    new : NewLabels
        Nothing of it is stored.
    report : TruthReport
    """
    rows: list[TruthRow] = []
    without: list[str] = []
    new = NewLabels(round_)
    for image in study.images():
        truth = study.labels.truth(image.name, image.shape)
        labelled = None if truth is None else labelled_image(study, image)
        if truth is None:
            continue
        if labelled is None:
            without.append(image.name)
            continue
        truth_labels = labels_from_mask(labelled.described.objects, truth, settings)
        new.add(labelled, _of_truth(labelled, truth_labels, author))
        rows.append(_truth_row(labelled, truth_labels, classifier))
    return new, TruthReport(tuple(rows), new.counts, tuple(without))


def _of_truth(labelled: LabelledImage, truth_labels: TruthLabels, author: str) -> list[NewLabel]:
    last = last_words(labelled.labels)
    ids = labelled.described.objects.ids.tolist()
    codes, purity = truth_labels.label_codes.tolist(), truth_labels.purity.tolist()
    new_labels = []
    for object_id, code, share in zip(ids, codes, purity, strict=True):
        if code != UNLABELLED:
            new_labels.append(NewLabel(object_id, code, author, "truth", share))
        elif (object_id, "truth", author) in last:
            new_labels.append(NewLabel(object_id, SKIP, author, "truth"))
    return new_labels


def _truth_row(
    labelled: LabelledImage, truth_labels: TruthLabels, classifier: Classifier | None
) -> TruthRow:
    unlabelled, mixed = int(truth_labels.unlabelled.sum()), int(truth_labels.mixed.sum())
    flagged: tuple[int, ...] = ()
    if classifier is not None:
        differs = truth_labels.differs(classifier.classify(labelled.described.table).codes)
        flagged = tuple(labelled.described.objects.ids[differs].tolist())
    with_class = len(truth_labels.codes) - unlabelled - mixed
    return TruthRow(labelled.image.name, with_class, mixed, unlabelled, flagged)
