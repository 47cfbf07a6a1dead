"""The rows of the data table, and their summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median, stdev
from typing import Any, Literal

from annotator.core.class_areas import AREA_NAMES
from annotator.core.scale_source import FoundScale, ScaleSource
from annotator.measurements.adipocyte_sizes import (
    PUBLISHED_DIAMETER_UM,
    PUBLISHED_PER_MM2,
    AdipocyteField,
    AdipocyteSizes,
    Diameters,
    adipocyte_sizes,
    diameters_of,
    equivalent_diameters,
    per_mm2,
    tissue_area_mm2,
)
from annotator.measurements.flags import FLAGS, Flag
from annotator.measurements.morphometry import Adipocytes

Source = Literal["truth", "rough"]
Band = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """The measurements of one image.

    Parameters
    ----------
    name, image_id, patient : str
    source : {"truth", "rough"}
        The labels: a corrected mask, or the rough annotation.
    areas_pct : mapping
        Percent of the image, without what is excluded of it, by ``bg``, ``fat``, ``cell``,
        ``bone``, ``unlabelled``; sum 100.
    cellularity : float or None
        cell / (cell + fat), 0..1; None where there is neither.
    cellularity_band : (float, float) or None
        How far it moves with the white reference, see
        :mod:`annotator.measurements.white_sensitivity`; None where it is undefined, or the picture
        is not at hand.
    second : float or None
        Cell over the tissue without bone and artefact.
    second_band : (float, float) or None
    adipocytes : Adipocytes
    flags : mapping of str to Flag
    um_per_px : float or None
        From the file, a person or the study's settings, never guessed.
    width, height : int
        Pixels.
    notes : tuple of str
        What a person should know of this row.
    scale_source : ScaleSource
        Who said the scale.
    found_scale : FoundScale or None
        What the picture shows, where nobody said it.
    excluded_px : int
        Pixels that count nowhere.
    black_pct : float
        Percent of the image that is unlabelled because it is black, and so no tissue.
    """

    name: str
    image_id: str
    patient: str
    source: Source
    areas_pct: Mapping[str, float]
    cellularity: float | None
    cellularity_band: Band | None
    second: float | None
    second_band: Band | None
    adipocytes: Adipocytes
    flags: Mapping[str, Flag]
    um_per_px: float | None
    width: int
    height: int
    notes: tuple[str, ...] = ()
    scale_source: ScaleSource = "none"
    found_scale: FoundScale | None = None
    excluded_px: int = 0
    black_pct: float = 0.0

    @property
    def counted_px(self) -> int:
        """Pixels of the image without those that are excluded."""
        return self.width * self.height - self.excluded_px

    @property
    def excluded_um2(self) -> float | None:
        """Area that is excluded; None where the scale is not known."""
        return None if self.um_per_px is None else self.excluded_px * self.um_per_px**2

    @property
    def is_cellularity_doubtful(self) -> bool:
        """Whether there is a cellularity, and the white that it rests on is flagged as doubtful."""
        white = self.flags.get("doubtful_white")
        return self.cellularity is not None and white is not None and white.raised

    @property
    def adipocyte_field(self) -> AdipocyteField | None:
        """Its adipocytes in microns; None where the scale is not known."""
        if self.um_per_px is None:
            return None
        no_tissue = {"bg": self.areas_pct["bg"] + self.black_pct}
        return AdipocyteField(
            self.patient,
            self.adipocytes.count,
            tissue_area_mm2(no_tissue, (1, self.counted_px), self.um_per_px),
            equivalent_diameters(self.adipocytes.areas_px, self.um_per_px),
        )

    @property
    def tissue_mm2(self) -> float | None:
        """Area without the background; None where the scale is not known."""
        field = self.adipocyte_field
        return None if field is None else field.tissue_mm2

    @property
    def adipocytes_per_mm2(self) -> float | None:
        """All adipocytes over the tissue; None where there is none, or no scale."""
        field = self.adipocyte_field
        return None if field is None else per_mm2(field.count, field.tissue_mm2)

    @property
    def adipocyte_diameters(self) -> Diameters | None:
        """Of the measured ones, um; None where there is none, or no scale."""
        field = self.adipocyte_field
        return None if field is None else diameters_of(field.diameters)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        sizes = self.adipocyte_diameters
        return asdict(self) | {
            "flags": {name: f.to_dict() for name, f in self.flags.items()},
            "is_cellularity_doubtful": self.is_cellularity_doubtful,
            "tissue_mm2": self.tissue_mm2,
            "adipocytes_per_mm2": self.adipocytes_per_mm2,
            "adipocyte_diameter_um": None if sizes is None else asdict(sizes),
        }


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample standard deviation of a figure (n - 1 in the denominator).

    Parameters
    ----------
    n : int
        Of the images, or patients, for which the figure is defined.
    mean, sd, median, least, most : float or None
        None where it is defined for none; ``sd`` also where it is for one.
    """

    n: int
    mean: float | None
    sd: float | None
    median: float | None
    least: float | None
    most: float | None


