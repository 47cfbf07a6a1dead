"""The section with the data table: classes, cellularity, patients, images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from annotator.core.class_areas import AREA_NAMES
from annotator.core.patient_counts import of_patients, patients_note, unknown_patients
from annotator.core.scale_source import scale_sources_in_words
from annotator.measurements.adipocyte_sizes import (
    PUBLISHED_DIAMETER_UM,
    PUBLISHED_PER_MM2,
    AdipocyteSizes,
)
from annotator.measurements.flags import ADVICE, FLAGS, PROPOSED_FROM
from annotator.measurements.summary import Dataset, Row, Spread, Summary, excluded_lines
from annotator.report.figures import bands, class_areas, diameter_histogram, histogram
from annotator.report.page import Block, Chart, Charts, Heading, Note, PageTable
from annotator.report.text import NONE, count, interval, number, percentage, sentence, short

MOST_ROWS = 200
"""More rows than this belong into a table of their own, not into a page."""


def numbers_blocks(found: Dataset) -> tuple[Block, ...]:
    """Tables 1 and 2, their figures, patients and images."""
    if not found.rows:
        faults = tuple(_faults(found))
        missing = "No image has an annotation yet: run trephine annotate STUDY IMAGES."
        return (*faults, Note(missing, "missing"))
    return tuple(_blocks(found))


def _blocks(found: Dataset) -> Iterator[Block]:
    yield Note(_whose(found))
    where = scale_sources_in_words(row.scale_source for row in found.rows)
    yield Note(f"Microns per pixel: {where}.")
    yield from (Note(line) for line in excluded_lines(found.rows))
    yield from _faults(found)
    yield _areas(found)
    yield _cellularity(found)
    yield Charts(tuple(_charts(found)))
    yield from _adipocytes(found.whole)
    yield from _adipocyte_sizes(found.adipocyte_sizes, _unknown(found))
    yield Heading("Flags")
    yield from _flags(found)
    yield Heading("Patients and images")
    if _unknown(found) == found.whole.patients:
        yield Note(sentence(patients_note(_unknown(found), found.patients_are_named)))
    else:
        yield from _patients(found)
    yield from _images(found.rows)


def _faults(found: Dataset) -> Iterator[Block]:
    for fault in found.faults:
        yield Note(f"{fault.name}: {fault.reason}", "fault")


def _unknown(found: Dataset) -> int:
    return unknown_patients((row.name, row.patient) for row in found.rows)


def _whose(found: Dataset) -> str:
    """A sentence on whether the labels are drafts or corrected masks."""
    whole = found.whole
    drafts = whole.images - whole.from_truth
    text = f"{of_patients(count(whole.images, 'image'), whole.patients, _unknown(found))}: "
    if not whole.from_truth:
        return text + "all figures come from rough annotations, which nobody has corrected."
    if not drafts:
        return text + "all figures come from corrected masks."
    return text + (
        f"{whole.from_truth} counted from corrected masks, {drafts} from rough annotations, "
        "which nobody has corrected."
    )


def _areas(found: Dataset) -> PageTable:
    head = ("class", "mean, %", "SD", "median, %", "least to most, %", "mean over patients, %")
    rows = [
        (
            name,
            *_spread(found.whole.areas_pct[name]),
            number(found.over_patients.areas_pct[name].mean),
        )
        for name in AREA_NAMES
    ]
    return PageTable("Table 1. Area of each class, percent of the image", head, rows)


def _cellularity(found: Dataset) -> PageTable:
    head = (
        "equation",
        "images",
        "mean, %",
        "SD",
        "median, %",
        "least to most, %",
        "over patients, %",
    )
    whole, patients = found.whole, found.over_patients
    rows = [
        (
            title,
            str(one.n),
            *_spread(one, 100),
            number(None if mean.mean is None else 100 * mean.mean),
        )
        for title, one, mean in (
            ("cell / (cell + fat)", whole.cellularity, patients.cellularity),
            ("cell / tissue without bone and artefact", whole.second, patients.second),
        )
    ]
    return PageTable(
        "Table 2. Cellularity of the images; the last column is the mean over patients", head, rows
    )


def _spread(one: Spread, factor: float = 1.0) -> tuple[str, str, str, str]:
    def scaled(value: float | None) -> str:
        return number(None if value is None else factor * value)

    ends = NONE if one.least is None else f"{scaled(one.least)} to {scaled(one.most)}"
    return scaled(one.mean), scaled(one.sd), scaled(one.median), ends


def _charts(found: Dataset) -> Iterator[Chart]:
    counts = [one.images for one in found.histogram]
    if sum(counts):
        mean = found.whole.cellularity.mean
        yield Chart(
            histogram(counts, None if mean is None else 100 * mean),
            f"Cellularity of {count(sum(counts), 'image')} in steps of 10 %.",
            PageTable(
                "Images by cellularity",
                ("cellularity, %", "images"),
                [(f"{one.low} to {one.high}", str(one.images)) for one in found.histogram],
            ),
        )
    areas = {name: [row.areas_pct[name] for row in found.rows] for name in AREA_NAMES}
    yield Chart(
        class_areas(areas),
        "Area of each class: box from the first to the third quarter of the images, line at the "
        "median, whiskers to 1.5 boxes, dots beyond.",
    )


def _adipocytes(whole: Summary) -> Iterator[Block]:
    yield Heading("Adipocytes")
    rows = [("adipocytes in all images", f"{whole.adipocytes:,}")]
    for title, one, digits in (
        ("mean area, µm²", whole.adipocyte_area_um2, 0),
        ("mean area, px (scale unknown)", whole.adipocyte_area_px, 0),
        ("circularity, 0 to 1", whole.circularity, 3),
    ):
        if one.n:
            value = f"{number(one.mean, digits)} ± {number(one.sd, digits)} ({one.n} images)"
            rows.append((title, value))
    caption = (
        "Size and shape: mean ± SD of the images' means; those that the border cuts or that "
        "touch bone left out"
    )
    yield PageTable(caption, ("figure", "value"), rows)


def _adipocyte_sizes(found: AdipocyteSizes, unknown: int = 0) -> Iterator[Block]:
    """Density and diameters of the images of known scale, beside published figures."""
    if not found.images or not found.count:
        return
    width, density = PUBLISHED_DIAMETER_UM, PUBLISHED_PER_MM2
    rows = [
        ("adipocytes", f"{found.count:,}, of them measured {found.measured:,}", NONE),
        ("tissue, mm²", number(found.tissue_mm2, 3), NONE),
        (
            "adipocytes per mm² of tissue",
            interval(found.per_mm2, 0),
            f"{density.mean:.0f} ± {density.deviation:.0f} ({density.short})",
        ),
        (
            "mean diameter, µm",
            interval(found.mean_um, 1),
            f"{width.mean:.1f} ± {width.deviation:.1f} ({width.short})",
        ),
    ]
    if found.diameters is not None:
        one = found.diameters
        rows.append(("median diameter, µm", number(one.median), NONE))
        rows.append(("nine in ten, µm", f"{number(one.p5)} to {number(one.p95)}", NONE))
    kind = "image" if unknown >= found.patients else "patient"
    images = f"{count(found.images, 'image')} of known scale"
    whose = f", {count(found.patients, 'patient')}" if kind == "patient" else ""
    caption = f"{images}{whose}; 95 % intervals over {kind}s where there are two or more"
    yield PageTable(caption, ("figure", "here", "published"), rows)
    if found.mean_um.value is not None:
        yield Charts((_diameter_chart(found, found.mean_um.value),))
    yield Note(
        "Published figures are those of other bones, stains and ways to measure: a difference "
        "is a reason to look at the images and their scale, not a finding. "
        f"{width.short}: {width.what}. {width.source} {density.short}: {density.what}. "
        f"{density.source}"
    )


def _diameter_chart(found: AdipocyteSizes, mean: float) -> Chart:
    one = PUBLISHED_DIAMETER_UM
    return Chart(
        diameter_histogram(found.histogram, mean, one),
        f"Equivalent diameters of {count(found.measured, 'adipocyte')} in steps of 10 µm, as the "
        f"section cuts them. The band is {one.what}: {one.short}.",
        PageTable(
            "Adipocytes by equivalent diameter",
            ("diameter, µm", "adipocytes"),
            [
                (f"{b.low} {'and more' if b.high is None else f'to {b.high}'}", str(b.adipocytes))
                for b in found.histogram
            ],
        ),
    )


def _flags(found: Dataset) -> Iterator[Block]:
    yield Note(
        "Proposals are simple evidence from colour and texture, and were never compared with "
        "flags of experts: use them only to choose images to look at."
    )
    for name, advice in ADVICE.items():
        if found.whole.flags[name]:
            yield Note(f"{name.replace('_', ' ').capitalize()}: {advice}.")
    rows = []
    for name in FLAGS:
        flags = [(row.name, row.flags[name]) for row in found.rows if name in row.flags]
        by_person = sum(flag.value is True for _, flag in flags)
        proposed = [name for name, flag in flags if flag.value is None and flag.raised]
        shown = ", ".join(proposed[:5]) + (" …" if len(proposed) > 5 else "")
        rows.append((name.replace("_", " "), str(by_person), str(len(proposed)), shown or NONE))
    head = ("flag", "set by a person", "proposed", "images that are proposed")
    caption = f"Images with a flag; proposed from a score of {PROPOSED_FROM:g} on"
    yield PageTable(caption, head, rows, words=True)


def _patients(found: Dataset) -> Iterator[Block]:
    head = ("patient", "images", "cellularity, %", "SD", "cell, %", "fat, %", "bone, %", "bg, %")
    rows = []
    for one in found.patients[:MOST_ROWS]:
        areas, cellularity = one.summary.areas_pct, one.summary.cellularity
        mean, sd, _, _ = _spread(cellularity, 100)
        shares = [number(areas[name].mean) for name in ("cell", "fat", "bone", "bg")]
        rows.append((one.patient, str(one.summary.images), mean, sd, *shares))
    left = len(found.patients) - len(rows)
    more = f"; {left} more by trephine stats STUDY --by patient" if left else ""
    yield PageTable(f"By patient{more}", head, rows, folded=len(rows) > 12)


def _images(rows: Sequence[Row]) -> Iterator[Block]:
    head = (
        *("image", "patient", "from", "cellularity, %", "band, %", "second, %"),
        *(f"{name}, %" for name in AREA_NAMES),
        *("adipocytes", "per mm²", "diameter, µm", "µm per px", "scale from"),
    )
    left = max(0, len(rows) - MOST_ROWS)
    more = f"; {left} more by trephine stats STUDY" if left else ""
    yield PageTable(f"By image{more}", head, [_image(row) for row in rows[:MOST_ROWS]], folded=True)


def _image(row: Row) -> tuple[str, ...]:
    sizes = row.adipocyte_diameters
    return (
        row.name,
        short(row.patient),
        "corrected" if row.source == "truth" else "rough",
        percentage(row.cellularity) + (" ?" if row.is_cellularity_doubtful else ""),
        _band(row.cellularity_band),
        percentage(row.second),
        *(number(row.areas_pct[name]) for name in AREA_NAMES),
        str(row.adipocytes.count),
        number(row.adipocytes_per_mm2, 0),
        number(None if sizes is None else sizes.mean),
        number(row.um_per_px, 3),
        row.scale_source,
    )


def _band(band: tuple[float, float] | None) -> str:
    return NONE if band is None else f"{percentage(band[0])} to {percentage(band[1])}"


def width_of(row: Row) -> float | None:
    """Width of the band of an image's cellularity, percentage points."""
    band = row.cellularity_band
    return None if band is None else 100 * (band[1] - band[0])


