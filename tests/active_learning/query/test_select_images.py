"""Which images come next: each part of the gain by itself, the draw, the words."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from active_learning.query.select_images import (
    Pool,
    choose,
    class_weights,
    object_doubt,
    uncertainty,
)
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import SettingsError
from annotator.settings.learning import QuerySettings
from features.table import FeatureTable

SURE_CELL, SURE_FAT = [0.01, 0.01, 0.97, 0.01], [0.01, 0.97, 0.01, 0.01]
CELL_OR_FAT, CELL_OR_BONE = [0.0, 0.49, 0.51, 0.0], [0.0, 0.0, 0.51, 0.49]
SURE_BONE = [0.01, 0.01, 0.01, 0.97]

NO_DRAW = QuerySettings(random_share=0.0)
DOUBT = replace(NO_DRAW, rarity=0.0, novelty=0.0)
NOVELTY = replace(NO_DRAW, rarity=0.0, novelty=1000.0)


def pool(*images, labelled=()):
    """Images a, b, c, ... of (probabilities of the objects, value of the feature)."""
    names, rows, values = [], [], []
    for name, (objects, value) in zip("abcdefghijklmnopqrstuvwxyz", images, strict=False):
        names += [name] * len(objects)
        rows += objects
        values += [value] * len(objects)
    ids = np.arange(1, len(names) + 1, dtype=np.int32)
    X = np.array(values, np.float64)[:, None]
    table = FeatureTable(np.array(names), ids, X, ("x",), "0" * 16)
    seen = np.isin(names, list(labelled))
    return Pool(table, np.array(rows, np.float64), np.full(len(names), 100.0), seen)


def chosen(some_pool, count, settings=NO_DRAW):
    return "".join(choice.image_id for choice in choose(some_pool, count, settings))


# The parts of the gain


def test_doubtful_images_come_before_sure_ones():
    some = pool(([SURE_CELL] * 9, 0), ([CELL_OR_FAT] * 9, 0), ([SURE_FAT] * 9, 0))
    assert chosen(some, 1, DOUBT) == "b"


def test_doubt_about_a_rare_class_counts_more():
    sure = [SURE_CELL] * 40 + [SURE_FAT] * 40
    some = pool(
        (sure, 0), ([CELL_OR_FAT] * 9 + [SURE_CELL], 0), ([CELL_OR_BONE] * 9 + [SURE_CELL], 0)
    )
    assert chosen(some, 1, replace(DOUBT, balance=1.0)) == "c"
    assert class_weights(some.probabilities, 0.0).tolist() == [1.0] * 4


def test_large_objects_count_more_when_the_area_is_to_count():
    some = pool(([CELL_OR_FAT, SURE_CELL], 0), ([CELL_OR_FAT] * 2, 0))
    large = replace_areas(some, [10_000.0, 1.0, 100.0, 100.0])
    assert chosen(large, 1, DOUBT) == "b"
    assert chosen(large, 1, replace(DOUBT, area=1.0)) == "a"


def replace_areas(some, areas):
    return Pool(some.table, some.probabilities, np.array(areas), some.labelled)


def test_images_with_what_the_labels_lack_come_first():
    plain = ([SURE_CELL] * 10, 0)
    some = pool(plain, plain, ([SURE_CELL] * 7 + [SURE_BONE] * 3, 0), labelled="a")
    assert chosen(some, 1, replace(NO_DRAW, rarity=100.0)) == "c"


def test_the_image_most_unlike_the_labelled_ones_comes_first():
    same = [SURE_CELL] * 4
    some = pool((same, 0), (same, 1), (same, 2), (same, 3), labelled="a")
    assert chosen(some, 1, NOVELTY) == "d"
    far = pool((same, 0), (same, 1), (same, 2), (same, 3), labelled="d")
    assert chosen(far, 1, NOVELTY) == "a"


def test_a_batch_does_not_ask_the_same_twice():
    # b and c are alike and most unlike the labelled a; after one of them, d is next
    same = [SURE_CELL] * 4
    some = pool((same, 0), (same, 9), (same, 9), (same, 5), labelled="a")
    assert chosen(some, 2, NOVELTY) == "bd"


# Who takes part


def test_labelled_images_are_never_chosen():
    some = pool(*[([CELL_OR_FAT] * 5, value) for value in range(5)], labelled="bd")
    assert sorted(chosen(some, 9)) == ["a", "c", "e"]
    assert choose(pool(([SURE_CELL], 0), labelled="a"), 3, NO_DRAW) == ()


def test_an_image_with_a_few_labels_can_still_be_chosen():
    some = pool(([CELL_OR_FAT] * 10, 0), ([SURE_CELL] * 10, 0))
    few = Pool(some.table, some.probabilities, some.areas, np.arange(20) < 3)
    most = Pool(some.table, some.probabilities, some.areas, np.arange(20) < 7)
    assert chosen(few, 1) == "a"
    assert chosen(most, 2) == "b"


def test_no_objects_give_no_choice():
    empty = FeatureTable(np.array([], "U1"), np.array([], np.int32), np.zeros((0, 1)), ("x",), "0")
    nothing = Pool(empty, np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool))
    assert choose(nothing, 3, QuerySettings()) == ()


def test_one_image_is_chosen_without_a_fault():
    assert chosen(pool(([SURE_CELL], 0)), 5, QuerySettings()) == "a"


# The committee of network and classifier

COMMITTEE = replace(DOUBT, strategy="committee")


def seen_by_network(some, *opinions):
    """The same objects with what a network holds of each, and nothing else."""
    names = tuple(f"network_{name}_mean" for name in CLASS_NAMES)
    X = np.array([row for of_image in opinions for row in of_image], np.float64)
    table = FeatureTable(some.table.image_ids, some.table.object_ids, X, names, "1" * 16)
    return Pool(table, some.probabilities, some.areas, some.labelled)


def test_a_committee_asks_where_network_and_classifier_contradict_each_other():
    # a: both are unsure, and agree; b: each is sure of another class
    some = pool(([CELL_OR_FAT] * 5, 0), ([SURE_CELL] * 5, 0), ([SURE_FAT] * 5, 0))
    seen = seen_by_network(some, [CELL_OR_FAT] * 5, [SURE_BONE] * 5, [SURE_FAT] * 5)
    assert chosen(seen, 1, DOUBT) == "a"
    assert chosen(seen, 1, COMMITTEE) == "b"


def test_a_committee_of_one_is_the_classifier_and_its_doubt():
    some = many()
    asked = replace(QuerySettings(), strategy="committee")
    assert choose(some, 6, asked)[:4] == choose(some, 6, QuerySettings())[:4]


def test_a_class_that_only_the_network_sees_is_rare_too():
    both = np.array([SURE_CELL] * 20), np.array([SURE_CELL] * 18 + [SURE_BONE] + [SURE_FAT])
    both[1][:9] = SURE_FAT
    worth = object_doubt(*both, np.ones(20), replace(COMMITTEE, balance=1.0))
    assert worth[18] > worth[19] > worth[10]


def test_the_reason_says_on_how_much_of_the_area_they_disagree():
    some = pool(([SURE_CELL] * 4, 0), ([SURE_CELL] * 4, 0))
    areas = [12.0, 80.0, 5.0, 3.0, *[100.0] * 4]
    opinions = [SURE_BONE, SURE_CELL, SURE_FAT, SURE_CELL], [SURE_CELL] * 4
    (choice,) = choose(seen_by_network(replace_areas(some, areas), *opinions), 1, COMMITTEE)
    words = "network and classifier disagree on 17 % of the area (mostly cell or bone)"
    assert choice.reasons[0] == words


def test_without_a_contradiction_there_is_no_such_reason():
    some = pool(([SURE_CELL] * 4, 0))
    (choice,) = choose(seen_by_network(some, [CELL_OR_FAT] * 4), 1, COMMITTEE)
    assert not any("disagree" in reason for reason in choice.reasons)


# The draw


def many(count=26):
    rng = np.random.default_rng(1)
    return pool(*[(rng.dirichlet([1] * 4, 8).tolist(), value) for value in rng.random(count)])


@pytest.mark.parametrize(
    ("count", "share", "drawn"), [(10, 0.2, 2), (3, 0.2, 1), (1, 0.2, 0), (10, 0.0, 0), (4, 1.0, 4)]
)
def test_a_share_is_drawn_at_random_and_says_so(count, share, drawn):
    found = choose(many(), count, QuerySettings(random_share=share))
    assert len(found) == len({choice.image_id for choice in found}) == count
    assert [choice.random for choice in found] == [False] * (count - drawn) + [True] * drawn
    for choice in found[count - drawn :]:
        assert np.isnan(choice.score)
        assert choice.reasons[0].startswith("drawn at random")


def test_the_draw_depends_on_the_seed_alone():
    draws = {chosen(many(), 6, QuerySettings(1.0, random_state=seed)) for seed in range(5)}
    assert len(draws) == 5
    assert chosen(many(), 6, QuerySettings(1.0)) == chosen(many(), 6, QuerySettings(1.0))


def test_the_order_of_the_objects_does_not_matter():
    some = many()
    at = np.random.default_rng(0).permutation(len(some.table))
    table = FeatureTable(
        some.table.image_ids[at],
        some.table.object_ids[at],
        some.table.X[at],
        some.table.names,
        some.table.fingerprint,
    )
    shuffled = Pool(table, some.probabilities[at], some.areas[at], some.labelled[at])
    first, second = (choose(one, 8, QuerySettings()) for one in (some, shuffled))
    assert [one.image_id for one in first] == [one.image_id for one in second]
    assert [one.reasons for one in first] == [one.reasons for one in second]


# The words


def test_the_reason_names_the_border_that_most_objects_are_near():
    some = pool(([CELL_OR_BONE] * 31 + [SURE_CELL] * 179, 0), ([SURE_CELL] * 20, 0))
    (choice,) = choose(some, 1, NO_DRAW)
    assert re.findall(r"\d+|cell|bone", choice.reasons[0]) == ["31", "210", "cell", "bone"]


def test_the_reason_names_a_rare_class():
    cells = [SURE_CELL] * 60
    some = pool((cells + [SURE_BONE] * 5, 0), (cells, 0), (cells, 0))
    (choice,) = choose(some, 1, replace(NO_DRAW, rarity=100.0))
    assert any("only" in one and "bone (about 5" in one for one in choice.reasons)
    two = pool((cells + [SURE_BONE] * 5, 0), (cells + [SURE_BONE] * 4, 0), (cells, 0))
    (choice,) = choose(two, 1, replace(NO_DRAW, rarity=100.0))
    assert any("more bone" in one and "about 5" in one for one in choice.reasons)


def test_the_reason_names_an_unusual_image():
    same = [SURE_CELL] * 4
    some = pool(*[(same, value) for value in [*range(12), 99]], labelled="a")
    (choice,) = choose(some, 1, NOVELTY)
    assert choice.reasons == ("more unlike the images labelled so far than nearly all others",)


def test_an_image_without_anything_special_has_a_reason_too():
    (choice,) = choose(pool(*[([SURE_CELL] * 4, 0)] * 3), 1, NO_DRAW)
    assert choice.reasons == ("little in it is doubtful, but less in the images left",)


# Bad input


def test_uncertainty_is_0_when_sure_and_1_when_at_a_loss():
    assert uncertainty(np.array([[0, 0, 1.0, 0], [0.25] * 4])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    "bad", [{"random_share": 1.2}, {"balance": -0.1}, {"novelty": -1.0}, {"strategy": "vote"}]
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(SettingsError, match=r"\[query\]"):
        QuerySettings(**bad)


def test_no_images_asked_for_is_refused():
    with pytest.raises(ValueError, match=r"1 .*0"):
        choose(many(), 0, NO_DRAW)


def test_arrays_of_different_lengths_are_refused():
    some = many(2)
    with pytest.raises(ValueError, match=r"areas.*\(16,\).*\(15,\)"):
        Pool(some.table, some.probabilities, some.areas[1:], some.labelled)
