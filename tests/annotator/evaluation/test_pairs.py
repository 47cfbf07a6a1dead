"""Which map is compared with which."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.evaluated_maps import drawn, two_folders, write
from support.learning_studies import give_truth

from annotator.core.errors import SettingsError, UsageError
from annotator.evaluation.pairs import Folders, pairs_of_folders, pairs_of_study
from annotator.pipeline.study_images import decide
from annotator.study.cvat import Sent, map_digest
from annotator.study.study import Study


def test_folders_are_paired_by_name(tmp_path: Path) -> None:
    pred, truth = two_folders(tmp_path)
    (pred / "p0_0.png").unlink()
    (truth / "p2_5.png").unlink()
    found = pairs_of_folders(Folders(pred, truth, "^(p[0-9])_"))
    assert [pair.name for pair in found.found] == ["p0_1", "p1_2", "p1_3", "p2_4"]
    assert [pair.patient for pair in found.found] == ["p0", "p1", "p1", "p2"]
    assert [name for name, _ in found.faults] == ["p0_0"]
    assert found.unpaired == ("p2_5",)


def test_without_a_pattern_each_image_is_its_own_patient(tmp_path: Path) -> None:
    found = pairs_of_folders(Folders(*two_folders(tmp_path)))
    assert [pair.patient for pair in found.found] == [pair.name for pair in found.found]


def test_nothing_in_common_is_an_error_with_examples(tmp_path: Path) -> None:
    first = write(tmp_path / "a", {"x_pred": drawn(1)})
    second = write(tmp_path / "b", {"x": drawn(1)})
    with pytest.raises(UsageError, match=r"x_pred\.png.*x\.png"):
        pairs_of_folders(Folders(first, second))


def test_what_cannot_be_paired_at_all(tmp_path: Path) -> None:
    pred, truth = two_folders(tmp_path)
    with pytest.raises(UsageError, match=r"--pred .*--truth"):
        pairs_of_folders(Folders(pred))
    with pytest.raises(UsageError, match="none"):
        pairs_of_folders(Folders(pred, tmp_path / "none"))
    with pytest.raises(SettingsError, match=r"p\[0-9\]"):
        Folders(pred, truth, "p[0-9]")


def test_a_study_without_truth_says_where_it_would_be(path: Path) -> None:
    with Study.open(path) as study, pytest.raises(UsageError, match=r"truth.*p0_0\.png"):
        pairs_of_study(study, Folders())


def test_images_of_a_study_with_a_truth_are_paired(path: Path, annotated: Path) -> None:
    give_truth(path, annotated.parent / "masks", 0, 3)
    write(path / "truth", {"stranger": drawn(1)})
    with Study.open(path) as study:
        found = pairs_of_study(study, Folders())
    assert [(pair.name, pair.source) for pair in found.found] == [
        ("p0_0", "rough"),
        ("p1_3", "rough"),
    ]
    assert found.found[0].predicted.classes == path / "rough" / "p0_0.png"
    assert found.found[0].image == annotated.parent / "in" / "p0_0.png"
    assert found.unpaired == ("stranger",)
    assert found.faults == ()


def test_an_image_that_was_excluded_is_no_stranger(path: Path, annotated: Path) -> None:
    give_truth(path, annotated.parent / "masks", 0, 3)
    with Study.open(path) as study:
        decide(study, ["p0_0"], "excluded", "out of focus", "eva")
        found = pairs_of_study(study, Folders())
    assert [pair.name for pair in found.found] == ["p1_3"]
    assert found.unpaired == ()
    assert found.notes == ("left out of the study (trephine images list says why): p0_0",)


def test_a_truth_without_an_annotation_is_a_fault(path: Path, annotated: Path) -> None:
    give_truth(path, annotated.parent / "masks", 0, 3)
    (path / "rough" / "p0_0.png").unlink()
    with Study.open(path) as study:
        found = pairs_of_study(study, Folders())
    assert found.faults == (("p0_0", "no rough annotation; run trephine annotate"),)
    assert [pair.name for pair in found.found] == ["p1_3"]


def test_what_was_sent_is_evaluated_where_it_is_known(path: Path, annotated: Path) -> None:
    give_truth(path, annotated.parent / "masks", 0, 3)
    with Study.open(path) as study:
        image = next(one for one in study.images() if one.name == "p0_0")
        label_maps = study.rough.read(image)
        digest = map_digest(label_maps)
        sent = Sent(image.id, 1, "t", 1, 0, f"{image.id}.png", digest, "0" * 64, 3, 0, "now")
        study.cvat.note_sent(sent, label_maps)
        found = pairs_of_study(study, Folders())
        assert [pair.source for pair in found.found] == ["sent", "rough"]
        assert found.found[0].predicted.classes == path / "cvat" / "p0_0.png"
        assert "sent to CVAT" in found.predicted
        shutil.rmtree(path / "cvat")
        gone = pairs_of_study(study, Folders())
    assert [pair.source for pair in gone.found] == ["rough", "rough"]
    assert gone.notes[0].startswith("p0_0")


def test_folders_stand_in_for_those_of_a_study(path: Path, annotated: Path) -> None:
    masks = annotated.parent / "masks"
    with Study.open(path) as study:
        found = pairs_of_study(study, Folders(masks, masks, "^(p[0-9])_"))
        assert len(found.found) == 8
        assert {pair.source for pair in found.found} == {"folder"}
        assert {pair.patient for pair in found.found} == {"p0", "p1", "p2", "p3"}
        other = pairs_of_study(study, Folders(truth=masks))
    assert {pair.source for pair in other.found} == {"rough"}
