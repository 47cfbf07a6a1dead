"""The section on how well the rough annotations agree with corrected ones."""

from __future__ import annotations

from collections.abc import Iterator

from annotator.core.classes import CLASS_NAMES
from annotator.core.patient_counts import of_patients, over_patients, unknown_patients
from annotator.evaluation.results import COLUMNS, DEFINITIONS, ImageFigures, MapEvaluation
from annotator.report.figures import against, bland_altman, confusion
from annotator.report.page import Block, Chart, Charts, Heading, Note, PageTable
from annotator.report.text import count, interval, number, sentence, short

_WORST = 10


def evaluation_blocks(found: MapEvaluation) -> tuple[Block, ...]:
    """Tables, figures and the worst images of an evaluation."""
    if not found.images:
        why = "".join(f" {name}: {reason}." for name, reason in found.faults[:5])
        return (Note(f"No image has a corrected mask to be compared with.{why}", "missing"),)
    return tuple(_blocks(found))


def _blocks(found: MapEvaluation) -> Iterator[Block]:
    unknown = unknown_patients((row.name, row.patient) for row in found.rows)
    whose = of_patients(count(found.images, "image"), found.patients, unknown)
    yield Note(
        f"{_compared(found)} beside corrected masks: {whose}. "
        f"Mean Dice {interval(found.mean_dice)}, mean IoU "
        f"{interval(found.mean_iou)}, right pixels {interval(found.accuracy)}. In brackets: 95 % "
        f"intervals over {over_patients(found.patients, unknown)}."
    )
    yield from (Note(sentence(note), "warning") for note in found.notes)
    yield from (Note(f"{name}: {why}", "fault") for name, why in found.faults)
    yield _classes(found)
    yield Charts(tuple(_charts(found)))
    yield Heading("Adipocytes, one by one")
    yield _adipocytes(found)
    yield Heading("Cellularity")
    yield _cellularity(found)
    yield Heading("Worst images first")
    yield _worst(found.rows)
    yield PageTable(
        "How these figures are defined",
        ("figure", "definition"),
        [(name.replace("_", " "), text) for name, text in DEFINITIONS.items()]
        + [("tolerance", found.tolerance)],
        folded=True,
        words=True,
    )


def _compared(found: MapEvaluation) -> str:
    """What is compared, without its folder."""
    sent = sum(row.source == "sent" for row in found.rows)
    if not sent:
        return "Rough annotations"
    return f"Rough annotations, {sent} of them as they were sent to CVAT,"


def _classes(found: MapEvaluation) -> PageTable:
    rows = [
        (
            one.name,
            interval(one.dice),
            interval(one.iou),
            interval(one.boundary_f1),
            number(one.dice_per_image.value, 3),
            str(one.images),
        )
        for one in found.classes
    ]
    head = ("class", "Dice, pooled", "IoU, pooled", "boundary F1", "Dice per image", "images")
    return PageTable("Agreement by class, 0 to 1", head, rows)


def _adipocytes(found: MapEvaluation) -> PageTable:
    one = found.adipocytes
    rows = [
        ("F1", interval(one.f1)),
        ("precision", interval(one.precision)),
        ("recall", interval(one.recall)),
        ("mean IoU of the matched", interval(one.mean_iou)),
        ("panoptic quality", interval(one.panoptic_quality)),
        ("found, missed, too many", f"{one.matched:,}, {one.missed:,}, {one.extra:,}"),
    ]
    return PageTable(
        "Found at an overlap (IoU) of more than 0.5, with 95 % intervals", ("figure", "value"), rows
    )


def _cellularity(found: MapEvaluation) -> PageTable:
    one = found.cellularity
    rows = [
        ("mean absolute difference, points", interval(one.mae, 1)),
        ("bias (rough − corrected), points", interval(one.bias, 1, plus=True)),
        ("lower limit of agreement, points", interval(one.lower, 1, plus=True)),
        ("upper limit of agreement, points", interval(one.upper, 1, plus=True)),
        ("ICC(2,1)", interval(one.icc)),
        ("images with a cellularity in both", str(one.images)),
    ]
    return PageTable("Rough beside corrected, with 95 % intervals", ("figure", "value"), rows)


def _charts(found: MapEvaluation) -> Iterator[Chart]:
    yield Chart(
        confusion(found.confusion, "pixels", columns=COLUMNS),
        "What became of each corrected class in the rough annotation, share of its pixels.",
        PageTable(
            "Pixels by corrected class (rows) and rough class",
            ("class", *COLUMNS),
            [
                (name, *(f"{value:,}" for value in row))
                for name, row in zip(CLASS_NAMES, found.confusion, strict=True)
            ],
        ),
    )
    pairs = [
        (row.cellularity, row.cellularity_truth)
        for row in found.rows
        if row.cellularity is not None and row.cellularity_truth is not None
    ]
    if not pairs:
        return
    rough, corrected = ([pair[side] for pair in pairs] for side in (0, 1))
    yield Chart(against(rough, corrected), "Cellularity of each image, rough against corrected.")
    one = found.cellularity
    limits = one.lower.value, one.bias.value, one.upper.value
    low, bias, high = limits
    if low is not None and bias is not None and high is not None:
        yield Chart(
            bland_altman(rough, corrected, (low, bias, high)),
            "Bland-Altman plot: the difference over the mean of both, with bias and limits of "
            "agreement.",
        )


def _worst(rows: tuple[ImageFigures, ...]) -> PageTable:
    head = ("image", "patient", "mean Dice", "adipocyte F1", "corrected, %", "rough, %", "points")
    shown = [
        (
            row.name,
            short(row.patient),
            number(row.mean_dice, 3),
            number(row.adipocyte_f1, 3),
            number(row.cellularity_truth),
            number(row.cellularity),
            number(difference(row), plus=True),
        )
        for row in rows[:_WORST]
    ]
    caption = f"The {len(shown)} worst of {count(len(rows), 'image')}, by mean Dice; cellularity"
    return PageTable(caption, head, shown)


def difference(row: ImageFigures) -> float | None:
    """Rough minus corrected cellularity of an image, percentage points."""
    if row.cellularity is None or row.cellularity_truth is None:
        return None
    return row.cellularity - row.cellularity_truth
