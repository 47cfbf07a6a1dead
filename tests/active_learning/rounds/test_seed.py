"""Clusters to name, split, correct and apply."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from support.learning_studies import silent, table_of, write_table

from active_learning.rounds.contact_sheets import ShownObject, examples
from active_learning.rounds.current_labels import present_labels
from active_learning.rounds.seed import AppliedReport, SeedOptions, SeedReport, apply, seed
from annotator.core.errors import UsageError
from annotator.study.study import Study


def make_seed(path: Path) -> SeedReport:
    with Study.open(path) as study:
        return seed(study, SeedOptions(), silent)


def apply_seed(path: Path) -> AppliedReport | SeedReport:
    with Study.open(path) as study:
        return apply(study, "eva", silent)


@pytest.mark.slow
def test_seed_writes_a_table_and_a_sheet_for_each_cluster(path):
    report = make_seed(path)
    assert len(report.clusters) == 3
    assert sum(size for _, _, size, _ in report.clusters) == report.objects
    rows = table_of(path / "seed" / "clusters.csv")
    assert [(row["cluster"], row["class"]) for row in rows] == [
        (name, code) for name, code, _, _ in report.clusters
    ]
    for name, _, _, _ in report.clusters:
        assert cv2.imread(str(path / "seed" / f"cluster-{name}.png")) is not None
    with pytest.raises(UsageError, match="--force"):
        make_seed(path)


@pytest.mark.slow
def test_applied_clusters_and_corrections_become_labels(path):
    make_seed(path)
    table = path / "seed" / "clusters.csv"
    rows = table_of(table)
    rows[0]["class"], rows[1]["class"], rows[2]["class"] = "bone", "mixed", ""
    write_table(table, rows)
    members = table_of(path / "seed" / "members.csv")
    named = {row["cluster"]: row["class"] for row in rows}
    one = next(row for row in members if named[row["cluster"]] == "bone")
    with Study.open(path) as study:
        name = {image.id: image.name for image in study.images()}[one["image"]]
    corrections = path / "seed" / "corrections.csv"
    corrections.write_text(f"image,object,class,author\n{name},{one['object']},fat,\n", "utf-8")
    report = apply_seed(path)
    assert isinstance(report, AppliedReport)
    wanted = {"bone": 3, "mixed": 4}
    with Study.open(path) as study:
        labels = present_labels(study)
    seeds = {label.key: label.code for label in labels if label.source == "seed"}
    assert seeds == {
        (row["image"], int(row["object"])): wanted[named[row["cluster"]]]
        for row in members
        if named[row["cluster"]]
    }
    persons = [label for label in labels if label.source == "person"]
    assert [(p.key, p.code, p.author) for p in persons] == [
        ((one["image"], int(one["object"])), 1, "eva")
    ]
    again = apply_seed(path)
    assert isinstance(again, AppliedReport)
    assert (again.added.added, again.added.already) == (0, report.added.added)


@pytest.mark.slow
def test_a_faulty_correction_stores_nothing(path):
    make_seed(path)
    corrections = path / "seed" / "corrections.csv"
    corrections.write_text("image,object,class,author\nnowhere,1,fat,\n", "utf-8")
    with pytest.raises(UsageError, match="nowhere"):
        apply_seed(path)
    with Study.open(path) as study:
        assert study.labels.count() == 0


@pytest.mark.slow
def test_a_split_is_done_before_anything_is_stored(path):
    make_seed(path)
    table = path / "seed" / "clusters.csv"
    rows = table_of(table)
    rows[0]["split"], rows[1]["class"] = "2", "bone"
    write_table(table, rows)
    report = apply_seed(path)
    assert isinstance(report, SeedReport)
    assert report.split == ("1",)
    after = {row["cluster"]: row["class"] for row in table_of(table)}
    assert list(after) == ["1.1", "1.2", "2", "3"]
    assert after["2"] == "bone"
    assert (path / "seed" / "cluster-1.2.png").exists()
    assert not (path / "seed" / "cluster-1.png").exists()
    with Study.open(path) as study:
        assert study.labels.count() == 0
    assert isinstance(apply_seed(path), AppliedReport)


@pytest.mark.slow
def test_clusters_of_other_objects_are_refused(path):
    make_seed(path)
    members = path / "seed" / "members.csv"
    members.write_bytes(members.read_bytes().replace(b",1,", b",999,", 1))
    with pytest.raises(UsageError, match="seed"):
        apply_seed(path)
    for name in ("members.csv", "objects.json"):
        (path / "seed" / name).unlink()
    with pytest.raises(UsageError, match=r"members\.csv"):
        apply_seed(path)


def test_pictures_that_are_gone_are_grey(path, tmp_path):
    with Study.open(path) as study:
        (image, *_) = study.images()
        study.register(image.id, str(tmp_path / "gone.png"), image.shape, None, ())
        key = (image.id, 1)
        tile = examples(study, [ShownObject(key, (0, 0, 0), "one")], silent)[key]
    assert (tile.pixels == 190).all()
    assert tile.caption == "one (no picture)"