def excluded_lines(rows: Sequence[Row]) -> list[str]:
    """A sentence on how much is excluded of which images; none where nothing is."""
    partly = [row for row in rows if row.excluded_px]
    if not partly:
        return []
    pixels, whole = sum(row.excluded_px for row in partly), sum(r.width * r.height for r in rows)
    areas = [row.excluded_um2 for row in partly]
    um2 = [area for area in areas if area is not None]
    in_mm2 = f" ({sum(um2) / 1e6:.3g} mm²)" if len(um2) == len(areas) else ""
    names = ", ".join(row.name for row in partly[:5]) + (" ..." if len(partly) > 5 else "")
    return [
        f"Excluded regions: {pixels} px{in_mm2}, {100 * pixels / whole:.1f} % of all images, in "
        f"{len(partly)} of {len(rows)}: {names}. They are in no area, cellularity or count."
    ]


def spread(values: Sequence[float | None]) -> Spread:
    """Mean, standard deviation (n - 1), median and range of the values that are defined.

    Parameters
    ----------
    values : sequence of float or None
        None where undefined.

    Returns
    -------
    Spread
        In the unit of the values.

    Examples
    --------
    >>> spread([1.0, 3.0, None]).mean, round(spread([1.0, 3.0, None]).sd, 3)
    (2.0, 1.414)
    """
    known = sorted(value for value in values if value is not None)
    if not known:
        return Spread(0, None, None, None, None, None)
    sd = stdev(known) if len(known) > 1 else None
    return Spread(len(known), mean(known), sd, median(known), known[0], known[-1])


@dataclass(frozen=True, slots=True)
class Summary:
    """Means and counts over several images.

    Parameters
    ----------
    images, patients, from_truth : int
    areas_pct : mapping of str to Spread
        Area percent of each class: the published Table 1.
    cellularity, second : Spread
        By both equations, 0..1: the published Table 2.
    adipocytes : int
        All of them.
    adipocyte_area_um2, adipocyte_area_px, circularity : Spread
        Of the means of the images; um2 over those whose scale is known, px over the others.
    flags : mapping of str to int
        Images with the flag.
    adipocytes_per_mm2, adipocyte_diameter_um : Spread
        Of the images of known scale: adipocytes over tissue, and mean equivalent diameters.
    """

    images: int
    patients: int
    from_truth: int
    areas_pct: Mapping[str, Spread]
    cellularity: Spread
    second: Spread
    adipocytes: int
    adipocyte_area_um2: Spread
    adipocyte_area_px: Spread
    circularity: Spread
    flags: Mapping[str, int]
    adipocytes_per_mm2: Spread
    adipocyte_diameter_um: Spread


@dataclass(frozen=True, slots=True)
class PatientRow:
    """All images of one patient."""

    patient: str
    images: tuple[str, ...]
    summary: Summary


@dataclass(frozen=True, slots=True)
class CellularityBin:
    """Images whose cellularity is at least `low` and under `high` percent; 100 is in the last."""

    low: int
    high: int
    images: int


@dataclass(frozen=True, slots=True)
class MissingRow:
    """An image that has labels but no row, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """The whole table.

    Parameters
    ----------
    rows : tuple of Row
        In order of their names.
    patients : tuple of PatientRow
        In order of their names.
    whole : Summary
        Mean and SD over the images.
    over_patients : Summary
        Mean and SD over the means of the patients: many images of one do not weigh more.
    histogram : tuple of CellularityBin
        Cellularity in steps of 10 %: the published Figure 2.
    adipocyte_sizes : AdipocyteSizes
        Of all images of known scale together.
    faults : tuple of MissingRow
    without : tuple of str
        Names of the images that have no labels of the asked source.
    notes : tuple of str
        What a person should know of the table as a whole.
    patients_are_named : bool
        Whether a pattern or a table says whose an image is.
    """

    rows: tuple[Row, ...]
    patients: tuple[PatientRow, ...]
    whole: Summary
    over_patients: Summary
    histogram: tuple[CellularityBin, ...]
    adipocyte_sizes: AdipocyteSizes
    faults: tuple[MissingRow, ...] = ()
    without: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    patients_are_named: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; undefined ones are null."""
        published = {
            "adipocyte_diameter_um": asdict(PUBLISHED_DIAMETER_UM),
            "adipocytes_per_mm2": asdict(PUBLISHED_PER_MM2),
        }
        rows = [row.to_dict() for row in self.rows]
        return asdict(self) | {"rows": rows, "published": published}


