"""Seed groups to name, split, correct and apply; tables and settings of earlier versions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.learning_studies import table_of, write_table

from active_learning.rounds.contact_sheets import ShownObject, examples
from active_learning.rounds.current_classifier import stored_seed_groups
from active_learning.rounds.current_labels import present_labels
from active_learning.rounds.dataset import gather
from active_learning.rounds.seed import SeedOptions, SeedReport, apply, seed
from active_learning.rounds.seed_labels import AppliedReport, ImpureCluster, missing_classes
from active_learning.seed.clusters import clusters_from_members, own_classes
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import ModelError, UsageError
from annotator.core.progress import silent
from annotator.pictures.object_tiles import no_tile
from annotator.study.study import Study

pytestmark = pytest.mark.slow


def make_seed(path: Path, force: bool = False) -> SeedReport:
    with Study.open(path) as study:
        return seed(study, SeedOptions(force=force), silent)


def apply_seed(path: Path) -> AppliedReport | SeedReport:
    with Study.open(path) as study:
        return apply(study, "eva", silent)


def test_seed_writes_a_table_and_a_sheet_for_each_cluster(path):
    report = make_seed(path)
    # three groups, and what left them for another class
    assert [name for name, _, _, _ in report.clusters] == ["1", "2", "3", "4"]
    assert sum(size for _, _, size, _ in report.clusters) == report.objects
    rows = table_of(path / "seed" / "clusters.csv")
    assert [(row["cluster"], row["class"]) for row in rows] == [
        (name, code) for name, code, _, _ in report.clusters
    ]
    for name, _, _, _ in report.clusters:
        assert cv2.imread(str(path / "seed" / f"cluster-{name}.png")) is not None
    with pytest.raises(UsageError, match="--force"):
        make_seed(path)


def members_of(path: Path) -> dict[tuple[str, int], str]:
    rows = table_of(path / "seed" / "members.csv")
    return {(row["image"], int(row["object"])): row["cluster"] for row in rows}


def cluster_names_of(path: Path) -> dict[tuple[str, int], str]:
    """Name of the cluster of each object, by the file that gave the first classes."""
    with Study.open(path) as study:
        groups, objects = stored_seed_groups(study), gather(study)
    assert groups is not None
    names = groups.cluster_names()
    rows = zip(objects.rows(), groups.cluster_of(objects.table).tolist(), strict=True)
    return {key: names[group] for key, group in rows}


def test_the_clusters_are_the_groups_of_the_first_classes(path):
    before = (path / "models" / "seed.json").read_bytes()
    report = make_seed(path)
    assert members_of(path) == cluster_names_of(path)
    assert (path / "models" / "seed.json").read_bytes() == before
    assert report.notes == ()


@pytest.mark.parametrize("content", [None, b"{", b"{}"])
def test_groups_that_are_missing_are_made_again(path, content):
    file = path / "models" / "seed.json"
    before = json.loads(file.read_bytes())
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    report = make_seed(path)
    after = json.loads(file.read_bytes())
    # the same bits, but for the key: the next run of annotate fits its own
    assert after["model"] == before["model"]
    assert after["key"] != before["key"]
    assert "made now" in report.notes[0]
    assert members_of(path) == cluster_names_of(path)


def test_other_settings_give_other_groups(path):
    make_seed(path)
    toml = path / "study.toml"
    text = toml.read_text("utf-8")
    toml.write_text(re.sub(r"groups_m(in|ax) = 3", r"groups_m\1 = 4", text), "utf-8")
    report = make_seed(path, force=True)
    assert {"1", "2", "3", "4"} <= {name for name, _, _, _ in report.clusters}
    with Study.open(path) as study:
        groups = stored_seed_groups(study)
    assert groups is not None and len(groups.groups) == 4
    assert "made now" in report.notes[0]
    assert members_of(path) == cluster_names_of(path)


def test_a_study_without_objects_is_refused(tmp_path):
    with Study.create(tmp_path / "empty") as study, pytest.raises(ModelError, match="annotate"):
        seed(study, SeedOptions(), silent)


# What earlier versions left


def older_tables(path: Path) -> dict[tuple[str, int], str]:
    """Tables as a second k-means made them: other clusters than the seed groups, one split."""
    make_seed(path)
    with Study.open(path) as study:
        keys = list(gather(study).rows())
    names = ["1", "2.1", "2.2", "14"]
    members = {key: names[at % 4] for at, key in enumerate(keys)}
    lines = [f"{image},{number},{name}" for (image, number), name in members.items()]
    text = "\r\n".join(["image,object,cluster", *lines, ""])
    (path / "seed" / "members.csv").write_bytes(text.encode("utf-8-sig"))
    named = "1,bone,9,0.80,\r\n2.1,fat,9,0.50,\r\n2.2,mixed,9,0.50,\r\n14,skip,9,1.00,\r\n"
    (path / "seed" / "clusters.csv").write_text(f"cluster,class,size,purity,split\r\n{named}")
    return members


def test_tables_that_an_earlier_version_made_are_applied_as_they_were_named(path):
    members = older_tables(path)
    (path / "models" / "seed.json").unlink()
    report = apply_seed(path)
    assert isinstance(report, AppliedReport)
    codes = {"1": 3, "2.1": 1, "2.2": 4}
    with Study.open(path) as study:
        labels = present_labels(study)
    assert {label.key: (label.code, label.author) for label in labels} == {
        key: (codes[name], "eva") for key, name in members.items() if name in codes
    }


def test_tables_that_an_earlier_version_made_can_still_be_split(path):
    members = older_tables(path)
    table = path / "seed" / "clusters.csv"
    table.write_text(table.read_text().replace("1,bone,9,0.80,\n", "1,bone,9,0.80,2\n", 1))
    report = apply_seed(path)
    assert isinstance(report, SeedReport)
    assert report.split == ("1",)
    after = members_of(path)
    assert {key: name.partition(".")[0] for key, name in after.items() if name[0] == "1"} == {
        key: name for key, name in members.items() if name[0] == "1"
    }
    named = {row["cluster"]: row["class"] for row in table_of(table)}
    assert named.keys() == {"1.1", "1.2", "2.1", "2.2", "14"}
    assert (named["2.1"], named["2.2"], named["14"]) == ("fat", "mixed", "skip")


def test_tables_that_a_person_filled_in_are_not_written_over(path):
    older_tables(path)
    before = (path / "seed" / "clusters.csv").read_bytes()
    with pytest.raises(UsageError, match="--force"):
        make_seed(path)
    assert (path / "seed" / "clusters.csv").read_bytes() == before


def add_table(path: Path, text: str) -> None:
    toml = path / "study.toml"
    toml.write_text(toml.read_text("utf-8") + text, "utf-8")


def test_a_number_of_clusters_that_was_set_is_said_to_do_nothing_now(path):
    add_table(path, "[clusters]\nclusters = 20\nleast = 4\nwhatever = 'x'\n")
    report = make_seed(path)
    (note,) = report.notes
    assert "[clusters] clusters = 20, whatever = x" in note
    assert "least" not in note
    assert "groups_max in [seed]" in note
    assert members_of(path) == cluster_names_of(path)
    # said when the clusters are made; naming them is another matter
    assert isinstance(apply_seed(path), AppliedReport)


def test_the_table_as_earlier_versions_wrote_it_is_passed_over(path):
    add_table(
        path,
        "[clusters]\nclusters = 0\nleast = 4\nmost = 16\nsample = 5000\nrandom_state = 0\n",
    )
    assert make_seed(path).notes == ()


def test_a_split_says_that_another_random_state_counts_now(path):
    older_tables(path)
    add_table(path, "[clusters]\nclusters = 20\nrandom_state = 7\n")
    table = path / "seed" / "clusters.csv"
    table.write_text(table.read_text().replace("1,bone,9,0.80,\n", "1,bone,9,0.80,2\n", 1))
    report = apply_seed(path)
    assert isinstance(report, SeedReport)
    (note,) = report.notes
    assert "random_state = 7" in note
    assert "clusters = 20" not in note


# Applied


def test_applied_clusters_and_corrections_become_labels(path):
    make_seed(path)
    table = path / "seed" / "clusters.csv"
    rows = table_of(table)
    rows[0]["class"], rows[1]["class"] = "bone", "mixed"
    for row in rows[2:]:
        row["class"] = ""
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


def test_a_faulty_correction_stores_nothing(path):
    make_seed(path)
    corrections = path / "seed" / "corrections.csv"
    corrections.write_text("image,object,class,author\nnowhere,1,fat,\n", "utf-8")
    with pytest.raises(UsageError, match="nowhere"):
        apply_seed(path)
    with Study.open(path) as study:
        assert study.labels.count() == 0


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
    assert list(after) == ["1.1", "1.2", "2", "3", "4"]
    assert after["2"] == "bone"
    assert (path / "seed" / "cluster-1.2.png").exists()
    assert not (path / "seed" / "cluster-1.png").exists()
    with Study.open(path) as study:
        assert study.labels.count() == 0
    assert isinstance(apply_seed(path), AppliedReport)


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
    assert np.array_equal(tile.pixels, no_tile())
    assert tile.caption == "one (no picture)"


# Impure clusters


def mix_two_clusters(path: Path) -> tuple[dict[tuple[str, int], str], Path]:
    """Two clusters in one, so that no class has most of it; the others are as they were."""
    make_seed(path)
    rows = table_of(path / "seed" / "clusters.csv")
    sizes = sorted(
        ({row["looks_like"]: row for row in rows}).values(), key=lambda row: -int(row["size"])
    )
    first, second = (row["cluster"] for row in sizes[:2])
    members = members_of(path)
    keys = {name: [key for key, one in members.items() if one == name] for name in (first, second)}
    count = min(map(len, keys.values()))
    # As many of one as of the other: what is left of the larger one goes to the third.
    left = next(row["cluster"] for row in rows if row["cluster"] not in (first, second))
    for name in (first, second):
        members |= {key: first if at < count else left for at, key in enumerate(keys[name])}
    lines = [f"{image},{number},{name}" for (image, number), name in members.items()]
    (path / "seed" / "members.csv").write_text("\n".join(["image,object,cluster", *lines, ""]))
    kept = [row for row in rows if row["cluster"] in set(members.values())]
    table = path / "seed" / "clusters.csv"
    write_table(table, kept)
    return {key: name for key, name in members.items() if name == first}, table


def labels_of(path: Path) -> dict[tuple[str, int], int]:
    with Study.open(path) as study:
        return {label.key: label.code for label in present_labels(study)}


def set_class(table: Path, cluster: str, name: str, old: bool = False) -> None:
    rows = table_of(table)
    for row in rows:
        if row["cluster"] == cluster:
            row["class"] = name
        if old:
            del row["looks_like"]
    write_table(table, rows)


def test_an_impure_cluster_stays_without_labels_until_a_person_names_it(path):
    impure, table = mix_two_clusters(path)
    name = next(iter(impure.values()))
    set_class(table, name, "")
    report = apply_seed(path)
    assert isinstance(report, AppliedReport)
    assert name in [one.name for one in report.unlabelled]
    assert all(one.purity < 0.8 for one in report.unlabelled)
    assert not impure.keys() & labels_of(path).keys()

    set_class(table, name, "bone")
    report = apply_seed(path)
    assert isinstance(report, AppliedReport)
    assert (name, "bone") in [(one.name, one.named) for one in report.impure_named]
    assert {labels_of(path)[key] for key in impure} == {3}


@pytest.mark.parametrize("spreadsheet", [False, True])
def test_a_class_that_an_earlier_version_filled_in_is_nobodys_word(path, spreadsheet):
    impure, table = mix_two_clusters(path)
    name = next(iter(impure.values()))
    looks_like = report_of(path, name).looks_like
    set_class(table, name, looks_like, old=True)
    if spreadsheet:
        table.write_bytes(table.read_text("utf-8-sig").replace(",", ";").encode("utf-16"))
    report = apply_seed(path)
    assert isinstance(report, AppliedReport)
    assert name in [one.name for one in report.unlabelled]
    assert "looks_like" in report.notes[0]
    assert not impure.keys() & labels_of(path).keys()


def test_another_class_in_a_table_of_an_earlier_version_is_a_persons_word(path):
    impure, table = mix_two_clusters(path)
    name = next(iter(impure.values()))
    looks_like = report_of(path, name).looks_like
    other = next(one for one in ("bg", "fat", "cell", "bone") if one != looks_like)
    set_class(table, name, other, old=True)
    report = apply_seed(path)
    assert isinstance(report, AppliedReport)
    assert (name, other) in [(one.name, one.named) for one in report.impure_named]
    assert impure.keys() <= labels_of(path).keys()


def report_of(path: Path, name: str) -> ImpureCluster:
    """What applying would say of an impure cluster that nobody has named; nothing else is."""
    table = path / "seed" / "clusters.csv"
    before = table.read_bytes()
    write_table(table, [row | {"class": ""} for row in table_of(table)])
    report = apply_seed(path)
    table.write_bytes(before)
    assert isinstance(report, AppliedReport) and report.added.added == 0
    return next(one for one in report.unlabelled if one.name == name)


def test_a_mixed_cluster_is_cut_by_the_draft_and_its_classes_get_labels(path):
    impure, table = mix_two_clusters(path)
    name = next(iter(impure.values()))
    rows = table_of(table)
    only_there = {row["looks_like"] for row in rows} - {
        row["looks_like"] for row in rows if row["cluster"] != name
    }
    for row in rows:
        if row["cluster"] == name:
            row["class"], row["split"] = "", "draft"
    write_table(table, rows)
    report = apply_seed(path)
    assert isinstance(report, SeedReport)
    assert report.split == (name,)
    assert f"cluster-{name}.*.png" in report.notes[0]
    parts = [row for row in table_of(table) if row["cluster"].startswith(f"{name}.")]
    assert len(parts) > 1
    assert all(row["class"] == row["looks_like"] and row["purity"] == "1.00" for row in parts)
    assert len({row["class"] for row in parts}) == len(parts)
    assert only_there <= {row["class"] for row in parts}
    assert report.missing == ()

    assert isinstance(apply_seed(path), AppliedReport)
    assert impure.keys() <= labels_of(path).keys()


def test_a_class_of_the_draft_that_no_cluster_has_is_missing(path):
    report = make_seed(path)
    assert report.missing == ()
    with Study.open(path) as study:
        table = gather(study).table
        looks = own_classes(table).codes
        one = np.zeros(len(table), np.int64)
        # Everything in one cluster: it is mixed, and no class is left that gets a label.
        clusters = clusters_from_members(table, ("1",), one)
        assert missing_classes(study, table, clusters, {}) == tuple(
            CLASS_NAMES[code] for code in np.unique(looks).tolist()
        )
        named = missing_classes(study, table, clusters, {"1": int(looks[0])})
        assert CLASS_NAMES[looks[0]] not in named
