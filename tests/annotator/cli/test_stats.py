"""The command ``trephine stats``: exit codes, tables, JSON, flags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from support.measured_studies import add, field

from annotator.cli.main import run
from annotator.cli.options import DONE, INCOMPLETE, USAGE
from annotator.cli.stats import register
from annotator.study.study import Study

app = typer.Typer()
app.callback()(lambda: None)
register(app)
Output = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Study.create(tmp_path / "study") as study:
        add(study, "[red]one.png", field(), um_per_px=0.5)
        add(study, "two.png", field(bone=10), truth=field(bone=5, unlabelled=5))
        add(study, "three.png", None)
    return tmp_path / "study"


def test_stats_prints_tables_and_writes_files(folder: Path, capsys: Output) -> None:
    assert run(["stats", str(folder)], app) == DONE
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    (one,) = (line for line in lines if line[:1] == ["[red]one"])
    assert one[1:7] == ["rough", "0.0", "6.0", "94.0", "0.0", "0.0"]
    (two,) = (line for line in lines if line[:1] == ["two"])
    assert two[1:7] == ["truth", "0.0", "6.0", "74.0", "10.0", "10.0"]
    assert "1 without such labels: three" in out
    assert "90–100 %" in out
    for name in ("dataset.csv", "dataset.parquet", "patients.csv", "summary.csv"):
        assert str(folder / "report" / name) in out
        assert (folder / "report" / name).exists()


def test_stats_tells_densities_and_diameters_beside_published_ones(
    folder: Path, capsys: Output
) -> None:
    assert run(["stats", str(folder)], app) == DONE
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert (
        "Adipocytes in 1 image of known scale: 2, 1 of them measured (whole, not at bone); no "
        "intervals, since one patient says nothing of others"
    ) in lines
    assert "per mm² of tissue  4000; published 164 ± 54 (Frączak 2018)" in lines
    assert "mean diameter, µm  5.6; published 76.3 ± 4.9 (Motomura 2005)" in lines
    assert any(line.startswith("0–10") and line.endswith("█" * 40) for line in lines)
    assert "microns per pixel: 1 from the file, 1 not known, sizes in pixels" in lines


def test_stats_without_a_scale_says_nothing_of_microns(tmp_path: Path, capsys: Output) -> None:
    with Study.create(tmp_path / "study") as study:
        add(study, "one.png", field())
    assert run(["stats", str(tmp_path / "study")], app) == DONE
    out = capsys.readouterr().out
    assert "published" not in out
    assert "per mm²" not in out


def test_stats_by_patient(folder: Path, capsys: Output) -> None:
    assert run(["stats", str(folder), "--by", "patient", "--from", "rough"], app) == DONE
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()]
    assert ["two", "1", "0.0", "(–)", "6.0", "(–)", "74.0", "(–)", "20.0", "(–)", "92.5"] in [
        row[:11] for row in rows
    ]
    assert any(row[:1] == ["cellularity"] and row[2:4] == ["93.2", "(1.1)"] for row in rows)


def test_stats_prints_json_alone(folder: Path, capsys: Output) -> None:
    assert run(["stats", str(folder), "--json", "--from", "truth"], app) == DONE
    document = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in document["rows"]] == ["two"]
    assert document["whole"]["cellularity"]["mean"] == 1480 / 1600
    assert document["whole"]["cellularity"]["sd"] is None
    assert len(document["histogram"]) == 10
    assert document["rows"][0]["scale_source"] == "none"
    assert document["rows"][0]["adipocyte_diameter_um"] is None
    assert document["adipocyte_sizes"]["images"] == 0
    assert document["published"]["adipocyte_diameter_um"]["short"] == "Motomura 2005"
    assert document["files"][0].endswith("dataset.csv")


def test_a_bad_mask_is_3_and_named(folder: Path, capsys: Output) -> None:
    (folder / "truth" / "two.png").write_bytes(b"nothing")
    assert run(["stats", str(folder)], app) == INCOMPLETE
    out = capsys.readouterr().out
    assert "1 image could not be measured:" in out
    assert "two: two.png: expected a grey PNG" in out


def test_a_flag_is_set_and_shown(folder: Path, capsys: Output) -> None:
    words = ["--set-flag", "two", "haemorrhage=yes,artefact=no", "--author", "eva"]
    assert run(["stats", str(folder), *words], app) == DONE
    assert "set by eva in" in capsys.readouterr().out
    assert run(["stats", str(folder)], app) == DONE
    out = capsys.readouterr().out
    (two,) = (line for line in out.splitlines() if line.startswith("two "))
    assert two.rstrip().endswith("haemorrhage")
    assert "(2 set by a person)" in out


@pytest.mark.parametrize("words", [["two", "fold=yes"], ["nobody", "artefact=yes"]])
def test_a_flag_that_cannot_be_set_is_2(folder: Path, words: list[str], capsys: Output) -> None:
    assert run(["stats", str(folder), "--set-flag", *words], app) == USAGE
    assert "expected" in capsys.readouterr().err
    assert not (folder / "flags.csv").exists()


def test_a_study_without_labels_says_what_to_do(tmp_path: Path, capsys: Output) -> None:
    Study.create(tmp_path / "empty").close()
    assert run(["stats", str(tmp_path / "empty")], app) == USAGE
    assert "annotate" in capsys.readouterr().err
