"""A new model compared with the one before it, and the mean cellularity that it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learning.classifier.evaluation import ClassEvaluation, Comparison, compare
from active_learning.classifier.training import TrainedModel
from active_learning.rounds.dataset import LearningSet, StudyObjects
from annotator.core.arrays import Floats
from annotator.core.class_areas import cellularities
from annotator.core.classes import CELL, FAT
from annotator.core.intervals import Estimate
from annotator.settings.learning import TrainSettings

# With fewer patients an interval says next to nothing.
FEWEST_GROUPS = 3


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutScores:
    """Labelled objects, and their probabilities from a new model that has not seen their patients.

    Parameters
    ----------
    learned : LearningSet
        M objects.
    probabilities : (M, 4) float64
    """

    learned: LearningSet
    probabilities: Floats

    def take(self, rows: NDArray[np.bool_]) -> HeldOutScores:
        """Some of the objects.

        Parameters
        ----------
        rows : (M,) bool
        """
        return HeldOutScores(self.learned.take(rows), self.probabilities[rows])

    @property
    def groups(self) -> int:
        """How many patients there are."""
        return len(np.unique(self.learned.examples.groups))


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """A comparison with the current model, and what it rests on, in words."""

    comparison: Comparison
    on: str

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {**asdict(self.comparison), "on": self.on}


def compared(
    held_out: HeldOutScores | None,
    out_of_fold: HeldOutScores,
    old: TrainedModel,
    old_groups: Sequence[str],
    settings: TrainSettings,
) -> ModelComparison | None:
    """Compare with the current model on patients that neither has learned from.

    The held-out ones where there are three or more, else those that are new since the
    current model was made; None where there are too few of them, too.

    Parameters
    ----------
    held_out : HeldOutScores or None
    out_of_fold : HeldOutScores
    old : TrainedModel
    old_groups : sequence of str
        Patients that it was trained on.
    settings : TrainSettings
    """
    candidates = [("held-out patients", held_out), ("patients new since then", out_of_fold)]
    for what, judged in candidates:
        if judged is None:
            continue
        unseen = judged.take(~np.isin(judged.learned.examples.groups, list(old_groups)))
        if len(unseen.learned) and unseen.groups >= FEWEST_GROUPS:
            examples = unseen.learned.examples
            before = old.probabilities(examples.table)
            comparison = compare(
                examples.codes, unseen.probabilities, before, examples.groups, settings
            )
            return ModelComparison(comparison, f"{unseen.groups} {what}")
    return None


def on_same_labels(
    out_of_fold: HeldOutScores, before: Floats, settings: TrainSettings
) -> ModelComparison | None:
    """Compare with the current model on the same objects and the same labels.

    Each object is named by models that had not seen its patient, of the new round and of the
    current one. Labels that somebody reviewed go before those of seed groups: where there are
    any, they alone count.

    Parameters
    ----------
    out_of_fold : HeldOutScores
        M objects.
    before : (M, 4) float64
        What models of the current round made of them; NaN where all had seen the patient.
    settings : TrainSettings

    Returns
    -------
    ModelComparison or None
        None where there are fewer than three patients to compare on.
    """
    rows: NDArray[np.bool_] = np.all(np.isfinite(before), axis=1)
    reviewed = rows & out_of_fold.learned.reviewed
    if reviewed.any():
        rows = reviewed
    judged = out_of_fold.take(rows)
    if not len(judged.learned) or judged.groups < FEWEST_GROUPS:
        return None
    examples = judged.learned.examples
    comparison = compare(
        examples.codes, judged.probabilities, before[rows], examples.groups, settings
    )
    return ModelComparison(comparison, f"the same {len(examples.codes)} objects and labels")


def of_other_labels(new: ClassEvaluation, old: ClassEvaluation) -> ModelComparison:
    """Figures by labels that people reviewed, beside figures by seed groups: no verdict.

    Seed groups agree with the model that learned from them better than any truth can.
    """
    value, before = new.macro_f1.known, old.macro_f1.known
    comparison = Comparison(value, before, Estimate(value - before), "level")
    return ModelComparison(
        comparison, "reviewed labels here, seed groups there: no fair comparison"
    )


def by_interval(new: ClassEvaluation, old: ClassEvaluation) -> ModelComparison:
    """Compare out-of-fold figures of two rounds, where no patient is new to the older one.

    The labels may differ, so that only a figure beyond the other's interval counts.
    """
    low, high = old.macro_f1.low, old.macro_f1.high
    value, before = new.macro_f1.known, old.macro_f1.known
    verdict = "level"
    if low is not None and value < low:
        verdict = "worse"
    if high is not None and value > high:
        verdict = "better"
    comparison = Comparison(value, before, Estimate(value - before), verdict)
    return ModelComparison(comparison, "the out-of-fold figures of both rounds")


def mean_cellularity(
    objects: StudyObjects, model: TrainedModel, image_ids: Sequence[str], settings: TrainSettings
) -> Estimate | None:
    """Mean cell / (cell + fat) by the areas of the objects of some images, 0..1.

    With its 95 % interval, by a bootstrap over the images. An estimate: overlapping
    objects count twice, and pixels without an object not at all.

    Parameters
    ----------
    objects : StudyObjects
    model : TrainedModel
    image_ids : sequence of str
        Of these images alone; one without any cell or fat has no cellularity.
    settings : TrainSettings

    Returns
    -------
    Estimate or None
        None where no image has a cellularity; no interval for a single image.

    References
    ----------
    Efron, "Bootstrap methods: another look at the jackknife", Ann. Statist. 7 (1979) 1-26.
    """
    codes = model.classify(objects.table).codes
    values = []
    for image_id, rows in objects.image_rows().items():
        if image_id not in image_ids:
            continue
        cell, fat = (objects.areas[rows][codes[rows] == code].sum() for code in (CELL, FAT))
        values.append(cellularities(cell, fat))
    found = np.array(values)
    found = found[np.isfinite(found)]
    if not len(found):
        return None
    mean = float(found.mean())
    if len(found) < 2:
        return Estimate(mean)
    generator = np.random.default_rng(settings.random_state)
    drawn = generator.integers(0, len(found), (settings.resamples, len(found)))
    return Estimate.of_draws(mean, found[drawn].mean(axis=1))
