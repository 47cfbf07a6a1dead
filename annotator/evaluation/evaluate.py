"""Compare predicted label maps with true ones: of a study, or of two folders.

Nothing is written here; see :mod:`annotator.evaluation.files`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import UsageError
from annotator.core.intervals import FEWEST_PATIENTS, Estimate, PatientBootstrap, Statistic, over
from annotator.core.patient_counts import over_patients, unknown_patients
from annotator.core.progress import OnStep, silent
from annotator.core.workers import Done, Workers, reproducible
from annotator.evaluation import instances, measurement_agreement, pixels
from annotator.evaluation.boundaries import boundary_f1
from annotator.evaluation.counts import Counted, Pair, Tolerance, count
from annotator.evaluation.pairs import SENT, Folders, Pairs, pairs_of_folders, pairs_of_study
from annotator.evaluation.results import (
    AdipocyteFigures,
    CellularityFigures,
    ClassFigures,
    ImageFigures,
    MapEvaluation,
)
from annotator.study.study import Study

FEW_PATIENTS = 10
_BY_IMAGE = ("dice", "iou", "boundary_f1")


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How maps are compared.

    Parameters
    ----------
    predicted, truth : Path or None
        Folders instead of those of a study: NAME.png, and perhaps instances/NAME.png.
    patients : str
        Regular expression on names, whose first group is the patient; empty: as the study
        says, else each image its own.
    tolerance : Tolerance
        Of boundaries.
    workers : int
        Processes. The result is the same for any number.
    """

    predicted: Path | None = None
    truth: Path | None = None
    patients: str = ""
    tolerance: Tolerance = field(default_factory=Tolerance)
    workers: int = 1

    @property
    def folders(self) -> Folders:
        """The folders, with the pattern of patients."""
        return Folders(self.predicted, self.truth, self.patients)


def evaluate_study(
    study: Study, options: EvaluateOptions | None = None, on_step: OnStep = silent
) -> MapEvaluation:
    """Compare the rough annotations of a study with its corrected masks.

    Parameters
    ----------
    study : Study
    options : EvaluateOptions, optional
    on_step : callable
        Told what is being done, how much of it is done, and how much there is.

    Raises
    ------
    UsageError
        When there is nothing to compare.
    """
    options = options or EvaluateOptions()
    return evaluate_pairs(find_pairs(study, options), options, on_step)


def evaluate_folders(
    predicted: Path,
    truth: Path,
    options: EvaluateOptions | None = None,
    on_step: OnStep = silent,
) -> MapEvaluation:
    """Compare the maps in two folders; see :func:`evaluate_study`."""
    options = replace(options or EvaluateOptions(), predicted=predicted, truth=truth)
    return evaluate_pairs(find_pairs(None, options), options, on_step)


def find_pairs(study: Study | None, options: EvaluateOptions) -> Pairs:
    """Pairs of maps to compare, with notes on what limits the figures.

    Raises
    ------
    UsageError
        When there is nothing to compare.
    """
    if study is None:
        return pairs_of_folders(options.folders)
    pairs = pairs_of_study(study, options.folders)
    return replace(pairs, notes=(*pairs.notes, *_study_notes(study, pairs)))


def evaluate_pairs(
    pairs: Pairs, options: EvaluateOptions, on_step: OnStep = silent
) -> MapEvaluation:
    """Compare pairs of maps; a pair that cannot be read is named, and the others go on.

    Raises
    ------
    UsageError
        When none of them can be compared.
    """
    counted: list[tuple[Pair, Counted]] = []
    faults = list(pairs.faults)
    found = sorted(pairs.found, key=lambda pair: pair.name)
    work = partial(count, tolerance=options.tolerance)
    with reproducible(), Workers(options.workers, ["annotator.evaluation.counts"]) as workers:
        for done, (pair, outcome) in enumerate(workers.run(work, found), start=1):
            if isinstance(outcome, Done):
                counted.append((pair, outcome.result))
            else:
                faults.append((pair.name, outcome.reason))
            on_step("comparing", done, len(found))
    if not counted:
        raise UsageError(f"nothing to evaluate: {faults[0][0]}: {faults[0][1]}")
    return _evaluation(pairs, counted, sorted(faults), options.tolerance)


# From counts to figures


