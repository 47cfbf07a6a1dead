"""Values of the seam as CVAT's API writes them: against what a CVAT 2.42.0 server said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotator.core.errors import CvatError
from export.cvat.client.serialise import (
    annotations_record,
    comments_of,
    frame_of,
    job_of,
    label_of,
    label_record,
    shapes_of,
    take,
    task_of,
)
from export.cvat.client.server import Attribute, Comment, CvatJob, CvatLabel, CvatShape, CvatTask

DATA = Path(__file__).parents[3] / "data" / "cvat_http"


@pytest.fixture(scope="module", params=["280", "242"])
def recorded(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """The exchanges of one scenario, as each of the two versions of the SDK made them."""
    found: list[dict[str, Any]] = json.loads((DATA / f"sdk{request.param}.json").read_text("utf-8"))
    return found


def said(recorded: list[dict[str, Any]], method: str, path: str) -> list[Any]:
    """What the server said to all requests of a kind."""
    return [
        one["answer"]["json"]
        for one in recorded
        if one["method"] == method and path in one["path"] and "json" in (one["answer"] or {})
    ]


def test_recorded_labels(recorded: list[dict[str, Any]]) -> None:
    labels = [label_of(r) for r in said(recorded, "GET", "/api/labels")[0]["results"]]
    assert [(one.name, one.colour) for one in labels] == [
        ("cell", "#d94f4f"),
        ("bone", "#4fa3d9"),
        ("fat", "#f2d64b"),
        ("bg", "#ffffff"),
    ]
    (attribute,) = labels[0].attributes
    assert (attribute.name, attribute.kind, attribute.values, attribute.default) == (
        "confidence",
        "number",
        ("0", "100", "1"),
        "0",
    )


def test_recorded_tasks_and_frames(recorded: list[dict[str, Any]]) -> None:
    (made,) = said(recorded, "POST", "/api/tasks")[:1]
    (full,) = [t for t in said(recorded, "GET", "/api/tasks/") if "size" in t and "name" in t][:1]
    number = made["id"]
    assert task_of(made) == CvatTask(number, "batch-001", made["project_id"], 0)
    assert task_of(full) == CvatTask(number, "batch-001", made["project_id"], 2)
    frames = [frame_of(f) for f in said(recorded, "GET", "/data/meta")[0]["frames"]]
    assert [(f.name, f.width, f.height) for f in frames] == [
        ("tile_001.png", 120, 90),
        ("tile_002.png", 120, 90),
    ]


def test_recorded_jobs(recorded: list[dict[str, Any]]) -> None:
    jobs = [job_of(r) for r in said(recorded, "GET", "/api/jobs?task_id")[0]["results"]]
    last = jobs[0]
    assert last == CvatJob(
        last.id,
        last.task_id,
        "annotation",
        "new",
        "annotation",
        None,
        1,
        1,
        last.updated,
        replicas=0,
        issues=0,
    )
    assert last.updated.startswith("2026-11-20T")
    assigned = [job_of(r) for r in said(recorded, "PATCH", "/api/jobs/") if "state" in r]
    assert assigned[0].assignee == "patho1"
    assert assigned[-1].state == "completed"


def test_recorded_shapes(recorded: list[dict[str, Any]]) -> None:
    whole = shapes_of(said(recorded, "GET", "/annotations/")[0])
    assert (whole.tracks, whole.tags) == (0, 0)
    assert {s.kind for s in whole.shapes} >= {"mask"}
    assert all(s.group == 0 and s.id is not None for s in whole.shapes)
    assert {s.z_order for s in whole.shapes if s.frame == 1} >= {0, 1, 2}


def test_what_we_write_is_what_the_recorded_server_took(recorded: list[dict[str, Any]]) -> None:
    (sent,) = [one for one in recorded if one["method"] == "PUT"]
    shapes = shapes_of(sent["answer"]["json"]).shapes
    ours = annotations_record(shapes)["shapes"]
    theirs = sent["body"]["json"]["shapes"]
    fields = ("type", "frame", "label_id", "points", "z_order")
    assert sorted([one[f] for f in fields] for one in ours) == sorted(
        [one.get(f, 0) for f in fields] for one in theirs
    )


def test_labels_are_written_as_the_page_of_cvat_does() -> None:
    label = CvatLabel("fat", "#800000", (Attribute("object", "text"),))
    assert label_record(label) == {
        "name": "fat",
        "color": "#800000",
        "type": "any",
        "attributes": [
            {
                "name": "object",
                "mutable": False,
                "input_type": "text",
                "default_value": "",
                "values": [""],
            }
        ],
    }


@pytest.mark.parametrize("values", [[], [""], ["anything"]])
def test_a_text_has_no_choice_of_values(values: list[str]) -> None:
    attribute = {"id": 3, "name": "object", "input_type": "text", "values": values}
    record = {"id": 1, "name": "fat", "color": "#FF0000", "attributes": [attribute]}
    assert label_of(record) == CvatLabel("fat", "#ff0000", (Attribute("object", "text", id=3),), 1)


def test_points_with_fractions_stay_and_whole_ones_become_whole() -> None:
    shapes = [
        CvatShape(0, 1, "polygon", (1.5, 2.0)),
        CvatShape(0, 1, "mask", (1.0, 2.0)),
        CvatShape(0, 1, "x", ()),
    ]
    points = [one["points"] for one in annotations_record(shapes)["shapes"]]
    assert points == [[1.5, 2.0], [1, 2], []]
    assert [type(p[0]) for p in points[:2]] == [float, int]


def test_a_skeleton_has_no_points_of_its_own() -> None:
    record = {"id": 1, "frame": 0, "label_id": 2, "type": "skeleton", "points": None}
    found = shapes_of({"shapes": [record], "tracks": [{}], "tags": [{}, {}]})
    assert (found.shapes[0].points, found.tracks, found.tags) == ((), 1, 2)


@pytest.mark.parametrize("record", [None, [], {}, {"shapes": {}}, {"shapes": [], "tracks": []}])
def test_annotations_of_another_form_are_refused(record: object) -> None:
    with pytest.raises(CvatError):
        shapes_of(record)


@pytest.mark.parametrize(
    ("value", "kind"), [("5", int), (5.0, int), (True, int), (None, str), ([], dict), ("x", float)]
)
def test_fields_of_another_kind_are_refused(value: object, kind: type) -> None:
    with pytest.raises(CvatError, match=f"'a' .*{kind.__name__}"):
        take({"a": value}, "a", kind, "a thing")


def test_whole_numbers_serve_as_fractions() -> None:
    assert take({"a": 5}, "a", float, "a thing") == 5.0


def test_comments_belong_to_their_issue() -> None:
    issue = {"id": 7, "frame": 2, "position": [1, 2.5], "resolved": True}
    records = [
        {"id": 1, "issue": 7, "message": "a", "owner": {"username": "eva"}, "created_date": "t"},
        {"id": 2, "issue": 8, "message": "b", "owner": None},
        {"id": 3, "issue": 7, "message": "c", "owner": None},
    ]
    assert comments_of(issue, records) == [
        Comment(7, 2, (1.0, 2.5), "eva", "a", "t", True),
        Comment(7, 2, (1.0, 2.5), "", "c", "", True),
    ]


@pytest.mark.parametrize("position", [None, "1,2", ["1", "2"], [1, None], {"x": 1}])
def test_a_comment_is_read_wherever_it_is(position: object) -> None:
    issue = {"id": 3, "frame": 1, "position": position, "resolved": False}
    (comment,) = comments_of(issue, [{"issue": 3, "message": "a fold"}])
    assert (comment.text, comment.position, comment.frame) == ("a fold", (), 1)


def test_an_issue_in_no_frame_that_can_be_read_is_refused() -> None:
    with pytest.raises(CvatError, match="frame"):
        comments_of({"id": 3, "frame": "first"}, [{"issue": 3, "message": "a fold"}])
