"""What ``annotate`` and others print on stdout: tables, lines and JSON. No logic.

:func:`console`, :func:`table`, :func:`say` and :func:`some` are those of all commands.

Nothing here is imported before a command runs, so that ``trephine --help`` is quick.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table

from annotator.core.classes import CLASS_NAMES
from annotator.core.progress import duration
from annotator.core.scale_source import found_scale_columns, scale_sources_in_words
from annotator.report.text import percentage

if TYPE_CHECKING:
    from annotator.doctor import Check
    from annotator.pipeline.results import BatchResult, ImageRow
    from annotator.segmentation.sam.weights import WeightsRow
    from export.shapes import ExportReport

MOST_ROWS = 30
"""A longer table is cut: the first rows, a count of the others, and the mean of all."""
MOST_NAMES = 6
"""Names in one line."""
NAMED_BY = {
    "seed": "Objects named by groups, which nobody reviewed: the classes are unreviewed seeds.",
    "starter": "Objects named by the starter network, which learned elsewhere: nobody has reviewed "
    "them yet.",
    "model": "Objects named by the study's own classifier, from its current round of learning.",
}
"""Who named the objects, in words."""
_PIPE_WIDTH = 160
_SHOWN = 0.0005


def console(stderr: bool = False) -> Console:
    """A console that keeps tables whole where the output goes to a file or a pipe."""
    made = Console(stderr=stderr, highlight=False, emoji=False)
    if not made.is_terminal and made.width < _PIPE_WIDTH:
        made = Console(stderr=stderr, highlight=False, emoji=False, width=_PIPE_WIDTH)
    return made


def table(*titles: str, align: str = "l", gap: int = 1, whole: bool = False) -> Table:
    """A table without lines.

    Parameters
    ----------
    *titles : str
    align : str
        ``l`` or ``r`` for the first columns; the others are set to the right.
    gap : int
        Spaces between columns.
    whole : bool
        Break no column but the first where the terminal is narrow, and titles at their first
        space, so that the table fits into 80 columns.
    """
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, gap, 0, 0))
    for at, title in enumerate(titles):
        left = align[at : at + 1] == "l"
        if whole and at:
            made.add_column(title.replace(" ", "\n", 1), justify="right", no_wrap=True)
        else:
            width = 10 if whole else None
            justify: JustifyMethod = "left" if left else "right"
            made.add_column(title, justify=justify, overflow="fold", min_width=width)
    return made


def say(lines: Iterable[str]) -> None:
    """Print lines as they are: a terminal breaks them, nothing in them is markup."""
    out = console()
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are.

    Examples
    --------
    >>> some(["a", "b"]), some([str(number) for number in range(8)])
    ('a, b', '0, 1, 2, 3, 4, 5 and 2 more')
    """
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def plain(text: str) -> str:
    """A figure with a hyphen for its minus: not every terminal knows the longer one."""
    return text.replace("−", "-")


def area(row: ImageRow) -> str:
    """Area of the image in mm2 where its scale is known, else in megapixels."""
    pixels = sum(row.areas_px.values())
    if row.um_per_px is None:
        return f"{pixels / 1e6:.2f} Mpx"
    return f"{pixels * row.um_per_px**2 / 1e6:.3f} mm²"


def shares(areas_px: Mapping[str, int]) -> dict[str, float]:
    """Share of the image of each class, 0..1.

    Examples
    --------
    >>> shares({"bg": 1, "fat": 3})
    {'bg': 0.25, 'fat': 0.75}
    """
    # Of an image that is excluded as a whole nothing is left.
    total = sum(areas_px.values()) or 1
    return {name: pixels / total for name, pixels in areas_px.items()}


def summary_table(rows: Sequence[ImageRow]) -> Table:
    """One row an image, and the mean of all; cut after `MOST_ROWS`."""
    unlabelled = any(shares(row.areas_px).get("unlabelled", 0) > _SHOWN for row in rows)
    classes = [*CLASS_NAMES, *(["unlabelled"] if unlabelled else [])]
    titles = ["area", *(f"{name} %" for name in classes), "cellularity %", "objects", "s"]
    made = table("image", *titles, whole=True)
    for row in rows[:MOST_ROWS]:
        of_class = shares(row.areas_px)
        made.add_row(
            escape(row.name),
            area(row),
            *(percentage(of_class.get(name, 0.0)) for name in classes),
            percentage(row.cellularity) + _doubt(row),
            str(row.objects),
            f"{row.seconds:.1f}",
            style="dim" if row.status == "skipped" else None,
        )
    if len(rows) > MOST_ROWS:
        made.add_row(f"… and {len(rows) - MOST_ROWS} more", style="dim")
    if len(rows) > 1:
        made.add_section()
        made.add_row(*_mean_cells(rows, classes), style="bold")
    return made


