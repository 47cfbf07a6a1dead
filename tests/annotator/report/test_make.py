"""The report of whole studies: bare, corrected, learned from, damaged, hostile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from support.learning_studies import copy_of, give_truth
from support.pulled_studies import SHAPE, add_image, archive_of, changed, field, xml_of
from support.report_html import ReportHtml, bytes_of
from typer.testing import CliRunner

from annotator.cli.report import register
from annotator.core.classes import BG
from annotator.core.errors import StudyError
from annotator.core.label_maps import compact
from annotator.core.progress import silent
from annotator.imaging.codecs import decode_jpeg, encode_png
from annotator.report.make import ReportOptions, ReportResult, report
from annotator.report.page import Note
from annotator.report.section_corrections import read_pulls
from annotator.report.section_learning import simulation_blocks
from annotator.study.rough import Annotation, RoughFiles
from annotator.study.rounds import OutOfFold, Round, RoundFiles
from annotator.study.study import Study
from export.cvat.pull_archive import pull_file

pytestmark = pytest.mark.slow

OPTIONS = ReportOptions(time="2026-01-01 12:00:00 UTC")


def made(path: Path) -> tuple[ReportResult, ReportHtml]:
    """Write a report, and read it: it must be valid whatever the study is like."""
    with Study.open(path) as study:
        result = report(study, OPTIONS, silent)
    page = result.path.read_text("utf-8")
    assert result.bytes == len(page.encode())
    found = ReportHtml(page)
    assert found.faults == []
    return result, found


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    Study.create(tmp_path / "study").close()
    return tmp_path / "study"


def test_an_empty_study_says_what_is_missing_and_how_to_get_it(empty: Path) -> None:
    result, page = made(empty)
    assert result.faults == ()
    for command in ("annotate", "pull", "retrain", "simulate"):
        assert any(f"trephine {command}" in text for text in result.missing), command
    assert "No image" in page.text
    assert page.images == []


def test_a_bare_study_is_called_a_draft(path: Path) -> None:
    result, page = made(path)
    assert result.faults == ()
    assert "8 fields" in page.text
    assert "first draft" in page.text
    assert "Without corrected masks" in page.text
    assert "Table 1. " in page.text
    assert "Table 2. Cellularity" in page.text
    assert not any("trephine annotate" in text for text in result.missing)


def test_only_the_line_with_the_time_differs_from_run_to_run(
    told: tuple[Path, ReportResult, ReportHtml],
) -> None:
    path = told[0]
    first = (path / "report" / "index.html").read_bytes()
    with Study.open(path) as study:
        report(study, ReportOptions(time="another time"), silent)
    other = (path / "report" / "index.html").read_bytes()
    lines = zip(first.splitlines(), other.splitlines(), strict=True)
    assert [one for one, two in lines if one != two] == [
        b'<p class="soft">Made 2026-01-01 12:00:00 UTC</p>'
    ]


@pytest.fixture(scope="module")
def told(
    trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ReportResult, ReportHtml]:
    """The report of a study with corrected masks, a round and a simulation."""
    path = copy_of(trained, tmp_path_factory.mktemp("told") / "study")
    simulation = path / "report" / "simulation"
    simulation.mkdir(parents=True)
    rows = ["strategy,seed,round,images,objects,macro_f1,accuracy"]
    for seed in (0, 1):
        rows += [f"trephine,{seed},1,2,9,0.5,0.6", f"trephine,{seed},2,4,18,0.{seed + 6},0.7"]
        rows += [f"random,{seed},1,2,9,0.4,0.5"]
    (simulation / "curves.csv").write_text("\n".join(rows), "utf-8")
    return path, *made(path)


def test_a_round_and_corrected_masks_are_told(told: tuple[Path, ReportResult, ReportHtml]) -> None:
    _, result, page = told
    assert result.faults == ()
    assert "6 images" in page.text
    assert "round 1" in page.text
    alts = [image["alt"] for image in page.images]
    for seen in (
        *("Histogram", "Box plots", "Confusion matrix of pixels", "Rough against corrected"),
        *("Confusion matrix of objects", "Reliability curve", "features that matter most"),
        "chosen from 0.500 at 2 to 0.650 at 4; at random from 0.400 at 2 to 0.400 at 2",
        *("the field as photographed", "rough annotation", "corrected annotation", "differ"),
    ):
        assert any(seen in alt for alt in alts), seen
    for heading in ("Worst by mean Dice", "Best by mean Dice", "Drawn at random"):
        assert heading in page.text


def test_pictures_are_small_and_real(told: tuple[Path, ReportResult, ReportHtml]) -> None:
    page = told[2]
    pictures = [image for image in page.images if image["src"].startswith("data:image/jpeg")]
    assert pictures
    for image in pictures:
        decoded = decode_jpeg(bytes_of(image))
        assert decoded is not None
        assert decoded.shape[:2] == (int(image["height"]), int(image["width"]))
        assert int(image["width"]) <= 480
        assert int(image["height"]) <= 360


def test_a_picture_that_is_gone_is_shown_from_what_the_study_keeps(trained_path: Path) -> None:
    with Study.open(trained_path) as study:
        folder = Path(study.images()[0].source).parent
        moved = trained_path.parent / "in"
        shutil.copytree(folder, moved)
        for image in study.images():
            study.register(image.id, str(moved / Path(image.source).name), image.shape, None, ())
    shutil.rmtree(moved)
    result, page = made(trained_path)
    assert result.faults == ()
    alts = [image["alt"] for image in page.images]
    assert not any("as photographed" in alt for alt in alts)
    assert any("rough annotation" in alt for alt in alts)
    assert any("corrected annotation" in alt for alt in alts)


def test_what_experts_changed_comes_from_the_pulls(empty: Path) -> None:
    with Study.open(empty) as study:
        for number in (1, 2):
            add_image(study, f"in/tile_{number}.png", number=number)
        fixed = changed(field(), (10, 30, 10, 30, BG, 0))
        archive = archive_of(
            empty.parent / "task.zip", xml_of("tile_1.png", fixed), xml_of("tile_2.png", field())
        )
        pull_file(study, archive)
    _, page = made(empty)
    assert "2 images came back corrected." in page.text
    assert "fat → bg" in page.text
    assert "Images that changed most" in page.text
    assert page.text.index("tile_1", page.text.index("Images that changed most")) > 0
    share = 100 * (20 * 20 - 9 + 9) / (SHAPE[0] * SHAPE[1])
    assert f"{share:.1f}" in page.text[page.text.index("Images that changed most") :]


def test_damaged_parts_say_so_and_the_others_go_on(path: Path) -> None:
    (path / "report" / "pull-2026.json").write_bytes(b"{")
    (path / "report" / "simulation").mkdir()
    (path / "report" / "simulation" / "curves.csv").write_bytes(b"a,b\n1,2\n")
    (path / "rough" / "p0_0.png").write_bytes(b"no picture")
    result, page = made(path)
    for said in (
        "pull-2026.json cannot be read; it is left out.",
        "expected the curves of a simulation",
        "p0_0",
    ):
        assert any(said in text for text in result.faults), said
        assert said in page.text
    assert str(path) not in page.text
    assert "7 fields" in page.text
    assert "Table 1. " in page.text


def test_a_part_that_fails_as_nobody_foresaw_says_so_and_leaves_its_trace(empty: Path) -> None:
    nothing = OutOfFold(np.array([], "U1"), np.array([], "U1"), np.zeros((0, 4)))
    with Study.open(empty) as study:
        damaged = Round(
            *(1, None, "2026", "both", "first", True, "f", "m", None, {}, [], [], [], {})
        )
        study.rounds.add(damaged, RoundFiles(b"", {}, nothing))
    result, page = made(empty)
    said = "The rounds could not be made: a fault of ours; the trace is in report/errors.log"
    assert result.faults == (said,)
    assert said in page.text
    assert "KeyError" in (empty / "report" / "errors.log").read_text("utf-8")
    assert "What was done" in page.text


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b'{"images": 7}', b'{"images": [{"image": 1}]}']
)
def test_a_report_of_a_pull_that_is_none_is_left_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pull-1.json").write_bytes(content)
    (tmp_path / "pull-2.json").write_bytes(b'{"images": []}')
    found = read_pulls(tmp_path)
    assert found.damaged == ("pull-1.json",)
    assert found.images == {}


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"strategy,round\nrandom,1\n"])
def test_a_simulation_that_is_none_is_refused_or_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "curves.csv"
    path.write_bytes(content)
    if content:
        with pytest.raises(StudyError, match=r"curves\.csv"):
            simulation_blocks(path)
    else:
        assert simulation_blocks(path) == (Note("The simulation holds no round.", "missing"),)


@pytest.mark.parametrize("played", [("trephine", "random"), ("trephine", "committee", "random")])
def test_every_strategy_that_was_played_has_its_line(
    tmp_path: Path, played: tuple[str, ...]
) -> None:
    path = tmp_path / "curves.csv"
    rows = [f"{name},0,1,2,9,0.5,0.6" for name in played]
    path.write_text("strategy,seed,round,images,objects,macro_f1,accuracy\n" + "\n".join(rows))
    (block,) = simulation_blocks(path)
    text = str(block)
    assert ("chosen by committee" in text) == ("committee" in played)
    assert ("disagree" in text) == ("committee" in played)


def test_a_damaged_truth_and_model_stop_nothing(trained_path: Path) -> None:
    (trained_path / "truth" / "p0_0.png").write_bytes(b"no picture")
    for file in (trained_path / "models").glob("round-01.*"):
        file.write_bytes(b"")
    result, page = made(trained_path)
    assert any("p0_0" in text for text in result.faults)
    assert str(trained_path) not in page.text
    assert "round 1" in page.text


HOSTILE_PATIENT = "<img src=x onerror=alert(1)>"


def test_hostile_names_of_files_and_patients_stay_text(empty: Path) -> None:
    (empty / "patients.csv").write_text(
        f'image,patient\n<b>&amp;tile.png,"{HOSTILE_PATIENT}"\n', "utf-8"
    )
    (empty / "study.toml").write_text('[patients]\ntable = "patients.csv"\n', "utf-8")
    with Study.open(empty) as study:
        image = study.register("a" * 16, "in/<b>&amp;tile.png", SHAPE, None, ())
        label_maps = field()
        files = RoughFiles(
            encode_png(label_maps.classes), encode_png(compact(label_maps.instances)), b"x"
        )
        annotation = Annotation("<i>look", "</td>", "<script>", "<u>", {}, None, 2, {}, (), 0.0)
        study.rough.save(image, files, annotation)
        truth = study.path / "truth" / f"{image.name}.png"
        truth.write_bytes(encode_png(label_maps.classes))
    content = {
        "images": [
            {
                "image": "</table>",
                "classes": None,
                "comments": [{"author": "<script>", "text": "<!-- <svg onload=x>"}],
            }
        ]
    }
    (empty / "report" / "pull-1.json").write_text(json.dumps(content), "utf-8")
    _, page = made(empty)
    assert HOSTILE_PATIENT in page.text
    assert "<!-- <svg onload=x>" in page.text
    assert page.tags["script"] == page.tags["svg"] == page.tags["b"] == 0


def test_the_place_of_the_study_and_of_the_pictures_stays_private(
    told: tuple[Path, ReportResult, ReportHtml], trained: Path
) -> None:
    path, _, page = told
    raw = (path / "report" / "index.html").read_text("utf-8")
    assert str(path.parent) not in raw
    assert str(trained.parent) not in raw
    with Study.open(path) as study:
        assert all(str(Path(image.source).parent) not in raw for image in study.images())
    assert "p0_0" in page.text


def test_settings_that_differ_are_named_and_secrets_of_the_server_are_not(empty: Path) -> None:
    (empty / "study.toml").write_text(
        'um_per_px = 0.5\n[train]\nfolds = 3\n[cvat]\nurl = "https://hidden.example"\n', "utf-8"
    )
    _, page = made(empty)
    assert "[train] folds 3" in page.text
    assert "um_per_px 0.5" in page.text
    assert "hidden.example" not in page.text


def test_a_study_that_another_run_holds_is_refused_before_anything_is_written(empty: Path) -> None:
    with (
        Study.open(empty) as holder,
        holder.writing(),
        Study.open(empty) as study,
        pytest.raises(StudyError),
    ):
        report(study, OPTIONS, silent)
    assert not (empty / "report" / "index.html").exists()


# The command


def command(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    register(app)
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout


def test_the_command_names_the_file_and_what_is_missing(empty: Path) -> None:
    code, text = command(str(empty))
    assert code == 0
    assert f"{empty}/report/index.html" in text
    assert "Missing" in text


def test_the_command_prints_json_and_tells_of_damage_by_its_exit_code(empty: Path) -> None:
    (empty / "report" / "pull-1.json").write_bytes(b"[")
    code, text = command(str(empty), "--json")
    assert code == 3
    found = json.loads(text)
    assert found["path"] == str(empty / "report" / "index.html")
    assert found["faults"] == ["pull-1.json cannot be read; it is left out."]


def test_masks_that_somebody_adds_by_hand_are_compared(path: Path, annotated: Path) -> None:
    give_truth(path, annotated.parent / "masks", 0, 1, 3)
    result, page = made(path)
    assert result.faults == ()
    assert "For 3 fields" in page.text
    assert "Bland-Altman" in page.text
