from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import cv2
import psutil
import pytest
import typer

from annotator.cli.main import CheckpointName, ExportFormat, app, run
from annotator.cli.options import INCOMPLETE, USAGE
from annotator.core.errors import StorageError, StudyError, WeightsError
from annotator.pipeline.results import AnnotateOptions
from annotator.segmentation.sam.weights import OFFICIAL
from annotator.study.study import Study
from annotator.synthetic.field import make_phantom
from annotator.synthetic.field_files import image_png
from annotator.synthetic.settings import PhantomSettings
from export.formats.write import FORMATS

NONE = "no SAM checkpoint on this machine"
Output = pytest.CaptureFixture[str]
ROW_KEYS = {
    "name",
    "path",
    "image_id",
    "status",
    "um_per_px",
    "scale_source",
    "found_um_per_px",
    "scale_found_by",
    "found_scale_is_sure",
    "areas_px",
    "areas_um2",
    "cellularity",
    "objects",
    "coverage",
    "seconds",
    "notes",
    "makers",
    "stage_seconds",
    "counts",
}


@pytest.fixture(scope="session")
def pictures() -> list[bytes]:
    """Three small fields as PNG."""
    return [field_png(seed) for seed in range(3)]


def field_png(seed: int, shape: tuple[int, int] = (120, 160)) -> bytes:
    return image_png(make_phantom(PhantomSettings(seed=seed, shape=shape, um_per_px=1.0)).image)


@pytest.fixture
def slides(tmp_path: Path, pictures: list[bytes]) -> Path:
    """A folder of three fields with awkward names."""
    folder = tmp_path / "Präparate 2024"
    folder.mkdir()
    for name, data in zip(("Fall 12 ü.png", "[b] 骨髓.png", "c.png"), pictures, strict=True):
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    Study.create(folder).close()
    return folder


def leaf_commands() -> list[list[str]]:
    names = [[c.name or (c.callback and c.callback.__name__)] for c in app.registered_commands]
    return [*names, ["weights", "list"], ["weights", "fetch"], ["weights", "verify"]]


def json_of(output: Output) -> Any:
    captured = output.readouterr()
    return json.loads(captured.out)


# Help and usage


