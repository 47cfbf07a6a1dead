"""A review session over a small annotated study: what is said there is what all commands read."""

from __future__ import annotations

import csv
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.learning_studies import annotate_all, make_pictures

from active_learning.rounds.current_labels import agreement, current_labels
from active_learning.rounds.label_csv import ImportOptions, export_labels, import_labels
from active_learning.rounds.seed import SeedOptions, apply, seed
from annotator.core.errors import StudyError, UsageError
from annotator.core.labels import LABEL_NAMES
from annotator.core.progress import silent
from annotator.review.errors import NotFound
from annotator.review.session import QUEUES, ReviewSession
from annotator.settings.study import Settings
from annotator.study.study import Study

pytestmark = pytest.mark.slow


@pytest.fixture
def review(path: Path) -> Iterator[ReviewSession]:
    """A session in which eva works."""
    with ReviewSession(path, "eva", ahead=False) as opened:
        yield opened


def ids(review: ReviewSession, count: int | None = None) -> list[str]:
    """The first objects of the clusters."""
    return [one["id"] for one in review.queue("clusters")["items"][:count]]


def counting(path: Path) -> dict[str, tuple[str, str]]:
    """Class and source that count of each object, as all other commands see them."""
    with Study.open(path) as study:
        found = current_labels(study)
    keys = zip(found.image_ids.tolist(), found.object_ids.tolist(), strict=True)
    return {
        f"{image}:{number}": (LABEL_NAMES[code], str(source))
        for (image, number), code, source in zip(
            keys, found.codes.tolist(), found.sources.tolist(), strict=True
        )
    }


def states(answer: dict[str, Any]) -> list[tuple[str | None, str | None, str | None]]:
    return [(one["label"], one["by"], one["author"]) for one in answer["items"]]


def test_summary_counts_what_people_said(review: ReviewSession):
    objects = review.summary()["objects"]
    assert objects == len(review.queue("clusters", limit=5000)["items"])
    review.label("eva", ids(review, 3), "bone")
    review.label("eva", ids(review, 5)[3:], "mixed")
    found = review.summary()
    assert found["counts"] == {"bg": 0, "fat": 0, "cell": 0, "bone": 3}
    assert found["labelled"] == 5
    assert [one["name"] for one in found["classes"]] == ["bg", "fat", "cell", "bone"]
    assert [one["name"] for one in found["queues"]] == list(QUEUES)
    assert [one["needs"] for one in found["queues"] if one["name"] == "doubts"] == ["train first"]
    assert sum(one["objects"] for one in found["images"]) == objects


