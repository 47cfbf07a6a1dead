"""Which labels a classifier learns from."""

from __future__ import annotations

import pytest

from active_learning.rounds.dataset import gather, labelled_objects, learning_set
from active_learning.rounds.label_csv import ImportOptions, import_labels
from annotator.core.errors import ModelError
from annotator.study.cvat_project import DeletedFrame
from annotator.study.study import Study


@pytest.mark.slow
def test_only_the_sources_that_are_asked_for_count(trained_path, tmp_path):
    with Study.open(trained_path) as study:
        file = tmp_path / "labels.csv"
        file.write_text("image,object,class\np1_2,1,bone\np1_2,2,skip\n", "utf-8")
        import_labels(study, file, ImportOptions(author="eva"))
        objects = labelled_objects(study)
        sets = {name: learning_set(study, objects, name) for name in ("labels", "truth", "both")}
    codes = {name: {s.key: s.code for s in learned.labels} for name, learned in sets.items()}
    (key,) = codes["labels"]
    assert codes["labels"][key] == codes["both"][key] == 3
    assert codes["truth"][key] == 1
    assert len(codes["truth"]) == len(codes["both"]) + 1
    weights = sets["truth"].examples.weights
    assert weights is not None
    assert weights.mean() == pytest.approx(1)


def test_labels_without_an_object_are_counted(trained_path):
    with Study.open(trained_path) as study:
        images = {image.name: image for image in study.images()}
        taken = study.objects_path(images["p0_0"])
        before = learning_set(study, labelled_objects(study), "both")
        taken.write_bytes(study.objects_path(images["p0_1"]).read_bytes())
        after = learning_set(study, labelled_objects(study), "both")
    assert before.notes == ()
    assert len(after) < len(before)
    assert any("trephine labels move" in note for note in after.notes)


def test_a_study_without_objects_says_what_to_do(tmp_path):
    with Study.create(tmp_path / "new") as study, pytest.raises(ModelError, match="new"):
        gather(study)


def test_masks_of_images_deleted_in_cvat_teach_nothing_until_they_are_back(trained_path):
    with Study.open(trained_path) as study:
        before = learning_set(study, labelled_objects(study), "truth")
        taught = sorted({label.image_id for label in before.labels})
        study.cvat.deleted_frames.note(DeletedFrame(taught[0], 1, 0, "2026-01-02"))
        (name,) = (image.name for image in study.images() if image.id == taught[0])
        mask = study.path / "truth" / f"{name}.png"
        mask.rename(mask.with_suffix(".away"))
        after = learning_set(study, labelled_objects(study), "truth")
        assert sorted({label.image_id for label in after.labels}) == taught[1:]
        assert after.notes == before.notes
        mask.with_suffix(".away").rename(mask)
        back = learning_set(study, labelled_objects(study), "truth")
        assert back.labels == before.labels