@pytest.mark.slow
@pytest.mark.parametrize("command", leaf_commands())
def test_every_command_explains_itself(command: list[str], capsys: Output) -> None:
    assert run([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage: trephine" in text
    if command != ["weights", "list"]:
        assert f"trephine {' '.join(command)}" in text.split("Examples:")[1]


def test_no_arguments_show_the_help(capsys: Output) -> None:
    assert run([]) == 2
    captured = capsys.readouterr()
    assert "annotate" in captured.out + captured.err


def test_help_states_the_defaults_of_the_options(capsys: Output) -> None:
    run(["annotate", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    options = AnnotateOptions()
    assert f"{options.proposals} unless given" in text
    assert f"{options.workers} unless given" in text
    assert f"{options.device} (unless given)" in text


def test_version(capsys: Output) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("trephine 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["annotate"],
        ["annotate", "study", "x.png", "--workers", "0"],
        ["annotate", "study", "x.png", "--proposals", "magic"],
        ["annotate", "study", "x.png", "--bogus"],
        ["export", "study", "out", "--format", "docx"],
        ["export", "study", "out"],
        ["weights", "fetch", "vit_x"],
        ["init", "study", "--um-per-px", "-1"],
    ],
)
def test_wrong_usage_is_2_and_says_so_on_stderr(arguments: list[str], capsys: Output) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_a_folder_that_is_no_study_is_2(tmp_path: Path, capsys: Output) -> None:
    assert run(["annotate", str(tmp_path / "nowhere"), "x.png"]) == 2
    assert "trephine init" in capsys.readouterr().err


def test_init_makes_a_study_once(tmp_path: Path, capsys: Output) -> None:
    folder = tmp_path / "Öl 1"
    assert run(["init", str(folder), "--um-per-px", "0.5"]) == 0
    assert str(folder / "study.toml") in capsys.readouterr().out
    with Study.open(folder) as made:
        assert made.settings.um_per_px == 0.5
    assert run(["init", str(folder)]) == 2
    assert "um_per_px" not in capsys.readouterr().err
    assert run(["init", str(folder), "--um-per-px", "0.25"]) == 2
    assert f"write um_per_px = 0.25 into {folder / 'study.toml'}" in capsys.readouterr().err


def test_bad_settings_are_2(study: Path, capsys: Output) -> None:
    (study / "study.toml").write_text("um_per_px = 'wide'\n")
    assert run(["annotate", str(study), "x.png"]) == 2
    assert "um_per_px" in capsys.readouterr().err


def test_choices_are_those_of_the_modules_behind_them() -> None:
    assert [name.value for name in CheckpointName] == list(OFFICIAL)
    assert sorted(ExportFormat) == sorted(FORMATS)


# Exit codes of errors, through a command of the tests' own


def failing(error: BaseException) -> typer.Typer:
    commands = typer.Typer()

    @commands.command()
    def fail() -> None:
        raise error

    return commands


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (StudyError("no such study"), 2, "trephine: no such study"),
        (StorageError("disk full"), 3, "trephine: disk full"),
        (WeightsError("no weights"), 3, "trephine: no weights"),
        (KeyboardInterrupt(), 130, "stopped; run the same command again to go on"),
        (typer.Exit(INCOMPLETE), 3, ""),
    ],
)
def test_errors_become_exit_codes(
    error: BaseException, code: int, said: str, capsys: Output
) -> None:
    assert run([], failing(error)) == code
    captured = capsys.readouterr()
    assert captured.err.strip() == said
    assert captured.out == ""


def test_a_fault_of_ours_is_1_and_keeps_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run([], failing(RuntimeError("wires crossed"))) == 1
    text = capsys.readouterr().err
    (log,) = tmp_path.glob("trephine-*.log")
    assert "unexpected RuntimeError: wires crossed" in text
    assert str(log) in text
    assert "Traceback" not in text
    assert "wires crossed" in log.read_text()


def test_debug_shows_the_traceback_wherever_it_stands(capsys: Output) -> None:
    assert run(["annotate", "nowhere", "x.png", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


# Annotating


@pytest.mark.slow
def test_annotate_prints_a_table_and_resumes(study: Path, slides: Path, capsys: Output) -> None:
    assert run(["annotate", str(study), str(slides)]) == 0
    captured = capsys.readouterr()
    assert "Fall 12 ü" in captured.out and "[b] 骨髓" in captured.out
    assert "mean of 3" in captured.out
    assert "3 annotated, 0 done before, 0 failed" in captured.out
    assert "unreviewed" in captured.out
    assert "contact sheet" in captured.out
    assert "reading" in captured.err and "\x1b" not in captured.out + captured.err

    assert run(["annotate", str(study), str(slides)]) == 0
    assert "0 annotated, 3 done before" in capsys.readouterr().out


@pytest.mark.slow
def test_bad_images_are_3_and_listed(study: Path, slides: Path, capsys: Output) -> None:
    (slides / "leer.png").write_bytes(b"")
    (slides / "zwei mal.png").write_bytes((slides / "c.png").read_bytes())
    assert run(["annotate", str(study), str(slides), "--json"]) == 3
    found = json_of(capsys)
    assert {"study", "settings", "proposals", "seeded", "seconds"} <= found.keys()
    assert len(found["settings"]) == 16
    assert found["seeded"] is True
    assert [row["name"] for row in found["rows"]] == ["Fall 12 ü", "[b] 骨髓", "c"]
    assert all(row.keys() == ROW_KEYS for row in found["rows"])
    assert all(sum(row["areas_px"].values()) == 120 * 160 for row in found["rows"])
    assert found["rows"][0]["areas_um2"] == found["rows"][0]["areas_px"]  # 1 um a pixel
    assert [Path(f["path"]).name for f in found["failures"]] == ["leer.png"]
    assert "empty" in found["failures"][0]["reason"]
    assert [Path(d["path"]).name for d in found["duplicates"]] == ["zwei mal.png"]

    assert run(["annotate", str(study), str(slides)]) == 3
    text = capsys.readouterr().out
    assert "leer.png" in text and "same picture twice" in text


@pytest.mark.slow
def test_a_network_and_the_published_line_are_chosen_and_told(
    study: Path, slides: Path, capsys: Output
) -> None:
    assert run(["annotate", str(study), str(slides), "--network", "starter"]) == 0
    assert "named by the starter network" in capsys.readouterr().out
    assert run(["annotate", str(study), str(slides), "--json"]) == 0
    found = json_of(capsys)
    assert (found["network"], found["named_by"], found["seeded"]) == ("starter", "starter", False)
    assert run(["annotate", str(study), str(slides), "--preset", "bambo", "--json"]) == 0
    found = json_of(capsys)
    assert (found["network"], found["named_by"]) == ("none", "seed")
    assert run(["annotate", str(study), str(slides), "--network", "gone.safetensors"]) == 2
    assert "gone.safetensors: cannot be read" in capsys.readouterr().err


@pytest.mark.slow
def test_without_a_scale_areas_stay_in_pixels(study: Path, tmp_path: Path, capsys: Output) -> None:
    phantom = make_phantom(PhantomSettings(shape=(96, 128), um_per_px=1.0))
    bare = type(phantom.image).from_pixels(phantom.image.pixels)
    (tmp_path / "a.png").write_bytes(image_png(bare))
    assert run(["annotate", str(study), str(tmp_path / "a.png"), "--json"]) == 0
    (row,) = json_of(capsys)["rows"]
    assert row["um_per_px"] is None and row["areas_um2"] is None


def test_annotate_keeps_a_given_scale(study: Path, slides: Path, capsys: Output) -> None:
    """A picture that says no scale takes the given one; one of 1 um per px keeps its own."""
    # Turned over it is another picture, and OpenCV writes no resolution.
    cv2.imwrite(str(slides / "bare.png"), cv2.imread(str(slides / "c.png"))[::-1])
    arguments = ["annotate", str(study), str(slides / "bare.png"), str(slides / "c.png"), "--json"]
    assert run([*arguments, "--um-per-px", "0.5"]) == 0
    found = json_of(capsys)
    scales = [(row["um_per_px"], row["scale_source"]) for row in found["rows"]]
    assert scales == [(0.5, "given"), (1.0, "file")]
    assert (
        "the file's own scale stays, not --um-per-px 0.5, in 1 image: c (1 um per px)"
        in found["notes"]
    )
    assert run(arguments) == 0
    found = json_of(capsys)
    assert [(row["um_per_px"], row["scale_source"]) for row in found["rows"]] == scales
    assert [row["status"] for row in found["rows"]] == ["skipped", "skipped"]


@pytest.mark.parametrize("bad", ["0", "-1", "101", "nan", "inf", "half"])
def test_a_scale_that_no_image_has_is_2(
    study: Path, slides: Path, capsys: Output, bad: str
) -> None:
    assert run(["annotate", str(study), str(slides), "--um-per-px", bad]) == 2
    said = capsys.readouterr().err
    expected = "valid number" if bad == "half" else f"from 0.01 to 100, got {bad};"
    assert expected in said
    assert not list((study / "objects").iterdir())


def test_nothing_to_annotate_is_2(study: Path, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "empty").mkdir()
    assert run(["annotate", str(study), str(tmp_path / "empty")]) == 2
    assert capsys.readouterr().err


@pytest.mark.slow
def test_limit_takes_the_first(study: Path, slides: Path, capsys: Output) -> None:
    assert run(["annotate", str(study), str(slides), "--limit", "1", "--json"]) == 0
    assert [row["name"] for row in json_of(capsys)["rows"]] == ["Fall 12 ü"]


def test_sam_without_weights_is_3_and_says_what_to_do(
    study: Path, slides: Path, capsys: Output
) -> None:
    arguments = ["annotate", str(study), str(slides), "--proposals", "sam"]
    assert run([*arguments, "--checkpoint", "vit_b"]) == 3
    assert "trephine weights fetch vit_b" in capsys.readouterr().err


@pytest.mark.slow
def test_auto_without_weights_is_the_superpixels_and_says_so(
    study: Path, slides: Path, capsys: Output
) -> None:
    arguments = ["annotate", str(study), str(slides / "c.png"), "--proposals", "auto"]
    assert run([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert [note.partition(":")[0] for note in found["notes"]] == [NONE]
    assert captured.err.count(NONE) == 1
    assert set(found["rows"][0]["makers"]) <= {"superpixel", "white"}
    assert "outlining.superpixel" in found["stage_seconds"]

    # The same objects as by superpixel, so nothing is to be done.
    assert run(["annotate", str(study), str(slides / "c.png")]) == 0
    assert "0 annotated, 1 done before" in capsys.readouterr().out
    assert run(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.count(NONE) + captured.err.count(NONE) == 1


def annotate_and_interrupt(study: Path, slides: Path) -> tuple[int, str]:
    """What the run ended with, and what it said after the signal."""
    command = [sys.executable, "-m", "annotator", "annotate", str(study), str(slides)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith("outlining"):
                running.send_signal(signal.SIGINT)
                break
        rest = running.stderr.read()
    return running.returncode, rest


@pytest.mark.slow
@pytest.mark.usefixtures("heard_signals")
def test_ctrl_c_is_130_and_the_run_goes_on(tmp_path: Path, study: Path, capsys: Output) -> None:
    slides = tmp_path / "slides"
    slides.mkdir()
    # Where a run is over before the signal comes, the next has more to do.
    for count in (5, 20, 80):
        for seed in range(count):
            (slides / f"{seed}.png").write_bytes(field_png(seed, (160, 200)))
        code, rest = annotate_and_interrupt(study, slides)
        if code != 0:
            break
    assert code == 130, rest
    assert rest.strip().endswith("stopped; run the same command again to go on")
    assert "Traceback" not in rest

    assert run(["annotate", str(study), str(slides), "--json"]) == 0
    assert len(json_of(capsys)["rows"]) == count


@pytest.mark.slow
@pytest.mark.usefixtures("heard_signals")
def test_ctrl_c_in_a_terminal_before_the_workers_work_is_quiet(study: Path, slides: Path) -> None:
    command = [sys.executable, "-m", "annotator", "annotate", str(study), str(slides)]
    with subprocess.Popen(
        [*command, "--workers", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        while running.poll() is None and not psutil.Process(running.pid).children():
            time.sleep(0.02)
        time.sleep(0.3)
        # As a terminal does it: to all processes of the command, those that import, too.
        os.killpg(running.pid, signal.SIGINT)
        assert running.stderr is not None
        said = running.stderr.read()
    # Python itself ends by the signal when it comes while a module is imported: to a shell
    # that is 130, too.
    assert running.returncode in (130, -signal.SIGINT), said
    assert said.strip().endswith("stopped; run the same command again to go on")
    assert "Traceback" not in said


# Export, weights, doctor


@pytest.mark.slow
def test_export_writes_each_format(study: Path, slides: Path, tmp_path: Path) -> None:
    assert run(["annotate", str(study), str(slides / "c.png")]) == 0
    for form in ("voc", "coco", "labelmap", "geojson"):
        out = tmp_path / f"out-{form}{'.zip' if form in ('voc', 'coco') else ''}"
        assert run(["export", str(study), str(out), "--format", form]) == 0
        assert out.exists()
    with zipfile.ZipFile(tmp_path / "out-coco.zip") as archive:
        (document,) = (json.loads(archive.read(n)) for n in archive.namelist() if "json" in n)
    instances = [shape for shape in document["annotations"] if "instance_id" in shape]
    assert instances
    assert all(0 < shape["confidence"] <= 1 for shape in instances)


@pytest.mark.slow
def test_export_replaces_an_archive_only_when_told(
    study: Path, slides: Path, tmp_path: Path, capsys: Output
) -> None:
    out = tmp_path / "voc.zip"
    assert run(["annotate", str(study), str(slides / "c.png")]) == 0
    export = ["export", str(study), str(out), "--format", "voc"]
    assert run([*export, "--images"]) == 0
    assert str(out) in capsys.readouterr().out
    assert run(export) == 2
    assert run([*export, "--force"]) == 0


def test_nothing_to_export_is_2(study: Path, tmp_path: Path) -> None:
    assert run(["export", str(study), str(tmp_path / "x.zip"), "--format", "voc"]) == 2
    assert not (tmp_path / "x.zip").exists()


def test_weights_are_listed(capsys: Output) -> None:
    assert run(["weights", "list", "--json"]) == 0
    rows = json_of(capsys)
    assert [row["name"] for row in rows] == ["vit_b", "vit_l", "vit_h"]
    assert not any(row["present"] for row in rows)
    assert run(["weights", "list"]) == 0
    assert "trephine weights fetch vit_l" in capsys.readouterr().out


def test_missing_weights_cannot_be_verified(capsys: Output) -> None:
    assert run(["weights", "verify", "vit_b"]) == 3
    assert "trephine weights fetch vit_b" in capsys.readouterr().err


def test_a_file_of_ones_own_is_hashed(tmp_path: Path, capsys: Output) -> None:
    own = tmp_path / "own.pth"
    own.write_bytes(b"trephine")
    assert run(["weights", "verify", str(own)]) == 0
    assert "sha256" in capsys.readouterr().out


@pytest.mark.slow
def test_names_that_cannot_be_printed_do_not_fail_a_run(tmp_path: Path) -> None:
    own = os.fsencode(tmp_path) + "/骨髓-".encode() + b"\xff.pth"
    Path(os.fsdecode(own)).write_bytes(b"trephine")
    command = [sys.executable, "-m", "annotator", "weights", "verify", own]
    narrow = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=narrow)
    assert done.returncode == 0, done.stderr
    assert rb"\u9aa8" in done.stdout and rb"\udcff" in done.stdout


@pytest.mark.slow
def test_the_doctor_reports_and_its_exit_code_agrees(study: Path, capsys: Output) -> None:
    code = run(["doctor", str(study), "--json"])
    found = json_of(capsys)
    assert code == (0 if found["ok"] else 3)
    names = {check["name"] for check in found["checks"]}
    assert {"Python", "OpenCV", "torch", "device", "SAM weights", "disk", "study"} <= names


def test_the_doctor_on_no_study_is_3(tmp_path: Path, capsys: Output) -> None:
    assert run(["doctor", str(tmp_path / "nowhere")]) == 3
    assert "not a study" in capsys.readouterr().out


def test_regions_leave_come_back_and_are_listed(
    tmp_path: Path, pictures: list[bytes], capsys: Output
) -> None:
    study, slides = tmp_path / "study", tmp_path / "slides"
    slides.mkdir()
    (slides / "field.png").write_bytes(pictures[0])
    assert run(["init", str(study)]) == run(["annotate", str(study), str(slides)]) == 0
    corners = [[0, 0], [20, 0], [20, 10], [0, 10], [0, 0]]
    pen = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [corners]}}
    file = tmp_path / "pen.geojson"
    file.write_text(json.dumps(pen), "utf-8")
    why = ["--author", "eva", "--why"]
    images = ["images", "exclude-region", str(study), "field.png", "--from", str(file), *why]
    assert run([*images, " "]) == USAGE
    assert run([*images, "pen"]) == 0
    assert "200 px" in capsys.readouterr().out
    assert run(["images", "regions", str(study), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["number"], one["image"], one["pixels"], one["why"]) == (1, "field", 200, "pen")
    assert run(["stats", str(study)]) == 0
    assert "Excluded regions: 200 px" in capsys.readouterr().out
    assert run(["images", "regions", str(study)]) == 0
    assert "pen (pen.geojson, eva" in " ".join(capsys.readouterr().out.split())
    assert run(["images", "restore-region", str(study), "2", *why, "no pen"]) == USAGE
    assert run(["images", "restore-region", str(study), "1", *why, "no pen", "--json"]) == 0
    assert run(["images", "regions", str(study), "field"]) == 0
    assert "restored: no pen" in " ".join(capsys.readouterr().out.split())


def test_images_leave_come_back_and_are_listed(
    tmp_path: Path, pictures: list[bytes], capsys: Output
) -> None:
    study, slides = tmp_path / "study", tmp_path / "slides"
    slides.mkdir()
    for number, data in enumerate(pictures[:2]):
        (slides / f"field{number}.png").write_bytes(data)
    assert run(["init", str(study)]) == run(["annotate", str(study), str(slides)]) == 0
    why = ["--why", "of another study", "--author", "eva"]
    assert run(["images", "remove", str(study), "field0", *why]) == 0
    assert run(["images", "exclude", str(study), "field1.png", *why]) == 0
    capsys.readouterr()
    # With nothing left that could give groups, what was excluded is annotated as before.
    assert run(["annotate", str(study), str(slides), "--force", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["rows"]] == ["field1"]
    assert "field0.png: passed by, it was removed from the study" in found["notes"]
    assert run(["export", str(study), "--format", "labelmap", str(tmp_path / "set")]) == 2
    assert run(["images", "restore", str(study), "field0", "field1", *why]) == 0
    slides.rename(tmp_path / "other disk")
    capsys.readouterr()
    assert run(["images", "list", str(study), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["state"], one["file_state"]) for one in listed] == [("in the study", "gone")] * 2
    assert run(["export", str(study), "--format", "labelmap", str(tmp_path / "bare")]) == INCOMPLETE
    assert run(["images", "relink", str(study), str(tmp_path / "other disk")]) == 0
    assert run(["export", str(study), "--format", "labelmap", str(tmp_path / "full")]) == 0
    (tmp_path / "other disk" / "field0.png").unlink()
    assert run(["images", "relink", str(study), str(tmp_path / "other disk")]) == INCOMPLETE
