"""A round of learning: what it rests on, what it keeps, and what it refuses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.labelled_studies import rows
from support.learning_studies import (
    QUICK,
    TRUTH,
    annotate_all,
    copy_of,
    give_truth,
    make_study,
)

from active_learning.rounds.current_classifier import trained_model
from active_learning.rounds.label_csv import ImportOptions, import_labels
from active_learning.rounds.retrain import RetrainOptions, retrain
from annotator.core.classes import BONE, CLASS_NAMES, UNLABELLED
from annotator.core.errors import ModelError, StudyError
from annotator.core.progress import silent
from annotator.study.rounds import Round
from annotator.study.study import Study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def trained(annotated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After a round from all masks."""
    path = copy_of(annotated, tmp_path_factory.mktemp("trained") / "study")
    (path.parent / "in").symlink_to(annotated.parent / "in")
    give_truth(path, annotated.parent / "masks", *range(8))
    make_round(path, replace(TRUTH, published=True))
    return path


@pytest.fixture
def path(annotated: Path, tmp_path: Path) -> Path:
    return copy_of(annotated, tmp_path / "study")


@pytest.fixture
def masks(annotated: Path) -> Path:
    return annotated.parent / "masks"


def make_round(path: Path, options: RetrainOptions = TRUTH) -> Round:
    with Study.open(path) as study:
        return retrain(study, options, silent)


def import_rows(path: Path, *lines: str) -> None:
    file = path / "labels.csv"
    file.write_text(rows(*lines), "utf-8")
    with Study.open(path) as study:
        import_labels(study, file, ImportOptions(author="eva"))


def test_a_round_from_masks_is_stored_with_its_labels(trained):
    with Study.open(trained) as study:
        (made,) = study.rounds.all()
        assert study.rounds.current() == made
        labels = study.labels.all()
        assert trained_model(study, made).features == made.features
    assert (made.index, made.parent, made.verdict, made.adopted) == (1, None, "first", True)
    metrics = made.metrics
    assert metrics["out_of_fold"]["accuracy"]["value"] > 0.9
    assert metrics["published"]["objects"] == metrics["out_of_fold"]["objects"]
    assert metrics["truth"]["labelled"] == metrics["truth"]["new"] == len(labels)
    assert {(label.source, label.author, label.round) for label in labels} == {("truth", "eva", 1)}


def test_probabilities_out_of_fold_are_kept_for_each_label(trained):
    with Study.open(trained) as study:
        (made,) = study.rounds.all()
        kept = study.rounds.read_out_of_fold(1)
        by_mask = {label.mask_key for label in study.labels.all()}
    assert len(kept.mask_keys) == made.metrics["objects"]
    assert set(kept.mask_keys.tolist()) <= by_mask
    assert np.allclose(kept.probabilities.sum(axis=1), 1)


def test_held_out_patients_are_the_same_for_ever_and_never_learned_from(trained, tmp_path):
    path = copy_of(trained, tmp_path / "study")
    second = make_round(path)
    with Study.open(path) as study:
        first, again = study.rounds.all()
    assert again == second
    held_out = {f"p{n // 2}_{n}" for n in range(8)} - set(first.groups)
    assert held_out
    assert first.metrics["held_out"]["groups"] == len(held_out)
    assert first.groups == second.groups
    assert (second.parent, second.verdict) == (1, "level")


def test_the_same_study_gives_the_same_model_bit_for_bit(path, masks, trained):
    give_truth(path, masks, *range(8))
    make_round(path, replace(TRUTH, published=True, jobs=1))
    for name in ("round-01.skops", "round-01.json", "round-01.npz"):
        assert (path / "models" / name).read_bytes() == (trained / "models" / name).read_bytes()


def test_annotate_uses_the_model_without_proposing_again(trained, tmp_path):
    path = copy_of(trained, tmp_path / "study")
    (tmp_path / "in").symlink_to(trained.parent / "in")
    before = objects_of(path)
    assert annotate_all(path) == 8
    assert annotate_all(path) == 0
    assert objects_of(path) == before
    with Study.open(path) as study:
        model = trained_model(study, study.rounds.all()[0])
        for image in study.images():
            annotation = study.rough.annotation(image)
            assert annotation is not None
            assert (annotation.source, annotation.classifier) == ("model", model.fingerprint)


def objects_of(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (path / "objects").iterdir() if p.is_file()}


