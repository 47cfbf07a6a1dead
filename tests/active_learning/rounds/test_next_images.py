"""Which images come next: unlabelled ones, at random where it is measured."""

from __future__ import annotations

import pytest
from support.learning_studies import TRUTH, copy_of, give_truth

from active_learning.rounds.dataset import gather
from active_learning.rounds.next_images import best_images, held_out_images, next_images
from active_learning.rounds.retrain import retrain
from annotator.core.errors import ModelError, UsageError
from annotator.core.progress import silent
from annotator.study.cvat_project import DeletedFrame
from annotator.study.study import Study


def test_next_asks_for_images_that_nobody_has_labelled(trained_path):
    with Study.open(trained_path) as study:
        chosen = next_images(study, 40)
        assert {one.name for one in chosen} == {"p2_4", "p3_7"}
        assert [one.rank for one in chosen] == [1, 2]
        assert all(one.reasons for one in chosen)
        assert study.rounds.queried(1) == tuple(one.image_id for one in chosen)


def test_the_random_ones_come_from_the_held_out_patients_first(path):
    with Study.open(path) as study:
        held_out = held_out_images(study, gather(study))
        assert held_out
        chosen = next_images(study, 5)
        assert [one.image_id in held_out for one in chosen] == [False] * 4 + [True]
        assert chosen == next_images(study, 5)
        with pytest.raises(UsageError, match=r"1 .*0"):
            next_images(study, 0)


def test_the_list_is_sorted_by_what_the_model_gains(path):
    with Study.open(path) as study:
        scores = [one.score for one in next_images(study, 8) if one.score is not None]
    assert len(scores) > 2
    assert scores == sorted(scores, reverse=True)


def test_next_without_a_classifier_that_fits_says_what_to_do(path):
    (path / "models" / "seed.json").unlink()
    with Study.open(path) as study, pytest.raises(ModelError, match="study"):
        next_images(study, 1)


def test_a_committee_says_on_how_much_of_an_image_it_disagrees(seen_path, tmp_path):
    path = copy_of(seen_path, tmp_path / "study")
    give_truth(path, seen_path.parent / "masks", 0, 1, 2, 3)
    with Study.open(path) as study:
        # learned from the truth, it cannot be of one mind with a network of chance
        retrain(study, TRUTH, silent)
        chosen = next_images(study, 6)
        assert {one.name for one in chosen} == {"p2_4", "p2_5"}
        assert any(
            reason.startswith("network and classifier disagree on ")
            for one in chosen
            for reason in one.reasons
        )


def test_before_the_first_round_there_is_no_committee(seen_path):
    with Study.open(seen_path) as study:
        reasons = [reason for one in best_images(study, 6) for reason in one.reasons]
    assert reasons
    assert not any("disagree" in reason for reason in reasons)


def test_images_deleted_in_cvat_are_not_asked_for_unless_they_are_named(trained_path):
    with Study.open(trained_path) as study:
        ids = {image.name: image.id for image in study.images()}
        for name in ("p2_4", "p0_0"):
            study.cvat.deleted_frames.note(DeletedFrame(ids[name], 1, 0, "2026-01-02"))
        assert {one.name for one in next_images(study, 40)} == {"p3_7"}
        assert {one.name for one in next_images(study, 40, ["p2_4"])} == {"p2_4", "p3_7"}
        with pytest.raises(UsageError, match="p9_9"):
            next_images(study, 40, ["p9_9"])


def test_those_to_measure_on_are_not_asked_for_either(path):
    with Study.open(path) as study:
        measured = next(one for one in best_images(study, 5) if one.held_out)
        study.cvat.deleted_frames.note(DeletedFrame(measured.image_id, 1, 0, "2026-01-02"))
        assert measured.name not in {one.name for one in best_images(study, 40)}