def test_nobody_is_asked_about_what_is_excluded(path: Path, review: ReviewSession):
    before = review.queue("clusters", limit=5000)["items"]
    with Study.open(path) as study:
        image = study.images()[0]
        left = np.zeros(image.shape, np.bool_)
        left[:, : image.shape[1] // 2] = True
        study.excluded_regions.exclude(image.id, [left], "pen", "pen.geojson", "eva")
    asked = review.queue("clusters", limit=5000, fresh=True)["items"]
    shown = review.queue("uncertain", limit=5000)["items"]
    middle = image.shape[1] // 2

    def inside(items: list[dict[str, Any]]) -> list[str]:
        return [i["id"] for i in items if i["image"] == image.id and i["box"][2] <= middle]

    assert inside(before) and not inside(asked) and not inside(shown)
    elsewhere = [i["id"] for i in before if i["image"] != image.id]
    assert {i["id"] for i in asked} >= set(elsewhere)
    with Study.open(path) as study:
        study.excluded_regions.restore([1], "drawn too large", "eva")
    assert len(review.queue("clusters", limit=5000, fresh=True)["items"]) == len(before)


@pytest.mark.parametrize("code", LABEL_NAMES)
def test_what_is_said_is_what_the_commands_read(path: Path, review: ReviewSession, code: str):
    chosen = ids(review, 2)
    act = review.label("eva", chosen, code, "clusters")
    assert states(act) == [(code, "person", "eva")] * 2
    assert counting(path) == dict.fromkeys(chosen, (code, "person"))


def test_an_act_without_anything_new_is_not_stored(path: Path, review: ReviewSession):
    first = review.label("eva", ids(review, 2), "fat")
    again = review.label("eva", ids(review, 1), "fat")
    assert (first["act"], again["act"]) == (1, 0)
    assert states(again) == [("fat", "person", "eva")]
    assert review.undo("eva")["act"] == 2
    assert counting(path) == {}


def test_an_unknown_object_stores_nothing_of_the_act(path: Path, review: ReviewSession):
    for wrong in ("nowhere:1", f"{ids(review, 1)[0].partition(':')[0]}:99999", "x", "a:b", "a:²"):
        with pytest.raises(NotFound, match=re.escape(wrong)):
            review.label("eva", [*ids(review, 2), wrong], "fat")
    assert counting(path) == {}


@pytest.mark.parametrize(
    ("author", "chosen", "code", "words"),
    [
        ("eva", 0, "fat", "1 .*100000"),
        ("eva", 1, "liver", "bg, fat, cell, bone, mixed, skip"),
        (" ", 1, "fat", "name"),
        ("e\nva", 1, "fat", "author"),
    ],
)
def test_what_cannot_be_said(
    review: ReviewSession, author: str, chosen: int, code: str, words: str
):
    with pytest.raises(UsageError, match=words):
        review.label(author, ids(review, chosen), code)


def test_undo_and_redo_without_end_and_after_a_restart(path: Path):
    with ReviewSession(path, "eva", ahead=False) as review:
        chosen = ids(review, 6)
        for code in ("bg", "fat", "cell", "bone"):
            review.label("eva", chosen, code)
        assert states(review.undo("eva")) == [("cell", "person", "eva")] * 6
    with ReviewSession(path, "eva", ahead=False) as review:
        assert states(review.undo("eva")) == [("fat", "person", "eva")] * 6
        assert states(review.undo("eva")) == [("bg", "person", "eva")] * 6
        assert states(review.undo("eva")) == [(None, None, None)] * 6
        assert review.undo("eva") is None
        assert counting(path) == {}
        for code in ("bg", "fat"):
            act = review.redo("eva")
            assert states(act) == [(code, "person", "eva")] * 6
            assert act["code"] == code
        assert counting(path) == dict.fromkeys(chosen, ("fat", "person"))
        review.label("eva", chosen[:1], "skip")
        assert review.redo("eva") is None


def test_undo_brings_back_the_seed_label_that_counted(path: Path, review: ReviewSession):
    named = review.name_cluster("eva", "1", "bone")
    chosen = [one["id"] for one in named["items"]][:2]
    assert states(review.label("eva", chosen, "fat")) == [("fat", "person", "eva")] * 2
    assert states(review.undo("eva")) == [("bone", "seed", "eva")] * 2
    assert counting(path)[chosen[0]] == ("bone", "seed")


def test_undo_leaves_what_another_person_said(path: Path, review: ReviewSession):
    chosen = ids(review, 3)
    review.label("eva", chosen, "fat")
    review.label("bob", chosen[:2], "cell")
    act = review.undo("eva")
    assert {one["id"]: one["label"] for one in act["items"]} == {
        chosen[0]: "cell",
        chosen[1]: "cell",
        chosen[2]: None,
    }
    assert act["notes"] == ["2 objects keep what bob said"]
    assert counting(path) == dict.fromkeys(chosen[:2], ("cell", "person"))
    assert review.undo("eva") is None
    assert states(review.undo("bob")) == [(None, None, None)] * 2


def test_a_skip_leaves_what_another_person_said(path: Path, review: ReviewSession):
    one = ids(review, 1)
    review.label("bob", one, "fat")
    act = review.label("eva", one, "skip", "clusters")
    assert states(act) == [("fat", "person", "bob")]
    assert act["notes"] == ["1 object keeps what bob said"]
    assert counting(path) == {one[0]: ("fat", "person")}
    assert one[0] not in ids(review)


def test_nothing_is_deleted_by_an_undo(path: Path, review: ReviewSession):
    review.label("eva", ids(review, 4), "fat")
    review.undo("eva")
    with sqlite3.connect(path / "study.db") as connection:
        assert connection.execute("SELECT count(*) FROM labels").fetchone() == (4,)
        kinds = connection.execute("SELECT kind, of FROM label_acts ORDER BY id").fetchall()
        for table in ("label_acts", "label_act_rows"):
            with pytest.raises(sqlite3.DatabaseError, match="append-only"):
                connection.execute(f"DELETE FROM {table}")
    connection.close()
    assert kinds == [("label", None), ("undo", 1)]


def test_changes_tell_what_others_did(path: Path, review: ReviewSession):
    chosen = ids(review, 4)
    start = review.changes(0)
    assert start["items"] == []
    with ReviewSession(path, "bob", ahead=False) as other:
        other.label("bob", chosen[:2], "fat")
        found = review.changes(start["seq"])
        assert sorted(one["id"] for one in found["items"]) == sorted(chosen[:2])
        assert review.changes(found["seq"])["items"] == []
        other.undo("bob")
        undone = review.changes(found["seq"])
    assert states(undone) == [(None, None, None)] * 2
    before = {one["id"]: one["label_seq"] for one in found["items"]}
    assert all(one["label_seq"] > before[one["id"]] for one in undone["items"])
    assert undone["seq"] < 2**53


def test_labels_of_the_command_line_arrive(path: Path, review: ReviewSession, tmp_path: Path):
    image, _, number = ids(review, 1)[0].partition(":")
    file = tmp_path / "labels.csv"
    file.write_text(f"image,object,class,author\n{image},{number},bone,rita\n", "utf-8")
    since = review.changes(0)["seq"]
    with Study.open(path) as study:
        import_labels(study, file, ImportOptions())
    assert states(review.changes(since)) == [("bone", "person", "rita")]


def test_export_import_and_agreement_know_nothing_of_what_was_undone(
    path: Path, review: ReviewSession, tmp_path: Path
):
    chosen = ids(review, 8)
    review.label("eva", chosen[:4], "fat")
    review.label("eva", chosen[4:], "cell")
    review.label("bob", chosen[:5], "fat")
    review.label("bob", chosen[5:], "skip")
    review.label("bob", chosen, "bone")
    review.undo("bob")
    with Study.open(path) as study:
        (found,), disputes = agreement(study)
        report = export_labels(study, tmp_path / "out.csv")
        again = import_labels(study, tmp_path / "out.csv", ImportOptions())
    assert (found.authors, found.objects, found.agreed) == (("bob", "eva"), 5, 4)
    assert [(one.image_id, one.object_id) for one in disputes] == [
        (chosen[4].partition(":")[0], int(chosen[4].partition(":")[2]))
    ]
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text("utf-8-sig").splitlines()))
    assert sorted(row["class"] for row in rows) == ["cell"] * 4 + ["fat"] * 9 + ["skip"] * 3
    assert (report.rows, again.added, again.already) == (16, 0, 16)


