from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from annotator.cli.print_annotate import print_demo
from annotator.core.errors import UsageError
from annotator.core.progress import Progress
from annotator.demo import FIELDS, Places, dice, run_demo
from annotator.imaging.codecs import decode_png
from annotator.imaging.read import read_image
from annotator.settings.study import Settings
from annotator.synthetic.field import make_phantom
from annotator.synthetic.field_files import draw_fields
from annotator.synthetic.settings import PhantomSettings

SMALL = tuple(PhantomSettings(seed=seed, shape=(120, 160), um_per_px=1.0) for seed in range(2))


def silent(step: Progress) -> None:
    """Report to nobody."""


def test_the_demonstration_is_six_fields_of_the_usual_size() -> None:
    assert [field.shape for field in FIELDS] == [(1200, 1920)] * 6


@pytest.mark.slow
def test_the_demonstration_runs_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps: list[Progress] = []
    made = run_demo(tmp_path / "demo", SMALL, 1, steps.append)
    assert [row.name for row in made.result.rows] == ["field-1", "field-2"]
    assert set(made.dice) == {"field-1", "field-2"}
    assert all(
        0 < scores["cell"] <= 1 for scores in made.dice.values() if scores["cell"] is not None
    )
    assert made.places.archive.is_file()
    assert [step.stage for step in steps[:3]] == ["drawing fields", "drawing fields", "reading"]

    print_demo(made)
    text = capsys.readouterr().out
    for place in ("overlays", "contact-sheet.jpg", "voc.zip", "truth"):
        assert place in text
    assert (made.places.study / "rough" / "contact-sheet.jpg").is_file()

    again = run_demo(tmp_path / "demo", SMALL, 1, lambda step: None)
    assert again.result.skipped == 2
    assert again.dice == made.dice


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


def test_dice_of_equal_and_of_disjoint_maps() -> None:
    truth = np.array([[0, 1], [2, 2]], np.uint8)
    assert dice(truth, truth) == {"bg": 1.0, "fat": 1.0, "cell": 1.0, "bone": None}
    assert dice(truth, np.full((2, 2), 3, np.uint8)) == {
        "bg": 0.0,
        "fat": 0.0,
        "cell": 0.0,
        "bone": 0.0,
    }