class _Table:
    """Counts of all images, and the estimates that follow from them."""

    def __init__(self, counted: Sequence[tuple[Pair, Counted]]) -> None:
        self.pairs = [pair for pair, _ in counted]
        self.counts = [one for _, one in counted]
        self.confusion = np.stack([one.confusion for one in self.counts]).astype(np.float64)
        self.boundary = np.stack([one.boundaries for one in self.counts]).astype(np.float64)
        self.fat = np.array([one.fat.counts for one in self.counts], np.float64)
        self.by_image = {
            "dice": pixels.dice(self.confusion),
            "iou": pixels.iou(self.confusion),
            "boundary_f1": boundary_f1(self.boundary),
        }
        self.mean_dice = pixels.mean_of_present(self.by_image["dice"], self.confusion)
        self.cellularity = np.stack(pixels.cellularity(self.confusion), axis=1)
        self.bootstrap = PatientBootstrap(self._summands(), [pair.patient for pair in self.pairs])

    def _summands(self) -> dict[str, Floats]:
        parts = {"confusion": self.confusion, "boundary": self.boundary, "fat": self.fat}
        for name, values in self.by_image.items():
            parts[name] = np.nan_to_num(values)
            parts[f"{name} n"] = np.isfinite(values).astype(np.float64)
        known = self.cellularity[np.isfinite(self.cellularity).all(axis=1)]
        # Squares of numbers near 0 keep more digits; the figures do not depend on it.
        middle = known.mean() if len(known) else 0.0
        return parts | measurement_agreement.moments(self.cellularity - middle)

    def pooled(self, figure: Callable[[Floats], Floats], of: str) -> tuple[Estimate, ...]:
        """Estimates by class from the sums over all images."""
        return self.bootstrap.estimates(lambda sums: figure(sums[of]))

    def per_image(self, name: str) -> tuple[Estimate, ...]:
        """Mean of a figure by class, over the images in which it is defined."""
        return self.bootstrap.estimates(lambda sums: over(sums[name], sums[f"{name} n"]))

    def one(self, statistic: Statistic) -> Estimate:
        """One estimate."""
        return self.bootstrap.estimate(statistic)


def _evaluation(
    pairs: Pairs,
    counted: Sequence[tuple[Pair, Counted]],
    faults: Sequence[tuple[str, str]],
    tolerance: Tolerance,
) -> MapEvaluation:
    table = _Table(counted)
    whole = table.confusion.sum(axis=0).astype(np.int64)
    return MapEvaluation(
        predicted=pairs.predicted,
        truth=pairs.truth,
        images=len(counted),
        patients=table.bootstrap.patients,
        classes=_classes(table),
        mean_dice=_mean(table, pixels.dice),
        mean_iou=_mean(table, pixels.iou),
        accuracy=table.one(lambda sums: pixels.accuracy(sums["confusion"])),
        adipocytes=_adipocytes(table),
        cellularity=_cellularity(table),
        confusion=tuple(tuple(row) for row in whole.tolist()),
        tolerance=_tolerance_text(table, tolerance),
        rows=_rows(table),
        faults=tuple(faults),
        unpaired=pairs.unpaired,
        notes=(*pairs.notes, *_limits(table, pairs.patients_are_named)),
    )


def _mean(table: _Table, figure: Callable[[Floats], Floats]) -> Estimate:
    return table.one(
        lambda sums: pixels.mean_of_present(figure(sums["confusion"]), sums["confusion"])
    )


def _classes(table: _Table) -> tuple[ClassFigures, ...]:
    dice = table.pooled(pixels.dice, "confusion")
    iou = table.pooled(pixels.iou, "confusion")
    edge = table.pooled(boundary_f1, "boundary")
    dice_each, iou_each, edge_each = (table.per_image(name) for name in _BY_IMAGE)
    whole = table.confusion.sum(axis=0)
    held = np.isfinite(table.by_image["dice"]).sum(axis=0).tolist()
    return tuple(
        ClassFigures(
            name,
            dice=dice[code],
            iou=iou[code],
            boundary_f1=edge[code],
            dice_per_image=dice_each[code],
            iou_per_image=iou_each[code],
            boundary_f1_per_image=edge_each[code],
            images=held[code],
            truth_px=int(whole[code].sum()),
            predicted_px=int(whole[:, code].sum()),
        )
        for code, name in enumerate(CLASS_NAMES)
    )


def _adipocytes(table: _Table) -> AdipocyteFigures:
    def figure(of: Callable[[Floats], Floats]) -> Estimate:
        return table.one(lambda sums: of(sums["fat"]))

    fat = [one.fat for one in table.counts]
    return AdipocyteFigures(
        f1=figure(instances.f1),
        precision=figure(instances.precision),
        recall=figure(instances.recall),
        mean_iou=figure(instances.mean_iou),
        panoptic_quality=figure(instances.panoptic_quality),
        matched=sum(one.matched for one in fat),
        missed=sum(one.missed for one in fat),
        extra=sum(one.extra for one in fat),
        left_out=sum(one.left_out for one in fat),
    )


