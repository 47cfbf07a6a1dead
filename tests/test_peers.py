"""The bench of peers: scores, splits, filters, and that each peer learns something."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import peers
import pytest
from peer_classifiers import SIGMAS, filters
from peer_fields import at_scale, field_scores, read_fields
from peer_networks import PlainUNet, train_unet
from peers import FoldResult, folds, measure, read_results, table
from skimage.feature import hessian_matrix, hessian_matrix_eigvals

from active_learning.network.patches import TruthField
from annotator.core.errors import UsageError


def a_field(codes: np.ndarray) -> TruthField:
    return TruthField("OSA_1", "OSA", np.zeros((*codes.shape, 3), np.uint8), codes, None, 0.5)


def write_fields(folder: Path, names: list[str], shape: tuple[int, int] = (96, 128)) -> Path:
    """Fields that are white on the left, fat, and purple on the right, cell."""
    rng = np.random.default_rng(0)
    for part in ("images", "gt"):
        (folder / part).mkdir(parents=True)
    for name in names:
        pixels = np.full((*shape, 3), 235, np.uint8)
        pixels[:, shape[1] // 2 :] = (150, 80, 160)
        pixels += rng.integers(0, 12, pixels.shape, np.uint8)
        codes = np.ones(shape, np.uint8)
        codes[:, shape[1] // 2 :] = 2
        codes[:, shape[1] // 2 - 1 : shape[1] // 2 + 1] = 255
        cv2.imwrite(str(folder / "images" / f"{name}.png"), pixels[..., ::-1])
        cv2.imwrite(str(folder / "gt" / f"{name}.png"), codes)
    return folder


def test_a_field_is_scored_over_the_classes_that_matter() -> None:
    """200 scored pixels: 100 fat, 99 cell, 1 bone (below 1 %); some said wrong, some unsaid."""
    codes = np.full((11, 20), 255, np.uint8)
    codes[:5], codes[5:10] = 1, 2
    codes[9, 19] = 3
    predicted = codes.copy()
    predicted[codes == 255] = 3
    predicted[0] = 2
    predicted[5, :10] = 255
    scores = field_scores(a_field(codes), predicted)
    fat, cell = 2 * 80 / 180, 2 * 89 / (99 + 109)
    assert scores.classes == pytest.approx({"fat": fat, "cell": cell})
    assert scores.dice == pytest.approx((fat + cell) / 2)
    assert scores.right == pytest.approx(170 / 200)
    truth, said = 100 * 99 / 199, 100 * 109 / 189
    assert scores.cellularity_error == pytest.approx(said - truth)


def test_a_field_without_marrow_has_no_cellularity() -> None:
    codes = np.full((10, 10), 3, np.uint8)
    assert field_scores(a_field(codes), codes).cellularity_error is None


def test_a_prediction_of_neither_fat_nor_cell_says_that_there_are_no_cells() -> None:
    codes = np.full((10, 10), 2, np.uint8)
    assert field_scores(a_field(codes), np.zeros_like(codes)).cellularity_error == 100


def test_no_source_is_on_both_sides_and_extra_fields_are_never_learned_from(
    tmp_path: Path,
) -> None:
    data = write_fields(tmp_path / "data", ["OSA_1", "OSA_2", "GTEX_1", "MEKA_1"])
    extra = write_fields(tmp_path / "extra", ["BM_1"])
    made = list(folds(data, extra))
    assert [(fold.name, is_extra) for fold, is_extra in made] == [
        ("GTEX", False),
        ("MEKA", False),
        ("OSA", False),
        ("BM", True),
    ]
    for fold, _ in made:
        assert not {f.patient for f in fold.training} & {f.patient for f in fold.unseen}
        assert {f.patient for f in fold.unseen} == {fold.name}
    assert [field.name for field in made[2][0].unseen] == ["OSA_1", "OSA_2"]


def test_a_field_of_a_source_whose_scale_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="begins with MEKA"):
        read_fields(write_fields(tmp_path / "data", ["HOME_1"]))
    with pytest.raises(UsageError, match="got none"):
        read_fields(tmp_path)


def test_filters_are_those_of_scikit_image() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (40, 48, 3), np.uint8)
    found = filters(pixels)
    assert found.shape == (40, 48, 147)
    # 3 of the finest smoothing; then 8 planes of 3 channels at each scale.
    at = 3 + 24 * SIGMAS[1:].index(1.6)
    for channel in range(3):
        plane = pixels[..., channel].astype(np.float32)
        hessian = hessian_matrix(plane, 1.6, mode="reflect", use_gaussian_derivatives=False)
        larger, smaller = hessian_matrix_eigvals(hessian)
        inner = np.s_[8:-8, 8:-8]
        np.testing.assert_allclose(found[..., at + 18 + channel][inner], larger[inner], atol=0.02)
        np.testing.assert_allclose(found[..., at + 21 + channel][inner], smaller[inner], atol=0.02)
        laplacian = found[..., at + 3 + channel]
        np.testing.assert_allclose(laplacian[inner], (larger + smaller)[inner], atol=0.04)


def test_filters_of_a_slope_are_its_gradient_and_nothing_else() -> None:
    pixels = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], 100, 0).repeat(3, 2)
    middle = filters(pixels)[50, 50, 3:].reshape(-1, 8, 3)
    np.testing.assert_allclose(middle[:, 0], 100, atol=0.1)
    np.testing.assert_allclose(middle[:, 2], 2, atol=0.05)
    np.testing.assert_allclose(middle[:, 4], 4, atol=0.1)
    np.testing.assert_allclose(middle[:, [1, 3, 5, 6, 7]], 0, atol=0.1)


def test_codes_keep_their_values_at_another_scale() -> None:
    codes = np.array([[1, 255], [2, 3]], np.uint8).repeat(8, 0).repeat(8, 1)
    small = at_scale(codes, 0.5, 1.0)
    assert small.shape == (8, 8) and set(np.unique(small)) == {1, 2, 3, 255}
    assert at_scale(codes, 2.0, 1.0).shape == (24, 24)


def test_the_plain_unet_has_about_two_million_parameters() -> None:
    assert sum(part.numel() for part in PlainUNet().parameters()) == pytest.approx(2e6, rel=0.1)


@pytest.mark.parametrize("peer", ["forest", "svm"])
def test_a_classifier_tells_white_from_purple(peer: str, tmp_path: Path) -> None:
    data = write_fields(tmp_path, ["OSA_1", "OSA_2", "GTEX_1"], (256, 320))
    result = measure(peer, *next(folds(data)), minutes=1)
    assert (result.fold, len(result.fields)) == ("GTEX", 1)
    assert result.training_seconds > 0 and result.prediction_seconds > 0
    assert result.fields[0].dice > 0.9


@pytest.mark.slow
def test_our_network_tells_white_from_purple(tmp_path: Path) -> None:
    data = write_fields(tmp_path, ["OSA_1", "OSA_2", "GTEX_1"], (256, 320))
    result = measure("ours", *next(folds(data)), minutes=0.15)
    assert result.fields[0].dice > 0.9


@pytest.mark.slow
def test_the_plain_unet_learns_and_names_every_pixel(tmp_path: Path) -> None:
    fields = read_fields(write_fields(tmp_path, ["OSA_1"], (90, 110)))
    # No time: a single step.
    predicted = train_unet(fields, 1e-3)(fields[0].pixels, fields[0].um_per_px)
    assert predicted.shape == (90, 110) and predicted.max() <= 3


def test_the_table_and_the_file_hold_what_was_measured(tmp_path: Path) -> None:
    codes = np.full((10, 10), 2, np.uint8)
    good = field_scores(a_field(codes), codes)
    bad = field_scores(a_field(codes), np.ones_like(codes))
    results = [
        FoldResult("forest", "OSA", False, 1.0, 10.0, 2.0, [good, bad]),
        FoldResult("forest", "BM", True, 1.0, 20.0, 2.0, [good, good]),
    ]
    head, line, row = table(results).splitlines()
    assert head.count("|") == line.count("|") == row.count("|")
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:] == ["0.500", "0.000", "0.500", "50.0", "0.500", "1.000", "15", "1.0"]
    path = tmp_path / "peers.json"
    peers.write_results(path, results)
    assert read_results(path) == results
