"""Which classifier a study has: today the seed groups, fitted over all its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from active_learning.seed import Classification, SeedModel, fit_seed
from annotator.errors import ModelError
from annotator.line import Classifier
from annotator.schema import CLASS_NAMES
from annotator.settings import fingerprint
from annotator.store import KnownImage, Study
from features.table import FeatureTable, concatenate

FORMAT = 1

# Enough for a dozen groups; beyond it every image gives fewer objects, evenly taken.
_MOST_OBJECTS = 300_000


@dataclass(frozen=True, slots=True)
class NothingToClassify:
    """The classifier of a study without a single object: there is nothing to group."""

    source: str = "seed"
    fingerprint: str = "nothing"

    def classify(self, table: FeatureTable) -> Classification:
        """No class for no row."""
        return Classification.of(np.zeros((len(table), len(CLASS_NAMES))))


def current_classifier(
    study: Study, ready: Sequence[KnownImage], settings_key: str, force: bool
) -> Classifier:
    """The classifier that the study's images get their classes from.

    The seed groups are kept until they are forced to change, the settings change, or the
    study has at least twice the images that they were fitted on. This is where a model
    trained on labels takes their place.

    Parameters
    ----------
    study : Study
    ready : sequence of KnownImage
        All images of the study whose objects hold under the present settings.
    settings_key : str
        Hash of the settings behind those objects.
    force : bool
    """
    key = fingerprint("seed", settings_key, study.settings.seed)
    stored = None if force else _stored_groups(study, key, len(ready))
    return stored or _fit_groups(study, ready, key)


def _stored_groups(study: Study, key: str, images: int) -> SeedModel | None:
    """The groups in the study, if they hold; damaged ones are made again."""
    content = study.read_model("seed")
    try:
        if content["format"] != FORMAT or content["key"] != key or images >= 2 * content["images"]:
            return None
        return SeedModel.from_dict(content["model"])
    except (KeyError, TypeError, ValueError, ModelError):
        return None


def _fit_groups(study: Study, ready: Sequence[KnownImage], key: str) -> Classifier:
    """Fit in the order of the pixels' hashes, which does not depend on names or runs."""
    each = max(1, _MOST_OBJECTS // max(1, len(ready)))
    tables = [_sample(study, image, each) for image in sorted(ready, key=lambda i: i.id)]
    table = concatenate(tables)
    if not len(table):
        return NothingToClassify()
    model = fit_seed(table, study.settings.seed)
    study.save_model(
        "seed",
        {
            "format": FORMAT,
            "key": key,
            "images": len(ready),
            "objects": len(table),
            "model": model.to_dict(),
        },
    )
    return model


def _sample(study: Study, image: KnownImage, most: int) -> FeatureTable:
    """At most so many rows of an image's table, evenly over its objects."""
    described = study.described(image)
    if described is None:
        raise ModelError(f"{image.name}: its objects were taken away; run again")
    table = described.table
    if len(table) <= most:
        return table
    rows = np.linspace(0, len(table) - 1, most).astype(np.intp)
    return FeatureTable(
        table.image_ids[rows], table.object_ids[rows], table.X[rows], table.names, table.fingerprint
    )
