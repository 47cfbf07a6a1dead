"""The command evaluate, as a person types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from support.evaluated_maps import drawn, two_folders, write
from support.learning_studies import give_truth
from typer.main import get_command

from annotator.cli.evaluate import register
from annotator.cli.main import run
from annotator.cli.options import DONE, INCOMPLETE, USAGE
from annotator.cli.print_evaluate import class_table, print_evaluation
from annotator.evaluation.evaluate import evaluate_folders

Output = pytest.CaptureFixture[str]


def commands() -> typer.Typer:
    app = typer.Typer()

    @app.callback()
    def _all() -> None:
        """More than one command could follow."""

    register(app)
    return app


def said(capsys: Output, *words: str, code: int = DONE) -> str:
    """What the command prints on stdout, or on stderr where it cannot be used."""
    found = run(["evaluate", *words], commands())
    out = capsys.readouterr()
    assert found == code, out.err
    return out.err if code == USAGE else out.out


def test_a_study_is_evaluated_and_its_report_written(
    path: Path, annotated: Path, capsys: Output
) -> None:
    give_truth(path, annotated.parent / "masks", 0, 1, 2, 3)
    text = said(capsys, str(path), "--worst", "1")
    assert "4 image(s), no patient named" in text
    assert "rough annotations of the study" in text
    for word in ("Adipocytes", "Cellularity", "ICC(2,1)", "within 4 px", "Worst images"):
        assert word in text
    assert str(path / "report" / "evaluation.json") in text
    assert len(list((path / "report" / "evaluation").glob("*.jpg"))) == 1
    document = json.loads(said(capsys, str(path), "--json"))
    assert document["images"] == 4
    assert document["folder"] == str(path / "report")
    assert len(list((path / "report" / "evaluation").glob("*.jpg"))) == 4


def test_folders_are_evaluated_and_nothing_is_written(tmp_path: Path, capsys: Output) -> None:
    pred, truth = two_folders(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    text = said(capsys, "--pred", str(pred), "--truth", str(truth), "--patients", "^(p[0-9])_")
    assert "6 image(s), 3 patient(s)" in text
    assert "Nothing was written" in text
    assert sorted(tmp_path.rglob("*")) == before


def test_out_keeps_figures_and_pictures(tmp_path: Path, capsys: Output) -> None:
    pred, truth = two_folders(tmp_path)
    out = tmp_path / "result"
    said(capsys, "--pred", str(pred), "--truth", str(truth), "--out", str(out), "--worst", "0")
    assert (out / "evaluation.json").is_file()
    assert not list(out.rglob("*.jpg"))


def test_maps_of_others_do_not_go_into_the_report_of_a_study(
    path: Path, annotated: Path, capsys: Output
) -> None:
    masks = annotated.parent / "masks"
    text = said(capsys, str(path), "--truth", str(masks))
    assert "8 image(s)" in text
    assert not (path / "report" / "evaluation.json").exists()


def test_out_goes_before_the_report_of_the_study(
    path: Path, annotated: Path, capsys: Output
) -> None:
    give_truth(path, annotated.parent / "masks", 0)
    document = json.loads(said(capsys, str(path), "--json", "--out", str(path.parent / "out")))
    assert document["folder"] == str(path.parent / "out")
    assert not (path / "report" / "evaluation.json").exists()


def test_faults_are_named_with_exit_code_3(tmp_path: Path, capsys: Output) -> None:
    pred, truth = two_folders(tmp_path)
    write(pred, {"p0_0": drawn(0, (9, 9)), "more": drawn(1)})
    text = said(capsys, "--pred", str(pred), "--truth", str(truth), code=INCOMPLETE)
    assert "failed: p0_0: " in text
    assert "no partner of this name: more" in text
    assert "5 image(s)" in text


def test_a_prediction_without_truth_is_no_fault(tmp_path: Path, capsys: Output) -> None:
    pred, truth = two_folders(tmp_path)
    (truth / "p0_0.png").unlink()
    assert "p0_0" in said(capsys, "--pred", str(pred), "--truth", str(truth))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--pred DIR and --truth DIR, or a study"),
        (("--pred", "PRED"), "--pred DIR and --truth DIR, or a study"),
        (("--pred", "PRED", "--truth", "nowhere"), "expected a folder"),
        (("--pred", "PRED", "--truth", "TRUTH", "--tolerance-px", "-2"), "0..100 px"),
        (("--pred", "PRED", "--truth", "TRUTH", "--patients", "p[0-9]"), "brackets"),
        (("PRED",), "not a study"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, capsys: Output, words: tuple[str, ...], told: str
) -> None:
    pred, truth = two_folders(tmp_path)
    places = {"PRED": str(pred), "TRUTH": str(truth)}
    text = said(capsys, *(places.get(word, word) for word in words), code=USAGE)
    assert told in text


def test_many_faults_are_cut(tmp_path: Path, capsys: Output) -> None:
    pred, truth = two_folders(tmp_path, 2)
    write(truth, {f"x{number:02d}": drawn(number) for number in range(40)})
    write(pred, {f"y{number:02d}": drawn(number) for number in range(9)})
    print_evaluation(evaluate_folders(pred, truth), None, 3)
    text = capsys.readouterr().out
    assert "and 10 more, see --json" in text
    assert "y05 and 3 more" in text


def test_what_is_undefined_is_a_dash(tmp_path: Path, capsys: Output) -> None:
    bone = {"a": drawn(1) * 0 + 3, "b": drawn(2) * 0 + 3}
    pred, truth = write(tmp_path / "pred", bone), write(tmp_path / "truth", bone)
    found = evaluate_folders(pred, truth)
    assert class_table(found).row_count == 5
    print_evaluation(found, None, 1)
    text = capsys.readouterr().out
    assert "in no image with cell or fat in both maps" in text
    assert "F1 at IoU 0.5: –; 0 found" in text
    assert "nan" not in text


def test_names_are_not_read_as_markup(tmp_path: Path, capsys: Output) -> None:
    pred, truth = two_folders(tmp_path, 2)
    for folder in (pred, truth):
        shutil.move(folder / "p0_0.png", folder / "[red]x[&red].png")
    print_evaluation(evaluate_folders(pred, truth), None, 3)
    assert "[red]x[&red]" in capsys.readouterr().out


def test_the_help_names_every_option() -> None:
    command = get_command(commands()).commands["evaluate"]  # type: ignore[attr-defined]
    assert {"--pred", "--truth", "--against", "--patients", "--json"} <= {
        option for parameter in command.params for option in parameter.opts
    }
    assert all(getattr(parameter, "help", "x") for parameter in command.params)
