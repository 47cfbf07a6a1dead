"""Pictures with black, a cast or one colour, from ``annotate`` to ``stats``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.odd_pictures import Pixels, as_jpeg, drawn_tissue, through_eyepiece, under_light

from annotator.cli.main import run
from annotator.core.classes import UNLABELLED

pytestmark = pytest.mark.slow

SIDE = 480


def barred(pixels: Pixels) -> Pixels:
    odd = pixels.copy()
    odd[:70] = odd[-70:] = 0
    return odd


def without_a_tile(pixels: Pixels) -> Pixels:
    odd = pixels.copy()
    odd[160:288, 160:288] = 0
    return odd


def odd_pictures() -> dict[str, Pixels]:
    plain = drawn_tissue(side=SIDE)
    stained = drawn_tissue(lumens=False, side=SIDE)
    return {
        "plain": plain,
        "bars": as_jpeg(barred(plain)),
        "eyepiece": through_eyepiece(plain, 220),
        "tile": without_a_tile(plain),
        "tungsten": under_light(plain, (1, 0.93, 0.75)),
        "tungsten bars": barred(under_light(plain, (1, 0.85, 0.6))),
        "blue": under_light(plain, (0.8, 0.92, 1)),
        "dim": under_light(plain, (0.5, 0.5, 0.5)),
        "black": np.zeros_like(plain),
        "grey": np.full_like(plain, 128),
        "white": np.full_like(plain, 255),
        "stained": stained,
        "stained warm": under_light(stained, (1, 0.93, 0.75)),
        "overexposed": np.clip(plain * 1.5, 0, 255).astype(np.uint8),
    }


UNDISTURBED = ("bars", "eyepiece", "tile", "tungsten", "tungsten bars", "blue", "dim")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "in").mkdir()
    for name, pixels in odd_pictures().items():
        assert cv2.imwrite(str(folder / "in" / f"{name}.png"), pixels[..., ::-1])
    assert run(["init", str(folder / "study")]) == 0
    assert run(["annotate", str(folder / "study"), str(folder / "in"), "--json"]) == 0
    return folder / "study"


def rows_of(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    assert run([*words, "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}


@pytest.fixture
def stats(study: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    return rows_of(capsys, "stats", str(study))


@pytest.fixture
def annotated(study: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    return rows_of(capsys, "annotate", str(study), str(study.parent / "in"))


def codes(study: Path, name: str) -> Pixels:
    return np.asarray(cv2.imread(str(study / "rough" / f"{name}.png"), cv2.IMREAD_UNCHANGED))


def raised(row: dict[str, Any]) -> set[str]:
    found = {name for name, flag in row["flags"].items() if flag["raised"]}
    return found & {"black", "one_colour", "doubtful_white"}


@pytest.mark.parametrize("name", UNDISTURBED)
def test_what_is_left_has_the_classes_that_it_has_undisturbed(study: Path, name: str) -> None:
    plain, odd = codes(study, "plain"), codes(study, name)
    seen = odd != UNLABELLED
    assert seen.mean() > 0.4
    assert (plain[seen] == odd[seen]).mean() > 0.98


@pytest.mark.parametrize("name", UNDISTURBED)
def test_cellularity_is_of_what_is_left(
    study: Path, stats: dict[str, dict[str, Any]], name: str
) -> None:
    plain, seen = codes(study, "plain"), codes(study, name) != UNLABELLED
    fat, cell = (np.count_nonzero(plain[seen] == code) for code in (1, 2))
    assert stats[name]["cellularity"] == pytest.approx(cell / (cell + fat), abs=0.02)


@pytest.mark.parametrize(
    ("name", "share"),
    [("bars", 140 / 480), ("tile", 128**2 / 480**2), ("tungsten bars", 140 / 480)],
)
def test_black_is_unlabelled_and_nothing_else(study: Path, name: str, share: float) -> None:
    assert (codes(study, name) == UNLABELLED).mean() == pytest.approx(share, abs=0.005)


def test_flags_say_what_is_odd_with_the_picture(stats: dict[str, dict[str, Any]]) -> None:
    assert {name: raised(row) for name, row in stats.items()} == {
        "plain": set(),
        **{key: {"black"} for key in ("bars", "eyepiece", "tile", "tungsten bars")},
        **{key: set() for key in ("tungsten", "blue", "dim")},
        "black": {"black", "one_colour"},
        **{key: {"one_colour"} for key in ("grey", "white")},
        **{key: {"doubtful_white"} for key in ("stained", "stained warm", "overexposed")},
    }


@pytest.mark.parametrize("name", ["black", "grey", "white"])
def test_a_picture_of_one_colour_has_no_cellularity(
    stats: dict[str, dict[str, Any]], name: str
) -> None:
    assert stats[name]["cellularity"] is None
    assert stats[name]["areas_pct"]["bg" if name == "white" else "unlabelled"] == 100


def test_black_and_no_class_are_counted_once(annotated: dict[str, dict[str, Any]]) -> None:
    for row in annotated.values():
        counted = [int(note.split(" px ")[0]) for note in row["notes"] if " px unlab" in note]
        assert sum(counted) == row["areas_px"]["unlabelled"]


def test_objects_lie_outside_of_black(annotated: dict[str, dict[str, Any]]) -> None:
    assert annotated["black"]["objects"] == annotated["grey"]["objects"] == 0
    assert annotated["bars"]["objects"] > 0


def test_a_person_reads_that_cellularity_is_doubtful(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["annotate", str(study), str(study.parent / "in")], ["stats", str(study)]):
        assert run(words) == 0
        out = capsys.readouterr().out
        doubtful = {line.split("  ")[0] for line in out.splitlines() if " ? " in line}
        assert {"stained", "stained warm", "overexposed"} >= doubtful - {""} > set()
        assert "cellularity" in out and "less light" in out and "save it again" in out


def test_the_report_marks_it_too(study: Path) -> None:
    assert run(["report", str(study)]) == 0
    page = next((study / "report").glob("*.html")).read_text("utf-8")
    assert "Damaged" not in page
    assert "Doubtful white: " in page and "One colour: " in page
