"""The classifier that names objects before anyone has labelled any, from what a network sees.

It is learned once, from fields with truth, and ships with the starter network. Its features
are the network's probabilities alone: they mean the same on every slide, where colours move
with the laboratory. So it also fits what another network saw.

::

    weights/starter_svm.skops    the machine
    weights/starter_svm.json     what it was made of
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from active_learning.classification import Classification
from active_learning.classifier.examples import Examples
from active_learning.classifier.model_file import load_model, save_model
from active_learning.classifier.training import TrainedModel, fit
from annotator.core.errors import ModelError
from annotator.core.hashing import fingerprint
from annotator.core.progress import OnStep, silent
from annotator.settings.annotation import DescribeSettings
from annotator.settings.learning import TrainSettings
from features import network
from features.table import FeatureTable
from features.table import fingerprint as table_fingerprint

STARTER_FEATURES = DescribeSettings("trephine")
"""Objects must be described so that the starter classifier can name them."""
STARTER_TRAINING = TrainSettings(fit_rows=4_000, search_rows=2_000)
"""How it is trained: few enough objects for a small file."""
SVM_FILE, RECORD_FILE = "starter_svm.skops", "starter_svm.json"

_FOLDER = "active_learning.network.weights"
_NAMES = tuple(column.name for column in network.COLUMNS)


@dataclass(frozen=True, slots=True, eq=False)
class StarterClassifier:
    """The starter classifier, for tables with these features.

    Parameters
    ----------
    model : TrainedModel
        On the columns of :mod:`features.network` alone.
    features : str
        Fingerprint of the tables that it is asked to name.
    """

    model: TrainedModel
    features: str

    @property
    def source(self) -> str:
        """``starter``: learned from other images; nobody has reviewed these."""
        return "starter"

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same table could get other classes."""
        return fingerprint("starter", self.model.fingerprint, self.features)

    def classify(self, table: FeatureTable) -> Classification:
        """Class code and confidence of each row.

        Raises
        ------
        ModelError
            When the table has other features than expected, or none of a network.
        """
        if table.fingerprint != self.features:
            raise ModelError(
                f"expected features {self.features}, got {table.fingerprint}: the objects were "
                "described under other settings; run annotate again"
            )
        return self.model.classify(network_columns(table))


def network_columns(table: FeatureTable) -> FeatureTable:
    """The columns of a table that a network gave.

    Parameters
    ----------
    table : FeatureTable
        M objects.

    Raises
    ------
    ModelError
        When it has no such columns.
    """
    if not set(_NAMES) <= set(table.names):
        raise ModelError(
            "expected objects that a segmentation network saw, got features without its "
            "probabilities; annotate with --network starter"
        )
    chosen = [table.names.index(name) for name in _NAMES]
    return replace(
        table,
        X=table.X[:, chosen].copy(),
        names=_NAMES,
        fingerprint=table_fingerprint(_NAMES, "starter classifier"),
    )


def train_starter_classifier(
    examples: Examples,
    settings: TrainSettings = STARTER_TRAINING,
    on_step: OnStep = silent,
    jobs: int | None = None,
) -> tuple[bytes, dict[str, Any]]:
    """Learn the starter classifier from objects with truth.

    Parameters
    ----------
    examples : Examples
        With all features of the preset ``trephine`` and a network's; from
        ``annotator.pipeline.starter_examples``.
    settings : TrainSettings
    on_step : callable
        Called with what is being done, how much of it is done, and how much there is.
    jobs : int or None
        Threads; None takes all processors.

    Returns
    -------
    archive : bytes
        For ``starter_svm.skops``.
    record : dict
        JSON values for ``starter_svm.json``.

    Raises
    ------
    ModelError
        When there are too few objects, or all are of one class.
    """
    narrowed = replace(examples, table=network_columns(examples.table))
    return save_model(fit(narrowed, settings, on_step, jobs))


def starter_classifier(features: str) -> StarterClassifier:
    """The starter classifier that ships with Trephine.

    Parameters
    ----------
    features : str
        Fingerprint of the tables that it is to name.

    Raises
    ------
    ModelError
        When a file of the package is missing or damaged.
    """
    return StarterClassifier(_shipped(), features)


@cache
def _shipped() -> TrainedModel:
    try:
        folder = files(_FOLDER)
        data = folder.joinpath(SVM_FILE).read_bytes()
        record = json.loads(folder.joinpath(RECORD_FILE).read_bytes())
    except (OSError, ModuleNotFoundError, ValueError) as error:
        raise ModelError(
            f"{SVM_FILE}: missing or damaged in this installation ({error}); install trephine again"
        ) from error
    return load_model(data, record)
