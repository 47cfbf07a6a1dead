"""Which images an expert should label next, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from active_learning.classifier.examples import take_rows
from active_learning.classifier.folds import holdout
from active_learning.query.select_images import Pool, SelectedImage, choose
from active_learning.rounds.current_classifier import standing_classifier
from active_learning.rounds.dataset import StudyObjects, gather
from annotator.core.errors import ModelError, UsageError
from annotator.settings.learning import QuerySettings
from annotator.study.deleted_images import deleted_in_cvat
from annotator.study.patients import patients_of
from annotator.study.study import Study

COUNT = 40
"""Images a round, unless asked otherwise."""

# An image counts as labelled from this share of its objects on.
_DONE = 0.5
_MEASURE = "drawn at random, to measure on: no model is ever trained on it"


@dataclass(frozen=True, slots=True)
class NextImage:
    """An image to label.

    Parameters
    ----------
    rank : int
        From 1.
    name, path, image_id : str
        In the study; where it was read from last.
    score : float or None
        How much the model would gain from it, by doubtful objects, rare classes and unlikeness
        to what is labelled; relative to the others, larger is more. The images are sorted by it.
        None for one that was drawn at random: these come last.
    reasons : tuple of str
    held_out : bool
        Whether models are measured on it, and never trained.
    """

    rank: int
    name: str
    path: str
    image_id: str
    score: float | None
    reasons: tuple[str, ...]
    held_out: bool = False

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


def next_images(
    study: Study, count: int = COUNT, although_deleted: Collection[str] = ()
) -> tuple[NextImage, ...]:
    """Choose the images whose labels are likely to help most, and note that they were asked for.

    Those drawn at random come from the held-out patients as long as these have images
    that nobody has labelled: only a random sample gives unbiased figures. Images whose
    frames people deleted in CVAT are not asked for.

    Parameters
    ----------
    study : Study
    count : int
        How many at most; fewer where fewer are left.
    although_deleted : collection of str
        Names of images that may be asked for although their frames were deleted.

    Raises
    ------
    UsageError
        When the count is below 1, or no image has such a name.
    ModelError
        When there is no object, or no classifier that fits.
    """
    with study.writing():
        chosen = best_images(study, count, although_deleted)
        study.rounds.note_query([image.image_id for image in chosen])
    return chosen


def best_images(
    study: Study, count: int, although_deleted: Collection[str] = ()
) -> tuple[NextImage, ...]:
    """Choose as :func:`next_images` does, without noting it.

    Raises
    ------
    UsageError, ModelError
        See there.
    """
    if count < 1:
        raise UsageError(f"expected a count of 1 or more, got {count}")
    deleted = _deleted(study, although_deleted)
    objects = gather(study)
    classifier = standing_classifier(study)
    if classifier is None:
        raise ModelError(
            f"{study.path}: no classifier fits the objects that are there; run trephine "
            "annotate again, and trephine retrain after other [describe] settings"
        )
    pool = Pool(
        objects.table,
        classifier.classify(objects.table).probabilities,
        objects.areas,
        objects.reviewed(),
    )
    return _choose(study, objects, pool, count, deleted)


def _deleted(study: Study, although_deleted: Collection[str]) -> frozenset[str]:
    """Ids of the images that are not to be asked for."""
    ids = {image.name: image.id for image in study.images()}
    unknown = sorted(set(although_deleted) - ids.keys())
    if unknown:
        raise UsageError(f"expected names of images in the study, got {', '.join(unknown)}")
    return deleted_in_cvat(study) - {ids[name] for name in although_deleted}


def _choose(
    study: Study, objects: StudyObjects, pool: Pool, count: int, deleted: Collection[str]
) -> tuple[NextImage, ...]:
    settings = study.settings.query
    if study.rounds.current() is None:
        settings = settings.without_committee()
    held_out = held_out_images(study, objects)
    unmeasured = _unlabelled(objects, pool, held_out.difference(deleted))
    wanted = max(1, round(count * settings.random_share)) if settings.random_share else 0
    measured = unmeasured[: min(wanted, count)]
    if measured:
        settings = replace(settings, random_share=0.0)
    rows = np.flatnonzero(~np.isin(objects.table.image_ids, [*held_out, *deleted]))
    rest = _from_pool(pool, rows, count - len(measured), settings)
    choices = [
        *rest,
        *(SelectedImage(image_id, float("nan"), (_MEASURE,), True) for image_id in measured),
    ]
    return _named(objects, choices, set(measured))


def held_out_images(study: Study, objects: StudyObjects) -> set[str]:
    """Ids of the images whose patients no model is trained on, once there are five patients."""
    patients = patients_of(objects.images, study.settings.patients, study.path)
    groups = np.array([patients[image.id] for image in objects.images])
    if len(np.unique(groups)) < 5:
        return set()
    held_out = holdout(groups, study.settings.patients.held_out, study.settings.train.random_state)
    return {image.id for image, is_out in zip(objects.images, held_out, strict=True) if is_out}


def _unlabelled(objects: StudyObjects, pool: Pool, ids: set[str]) -> list[str]:
    """Images most of whose objects nobody has looked at, in an order that chance gave: ids."""
    rows = objects.image_rows()
    return sorted(
        image_id
        for image_id in ids
        if len(rows[image_id]) and pool.labelled[rows[image_id]].mean() < _DONE
    )


def _from_pool(
    pool: Pool, rows: np.ndarray[Any, Any], count: int, settings: QuerySettings
) -> Sequence[SelectedImage]:
    if count < 1 or not len(rows):
        return ()
    part = Pool(
        take_rows(pool.table, rows), pool.probabilities[rows], pool.areas[rows], pool.labelled[rows]
    )
    return choose(part, count, settings)


def _named(
    objects: StudyObjects, choices: Sequence[SelectedImage], measured: set[str]
) -> tuple[NextImage, ...]:
    images = {image.id: image for image in objects.images}
    # Chosen one after the other, with gains that rise as the others are taken: sorted at the end.
    choices = sorted(choices, key=lambda one: (one.random, 0.0 if one.random else -one.score))
    return tuple(
        NextImage(
            rank,
            images[choice.image_id].name,
            images[choice.image_id].source,
            choice.image_id,
            None if choice.random else round(choice.score, 4),
            choice.reasons,
            choice.image_id in measured,
        )
        for rank, choice in enumerate(choices, start=1)
    )
