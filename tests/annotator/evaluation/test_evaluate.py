"""Evaluations as a whole: of folders and of a study."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score
from support.evaluated_maps import drawn, two_folders, worsened, write
from support.learning_studies import give_truth

from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import UsageError
from annotator.evaluation.counts import Tolerance
from annotator.evaluation.evaluate import EvaluateOptions, evaluate_folders, evaluate_study
from annotator.evaluation.results import COLUMNS
from annotator.imaging.codecs import decode_png
from annotator.study.study import Study

BY_PATIENT = EvaluateOptions(patients="^(p[0-9])_")


def pixels_of(folder: Path) -> np.ndarray:
    return np.concatenate(
        [decode_png(path.read_bytes()).ravel() for path in sorted(folder.glob("*.png"))]
    )


def test_pooled_figures_are_those_of_scikit_learn(tmp_path: Path) -> None:
    pred, truth = two_folders(tmp_path)
    found = evaluate_folders(pred, truth, BY_PATIENT)
    true, said = pixels_of(truth), pixels_of(pred)
    theirs = f1_score(true, said, average=None)
    assert [one.dice.value for one in found.classes] == pytest.approx(theirs.tolist())
    assert found.mean_dice.value == pytest.approx(float(theirs.mean()))
    assert found.accuracy.value == pytest.approx(float((true == said).mean()))
    matrix = confusion_matrix(true, said)
    assert [list(row[:4]) for row in found.confusion] == matrix.tolist()
    assert (found.images, found.patients) == (6, 3)


def test_per_image_figures_and_cellularity_by_hand(tmp_path: Path) -> None:
    pred, truth = two_folders(tmp_path)
    found = evaluate_folders(pred, truth, BY_PATIENT)
    names = sorted(path.stem for path in truth.glob("*.png"))
    maps = [
        tuple(decode_png((folder / f"{name}.png").read_bytes()) for folder in (truth, pred))
        for name in names
    ]
    dice = [f1_score(t.ravel(), p.ravel(), average=None) for t, p in maps]
    assert [one.dice_per_image.value for one in found.classes] == pytest.approx(
        np.mean(dice, axis=0).tolist()
    )
    shares = np.array(
        [[100 * (m == 2).sum() / ((m == 2) | (m == 1)).sum() for m in pair] for pair in maps]
    )
    off = shares[:, 1] - shares[:, 0]
    sd = float(np.std(off, ddof=1))
    cellularity = found.cellularity
    assert cellularity.mae.value == pytest.approx(float(np.abs(off).mean()))
    assert cellularity.bias.value == pytest.approx(float(off.mean()))
    assert cellularity.lower.value == pytest.approx(float(off.mean()) - 1.96 * sd)
    assert cellularity.upper.value == pytest.approx(float(off.mean()) + 1.96 * sd)
    assert cellularity.icc.value is not None
    assert 0.5 < cellularity.icc.value < 1


def test_the_worst_image_comes_first(tmp_path: Path) -> None:
    found = evaluate_folders(*two_folders(tmp_path))
    dice = [row.mean_dice for row in found.rows]
    assert dice == sorted(dice)
    assert found.rows[0].name == "p2_5"


def test_intervals_hold_their_figures(tmp_path: Path) -> None:
    found = evaluate_folders(*two_folders(tmp_path), BY_PATIENT)
    for figure in (found.mean_dice, found.accuracy, found.adipocytes.f1, found.cellularity.mae):
        assert figure.low is not None and figure.high is not None and figure.value is not None
        assert figure.low <= figure.value <= figure.high
        assert figure.low < figure.high


def test_identical_maps_are_perfect(tmp_path: Path) -> None:
    _, truth = two_folders(tmp_path)
    shutil.copytree(truth, tmp_path / "same")
    found = evaluate_folders(tmp_path / "same", truth)
    for one in found.classes:
        for figure in (one.dice, one.iou, one.boundary_f1, one.dice_per_image, one.iou_per_image):
            assert (figure.value, figure.low, figure.high) == (1.0, 1.0, 1.0)
    assert found.adipocytes.f1.value == found.adipocytes.mean_iou.value == 1.0
    assert found.cellularity.icc.value == 1.0
    for zero in (found.cellularity.mae, found.cellularity.bias, found.cellularity.upper):
        assert zero.value == 0.0


def test_areas_add_up(tmp_path: Path) -> None:
    pred, truth = two_folders(tmp_path)
    found = evaluate_folders(pred, truth)
    whole = pixels_of(truth).size
    assert sum(map(sum, found.confusion)) == whole
    assert sum(one.truth_px for one in found.classes) == whole
    assert sum(one.predicted_px for one in found.classes) == whole


def test_names_and_their_order_change_no_figure(tmp_path: Path) -> None:
    pred, truth = two_folders(tmp_path)
    names = sorted(path.stem for path in truth.glob("*.png"))
    for folder in (pred, truth):
        for name, other in zip(names, reversed(names), strict=True):
            target = tmp_path / f"{folder.name}2"
            target.mkdir(exist_ok=True)
            shutil.copy(folder / f"{name}.png", target / f"{other}.png")
    here = evaluate_folders(pred, truth).to_dict()
    there = evaluate_folders(tmp_path / "pred2", tmp_path / "truth2").to_dict()
    for key in ("classes", "mean_dice", "accuracy", "adipocytes", "cellularity"):
        values = [value_of(one[key]) for one in (here, there)]
        assert values[0] == pytest.approx(values[1], rel=1e-9)


def value_of(content: object) -> list[float]:
    """All points (no ends of intervals) in a part of an evaluation."""
    if isinstance(content, dict):
        kept = [v for k, v in content.items() if k not in ("low", "high")]
        return [one for value in kept for one in value_of(value)]
    if isinstance(content, list | tuple):
        return [one for value in content for one in value_of(value)]
    return [float(content)] if isinstance(content, int | float) else []


def test_several_workers_find_the_same(tmp_path: Path) -> None:
    pred, truth = two_folders(tmp_path)
    (pred / "p1_2.png").write_bytes(b"no picture")
    here = evaluate_folders(pred, truth)
    assert here == evaluate_folders(pred, truth, EvaluateOptions(workers=2))
    assert [name for name, _ in here.faults] == ["p1_2"]


def test_bad_maps_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    pred, truth = two_folders(tmp_path)
    write(pred, {"p0_0": drawn(0, (10, 10)), "p0_1": np.full((48, 64), 9, np.uint8)})
    (pred / "p1_2.png").unlink()
    found = evaluate_folders(pred, truth)
    assert found.images == 3
    reasons = dict(found.faults)
    assert "p0_0.png" in reasons["p0_0"]
    assert "got 9" in reasons["p0_1"]
    assert reasons["p1_2"]


def test_nothing_that_can_be_compared_is_an_error(tmp_path: Path) -> None:
    pred = write(tmp_path / "pred", {"a": drawn(0, (10, 10))})
    truth = write(tmp_path / "truth", {"a": drawn(0, (10, 12))})
    with pytest.raises(UsageError, match=r"a\.png.*\(10, 12\).*\(10, 10\)"):
        evaluate_folders(pred, truth)


def test_open_pixels_are_left_out_of_everything(tmp_path: Path) -> None:
    truth = drawn(1)
    truth[:, 40:] = 255
    said = worsened(np.where(truth == 255, np.uint8(2), truth), 2)
    other = np.where(truth == 255, drawn(3), said)
    truth_folder = write(tmp_path / "truth", {"a": truth, "b": drawn(4)})
    found = [
        evaluate_folders(write(tmp_path / name, {"a": a, "b": drawn(5)}), truth_folder).to_dict()
        for name, a in (("one", said), ("two", other))
    ]
    for key in ("classes", "confusion", "cellularity", "mean_dice"):
        assert found[0][key] == found[1][key]
    row = next(row for row in found[0]["rows"] if row["name"] == "a")
    assert row["labelled"] == pytest.approx(40 / 64)
    assert any("truth" in note for note in found[0]["notes"])


def test_a_map_without_cell_or_fat_has_no_cellularity(tmp_path: Path) -> None:
    pred, truth = two_folders(tmp_path)
    write(pred, {"p0_0": np.full((48, 64), 3, np.uint8)})
    found = evaluate_folders(pred, truth)
    assert found.cellularity.undefined == ("p0_0",)
    assert found.cellularity.images == 5
    row = next(row for row in found.rows if row.name == "p0_0")
    assert row.cellularity is None
    assert row.cellularity_truth is not None


def test_the_whole_is_plain_json(tmp_path: Path) -> None:
    content = evaluate_folders(*two_folders(tmp_path)).to_dict()
    again = json.loads(json.dumps(content, allow_nan=False))
    assert again["confusion"]["columns_predicted"] == list(COLUMNS)
    assert [one["name"] for one in again["classes"]] == list(CLASS_NAMES)
    assert {"dice", "boundary_f1", "cellularity", "intervals"} <= again["definitions"].keys()


def test_the_tolerance_is_stated(tmp_path: Path) -> None:
    pred, truth = two_folders(tmp_path)
    wide = evaluate_folders(pred, truth, EvaluateOptions(tolerance=Tolerance(6.0)))
    narrow = evaluate_folders(pred, truth, EvaluateOptions(tolerance=Tolerance(1.0, 2.0)))
    assert wide.tolerance == "6 px"
    assert re.findall(r"\d+ \w+", narrow.tolerance) == ["2 um", "1 px", "6 image"]
    for one, other in zip(wide.classes, narrow.classes, strict=True):
        assert one.boundary_f1.value is not None and other.boundary_f1.value is not None
        assert one.boundary_f1.value > other.boundary_f1.value


def test_notes_say_what_limits_the_figures(tmp_path: Path) -> None:
    pred, truth = two_folders(tmp_path)
    few = evaluate_folders(pred, truth, BY_PATIENT)
    alone = evaluate_folders(pred, truth, EvaluateOptions(patients="^(p)"))
    strangers = evaluate_folders(pred, truth)
    assert any(note.startswith("3 patients only") for note in few.notes)
    assert any(note.startswith("one patient only") for note in alone.notes)
    assert alone.mean_dice.low is None
    assert any("patient" in note for note in strangers.notes)
    assert any("fat" in note for note in few.notes)


def test_a_study_is_evaluated_against_its_truth(path: Path, annotated: Path) -> None:
    masks = annotated.parent / "masks"
    give_truth(path, masks, 0, 1, 2, 3)
    seen: list[tuple[str, int, int]] = []
    with Study.open(path) as study:
        before = {p: p.stat().st_mtime_ns for p in path.rglob("*.png")}
        found = evaluate_study(study, on_step=lambda *step: seen.append(step))
        assert {p: p.stat().st_mtime_ns for p in path.rglob("*.png")} == before
    assert seen == [("comparing", n, 4) for n in range(1, 5)]
    true = [decode_png((masks / f"{row.name}.png").read_bytes()) for row in found.rows]
    said = [decode_png((path / "rough" / f"{row.name}.png").read_bytes()) for row in found.rows]
    right = sum(int((t == s).sum()) for t, s in zip(true, said, strict=True))
    assert found.accuracy.value == pytest.approx(right / sum(t.size for t in true))
    assert {row.source for row in found.rows} == {"rough"}


def test_a_model_that_has_seen_the_truth_is_told_of(trained_path: Path) -> None:
    with Study.open(trained_path) as study:
        found = evaluate_study(study)
    assert any("learned from" in note for note in found.notes)
