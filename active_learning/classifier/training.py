"""A classifier fitted on labelled objects, and how it fares on groups it has not seen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from active_learning.classification import Classification
from active_learning.classifier.archive import dump_pipeline
from active_learning.classifier.decision import (
    by_libsvm,
    by_matrices,
    needs_most_of_the_kernel,
    predict_probabilities,
)
from active_learning.classifier.evaluation import ClassEvaluation, evaluate
from active_learning.classifier.examples import (
    CLASSES,
    Examples,
    Index,
    subsample,
    take_rows,
)
from active_learning.classifier.folds import Folds, inner_folds, outer_folds
from active_learning.classifier.svm import (
    SvmParameters,
    calibrated,
    finite,
    machine,
    rows_to_fit,
    scaler,
)
from active_learning.classifier.tuning import Tried, cores, in_threads, tune
from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import ModelError
from annotator.core.hashing import short_hash
from annotator.core.objects import freeze
from annotator.core.progress import OnStep, silent
from annotator.settings.learning import TrainSettings
from features.table import FeatureTable

# Raised whenever the same labels would give another model than before.
VERSION = 1
# Fewer labels than this hold no pattern that could be told from chance.
FEWEST = 10


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A classifier made from labels.

    Parameters
    ----------
    pipeline : scikit-learn Pipeline
        Fitted; takes (M, F) float64 with NaN.
    archive : bytes
        The pipeline as :func:`active_learning.classifier.archive.dump_pipeline` writes it.
    features : str
        Fingerprint of the tables that it fits.
    record : mapping
        What made it, as JSON values.
    """

    pipeline: Any
    archive: bytes
    features: str
    record: Mapping[str, Any]

    @property
    def source(self) -> str:
        """``model``: trained on labels."""
        return "model"

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of a sha256 over all that shapes a classification."""
        return short_hash(f"{VERSION} {self.features} ", self.archive)

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be done as it should, in words."""
        return tuple(self.record["notes"])

    def classify(self, table: FeatureTable) -> Classification:
        """Name the class of each object of a table; raises like :meth:`probabilities`."""
        probabilities = self.probabilities(table)
        codes = probabilities.argmax(axis=1).astype(np.uint8)
        return Classification(codes, probabilities.max(axis=1, initial=0.0), probabilities)

    def probabilities(self, table: FeatureTable) -> Floats:
        """Calibrated probability of each class, (M, 4) float64; 0 for one without labels.

        Raises
        ------
        ModelError
            When the table has other features than the model was trained on.
        """
        if table.fingerprint != self.features:
            raise ModelError(
                f"expected features {self.features}, got {table.fingerprint}: the model was "
                "trained on other features; run retrain, or restore the [describe] settings"
            )
        result = np.zeros((len(table), CLASSES))
        # predict_proba takes no empty table, and has columns for the classes that were learned.
        if len(table):
            X = finite(table.X)
            result[:, self.pipeline.classes_] = predict_probabilities(self.pipeline, X)
        return result


def fit(
    examples: Examples,
    settings: TrainSettings,
    on_step: OnStep = silent,
    jobs: int | None = None,
) -> TrainedModel:
    """Train a classifier: tune, calibrate, fit.

    The same examples (in any order) and settings give the same model, bit for bit, on
    any number of threads. A class with a single label is left out, and the model's
    notes say so.

    Parameters
    ----------
    examples : Examples
    settings : TrainSettings
    on_step : callable
        Called with what is being done, how much of it is done, and how much there is.
    jobs : int or None
        Threads; None takes all processors.

    Raises
    ------
    ModelError
        When there are too few labels, or all are of one class.
    """
    used, notes = _usable(examples.in_order())
    workers = cores() if jobs is None else jobs
    with _quiet():
        return _fit(used, settings, notes, on_step, workers)


