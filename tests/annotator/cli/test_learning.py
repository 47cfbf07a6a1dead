"""The commands of the loop, from seed to simulation, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.learning_studies import give_truth

from annotator.cli.main import run
from annotator.cli.options import DONE, USAGE
from annotator.study.study import Study

Output = pytest.CaptureFixture[str]


def said(capsys: Output, *words: str, code: int = DONE) -> str:
    """What a command prints on stdout, or on stderr where it fails."""
    found = run(list(words))
    out = capsys.readouterr()
    assert found == code, out.err
    return out.err if code else out.out


def told(capsys: Output, *words: str) -> Any:
    return json.loads(said(capsys, *words, "--json"))


@pytest.mark.slow
def test_seed_apply_retrain_and_look(path: Path, capsys: Output):
    study = str(path)
    assert "seed" in said(capsys, "seed", study, "--images", "6")
    assert "--force" in said(capsys, "seed", study, code=USAGE)
    text = said(capsys, "seed", study, "--apply", "--author", "eva")
    assert "labels of clusters stored" in text
    assert "would change in the drafts" in text
    report = told(capsys, "seed", study, "--apply", "--author", "eva")
    assert report["changes"]["images"]
    assert "changes" not in told(
        capsys, "seed", study, "--apply", "--author", "eva", "--no-changes"
    )
    text = said(capsys, "retrain", study, "--from", "labels", "--no-published")
    assert "Round 1" in text
    assert "no patient named" in text
    assert "pattern = '^([^_]+)_'" in text
    assert "trephine annotate" in text
    assert "seed groups" in text
    text = said(capsys, "rounds", study)
    assert "1*" in text
    assert str(path / "report" / "rounds.png") in text
    assert told(capsys, "rounds", study)["verdict"]["state"] == "too few rounds"


@pytest.mark.slow
def test_patients_that_are_named_are_counted_and_nothing_says_to_name_them(
    path: Path, capsys: Output
):
    study = str(path)
    settings = path / "study.toml"
    named = '[patients]\npattern = "^(p[0-9])_"\nheld_out = 0.0'
    settings.write_text(settings.read_text("utf-8").replace("[patients]\nheld_out = 0.3", named))
    give_truth(path, Path(sources(path)[0]).parents[1] / "masks", 0, 1, 2, 3, 4, 5)
    text = said(capsys, "retrain", study, "--from", "truth", "--author", "eva", "--no-published")
    assert "of 6 images of 3 patients." in text
    assert "[patients]" not in text
    text = said(capsys, "evaluate", study)
    assert "6 image(s), 3 patient(s)" in text
    assert "[patients]" not in text
    text = said(capsys, "stats", study)
    assert "patients" in text
    assert "no patient" not in text
    assert "[patients]" not in text


def sources(path: Path) -> list[str]:
    with Study.open(path) as study:
        return [image.source for image in study.images()]


@pytest.mark.slow
def test_labels_go_out_and_come_back(trained_path: Path, capsys: Output, tmp_path: Path):
    study, file = str(trained_path), tmp_path / "labels.csv"
    rows = told(capsys, "labels", "export", study, str(file))["rows"]
    assert len(file.read_text("utf-8-sig").splitlines()) == rows + 1
    assert "exists already" in said(capsys, "labels", "export", study, str(file), code=USAGE)
    report = told(capsys, "labels", "import", study, str(file))
    assert (report["added"], report["already"]) == (0, rows)
    assert "0 labels" in said(capsys, "labels", "move", study)
    file.write_text("image,object,class\np0_0,1,liver\nnowhere,1,fat\n", "utf-8")
    text = said(capsys, "labels", "import", study, str(file), code=USAGE)
    assert "row 2" in text
    assert "row 3" in text


@pytest.mark.slow
def test_next_doubts_and_simulation(trained_path: Path, annotated: Path, capsys: Output):
    study = str(trained_path)
    chosen = told(capsys, "next", study, "--count", "1")
    assert len(chosen) == 1
    assert chosen[0]["name"] in said(capsys, "next", study, "--count", "1")
    report = told(capsys, "doubts", study)
    assert report["disputed"] == len(report["rows"])
    assert "labels are disputed" in said(capsys, "doubts", study)
    masks = str(annotated.parent / "masks")
    words = ("simulate", study, "--truth", masks, "--rounds", "1", "--batch", "2", "--seeds", "1")
    text = said(capsys, *words)
    assert "macro-F1" in text
    assert str(trained_path / "report" / "simulation") in text


def test_a_command_without_what_it_needs_says_what_to_do(path: Path, capsys: Output):
    study = str(path)
    assert "trephine seed" in said(capsys, "retrain", study, "--from", "labels", code=USAGE)
    assert "trephine retrain" in said(capsys, "doubts", study, code=USAGE)
    assert "No round yet" in said(capsys, "rounds", study)
    assert "trephine seed" in said(capsys, "seed", study, "--apply", code=USAGE)
    assert "groups_min" in said(capsys, "seed", study, "--clusters", "12", code=USAGE)
    with Study.open(path) as opened:
        assert opened.labels.count() == 0


@pytest.mark.parametrize(
    "words",
    [
        ("seed",),
        ("labels", "import"),
        ("labels", "export"),
        ("labels", "move"),
        ("retrain",),
        ("next",),
        ("doubts",),
        ("rounds",),
        ("simulate",),
    ],
)
def test_every_command_shows_an_example(words: tuple[str, ...], capsys: Output):
    assert "trephine " + " ".join(words) in said(capsys, *words, "--help")
