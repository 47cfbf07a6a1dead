"""How maps are read, and what is counted of a pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.evaluated_maps import drawn, write

from annotator.core.errors import UsageError
from annotator.evaluation.counts import Maps, Pair, Tolerance, count, read_maps
from annotator.imaging.codecs import encode_png


def maps(folder: Path, name: str = "a") -> Maps:
    return Maps(folder / f"{name}.png", folder / "instances" / f"{name}.png")


def test_adipocytes_have_the_numbers_of_their_file(tmp_path: Path) -> None:
    codes = np.array([[1, 1, 1, 2, 1, 1]], np.uint8)
    numbers = np.array([[7, 7, 9, 5, 0, 0]], np.uint16)
    write(tmp_path, {"a": codes, "instances/a": numbers})
    _, found = read_maps(maps(tmp_path))
    # A number on what is no fat does not count; fat without a number is a piece of its own.
    assert found.tolist() == [[7, 7, 9, 0, 10, 10]]


def test_without_a_file_each_piece_of_fat_is_one(tmp_path: Path) -> None:
    codes = np.array([[1, 1, 2, 1], [2, 2, 1, 2]], np.uint8)
    write(tmp_path, {"a": codes})
    _, found = read_maps(maps(tmp_path))
    # Pieces that touch by a corner are two.
    assert len(np.unique(found[found > 0])) == 3
    assert ((found > 0) == (codes == 1)).all()


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"a": np.full((3, 3), 7, np.uint8)}, "expected codes 0-3 and 255, got 7"),
        (
            {"a": np.zeros((3, 3), np.uint16)},
            r"expected \(3, 3\) uint8, got \(3, 3\) uint16; are these instances",
        ),
        (
            {"a": np.ones((3, 3), np.uint8), "instances/a": np.ones((2, 3), np.uint16)},
            r"expected \(3, 3\) uint8 or uint16, got \(2, 3\)",
        ),
        ({}, r"a\.png"),
    ],
)
def test_what_is_no_map_is_refused(
    tmp_path: Path, written: dict[str, np.ndarray], told: str
) -> None:
    write(tmp_path, written)
    with pytest.raises(UsageError, match=told):
        read_maps(maps(tmp_path))


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(UsageError, match=r"a\.png"):
        read_maps(maps(tmp_path))


def test_other_sizes_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"a": drawn(1, (8, 9)), "b": drawn(1, (9, 8))})
    pair = Pair("a", "a", "folder", maps(tmp_path, "b"), maps(tmp_path, "a"))
    with pytest.raises(UsageError, match=r"b\.png.*\(8, 9\).*\(9, 8\)"):
        count(pair, Tolerance())


def test_what_is_counted_by_hand(tmp_path: Path) -> None:
    truth = np.full((10, 20), 2, np.uint8)
    truth[2:8, 2:8] = 1
    truth[:, 19] = 255
    said = truth.copy()
    said[:, 19] = 3
    said[2:8, 8] = 1
    write(tmp_path, {"truth": truth, "said": said})
    pair = Pair("x", "x", "folder", maps(tmp_path, "said"), maps(tmp_path, "truth"), 0.5)
    found = count(pair, Tolerance(9.0, um=1.0))
    assert found.tolerance_px == 2.0
    assert found.confusion[1].tolist() == [0, 36, 0, 0, 0]
    assert found.confusion[2].tolist() == [0, 6, 148, 0, 0]
    assert (found.fat.matched, found.fat.iou) == (1, pytest.approx(36 / 42))
    assert found.labelled == pytest.approx(0.95)
    assert found.numbered == (False, False)


def test_tolerances_that_cannot_be_used() -> None:
    with pytest.raises(UsageError, match=r"0\.\.100 px.*-1"):
        Tolerance(-1.0)
    with pytest.raises(UsageError, match=r"0 um.* 0"):
        Tolerance(4.0, 0.0)
    with pytest.raises(UsageError, match=r"0\.\.100 px.* 200"):
        Tolerance(4.0, 10.0).of(0.05)


def test_sixteen_and_eight_bits_of_instances_are_the_same(tmp_path: Path) -> None:
    codes, numbers = np.ones((2, 4), np.uint8), np.array([[1, 1, 2, 2]] * 2, np.uint8)
    write(tmp_path, {"a": codes, "b": codes, "instances/a": numbers})
    (tmp_path / "instances" / "b.png").write_bytes(encode_png(numbers.astype(np.uint16)))
    assert np.array_equal(read_maps(maps(tmp_path))[1], read_maps(maps(tmp_path, "b"))[1])
