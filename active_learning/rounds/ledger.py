"""The ledger of rounds: one row each, whether more of them pay, and the curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from active_learning.classifier.evaluation import ClassEvaluation, evaluate
from active_learning.classifier.folds import holdout
from active_learning.query.stopping import RoundFigures, Verdict, is_paying
from active_learning.rounds.current_classifier import trained_model
from active_learning.rounds.dataset import LearningSet, labelled_objects, learning_set
from annotator.core.errors import ModelError
from annotator.core.files import write_atomic
from annotator.core.intervals import Estimate
from annotator.pictures.line_plots import PlottedLine, draw
from annotator.study.rounds import Round
from annotator.study.study import Study


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What stands in the ledger of one round.

    Parameters
    ----------
    index : int
    time, labels_from, verdict : str
    current, adopted : bool
    images, patients, objects : int
        That it learned from.
    out_of_fold : ClassEvaluation
    held_out : ClassEvaluation or None
        On all held-out labels of today; on those of its own day where its model is gone.
    published : Estimate or None
        Macro-F1 of the paper's classifier on the same folds.
    cellularity : Estimate or None
        Mean of the held-out images.
    queried : int
        Images that had been asked for.
    """

    index: int
    time: str
    labels_from: str
    verdict: str
    current: bool
    adopted: bool
    images: int
    patients: int
    objects: int
    out_of_fold: ClassEvaluation
    held_out: ClassEvaluation | None
    published: Estimate | None
    cellularity: Estimate | None
    queried: int

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ledger:
    """All rounds of a study.

    Parameters
    ----------
    rows : tuple of LedgerRow
    verdict : Verdict
        Whether more rounds pay.
    measured_on : {"held-out patients", "out-of-fold labels"}
        What the verdict rests on.
    """

    rows: tuple[LedgerRow, ...]
    verdict: Verdict
    measured_on: str

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "rounds": [row.to_dict() for row in self.rows],
            "verdict": asdict(self.verdict),
            "measured_on": self.measured_on,
        }


def ledger(study: Study) -> Ledger:
    """Read the rounds, and measure all of them on one and the same held-out labels.

    Raises
    ------
    StudyError
        When a file of the study is damaged.
    """
    rounds = study.rounds.all()
    current = study.rounds.current()
    held_out = _held_out(study) if rounds else None
    rows = tuple(
        _row(
            round_,
            current is not None and round_.index == current.index,
            _measured(study, round_, held_out),
        )
        for round_ in rounds
    )
    # Rounds that were set aside changed nothing for anybody.
    used = [row for row in rows if row.adopted]
    on_held_out = bool(used) and all(row.held_out and row.held_out.groups > 1 for row in used)
    figures = [
        RoundFigures(
            row.held_out.macro_f1 if on_held_out and row.held_out else row.out_of_fold.macro_f1,
            row.cellularity,
        )
        for row in used
    ]
    measured_on = "held-out patients" if on_held_out else "out-of-fold labels"
    return Ledger(rows, is_paying(figures), measured_on)


def save_curve(study: Study, rounds: Ledger) -> Path | None:
    """Draw the curve into ``report/rounds.png``; None where there is no round."""
    if not rounds.rows:
        return None
    path = study.path / "report" / "rounds.png"
    panels = [("macro-F1", _lines(rounds, "macro_f1")), ("accuracy", _lines(rounds, "accuracy"))]
    write_atomic(path, draw("Rounds of learning", "round", panels))
    return path


def _lines(rounds: Ledger, figure: str) -> list[PlottedLine]:
    kinds = (("held out", "held_out"), ("out of fold", "out_of_fold"))
    lines = []
    for name, field in kinds:
        points = [
            (row.index, getattr(getattr(row, field), figure))
            for row in rounds.rows
            if getattr(row, field) is not None
        ]
        if points:
            lines.append(PlottedLine.of_estimates(name, points))
    published = [(row.index, row.published) for row in rounds.rows if row.published is not None]
    if published and figure == "macro_f1":
        lines.append(PlottedLine.of_estimates("published classifier", published))
    return lines


def _row(round_: Round, current: bool, held_out: ClassEvaluation | None) -> LedgerRow:
    metrics = round_.metrics
    published, cellularity = metrics["published"], metrics["cellularity"]
    return LedgerRow(
        round_.index,
        round_.time,
        round_.labels_from,
        round_.verdict,
        current,
        round_.adopted,
        metrics["images"],
        metrics["patients"],
        metrics["objects"],
        ClassEvaluation.from_dict(metrics["out_of_fold"]),
        held_out,
        None if published is None else ClassEvaluation.from_dict(published).macro_f1,
        None if cellularity is None else Estimate(**cellularity),
        len(round_.queried),
    )


def _held_out(study: Study) -> LearningSet | None:
    """All reviewed labels of held-out patients today."""
    try:
        learned = learning_set(study, labelled_objects(study), "both")
    except ModelError:
        return None
    share, state = study.settings.patients.held_out, study.settings.train.random_state
    chosen = holdout(learned.examples.groups, share, state) & learned.reviewed
    return learned.take(chosen) if chosen.any() else None


def _measured(study: Study, round_: Round, held_out: LearningSet | None) -> ClassEvaluation | None:
    """A round on the held-out labels of today that it has not learned from."""
    stored: Mapping[str, Any] | None = round_.metrics["held_out"]
    known = None if stored is None else ClassEvaluation.from_dict(stored)
    if held_out is None:
        return known
    unseen = held_out.take(~np.isin(held_out.examples.groups, list(round_.groups)))
    try:
        model = trained_model(study, round_)
        if not len(unseen) or unseen.examples.table.fingerprint != round_.features:
            return known
        probabilities = model.probabilities(unseen.examples.table)
    except ModelError:
        return known
    examples = unseen.examples
    return evaluate(examples.codes, probabilities, examples.groups, study.settings.train)
