"""What the command prints of an evaluation. No logic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from annotator.cli.print_annotate import MOST_ROWS, console
from annotator.core.classes import CLASS_NAMES
from annotator.core.intervals import Estimate
from annotator.evaluation.results import COLUMNS, ImageFigures, MapEvaluation


def print_evaluation(found: MapEvaluation, folder: Path | None, worst: int) -> None:
    """Print the figures, the worst images, what failed, what limits all that, and where it is."""
    out = console()
    _say([_heading(found), ""])
    out.print(class_table(found))
    _say(["", *_objects(found), *_cellularity(found), ""])
    _say(["Where the pixels of each true class went, %:"])
    out.print(confusion_table(found))
    if worst and found.rows:
        _say(["", "Worst images:"])
        out.print(worst_table(found.rows[:worst]))
    _say(["", *_faults(found), *_unpaired(found), *(f"note: {note}" for note in found.notes)])
    _say(_where(folder))


def _say(lines: Sequence[str]) -> None:
    out = console()
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def _heading(found: MapEvaluation) -> str:
    return (
        f"{found.predicted[0].upper()}{found.predicted[1:]}, beside {found.truth}: "
        f"{found.images} image(s), {found.patients} patient(s). Brackets: 95 % intervals over "
        "patients."
    )


def text(figure: Estimate, digits: int = 3, sign: bool = False) -> str:
    """A figure with its interval.

    Examples
    --------
    >>> text(Estimate(0.5, 0.25, 0.75)), text(Estimate(None)), text(Estimate(1.23), 1, sign=True)
    ('0.500 (0.250 to 0.750)', '–', '+1.2')
    """
    if figure.value is None:
        return "–"
    form = f"{'+' if sign else ''}.{digits}f"
    if figure.low is None or figure.high is None:
        return f"{figure.value:{form}}"
    return f"{figure.value:{form}} ({figure.low:{form}} to {figure.high:{form}})"


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for at, title in enumerate(titles):
        table.add_column(title, justify="right" if at else "left", overflow="fold")
    return table


def class_table(found: MapEvaluation) -> Table:
    """Dice, IoU and boundary F1 of each class."""
    edge = f"boundary F1\nwithin {found.tolerance}"
    table = _table("class", "Dice\npooled", "IoU\npooled", edge, "Dice\nper image", "images")
    for one in found.classes:
        table.add_row(
            one.name,
            text(one.dice),
            text(one.iou),
            text(one.boundary_f1),
            text(one.dice_per_image),
            str(one.images),
        )
    table.add_section()
    means = text(found.mean_dice), text(found.mean_iou)
    table.add_row("mean", *means, "", "", str(found.images), style="bold")
    return table


def _objects(found: MapEvaluation) -> list[str]:
    fat = found.adipocytes
    aside = f", {fat.left_out} where the truth is open" if fat.left_out else ""
    return [
        f"Adipocytes   F1 at IoU 0.5: {text(fat.f1)}; {fat.matched} found, {fat.missed} missed, "
        f"{fat.extra} extra{aside}; mean IoU of those found {text(fat.mean_iou)}"
    ]


def _cellularity(found: MapEvaluation) -> list[str]:
    one = found.cellularity
    if not one.images:
        return ["Cellularity  in no image with cell or fat in both maps"]
    return [
        f"Cellularity  mean error {text(one.mae, 1)} points, bias {text(one.bias, 1, True)}; "
        f"limits of agreement {text(one.lower, 1, True)}, {text(one.upper, 1, True)}; ICC(2,1) "
        f"{text(one.icc)}; {one.images} image(s)"
    ]


def confusion_table(found: MapEvaluation) -> Table:
    """Shares of the pixels of each true class."""
    table = _table("truth", *COLUMNS, "pixels")
    for name, row in zip(CLASS_NAMES, found.confusion, strict=True):
        whole = sum(row)
        shares = [f"{100 * n / whole:.1f}" if whole else "–" for n in row]
        table.add_row(name, *shares, f"{whole / 1e6:.2f} M")
    return table


def worst_table(rows: Sequence[ImageFigures]) -> Table:
    """One row an image, the worst first."""
    titles = (f"Dice\n{name}" for name in CLASS_NAMES)
    table = _table("image", "Dice\nmean", *titles, "adipo-\ncytes F1", "cellularity\n% (truth)")
    for row in rows:
        dice = (_share(row.dice[name]) for name in CLASS_NAMES)
        cellularity = f"{_percent(row.cellularity)} ({_percent(row.cellularity_truth)})"
        figures = _share(row.mean_dice), *dice, _share(row.adipocyte_f1), cellularity
        table.add_row(escape(row.name), *figures)
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _faults(found: MapEvaluation) -> list[str]:
    lines = [f"failed: {name}: {why}" for name, why in found.faults[:MOST_ROWS]]
    more = len(found.faults) - len(lines)
    return [*lines, f"failed: and {more} more, see --json"] if more > 0 else lines


def _unpaired(found: MapEvaluation) -> list[str]:
    names = found.unpaired
    if not names:
        return []
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return [f"left out, since there is no partner of this name: {', '.join(names[:6])}{more}"]


def _where(folder: Path | None) -> list[str]:
    if folder is None:
        return ["", "Nothing was written; --out DIR keeps the figures and pictures."]
    return ["", f"Figures   {folder / 'evaluation.json'}", f"Pictures  {folder / 'evaluation'}"]
