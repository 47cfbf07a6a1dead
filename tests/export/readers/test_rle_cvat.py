"""Run lengths of CVAT: exact both ways, and nothing taken on trust."""

import json

import numpy as np
import pytest
from support.cvat_archives import RECORDED

from annotator.core.errors import UsageError
from export.readers.rle import decode, decode_points, encode, encode_points


@pytest.mark.parametrize("seed", range(20))
def test_a_mask_comes_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(tuple(rng.integers(1, 40, 2))) < rng.random()
    height, width = mask.shape
    box = (3, 5, 3 + width, 5 + height)
    found = decode_points(encode_points(box, mask), (50, 50))
    assert found[0] == box
    assert np.array_equal(found[1], mask)


def test_the_runs_are_those_of_the_server() -> None:
    shapes = json.loads((RECORDED / "tiny_truth.json").read_text("utf-8"))["shapes"]
    masks = [shape["points"] for shape in shapes if shape["type"] == "mask"]
    assert len(masks) == 15
    for points in masks:
        box, mask = decode_points(points, (90, 120))
        assert encode_points(box, mask) == points


def test_a_set_first_pixel_has_a_leading_zero() -> None:
    assert encode(np.array([[True, False]])) == [0, 1, 1]


@pytest.mark.parametrize(
    ("runs", "box", "why"),
    [
        ([2, 3], (0, 0, 2, 2), "4"),
        ([2, 1], (0, 0, 2, 2), "4"),
        ([5, -1], (0, 0, 2, 2), "0 to 4"),
        ([2**62, 2**62, 2**62, 2**62, 4], (0, 0, 2, 2), "0 to 4"),
        ([0] * 9 + [4], (0, 0, 2, 2), "9 "),
        ([], (0, 0, 2, 2), "4"),
        ([4], (0, 0, 11, 2), "10 x 10"),
        ([4], (-1, 0, 1, 2), "10 x 10"),
        ([0], (3, 3, 3, 3), "10 x 10"),
        ([4], (0, 9, 2, 11), "10 x 10"),
    ],
)
def test_what_does_not_fit_is_refused(
    runs: list[int], box: tuple[int, int, int, int], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        decode(np.array(runs, np.int64), box, (10, 10))


@pytest.mark.parametrize(
    "points", [[], [0, 0, 1, 1], [0.5, 3.5, 0, 0, 1, 1], [float("nan"), 4, 0, 0, 1, 1], [1e300] * 6]
)
def test_points_that_are_no_runs_are_refused(points: list[float]) -> None:
    with pytest.raises(UsageError):
        decode_points(points, (10, 10))
