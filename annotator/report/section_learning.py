"""The section on learning: the rounds, the model in use, the simulation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from active_learning.classifier.evaluation import ClassEvaluation
from active_learning.rounds.ledger import Ledger, LedgerRow
from annotator.core.classes import CLASS_NAMES
from annotator.core.csv import read_records
from annotator.core.errors import StudyError, UsageError
from annotator.core.patient_counts import of_patients, over_patients
from annotator.pictures.line_plots import PlottedLine
from annotator.report.figures import confusion, importance, lines, reliability
from annotator.report.page import Block, Chart, Charts, Heading, Note, PageTable
from annotator.report.text import count, interval, number, sentence
from annotator.study.rounds import Round

_FEATURES = 15
_CURVE_COLUMNS = ("strategy", "round", "images", "macro_f1")
_STRATEGIES: Mapping[str, str] = {
    "trephine": "chosen",
    "committee": "chosen by committee",
    "random": "at random",
}


def learning_blocks(found: Ledger, rounds: Sequence[Round]) -> tuple[Block, ...]:
    """The table of rounds, the learning curve, and the figures of the model in use."""
    if not found.rows:
        return (
            Note(
                "No round of learning yet: correct some masks (trephine push and pull, or PNG "
                "files in truth/) and run trephine retrain STUDY.",
                "missing",
            ),
        )
    return tuple(_blocks(found, rounds))


def _blocks(found: Ledger, rounds: Sequence[Round]) -> Iterator[Block]:
    yield Note(
        f"{count(len(found.rows), 'round')}, measured on {found.measured_on}; in brackets 95 % "
        f"intervals over patients. {sentence(found.verdict.words)}"
    )
    yield _table(found.rows)
    if len(found.rows) > 1:
        yield Charts((_curve(found.rows),))
    current = next((row.index for row in found.rows if row.current), None)
    model = next((one for one in rounds if one.index == current), None)
    if model is not None:
        yield Heading(f"The model in use, of round {model.index}")
        yield from _model(model)


def _table(rows: Sequence[LedgerRow]) -> PageTable:
    head = (
        *("round", "images", "patients", "objects", "macro-F1, held out", "macro-F1, out of fold"),
        *("published classifier", "verdict"),
    )
    shown = [
        (
            f"{row.index}{' (in use)' if row.current else ''}",
            *(f"{value:,}" for value in (row.images, row.patients, row.objects)),
            interval(row.held_out.macro_f1 if row.held_out else None),
            interval(row.out_of_fold.macro_f1),
            interval(row.published),
            row.verdict + ("" if row.adopted else ", not used"),
        )
        for row in rows
    ]
    return PageTable("Rounds of learning", head, shown)


def _curve(rows: Sequence[LedgerRow]) -> Chart:
    held = [(row.index, row.held_out.macro_f1) for row in rows if row.held_out]
    folds = [(row.index, row.out_of_fold.macro_f1) for row in rows]
    published = [(row.index, row.published) for row in rows if row.published]
    named = (("held out", held), ("out of fold", folds), ("published classifier", published))
    drawn = [PlottedLine.of_estimates(name, points) for name, points in named if points]
    return Chart(
        lines("macro-F1", "round", drawn),
        "Learning curve: macro-F1 of objects, with 95 % intervals over patients.",
    )


def _model(round_: Round) -> Iterator[Block]:
    metrics = round_.metrics
    unknown = round_.unknown_patients
    held_out = metrics["held_out"]
    evaluation = ClassEvaluation.from_dict(held_out or metrics["out_of_fold"])
    whose = over_patients(metrics["patients"], unknown)
    where = f"held-out {whose}" if held_out else f"{whose} that its folds had not seen"
    learned_from = of_patients(count(metrics["images"], "image"), metrics["patients"], unknown)
    yield Note(
        f"Learned from {learned_from}; judged on {evaluation.objects:,} objects of "
        f"{where}: accuracy {interval(evaluation.accuracy)}, balanced accuracy "
        f"{interval(evaluation.balanced_accuracy)}."
    )
    notes = dict.fromkeys((*evaluation.notes, *metrics["notes"]))
    yield from (Note(sentence(str(note)), "warning") for note in notes)
    yield Charts(tuple(_charts(evaluation, metrics["importance"])))


def _charts(evaluation: ClassEvaluation, features: Sequence[Mapping[str, Any]]) -> Iterator[Chart]:
    yield Chart(
        confusion(evaluation.confusion, "objects", ("label", "predicted by the model")),
        "Predictions of the model for the objects of each class.",
        PageTable(
            "Objects by class (rows) and predicted class",
            ("class", *CLASS_NAMES),
            [
                (name, *(f"{value:,}" for value in row))
                for name, row in zip(CLASS_NAMES, evaluation.confusion, strict=True)
            ],
        ),
    )
    bins = [
        (one.confidence, one.accuracy, one.count)
        for one in evaluation.reliability
        if one.confidence is not None and one.accuracy is not None
    ]
    if bins:
        yield Chart(
            reliability(bins, evaluation.ece),
            f"Reliability: expected calibration error {number(100 * evaluation.ece)} points.",
        )
    if features:
        named = [(str(one["name"]), float(one["loss"])) for one in features[:_FEATURES]]
        yield Chart(
            importance(named),
            "Importance of the features: loss in macro-F1 when one feature is shuffled. It is "
            "small for features that others can replace.",
        )


def simulation_blocks(curves: Path) -> tuple[Block, ...]:
    """Images chosen by the model beside images drawn at random, from ``curves.csv``.

    Raises
    ------
    StudyError
        When the file is damaged.
    """
    if not curves.is_file():
        missing = (
            "Choosing images was not compared with drawing at random: trephine simulate STUDY "
            "--truth MASKS does it where masks are known."
        )
        return (Note(missing, "missing"),)
    means = _means(curves)
    drawn = [
        PlottedLine(title, *zip(*means[name], strict=True))
        for name, title in _STRATEGIES.items()
        if means.get(name)
    ]
    if not drawn:
        return (Note("The simulation holds no round.", "missing"),)
    caption = "Mean macro-F1 on held-out patients, images chosen by the model and at random."
    if "committee" in means:
        caption += " By committee: where the segmentation network and the classifier disagree."
    numbers = [
        (title, f"{images:g}", number(f1, 3))
        for name, title in _STRATEGIES.items()
        for images, f1 in means.get(name, ())
    ]
    table = PageTable(
        "Macro-F1 by images labelled", ("images are", "labelled", "macro-F1"), numbers
    )
    return (Charts((Chart(lines("macro-F1", "images labelled", drawn), caption, table),)),)


def _means(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Images and macro-F1 of each strategy, over the rounds that every repetition has."""
    found: dict[str, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    try:
        for _, row in read_records(path.read_text("utf-8-sig"), _CURVE_COLUMNS)[1]:
            point = float(row["images"]), float(row["macro_f1"])
            found[row["strategy"]][int(row["round"])].append(point)
    except (OSError, ValueError, KeyError, UsageError) as error:
        raise StudyError(
            f"{path.name}: expected the curves of a simulation, got something else; run trephine "
            "simulate again"
        ) from error
    means = {}
    for strategy, rounds in found.items():
        most = max(len(points) for points in rounds.values())
        means[strategy] = [
            (fmean(images for images, _ in points), fmean(f1 for _, f1 in points))
            for _, points in sorted(rounds.items())
            if len(points) == most
        ]
    return means
