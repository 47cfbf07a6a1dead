"""The seven published features of labelled objects, for comparing with the paper's classifier.

They are computed from the pictures once and kept in ``objects/published/``.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from active_learning.classifier.examples import take_rows
from active_learning.rounds.dataset import StudyObjects
from annotator.core.errors import ImageError
from annotator.core.files import write_atomic
from annotator.core.progress import OnStep
from annotator.imaging.appearance import Appearance
from annotator.imaging.read import read_image
from annotator.settings.annotation import DescribeSettings
from annotator.study.excluded_area import ExcludedArea, counted_objects
from annotator.study.objects_file import ImageFeatures
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from features.describe import describe, feature_fingerprint, feature_names
from features.table import FeatureTable, concatenate

_SETTINGS = DescribeSettings("bambo")


def published_table(study: Study, objects: StudyObjects, on_step: OnStep) -> FeatureTable | None:
    """The published features of all objects, in the same order; None where a picture is gone.

    Parameters
    ----------
    study : Study
    objects : StudyObjects
    on_step : callable
        Told what is being done, how much of it is done, and how much there is.
    """
    tables = []
    for done, image in enumerate(objects.images, start=1):
        table = _of_image(study, image)
        if table is None:
            return None
        area = study.excluded_regions.area(image.id, image.shape)
        tables.append(table if area is None else _of_counted(study, image, table, area))
        on_step("published features", done, len(objects.images))
    return concatenate(tables)


def _of_counted(
    study: Study, image: KnownImage, table: FeatureTable, area: ExcludedArea
) -> FeatureTable:
    """The rows of objects that do not lie mostly in excluded regions."""
    described = study.described(image)
    if described is None:
        return table
    return take_rows(table, counted_objects(described.objects, area))


def _of_image(study: Study, image: KnownImage) -> FeatureTable | None:
    described = study.described(image)
    if described is None:
        return None
    path = study.objects_path(image).parent / "published" / f"{image.name}.npz"
    key = f"{described.key} {feature_fingerprint(_SETTINGS)}"
    return _stored(path, key, described) or _computed(study, image, described, path, key)


def _stored(path: Path, key: str, described: ImageFeatures) -> FeatureTable | None:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            if str(arrays["key"]) != key:
                return None
            return FeatureTable(
                described.table.image_ids,
                described.objects.ids,
                arrays["X"],
                feature_names(_SETTINGS),
                feature_fingerprint(_SETTINGS),
            )
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _computed(
    study: Study, image: KnownImage, described: ImageFeatures, path: Path, key: str
) -> FeatureTable | None:
    try:
        picture = read_image(Path(image.source), study.settings.read)
    except (ImageError, OSError):
        return None
    if picture.id != image.id:
        return None
    appearance = Appearance(picture.at_scale(image.um_per_px))
    table = describe(appearance, described.objects, _SETTINGS)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, key=np.array(key), X=table.X)
    write_atomic(path, buffer.getvalue())
    return table
