"""Which label counts, and how far people agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from active_learning.labels.label import (
    PRECEDENCE,
    cohen_kappa,
    current,
    disagreements,
    latest_of_each,
    moved,
    to_arrays,
    trainable,
)
from annotator.core.labels import MIXED, SKIP, SOURCES, Label

FIRST = "2026-01-01T10:00:00+00:00"
LATER = "2026-01-01T10:00:01+00:00"


def said(
    code: int, source: str = "person", author: str = "eva", time: str = FIRST, object_id: int = 1
) -> Label:
    return Label("image", object_id, code, source, 0, author, time)


def opinions(author: str, codes: list[int], time: str = FIRST) -> list[Label]:
    return [said(c, author=author, time=time, object_id=i) for i, c in enumerate(codes, 1)]


def test_the_stronger_source_counts_however_old_it_is():
    person, truth, seed, model = (
        said(code, source) for code, source in enumerate(["person", "truth", "seed", "model"])
    )
    later = [replace(label, time=LATER) for label in (truth, seed, model)]
    assert current([person, *later]) == (person,)
    assert current(later) == (later[0],)
    assert current(later[1:]) == (later[1],)
    assert sorted(SOURCES) == sorted(PRECEDENCE)


def test_of_one_source_the_latest_counts_then_the_last_to_come():
    late, early = said(1, time=LATER), said(2)
    assert current([late, early]) == (late,)
    assert current([early, said(3)]) == (said(3),)


def test_a_skip_takes_back_its_authors_word_and_nobody_elses():
    eva, bob = said(1), said(SKIP, author="bob", time=LATER)
    assert current([eva, bob]) == (eva,)
    assert trainable([eva, bob]) == (eva,)
    own = said(SKIP, time=LATER)
    assert current([eva, own]) == (own,)
    assert current([said(2, author="bob"), eva, own]) == (said(2, author="bob"),)
    assert current([said(3, "seed", "groups"), bob]) == (bob,)
    assert current([own, bob]) == (bob,)


def test_labels_come_in_order_of_image_and_object():
    labels = [replace(said(1), image_id=i, object_id=o) for i, o in (("b", 1), ("a", 10), ("a", 9))]
    assert [label.key for label in current(labels)] == [("a", 9), ("a", 10), ("b", 1)]


def test_mixed_and_skipped_objects_are_kept_but_not_trained_on():
    labels = [said(MIXED), said(SKIP, object_id=2), said(3, object_id=3)]
    assert len(current(labels)) == 3
    assert [label.object_id for label in trainable(labels)] == [3]
    # A person's "mixed" also silences the seed group.
    assert trainable([said(MIXED), said(2, "seed", "groups", LATER)]) == ()


def test_labels_become_parallel_arrays():
    arrays = to_arrays([said(2), said(1, "seed", object_id=7)])
    assert arrays.image_ids.tolist() == ["image", "image"]
    assert arrays.object_ids.tolist() == [1, 7]
    assert arrays.codes.tolist() == [2, 1]
    assert arrays.sources.tolist() == ["person", "seed"]
    assert arrays.object_ids.dtype == np.int32
    assert len(to_arrays([])) == 0


def test_each_author_keeps_the_last_word_by_source():
    labels = [said(1), said(2, time=LATER), said(1, "truth"), said(0, author="max")]
    assert {(label.source, label.author, label.code) for label in latest_of_each(labels)} == {
        ("person", "eva", 2),
        ("truth", "eva", 1),
        ("person", "max", 0),
    }


def test_a_moved_label_keeps_author_and_time():
    new = moved(replace(said(1), id=17), 5, "mask", "look")
    assert (new.object_id, new.origin, new.id) == (5, 17, 0)
    assert (new.author, new.time, new.code) == ("eva", FIRST, 1)


@pytest.mark.parametrize(
    "fault",
    [
        {"code": 6},
        {"object_id": 0},
        {"round": -1},
        {"source": "rumour"},
        {"author": ""},
        {"confidence": 1.5},
        {"time": "2026-01-01T10:00:00"},
        {"time": "2026-01-01T10:00:00+01:00"},
        {"time": "yesterday"},
    ],
)
def test_labels_out_of_range_are_refused(fault: dict[str, object]):
    with pytest.raises(ValueError):
        replace(said(1), **fault)


# Two people


def test_disagreements_name_who_said_what():
    labels = [*opinions("max", [1, 2, 3]), *opinions("eva", [1, 0, 3])]
    (found,) = disagreements(labels)
    assert (found.object_id, found.opinions) == (2, (("eva", 0), ("max", 2)))


def test_machines_and_skipped_objects_disagree_with_nobody():
    labels = [said(1), said(2, "seed", "groups"), said(3, "model", "m"), said(SKIP, author="max")]
    assert disagreements(labels) == ()
    assert cohen_kappa(labels) == ()


def test_a_changed_mind_is_no_disagreement():
    assert disagreements([said(1), said(2, time=LATER), said(2, author="max")]) == ()


def test_a_persons_own_word_goes_before_the_same_persons_mask():
    labels = [said(1), said(2, "truth", time=LATER), said(1, author="max")]
    assert disagreements(labels) == ()


def test_kappa_is_that_of_the_textbook():
    # 50 objects, 2 classes: both yes 20, both no 15, only one of them 5 and 10: 0.4.
    one = [1] * 20 + [1] * 5 + [2] * 10 + [2] * 15
    two = [1] * 20 + [2] * 5 + [1] * 10 + [2] * 15
    (found,) = cohen_kappa([*opinions("eva", one), *opinions("max", two)])
    assert found.authors == ("eva", "max")
    assert (found.objects, found.agreed) == (50, 35)
    assert found.kappa == pytest.approx(0.4)


def test_kappa_of_one_class_only_is_unknown():
    (found,) = cohen_kappa([*opinions("eva", [1, 1]), *opinions("max", [1, 1])])
    assert (found.objects, found.agreed, found.kappa) == (2, 2, None)


def test_three_people_make_three_pairs():
    labels = [*opinions("a", [0, 1]), *opinions("b", [0, 1]), *opinions("c", [1, 0])]
    assert [(p.authors, p.kappa) for p in cohen_kappa(labels)] == [
        (("a", "b"), 1.0),
        (("a", "c"), -1.0),
        (("b", "c"), -1.0),
    ]
