"""What the commands around CVAT print. No logic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from annotator.cli_report import MOST_NAMES, MOST_ROWS, console
from annotator.corrections import FATES
from annotator.schema import CLASS_NAMES

if TYPE_CHECKING:
    from annotator.corrections import Correction
    from annotator.pulled import PulledImage, PullReport


def print_pull(report: PullReport, study: Path) -> None:
    """Print what was corrected, image by image and in all, and what to do next."""
    out = console()
    out.print(_images(report))
    if report.correction is not None:
        out.print()
        out.print(_classes(report.correction))
    for line in _lines(report, study):
        out.print(line, markup=False, soft_wrap=True)


def _table(*titles: str, left: int = 1) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    for at, title in enumerate(titles):
        table.add_column(title, justify="left" if at < left else "right", overflow="fold")
    return table


def _images(report: PullReport) -> Table:
    dice = [f"Dice {name}" for name in CLASS_NAMES]
    table = _table("image", "mask", *FATES, *dice, "open", left=2)
    for image in report.images[:MOST_ROWS]:
        table.add_row(escape(image.image), image.status, *_figures(image), _open(image))
    if len(report.images) > MOST_ROWS:
        table.add_row(f"and {len(report.images) - MOST_ROWS} more, see the report")
    return table


def _figures(image: PulledImage) -> list[str]:
    if image.correction is None:
        return ["–"] * (len(FATES) + len(CLASS_NAMES))
    fates = image.correction.objects.sum(axis=0).tolist()
    return [*map(str, fates), *_dice(image.correction)]


def _dice(correction: Correction) -> list[str]:
    values = (correction.dice(code) for code in range(len(CLASS_NAMES)))
    return ["–" if value is None else f"{value:.3f}" for value in values]


def _open(image: PulledImage) -> str:
    return f"{100 * image.areas_px['unlabelled'] / sum(image.areas_px.values()):.1f} %"


def _classes(correction: Correction) -> Table:
    pixels = ("kept", "relabelled", "added", "deleted")
    titles = (*(f"{fate}" for fate in FATES), *(f"{name} px" for name in pixels), "Dice")
    table = _table("objects, pixels", *titles)
    plain = correction.to_dict()
    for name, dice in zip(CLASS_NAMES, _dice(correction), strict=True):
        objects, px = plain[name]["objects"], plain[name]["pixels"]
        row = [*(objects[fate] for fate in FATES), *(px[key] for key in pixels)]
        table.add_row(name, *map(str, row), dice)
    return table


def _lines(report: PullReport, study: Path) -> list[str]:
    status = Counter(image.status for image in report.images)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(status.items()))
    lines = ["", f"{len(report.images)} image(s) from {report.format}: {counts}."]
    kept = sum(image.kept is not None for image in report.images)
    if kept:
        lines.append(f"{kept} earlier mask(s) kept in {study / 'truth' / 'earlier'}.")
    lines += [f"warning: {note}" for note in report.notes]
    lines += [f"warning: {i.image}: {note}" for i in report.images for note in i.notes]
    tied = sum(image.tied_px for image in report.images)
    if tied:
        lines.append(
            f"warning: on {tied} pixels shapes of different classes and one z_order lie on top of "
            "each other; the later in the file was taken"
        )
    unused = sum((Counter(i.unused) for i in report.images), Counter(report.unused))
    if unused:
        lines.append(f"warning: not used: {_counts(unused)}; they have no area in an image")
    if report.unknown:
        more = " ..." if len(report.unknown) > MOST_NAMES else ""
        names = ", ".join(map(repr, report.unknown[:MOST_NAMES]))
        lines.append(f"warning: not in the study: {names}{more}")
    return [*lines, f"Report   {report.path}", f"Next     trephine retrain {study} --from truth"]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