def _doubt(row: ImageRow) -> str:
    """A question mark behind a cellularity whose white is doubtful; a note says why."""
    from annotator.pipeline.view_notes import DOUBTFUL_WHITE

    doubtful = any(note.startswith(DOUBTFUL_WHITE) for note in row.notes)
    return " ?" if doubtful and row.cellularity is not None else ""


def _mean_cells(rows: Sequence[ImageRow], classes: Sequence[str]) -> list[str]:
    of_class = [shares(row.areas_px) for row in rows]
    return [
        f"mean of {len(rows)}",
        "",
        *(percentage(mean(s.get(name, 0.0) for s in of_class)) for name in classes),
        percentage(mean_of_known([row.cellularity for row in rows])),
        str(round(mean(row.objects for row in rows))),
        f"{mean(row.seconds for row in rows):.1f}",
    ]


def mean_of_known(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are not None; None where there is none."""
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def notes_text(rows: Sequence[ImageRow]) -> list[str]:
    """Notes on the images, each note once, with the names of its images.

    Notes that begin with a count of pixels are added up.
    """
    holders: dict[str, list[str]] = {}
    pixels: Counter[str] = Counter()
    for row in rows:
        for note in row.notes:
            count, unit, rest = note.partition(" px ")
            counted = count.isdecimal() and bool(unit)
            text = rest if counted else note
            pixels[text] += int(count) if counted else 0
            holders.setdefault(text, []).append(row.name)
    lines = [
        f"note: {f'{pixels[text]} px ' if pixels[text] else ''}{text} ({some(names)})"
        for text, names in holders.items()
    ]
    more = len(lines) - MOST_ROWS
    return lines if more <= 0 else [*lines[:MOST_ROWS], f"note: and {more} more, see --json"]


def failures_text(result: BatchResult) -> list[str]:
    """The images that failed, each with its reason."""
    if not result.failures:
        return []
    head = f"{len(result.failures)} of {_asked(result)} images failed:"
    return [head, *(f"  {f.path}: {f.reason}" for f in result.failures)]


def counts_text(result: BatchResult) -> list[str]:
    """How many images were annotated, skipped, failed or found twice, and remarks on them."""
    done = len(result.rows) - result.skipped
    lines = [
        f"{done} annotated, {result.skipped} done before, {len(result.failures)} failed "
        f"in {duration(result.seconds)}"
    ]
    lines += [f"same picture twice: {d.path} is {d.name}" for d in result.duplicates[:MOST_ROWS]]
    if len(result.duplicates) > MOST_ROWS:
        lines.append(f"same picture twice: and {len(result.duplicates) - MOST_ROWS} more")
    lines += sources_text(result.rows)
    if result.rows:
        where = scale_sources_in_words(row.scale_source for row in result.rows)
        lines.append(f"microns per pixel: {where}")
    if result.kept:
        lines.append(f"left alone, edited by a person: {some(result.kept)}")
    if result.refreshed:
        lines.append(f"{result.refreshed} earlier images classified again with the new groups")
    if result.stale:
        lines.append(
            f"still with classes of older groups, their picture is gone: {some(result.stale)}"
        )
    if result.ignored:
        lines.append(f"{result.ignored} other files in the folders passed over")
    if result.damaged:
        lines.append(f"{result.damaged} damaged cache files were made again")
    return lines


def sources_text(rows: Sequence[ImageRow]) -> list[str]:
    """Number of objects from each source; empty where none is from SAM."""
    made = Counter[str]()
    for row in rows:
        made.update(row.sources)
    if not made["sam"]:
        return []
    whose = ", ".join(f"{name} {count}" for name, count in made.most_common())
    return [f"objects {made.total()} ({whose})"]


def _asked(result: BatchResult) -> int:
    return len(result.rows) + len(result.failures) + len(result.duplicates)


def result_json(result: BatchResult, **extra: Any) -> dict[str, Any]:
    """The same as plain values, for ``--json``; `extra` comes first."""
    return {
        **extra,
        "seeded": result.seeded,
        "named_by": result.named_by,
        "seconds": round(result.seconds, 3),
        "rows": [_row_json(row) for row in result.rows],
        "failures": [{"path": f.path, "reason": f.reason} for f in result.failures],
        "skipped": result.skipped,
        "duplicates": [{"path": d.path, "name": d.name} for d in result.duplicates],
        "kept": list(result.kept),
        "refreshed": result.refreshed,
        "stale": list(result.stale),
        "damaged": result.damaged,
        "ignored": result.ignored,
        "stage_seconds": dict(result.stage_seconds),
        "notes": list(result.notes),
    }


def _row_json(row: ImageRow) -> dict[str, Any]:
    scale = row.um_per_px
    areas_um2 = scale and {n: round(p * scale**2, 3) for n, p in row.areas_px.items()}
    return {
        "name": row.name,
        "path": row.path,
        "image_id": row.image_id,
        "status": row.status,
        "um_per_px": scale,
        "scale_source": row.scale_source,
        **found_scale_columns(row.found_scale),
        "areas_px": dict(row.areas_px),
        "areas_um2": areas_um2,
        "cellularity": row.cellularity,
        "objects": row.objects,
        "coverage": dict(row.coverage),
        "seconds": round(row.seconds, 3),
        "notes": list(row.notes),
        "makers": dict(row.sources),
        "stage_seconds": dict(row.stage_seconds),
        "counts": dict(row.counts),
    }


def print_result(result: BatchResult, folder: Path) -> None:
    """Print the table, the failures and where to look."""
    out = console()
    if result.rows:
        out.print(summary_table(result.rows))
        out.print()
    say(
        [
            *notes_text(result.rows),
            *counts_text(result),
            *failures_text(result),
            *_where(result, folder),
        ],
    )


def _where(result: BatchResult, folder: Path) -> list[str]:
    if not result.rows:
        return []
    lines = [""]
    if result.named_by in NAMED_BY:
        lines.append(NAMED_BY[result.named_by])
    return [
        *lines,
        f"Look at  {folder / 'rough'}: contact sheet, overlays/, and label maps as PNG",
        f"Next     trephine review {folder}   (correct objects at a glance, in the browser)",
        _second_step(result.named_by, folder),
        f"         trephine export {folder} --format voc {folder / 'exports' / 'voc.zip'}",
    ]


def _second_step(named_by: str | None, folder: Path) -> str:
    """Groups are for a first draft; a classifier of the study's own knows what to ask next."""
    if named_by == "model":
        return f"         trephine next {folder}       (which images to correct now, and why)"
    return (
        f"         trephine seed {folder}     (or name them group by group), then trephine retrain"
    )


def print_checks(checks: Sequence[Check]) -> None:
    """Print a line for each check of the doctor, with advice below it."""
    out = console()
    styles = {"ok": "green", "note": "yellow", "missing": "bold red"}
    for check, after in zip_longest(checks, checks[1:]):
        mark = f"[{styles[check.status]}]{check.status:<8}[/]"
        out.print(f"{mark}{escape(check.name):<16}{escape(check.found)}", soft_wrap=True)
        # The same for many images: once, below the last of them.
        if check.advice and (after is None or after.advice != check.advice):
            out.print(f"{'':<24}[dim]{escape(check.advice)}[/]", soft_wrap=True)


def weights_json(rows: Sequence[WeightsRow]) -> list[dict[str, Any]]:
    """The checkpoints as plain values, for JSON."""
    return [{**asdict(row), "path": str(row.path)} for row in rows]


def print_weights(rows: Sequence[WeightsRow]) -> None:
    """Print the checkpoints, and whether each is on this machine and undamaged."""
    made = table("name", "MB", "here", "place", align="lrll", gap=2)
    for row in rows:
        made.add_row(row.name, f"{row.bytes / 1e6:.0f}", _state(row), escape(str(row.path)))
    console().print(made)


def _state(row: WeightsRow) -> str:
    if row.present:
        return "verified" if row.verified else f"damaged: trephine weights fetch {row.name}"
    if row.partial:
        return f"{100 * row.partial / row.bytes:.0f} %: trephine weights fetch {row.name}"
    return f"no: trephine weights fetch {row.name}"


def print_export(report: ExportReport) -> None:
    """Print the files that were written, and notes: merged objects are among them."""
    lines = [f"{report.images} images, {report.shapes} shapes as {report.format}:"]
    lines += [f"  {path}" for path in report.files]
    say([*lines, *report.notes])
