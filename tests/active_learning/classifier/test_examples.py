from __future__ import annotations

import numpy as np
import pytest
from support.labelled_objects import blobs, rows_of

from active_learning.classifier.examples import Examples, subsample


def test_taking_rows_takes_them_of_everything():
    examples = blobs([3, 3, 3, 3])
    some = examples.take(np.array([11, 0]))
    assert some.codes.tolist() == [3, 0]
    assert some.table.object_ids.tolist() == [11, 0]
    assert np.array_equal(some.table.X, examples.table.X[[11, 0]])
    assert some.groups.tolist() == [examples.groups[11], examples.groups[0]]


def test_order_does_not_matter_once_sorted():
    examples = blobs([5, 5, 5, 5])
    turned = examples.take(np.random.default_rng(0).permutation(20))
    assert turned.sha256() != examples.sha256()
    assert turned.in_order().sha256() == examples.in_order().sha256()


def test_the_hash_sees_classes_groups_weights_and_features():
    plain = blobs([4, 4, 4, 4])
    codes = plain.codes.copy()
    codes[0] = 2
    X = plain.table.X.copy()
    X[3, 2] += 1e-12
    others = [
        Examples(plain.table, codes, plain.groups),
        Examples(plain.table, plain.codes, np.roll(plain.groups, 1)),
        Examples(plain.table, plain.codes, plain.groups, np.full(16, 2.0)),
        Examples(rows_of(X), plain.codes, plain.groups),
        Examples(rows_of(plain.table.X, "b" * 16), plain.codes, plain.groups),
    ]
    assert len({one.sha256() for one in [plain, *others]}) == 6


@pytest.mark.parametrize(
    ("codes", "groups", "weights", "said"),
    [
        (np.zeros(3, np.uint8), np.full(4, "g"), None, r"codes .*\(4,\) uint8"),
        (np.zeros(4, np.int64), np.full(4, "g"), None, r"codes .*\(4,\) uint8"),
        (np.full(4, 4, np.uint8), np.full(4, "g"), None, "codes .* 4, got 4"),
        (np.zeros(4, np.uint8), np.zeros(4), None, r"groups .*\(4,\) str"),
        (np.zeros(4, np.uint8), np.full(4, "g"), np.zeros(4), "weights"),
        (np.zeros(4, np.uint8), np.full(4, "g"), np.full(4, np.nan), "weights"),
    ],
)
def test_what_does_not_fit_together_is_refused(codes, groups, weights, said):
    with pytest.raises(ValueError, match=said):
        Examples(rows_of(np.zeros((4, 2))), codes, groups, weights)


def test_examples_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        blobs([2, 2, 2, 2]).codes[0] = 1


def test_a_small_set_is_taken_whole():
    assert subsample(np.zeros(7, np.uint8), 7, seed=0).tolist() == list(range(7))


def test_a_sample_keeps_shares_and_rare_classes():
    codes = np.repeat(np.arange(3, dtype=np.uint8), [3000, 1000, 12])
    rows = subsample(codes, 400, seed=0, least=50)
    assert np.bincount(codes[rows]).tolist() == [299, 100, 12]
    assert (np.diff(rows) > 0).all()
    assert not np.array_equal(rows, subsample(codes, 400, seed=1, least=50))
    assert np.array_equal(rows, subsample(codes, 400, seed=0, least=50))