def test_a_named_cluster_leaves_what_people_said(path: Path, review: ReviewSession):
    listed = review.queue("clusters", cluster="1")
    members = [one["id"] for one in listed["items"]]
    review.label("bob", members[:1], "bone")
    act = review.name_cluster("eva", "1", "cell")
    assert sorted(one["id"] for one in act["items"]) == sorted(members[1:])
    found = counting(path)
    assert found.pop(members[0]) == ("bone", "person")
    assert set(found.values()) == {("cell", "seed")}
    review.undo("eva")
    assert counting(path) == {members[0]: ("bone", "person")}
    with pytest.raises(NotFound, match="99"):
        review.name_cluster("eva", "99", "cell")
    with pytest.raises(UsageError, match="skip"):
        review.name_cluster("eva", "1", "skip")


def test_a_class_that_was_filled_in_leaves_what_a_person_named_here(path: Path):
    with Study.open(path) as study:
        report = seed(study, SeedOptions(), silent)
    pure = next(name for name, _, _, _ in report.clusters if name not in report.impure)
    looks_like = next(code for name, code, _, _ in report.clusters if name == pure)
    other = "bone" if looks_like != "bone" else "bg"
    with ReviewSession(path, "eva", ahead=False) as review:
        ids = {one["id"] for one in review.name_cluster("eva", pure, other)["items"]}
    with Study.open(path) as study:
        apply(study, "bob", silent)
    found = counting(path)
    assert {found[one] for one in ids} == {(other, "seed")}
    # A class that a person writes into the table is a later word.
    table = path / "seed" / "clusters.csv"
    rows = table.read_text("utf-8-sig").splitlines()
    mixed = [
        f"{pure},mixed," + row.split(",", 2)[2] if row[:2] == f"{pure}," else row for row in rows
    ]
    table.write_text("\n".join(mixed), "utf-8")
    with Study.open(path) as study:
        apply(study, "bob", silent)
    found = counting(path)
    assert {found[one] for one in ids} == {("mixed", "seed")}