def sensitivity_blocks(found: Dataset) -> tuple[Block, ...]:
    """How much cellularity depends on the white reference."""
    known = [
        (100 * row.cellularity_band[0], 100 * row.cellularity, 100 * row.cellularity_band[1])
        for row in found.rows
        if row.cellularity_band is not None and row.cellularity is not None
    ]
    if not known:
        return (
            Note(
                "How far cellularity moves with the white reference is not known: no picture "
                "is at hand where it was read from, or no image has a cellularity. Run trephine "
                "stats STUDY with the pictures in their place.",
                "missing",
            ),
        )
    widths = [high - low for low, _, high in known]
    text = (
        "What counts as white decides what counts as fat. Over the plausible range of the white "
        f"reference, cellularity moves by {number(median(widths))} points in the middle image "
        f"and by {number(max(widths))} in the most sensitive one (of {len(known)}). Differences "
        "between images that are smaller than their bands have no meaning."
    )
    chart = Chart(bands(known), "Cellularity of each image and its band.")
    wide = sorted(found.rows, key=lambda row: (-(width_of(row) or 0.0), row.name))
    rows = [
        (row.name, percentage(row.cellularity), _band(row.cellularity_band), number(width_of(row)))
        for row in wide[:5]
        if row.cellularity_band is not None
    ]
    head = ("image", "cellularity, %", "band, %", "points")
    table = PageTable("Images that depend on it most", head, rows)
    return (Note(text), Charts((chart,)), table)
