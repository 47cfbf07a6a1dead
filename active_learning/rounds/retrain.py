"""A new round: learn from the labels, judge it fairly, keep it, use it unless it is worse.

All figures are of patients that the model has not seen: a fixed slice of them is held
out from all rounds, the others are judged out of fold, tuning included. Nothing is stored
before the end, and then all of it or nothing: labels from corrected masks, the model, the
row of the round.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from active_learning.classifier.evaluation import ClassEvaluation, evaluate
from active_learning.classifier.examples import Examples, take_rows
from active_learning.classifier.folds import holdout
from active_learning.classifier.importance import permutation_importance
from active_learning.classifier.model_file import save_model
from active_learning.classifier.training import (
    CrossFit,
    TrainedModel,
    cross_fit,
    cross_validate,
    fit,
)
from active_learning.labels.label import cohen_kappa, disagreements
from active_learning.rounds.add_labels import NewLabels, TruthReport, collect_truth
from active_learning.rounds.compare import (
    HeldOutScores,
    ModelComparison,
    by_interval,
    compared,
    mean_cellularity,
    of_other_labels,
    on_same_labels,
)
from active_learning.rounds.current_classifier import standing_classifier, trained_model
from active_learning.rounds.dataset import (
    LABELS_FROM,
    REVIEWED,
    LearningSet,
    StudyObjects,
    gather,
    labelled_objects,
    learning_set,
)
from active_learning.rounds.label_errors import unseen_probabilities
from active_learning.rounds.published_baseline import published_table
from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import ModelError
from annotator.core.labels import Label
from annotator.core.progress import OnStep
from annotator.study.database import now
from annotator.study.patients import patients_of
from annotator.study.rounds import OutOfFold, Round, RoundFiles
from annotator.study.study import Study

# With fewer labelled patients all are needed to learn from.
_FEWEST_TO_HOLD_OUT = 5
# Reviewed labels that figures can rest on; with fewer, seed labels are counted in.
_FEWEST_REVIEWED = 10
_MOST_IMPORTANCES = 20
# A class of more than this share of the pixels of all drafts must have labels.
_MUCH = 0.01


@dataclass(frozen=True, slots=True)
class RetrainOptions:
    """Which labels a round learns from, and how.

    Parameters
    ----------
    labels_from : {"labels", "truth", "both"}
        People and seed groups, the corrected masks in ``truth/``, or all of them.
    author : str
        Who corrected the masks.
    published : bool
        Whether to judge the paper's classifier on the same folds.
    jobs : int or None
        Threads; None takes all processors. The result is the same for any number.
    """

    labels_from: str = "both"
    author: str = "expert"
    published: bool = True
    jobs: int | None = None

    def __post_init__(self) -> None:
        if self.labels_from not in LABELS_FROM:
            raise ValueError(f"expected one of {LABELS_FROM}, got {self.labels_from!r}")


def retrain(study: Study, options: RetrainOptions, on_step: OnStep) -> Round:
    """Make a round.

    Parameters
    ----------
    study : Study
    options : RetrainOptions
    on_step : callable
        Told what is being done, how much of it is done, and how much there is.

    Raises
    ------
    ModelError
        When there is too little to learn from; nothing was stored.
    StudyError
        When another run holds the study, or a file in it is damaged; nothing was stored.
    """
    with study.writing():
        return _Retraining(study, options, on_step).run()


def model_to_come(study: Study, options: RetrainOptions, on_step: OnStep) -> TrainedModel:
    """The model that :func:`retrain` would make now; nothing is judged or stored.

    Takes and raises the same as :func:`retrain`.
    """
    with study.writing():
        return _Retraining(study, options, on_step).model()


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    """Labelled objects to train on, and those of held-out patients, which are kept apart.

    Of the latter `held_out` are the reviewed ones, and `apart` all.
    """

    training: LearningSet
    held_out: LearningSet | None
    apart: LearningSet | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """The model, and the ones that judged its way of learning."""

    model: TrainedModel
    crossed: CrossFit


class _Retraining:
    """One round under way."""

    def __init__(self, study: Study, options: RetrainOptions, on_step: OnStep) -> None:
        self.study, self.options, self.on_step = study, options, on_step
        self.settings = study.settings.train
        self.index = study.rounds.next_index()
        self.parent = study.rounds.current()

    def model(self) -> TrainedModel:
        new, _ = self._truth()
        objects = labelled_objects(self.study, {label.image_id for label in new.labels})
        learned = learning_set(self.study, objects, self.options.labels_from, new.labels)
        examples = self._split(learned).training.examples
        return fit(examples, self.settings, self.on_step, self.options.jobs)

    def run(self) -> Round:
        new, truth = self._truth()
        objects = labelled_objects(self.study, {label.image_id for label in new.labels})
        learned = learning_set(self.study, objects, self.options.labels_from, new.labels)
        split = self._split(learned)
        fitted = self._fit(split.training)
        metrics, against = self._metrics(objects, split, fitted)
        metrics |= {"truth": truth and _truth_dict(truth), **_people(objects, new.labels)}
        # As it will be read back: lists for tuples.
        metrics = json.loads(json.dumps(metrics))
        round_ = self._round(split, fitted.model, metrics, against)
        archive, record = save_model(fitted.model, metrics)
        out_of_fold = _kept(split.training, fitted.crossed.probabilities)
        files = RoundFiles(archive, record, out_of_fold, _held_out(split, fitted.model))
        self.study.rounds.add(round_, files, new.labels, new.masks)
        return round_

    def _truth(self) -> tuple[NewLabels, TruthReport | None]:
        """What the corrected masks say, where they are asked."""
        if self.options.labels_from == "labels":
            return NewLabels(self.index), None
        return collect_truth(
            self.study,
            self.options.author,
            self.index,
            self.study.settings.labels,
            standing_classifier(self.study),
        )

    def _split(self, learned: LearningSet) -> _Split:
        """Keep a fixed slice of the patients apart, once there are enough of them."""
        groups = learned.examples.groups
        share = self.study.settings.patients.held_out
        out = holdout(groups, share, self.settings.random_state)
        if len(np.unique(groups)) < _FEWEST_TO_HOLD_OUT or not out.any() or out.all():
            return _Split(learned, None)
        reviewed = out & learned.reviewed
        held_out = learned.take(reviewed) if reviewed.any() else None
        return _Split(learned.take(~out), held_out, learned.take(out))

    def _fit(self, training: LearningSet) -> _Fitted:
        examples, jobs = training.examples, self.options.jobs
        crossed = cross_fit(examples, self.settings, self.on_step, jobs)
        return _Fitted(fit(examples, self.settings, self.on_step, jobs), crossed)

    def _metrics(
        self, objects: StudyObjects, split: _Split, fitted: _Fitted
    ) -> tuple[dict[str, Any], ModelComparison | None]:
        """All figures of the round as JSON values, and how it compares with the current one."""
        training, crossed = split.training, fitted.crossed
        rows = _to_judge(training)
        out_of_fold = HeldOutScores(training, crossed.probabilities).take(rows)
        held_out = None
        if split.held_out is not None:
            probabilities = fitted.model.probabilities(split.held_out.examples.table)
            held_out = HeldOutScores(split.held_out, probabilities)
        whole = self._evaluated(out_of_fold, (*_judged_on(training, rows), *crossed.notes()))
        against = self._against(held_out, out_of_fold, whole)
        importance = permutation_importance(
            training.examples, crossed, self.settings, self.on_step, self.options.jobs
        )
        metrics = {
            "objects": len(training),
            "patients": len(np.unique(training.examples.groups)),
            "unknown_patients": _unknown_patients(objects, training),
            "images": len({label.image_id for label in training.labels}),
            "classes": _by_class(training.examples),
            "lacking": list(lacking_classes(self.study, fitted.model, training)),
            "sources": dict(sorted(Counter(label.source for label in training.labels).items())),
            "out_of_fold": whole.to_dict(),
            "held_out": held_out and self._evaluated(held_out).to_dict(),
            "published": self._published(objects, training, rows),
            "against": against and against.to_dict(),
            "importance": [one.to_dict() for one in importance[:_MOST_IMPORTANCES]],
            "cellularity": self._cellularity(fitted.model),
            "notes": [*training.notes, *fitted.model.notes],
        }
        return metrics, against

    def _evaluated(self, judged: HeldOutScores, notes: Sequence[str] = ()) -> ClassEvaluation:
        examples = judged.learned.examples
        return evaluate(examples.codes, judged.probabilities, examples.groups, self.settings, notes)

    def _against(
        self, held_out: HeldOutScores | None, out_of_fold: HeldOutScores, whole: ClassEvaluation
    ) -> ModelComparison | None:
        if self.parent is None:
            return None
        before = ClassEvaluation.from_dict(self.parent.metrics["out_of_fold"])
        try:
            old = trained_model(self.study, self.parent)
        except ModelError:
            # Its files are gone or damaged: its figures are still known.
            return self._by_figures(out_of_fold, whole, before)
        comparison = None
        if self.parent.features == out_of_fold.learned.examples.table.fingerprint:
            comparison = compared(
                held_out, out_of_fold, old, self.parent.groups, self.settings
            ) or self._on_same_labels(out_of_fold)
        return comparison or self._by_figures(out_of_fold, whole, before)

    def _on_same_labels(self, out_of_fold: HeldOutScores) -> ModelComparison | None:
        assert self.parent is not None
        try:
            before = unseen_probabilities(self.study, self.parent, out_of_fold.learned)
        except ModelError:
            return None
        return on_same_labels(out_of_fold, before, self.settings)

    def _by_figures(
        self, out_of_fold: HeldOutScores, whole: ClassEvaluation, before: ClassEvaluation
    ) -> ModelComparison:
        assert self.parent is not None
        was_reviewed = any(source in REVIEWED for source in self.parent.metrics["sources"])
        if out_of_fold.learned.reviewed.any() and not was_reviewed:
            return of_other_labels(whole, before)
        return by_interval(whole, before)

    def _published(
        self, objects: StudyObjects, training: LearningSet, rows: np.ndarray[Any, Any]
    ) -> dict[str, Any] | None:
        """Figures of the paper's classifier on the same folds; None where it is not asked."""
        if not self.options.published:
            return None
        table = published_table(self.study, objects, self.on_step)
        if table is None:
            return None
        row_of = objects.rows()
        rows_of_labels = np.array([row_of[label.key] for label in training.labels], np.intp)
        seen = training.examples
        examples = Examples(take_rows(table, rows_of_labels), seen.codes, seen.groups)
        settings = replace(self.settings, classifier="bambo")

        def report_progress(what: str, done: int, total: int) -> None:
            self.on_step(f"published: {what}", done, total)

        probabilities, _ = cross_validate(examples, settings, report_progress, self.options.jobs)
        return self._evaluated(HeldOutScores(training, probabilities).take(rows)).to_dict()

    def _cellularity(self, model: TrainedModel) -> dict[str, Any] | None:
        """Mean over the held-out images, labelled or not; over all where none is held out."""
        study = self.study
        images = study.images()
        patients = patients_of(images, study.settings.patients, study.path)
        groups = np.array([patients[image.id] for image in images])
        held_out = holdout(groups, study.settings.patients.held_out, self.settings.random_state)
        kept_out = [image for image, is_out in zip(images, held_out, strict=True) if is_out]
        chosen = kept_out or list(images)
        try:
            objects = gather(study, chosen)
        except ModelError:
            return None
        ids = [image.id for image in objects.images]
        score = mean_cellularity(objects, model, ids, self.settings)
        return None if score is None else asdict(score)

    def _weights(self, split: _Split) -> tuple[str, ...]:
        """Of the proposals of all images that it learned from."""
        return self.study.object_runs.weights({label.image_id for label in split.training.labels})

    def _round(
        self,
        split: _Split,
        model: TrainedModel,
        metrics: dict[str, Any],
        against: ModelComparison | None,
    ) -> Round:
        verdict = against.comparison.verdict if against else "first"
        if metrics["lacking"] and verdict != "worse":
            verdict = "incomplete"
        chosen = self.study.settings
        return Round(
            index=self.index,
            parent=self.parent.index if self.parent else None,
            time=now(),
            labels_from=self.options.labels_from,
            verdict=verdict,
            adopted=verdict not in ("worse", "incomplete"),
            features=model.features,
            model_sha256=model.record["sha256"],
            weights_sha256=" ".join(self._weights(split)) or None,
            settings={
                name: asdict(getattr(chosen, name)) for name in ("train", "labels", "patients")
            },
            classes=list(CLASS_NAMES),
            groups=sorted(set(split.training.examples.groups.tolist())),
            queried=list(self.study.rounds.queried(self.parent.index if self.parent else 0)),
            metrics=metrics,
        )


