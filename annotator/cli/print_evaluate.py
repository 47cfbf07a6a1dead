"""What ``trephine evaluate`` prints. No logic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from annotator.cli.print_annotate import MOST_ROWS, console, plain, say, some, table
from annotator.core.classes import CLASS_NAMES
from annotator.core.intervals import Estimate
from annotator.core.patient_counts import of_patients, over_patients, unknown_patients
from annotator.evaluation.results import COLUMNS, ImageFigures, MapEvaluation
from annotator.report.text import interval, number, percentage


def print_evaluation(found: MapEvaluation, folder: Path | None, worst: int) -> None:
    """Print the figures, the worst images, failures, limits of the figures, and the files."""
    out = console()
    say([_heading(found), ""])
    out.print(class_table(found))
    say(["", *_objects(found), *_cellularity(found), ""])
    say(["Where the pixels of each true class went, %:"])
    out.print(confusion_table(found))
    if worst and found.rows:
        say(["", "Worst images:"])
        out.print(worst_table(found.rows[:worst]))
    say(["", *_faults(found), *_unpaired(found), *(f"note: {note}" for note in found.notes)])
    say(_where(folder))


def _heading(found: MapEvaluation) -> str:
    unknown = unknown_patients((row.name, row.patient) for row in found.rows)
    whose = f"{found.images} image(s), {found.patients} patient(s)"
    if unknown:
        whose = of_patients(f"{found.images} image(s)", found.patients, unknown)
    return (
        f"{found.predicted[0].upper()}{found.predicted[1:]}, beside {found.truth}: "
        f"{whose}. Brackets: 95 % intervals over {over_patients(found.patients, unknown)}."
    )


def _signed(found: Estimate) -> str:
    """Percentage points, with their sign."""
    return plain(interval(found, 1, plus=True))


def class_table(found: MapEvaluation) -> Table:
    """Dice, IoU and boundary F1 of each class."""
    edge = f"boundary F1\nwithin {found.tolerance}"
    made = table("class", "Dice\npooled", "IoU\npooled", edge, "Dice\nper image", "images", gap=2)
    for one in found.classes:
        made.add_row(
            one.name,
            interval(one.dice),
            interval(one.iou),
            interval(one.boundary_f1),
            interval(one.dice_per_image),
            str(one.images),
        )
    made.add_section()
    means = interval(found.mean_dice), interval(found.mean_iou)
    made.add_row("mean", *means, "", "", str(found.images), style="bold")
    return made


def _objects(found: MapEvaluation) -> list[str]:
    fat = found.adipocytes
    aside = f", {fat.left_out} where the truth is open" if fat.left_out else ""
    return [
        f"Adipocytes   F1 at IoU 0.5: {interval(fat.f1)}; {fat.matched} found, "
        f"{fat.missed} missed, {fat.extra} extra{aside}; mean IoU of those found "
        f"{interval(fat.mean_iou)}"
    ]


def _cellularity(found: MapEvaluation) -> list[str]:
    one = found.cellularity
    if not one.images:
        return ["Cellularity  in no image with cell or fat in both maps"]
    return [
        f"Cellularity  mean error {interval(one.mae, 1)} points, bias {_signed(one.bias)}; "
        f"limits of agreement {_signed(one.lower)}, {_signed(one.upper)}; ICC(2,1) "
        f"{interval(one.icc)}; {one.images} image(s)"
    ]


def confusion_table(found: MapEvaluation) -> Table:
    """Shares of the pixels of each true class."""
    made = table("truth", *COLUMNS, "pixels", gap=2)
    for name, row in zip(CLASS_NAMES, found.confusion, strict=True):
        whole = sum(row)
        shares = [percentage(n / whole if whole else None) for n in row]
        made.add_row(name, *shares, f"{whole / 1e6:.2f} M")
    return made


def worst_table(rows: Sequence[ImageFigures]) -> Table:
    """One row an image, the worst first."""
    titles = (f"Dice\n{name}" for name in CLASS_NAMES)
    made = table(
        "image", "Dice\nmean", *titles, "adipo-\ncytes F1", "cellularity\n% (truth)", gap=2
    )
    for row in rows:
        dice = (number(row.dice[name], 3) for name in CLASS_NAMES)
        cellularity = f"{number(row.cellularity, 0)} ({number(row.cellularity_truth, 0)})"
        figures = number(row.mean_dice, 3), *dice, number(row.adipocyte_f1, 3), cellularity
        made.add_row(escape(row.name), *figures)
    return made


def _faults(found: MapEvaluation) -> list[str]:
    lines = [f"failed: {name}: {why}" for name, why in found.faults[:MOST_ROWS]]
    more = len(found.faults) - len(lines)
    return [*lines, f"failed: and {more} more, see --json"] if more > 0 else lines


def _unpaired(found: MapEvaluation) -> list[str]:
    names = found.unpaired
    if not names:
        return []
    return [f"left out, since there is no partner of this name: {some(names)}"]


def _where(folder: Path | None) -> list[str]:
    if folder is None:
        return ["", "Nothing was written; --out DIR keeps the figures and pictures."]
    return ["", f"Figures   {folder / 'evaluation.json'}", f"Pictures  {folder / 'evaluation'}"]
