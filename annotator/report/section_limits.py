"""The top of the report, with its main figures, and the section on their limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from annotator.core.patient_counts import of_patients, over_patients, unknown_patients
from annotator.evaluation.results import MapEvaluation
from annotator.measurements.summary import Dataset
from annotator.report.page import Block, Note
from annotator.report.section_measurements import width_of
from annotator.report.text import NONE, count, interval, number
from annotator.study.study import Study

_FEW_PATIENTS = 5
SEED, STARTER = "seed", "starter"
"""Sources of an annotation whose classes come from seed groups or from the starter classifier,
and from no round."""


def lead(found: Dataset | None, evaluation: MapEvaluation | None) -> str:
    """One or two sentences on what the report is about."""
    if found is None:
        return "The data table could not be made; the other parts are below."
    if not found.rows:
        return "No image has been measured yet."
    whole = found.whole
    unknown = unknown_patients((row.name, row.patient) for row in found.rows)
    fields = f"{count(whole.images, 'field')} of bone marrow"
    text = f"{of_patients(fields, whole.patients, unknown)}."
    if evaluation is None or not evaluation.images:
        return text + " No mask has been corrected yet: all of it is a first draft."
    compared = count(evaluation.images, "field")
    return text + f" For {compared} the rough annotation can be compared with a corrected mask."


def cards(
    found: Dataset | None, evaluation: MapEvaluation | None
) -> tuple[tuple[str, str, str], ...]:
    """The figures at the top: label, figure, what it means."""
    return (*_numbers(found), *_agreement(evaluation))


def _numbers(found: Dataset | None) -> Iterator[tuple[str, str, str]]:
    if found is None or not found.rows:
        return
    whole = found.whole
    yield ("Images", f"{whole.images:,}", f"{whole.from_truth:,} counted from a corrected mask")
    unknown = unknown_patients((row.name, row.patient) for row in found.rows)
    many = f"{unknown:,} more images of unknown patients" if unknown else "named in the study"
    nobody = "nobody named any: each image counts as one of its own"
    known = whole.patients - unknown
    yield ("Patients", f"{known:,}" if known else NONE, many if known else nobody)
    one = whole.cellularity
    mean, sd = (None if x is None else 100 * x for x in (one.mean, one.sd))
    spread = NONE if mean is None else f"{number(mean)} ± {number(sd)} %"
    yield ("Cellularity", spread, "mean and SD over images")
    widths = [width for row in found.rows if (width := width_of(row)) is not None]
    if widths:
        text = "how far it moves with the white reference, middle image"
        yield ("Band of cellularity", f"{number(median(widths))} points", text)
    yield ("Adipocytes", f"{whole.adipocytes:,}", "in all images")


def _agreement(evaluation: MapEvaluation | None) -> Iterator[tuple[str, str, str]]:
    if evaluation is None or not evaluation.images:
        return
    compared = f"{count(evaluation.images, 'image')}, rough beside corrected"
    dice = evaluation.mean_dice
    yield ("Mean Dice", number(dice.value, 3), f"of the classes, pooled; {compared}")
    f1 = evaluation.adipocytes.f1
    yield ("Adipocytes, F1", number(f1.value, 3), "found one by one, at an overlap of 0.5")
    mae = evaluation.cellularity.mae
    yield ("Cellularity error", f"{number(mae.value)} points", "mean absolute difference")


def limits(
    study: Study, found: Dataset | None, evaluation: MapEvaluation | None
) -> Sequence[Block]:
    """Notes on what limits the figures."""
    return tuple(Note(text, "warning") for text in _limits(study, found, evaluation))


def _limits(study: Study, found: Dataset | None, evaluation: MapEvaluation | None) -> Iterator[str]:
    sources = _sources(study)
    if SEED in sources:
        yield (
            f"The classes of {count(sources[SEED], 'rough annotation')} come from groups that "
            "were named by written rules, and were not reviewed by anybody: a first draft."
        )
    if STARTER in sources:
        yield (
            f"The classes of {count(sources[STARTER], 'rough annotation')} come from the starter "
            "network, which learned from other slides, and were not reviewed by anybody: a first "
            "draft."
        )
    if evaluation is not None and evaluation.images:
        yield from _of_agreement(evaluation, learned=bool(sources.keys() - {SEED, STARTER}))
    else:
        yield "Nothing here was compared with masks of an expert: its accuracy is not known."
    if found is not None:
        yield from _of_numbers(found)
    yield (
        "Cellularity is that of a field, by area. A pathologist estimates it over a biopsy, and "
        "leaves out fields that a program counts."
    )


def _sources(study: Study) -> dict[str, int]:
    """Number of rough annotations by the source of their classes."""
    found: dict[str, int] = {}
    for image in study.images():
        known = study.rough.annotation(image)
        if known is not None:
            found[known.source] = found.get(known.source, 0) + 1
    return found


def _of_agreement(evaluation: MapEvaluation, learned: bool) -> Iterator[str]:
    yield (
        "A mask that was corrected, and not drawn anew, is closer to the draft than one that an "
        "expert draws alone: agreement with it is better than with a second expert."
    )
    if learned:
        yield (
            "Some classes come from a round of learning. Where it learned from the same masks with "
            "which it is compared, agreement is better than on new images: the figures under "
            "Learning are of patients that it had not seen."
        )
    if evaluation.patients < _FEW_PATIENTS:
        unknown = unknown_patients((row.name, row.patient) for row in evaluation.rows)
        whose = over_patients(evaluation.patients, unknown)[:-1]
        yield (
            f"Masks of {count(evaluation.patients, whose)} only: the intervals say little of "
            "other patients."
        )
    mean = evaluation.cellularity.mae
    if mean.value is not None:
        yield f"Cellularity was off by {interval(mean, 1)} points on average where it is known."


def _of_numbers(found: Dataset) -> Iterator[str]:
    unknown = sum(row.um_per_px is None for row in found.rows)
    if unknown:
        yield (
            f"The size of a pixel is not known in {count(unknown, 'image')}: sizes stay in pixels "
            "there. Set um_per_px in study.toml where all images share it, or annotate these with "
            "--um-per-px."
        )
    if found.without:
        yield f"{count(len(found.without), 'image')} of the study without labels: not counted."
    if found.faults:
        yield f"{count(len(found.faults), 'image')} could not be measured, and are not counted."
