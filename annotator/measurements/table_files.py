"""The data table as files: CSV for spreadsheets, Parquet for programs.

::

    report/dataset.csv      one row an image
    report/dataset.parquet  the same, typed
    report/patients.csv     one row a patient: means, SD, numbers of images
    report/summary.csv      the whole set: the published tables 1 and 2 and figure 2, as rows

Undefined is an empty cell, or null. Text that a spreadsheet would run is quoted, see
:mod:`annotator.core.csv`; Parquet holds it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from annotator.core.class_areas import AREA_NAMES
from annotator.core.csv import Cell, write_table
from annotator.core.files import write_atomic
from annotator.core.scale_source import found_scale_columns
from annotator.measurements.flags import FLAGS
from annotator.measurements.summary import Band, Dataset, PatientRow, Row, Spread, Summary

Columns = dict[str, Cell]
_TYPES = {
    "width_px": "int32",
    "height_px": "int32",
    "adipocytes": "int32",
    "adipocytes_whole": "int32",
    "adipocytes_at_bone": "int32",
    "adipocytes_measured": "int32",
    "excluded_px": "int64",
}
_TEXTS = (
    "image",
    "image_id",
    "patient",
    "labels",
    "scale_source",
    "scale_found_by",
    "adipocyte_area_unit",
    "notes",
    *(f"{name}_set_by" for name in FLAGS),
)


def write_dataset(found: Dataset, folder: Path) -> tuple[Path, ...]:
    """Write all files into a folder, each whole or not at all.

    Raises
    ------
    StorageError
        When the place refuses.
    """
    contents = {
        "dataset.csv": rows_csv(found.rows),
        "dataset.parquet": rows_parquet(found.rows),
        "patients.csv": patients_csv(found.patients),
        "summary.csv": summary_csv(found),
    }
    for name, data in contents.items():
        write_atomic(folder / name, data)
    return tuple(folder / name for name in contents)


def columns(row: Row) -> Columns:
    """One row of the table by the names of the columns; shares 0..1, areas in percent."""
    fat, sizes = row.adipocytes, row.adipocyte_diameters
    body: Columns = {
        "image": row.name,
        "image_id": row.image_id,
        "patient": row.patient,
        "labels": row.source,
        "width_px": row.width,
        "height_px": row.height,
        "um_per_px": row.um_per_px,
        "scale_source": row.scale_source,
        **found_scale_columns(row.found_scale),
        "area_mm2": _area_mm2(row),
        **{f"{name}_pct": row.areas_pct[name] for name in AREA_NAMES},
        **_with_band("cellularity", row.cellularity, row.cellularity_band),
        **_with_band("cellularity_of_tissue", row.second, row.second_band),
        "adipocytes": fat.count,
        "adipocytes_whole": fat.whole,
        "adipocyte_area_mean": fat.mean_area,
        "adipocyte_area_median": fat.median_area,
        "adipocyte_area_unit": fat.unit,
        "adipocyte_circularity": fat.circularity,
        "adipocytes_at_bone": fat.at_bone,
        "adipocytes_measured": fat.measured,
        "tissue_mm2": row.tissue_mm2,
        "adipocytes_per_mm2": row.adipocytes_per_mm2,
        **{
            f"adipocyte_diameter_um_{name}": None if sizes is None else getattr(sizes, name)
            for name in ("mean", "median", "p5", "p95")
        },
    }
    for name, flag in row.flags.items():
        body |= {name: flag.raised, f"{name}_score": flag.score, f"{name}_set_by": flag.set_by}
    excluded: Columns = {"excluded_px": row.excluded_px, "excluded_um2": row.excluded_um2}
    return body | {"notes": "; ".join(row.notes)} | excluded


def _area_mm2(row: Row) -> float | None:
    if row.um_per_px is None:
        return None
    return row.counted_px * row.um_per_px**2 / 1e6


def _with_band(name: str, value: float | None, band: Band | None) -> Columns:
    low, high = band or (None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def rows_csv(rows: Sequence[Row]) -> bytes:
    """One row an image, as CSV; floats rounded to six digits."""
    return _csv([columns(row) for row in rows])


def rows_parquet(rows: Sequence[Row]) -> bytes:
    """One row an image, as Parquet; the types stand also where there are no rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    body = [columns(row) for row in rows]
    names = list(body[0]) if body else []
    arrays = [pa.array([one[name] for one in body], type=_type(pa, name)) for name in names]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays, names=names), sink)
    return bytes(sink.getvalue().to_pybytes())


def _type(pa: Any, name: str) -> Any:
    if name in _TEXTS:
        return pa.string()
    if name in FLAGS or name == "found_scale_is_sure":
        return pa.bool_()
    return getattr(pa, _TYPES.get(name, "float64"))()


def patients_csv(patients: Sequence[PatientRow]) -> bytes:
    """One row a patient: means and SD over the images."""
    return _csv([_patient(one) for one in patients])


def _patient(one: PatientRow) -> Columns:
    body: Columns = {
        "patient": one.patient,
        "images": one.summary.images,
        "images_from_truth": one.summary.from_truth,
    }
    for name, value in figures(one.summary).items():
        body |= {f"{name}_mean": value.mean, f"{name}_sd": value.sd}
    return body | {f"images_{name}": one.summary.flags[name] for name in FLAGS}


def figures(of: Summary) -> dict[str, Spread]:
    """The figures of a summary, by the names of the columns of the table."""
    return {
        **{f"{name}_pct": of.areas_pct[name] for name in AREA_NAMES},
        "cellularity": of.cellularity,
        "cellularity_of_tissue": of.second,
        "adipocyte_area_um2": of.adipocyte_area_um2,
        "adipocyte_area_px": of.adipocyte_area_px,
        "adipocyte_circularity": of.circularity,
        "adipocytes_per_mm2": of.adipocytes_per_mm2,
        "adipocyte_diameter_um": of.adipocyte_diameter_um,
    }


def summary_csv(found: Dataset) -> bytes:
    """The whole set: each figure over the images and over the patients, then the histogram."""
    rows: list[Columns] = []
    for over, of in (("images", found.whole), ("patients", found.over_patients)):
        for name, value in figures(of).items():
            numbers: Columns = {"n": value.n, "mean": value.mean, "sd": value.sd}
            more: Columns = {"median": value.median, "min": value.least, "max": value.most}
            rows.append({"figure": name, "over": over, **numbers, **more})
    for one in found.histogram:
        title = f"cellularity {one.low} to {one.high} %"
        rows.append({"figure": title, "over": "images", "n": one.images})
    for bin_ in found.adipocyte_sizes.histogram:
        end = "and more" if bin_.high is None else f"to {bin_.high}"
        title = f"adipocyte diameter {bin_.low} {end} um"
        rows.append({"figure": title, "over": "adipocytes", "n": bin_.adipocytes})
    return _csv(rows)


def _csv(rows: Sequence[Columns]) -> bytes:
    """The columns are those of the first row, which has them all."""
    names = list(rows[0]) if rows else []
    return write_table(names, ([_short(row.get(name)) for name in names] for row in rows))


def _short(value: Cell) -> Cell:
    return round(value, 6) if isinstance(value, float) else value
