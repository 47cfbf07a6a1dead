"""Runs: they cover the image once, and nothing changes within one."""

import numpy as np
import pytest

from annotator.core.runs import runs_of


@pytest.mark.parametrize("seed", range(10))
def test_maps_come_back_from_their_runs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 3, (7, 11)).astype(np.uint8)
    second = np.repeat(rng.integers(0, 4, (7, 1)), 11, axis=1).astype(np.int32)
    runs = runs_of(first, second)
    assert runs.lengths.sum() == first.size
    assert runs.lengths.min() >= 1
    for one in (first, second):
        back = runs.spread(runs.of(one))
        assert np.array_equal(back, one)
        assert back.dtype == one.dtype


def test_equal_pixels_are_one_run() -> None:
    runs = runs_of(np.zeros((4, 5), np.int32))
    assert (runs.starts.tolist(), runs.lengths.tolist()) == ([0], [20])
    assert not runs.starts.flags.writeable
    assert runs_of(np.zeros((1, 1), np.uint8)).lengths.tolist() == [1]
