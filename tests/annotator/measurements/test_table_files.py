"""The files of the data table, read back by csv and pyarrow."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.hostile_texts import HOSTILE, cells_that_run
from support.measured_studies import add, field

from annotator.core.csv import plain, read_records
from annotator.measurements.flag_table import set_flags
from annotator.measurements.summary import Dataset
from annotator.measurements.table import dataset
from annotator.measurements.table_files import rows_csv, rows_parquet, write_dataset
from annotator.settings.images import PatientSettings
from annotator.study.patients import patients_of
from annotator.study.study import Study

NAMES = ("=1+1", "+plus", "-minus", "@at", "Fall 12 – Mäusle, rechts", "plain")


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Dataset]:
    with Study.create(tmp_path / "study") as study:
        for number, name in enumerate(NAMES):
            add(study, f"{name}.png", field(bone=number), um_per_px=0.5 if number else None)
        set_flags(study, "plain", ["haemorrhage=yes"], "Eva")
        yield dataset(study)


def read(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_the_csv_holds_every_row_and_no_formula(found: Dataset) -> None:
    rows = read(rows_csv(found.rows))
    assert sorted(plain(row["image"]) for row in rows) == sorted(NAMES)
    assert all(cell[:1] not in "=+-@" or not cell for row in rows for cell in row.values())
    (first,) = (row for row in rows if row["image"] == "plain")
    assert first["labels"] == "rough"
    assert float(first["bone_pct"]) == 10.0
    assert float(first["cellularity"]) == pytest.approx(1680 / 1800, abs=1e-6)
    assert (first["haemorrhage"], first["haemorrhage_set_by"]) == ("yes", "Eva")
    assert (first["adipocyte_area_mean"], first["adipocyte_area_unit"]) == ("25.0", "um2")
    assert float(first["area_mm2"]) == 2000 * 0.25 / 1e6
    assert (first["um_per_px"], first["scale_source"]) == ("0.5", "file")
    assert (first["adipocytes"], first["adipocytes_measured"]) == ("2", "1")
    assert float(first["tissue_mm2"]) == pytest.approx(0.0005)
    assert float(first["adipocytes_per_mm2"]) == pytest.approx(4000)
    assert float(first["adipocyte_diameter_um_mean"]) == pytest.approx(5.641896, abs=1e-6)
    assert first["adipocyte_diameter_um_p5"] == first["adipocyte_diameter_um_p95"]
    (unknown,) = (row for row in rows if row["image"] == "'=1+1")
    assert (unknown["um_per_px"], unknown["area_mm2"]) == ("", "")
    assert unknown["scale_source"] == "none"
    assert (unknown["tissue_mm2"], unknown["adipocytes_per_mm2"]) == ("", "")
    assert unknown["adipocyte_diameter_um_mean"] == ""


def test_a_scale_found_in_the_picture_gives_no_microns(found: Dataset) -> None:
    bare = next(row for row in found.rows if row.um_per_px is None)
    (row,) = read(rows_csv([replace(bare, scale_source="found")]))
    assert row["scale_source"] == "found"
    microns = [name for name in row if "mm2" in name or name.startswith("adipocyte_diameter")]
    assert len(microns) == 7
    assert {row[name] for name in microns} == {""}
    assert row["adipocyte_area_unit"] == "px"


def test_areas_of_the_csv_sum_to_100(found: Dataset) -> None:
    names = [f"{name}_pct" for name in ("bg", "fat", "cell", "bone", "unlabelled")]
    for row in read(rows_csv(found.rows)):
        assert sum(float(row[name]) for name in names) == pytest.approx(100, abs=1e-5)


def test_parquet_says_the_same_with_types(found: Dataset) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(rows_parquet(found.rows)))
    assert table.column_names == list(read(rows_csv(found.rows))[0])
    assert table["image"].to_pylist() == [row.name for row in found.rows]
    assert table["cellularity"].to_pylist() == [row.cellularity for row in found.rows]
    types = [str(table.schema.field(name).type) for name in ("image", "width_px", "artefact")]
    assert types == ["string", "int32", "bool"]
    assert table["um_per_px"].null_count == 1


def test_all_files_are_written_and_twice_the_same(found: Dataset, tmp_path: Path) -> None:
    first = write_dataset(found, tmp_path / "a")
    second = write_dataset(found, tmp_path / "b")
    names = ["dataset.csv", "dataset.parquet", "patients.csv", "summary.csv"]
    assert [path.name for path in first] == names
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_patients_and_summary_read_back(found: Dataset, tmp_path: Path) -> None:
    _, _, patients, summary = (path.read_bytes() for path in write_dataset(found, tmp_path))
    assert [plain(row["patient"]) for row in read(patients)] == sorted(NAMES)
    assert {row["images"] for row in read(patients)} == {"1"}
    figures = {(row["figure"], row["over"]): row for row in read(summary)}
    assert float(figures["cellularity", "images"]["mean"]) == pytest.approx(
        found.whole.cellularity.mean, abs=1e-6
    )
    assert figures["cellularity 90 to 100 %", "images"]["n"] == "6"
    assert figures["adipocyte_diameter_um", "images"]["n"] == "5"
    assert figures["adipocyte diameter 0 to 10 um", "adipocytes"]["n"] == "5"
    assert {row["adipocytes_per_mm2_mean"] for row in read(patients)} == {"", "4000.0"}


def test_an_empty_table_can_be_written(tmp_path: Path) -> None:
    with Study.create(tmp_path / "study") as study:
        paths = write_dataset(dataset(study), tmp_path / "out")
    assert all(path.exists() for path in paths)


def test_hostile_patients_and_authors_are_text_and_come_back(tmp_path: Path) -> None:
    """Both tables; the first is itself a table of patients that a study can be given."""
    with Study.create(tmp_path / "study") as study:
        for number in range(len(HOSTILE)):
            add(study, f"field {number:02d}.png", field())
            set_flags(study, f"field {number:02d}", ["artefact=yes"], HOSTILE[number])
        images = study.images()
        found = dataset(study)
        rows = [replace(row, patient=HOSTILE[at]) for at, row in enumerate(found.rows)]
        patients = [replace(found.patients[0], patient=text) for text in HOSTILE]
    write_dataset(replace(found, rows=tuple(rows), patients=tuple(patients)), tmp_path)
    for name in ("dataset.csv", "patients.csv", "summary.csv"):
        assert cells_that_run((tmp_path / name).read_bytes()) == []
    _, records = read_records((tmp_path / "dataset.csv").read_text("utf-8-sig"), ["image"])
    assert [record["patient"] for _, record in records] == list(HOSTILE)
    assert [record["artefact_set_by"] for _, record in records] == list(HOSTILE)
    _, records = read_records((tmp_path / "patients.csv").read_text("utf-8-sig"), ["patient"])
    assert [record["patient"] for _, record in records] == list(HOSTILE)
    settings = PatientSettings(table="dataset.csv")
    assert list(patients_of(images, settings, tmp_path).values()) == list(HOSTILE)