def lacking_classes(study: Study, model: TrainedModel, training: LearningSet) -> tuple[str, ...]:
    """Classes that the drafts of a study show and a model cannot name: it has no labels of them.

    Such a model gives each of their objects another class, and its own labels cannot show it.
    A class of which people looked at objects, and called all of them something else, is one
    that the drafts are wrong about.
    """
    known = {CLASS_NAMES[code] for code in model.pipeline.classes_.tolist()}
    if len(known) == len(CLASS_NAMES):
        return ()
    areas: Counter[str] = Counter()
    for image in study.images():
        annotation = study.rough.annotation(image)
        areas.update(annotation.areas_px if annotation else {})
    whole = sum(areas[name] for name in CLASS_NAMES)
    judged = known | _classes_looked_at(study, training)
    return tuple(name for name in CLASS_NAMES if name not in judged and areas[name] > _MUCH * whole)


def _classes_looked_at(study: Study, training: LearningSet) -> set[str]:
    """Classes that the classifier in use gives to objects which people reviewed."""
    try:
        standing = standing_classifier(study)
    except ModelError:
        # Its file is damaged: what it gave to whom is not known any more.
        return set()
    reviewed = training.reviewed
    if standing is None or not reviewed.any():
        return set()
    seen = take_rows(training.examples.table, np.flatnonzero(reviewed))
    return {CLASS_NAMES[code] for code in np.unique(standing.classify(seen).codes).tolist()}


