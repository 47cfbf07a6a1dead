"""Which classifier a study has: its current round's model, else the starter's or its groups.

Before the first round of learning, objects that a segmentation network saw are named by the
starter classifier, which was learned from other images and is the same whatever images lie
in the study. Objects of colours alone are named by seed groups, which are fitted over all
objects of the study.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from active_learning.classification import Classification, Classifier
from active_learning.classifier.model_file import load_model
from active_learning.classifier.training import TrainedModel
from active_learning.network.starter_classifier import (
    STARTER_FEATURES,
    StarterClassifier,
    starter_classifier,
)
from active_learning.rounds.current_labels import described_image
from active_learning.seed.seed_model import SeedModel, fit_seed
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import ModelError
from annotator.core.hashing import fingerprint
from annotator.core.workers import Fault, Workers
from annotator.settings.learning import SeedSettings
from annotator.study.objects_file import unpack
from annotator.study.rough import KnownImage
from annotator.study.rounds import Round
from annotator.study.study import Study
from features.table import FeatureTable, concatenate

FORMAT = 1

# Of groups that were fitted outside a run of annotate; no settings have this key.
_NO_KEY = ""
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
    study: Study,
    ready: Sequence[KnownImage],
    settings_key: str,
    force: bool,
    workers: Workers,
) -> Classifier:
    """The classifier that the study's images get their classes from.

    The model of the current round, where there has been a round of learning. Before the
    first one, the starter classifier where a network saw the objects, else seed groups: they
    are kept until they are forced to change, the settings change, or the study has at least
    twice the images that they were fitted on.

    Parameters
    ----------
    study : Study
    ready : sequence of KnownImage
        All images of the study whose objects hold under the present settings.
    settings_key : str
        Hash of the settings behind those objects.
    force : bool
    workers : Workers
        Who fits, where something is to be fitted.

    Raises
    ------
    ModelError
        When the objects cannot be grouped, or do not fit the model of the current round.
    """
    trained = _trained(study)
    if trained is not None:
        return trained
    key = fingerprint("seed", settings_key, study.settings.seed)
    stored = None if force else _stored_groups(study, key, len(ready))
    # Beside a starter classifier, too: the groups are what a person names at a glance.
    groups = stored or _fit_groups(study, ready, key, workers)
    return starter_of(study) or groups or NothingToClassify()


def standing_classifier(study: Study) -> Classifier | None:
    """The classifier that gave the study its classes, as far as it still fits its features.

    The model of the current round, else the starter classifier where a network saw the
    objects, else the seed groups; None where there is none of them.

    Raises
    ------
    ModelError
        When the model of the current round is damaged.
    """
    features = study.features
    round_ = study.rounds.current()
    if round_ is not None:
        return trained_model(study, round_) if round_.features == features else None
    return starter_of(study) or stored_seed_groups(study)


def starter_of(study: Study) -> StarterClassifier | None:
    """The starter classifier, where the study's objects have the features that it knows.

    They have them where a network saw the images and the features are not the published ones.

    Raises
    ------
    ModelError
        When the installation is damaged.
    """
    if study.network is None or study.settings.describe != STARTER_FEATURES:
        return None
    return starter_classifier(study.features)


def stored_seed_groups(study: Study) -> SeedModel | None:
    """The groups in ``models/seed.json``, which gave the study its first classes.

    None where the file is missing or damaged, or its groups are of other features than the
    present [describe] settings give.
    """
    try:
        groups = SeedModel.from_dict(study.read_model("seed")["model"])
    except (KeyError, TypeError, ValueError, ModelError):
        return None
    return groups if groups.features == study.features else None


def seed_groups(study: Study) -> tuple[SeedModel, bool]:
    """The groups in ``models/seed.json``; fitted now where there are none for these settings.

    Groups that are fitted here lie under no key, as only a run of annotate knows how all
    objects were made: the next one, before any round of learning, fits its own. From the
    same objects those are the same groups, bit for bit.

    Parameters
    ----------
    study : Study
        Held for writing.

    Returns
    -------
    groups : SeedModel
    fitted : bool
        Whether they were fitted just now.

    Raises
    ------
    StudyError
        When the objects of an image are damaged.
    ModelError
        When there is no object at all.
    """
    stored = stored_seed_groups(study)
    if stored is not None and stored.settings == study.settings.seed:
        return stored, False
    features = study.features
    ready = []
    for image in study.images():
        described = described_image(study, image)
        if described is not None and described.table.fingerprint == features:
            ready.append(image)
    groups = _fit_groups(study, ready, _NO_KEY, Workers(1)) if ready else None
    if groups is None:
        raise ModelError(
            f"{study.path}: expected objects to group, got none; annotate at least one image"
        )
    return groups, True


def _trained(study: Study) -> TrainedModel | None:
    """The model of the current round, if there is a round."""
    round_ = study.rounds.current()
    if round_ is None:
        return None
    must_fit(round_, study.features)
    return trained_model(study, round_)


def _stored_groups(study: Study, key: str, images: int) -> SeedModel | None:
    """The groups in the study, if they hold; damaged ones are made again."""
    content = study.read_model("seed")
    try:
        if content["format"] != FORMAT or content["key"] != key or images >= 2 * content["images"]:
            return None
        return SeedModel.from_dict(content["model"])
    except (KeyError, TypeError, ValueError, ModelError):
        return None


def _fit_groups(
    study: Study, ready: Sequence[KnownImage], key: str, workers: Workers
) -> SeedModel | None:
    """Fit and store the groups; None where the images hold no object.

    In the order of the pixels' hashes, which does not depend on names or runs.
    """
    paths = tuple(study.objects_path(image) for image in sorted(ready, key=lambda i: i.id))
    ((_, outcome),) = workers.run(FitTask(study.settings.seed), [paths])
    if isinstance(outcome, Fault):
        if outcome.trace:
            raise RuntimeError(f"the groups could not be fitted: {outcome.trace}")
        raise ModelError(f"the groups could not be fitted: {outcome.reason}")
    objects, model = outcome.result
    if model is None:
        return None
    study.save_model(
        "seed",
        {
            "format": FORMAT,
            "key": key,
            "images": len(ready),
            "objects": objects,
            "model": model.to_dict(),
        },
    )
    return model


@dataclass(frozen=True, slots=True)
class FitTask:
    """Fit the groups; in a worker, which has the libraries and gives the memory back."""

    settings: SeedSettings

    def __call__(self, paths: Sequence[Path]) -> tuple[int, SeedModel | None]:
        """The number of objects in the files named, and their groups, if there are any."""
        each = max(1, _MOST_OBJECTS // max(1, len(paths)))
        table = concatenate([_sample(path, each) for path in paths])
        return len(table), fit_seed(table, self.settings) if len(table) else None


def _sample(path: Path, most: int) -> FeatureTable:
    """At most so many rows of an image's table, evenly over its objects."""
    try:
        table = unpack(path.read_bytes()).table
    except FileNotFoundError as error:
        raise ModelError(f"{path}: its objects were taken away; run again") from error
    if len(table) <= most:
        return table
    rows = np.linspace(0, len(table) - 1, most).astype(np.intp)
    return FeatureTable(
        table.image_ids[rows], table.object_ids[rows], table.X[rows], table.names, table.fingerprint
    )


def trained_model(study: Study, round_: Round) -> TrainedModel:
    """Read the model of a round.

    Raises
    ------
    ModelError
        When its files are missing, damaged, or not those that the round was stored with.
    """
    data, record = study.rounds.read_model(round_.index)
    model = load_model(data, record)
    if model.record["sha256"] != round_.model_sha256:
        raise ModelError(
            f"round {round_.index}: expected a model with sha256 {round_.model_sha256[:16]}…, "
            f"got {model.record['sha256'][:16]}…: the file is of another study or round; "
            "restore it from a backup, or run trephine retrain to make a new round"
        )
    return model


def must_fit(round_: Round, features: str) -> None:
    """Refuse objects that the model of a round cannot classify.

    Raises
    ------
    ModelError
    """
    if round_.features != features:
        raise ModelError(
            f"round {round_.index}: its model was trained on features {round_.features}, the "
            f"study has {features} now; run trephine retrain, or restore the former [describe] "
            "settings, then annotate again"
        )
