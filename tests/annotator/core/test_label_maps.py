"""Label maps: what they may hold, and instances that fit edited classes."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.core.errors import StudyError
from annotator.core.label_maps import compact, fit_instances


def test_more_instances_than_sixteen_bits_are_refused():
    with pytest.raises(StudyError, match=r"65535 .* 65536"):
        compact(np.arange(65537, dtype=np.int32).reshape(1, -1))


def test_instances_are_counted_from_one_in_order():
    rng = np.random.default_rng(1)
    instances = rng.choice([0, 5, 9, 1000, 123456], (20, 20)).astype(np.int32)
    small = compact(instances)
    assert sorted(np.unique(small)) == [0, 1, 2, 3, 4]
    for new, old in enumerate([0, 5, 9, 1000, 123456]):
        assert np.array_equal(small == new, instances == old)


def test_unchanged_classes_keep_their_instances():
    classes = np.array([[1, 1, 2, 3], [1, 2, 3, 3]], np.uint8)
    instances = np.array([[4, 4, 0, 2], [4, 0, 2, 2]], np.int32)
    assert np.array_equal(fit_instances(classes, instances), instances)


def test_instances_follow_what_a_person_changed():
    before = np.array([[1, 1, 0, 0], [2, 2, 2, 2], [2, 2, 2, 2]], np.int32)
    classes = np.array([[1, 0, 0, 1], [2, 2, 2, 1], [3, 3, 2, 2]], np.uint8)
    after = fit_instances(classes, np.where(before == 1, 1, 0).astype(np.int32))
    assert after[0, 0] == 1
    assert after[0, 1] == 0
    assert after[0, 3] == after[1, 3] > 1
    assert after[2, 0] == after[2, 1] > 1
    assert after[2, 0] != after[0, 3]


def test_an_instance_painted_in_two_classes_keeps_the_larger_part():
    classes = np.array([[1, 1, 3]], np.uint8)
    after = fit_instances(classes, np.array([[6, 6, 6]], np.int32))
    assert after.tolist() == [[6, 6, 7]]
