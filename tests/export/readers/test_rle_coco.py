"""Run lengths of COCO against pycocotools, and hostile ones."""

import numpy as np
import pytest
from pycocotools import mask as coco

from annotator.core.errors import UsageError
from export.readers.rle import crop_of_runs, runs_of_text


@pytest.mark.parametrize("seed", range(25))
def test_a_mask_of_pycocotools_is_read(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 60, 2).tolist())
    mask = rng.random(shape) < rng.choice([0.01, 0.3, 0.97])
    text = coco.encode(np.asfortranarray(mask.view(np.uint8)))["counts"]
    found = crop_of_runs(runs_of_text(text), shape)
    full = np.zeros(shape, bool)
    if found is not None:
        (x0, y0, x1, y1), crop = found
        full[y0:y1, x0:x1] = crop
        assert crop[[0, -1]].any(axis=1).all() and crop[:, [0, -1]].any(axis=0).all()
    assert np.array_equal(full, mask)


def test_long_runs_are_read() -> None:
    mask = np.zeros((1200, 1920), np.uint8, order="F")
    mask[700:703, 1000:1400] = 1
    runs = runs_of_text(coco.encode(mask)["counts"])
    found = crop_of_runs(runs, (1200, 1920))
    assert found is not None
    assert found[0] == (1000, 700, 1400, 703)


def test_runs_of_no_pixel_between_two_join_them() -> None:
    found = crop_of_runs(np.array([1, 2, 0, 1, 2]), (3, 2))
    assert found is not None
    assert found[0] == (0, 0, 2, 3)
    assert found[1].tolist() == [[False, True], [True, False], [True, False]]


@pytest.mark.parametrize(
    "runs", [[], [5], [7], [-1, 7], [2**62, 2**62, 2**62, 2**62, 6], [0] * 40 + [6]]
)
def test_runs_that_do_not_fill_the_image_are_refused(runs: list[int]) -> None:
    with pytest.raises(UsageError, match=r"6|14"):
        crop_of_runs(np.array(runs, np.int64), (3, 2))


@pytest.mark.parametrize("text", [b"\n", b"\x7f\xff", b"`" * 40, b"P"])
def test_text_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(UsageError):
        runs_of_text(text)