def test_clusters_of_the_seed_command_come_first(path: Path):
    with Study.open(path) as study:
        report = seed(study, SeedOptions(images=6), silent)
    with ReviewSession(path, "eva", ahead=False) as review:
        found = review.queue("clusters")
    assert {one["name"]: one["count"] for one in found["groups"]} == {
        name: size for name, _, size, _ in report.clusters
    }
    assert len({one["image"] for one in found["items"]}) == 6


def test_the_page_shows_the_groups_that_the_seed_command_shows(path: Path):
    def groups(review: ReviewSession) -> dict[str, str]:
        return {one["id"]: one["group"] for one in review.queue("clusters", limit=5000)["items"]}

    def proposed(review: ReviewSession) -> dict[str, str]:
        return {one["name"]: one["proposed"] for one in review.queue("clusters")["groups"]}

    with ReviewSession(path, "eva", ahead=False) as review:
        before = groups(review), proposed(review)
    with Study.open(path) as study:
        report = seed(study, SeedOptions(), silent)
    with ReviewSession(path, "eva", ahead=False) as review:
        assert (groups(review), proposed(review)) == before
    assert {name: code for name, code, _, _ in report.clusters} == before[1]


def test_queues_stay_as_they_are_while_a_person_works(review: ReviewSession):
    before = review.queue("uncertain")
    chosen = [one["id"] for one in before["items"]]
    review.label("eva", chosen[:5], "fat")
    again = review.queue("uncertain")
    assert [one["id"] for one in again["items"]] == chosen
    assert again["version"] == before["version"]
    assert states(again)[:5] == [("fat", "person", "eva")] * 5
    fresh = review.queue("uncertain", fresh=True)
    assert not set(chosen[:5]) & {one["id"] for one in fresh["items"]}
    assert fresh["version"] != before["version"]


def test_pages_of_a_queue_put_together_are_the_queue(review: ReviewSession):
    whole = review.queue("clusters")
    pages = [review.queue("clusters", offset=at, limit=10) for at in range(0, whole["total"], 10)]
    assert [one["id"] for page in pages for one in page["items"]] == [
        one["id"] for one in whole["items"]
    ]
    assert sum(group["count"] for group in whole["groups"]) == whole["total"]


def test_what_was_skipped_is_not_shown_again_in_this_queue_to_this_author(review: ReviewSession):
    chosen = [one["id"] for one in review.queue("uncertain")["items"]]
    review.label("eva", chosen[:2], "skip", "uncertain")
    beyond = review.queue("uncertain", offset=2)
    assert [one["id"] for one in beyond["items"]] == chosen[2:]
    again = review.queue("uncertain")
    assert [one["id"] for one in again["items"]] == chosen[2:]
    assert review.queue("uncertain", author="bob")["total"] == len(chosen)
    assert set(chosen[:2]) <= {one["id"] for one in review.queue("clusters")["items"]}
    review.undo("eva")
    assert review.queue("uncertain")["total"] == len(chosen)


def test_the_queue_of_an_image_shows_it_whole(review: ReviewSession):
    image = review.summary()["images"][3]
    found = review.queue("image", image=image["id"])
    assert found["total"] == image["objects"]
    assert {one["image"] for one in found["items"]} == {image["id"]}
    assert {one["image"] for one in review.queue("image")["items"]} == {
        review.summary()["images"][0]["id"]
    }


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (NotFound, {"name": "nothing"}),
        (NotFound, {"name": "image", "image": "../study.toml"}),
        (UsageError, {"name": "doubts"}),
        (UsageError, {"name": "clusters", "offset": -1}),
        (UsageError, {"name": "clusters", "limit": 0}),
    ],
)
def test_queues_that_there_are_not(
    review: ReviewSession, error: type[Exception], asked: dict[str, Any]
):
    with pytest.raises(error):
        review.queue(**asked)


def test_the_random_sample_is_always_the_same(path: Path, review: ReviewSession):
    first = [one["id"] for one in review.queue("random")["items"]]
    review.label("eva", first[:3], "fat", "random")
    with ReviewSession(path, "bob", ahead=False) as other:
        assert [one["id"] for one in other.queue("random")["items"]] == first
    images = [one.partition(":")[0] for one in first]
    assert images != sorted(images)