def test_other_features_than_the_models_are_refused_with_advice(trained, tmp_path):
    path = copy_of(trained, tmp_path / "study")
    (tmp_path / "in").symlink_to(trained.parent / "in")
    (path / "study.toml").write_text(QUICK + '[describe]\npreset = "bambo"\n', "utf-8")
    with pytest.raises(ModelError, match="round 1"):
        annotate_all(path)
    # The objects are described anew by then, so that the advice can be followed.
    make_round(path)
    assert annotate_all(path) == 8


def test_a_worse_model_is_kept_but_not_used(path, masks):
    # Held-out patients are few here: every second one, so that they can tell.
    (path / "study.toml").write_text(QUICK + "[patients]\nheld_out = 0.5\n", "utf-8")
    give_truth(path, masks, *range(8))
    first = make_round(path)
    assert first.metrics["held_out"]["groups"] >= 3
    with Study.open(path) as study:
        names = {image.name: image for image in study.images()}
        lines = [
            f"{name},{number},{'cell' if number % 2 else 'fat'},mallory"
            for name in first.groups
            for described in [study.described(names[name])]
            for number in (described.objects.ids.tolist() if described else [])
        ]
    import_rows(path, *lines)
    second = make_round(path, replace(TRUTH, labels_from="both"))
    assert (second.verdict, second.adopted) == ("worse", False)
    with Study.open(path) as study:
        current = study.rounds.current()
        assert current is not None
        assert current.index == 1
        assert len(study.rounds.all()) == 2
        assert study.rounds.paths(2)[0].exists()


def test_too_little_to_learn_from_is_said_in_words(path, masks):
    with pytest.raises(ModelError, match="study"):
        make_round(path, replace(TRUTH, labels_from="labels"))
    import_rows(path, *(f"p0_1,{number},cell,eva" for number in range(1, 6)))
    with pytest.raises(ModelError, match="got 5"):
        make_round(path, replace(TRUTH, labels_from="labels"))
    with pytest.raises(ModelError, match="truth"):
        make_round(path, TRUTH)
    with Study.open(path) as study:
        assert study.rounds.all() == ()


def test_one_class_only_is_said_in_words(path):
    lines = [f"p{n // 2}_{n},{number},cell,eva" for n in (1, 2, 4, 5) for number in range(1, 5)]
    import_rows(path, *lines)
    with pytest.raises(ModelError, match="cell 16"):
        make_round(path, replace(TRUTH, labels_from="labels"))


def test_one_patient_with_all_labels_makes_a_round_with_a_warning(path, masks):
    (path / "study.toml").write_text(QUICK + '[patients]\npattern = "^(p).*"\n', "utf-8")
    give_truth(path, masks, *range(4))
    made = make_round(path)
    assert made.groups == ["p"]
    assert any("one group" in note for note in made.metrics["out_of_fold"]["notes"])
    assert made.metrics["held_out"] is None


def test_a_damaged_mask_stores_nothing(path, masks):
    give_truth(path, masks, 0, 1, 2)
    (path / "truth" / "p1_3.png").write_bytes(b"not a picture")
    with pytest.raises(StudyError, match="p1_3"):
        make_round(path)
    with Study.open(path) as study:
        assert study.labels.count() == 0


def test_a_model_without_a_class_that_the_drafts_show_is_not_used(path, masks):
    give_truth(path, masks, *range(8))
    with Study.open(path) as study:
        assert {"bone", "fat"} <= {name for name, share in shown(study).items() if share > 0.01}
        # Every mask that says bone says nothing there: nobody has looked at those objects.
        for file in sorted((path / "truth").glob("*.png")):
            codes = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            codes[codes == BONE] = UNLABELLED
            cv2.imwrite(str(file), codes)
    made = make_round(path)
    assert (made.verdict, made.adopted) == ("incomplete", False)
    assert made.metrics["lacking"] == ["bone"]
    with Study.open(path) as study:
        assert study.rounds.current() is None
    give_truth(path, masks, *range(8))
    second = make_round(path)
    assert (second.verdict, second.adopted, second.metrics["lacking"]) == ("first", True, [])


def shown(study: Study) -> dict[str, float]:
    """Share of each class in all drafts."""
    areas = Counter[str]()
    for image in study.images():
        annotation = study.rough.annotation(image)
        areas.update(annotation.areas_px if annotation else {})
    return {name: areas[name] / areas.total() for name in CLASS_NAMES}
