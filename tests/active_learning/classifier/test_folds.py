from __future__ import annotations

import numpy as np
import pytest

from active_learning.classifier.folds import holdout, inner_folds, outer_folds
from annotator.core.classes import BONE, FAT


def study(groups: int = 12, each: int = 30, seed: int = 0):
    generator = np.random.default_rng(seed)
    codes = generator.choice(4, groups * each, p=[0.2, 0.4, 0.35, 0.05]).astype(np.uint8)
    return codes, np.repeat([f"p{at:02d}" for at in range(groups)], each)


def straddling(of, groups):
    return [name for name in np.unique(groups) if len(np.unique(of[groups == name])) > 1]


@pytest.mark.parametrize("deal", [outer_folds, inner_folds])
@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_both_sides(deal, seed):
    codes, groups = study(seed=seed)
    folds = deal(codes, groups, 5)
    assert folds.count == 5
    assert straddling(folds.part, groups) == []
    for train, test in folds.splits():
        assert not set(groups[train]) & set(groups[test])
        assert sorted([*train, *test]) == list(range(len(codes)))


def test_parts_are_about_equal_and_hold_all_classes():
    codes, groups = study(groups=40)
    folds = outer_folds(codes, groups, 5)
    sizes = np.bincount(folds.part)
    assert sizes.max() - sizes.min() <= 60
    for code in range(4):
        held = np.bincount(folds.part[codes == code], minlength=5)
        assert held.min() >= 0.5 * held.mean()
    assert folds.notes == ()


@pytest.mark.parametrize("count", [2, 3, 4])
def test_few_groups_are_a_part_each(count):
    codes, groups = study(groups=count)
    folds = outer_folds(codes, groups, 5)
    assert folds.count == count
    assert straddling(folds.part, groups) == []


def test_a_single_group_is_cut_through_and_that_is_said():
    codes, groups = study(groups=1)
    folds = outer_folds(codes, groups, 5)
    assert folds.count == 5
    assert len(folds.notes) == 1


def test_a_class_of_one_group_is_named():
    codes, groups = study()
    codes[codes == BONE] = FAT
    codes[:4] = BONE
    folds = outer_folds(codes, groups, 4)
    assert len(folds.notes) == 1
    assert folds.notes[0].startswith("bone: all its labels are in one part")


def test_a_class_of_two_groups_is_in_two_parts():
    codes, groups = study()
    codes[codes == BONE] = FAT
    codes[[0, 1, 31]] = BONE
    assert len(set(outer_folds(codes, groups, 4).part[codes == BONE])) == 2


def test_inside_every_class_is_in_each_training_set():
    codes, groups = study()
    codes[codes == BONE] = FAT
    codes[:4] = BONE
    folds = inner_folds(codes, groups, 3)
    for train, _ in folds.splits():
        assert set(codes[train]) == {0, 1, 2, 3}
    # only bone, which one group alone has, is dealt object by object
    assert straddling(folds.part[codes != BONE], groups[codes != BONE]) == []
    assert folds.notes[0].startswith("bone: too few groups")


def test_inside_a_single_group_every_class_is_spread():
    codes = np.array([0, 0, 1, 1, 2, 2, 3, 3, 3], np.uint8)
    folds = inner_folds(codes, np.full(9, "only"), 3)
    for train, test in folds.splits():
        assert set(codes[train]) == {0, 1, 2, 3}
        assert len(test)


def test_two_classes_that_share_their_two_groups():
    codes = np.array([0, 1, 0, 1, 2, 2, 2, 3, 3], np.uint8)
    groups = np.array(["a", "a", "b", "b", "c", "d", "e", "a", "c"])
    folds = inner_folds(codes, groups, 2)
    for train, _ in folds.splits():
        assert set(codes[train]) == {0, 1, 2, 3}


def test_a_class_of_one_object_cannot_be_dealt():
    with pytest.raises(ValueError):
        inner_folds(np.array([0, 0, 1], np.uint8), np.array(["a", "b", "c"]), 2)


def test_another_order_of_rows_gives_the_same_parts():
    codes, groups = study()
    folds = outer_folds(codes, groups, 4)
    order = np.random.default_rng(1).permutation(len(codes))
    assert np.array_equal(outer_folds(codes[order], groups[order], 4).part, folds.part[order])


def test_a_group_is_in_or_out_for_ever():
    early = np.array([f"image {at}" for at in range(300)])
    late = np.concatenate([[f"other {at}" for at in range(500)], early])
    out = holdout(early, 0.2, seed=7)
    assert np.array_equal(holdout(late, 0.2, seed=7)[500:], out)
    assert np.array_equal(holdout(early[::-1], 0.2, seed=7)[::-1], out)
    assert 35 <= out.sum() <= 85
    assert not np.array_equal(holdout(early, 0.2, seed=8), out)
    # a larger share takes more groups and gives none back
    assert holdout(early, 0.4, seed=7)[out].all()


def test_nothing_or_everything_can_be_held_out():
    groups = np.array(["a", "b", "a"])
    assert not holdout(groups, 0.0, seed=0).any()
    assert holdout(groups, 1.0, seed=0).all()
    assert holdout(groups[:0], 0.5, seed=0).shape == (0,)
