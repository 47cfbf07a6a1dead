"""What is said to change in the drafts is what a round then changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.learning_studies import annotate_all, give_truth, make_study

from active_learning.rounds.retrain import RetrainOptions, retrain
from active_learning.rounds.seed import SeedOptions, apply, seed
from annotator.core.class_areas import cellularity, class_areas
from annotator.core.progress import silent
from annotator.pipeline.draft_changes import DraftChange, draft_changes, most_changed
from annotator.study.study import Study


def drafts(study: Study) -> dict[str, np.ndarray]:
    return {image.name: study.rough.read(image).classes for image in study.images()}


@pytest.mark.slow
def test_what_is_said_before_is_what_comes(tmp_path: Path):
    path = make_study(tmp_path, 6)
    give_truth(path, tmp_path / "masks", 0, 1, 2)
    with Study.open(path) as study:
        seed(study, SeedOptions(), silent)
        apply(study, "eva", silent)
        before, labels = drafts(study), study.labels.count()
        found = draft_changes(study, silent)
        assert study.labels.count() == labels
        assert study.rounds.all() == ()
        retrain(study, RetrainOptions(published=False, author="eva"), silent)
    annotate_all(path)
    with Study.open(path) as study:
        after = drafts(study)
    assert [one.name for one in found.images] == sorted(before)
    assert found.left_out == ()
    for one in found.images:
        assert one.pixels_changed == np.count_nonzero(before[one.name] != after[one.name])
        assert one.cellularity_before == cellularity(class_areas(before[one.name]))
        assert one.cellularity_after == cellularity(class_areas(after[one.name]))
    assert sum(count for _, _, count in found.moved) == sum(
        one.pixels_changed for one in found.images
    )


def test_without_labels_it_says_why_nothing_can_be_said(path: Path):
    with Study.open(path) as study:
        found = draft_changes(study, silent)
    assert "expected labels" in found.why_none
    assert found.to_dict()["pixels_share"] == 0


@pytest.mark.slow
def test_a_draft_that_a_person_edited_is_left_out(trained_path: Path):
    with Study.open(trained_path) as study:
        first, *_ = study.images()
        file = study.rough.paths(first)[0]
        file.write_bytes(file.read_bytes() + b"edited")
        found = draft_changes(study, silent)
    assert first.name in found.left_out


def test_images_that_change_most_come_first():
    rows = [DraftChange(name, None, None, 10, n, 1, 0) for name, n in (("a", 1), ("b", 9))]
    assert [one.name for one in most_changed(rows)] == ["b", "a"]