def _to_judge(training: LearningSet) -> np.ndarray[Any, Any]:
    """Labels that figures rest on: the reviewed ones where there are enough, (M,) bool."""
    reviewed = training.reviewed
    codes = training.examples.codes[reviewed]
    if len(codes) >= _FEWEST_REVIEWED and len(np.unique(codes)) > 1:
        return reviewed
    return np.ones(len(training), np.bool_)


def _unknown_patients(objects: StudyObjects, training: LearningSet) -> int:
    patients = set(training.examples.groups.tolist())
    return len(patients & {image.name for image in objects.images})


def _judged_on(training: LearningSet, rows: np.ndarray[Any, Any]) -> tuple[str, ...]:
    if training.reviewed[rows].all():
        return ()
    return (
        "measured against labels of seed groups, which nobody has looked at one by one: the "
        "figures say how well the groups are told apart, not how right they are",
    )


def _by_class(examples: Examples) -> dict[str, int]:
    return dict(zip(CLASS_NAMES, examples.counts().tolist(), strict=True))


def _held_out(split: _Split, model: TrainedModel) -> OutOfFold | None:
    """So that nobody has to load the model to know them."""
    if split.apart is None:
        return None
    return _kept(split.apart, model.probabilities(split.apart.examples.table))


def _kept(learned: LearningSet, probabilities: Floats) -> OutOfFold:
    return OutOfFold(learned.examples.table.image_ids, learned.mask_keys, probabilities)


def _truth_dict(truth: TruthReport) -> dict[str, Any]:
    return {
        "images": len(truth.rows),
        "labelled": sum(row.labelled for row in truth.rows),
        "mixed": sum(row.mixed for row in truth.rows),
        "unlabelled": sum(row.unlabelled for row in truth.rows),
        "flagged": {row.image: list(row.flagged) for row in truth.rows if row.flagged},
        "new": truth.added.added,
        "without_objects": list(truth.without_objects),
    }


def _people(objects: StudyObjects, new: Sequence[Label]) -> dict[str, Any]:
    """How far people agree where two labelled the same objects."""
    labels = (*objects.labels, *new)
    return {
        "agreement": [asdict(one) for one in cohen_kappa(labels)],
        "disagreements": len(disagreements(labels)),
    }