def _usable(examples: Examples) -> tuple[Examples, list[str]]:
    """The examples of classes that can be learned, and what was left out."""
    counts = examples.counts()
    counts_text = ", ".join(f"{n} {count}" for n, count in zip(CLASS_NAMES, counts, strict=True))
    if len(examples) < FEWEST:
        raise ModelError(
            f"expected {FEWEST} labelled objects or more, got {len(examples)} ({counts_text}); "
            "label more objects, then train again"
        )
    if (counts > 1).sum() < 2:
        raise ModelError(
            f"expected two labels or more of at least two classes, got {counts_text}; "
            "label objects of another class, then train again"
        )
    notes = [
        f"{CLASS_NAMES[code]}: 1 label is too few to learn from and was left out; label more"
        for code in np.flatnonzero(counts == 1)
    ]
    return (examples.take(counts[examples.codes] > 1) if notes else examples), notes


def _fit(
    examples: Examples, settings: TrainSettings, notes: list[str], on_step: OnStep, jobs: int
) -> TrainedModel:
    tried = tune(examples, settings, on_step, jobs)
    choice = tried[0].choice if tried else SvmParameters()
    used = examples.take(subsample(examples.codes, rows_to_fit(settings), settings.random_state))
    folds = inner_folds(used.codes, used.groups, settings.inner_folds)
    on_step("fitting", 0, 1)
    pipeline = _pipeline(used, choice, folds, settings)
    on_step("fitting", 1, 1)
    notes = [*notes, *folds.notes, *_unconverged(pipeline)]
    return _model(pipeline, _record(examples, settings, tried, notes, len(used)))


def _pipeline(
    examples: Examples, choice: SvmParameters, folds: Folds, settings: TrainSettings
) -> Any:
    """Scaler and calibrated machine, fitted.

    The scaler is in front of the calibration, not inside: it sees features alone, no
    classes, and would otherwise be fitted once a fold for nothing.
    """
    X = finite(examples.table.X)
    pipeline = scaler(settings, examples.table.names)
    scaled = pipeline.fit_transform(X)
    svc = machine(choice, scaled.shape[1], settings)
    at_once = needs_most_of_the_kernel(svc, scaled, examples.codes, examples.weights)
    last = calibrated(by_matrices(svc, at_once), folds.splits())
    last.fit(scaled, examples.codes, examples.weights)
    # The row numbers of the folds are no part of the model, nor is how it was computed.
    last.set_params(cv=None, estimator=svc)
    (part,) = last.calibrated_classifiers_
    part.estimator = by_libsvm(part.estimator)
    pipeline.steps.append(("calibrated", last))
    return pipeline


def _unconverged(pipeline: Any) -> list[str]:
    svc = pipeline.steps[-1][1].calibrated_classifiers_[0].estimator
    if not svc.fit_status_:
        return []
    return [
        "the published classifier did not converge on these features and was stopped: "
        "it is used as it was by then"
    ]


def _model(pipeline: Any, record: dict[str, Any]) -> TrainedModel:
    archive = dump_pipeline(pipeline)
    record |= {"sha256": hashlib.sha256(archive).hexdigest()}
    return TrainedModel(pipeline, archive, record["features"], record)


