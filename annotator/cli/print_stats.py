"""What ``trephine stats`` prints: tables, the histograms as bars, lines. No logic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from annotator.cli.print_annotate import MOST_ROWS, console, say, some, table
from annotator.core.class_areas import AREA_NAMES
from annotator.core.patient_counts import patients_note, unknown_patients
from annotator.core.scale_source import scale_sources_in_words
from annotator.measurements.adipocyte_sizes import (
    PUBLISHED_DIAMETER_UM,
    PUBLISHED_PER_MM2,
    AdipocyteSizes,
    DiameterBin,
)
from annotator.measurements.flags import ADVICE, FLAGS, Flag
from annotator.measurements.morphometry import Adipocytes
from annotator.measurements.summary import (
    Band,
    CellularityBin,
    Dataset,
    PatientRow,
    Row,
    Spread,
    excluded_lines,
)
from annotator.report.text import NONE, count, interval, number, percentage

_BAR = 40
_SHOWN = 0.05


def print_stats(found: Dataset, files: Sequence[Path], by: str) -> None:
    """Print the table, the summary of all images, and the files."""
    out = console()
    names = _shown_areas(found)
    by_patient = by == "patient"
    out.print(patient_table(found.patients, names) if by_patient else row_table(found, names))
    out.print()
    out.print(whole_table(found, names))
    out.print()
    say(["Cellularity, images in steps of 10 %:", *bars(found.histogram)])
    say(adipocyte_lines(found.adipocyte_sizes, _unknown(found)))
    say(["", *excluded_lines(found.rows), *_remarks(found)])
    say(f"written: {path}" for path in files)


def _shown_areas(found: Dataset) -> list[str]:
    """Unlabelled only where there is any."""
    open_ = any(row.areas_pct["unlabelled"] > _SHOWN for row in found.rows)
    return [name for name in AREA_NAMES if open_ or name != "unlabelled"]


def row_table(found: Dataset, names: Sequence[str]) -> Table:
    """One row an image, cut after `MOST_ROWS`."""
    areas = (f"{name} %" for name in names)
    made = table("image", "labels", *areas, "cellularity %", *_FAT, whole=True)
    made.add_column("flags", justify="right")
    for row in found.rows[:MOST_ROWS]:
        made.add_row(
            escape(row.name),
            row.source,
            *(f"{row.areas_pct[name]:.1f}" for name in names),
            _cellularity(row),
            *_fat_cells(row.adipocytes),
            _flag_words(row.flags),
        )
    _rest(made, len(found.rows))
    return made


_FAT = ("adipo- cytes", "mean area", "round- ness")


def _fat_cells(fat: Adipocytes) -> tuple[str, str, str]:
    unit = {"um2": "µm²", "px": "px"}[fat.unit]
    area = NONE if fat.mean_area is None else f"{number(fat.mean_area, 0)} {unit}"
    return str(fat.count), area, number(fat.circularity, 2)


def _cellularity(row: Row) -> str:
    """With its band, and with a question mark where white is doubtful."""
    banded = _banded(row.cellularity, row.cellularity_band)
    return f"{banded} ?" if row.is_cellularity_doubtful else banded


def _banded(value: float | None, band: Band | None) -> str:
    if value is None or band is None:
        return percentage(value)
    return f"{percentage(value)} ({percentage(band[0], 0)}–{percentage(band[1], 0)})"


def _flag_words(flags: Mapping[str, Flag]) -> str:
    """Raised flags; with a question mark if no person has confirmed them."""
    words = [f"{n}{'' if f.value is not None else '?'}" for n, f in flags.items() if f.raised]
    return ", ".join(words) or NONE


def patient_table(patients: Sequence[PatientRow], names: Sequence[str]) -> Table:
    """One row a patient: mean and SD over the images."""
    areas = (f"{name} %" for name in names)
    made = table("patient", "images", *areas, "cellularity %", whole=True)
    for one in patients[:MOST_ROWS]:
        made.add_row(
            escape(one.patient),
            str(one.summary.images),
            *(_spread(one.summary.areas_pct[name]) for name in names),
            _spread(one.summary.cellularity, 100),
        )
    _rest(made, len(patients))
    return made


def whole_table(found: Dataset, names: Sequence[str]) -> Table:
    """Mean (SD) of the whole set, over the images and over the patients."""
    whole, over = found.whole, found.over_patients
    images = f"{whole.images} images ({whole.from_truth} corrected)"
    unknown = _unknown(found)
    known = whole.patients - unknown
    whose = f"{known} patients" if not unknown else f"{known} patients, {unknown} unknown"
    # Where each image is one of its own, a second column would say the same again.
    titles, over_each = [images, whose], [whole, over]
    if unknown == whole.patients:
        titles, over_each = [images], [whole]
    made = table("mean (SD)", *titles, whole=True)
    for name in names:
        made.add_row(f"{name} %", *(_spread(of.areas_pct[name]) for of in over_each))
    made.add_section()
    made.add_row("cellularity %", *(_spread(of.cellularity, 100) for of in over_each))
    second = "cellularity of tissue %"
    made.add_row(second, *(_spread(of.second, 100) for of in over_each))
    made.add_section()
    for unit, figures in (
        ("µm²", [of.adipocyte_area_um2 for of in over_each]),
        ("px", [of.adipocyte_area_px for of in over_each]),
    ):
        if figures[0].n:
            made.add_row(f"adipocyte {unit}", *(_spread(one, digits=0) for one in figures))
    made.add_row("roundness", *(_spread(of.circularity, digits=2) for of in over_each))
    if whole.adipocytes_per_mm2.n:
        figures = [of.adipocytes_per_mm2 for of in over_each]
        made.add_row("adipocytes per mm²", *(_spread(one, digits=0) for one in figures))
    if whole.adipocyte_diameter_um.n:
        figures = [of.adipocyte_diameter_um for of in over_each]
        made.add_row("adipocyte diameter µm", *(_spread(one) for one in figures))
    return made


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


def _unknown(found: Dataset) -> int:
    return unknown_patients((row.name, row.patient) for row in found.rows)


def adipocyte_lines(found: AdipocyteSizes, unknown: int = 0) -> list[str]:
    """Density, diameters and their histogram beside published figures; empty without a scale."""
    if not found.images or not found.count:
        return []
    width, density = PUBLISHED_DIAMETER_UM, PUBLISHED_PER_MM2
    whose = count(found.patients, "image" if unknown >= found.patients else "patient")
    intervals = (
        f"95 % intervals over {whose}"
        if found.mean_um.low is not None or found.per_mm2.low is not None
        else "no intervals, since one patient says nothing of others"
    )
    lines = [
        "",
        f"Adipocytes in {count(found.images, 'image')} of known scale: {found.count}, "
        f"{found.measured} of them measured (whole, not at bone); {intervals}",
        f"  per mm² of tissue  {interval(found.per_mm2, 0)}; published {density.mean:.0f} ± "
        f"{density.deviation:.0f} ({density.short})",
    ]
    if found.diameters is None:
        return lines
    one = found.diameters
    return [
        *lines,
        f"  mean diameter, µm  {interval(found.mean_um, 1)}; published {width.mean:.1f} ± "
        f"{width.deviation:.1f} ({width.short})",
        f"  median {number(one.median)} µm, nine in ten from {number(one.p5)} to "
        f"{number(one.p95)} µm",
        "Adipocytes by equivalent diameter, µm (│ published mean ± deviation):",
        *diameter_bars(found.histogram),
    ]


def diameter_bars(bins: Sequence[DiameterBin]) -> list[str]:
    """The histogram of diameters as lines of text, from the first bin that is not empty.

    Examples
    --------
    >>> bins = [DiameterBin(60, 70, 1), DiameterBin(70, 80, 2), DiameterBin(150, None, 0)]
    >>> for line in diameter_bars(bins):
    ...     print(line.replace("█" * 20, "#"))
     60–70        1    #
     70–80        2  │ ##
    """
    used = [at for at, one in enumerate(bins) if one.adipocytes]
    most = max((one.adipocytes for one in bins), default=0) or 1
    low, high = PUBLISHED_DIAMETER_UM.range
    lines = []
    for one in bins[used[0] : used[-1] + 1] if used else []:
        end = "more" if one.high is None else f"{one.high}"
        is_published = one.low < high and (one.high is None or low < one.high)
        bar = "█" * round(_BAR * one.adipocytes / most)
        mark = "│" if is_published else " "
        lines.append(f"{one.low:3d}–{end:<4}  {one.adipocytes:5d}  {mark} {bar}")
    return lines


def _remarks(found: Dataset) -> list[str]:
    whole = found.whole
    raised = [f"{whole.flags[name]} {name}" for name in FLAGS if whole.flags[name]]
    lines = [f"flags ({_said(found.rows)} set by a person): {', '.join(raised)}"] if raised else []
    for name, advice in ADVICE.items():
        names = [row.name for row in found.rows if name in row.flags and row.flags[name].raised]
        lines += [f"{name}: {advice} ({some(names)})"] if names else []
    if found.rows:
        where = scale_sources_in_words(row.scale_source for row in found.rows)
        lines.append(f"microns per pixel: {where}")
    whose = patients_note(_unknown(found), found.patients_are_named)
    if whose:
        lines.append(f"note: {whose}")
    if found.without:
        lines.append(f"{len(found.without)} without such labels: {some(found.without)}")
    for note in dict.fromkeys(note for row in found.rows for note in row.notes):
        names = [row.name for row in found.rows if note in row.notes]
        lines.append(f"note: {note} ({some(names)})")
    lines += [f"note: {note}" for note in found.notes]
    if found.faults:
        count = len(found.faults)
        lines.append(f"{count} image{'' if count == 1 else 's'} could not be measured:")
        lines += [f"  {fault.name}: {fault.reason}" for fault in found.faults]
    return lines


def _said(rows: Sequence[Row]) -> int:
    return sum(flag.value is not None for row in rows for flag in row.flags.values())


def _spread(value: Spread, scale: float = 1.0, digits: int = 1) -> str:
    if value.mean is None:
        return NONE
    sd = None if value.sd is None else scale * value.sd
    return f"{number(scale * value.mean, digits)} ({number(sd, digits)})"


def _rest(made: Table, count: int) -> None:
    if count > MOST_ROWS:
        made.add_row(f"… and {count - MOST_ROWS} more, all in the files", style="dim")
