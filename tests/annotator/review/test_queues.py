"""Queues over drawn objects: who is in them, in which groups, in which order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.review_objects import held

from active_learning.query.confident_learning import LabelError
from annotator.core.labels import MIXED, SKIP
from annotator.review.object_index import ObjectIndex
from annotator.review.predictions import Predictions
from annotator.review.queues import (
    RANDOM,
    UNCERTAIN,
    by_chance,
    by_cluster,
    by_doubt,
    by_image,
    by_uncertainty,
    seed_members,
)
from annotator.settings.learning import QuerySettings


def object_index(*counts: int) -> ObjectIndex:
    """Images of so many objects; object n is n pixels wide."""
    found = {}
    for number, count in enumerate(counts):
        labels = np.repeat(np.arange(1, count + 1, dtype=np.int32), np.arange(1, count + 1))
        one = held(labels[None].repeat(2, 0))
        image_id = f"{number:016x}"
        found[image_id] = replace(one, image=replace(one.image, id=image_id))
    return ObjectIndex(found)


def predictions(probabilities: list[list[float]], groups: list[int], *proposed: int) -> Predictions:
    names = tuple(str(len(proposed) - number) for number in range(len(proposed)))
    return Predictions("key", None, np.array(probabilities), np.array(groups), names, proposed)


def sure_of(code: int, share: float) -> list[float]:
    row = [(1 - share) / 3] * 4
    row[code] = share
    return row


def keys(objects: ObjectIndex, rows: object) -> list[tuple[int, int]]:
    """Number of the image, number of the object."""
    return [(int(objects.keys[row][0], 16), objects.keys[row][1]) for row in rows]  # type: ignore[attr-defined]


def test_clusters_come_by_size_and_odd_objects_first_in_each():
    objects = object_index(4, 2)
    seen = predictions([sure_of(1, p) for p in (0.9, 0.4, 0.8, 0.9, 0.6, 0.7)], [-1] * 6)
    members = {key: "2" if key[1] == 4 else "1" for key in objects.keys}
    del members[objects.keys[5]]
    found = by_cluster(objects, seen, members, {"1": 1, "2": 0})
    assert [one.name for one in found.groups] == ["1", "2"]
    assert [one.proposed for one in found.groups] == [1, 0]
    assert keys(objects, found.rows) == [(0, 2), (1, 1), (0, 3), (0, 1), (0, 4)]
    assert found.counts() == [4, 1]
    assert keys(objects, found.group("2").rows) == [(0, 4)]
    assert len(found.group("3").rows) == 0


@pytest.mark.parametrize("code", [MIXED, SKIP])
def test_a_cluster_that_is_none_of_the_classes_begins_with_what_is_least_sure(code: int):
    objects = object_index(4)
    seen = predictions([sure_of(k, p) for k, p in enumerate((0.9, 0.4, 0.8, 0.6))], [-1] * 4)
    found = by_cluster(objects, seen, dict.fromkeys(objects.keys, "1"), {"1": code})
    assert found.groups[0].proposed == code
    assert keys(objects, found.rows) == [(0, 2), (0, 4), (0, 3), (0, 1)]


def test_seed_groups_keep_the_names_that_they_have_everywhere():
    objects = object_index(5)
    seen = predictions([sure_of(1, 0.9)] * 5, [2, 0, 2, -1, 2], 3, 1, 0)
    members, codes = seed_members(objects, seen)
    names = [members.get(key) for key in objects.keys]
    assert names == ["1", "3", "1", None, "1"]
    assert codes == {"1": 0, "2": 1, "3": 3}


def test_doubts_keep_their_order_within_what_is_disputed():
    objects = object_index(4)
    image = objects.keys[0][0]
    given = [(3, 1, 2), (1, 0, 2), (4, 1, 2), (9, 1, 2)]
    doubts = [
        LabelError(image, n, a, b, 1 - at / 9, f"why {n}") for at, (n, a, b) in enumerate(given)
    ]
    found = by_doubt(objects, doubts)
    assert [one.name for one in found.groups] == ["fat-cell", "bg-cell"]
    assert keys(objects, found.rows) == [(0, 3), (0, 4), (0, 1)]
    assert found.why[image, 4] == "why 4"


def test_uncertain_objects_leave_out_what_people_said_and_what_is_not_seen():
    objects = object_index(4)
    seen = predictions([sure_of(1, 0.99), sure_of(1, 0.3), [np.nan] * 4, sure_of(1, 0.6)], [-1] * 4)
    reviewed = np.array([False, True, False, False])
    found = by_uncertainty(objects, seen, reviewed, QuerySettings())
    assert keys(objects, found.rows) == [(0, 4), (0, 1)]
    assert [one.name for one in found.groups] == ["fat"]


def test_uncertain_objects_of_a_committee_are_those_named_differently():
    objects = object_index(3, 1)
    seen = predictions(
        [sure_of(1, 0.9), sure_of(2, 0.9), sure_of(2, 0.5), sure_of(2, 0.5)], [-1] * 4
    )
    network = np.array([sure_of(1, 0.9), sure_of(1, 0.9), sure_of(2, 0.6), [np.nan] * 4])
    seen = replace(seen, network=network)
    reviewed = np.zeros(4, bool)
    found = by_uncertainty(objects, seen, reviewed, QuerySettings(strategy="committee"))
    assert keys(objects, found.group("cell").rows) == [(0, 2), (0, 3), (1, 1)]
    assert found.why[objects.keys[1]].startswith("network: fat 90 %, ")
    assert "; classifier: cell 90 %, " in found.why[objects.keys[1]]
    plain = by_uncertainty(objects, seen, reviewed, QuerySettings())
    assert keys(objects, plain.group("cell").rows) == [(0, 3), (1, 1), (0, 2)]
    assert plain.why == {}
    alone = replace(seen, network=None)
    without = by_uncertainty(objects, alone, reviewed, QuerySettings(strategy="committee"))
    assert without.rows.tolist() == plain.rows.tolist()


def test_no_image_fills_the_uncertain_objects():
    objects = object_index(40, *[3] * 49)
    doubtful = [sure_of(1, 0.26)] * 40 + [sure_of(1, 0.9)] * (49 * 3)
    found = by_uncertainty(
        objects, predictions(doubtful, [-1] * len(doubtful)), np.zeros(187, bool), QuerySettings()
    )
    of_first = sum(image == 0 for image, _ in keys(objects, found.rows))
    assert of_first == 2 * UNCERTAIN // 50
    assert len(found.rows) == of_first + 49 * 3


def test_one_image_shows_large_doubtful_objects_first():
    objects = object_index(3, 4)
    seen = predictions([sure_of(1, 0.9)] * 5 + [sure_of(1, 0.3), sure_of(2, 0.9)], [-1] * 7)
    found = by_image(objects, seen, list(objects.indexed)[1])
    assert keys(objects, found.rows) == [(1, 3), (1, 2), (1, 1), (1, 4)]
    assert [one.name for one in found.groups] == ["fat", "cell"]


def test_the_sample_prefers_held_out_images_and_stays_when_images_are_added():
    objects = object_index(200, 200, 200)
    out = {list(objects.indexed)[1]}
    found = by_chance(objects, out, 0)
    drawn = keys(objects, found.rows)
    assert len(drawn) == RANDOM == len(set(drawn))
    assert sum(image == 1 for image, _ in drawn) == 200
    assert drawn != sorted(drawn)
    order = [image for image, _ in drawn]
    assert 50 < sum(image == 1 for image in order[:150]) < 150
    assert keys(objects, by_chance(objects, out, 1).rows) != drawn
    more = object_index(200, 200, 200, 5)
    again = keys(more, by_chance(more, out, 0).rows)
    assert len(set(again) & set(drawn)) >= RANDOM - 5


@pytest.mark.parametrize("number", [0, 1])
def test_what_was_taken_out_is_out(number: int):
    objects = object_index(3)
    found = by_image(objects, predictions([sure_of(1, 0.9)] * 3, [-1] * 3), objects.keys[0][0])
    keep = np.ones(3, bool)
    keep[number] = False
    assert len(found.take(keep).rows) == 2
    assert found.take(keep).counts() == [2]
