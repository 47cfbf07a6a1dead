"""What ``trephine stats`` prints: tables, the histogram as bars, lines. No logic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from annotator.cli.print_annotate import MOST_ROWS, console, percent
from annotator.core.class_areas import AREA_NAMES
from annotator.measurements.flags import FLAGS, Flag
from annotator.measurements.morphometry import Adipocytes
from annotator.measurements.summary import Band, CellularityBin, Dataset, PatientRow, Row, Spread

_BAR = 40
_SHOWN = 0.05
_NAMED = 6


def print_stats(found: Dataset, files: Sequence[Path], by: str) -> None:
    """Print the table, the whole set, and where the files lie."""
    out = console()
    names = _shown_areas(found)
    table = patient_table(found.patients, names) if by == "patient" else row_table(found, names)
    out.print(table)
    out.print()
    out.print(whole_table(found, names))
    out.print()
    _lines(out, ["Cellularity, images in steps of 10 %:", *bars(found.histogram)])
    _lines(out, ["", *_remarks(found), *(f"written: {path}" for path in files)])


def _shown_areas(found: Dataset) -> list[str]:
    """Unlabelled only where there is any."""
    open_ = any(row.areas_pct["unlabelled"] > _SHOWN for row in found.rows)
    return [name for name in AREA_NAMES if open_ or name != "unlabelled"]


def row_table(found: Dataset, names: Sequence[str]) -> Table:
    """One row an image, cut after `MOST_ROWS`."""
    table = _table("image", ["labels", *(f"{n} %" for n in names), "cellularity %", *_FAT, "flags"])
    for row in found.rows[:MOST_ROWS]:
        table.add_row(
            escape(row.name),
            row.source,
            *(f"{row.areas_pct[name]:.1f}" for name in names),
            _banded(row.cellularity, row.cellularity_band),
            *_fat_cells(row.adipocytes),
            _flag_words(row.flags),
        )
    _rest(table, len(found.rows))
    return table


_FAT = ("adipo- cytes", "mean area", "round- ness")


def _fat_cells(fat: Adipocytes) -> tuple[str, str, str]:
    unit = {"um2": "µm²", "px": "px"}[fat.unit]
    area = "–" if fat.mean_area is None else f"{fat.mean_area:.0f} {unit}"
    return str(fat.count), area, _number(fat.circularity)


def _banded(value: float | None, band: Band | None) -> str:
    if value is None or band is None:
        return percent(value)
    return f"{percent(value)} ({percent(band[0], 0)}–{percent(band[1], 0)})"


def _flag_words(flags: Mapping[str, Flag]) -> str:
    """Raised flags; a question mark where it is only our proposal."""
    words = [f"{n}{'' if f.value is not None else '?'}" for n, f in flags.items() if f.raised]
    return ", ".join(words) or "–"


def patient_table(patients: Sequence[PatientRow], names: Sequence[str]) -> Table:
    """One row a patient: mean and SD over the images."""
    table = _table("patient", ["images", *(f"{n} %" for n in names), "cellularity %"])
    for one in patients[:MOST_ROWS]:
        table.add_row(
            escape(one.patient),
            str(one.summary.images),
            *(_spread(one.summary.areas_pct[name]) for name in names),
            _spread(one.summary.cellularity, 100),
        )
    _rest(table, len(patients))
    return table


def whole_table(found: Dataset, names: Sequence[str]) -> Table:
    """Mean (SD) of the whole set, over the images and over the patients."""
    whole, over = found.whole, found.over_patients
    images = f"{whole.images} images ({whole.from_truth} corrected)"
    table = _table("mean (SD)", [images, f"{whole.patients} patients"])
    for name in names:
        table.add_row(f"{name} %", *(_spread(of.areas_pct[name]) for of in (whole, over)))
    table.add_section()
    table.add_row("cellularity %", *(_spread(of.cellularity, 100) for of in (whole, over)))
    second = "cellularity of tissue %"
    table.add_row(second, *(_spread(of.second, 100) for of in (whole, over)))
    table.add_section()
    for unit, figures in (
        ("µm²", [of.adipocyte_area_um2 for of in (whole, over)]),
        ("px", [of.adipocyte_area_px for of in (whole, over)]),
    ):
        if figures[0].n:
            table.add_row(f"adipocyte {unit}", *(_spread(one, digits=0) for one in figures))
    table.add_row("roundness", *(_spread(of.circularity, digits=2) for of in (whole, over)))
    return table


def bars(bins: Sequence[CellularityBin]) -> list[str]:
    """The histogram as lines of text.

    Examples
    --------
    >>> bars([CellularityBin(0, 10, 0), CellularityBin(10, 20, 2)])[1].split()
    ['10–', '20', '%', '2', '████████████████████████████████████████']
    """
    most = max((one.images for one in bins), default=0) or 1
    return [
        f"{one.low:3d}–{one.high:3d} %  {one.images:5d}  {'█' * round(_BAR * one.images / most)}"
        for one in bins
    ]


def _remarks(found: Dataset) -> list[str]:
    whole = found.whole
    raised = [f"{whole.flags[name]} {name}" for name in FLAGS if whole.flags[name]]
    lines = [f"flags ({_said(found.rows)} set by a person): {', '.join(raised)}"] if raised else []
    if found.without:
        lines.append(f"{len(found.without)} without such labels: {_some(found.without)}")
    for note in dict.fromkeys(note for row in found.rows for note in row.notes):
        names = [row.name for row in found.rows if note in row.notes]
        lines.append(f"note: {note} ({_some(names)})")
    lines += [f"note: {note}" for note in found.notes]
    if found.faults:
        count = len(found.faults)
        lines.append(f"{count} image{'' if count == 1 else 's'} could not be measured:")
        lines += [f"  {fault.name}: {fault.reason}" for fault in found.faults]
    return lines


def _said(rows: Sequence[Row]) -> int:
    return sum(flag.value is not None for row in rows for flag in row.flags.values())


def _some(names: Sequence[str]) -> str:
    more = f" … and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _spread(value: Spread, scale: float = 1.0, digits: int = 1) -> str:
    if value.mean is None:
        return "–"
    sd = "–" if value.sd is None else f"{scale * value.sd:.{digits}f}"
    return f"{scale * value.mean:.{digits}f} ({sd})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _rest(table: Table, count: int) -> None:
    if count > MOST_ROWS:
        table.add_row(f"… and {count - MOST_ROWS} more, all in the files", style="dim")


def _table(first: str, titles: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    table.add_column(first, overflow="fold", min_width=10)
    for title in titles:
        table.add_column(title.replace(" ", "\n", 1), justify="right", no_wrap=title != "flags")
    return table


def _lines(out: Console, lines: Sequence[str]) -> None:
    for line in lines:
        out.print(escape(line), soft_wrap=True)
