"""Who comes in to the served page, and who does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.asking import HOST, Browser
from support.fake_session import IDS, IMAGE, FakeSession

from annotator.review.access import Access, Throttle
from annotator.review.app import create_app
from annotator.review.middleware import MOST_BYTES

PRIVATE = (
    "/api/summary",
    "/api/queue?name=random",
    "/api/changes?since=0",
    "/api/train",
    f"/api/outlines/{IMAGE}",
    f"/tile/{IDS[0]}",
    f"/zoom/{IDS[0]}",
    f"/picture/{IMAGE}",
)
ACTS: dict[str, dict[str, Any]] = {
    "/api/labels": {"ids": [IDS[0]], "code": "fat"},
    "/api/clusters": {"cluster": "3", "code": "fat"},
    "/api/undo": {},
    "/api/redo": {},
    "/api/train": {},
}
PASSWORD = "correct horse"


def access(**more: object) -> Access:
    known: dict[str, object] = {"author": "eva", "key": b"k" * 32}
    return Access(**{**known, **more})  # type: ignore[arg-type]


def browser(given: Access, review: FakeSession | None = None, **more: Any) -> Browser:
    return Browser(create_app(review or FakeSession(), given), **more)


def test_the_token_lets_in_and_leaves_the_address() -> None:
    ours = access()
    one = browser(ours)
    answer = one.get("/", params={"token": ours.token})
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert ours.token.lower() not in cookie
    assert one.get("/").status_code == 200
    assert one.get("/api/summary").json()["author"] == "eva"


def test_a_second_use_of_a_ticket_says_so() -> None:
    ours = access()
    ticket = ours.ticket()
    assert browser(ours).get("/", params={"token": ticket}).status_code == 303
    again = browser(ours).get("/", params={"token": ticket})
    assert again.status_code == 401 and "no longer" in again.text
    assert "set-cookie" not in again.headers


def test_who_is_in_stays_who_they_are() -> None:
    ours = access(password=PASSWORD)
    one = browser(ours)
    assert log_in(one, "otto").status_code == 303
    one.come_in(ours)
    assert one.get("/api/summary").json()["author"] == "otto"


@pytest.mark.parametrize("path", PRIVATE)
def test_nothing_is_shown_to_who_has_not_come_in(path: str) -> None:
    answer = browser(access()).get(path)
    assert answer.status_code == 401
    assert answer.json()["error"]


@pytest.mark.parametrize("path", PRIVATE)
def test_a_token_lets_in_at_the_page_only(path: str) -> None:
    ours = access()
    assert browser(ours).get(path, params={"token": ours.token}).status_code == 401


@pytest.mark.parametrize("path", [*PRIVATE, "/", "/static/login.css", "/login", "/nowhere"])
def test_no_name_but_ours_is_answered(path: str) -> None:
    ours = access()
    one = browser(ours).come_in(ours)
    one.host = "evil.example:8765"
    answer = one.get(path)
    assert answer.status_code == 403
    assert "host" in answer.json()["error"]


@pytest.mark.parametrize("path", ACTS)
@pytest.mark.parametrize("header", [None, "", "0" * 64, "ü"])
def test_acts_need_the_value_of_the_page(path: str, header: str | None) -> None:
    ours, review = access(), FakeSession()
    one = browser(ours, review).come_in(ours)
    headers = {} if header is None else {"X-Trephine": header.encode()}
    answer = one.ask("POST", path, json=ACTS[path], headers=headers)
    assert answer.status_code == 403 and answer.json()["error"]
    assert review.acts == []


@pytest.mark.parametrize("path", ACTS)
def test_acts_need_a_session(path: str) -> None:
    ours, review = access(), FakeSession()
    value = browser(ours, review).come_in(ours).csrf()
    answer = browser(ours, review).ask("POST", path, json=ACTS[path], headers={"X-Trephine": value})
    assert answer.status_code == 401
    assert review.acts == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_other_sites_are_refused_even_with_all_else_right(headers: dict[str, str]) -> None:
    ours, review = access(), FakeSession()
    one = browser(ours, review).come_in(ours)
    both = {"X-Trephine": one.csrf(), **headers}
    assert one.ask("POST", "/api/undo", json={}, headers=both).status_code == 403
    assert one.get("/api/summary", headers=headers).status_code == 403
    assert review.acts == []


def test_a_link_elsewhere_leads_to_the_page() -> None:
    ours = access()
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    one = browser(ours)
    assert one.get("/", params={"token": ours.token}, headers=headers).status_code == 303
    # The browser keeps the new cookie back until our own page asks.
    kept, one.cookies = one.cookies, type(one.cookies)()
    assert one.get("/", headers=headers).headers["refresh"] == "0; url=/"
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
    assert "refresh" not in one.get("/", headers=own).headers
    one.cookies = kept
    assert one.get("/", headers=own).status_code == 200


def test_the_page_is_served_by_a_tunnel_under_another_port() -> None:
    ours = access()
    one = browser(ours, host="localhost:9000").come_in(ours)
    assert one.post("/api/labels", ACTS["/api/labels"]).status_code == 200


def test_too_much_is_refused_unread() -> None:
    ours, review = access(), FakeSession()
    one = browser(ours, review).come_in(ours)
    headers = {"X-Trephine": one.csrf()}
    much = one.ask("POST", "/api/labels", content=b" " * (MOST_BYTES + 1), headers=headers)
    assert much.status_code == 413 and "fewer objects" in much.json()["error"]

    async def endless() -> Any:
        yield b"{}"

    assert one.ask("POST", "/api/undo", content=endless(), headers=headers).status_code == 411
    assert review.acts == []


@pytest.mark.parametrize(
    "path", [*PRIVATE, "/", "/static/login.css", "/static/nothing.js", "/nowhere", "/login"]
)
def test_every_answer_keeps_others_out(path: str) -> None:
    ours = access()
    for one in (browser(ours), browser(ours).come_in(ours)):
        headers = one.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] in ("no-referrer", "same-origin")
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "no-" in headers["cache-control"]
        assert "server" not in headers and "access-control-allow-origin" not in headers


@pytest.mark.parametrize("name", ["page.html.j2", "login.html.j2"])
def test_pages_hold_nothing_that_the_policy_forbids(name: str) -> None:
    text = Path(create_app.__code__.co_filename).with_name("templates").joinpath(name).read_text()
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|javascript:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
    assert not re.search(r"(src|href)=.?(https?:)?//", text)


def log_in(one: Browser, author: str, password: str = PASSWORD, **headers: str) -> Any:
    sent = {"Origin": f"http://{one.host}", **headers}
    form = {"author": author, "password": password}
    return one.ask("POST", "/login", data=form, headers=sent)


def test_the_password_lets_in_under_a_name_of_ones_own() -> None:
    ours, review = access(password=PASSWORD), FakeSession()
    one, other = browser(ours, review), browser(ours, review)
    assert 'name="password"' in one.get("/").text
    assert log_in(one, "Otto").status_code == 303
    assert log_in(other, "Ida").status_code == 303
    one.post("/api/labels", ACTS["/api/labels"])
    other.post("/api/labels", ACTS["/api/labels"])
    assert [act[1] for act in review.acts] == ["Otto", "Ida"]


def test_a_wrong_password_does_not() -> None:
    one = browser(access(password=PASSWORD))
    answer = log_in(one, "Otto", "wrong horse")
    assert answer.status_code == 403 and "set-cookie" not in answer.headers
    assert "wrong horse" not in answer.text
    assert one.get("/api/summary").status_code == 401


@pytest.mark.parametrize("password", ["", "None", PASSWORD])
def test_without_a_password_there_is_no_such_way_in(password: str) -> None:
    one = browser(access())
    assert 'name="password"' not in one.get("/").text
    assert log_in(one, "Otto", password).status_code == 403


def test_many_wrong_passwords_shut_the_door_to_one_address() -> None:
    now = [0.0]
    ours = access(password=PASSWORD, throttle=Throttle(lambda: now[0]))
    one = browser(ours, address="10.0.0.1")
    codes = [log_in(one, "x", f"wrong {n}").status_code for n in range(6)]
    assert codes == [403] * 5 + [429]
    assert log_in(one, "x").status_code == 429
    assert log_in(browser(ours, address="10.0.0.2"), "x").status_code == 303
    now[0] += 2
    assert log_in(one, "x").status_code == 303


def test_a_name_that_cannot_sign_is_asked_for_again() -> None:
    answer = log_in(browser(access(password=PASSWORD)), "<b>\n")
    assert answer.status_code == 400 or "<b>" not in answer.text
    assert log_in(browser(access(password=PASSWORD)), "  ").status_code == 400


def test_another_site_cannot_log_a_browser_in() -> None:
    one = browser(access(password=PASSWORD))
    assert log_in(one, "x", Origin="http://evil.example").status_code == 403
    assert log_in(one, "x", Origin="null").status_code == 403


def test_names_are_shown_as_text() -> None:
    hostile = '"><script>alert(1)</script>{{ 7*7 }}'
    ours, review = access(author=hostile), FakeSession(path=Path(f"x {hostile.replace('/', '')}"))
    text = browser(ours, review).come_in(ours).get("/").text
    assert "<script>alert" not in text and "&lt;script&gt;" in text and "{{ 7*7 }}" in text
    refused = browser(access(password=PASSWORD))
    assert "<script>" not in log_in(refused, hostile * 3).text


def test_a_request_of_another_machine_goes_by_the_address(tmp_path: Path) -> None:
    ours = access(password=PASSWORD, any_address=True)
    assert log_in(browser(ours, host="192.168.1.5:8000"), "x").status_code == 303
    assert browser(ours, host="rebound.example:8000").get("/").status_code == 403
    assert browser(access(), host="192.168.1.5:8000").get("/").status_code == 403
    assert HOST.startswith("127.0.0.1")
