"""Labels into a study: said once, said otherwise, said by masks and by groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.labelled_studies import ID, OTHER, add_objects, set_objects, stripes

from active_learning.classification import Classification
from active_learning.rounds.add_labels import (
    Added,
    NamedGroup,
    NewLabel,
    add_labels,
    label_groups,
    labels_from_truth,
)
from active_learning.rounds.current_labels import current_labels, present_labels
from annotator.core.errors import StudyError
from annotator.core.labels import MIXED, SKIP
from annotator.core.objects import objects_from_labels
from annotator.imaging.codecs import encode_png
from annotator.settings.learning import LabelSettings
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from features.table import FeatureTable


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        yield made


@pytest.fixture
def image(study: Study) -> KnownImage:
    return add_objects(study, stripes(10, 10, 10, 10))


def holding(study: Study) -> dict[int, tuple[int, str]]:
    found = current_labels(study)
    pairs = zip(found.codes.tolist(), found.sources.tolist(), strict=True)
    return dict(zip(found.object_ids.tolist(), pairs, strict=True))


def correct(study: Study, *codes: int) -> None:
    """A corrected mask with one code a stripe of five columns."""
    mask = np.repeat(np.array(codes, np.uint8), 5)[None].repeat(4, 0)
    (study.path / "truth" / "a.png").write_bytes(encode_png(mask))


@dataclass(frozen=True)
class AllFat:
    """A classifier that knows one class."""

    source: str = "model"
    fingerprint: str = "all fat"

    def classify(self, table: FeatureTable) -> Classification:
        return Classification.of(np.tile([0.0, 1.0, 0.0, 0.0], (len(table), 1)))


# What anybody says


def test_what_is_said_again_is_not_added_again(study: Study, image: KnownImage):
    given = {ID: [NewLabel(1, 1, "eva"), NewLabel(2, MIXED, "eva"), NewLabel(3, SKIP, "eva")]}
    assert add_labels(study, given, 2) == Added(3, 0, 0)
    assert add_labels(study, given, 3) == Added(0, 3, 0)
    assert {label.round for label in study.labels.all()} == {2}
    assert {label.objects_key for label in study.labels.all()} == {"look 1"}


def test_a_changed_mind_counts_and_the_former_word_stays(study: Study, image: KnownImage):
    for code in (1, 2, 1):
        add_labels(study, {ID: [NewLabel(1, code, "eva")]})
    assert [label.code for label in study.labels.all()] == [1, 2, 1]
    assert holding(study) == {1: (1, "person")}
    assert add_labels(study, {ID: [NewLabel(1, 0, "eva")]}) == Added(1, 0, 1)


def test_an_unknown_object_or_image_adds_nothing_at_all(study: Study, image: KnownImage):
    with pytest.raises(StudyError, match=r"a.* 5"):
        add_labels(study, {ID: [NewLabel(1, 1, "eva"), NewLabel(5, 1, "eva")]})
    with pytest.raises(StudyError, match=OTHER):
        add_labels(study, {ID: [NewLabel(1, 1, "eva")], OTHER: [NewLabel(1, 1, "eva")]})
    assert study.labels.count() == 0


# Groups


def test_objects_get_the_class_of_their_group(study: Study, image: KnownImage):
    bare = study.register(OTHER, "in/b.png", (4, 40), None, ())
    groups = {0: NamedGroup(2, 0.9), 1: NamedGroup(3)}

    def group_of(table: FeatureTable) -> np.ndarray:
        return np.array([0, 1, 7, 0])[: len(table)]

    added = label_groups(study, [image, bare], group_of, groups, "eva")
    assert added == Added(3, 0, 0)
    assert holding(study) == {1: (2, "seed"), 2: (3, "seed"), 4: (2, "seed")}
    assert [label.confidence for label in present_labels(study)] == [0.9, 1.0, 0.9]
    assert label_groups(study, [image], group_of, groups, "eva") == Added(0, 3, 0)


def test_a_group_says_nothing_against_a_person(study: Study, image: KnownImage):
    add_labels(study, {ID: [NewLabel(1, 1, "eva")]})
    label_groups(study, [image], lambda t: np.zeros(len(t), np.int64), {0: NamedGroup(2)}, "groups")
    assert holding(study)[1] == (1, "person")
    assert holding(study)[2] == (2, "seed")


# Corrected masks


def test_a_corrected_mask_labels_the_objects(study: Study, image: KnownImage):
    correct(study, 1, 1, 2, 3, 255, 255, 3, 3)
    report = labels_from_truth(study, "eva", 1, classifier=AllFat())
    (row,) = report.rows
    assert (row.image, row.labelled, row.mixed, row.unlabelled) == ("a", 2, 1, 1)
    assert row.flagged == (4,)
    assert report.added == Added(3, 0, 0)
    assert holding(study) == {1: (1, "truth"), 2: (MIXED, "truth"), 4: (3, "truth")}
    assert [label.confidence for label in present_labels(study)] == [1.0, 0.5, 1.0]
    assert {(label.author, label.round) for label in study.labels.all()} == {("eva", 1)}
    assert labels_from_truth(study, "eva").added == Added(0, 3, 0)


def test_the_least_purity_is_a_setting(study: Study, image: KnownImage):
    truth = np.full((4, 40), 1, np.uint8)
    truth[:, :4] = 2
    (study.path / "truth" / "a.png").write_bytes(encode_png(truth))
    strict = labels_from_truth(study, "eva").rows[0]
    lax = labels_from_truth(study, "eva", settings=LabelSettings(least_purity=0.6)).rows[0]
    assert (strict.mixed, lax.mixed) == (1, 0)


def test_a_mask_corrected_again_replaces_what_it_said(study: Study, image: KnownImage):
    correct(study, 1, 1, 2, 2, 0, 0, 3, 3)
    labels_from_truth(study, "eva")
    correct(study, 1, 1, 3, 3, 0, 0, 255, 255)
    assert labels_from_truth(study, "eva").added == Added(2, 2, 2)
    # What it leaves open now it says nothing of: the earlier label counts no more.
    assert holding(study) == {1: (1, "truth"), 2: (3, "truth"), 3: (0, "truth"), 4: (SKIP, "truth")}
    assert labels_from_truth(study, "eva").added == Added(0, 4, 0)


def test_a_person_goes_before_the_mask(study: Study, image: KnownImage):
    add_labels(study, {ID: [NewLabel(1, 2, "max")]})
    correct(study, *[1] * 8)
    labels_from_truth(study, "eva")
    assert holding(study)[1] == (2, "person")


def test_images_without_mask_or_objects_are_passed_over(study: Study):
    add_objects(study, stripes(10), "in/b.png", OTHER)
    study.register(ID, "in/a.png", (4, 40), None, ())
    correct(study, *[1] * 8)
    report = labels_from_truth(study, "eva")
    assert (report.rows, report.without_objects, report.added) == ((), ("a",), Added())


def test_one_mask_that_does_not_fit_stops_them_all(study: Study, image: KnownImage):
    add_objects(study, stripes(10), "in/b.png", OTHER)
    correct(study, *[1] * 8)
    (study.path / "truth" / "b.png").write_bytes(b"nothing")
    with pytest.raises(StudyError, match=r"truth/b\.png"):
        labels_from_truth(study, "eva")
    assert study.labels.count() == 0


def test_masks_label_the_objects_of_today(study: Study, image: KnownImage):
    correct(study, 1, 1, 2, 2, 0, 0, 3, 3)
    labels_from_truth(study, "eva")
    set_objects(study, image, objects_from_labels(ID, stripes(20, 20)), "look 2")
    labels_from_truth(study, "eva")
    assert holding(study) == {1: (MIXED, "truth"), 2: (MIXED, "truth")}


def test_labels_can_be_added_within_a_run_that_holds_the_study(study: Study, image: KnownImage):
    with study.writing():
        assert add_labels(study, {ID: [NewLabel(1, 1, "eva")]}).added == 1
        # The run around it still holds the study, and lets go of it at its own end.
        with (
            Study.open(study.path) as other,
            pytest.raises(StudyError, match=r"process \d+"),
        ):
            add_labels(other, {ID: [NewLabel(2, 1, "eva")]})
    with Study.open(study.path) as other:
        assert add_labels(other, {ID: [NewLabel(2, 1, "eva")]}).added == 1