def histogram(values: Sequence[float | None]) -> tuple[CellularityBin, ...]:
    """Count cellularities, 0..1, in steps of 10 %; undefined ones are in no bin.

    Examples
    --------
    >>> [b.images for b in histogram([0.0, 0.1, 0.05, 1.0, None])]
    [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    """
    known = [value for value in values if value is not None]
    # Rounded first, so that 0.3 as a float is not under 30 %.
    which = [min(int(round(100 * value, 9) // 10), 9) for value in known]
    return tuple(CellularityBin(10 * k, 10 * k + 10, which.count(k)) for k in range(10))


def summary(rows: Sequence[Row]) -> Summary:
    """Summarise images, each with the same weight."""
    fat = [row.adipocytes for row in rows]
    return Summary(
        images=len(rows),
        patients=len({row.patient for row in rows}),
        from_truth=sum(row.source == "truth" for row in rows),
        areas_pct={name: spread([row.areas_pct[name] for row in rows]) for name in AREA_NAMES},
        cellularity=spread([row.cellularity for row in rows]),
        second=spread([row.second for row in rows]),
        adipocytes=sum(one.count for one in fat),
        adipocyte_area_um2=spread([one.mean_area for one in fat if one.unit == "um2"]),
        adipocyte_area_px=spread([one.mean_area for one in fat if one.unit == "px"]),
        circularity=spread([one.circularity for one in fat]),
        flags={name: sum(row.flags[name].raised for row in rows) for name in FLAGS},
        adipocytes_per_mm2=spread([row.adipocytes_per_mm2 for row in rows]),
        adipocyte_diameter_um=spread(
            [None if (of := row.adipocyte_diameters) is None else of.mean for row in rows]
        ),
    )


def patient_rows(rows: Sequence[Row]) -> tuple[PatientRow, ...]:
    """One row a patient, in order of their names."""
    by_patient: dict[str, list[Row]] = {}
    for row in rows:
        by_patient.setdefault(row.patient, []).append(row)
    return tuple(
        PatientRow(patient, tuple(row.name for row in of), summary(of))
        for patient, of in sorted(by_patient.items())
    )


def over_patients(patients: Sequence[PatientRow]) -> Summary:
    """Means and spreads of the means of the patients, each with the same weight."""
    summaries = [one.summary for one in patients]
    return Summary(
        images=sum(one.images for one in summaries),
        patients=len(summaries),
        from_truth=sum(one.from_truth for one in summaries),
        areas_pct={
            name: spread([one.areas_pct[name].mean for one in summaries]) for name in AREA_NAMES
        },
        cellularity=spread([one.cellularity.mean for one in summaries]),
        second=spread([one.second.mean for one in summaries]),
        adipocytes=sum(one.adipocytes for one in summaries),
        adipocyte_area_um2=spread([one.adipocyte_area_um2.mean for one in summaries]),
        adipocyte_area_px=spread([one.adipocyte_area_px.mean for one in summaries]),
        circularity=spread([one.circularity.mean for one in summaries]),
        flags={name: sum(one.flags[name] for one in summaries) for name in FLAGS},
        adipocytes_per_mm2=spread([one.adipocytes_per_mm2.mean for one in summaries]),
        adipocyte_diameter_um=spread([one.adipocyte_diameter_um.mean for one in summaries]),
    )


def summarise(
    rows: Sequence[Row],
    faults: Sequence[MissingRow] = (),
    without: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Dataset:
    """Make the table from its rows, given in any order."""
    ordered = tuple(sorted(rows, key=lambda row: row.name))
    patients = patient_rows(ordered)
    fields = [field for row in ordered if (field := row.adipocyte_field) is not None]
    return Dataset(
        rows=ordered,
        patients=patients,
        whole=summary(ordered),
        over_patients=over_patients(patients),
        histogram=histogram([row.cellularity for row in ordered]),
        adipocyte_sizes=adipocyte_sizes(fields),
        faults=tuple(faults),
        without=tuple(without),
        notes=tuple(notes),
    )
