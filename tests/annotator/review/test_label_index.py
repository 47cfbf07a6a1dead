"""The label that counts, kept up to date step by step: always what the whole study says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.labelled_studies import ID, add_objects, set_objects, stripes
from support.review_objects import held

from active_learning.labels.label import current
from active_learning.rounds.add_labels import NewLabel, add_labels
from active_learning.rounds.current_labels import labelled_image, move_labels, present_labels
from annotator.core.labels import Label
from annotator.core.objects import objects_from_labels
from annotator.review.label_index import LabelIndex, number_of, revision_of
from annotator.review.object_index import ObjectIndex, read_objects
from annotator.study.label_history import ActStore, Revision
from annotator.study.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """A study of one image with four objects."""
    with Study.create(tmp_path / "study") as opened:
        add_objects(opened, stripes(2, 3, 4, 5))
        yield opened


def label_index_of(study: Study) -> LabelIndex:
    label_index = LabelIndex(read_objects(study, None, lambda *_: None))
    label_index.apply(ActStore(study.labels).after(Revision()))
    return label_index


def by_book(label_index: LabelIndex) -> dict[int, tuple[int, str]]:
    found = {key[1]: label_index.counting(key) for key in label_index.object_index.keys}
    return {one: (label.code, label.author) for one, label in found.items() if label}


def by_study(study: Study) -> dict[int, tuple[int, str]]:
    return {one.object_id: (one.code, one.author) for one in current(present_labels(study))}


def say(study: Study, author: str, number: int, code: int) -> None:
    """An act of one label, as a session makes it."""
    (image,) = study.images()
    found = labelled_image(study, image)
    assert found is not None
    mask = found.mask(number)
    time = "2026-01-01T00:00:00+00:00"
    label = Label(
        ID, number, code, "person", 1, author, time, mask_key=mask.key, objects_key="look 1"
    )
    ActStore(study.labels).add(author, "", [label], [mask])


@pytest.mark.slow
def test_random_histories_agree_with_the_study(study: Study):
    rng = np.random.default_rng(7)
    acts, label_index = ActStore(study.labels), label_index_of(study)
    for _ in range(120):
        author = ("eva", "bob")[rng.integers(2)]
        number, code = int(rng.integers(1, 5)), int(rng.integers(6))
        what = rng.integers(6)
        if what < 2:
            say(study, author, number, code)
        elif what == 2:
            add_labels(study, {ID: [NewLabel(number, code, author, "truth")]})
        elif what == 3:
            acts.redo(author)
        else:
            acts.undo(author)
        changed = label_index.apply(acts.after(label_index.now))
        assert by_book(label_index) == by_study(study)
        assert all(key in label_index.since(Revision()) for key in changed)
    assert by_book(label_index_of(study)) == by_study(study)


def test_moved_labels_and_their_undo(study: Study):
    say(study, "eva", 2, 1)
    (image,) = study.images()
    wider = objects_from_labels(ID, stripes(2, 4, 3, 5))
    set_objects(study, image, wider, "look 2")
    assert by_book(label_index_of(study)) == {}
    assert move_labels(study).labels == 1
    assert by_book(label_index_of(study)) == by_study(study) == {2: (1, "eva")}
    ActStore(study.labels).undo("eva")
    assert by_book(label_index_of(study)) == by_study(study) == {}
    ActStore(study.labels).redo("eva")
    assert by_book(label_index_of(study)) == by_study(study) == {2: (1, "eva")}


def test_moments_grow_as_numbers():
    moments = [Revision(3, 9), Revision(4, 0), Revision(4, 1), Revision(5, 1 << 20)]
    numbers = [number_of(one) for one in moments]
    assert numbers == sorted(numbers)
    assert [revision_of(one) for one in numbers] == moments
    assert number_of(Revision(1 << 29, (1 << 23) - 1)) < 1 << 53


def test_objects_of_one_mask_share_what_is_said(study: Study):
    one = held(stripes(2, 2))
    twin = ObjectIndex({one.image.id: one})
    assert len(LabelIndex(twin).object_index.keys) == 2
    assert LabelIndex(twin).since(Revision()) == []
