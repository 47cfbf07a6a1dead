"""The corrected fields of a study, with their pixels: what a network learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from active_learning.network.patches import TruthField
from annotator.core.classes import CLASS_NAMES, FAT
from annotator.core.errors import ImageError, ModelError
from annotator.core.label_maps import LabelMaps, compact
from annotator.core.objects import Image
from annotator.core.progress import OnStep, silent
from annotator.imaging.appearance import Appearance
from annotator.imaging.clear_view import clear_view
from annotator.imaging.read import read_image
from annotator.pipeline.network.choice import working_scale
from annotator.segmentation.outside_black import leave_open
from annotator.study.patients import patients_of
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from annotator.study.truth import TruthStore


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedFields:
    """Fields of a study that have a corrected mask.

    Parameters
    ----------
    images : tuple of KnownImage
        Of each field, by name.
    fields : tuple of TruthField
    notes : tuple of str
        What was left out, and why.
    """

    images: tuple[KnownImage, ...]
    fields: tuple[TruthField, ...]
    notes: tuple[str, ...]

    @property
    def patients(self) -> NDArray[np.str_]:
        """Of each field, (N,) str."""
        return np.array([field.patient for field in self.fields], np.str_)

    def take(self, rows: Sequence[int]) -> CorrectedFields:
        """Some of the fields, by their indices."""
        return CorrectedFields(
            tuple(self.images[row] for row in rows),
            tuple(self.fields[row] for row in rows),
            self.notes,
        )


def corrected_fields(study: Study, on_step: OnStep = silent) -> CorrectedFields:
    """Read every image of a study that has a corrected mask.

    An image whose file is gone or another one by now, and a mask that is open everywhere, are
    left out with a note.

    Raises
    ------
    ModelError
        When none is left.
    StudyError
        When a mask cannot be read, or holds something else.
    """
    truth = study.truth
    images = [image for image in study.images() if truth.exists(image.name)]
    patients = patients_of(study.images(), study.settings.patients, study.path)
    kept, fields, notes = [], [], []
    for done, image in enumerate(images, start=1):
        found = _field(study, image, truth, patients[image.id])
        if isinstance(found, str):
            notes.append(f"{image.name}: left out: {found}")
        else:
            kept.append(image)
            fields.append(found)
        on_step("reading", done, len(images))
    if not fields:
        why = f"; {notes[0]}" if notes else ""
        raise ModelError(
            f"{study.path}: expected corrected masks in truth/, got none that a network can learn "
            f"from{why}; bring some with trephine pull, or put PNG files of class codes into "
            "truth/, named like the images"
        )
    return CorrectedFields(tuple(kept), tuple(fields), tuple(notes))


def image_of(study: Study, image: KnownImage) -> Image:
    """Read the pixels of an image of a study, at its scale.

    Raises
    ------
    ImageError
        When the file is gone, cannot be read, or holds another picture by now.
    """
    path = Path(image.source)
    found = read_image(path, study.settings.read)
    if found.id != image.id:
        raise ImageError(f"{path}: expected the image of the study, got another one by now")
    return found.at_scale(image.um_per_px)


def _field(study: Study, image: KnownImage, truth: TruthStore, patient: str) -> TruthField | str:
    """The field, or the reason why nothing can be learned from it."""
    maps = truth.read(image.name, image.shape)
    if maps is None or not (maps.classes < len(CLASS_NAMES)).any():
        return "its mask is open everywhere (255)"
    try:
        found = image_of(study, image)
    except ImageError as error:
        return str(error)
    # As annotate looks at it: a network that learned the cast of a lamp would meet white light.
    view = clear_view(found)
    if view.unseen is not None:
        maps = leave_open(maps, view.unseen)
        if not (maps.classes < len(CLASS_NAMES)).any():
            return "its mask is open wherever the picture shows anything"
    known = truth.instances_path(image.name).exists()
    return TruthField(
        image.name,
        patient,
        view.image.pixels,
        maps.classes,
        _adipocytes(maps) if known else None,
        working_scale(Appearance(view.image, black=view.unseen)),
        is_scale_known=found.um_per_px is not None,
    )


def _adipocytes(maps: LabelMaps) -> NDArray[np.uint16]:
    return compact(np.where(maps.classes == FAT, maps.instances, 0).astype(np.int32))
