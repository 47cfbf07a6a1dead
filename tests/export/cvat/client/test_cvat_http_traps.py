"""What is loose or odd about a CVAT server is so in the HTTP server of the tests."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from support.cvat_http.client import LABELS, Client, add_task, form, mask, png, upload
from support.cvat_http.server import CvatHttp, serving

ANNOTATIONS = "/api/jobs/{}/annotations/"


@pytest.fixture
def server() -> Iterator[CvatHttp]:
    with serving() as running:
        yield running
        assert not running.crashes


@pytest.fixture
def client(server: CvatHttp) -> Client:
    return Client(server).login(server)


def put(client: Client, job: int, *shapes: dict[str, Any]) -> int:
    return client.json("PUT", ANNOTATIONS.format(job), {"shapes": list(shapes)})[0]


def shapes(client: Client, job: int) -> list[dict[str, Any]]:
    found = client.json("GET", ANNOTATIONS.format(job))[1]["shapes"]
    return sorted(found, key=lambda one: one["id"])


# Who may pass


def test_refuses_a_stranger(server: CvatHttp) -> None:
    assert Client(server).json("GET", "/api/jobs")[0] == 401
    assert Client(server).json("GET", "/api/server/about")[1]["version"] == "2.73.0"


def test_takes_the_token_of_a_login_until_the_logout(server: CvatHttp) -> None:
    client = Client(server)
    sent = {"username": "admin", "password": server.users["admin"].password}
    token = client.json("POST", "/api/auth/login", sent)[1]["key"]
    other = Client(server)
    assert other.ask("GET", "/api/users/self", authorization=f"Token {token}")[0] == 200
    client.json("POST", "/api/auth/logout", {})
    status, _, body = other.ask("GET", "/api/users/self", authorization=f"Token {token}")
    assert (status, json.loads(body)) == (401, {"detail": "Invalid token."})


def test_asks_a_session_for_its_csrf_token_before_it_changes_something(
    server: CvatHttp, client: Client
) -> None:
    client.cookies["csrftoken"] = ""
    assert client.json("GET", "/api/projects")[0] == 200
    assert client.json("POST", "/api/projects", {"name": "p", "labels": LABELS})[0] == 403
    assert not server.state.projects


def test_knows_no_address_below_api_api(client: Client) -> None:
    assert client.ask("GET", "/api/api/server/about")[0] == 404
    assert client.ask("GET", "/")[0] == 404


# Lists


def test_gives_lists_in_pages_of_ten(server: CvatHttp, client: Client) -> None:
    add_task(server, frames=12)
    first = client.json("GET", "/api/jobs")[1]
    assert (first["count"], len(first["results"])) == (12, 10)
    second = client.json("GET", first["next"].removeprefix(server.url))[1]
    assert (len(second["results"]), second["next"]) == (2, None)
    assert len(client.json("GET", "/api/jobs?page_size=10000")[1]["results"]) == 12
    assert client.json("GET", "/api/jobs?page=3")[0] == 404


def test_lists_what_a_query_asks_for(server: CvatHttp, client: Client) -> None:
    task, jobs = add_task(server)
    add_task(server, name="batch-2")
    server.expert.complete(jobs[1])
    server.state.add_job(task, 0, 0, "ground_truth")
    found = client.json("GET", f"/api/jobs?task_id={task}&state=completed")[1]["results"]
    assert [one["id"] for one in found] == [jobs[1]]
    of_task = {"==": [{"var": "task_id"}, task]}
    logic = {"and": [of_task, {"==": [{"var": "type"}, "annotation"]}]}
    status, body = client.json("GET", f"/api/jobs?filter={quote(json.dumps(logic))}")
    assert (status, body["count"]) == (200, 2)
    assert client.json("GET", "/api/tasks?name=batch")[1]["count"] == 1
    assert client.json("GET", "/api/tasks?search=batch")[1]["count"] == 2


# Images


def test_task_stays_without_data_after_a_broken_upload_and_takes_another(
    server: CvatHttp, client: Client
) -> None:
    task = empty_task(client)
    client.ask("POST", f"/api/tasks/{task}/data/", upload_start="")
    assert client.json("GET", f"/api/tasks/{task}")[1]["size"] == 0
    assert upload(client, task, "a.png", "b.png") == 202
    assert client.json("GET", f"/api/tasks/{task}")[1]["size"] == 2
    assert upload(client, task, "c.png") == 400


def empty_task(client: Client) -> int:
    """A task without data."""
    project = client.json("POST", "/api/projects", {"name": "p", "labels": LABELS})[1]["id"]
    sent = {"name": "t", "project_id": project, "segment_size": 1}
    return int(client.json("POST", "/api/tasks", sent)[1]["id"])


def test_one_bad_image_fails_a_task(server: CvatHttp, client: Client) -> None:
    task = empty_task(client)
    assert upload(client, task, "a.png", "b.png", data=b"no image") == 202
    key = f"action%3Dcreate%26target%3Dtask%26target_id%3D{task}"
    assert client.json("GET", f"/api/requests/{key}")[1]["status"] == "failed"
    assert client.json("GET", f"/api/tasks/{task}")[1]["size"] == 0


def test_files_of_one_name_are_an_error_of_the_server(server: CvatHttp, client: Client) -> None:
    task = empty_task(client)
    place = f"/api/tasks/{task}/data/"
    assert upload(client, task, "in/a.png", "of/a.png") == 500
    body, kind = form("a.png")
    sent = [
        client.ask("POST", place, body, upload_multiple="", content_type=kind)[0] for _ in range(2)
    ]
    assert sent == [200, 500]
    assert upload(client, task, "b.png", "a.png") == 500
    assert list(server.state.tasks[task].files) == ["a.png"]


def test_the_list_of_names_has_to_be_that_of_the_files(server: CvatHttp, client: Client) -> None:
    task = empty_task(client)
    place = f"/api/tasks/{task}/data/"
    body, kind = form("a.png")
    client.ask("POST", place, body, upload_multiple="", content_type=kind)
    sent = json.dumps({"upload_file_order": ["a.png", "b.png"]}).encode()
    found = client.ask("POST", place, sent, upload_finish="", content_type="application/json")
    assert found[0] == 400
    assert b"b.png" in found[2]


def test_says_conflict_while_an_upload_is_worked_off(server: CvatHttp, client: Client) -> None:
    task = empty_task(client)
    server.state.lag = 100
    assert upload(client, task, "a.png") == 202
    sent = json.dumps({"upload_file_order": ["a.png"]}).encode()
    place = f"/api/tasks/{task}/data/"
    assert client.ask("POST", place, sent, upload_finish="", content_type="a/json")[0] == 409


# Annotations


def test_keeps_runs_that_do_not_add_up(server: CvatHttp, client: Client) -> None:
    _, jobs = add_task(server)
    label = server.expert.label(jobs[0], "fat")
    assert put(client, jobs[0], mask(0, label, 0, 999, -5, 3, 9000, 9000)) == 200
    assert shapes(client, jobs[0])[0]["points"] == [0, 999, -5, 3, 9000, 9000]


def test_put_replaces_and_gives_new_ids(server: CvatHttp, client: Client) -> None:
    _, jobs = add_task(server)
    label = server.expert.label(jobs[0], "fat")
    put(client, jobs[0], mask(0, label), mask(0, label))
    before = [one["id"] for one in shapes(client, jobs[0])]
    put(client, jobs[0], mask(0, label))
    (after,) = shapes(client, jobs[0])
    assert after["id"] > max(before)


def test_a_frame_of_another_job_wipes_the_job(server: CvatHttp, client: Client) -> None:
    _, jobs = add_task(server)
    label = server.expert.label(jobs[0], "fat")
    put(client, jobs[0], mask(0, label))
    assert put(client, jobs[0], mask(1, label)) == 200
    assert shapes(client, jobs[0]) == []


def test_a_task_put_drops_a_bad_frame_and_replaces_all_others(
    server: CvatHttp, client: Client
) -> None:
    task, jobs = add_task(server)
    label = server.expert.label(jobs[0], "fat")
    put(client, jobs[0], mask(0, label))
    sent = {"shapes": [mask(1, label), mask(7, label)]}
    assert client.json("PUT", f"/api/tasks/{task}/annotations/", sent)[0] == 200
    assert (shapes(client, jobs[0]), len(shapes(client, jobs[1]))) == ([], 1)


def test_refuses_a_label_of_another_project(server: CvatHttp, client: Client) -> None:
    _, jobs = add_task(server)
    assert put(client, jobs[0], mask(0, 999)) == 400


def test_refuses_an_attribute_of_another_label(server: CvatHttp, client: Client) -> None:
    _, jobs = add_task(server)
    label = server.expert.label(jobs[0], "fat")
    put(client, jobs[0], mask(0, label))
    strange = mask(0, label, attributes=[{"spec_id": 99, "value": "1"}])
    assert put(client, jobs[0], strange) == 400
    assert len(shapes(client, jobs[0])) == 1


def test_nothing_in_the_place_of_nothing_is_no_change(server: CvatHttp, client: Client) -> None:
    _, jobs = add_task(server)
    before = server.state.jobs[jobs[0]].updated
    assert put(client, jobs[0]) == 200
    assert server.state.jobs[jobs[0]].updated == before


def test_every_change_moves_the_time_of_a_job(server: CvatHttp, client: Client) -> None:
    _, (job, other) = add_task(server)
    times = [server.state.jobs[job].updated]
    resting = server.state.jobs[other].updated
    shape = server.expert.paint(job, "fat", [0, 4, 0, 0, 1, 1])
    server.expert.relabel(job, shape, "cell")
    assert shapes(client, job)[0]["id"] == shape["id"]
    times.append(server.state.jobs[job].updated)
    server.expert.complete(job)
    times.append(server.state.jobs[job].updated)
    server.expert.delete(job, shape)
    times.append(server.state.jobs[job].updated)
    assert times == sorted(set(times))
    assert server.state.jobs[other].updated == resting


def test_gives_out_comments(server: CvatHttp, client: Client) -> None:
    _, jobs = add_task(server)
    server.expert.comment(jobs[1], "not bone")
    (issue,) = client.json("GET", f"/api/issues?job_id={jobs[1]}")[1]["results"]
    assert (issue["frame"], issue["comments"]["count"]) == (1, 1)
    for query in (f"issue_id={issue['id']}", f"job_id={jobs[1]}"):
        (comment,) = client.json("GET", f"/api/comments?{query}")[1]["results"]
        assert (comment["message"], comment["owner"]["username"]) == ("not bone", "patho1")
    assert client.json("GET", f"/api/issues?job_id={jobs[0]}")[1]["count"] == 0


# Imports


def voc(instances: np.ndarray[Any, Any], lists: str = "ImageSets/Segmentation/") -> bytes:
    """An archive of one image of 90 x 120 that is fat wherever there is an instance."""
    colours = {"background": (0, 0, 0), "fat": (128, 0, 0), "cell": (128, 128, 0)}
    classes = np.zeros((*instances.shape[:2], 3), np.uint8)
    classes[instances.reshape(90, 120, -1).any(axis=2)] = colours["fat"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        rows = [f"{name}:{','.join(map(str, rgb))}::" for name, rgb in colours.items()]
        archive.writestr("labelmap.txt", "\n".join(rows))
        archive.writestr(f"{lists}default.txt", "0\n")
        for folder, pixels in (("SegmentationClass", classes), ("SegmentationObject", instances)):
            picture = io.BytesIO()
            Image.fromarray(pixels).save(picture, "PNG")
            archive.writestr(f"{folder}/0.png", picture.getvalue())
    return packed.getvalue()


def import_voc(client: Client, task: int, archive: bytes, query: str = "") -> dict[str, Any]:
    """Import an archive; the request when it is worked off."""
    place = f"/api/tasks/{task}/annotations/"
    headers = {"upload_length": str(len(archive)), "upload_metadata": "filename YS56aXA="}
    key = client.ask("POST", place, **headers)[1]["upload-filename"]
    client.ask("PATCH", f"{place}{key}", archive, upload_offset="0")
    target = f"{place}?format=PASCAL+VOC+1.1&filename={key}{query}"
    assert client.ask("POST", target, upload_finish="")[0] == 202
    name = f"action%3Dimport%26target%3Dtask%26target_id%3D{task}%26subresource%3Dannotations"
    found: dict[str, Any] = client.json("GET", f"/api/requests/{name}")[1]
    return found


def many(count: int) -> np.ndarray[Any, Any]:
    """One pixel an instance."""
    numbers = np.zeros((90, 120), np.uint16)
    numbers.ravel()[: 2 * count : 2] = np.arange(1, count + 1)
    return numbers


@pytest.mark.parametrize(("query", "kind"), [("&conv_mask_to_poly=false", "mask"), ("", "polygon")])
def test_makes_polygons_of_masks_unless_told_not_to(
    server: CvatHttp, client: Client, query: str, kind: str
) -> None:
    task, jobs = add_task(server)
    blob = np.zeros((90, 120), np.uint8)
    blob[10:20, 30:50] = 7
    found = import_voc(client, task, voc(blob), query)
    assert (found["status"], found["message"]) == ("finished", "")
    assert [one["type"] for one in shapes(client, jobs[0])] == [kind]


@pytest.mark.parametrize("lists", ["nowhere/", "folder/ImageSets/Segmentation/"])
def test_finishes_without_a_shape_where_the_list_of_images_is_not_found(
    server: CvatHttp, client: Client, lists: str
) -> None:
    task, jobs = add_task(server)
    put(client, jobs[1], mask(1, server.expert.label(jobs[1], "fat")))
    found = import_voc(client, task, voc(many(3), lists))
    assert (found["status"], shapes(client, jobs[0])) == ("finished", [])
    assert shapes(client, jobs[1]) == [], "an import replaces what the whole task has"


def test_cuts_sixteen_bits_to_eight_without_a_word(server: CvatHttp, client: Client) -> None:
    task, jobs = add_task(server)
    found = import_voc(client, task, voc(many(600)), "&conv_mask_to_poly=false")
    assert (found["status"], len(shapes(client, jobs[0]))) == ("finished", 255)


def test_fails_on_a_colour_that_is_none_of_the_255(server: CvatHttp, client: Client) -> None:
    task, _ = add_task(server)
    colours = np.zeros((90, 120, 3), np.uint8)
    colours[3, 3] = (1, 2, 3)
    found = import_voc(client, task, voc(colours), "&conv_mask_to_poly=false")
    assert found["status"] == "failed"
    assert "Undeclared color (1, 2, 3)" in found["message"]


def test_gives_images_out_as_they_were_sent(server: CvatHttp, client: Client) -> None:
    task, _ = add_task(server)
    place = f"/api/tasks/{task}/data?quality=original"
    assert client.ask("GET", f"{place}&type=frame&number=1")[2] == png()
    chunk = client.ask("GET", f"{place}&type=chunk&number=0")[2]
    with zipfile.ZipFile(io.BytesIO(chunk)) as archive:
        assert [archive.read(name) for name in archive.namelist()] == [png(), png()]