def _cellularity(table: _Table) -> CellularityFigures:
    known = [bool(np.isfinite(row).all()) for row in table.cellularity]
    lower, upper = table.bootstrap.estimates(measurement_agreement.limits)
    return CellularityFigures(
        images=sum(known),
        undefined=tuple(pair.name for pair, k in zip(table.pairs, known, strict=True) if not k),
        mae=table.one(measurement_agreement.mean_absolute),
        bias=table.one(measurement_agreement.bias),
        sd=table.one(measurement_agreement.deviation),
        lower=lower,
        upper=upper,
        icc=table.one(measurement_agreement.icc),
    )


def _rows(table: _Table) -> tuple[ImageFigures, ...]:
    rows = [_row(table, at) for at in range(len(table.pairs))]
    return tuple(sorted(rows, key=lambda r: (r.mean_dice is None, r.mean_dice, r.name)))


def _row(table: _Table, at: int) -> ImageFigures:
    pair, counted, fat = table.pairs[at], table.counts[at], table.fat[at]
    dice, iou, edge = (
        dict(zip(CLASS_NAMES, map(_known, table.by_image[name][at].tolist()), strict=True))
        for name in _BY_IMAGE
    )
    truth, predicted = table.cellularity[at].tolist()
    return ImageFigures(
        pair.name,
        pair.patient,
        pair.source,
        mean_dice=_known(float(table.mean_dice[at])),
        dice=dice,
        iou=iou,
        boundary_f1=edge,
        adipocyte_f1=_known(float(instances.f1(fat))),
        adipocyte_iou=_known(float(instances.mean_iou(fat))),
        matched=counted.fat.matched,
        missed=counted.fat.missed,
        extra=counted.fat.extra,
        cellularity_truth=_known(truth),
        cellularity=_known(predicted),
        labelled=counted.labelled,
        tolerance_px=counted.tolerance_px,
    )


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


# What limits the figures, in words


def _tolerance_text(table: _Table, tolerance: Tolerance) -> str:
    if tolerance.um is None:
        return f"{tolerance.px:g} px"
    unknown = sum(pair.um_per_px is None for pair in table.pairs)
    if not unknown:
        return f"{tolerance.um:g} um"
    return f"{tolerance.um:g} um; {tolerance.px:g} px in {unknown} image(s) of unknown scale"


def _limits(table: _Table, patients_are_named: bool) -> list[str]:
    patients, notes = table.bootstrap.patients, _pieces(table)
    unknown = unknown_patients((pair.name, pair.patient) for pair in table.pairs)
    whose = over_patients(patients, unknown)
    if patients < FEWEST_PATIENTS:
        notes.append(f"one {whose[:-1]} only: no intervals, since it says nothing of others")
    elif patients < FEW_PATIENTS:
        notes.append(f"{patients} {whose} only: the intervals are rough, and likely too narrow")
    if unknown and not patients_are_named and len(table.pairs) > 1:
        notes.append(
            "each image counts as a patient of its own; where patients have several, say so, "
            "else the intervals are too narrow: --patients '^([^_]+)_' (what the brackets find in "
            "the name is the patient), or [patients] in study.toml"
        )
    elif unknown and patients_are_named:
        notes.append(
            f"{unknown} image(s) are of no patient that the pattern or table of patients knows"
        )
    open_ = [1 - one.labelled for one in table.counts]
    if max(open_) > 0:
        share = 100 * sum(open_) / len(open_)
        notes.append(f"{share:.1f} % of the images is open in the truth, and left out")
    return notes


def _pieces(table: _Table) -> list[str]:
    """Notes on maps without instances, where pieces of fat stand for adipocytes."""
    unknown = [
        (what, sum(not one.numbered[at] for one in table.counts))
        for at, what in enumerate(("truth", "evaluated map"))
    ]
    return [
        f"no instances in the {what} of {images} image(s): each connected piece of fat counts as "
        "one adipocyte there, so that those that touch are one"
        for what, images in unknown
        if images
    ]


def _study_notes(study: Study, pairs: Pairs) -> list[str]:
    notes = []
    if any(pair.source == SENT for pair in pairs.found):
        notes.append(
            "the truth was made by correcting what is evaluated: what nobody touched agrees, "
            "right or wrong"
        )
    current = study.rounds.current()
    if current is not None:
        learned = {*current.groups} & {pair.patient for pair in pairs.found}
        if learned:
            notes.append(
                f"the model of round {current.index} learned from {len(learned)} of these "
                "patients: rough annotations that it made of them are better than of new ones"
            )
    return notes