def test_the_sample_says_how_often_the_model_is_right(review: ReviewSession):
    before = review.summary()["sample"]
    assert (before["labelled"], before["accuracy"], before["interval"]) == (0, None, None)
    images = {one["image"] for one in review.queue("random")["items"]}
    items = review.queue("random")["items"]
    for one in items:
        review.label("eva", [one["id"]], one["predicted"], "random")
    after = review.summary()["sample"]
    assert after["labelled"] == after["right"] == after["objects"] > 0
    assert after["objects"] <= len(items)
    assert len(images) > 1
    assert after["accuracy"] == 1.0
    assert after["interval"][0] < 1.0
    other = next(code for code in ("bg", "fat", "cell") if code != items[0]["predicted"])
    review.label("eva", [one["id"] for one in items], other)
    worse = review.summary()["sample"]
    assert worse["labelled"] == after["labelled"]
    assert worse["accuracy"] < 1.0


def test_disputed_labels_after_a_round(trained_path: Path):
    with ReviewSession(trained_path, "eva", ahead=False) as review:
        sure = max(review.queue("clusters")["items"], key=lambda one: one["confidence"])
        wrong = "bone" if sure["predicted"] != "bone" else "fat"
        review.label("eva", [sure["id"]], wrong)
        found = review.queue("doubts")
        assert sure["id"] in [one["id"] for one in found["items"]]
        item = next(one for one in found["items"] if one["id"] == sure["id"])
        assert item["group"] == f"{wrong}-{sure['predicted']}"
        assert f"labelled {wrong}" in item["why"]
        (round_,) = review.summary()["rounds"]
    assert round_["current"]
    assert 0 < round_["accuracy"] <= 1


def test_pictures_are_pictures(review: ReviewSession):
    one = ids(review, 1)[0]
    for data, size in ((review.tile(one), 128), (review.zoom(one), 512)):
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (size, size, 3)
    image = review.summary()["images"][0]["id"]
    whole = cv2.imdecode(np.frombuffer(review.picture(image), np.uint8), cv2.IMREAD_COLOR)
    outlines = review.outlines(image)
    assert whole.shape[:2] == (outlines["height"], outlines["width"])
    assert all(one["path"].startswith("M") for one in outlines["items"])
    assert len(outlines["items"]) == review.summary()["images"][0]["objects"]
    for ask in (review.tile, review.zoom, review.tag, review.picture, review.outlines):
        with pytest.raises(NotFound):
            ask("../../study.toml")


def test_the_tile_follows_the_label(review: ReviewSession):
    one = ids(review, 1)[0]
    before, tag = review.tile(one), review.tag(one)
    other = "bone" if tag.rpartition("-")[2] != "3" else "fat"
    review.label("eva", [one], other)
    assert review.tag(one) != tag
    assert review.tile(one) != before
    review.undo("eva")
    assert (review.tile(one), review.tag(one)) == (before, tag)


def test_new_images_appear_while_the_page_is_open(path: Path, tmp_path: Path):
    folder = make_pictures(tmp_path, 1, first=20)
    with ReviewSession(path, "eva", ahead=False) as review:
        before = review.queue("clusters")
        review.label("eva", [before["items"][0]["id"]], "mixed")
        assert folder == path.parent
        annotate_all(path)
        after = review.queue("clusters", fresh=True)
        assert after["total"] > before["total"]
        assert after["version"] != before["version"]
        labelled = [one["id"] for one in after["items"] if one["label"] == "mixed"]
    assert labelled == [before["items"][0]["id"]]


def test_views_are_kept_and_made_again_when_damaged(path: Path):
    with ReviewSession(path, "eva", ahead=False) as review:
        before = review.queue("uncertain")["items"]
    views = path / "cache" / "review" / "views.npz"
    views.write_bytes(views.read_bytes()[:100])
    with ReviewSession(path, "eva", ahead=False) as review:
        assert review.queue("uncertain")["items"] == before


def test_a_study_without_objects_is_refused(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    Study.create(tmp_path / "empty", Settings()).close()
    with pytest.raises(UsageError, match="empty"):
        ReviewSession(tmp_path / "empty", "eva")
    with pytest.raises(StudyError, match="nothing"):
        ReviewSession(tmp_path / "nothing", "eva")
