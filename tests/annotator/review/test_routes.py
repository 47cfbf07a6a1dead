"""What the served page can ask for and do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.asking import Browser
from support.fake_session import IDS, IMAGE, JPEG, FakeSession

from annotator.core.errors import ImageError, ModelError, StorageError, StudyError
from annotator.review.access import Access
from annotator.review.app import STATIC, create_app
from annotator.review.errors import Busy


@pytest.fixture
def review() -> FakeSession:
    return FakeSession()


@pytest.fixture
def one(review: FakeSession) -> Browser:
    access = Access(author="eva", key=b"k" * 32)
    return Browser(create_app(review, access, "doubts")).come_in(access)


def test_the_page_knows_study_author_and_queue(one: Browser) -> None:
    text = one.get("/").text
    assert 'data-study="a study"' in text
    assert 'data-author="eva"' in text
    assert 'data-queue="doubts"' in text


def test_labels_are_signed_with_the_session(one: Browser, review: FakeSession) -> None:
    body = {"ids": list(IDS), "code": "fat", "queue": "random"}
    assert one.post("/api/labels", body).json()["act"] == 1
    assert review.acts == [("label", "eva", "fat", *IDS)]


def test_an_act_cannot_name_another_author(one: Browser, review: FakeSession) -> None:
    body = {"ids": [IDS[0]], "code": "fat", "author": "boss"}
    assert one.post("/api/labels", body).status_code == 400
    assert review.acts == []


def test_all_other_acts_reach_the_desk(one: Browser, review: FakeSession) -> None:
    one.post("/api/clusters", {"cluster": "7", "code": "bone"})
    one.post("/api/undo")
    one.post("/api/train")
    assert review.acts == [("cluster", "eva", "7", "bone"), ("undo", "eva"), ("train", "eva")]
    assert one.get("/api/train").json() == {"state": "idle"}
    changes = one.get("/api/changes", params={"since": 2}).json()
    assert changes == {"seq": 3, "items": [["train", "eva"]]}


def test_where_nothing_is_to_be_undone_the_answer_is_null(one: Browser) -> None:
    for path in ("/api/undo", "/api/redo"):
        answer = one.post(path)
        assert answer.status_code == 200 and answer.json() is None


def test_an_act_that_is_sent_twice_is_done_once(one: Browser, review: FakeSession) -> None:
    body = {"ids": [IDS[0]], "code": "fat", "key": "0123456789abcdef"}
    first, second = one.post("/api/labels", body), one.post("/api/labels", body)
    assert first.json() == second.json()
    assert len(review.acts) == 1
    one.post("/api/undo", {"key": "fedcba9876543210"})
    one.post("/api/undo", {"key": "fedcba9876543210"})
    assert len(review.acts) == 2


def test_an_act_that_failed_can_be_sent_again(one: Browser, review: FakeSession) -> None:
    body = {"ids": [IDS[0]], "code": "fat", "key": "0123456789abcdef"}
    review.error = StudyError("locked; wait")
    assert one.post("/api/labels", body).status_code == 503
    review.error = None
    assert one.post("/api/labels", body).status_code == 200
    assert len(review.acts) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": [], "code": "fat"},
        {"ids": "x", "code": "fat"},
        {"ids": [1], "code": "fat"},
        {"ids": ["../../etc/passwd"], "code": "fat"},
        {"ids": [f"{IMAGE}:1'; DROP TABLE labels"], "code": "fat"},
        {"ids": [IDS[0]]},
        {"ids": [IDS[0]], "code": 1},
        {"ids": [IDS[0]], "code": "fat" * 100},
        {"ids": [IDS[0]], "code": "fat", "key": "short"},
        [],
        "text",
    ],
)
def test_what_is_no_act_is_refused_in_words(one: Browser, review: FakeSession, body: Any) -> None:
    answer = one.post("/api/labels", body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert review.acts == []


def test_what_is_no_json_is_refused(one: Browser) -> None:
    headers = {"X-Trephine": one.csrf(), "Content-Type": "application/json"}
    for content in (b"{", b"\xff", b""):
        answer = one.ask("POST", "/api/undo", content=content, headers=headers)
        assert answer.status_code == 400 and "error" in answer.json()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Busy("already under way; wait"), 409),
        (StudyError("locked by another run; wait"), 503),
        (StorageError("the disk is full"), 503),
        (ModelError("another version"), 409),
        (ImageError("gone"), 409),
        (RuntimeError("secret detail"), 500),
    ],
)
def test_faults_of_the_desk_have_their_codes(
    one: Browser, review: FakeSession, error: Exception, status: int
) -> None:
    review.error = error
    answer = one.post("/api/train")
    assert answer.status_code == status
    said = answer.json()["error"]
    assert "secret" not in said
    assert status == 500 or said == str(error)
    assert "default-src" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/queue?name=nothing", 404),
        ("/api/queue", 400),
        ("/api/queue?name=random&limit=0", 400),
        ("/api/queue?name=random&limit=999999", 400),
        ("/api/queue?name=random&offset=-1", 400),
        ("/api/changes?since=x", 400),
        ("/api/nothing", 404),
        ("/api/labels", 405),
        (f"/tile/{IMAGE}:9", 404),
        ("/tile/..%2f..%2fstudy.toml", 404),
        ("/picture/study.toml", 404),
        ("/picture/..%2fstudy.db", 404),
        ("/static/..%2fserver.py", 404),
        ("/static/%2e%2e/server.py", 404),
        ("/static/", 404),
        ("/docs", 404),
        ("/openapi.json", 404),
    ],
)
def test_what_is_not_there_is_said_in_json(one: Browser, path: str, status: int) -> None:
    answer = one.get(path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}


def test_a_queue_is_read_in_parts(one: Browser) -> None:
    answer = one.get("/api/queue", params={"name": "random", "offset": 1, "limit": 1, "image": ""})
    assert answer.json() == {"name": "random", "image": None, "items": [IDS[1]]}


def test_pictures_are_kept_by_the_browser_while_they_hold(
    one: Browser, review: FakeSession
) -> None:
    path = f"/tile/{IDS[0]}?as=fat"
    first = one.get(path)
    assert first.content == JPEG and first.headers["content-type"] == "image/jpeg"
    assert "private" in first.headers["cache-control"]
    known = {"If-None-Match": first.headers["etag"]}
    assert one.get(path, headers=known).status_code == 304
    zoomed = one.get(f"/zoom/{IDS[0]}", headers=known)
    assert zoomed.status_code == 200 and zoomed.content == JPEG + b" large"
    review.look = "2"
    assert one.get(path, headers=known).status_code == 200


def test_a_picture_says_what_it_is(one: Browser) -> None:
    answer = one.get(f"/picture/{IMAGE}")
    assert answer.headers["content-type"] == "image/png"
    again = one.get(f"/picture/{IMAGE}", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304 and again.content == b""


def test_scripts_have_their_type_on_every_system(one: Browser) -> None:
    scripts = sorted(STATIC.glob("*.js"))
    assert scripts
    for path in scripts:
        answer = one.get(f"/static/{path.name}")
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.text == path.read_text("utf-8")


def test_static_files_need_nothing_from_elsewhere() -> None:
    for path in STATIC.glob("*.[cj]s*"):
        text = path.read_text("utf-8").replace("http://www.w3.org/", "")
        assert "http://" not in text and "https://" not in text, path.name


def test_browsers_find_an_icon(one: Browser) -> None:
    place = one.get("/favicon.ico").headers["location"]
    assert one.get(place).status_code == 200
    assert (Path(STATIC) / Path(place).name).is_file()
