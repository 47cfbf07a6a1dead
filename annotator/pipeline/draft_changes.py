"""What the next round of learning would change in the drafts, before it is made.

A round learns from labels that nobody may have looked at one by one. Its model is learned here
as ``retrain`` would learn it, the drafts are named by it as ``annotate`` would, and both are
compared with the drafts that lie there. Nothing is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learning.classification import Classifier
from active_learning.rounds.current_classifier import standing_classifier
from active_learning.rounds.retrain import RetrainOptions, model_to_come
from annotator.core.class_areas import AREA_NAMES, cellularity
from annotator.core.classes import CLASS_NAMES, UNLABELLED
from annotator.core.errors import ImageError, ModelError, StudyError
from annotator.core.progress import OnStep
from annotator.imaging.clear_view import clear_view
from annotator.imaging.read import read_image
from annotator.pipeline.steps import classify_image
from annotator.segmentation.outside_black import leave_open
from annotator.study.excluded_area import counted_areas, without_excluded
from annotator.study.objects_file import ImageFeatures
from annotator.study.rough import KnownImage
from annotator.study.study import Study

MOST_IMAGES = 51
"""Images that are compared: as many as ``trephine seed`` shows, a second each at most."""


@dataclass(frozen=True, slots=True)
class DraftChange:
    """One image before and after.

    Parameters
    ----------
    name : str
    cellularity_before, cellularity_after : float or None
        Cell / (cell + fat), 0..1; None where there is neither.
    pixels, pixels_changed : int
        Of the image, and of these that would have another class.
    objects, objects_changed : int
    """

    name: str
    cellularity_before: float | None
    cellularity_after: float | None
    pixels: int
    pixels_changed: int
    objects: int
    objects_changed: int


@dataclass(frozen=True, slots=True)
class DraftChanges:
    """What would change in the drafts of a study.

    Parameters
    ----------
    images : tuple of DraftChange
        By name.
    moved : tuple of (str, str, int)
        Class before, class after, and how many pixels; most first.
    left_out : tuple of str
        Names of images that were not compared: their picture is gone, a person edited
        their draft, or it is not of today's objects.
    unknown_classes : tuple of str
        Classes of the drafts that no label names: the model cannot give them.
    why_none : str
        Why nothing can be said; empty where something can.
    """

    images: tuple[DraftChange, ...] = ()
    moved: tuple[tuple[str, str, int], ...] = ()
    left_out: tuple[str, ...] = ()
    unknown_classes: tuple[str, ...] = ()
    why_none: str = ""

    @property
    def pixels_share(self) -> float:
        """Share of all pixels that would have another class, 0..1."""
        return _share(
            sum(one.pixels_changed for one in self.images), sum(one.pixels for one in self.images)
        )

    @property
    def objects_share(self) -> float:
        """Share of all objects that would have another class, 0..1."""
        return _share(
            sum(one.objects_changed for one in self.images), sum(one.objects for one in self.images)
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self) | {
            "pixels_share": round(self.pixels_share, 4),
            "objects_share": round(self.objects_share, 4),
        }


def draft_changes(study: Study, on_step: OnStep) -> DraftChanges:
    """Compare the drafts with those that the next round would give.

    Parameters
    ----------
    study : Study
    on_step : callable
        Told what is being done, how much of it is done, and how much there is.

    Raises
    ------
    StudyError
        When another run holds the study, or a file in it is damaged.
    """
    try:
        before = standing_classifier(study)
        after = model_to_come(study, RetrainOptions(), on_step)
    except ModelError as error:
        return DraftChanges(why_none=str(error))
    images = study.images()[:MOST_IMAGES]
    changes, left_out = [], []
    moved = np.zeros((UNLABELLED + 1, UNLABELLED + 1), np.int64)
    for done, image in enumerate(images, start=1):
        changed = _compared(study, image, before, after, moved)
        if changed is None:
            left_out.append(image.name)
        else:
            changes.append(changed)
        on_step("comparing drafts", done, len(images))
    known = {int(code) for code in after.pipeline.classes_}
    unknown = tuple(
        name for code, name in enumerate(CLASS_NAMES) if code not in known and moved[code].sum() > 0
    )
    return DraftChanges(tuple(changes), _most_first(moved), tuple(left_out), unknown)


def _compared(
    study: Study,
    image: KnownImage,
    before: Classifier | None,
    after: Classifier,
    moved: NDArray[np.int64],
) -> DraftChange | None:
    """Compare one image, and count in `moved` (256, 256) how many pixels change what to what."""
    described = study.described(image)
    if described is None or described.table.fingerprint != study.features:
        return None
    draft = _untouched_draft(study, image)
    classes = None if draft is None else _classes_after(study, image, described, after)
    if draft is None or classes is None:
        return None
    pairs = np.bincount(draft.ravel().astype(np.int64) * (UNLABELLED + 1) + classes.ravel())
    moved.ravel()[: len(pairs)] += pairs
    table = described.table
    area = study.excluded_regions.area(image.id, image.shape)
    now, then = (None if one is None else one.classify(table).codes for one in (before, after))
    return DraftChange(
        image.name,
        cellularity(counted_areas(draft, area)),
        cellularity(counted_areas(classes, area)),
        draft.size,
        int(np.count_nonzero(draft != classes)),
        len(table),
        0 if now is None else int(np.count_nonzero(now != then)),
    )


def _untouched_draft(study: Study, image: KnownImage) -> NDArray[np.uint8] | None:
    """The draft as we wrote it, (H, W) uint8; annotate leaves one alone that a person edited."""
    if study.rough.annotation(image) is None or study.rough.edited(image):
        return None
    try:
        return study.rough.read(image).classes
    except StudyError:
        return None


def _classes_after(
    study: Study, image: KnownImage, described: ImageFeatures, model: Classifier
) -> NDArray[np.uint8] | None:
    """The classes that annotate would write, (H, W) uint8; None where the picture is gone."""
    try:
        picture = read_image(Path(image.source), study.settings.read)
    except ImageError:
        return None
    if picture.id != image.id:
        return None
    label_maps = classify_image(described, model, study.settings).label_maps
    seen = clear_view(picture.at_scale(image.um_per_px))
    area = study.excluded_regions.area(image.id, image.shape)
    return without_excluded(leave_open(label_maps, seen.unseen), area).classes


def _most_first(moved: NDArray[np.int64]) -> tuple[tuple[str, str, int], ...]:
    codes = (*range(len(CLASS_NAMES)), UNLABELLED)
    named = dict(zip(codes, AREA_NAMES, strict=True))
    found = [
        (named[old], named[new], int(moved[old, new]))
        for old in codes
        for new in codes
        if old != new and moved[old, new]
    ]
    return tuple(sorted(found, key=lambda one: -one[2]))


def _share(part: int, whole: int) -> float:
    """A share, 0 of nothing.

    Examples
    --------
    >>> _share(1, 4), _share(0, 0)
    (0.25, 0.0)
    """
    return part / whole if whole else 0.0


def most_changed(images: Sequence[DraftChange]) -> list[DraftChange]:
    """Images by the share of their pixels that would change, the largest first."""
    return sorted(images, key=lambda one: (-_share(one.pixels_changed, one.pixels), one.name))
