from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from pathspec import GitIgnoreSpec

from annotator.cli.main import run
from annotator.cli.options import DONE
from annotator.cli.print_demo import print_demo
from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.errors import UsageError
from annotator.core.progress import Progress
from annotator.demo import FIELDS, REAL_FIELDS, Places, copy_real_fields, dice, run_demo
from annotator.doctor import package_folder
from annotator.imaging.codecs import decode_png
from annotator.imaging.read import read_image
from annotator.settings.study import Settings
from annotator.synthetic.field import make_phantom
from annotator.synthetic.field_files import draw_fields
from annotator.synthetic.settings import PhantomSettings

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = package_folder("annotator") / "samples"
SMALL = tuple(PhantomSettings(seed=seed, shape=(120, 160), um_per_px=1.0) for seed in range(2))


def silent(step: Progress) -> None:
    """Report to nobody."""


def test_the_demonstration_is_six_fields_of_the_usual_size() -> None:
    assert [field.shape for field in FIELDS] == [(1200, 1920)] * 6


@pytest.mark.slow
def test_the_demonstration_runs_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Progress] = []
    made = run_demo(tmp_path / "demo", SMALL, 1, steps.append)
    drawn = ("field-1", "field-2")
    assert {row.name for row in made.result.rows} == {*drawn, *REAL_FIELDS}
    assert made.kinds == dict.fromkeys(drawn, "drawn") | dict.fromkeys(REAL_FIELDS, "real")
    assert tuple(made.dice)[:2] == drawn
    cells = [made.dice[name]["cell"] for name in drawn]
    assert all(0 < score <= 1 for score in cells if score is not None)
    assert made.places.archive.is_file()
    assert [step.stage for step in steps[:3]] == ["drawing fields", "drawing fields", "reading"]
    # Far below what is found: a field that is mirrored or has another's truth falls out.
    bounds = {"tissue-core": ("cell", "bone"), "tissue-fat": ("fat",), "tissue-bone": ("bg",)}
    for name, classes in bounds.items():
        assert min(made.dice[name][of] or 0 for of in classes) > 0.5, name

    print_demo(made)
    text = capsys.readouterr().out
    for place in ("overlays", "contact-sheet.jpg", "voc.zip", "truth"):
        assert place in text
    assert "no pathologist" in text and "not how good it is on new tissue" in text
    assert (made.places.study / "rough" / "contact-sheet.jpg").is_file()

    monkeypatch.setattr("annotator.demo.FIELDS", SMALL)
    assert run(["demo", str(tmp_path / "demo"), "--workers", "1", "--json"]) == DONE
    again = json.loads(capsys.readouterr().out)
    assert again["skipped"] == len(again["rows"]) == 5
    assert {name: field["dice"] for name, field in again["fields"].items()} == made.dice
    assert again["fields"]["tissue-core"]["field"] == "real"
    assert any("no pathologist" in remark for remark in again["remarks"])


def test_real_fields_have_a_size_and_a_truth_of_the_classes_that_they_show(tmp_path: Path) -> None:
    places = Places(tmp_path)
    copy_real_fields(places.images, places.truth)
    shown = {
        "tissue-core": (2.0, {BG, FAT, CELL, BONE}),
        "tissue-fat": (0.5, {FAT, CELL}),
        "tissue-bone": (0.5, {BG, CELL, BONE}),
    }
    assert {path.stem for path in places.images.iterdir()} == set(REAL_FIELDS) == set(shown)
    for name, (um_per_px, classes) in shown.items():
        image = read_image(places.images / f"{name}.png", Settings().read)
        truth = decode_png((places.truth / f"{name}.png").read_bytes())
        assert image.um_per_px == pytest.approx(um_per_px, rel=1e-3)
        assert truth.shape == image.pixels.shape[:2]
        assert {*np.unique(truth).tolist()} == classes | {UNLABELLED}


def test_samples_are_small_and_say_where_they_come_from() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 3e6
    text = (SAMPLES / "SAMPLES.md").read_text("utf-8")
    for name in REAL_FIELDS:
        assert f"`{name}`" in text
    for said in ("b4a293a", "b7b3241", "8a52df8", "Leavey", "no pathologist", "starter network"):
        assert said in text
    for name in ("tissue-core", "tissue-fat"):
        licence = (SAMPLES / f"LICENSE-{name}.txt").read_text("utf-8")
        assert licence.startswith("MIT License\n\nCopyright (c) ")


def test_the_wheel_takes_the_samples_along() -> None:
    """Hatch packs every file of a package that Git does not ignore."""
    target = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    assert set(target) == {"targets"} and set(target["targets"]["wheel"]) == {"packages"}
    assert "annotator" in target["targets"]["wheel"]["packages"]
    ignored = GitIgnoreSpec.from_lines((ROOT / ".gitignore").read_text("utf-8").splitlines())
    packed = [str(p.relative_to(ROOT)) for p in SAMPLES.rglob("*") if p.is_file()]
    assert len(packed) == 2 * len(REAL_FIELDS) + 3
    assert [*ignored.match_files(packed)] == []


def test_fields_and_truth_are_what_the_phantom_says(tmp_path: Path) -> None:
    places = Places(tmp_path)
    draw_fields(places.images, places.truth, SMALL[:1], 1, silent)
    phantom = make_phantom(SMALL[0])
    image = read_image(places.images / "field-1.png", Settings().read)
    assert image.id == phantom.image.id
    assert image.um_per_px == pytest.approx(1.0)
    truth = decode_png((places.truth / "field-1.png").read_bytes())
    assert np.array_equal(truth, phantom.classes)


@pytest.mark.slow
def test_workers_draw_the_same_fields(tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        places = Places(tmp_path / name)
        draw_fields(places.images, places.truth, SMALL, workers, silent)
    for place in ("images/field-1.png", "images/field-2.png", "truth/field-2.png"):
        assert (tmp_path / "one" / place).read_bytes() == (tmp_path / "two" / place).read_bytes()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        run_demo(tmp_path, SMALL, 1, lambda step: None)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        run_demo(tmp_path / "thesis.tex", SMALL, 1, lambda step: None)


def test_what_the_truth_leaves_open_counts_for_nothing() -> None:
    truth = np.array([[0, 1, UNLABELLED, UNLABELLED]], np.uint8)
    assert dice(truth, np.array([[0, 1, 3, 1]], np.uint8)) == {
        "bg": 1.0,
        "fat": 1.0,
        "cell": None,
        "bone": None,
    }


def test_dice_of_equal_and_of_disjoint_maps() -> None:
    truth = np.array([[0, 1], [2, 2]], np.uint8)
    assert dice(truth, truth) == {"bg": 1.0, "fat": 1.0, "cell": 1.0, "bone": None}
    assert dice(truth, np.full((2, 2), 3, np.uint8)) == {
        "bg": 0.0,
        "fat": 0.0,
        "cell": 0.0,
        "bone": 0.0,
    }