def _record(
    examples: Examples,
    settings: TrainSettings,
    tried: tuple[Tried, ...],
    notes: list[str],
    fitted: int,
) -> dict[str, Any]:
    """What a model was made of, as JSON values."""
    from importlib.metadata import version

    return {
        "version": VERSION,
        "features": examples.table.fingerprint,
        "names": list(examples.table.names),
        "settings": asdict(settings),
        "tried": [trial.to_dict() for trial in tried],
        "labels": {
            "sha256": examples.sha256(),
            "objects": len(examples),
            "fitted": fitted,
            "groups": len(np.unique(examples.groups)),
            "classes": dict(zip(CLASS_NAMES, examples.counts().tolist(), strict=True)),
        },
        "versions": {name: version(name) for name in ("numpy", "scikit-learn", "skops")},
        "notes": notes,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """Stands in where a training set holds nothing to learn: each class as often as labelled.

    Parameters
    ----------
    shares : (4,) float64
    """

    shares: Floats

    def probabilities(self, table: FeatureTable) -> Floats:
        """The same for each object, (M, 4) float64.

        Examples
        --------
        >>> ids = np.array([1, 2], np.int32)
        >>> table = FeatureTable(np.array(["a", "a"]), ids, np.zeros((2, 1)), ("x",), "f")
        >>> Prior(np.array([0.0, 0.25, 0.75, 0.0])).probabilities(table).tolist()
        [[0.0, 0.25, 0.75, 0.0], [0.0, 0.25, 0.75, 0.0]]
        """
        return np.tile(self.shares, (len(table), 1))


@dataclass(frozen=True, slots=True, eq=False)
class CrossFit:
    """One model a part, fitted on all other parts.

    Parameters
    ----------
    folds : Folds
    models : tuple of TrainedModel or Prior
    probabilities : (M, 4) float64
        Of each object, from the model that has not seen its group.
    """

    folds: Folds
    models: tuple[TrainedModel | Prior, ...]
    probabilities: Floats

    def notes(self) -> tuple[str, ...]:
        """What limits figures made from it, each once."""
        notes = list(self.folds.notes)
        for part, model in enumerate(self.models, 1):
            own = model.notes if isinstance(model, TrainedModel) else (_NOTHING,)
            notes += [f"fold {part} of {self.folds.count}: {note}" for note in own]
        return tuple(notes)


_NOTHING = "too few labels to learn from without the held-out groups; the shares of the classes"


def cross_fit(
    examples: Examples,
    settings: TrainSettings,
    on_step: OnStep = silent,
    jobs: int | None = None,
) -> CrossFit:
    """Fit one model a part of the groups, tuned and calibrated on the other parts alone.

    So that the figures are of the whole procedure, tuning included, and no object is
    judged by a model that saw its group. The parts depend on classes and groups only:
    another feature set or classifier gets the same ones.

    Raises
    ------
    ModelError
        When there are too few labels, or all are of one class.
    """
    # Before any work: raises where all labels together are too few.
    _usable(examples)
    folds = outer_folds(examples.codes, examples.groups, settings.folds)

    def fit_fold(split: tuple[Index, Index]) -> tuple[TrainedModel | Prior, Floats]:
        train, test = split
        model = _fit_or_prior(examples.take(train).in_order(), settings)
        return model, model.probabilities(take_rows(examples.table, test))

    splits = folds.splits()
    workers = cores() if jobs is None else jobs
    with _quiet():
        done = in_threads(
            fit_fold, splits, workers, lambda n: on_step("held-out groups", n, len(splits))
        )
    probabilities = np.zeros((len(examples), CLASSES))
    for (_, test), (_, predicted) in zip(splits, done, strict=True):
        probabilities[test] = predicted
    return CrossFit(folds, tuple(model for model, _ in done), freeze(probabilities))


def _fit_or_prior(examples: Examples, settings: TrainSettings) -> TrainedModel | Prior:
    try:
        used, notes = _usable(examples)
    except ModelError:
        return Prior(examples.counts() / max(len(examples), 1))
    return _fit(used, settings, notes, silent, 1)


def cross_validate(
    examples: Examples,
    settings: TrainSettings,
    on_step: OnStep = silent,
    jobs: int | None = None,
) -> tuple[Floats, ClassEvaluation]:
    """Probabilities of each object from a model without its group, and how good they are.

    Parameters
    ----------
    examples : Examples
        M labelled objects.
    settings : TrainSettings
    on_step : callable
        Called with what is being done, how much of it is done, and how much there is.
    jobs : int or None
        Threads; None takes all processors.

    Returns
    -------
    probabilities : (M, 4) float64
    evaluation : ClassEvaluation

    Raises
    ------
    ModelError
        When there are too few labels, or all are of one class.
    """
    fitted = cross_fit(examples, settings, on_step, jobs)
    probabilities = fitted.probabilities
    return probabilities, evaluate(
        examples.codes, probabilities, examples.groups, settings, fitted.notes()
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """One BLAS thread, whose sums are the same every time; notes instead of warnings."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
