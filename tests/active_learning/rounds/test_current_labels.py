"""Labels hold as long as their mask is there, and move to the object that is most like it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.labelled_studies import ID, OTHER, add_objects, set_objects, stripes

from active_learning.rounds.add_labels import NewLabel, add_labels
from active_learning.rounds.current_labels import (
    MoveReport,
    agreement,
    current_labels,
    labelled_image,
    move_labels,
    present_labels,
)
from annotator.core.errors import StudyError
from annotator.core.objects import ImageObjects, objects_from_labels, objects_from_masks
from annotator.settings.learning import LabelSettings
from annotator.study.rough import KnownImage
from annotator.study.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        yield made


def say(study: Study, *said: tuple[int, int], author: str = "eva", source: str = "person") -> None:
    add_labels(study, {ID: [NewLabel(number, code, author, source) for number, code in said]})


def now_has(study: Study, image: KnownImage, *widths: int, key: str = "look 2") -> ImageObjects:
    objects = objects_from_labels(image.id, stripes(*widths))
    set_objects(study, image, objects, key)
    return objects


def bars(*starts_and_widths: tuple[int, int]) -> ImageObjects:
    """Objects as high as the image of 60 columns, which can overlap."""
    parts = [((0, at), np.ones((4, width), bool)) for at, width in starts_and_widths]
    return objects_from_masks(ID, (4, 60), parts)


def holding(study: Study) -> dict[int, int]:
    arrays = current_labels(study)
    return dict(zip(arrays.object_ids.tolist(), arrays.codes.tolist(), strict=True))


# Without moving


def test_labels_hold_for_the_same_masks_under_other_numbers(study: Study):
    image = add_objects(study, stripes(10, 20, 30))
    say(study, (1, 1), (3, 2))
    set_objects(study, image, bars((10, 20), (30, 30), (0, 10)), "look 2")
    assert holding(study) == {2: 2, 3: 1}
    assert move_labels(study) == MoveReport()


def test_labels_of_objects_that_are_gone_wait(study: Study):
    image = add_objects(study, stripes(10, 20))
    say(study, (1, 1), (2, 2))
    now_has(study, image, 4, 6, 20)
    assert holding(study) == {3: 2}
    now_has(study, image, 10, 20, key="look 1")
    assert holding(study) == {1: 1, 2: 2}


def test_labels_of_one_image_alone_can_be_had(study: Study):
    add_objects(study, stripes(10))
    add_objects(study, stripes(5), "in/b.png", OTHER)
    say(study, (1, 1))
    assert present_labels(study, [OTHER]) == ()
    assert len(present_labels(study, [ID])) == 1


def test_people_who_disagree_are_both_kept(study: Study):
    add_objects(study, stripes(10, 20, 30))
    say(study, (1, 1), (2, 2), (3, 0))
    say(study, (1, 1), (2, 3), (3, 0), author="max")
    (pair,), (object_2,) = agreement(study)
    assert (pair.authors, pair.objects, pair.agreed) == (("eva", "max"), 3, 2)
    assert (object_2.object_id, object_2.opinions) == (2, (("eva", 2), ("max", 3)))
    assert holding(study)[2] == 3


def test_damaged_objects_are_named(study: Study):
    image = add_objects(study, stripes(10))
    say(study, (1, 1))
    study.objects_path(image).write_bytes(b"half a file")
    with pytest.raises(StudyError, match=r"a\.npz"):
        present_labels(study)


def test_an_image_without_objects_has_no_labels_that_hold(study: Study):
    image = add_objects(study, stripes(10))
    say(study, (1, 1))
    study.objects_path(image).unlink()
    assert labelled_image(study, image) is None
    assert present_labels(study) == ()
    assert move_labels(study).waiting == ("a",)


# Moving


def test_labels_go_to_the_object_most_like_theirs(study: Study):
    image = add_objects(study, stripes(10, 20, 30))
    say(study, (1, 1), (2, 2), (3, 3))
    before = study.labels.all()
    now_has(study, image, 8, 22, 10, 20)
    report = move_labels(study)
    assert [(m.image, m.old_id, m.new_id, m.iou) for m in report.moves] == [
        ("a", 1, 1, 0.8),
        ("a", 2, 2, 20 / 22),
    ]
    assert [(loss.old_id, loss.box, loss.code) for loss in report.losses] == [
        (3, (30, 0, 60, 4), 3)
    ]
    assert report.labels == 2
    assert holding(study) == {1: 1, 2: 2}
    after = study.labels.all()
    assert after[:3] == before
    assert [(s.author, s.time, s.source, s.origin, s.objects_key) for s in after[3:]] == [
        (before[i].author, before[i].time, "person", before[i].id, "look 2") for i in (0, 1)
    ]


def test_moving_twice_moves_nothing_more(study: Study):
    image = add_objects(study, stripes(10, 20, 30))
    say(study, (1, 1), (3, 3))
    now_has(study, image, 9, 21, 15, 15)
    first, second = move_labels(study), move_labels(study)
    assert len(first.moves) == 1
    assert second.moves == ()
    assert second.losses == first.losses
    assert study.labels.count() == 3


def test_all_that_was_said_of_an_object_moves_together(study: Study):
    image = add_objects(study, stripes(10, 20))
    say(study, (1, 1))
    say(study, (1, 2), author="max")
    say(study, (1, 0), author="groups", source="seed")
    now_has(study, image, 9, 21)
    report = move_labels(study)
    assert (len(report.moves), report.labels) == (1, 3)
    (disagreement,) = agreement(study)[1]
    assert disagreement.opinions == (("eva", 1), ("max", 2))


def test_labels_do_not_drift_from_step_to_step(study: Study):
    # Each step keeps 0.8 and more of the one before, the last 0.6 of the first.
    image = add_objects(study, stripes(20, 20))
    say(study, (1, 1))
    for width, key in ((17, "look 2"), (14, "look 3")):
        now_has(study, image, width, 40 - width, key=key)
        assert len(move_labels(study).moves) == 1
    now_has(study, image, 12, 28, key="look 4")
    assert [loss.old_id for loss in move_labels(study).losses] == [1]
    now_has(study, image, 20, 20, key="look 1")
    assert holding(study) == {1: 1}


def test_a_label_that_moved_and_came_home_counts_once(study: Study):
    image = add_objects(study, stripes(10, 50))
    say(study, (1, 1))
    now_has(study, image, 9, 51)
    move_labels(study)
    # Both masks at once: the object that the label was said of has it, the other none.
    both = bars((0, 10), (10, 50), (0, 9), (9, 51))
    set_objects(study, image, both, "look 3")
    assert holding(study) == {1: 1}


def test_labels_said_later_do_not_keep_earlier_ones_from_moving(study: Study):
    # Groups were named anew under the new settings before the person's labels were moved.
    image = add_objects(study, stripes(10, 20))
    say(study, (1, 1), (2, 2))
    now_has(study, image, 9, 21)
    say(study, (1, 0), (2, 0), author="groups", source="seed")
    assert holding(study) == {1: 0, 2: 0}
    assert len(move_labels(study).moves) == 2
    assert holding(study) == {1: 1, 2: 2}


def test_an_object_that_kept_its_mask_keeps_its_own_label(study: Study):
    # Objects 1 and 2 overlap by 9 of 11; 2 stays as it was, and 1 is gone.
    image = add_objects(study, stripes(60))
    pair = bars((0, 10), (1, 10))
    set_objects(study, image, pair, "look 1")
    say(study, (1, 1), (2, 2))
    set_objects(study, image, pair.select(np.array([1])), "look 2")
    report = move_labels(study)
    assert (report.moves, [loss.old_id for loss in report.losses]) == ((), [1])
    assert holding(study) == {2: 2}


def test_the_least_overlap_is_a_setting(study: Study):
    image = add_objects(study, stripes(10, 20))
    say(study, (1, 1))
    now_has(study, image, 8, 22)
    assert move_labels(study, LabelSettings(least_iou=0.81)).moves == ()
    assert len(move_labels(study, LabelSettings(least_iou=0.8)).moves) == 1
