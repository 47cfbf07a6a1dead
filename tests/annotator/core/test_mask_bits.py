"""Packed masks come back as they were, and damaged ones are told."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from annotator.core.mask_bits import pack_mask, unpack_mask


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 8), (7, 9)])
def test_a_mask_comes_back(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random(shape) > 0.5
    assert np.array_equal(unpack_mask(pack_mask(mask), shape), mask)


def test_bits_that_are_too_few_too_many_or_no_bits_are_told() -> None:
    bits = pack_mask(np.ones((4, 8), bool))
    for damaged, shape in (
        (bits, (5, 8)),
        (bits, (3, 8)),
        (bits[:-4], (4, 8)),
        (zlib.compress(b""), (4, 8)),
    ):
        with pytest.raises(ValueError, match="expected"):
            unpack_mask(damaged, shape)
