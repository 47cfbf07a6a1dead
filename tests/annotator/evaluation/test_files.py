"""What an evaluation leaves behind, and the pictures that it draws."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.evaluated_maps import drawn, two_folders, worsened
from support.learning_studies import give_truth

from annotator.core.classes import CLASS_NAMES, DEFAULT_SCHEMA
from annotator.core.errors import StorageError
from annotator.core.objects import Image
from annotator.evaluation.counts import Maps, Pair
from annotator.evaluation.evaluate import EvaluateOptions, evaluate_pairs, find_pairs
from annotator.evaluation.files import _pixels, caption, save_evaluation
from annotator.evaluation.pictures import MapComparison, differences, draw_comparison, painted
from annotator.evaluation.results import MapEvaluation
from annotator.imaging.codecs import decode_jpeg, encode_rgb_png
from annotator.settings.study import Settings
from annotator.study.study import Study


def saved(place: Path, out: Path, worst: int = 2) -> MapEvaluation:
    options = EvaluateOptions(place / "pred", place / "truth")
    pairs = find_pairs(None, options)
    return save_evaluation(evaluate_pairs(pairs, options), pairs.found, out, Settings(), worst)


def test_figures_and_pictures_of_the_worst(tmp_path: Path) -> None:
    two_folders(tmp_path)
    found = saved(tmp_path, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert content == json.loads(json.dumps(found.to_dict()))
    assert [row.picture for row in found.rows] == ["p2_5.jpg", "p2_4.jpg", None, None, None, None]
    drawn_ = sorted(path.name for path in (tmp_path / "out" / "evaluation").iterdir())
    assert drawn_ == ["p2_4.jpg", "p2_5.jpg"]
    picture = decode_jpeg((tmp_path / "out" / "evaluation" / "p2_5.jpg").read_bytes())
    assert picture is not None
    assert picture.shape[1] >= 480


def test_a_picture_that_was_replaced_under_its_name_is_not_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    picture.write_bytes(encode_rgb_png(pixels))
    maps = Maps(tmp_path / "codes.png", tmp_path / "none.png")
    annotated = Image.from_pixels(pixels, None, ()).id
    pair = Pair("a", "a", "rough", maps, maps, None, picture, annotated)
    drawn_on = _pixels(pair, (40, 50), Settings())
    assert drawn_on is not None
    assert np.array_equal(drawn_on, pixels)
    picture.write_bytes(encode_rgb_png(255 - pixels))
    assert _pixels(pair, (40, 50), Settings()) is None


def test_pictures_of_an_earlier_evaluation_go_and_nothing_else(tmp_path: Path) -> None:
    two_folders(tmp_path)
    out = tmp_path / "out"
    saved(tmp_path, out, worst=4)
    (out / "evaluation" / "mine.jpg").write_text("of somebody")
    saved(tmp_path, out, worst=1)
    left = sorted(path.name for path in (out / "evaluation").iterdir())
    assert left == ["mine.jpg", "p2_5.jpg"]


@pytest.mark.parametrize(
    "content", ["no JSON", "[]", '{"rows": [{"picture": "../../mine.jpg"}, {"picture": 3}]}']
)
def test_an_earlier_file_that_is_none_of_ours_does_no_harm(tmp_path: Path, content: str) -> None:
    two_folders(tmp_path)
    out = tmp_path / "deep" / "out"
    (out / "evaluation").mkdir(parents=True)
    (out / "evaluation.json").write_text(content)
    (tmp_path / "deep" / "mine.jpg").write_text("of somebody")
    saved(tmp_path, out, worst=1)
    assert (tmp_path / "deep" / "mine.jpg").read_text() == "of somebody"
    assert json.loads((out / "evaluation.json").read_text("utf-8"))["images"] == 6


def test_twice_the_same_bytes(tmp_path: Path) -> None:
    two_folders(tmp_path)
    for name in ("one", "two"):
        saved(tmp_path, tmp_path / name)
    for file in ("evaluation.json", "evaluation/p2_5.jpg"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_place_that_refuses_is_named(tmp_path: Path) -> None:
    two_folders(tmp_path)
    (tmp_path / "out").write_text("a file is in the way")
    with pytest.raises(StorageError, match="out"):
        saved(tmp_path, tmp_path / "out")


def test_pictures_of_a_study_show_the_image(path: Path, annotated: Path) -> None:
    give_truth(path, annotated.parent / "masks", 0)
    image = path.parent / "image.png"
    shutil.copy(annotated.parent / "in" / "p0_0.png", image)
    with Study.open(path) as study:
        pairs = find_pairs(study, EvaluateOptions())
        mine = [replace(pair, image=image) for pair in pairs.found]
        found = evaluate_pairs(pairs, EvaluateOptions())
        for name in ("there", "gone"):
            save_evaluation(found, mine, path.parent / name, study.settings, 1)
            image.unlink(missing_ok=True)
    there, gone = (
        decode_jpeg((path.parent / name / "evaluation" / "p0_0.jpg").read_bytes())
        for name in ("there", "gone")
    )
    assert there is not None and gone is not None
    assert there.shape == gone.shape
    # Without the image the maps are still shown.
    assert not np.array_equal(there, gone)


def test_an_image_of_another_size_is_not_shown(path: Path, annotated: Path, tmp_path: Path) -> None:
    give_truth(path, annotated.parent / "masks", 0)
    with Study.open(path) as study:
        pairs = find_pairs(study, EvaluateOptions())
        other = tmp_path / "other.png"
        cv2.imwrite(str(other), np.full((80, 90, 3), 200, np.uint8))
        moved = [replace(pair, image=other) for pair in pairs.found]
        found = evaluate_pairs(pairs, EvaluateOptions())
        done = save_evaluation(found, moved, tmp_path / "out", study.settings, 1)
    assert done.rows[0].picture == "p0_0.jpg"


def test_differences_show_what_should_be_there() -> None:
    truth = drawn(1)
    truth[:5] = 255
    said = worsened(truth, 2)
    picture = differences(said, truth, DEFAULT_SCHEMA)
    palette = DEFAULT_SCHEMA.palette()
    wrong = (said != truth) & (truth != 255)
    assert wrong.any()
    assert (picture[wrong] == palette[truth[wrong]]).all()
    assert (picture[truth == 255] == 255).all()
    assert (picture[(said == truth) & (truth != 255)] == 225).all()


def test_maps_are_painted_in_the_colours_of_the_schema() -> None:
    codes = np.array([[0, 1, 2, 3, 255]], np.uint8)
    colours = painted(codes, DEFAULT_SCHEMA)[0].tolist()
    assert colours == [*(list(DEFAULT_SCHEMA.rgb(name)) for name in CLASS_NAMES), [255] * 3]


def test_any_shape_and_name_can_be_drawn() -> None:
    for shape in ((1, 1), (3, 400), (900, 30)):
        codes = np.full(shape, 1, np.uint8)
        image = np.zeros((*shape, 3), np.uint8)
        for pixels in (None, image):
            comparison = MapComparison("骨髓 <b>&" * 30, "figures", codes, codes, pixels)
            picture = draw_comparison(comparison, DEFAULT_SCHEMA)
            assert picture.ndim == 3
            assert picture.dtype == np.uint8


def test_a_caption_says_what_is_undefined(tmp_path: Path) -> None:
    two_folders(tmp_path)
    row = saved(tmp_path, tmp_path / "out", worst=0).rows[0]
    assert caption(row).startswith("Dice bg 0.")
    empty = replace(row, dice=dict.fromkeys(CLASS_NAMES), cellularity=None)
    assert caption(empty).startswith("Dice bg –, fat –")
    assert "cellularity –, truth" in caption(empty)
