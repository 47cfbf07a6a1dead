"""Exchanges with a server: what is repeated, what is not, and what a person is told."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import urllib3
from support.answering import Asked, Reply, answering

from annotator.core.errors import (
    CvatError,
    CvatForbidden,
    CvatLoggedOut,
    CvatMissing,
    CvatUnreachable,
)
from export.cvat.client.http import Connection, HttpRequest, reading, sending
from export.cvat.client.http_errors import ServerResponse, detail, last_line, refusal
from export.cvat.client.retries import RetryPolicy

SECRET = "0123456789abcdef0123456789abcdef01234567"
PATIENCE = RetryPolicy(timeout_s=60, attempts=3, pause_s=0.0, poll_s=0.0, longest_poll_s=0.0)
JSON = {"Content-Type": "application/vnd.cvat+json"}


def connected(url: str, retries: RetryPolicy = PATIENCE) -> Connection:
    connection = Connection(url, urllib3.PoolManager(), retries, "test")
    connection.authorize({"Authorization": f"Token {SECRET}"}, SECRET)
    return connection


def in_turn(*replies: Reply) -> Callable[[Asked], Reply]:
    """Each reply once, the last for ever."""
    left = list(replies)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


def page(*records: object, count: int | None = None, more: bool = False) -> Reply:
    body = {"count": len(records) if count is None else count, "results": records}
    return 200, JSON, json.dumps({**body, "next": "there" if more else None}).encode()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_of_a_read_is_tried_again(status: int) -> None:
    with answering(in_turn((status, {}, b""), (status, {}, b""), (200, JSON, b"[1]"))) as (
        url,
        seen,
    ):
        assert connected(url).json(reading("/api/x", "reading")) == [1]
        assert len(seen) == 3


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_write_that_makes_something_is_sent_once(status: int) -> None:
    with answering(lambda _: (status, {}, b"")) as (url, seen):
        with pytest.raises(CvatUnreachable, match=f"{status}.*making it"):
            connected(url).ask(sending("POST", "/api/x", {}, "making it"))
        assert len(seen) == 1


def test_a_write_that_was_not_taken_up_is_sent_again() -> None:
    with answering(in_turn((429, {"Retry-After": "0"}, b""), (201, JSON, b"{}"))) as (url, seen):
        connected(url).ask(sending("POST", "/api/x", {}, "making it"))
        assert len(seen) == 2


def test_a_server_that_asks_for_a_pause_gets_it() -> None:
    slept: list[float] = []
    retries = RetryPolicy(timeout_s=60, attempts=2, pause_s=0.01, sleep=slept.append)
    with answering(in_turn((429, {"Retry-After": "7"}, b""), (200, JSON, b"{}"))) as (url, _):
        connected(url, retries).ask(reading("/api/x", "reading"))
    assert slept == [7.0]


def test_a_connection_is_used_again() -> None:
    with answering(lambda _: (200, JSON, b"{}")) as (url, seen):
        connection = connected(url)
        for _ in range(4):
            connection.json(reading("/api/x", "reading"))
        assert len({asked.connection for asked in seen}) == 1


def test_a_body_that_is_cut_short_is_read_again() -> None:
    cut = (200, {**JSON, "Content-Length": "400"}, b'{"a": ')
    with answering(in_turn(cut, cut, (200, JSON, b'{"a": 1}'))) as (url, _):
        assert connected(url).json(reading("/api/x", "reading")) == {"a": 1}
    with answering(lambda _: cut) as (url, _), pytest.raises(CvatUnreachable, match="reading"):
        connected(url).json(reading("/api/x", "reading"))


def test_half_a_document_of_whole_length_is_read_again() -> None:
    with answering(in_turn((200, JSON, b'{"a": '), (200, JSON, b'{"a": 1}'))) as (url, _):
        assert connected(url).json(reading("/api/x", "reading")) == {"a": 1}


def test_a_made_thing_whose_answer_is_cut_is_uncertain_not_made_again() -> None:
    with answering(lambda _: (201, JSON, b'{"id": ')) as (url, seen):
        with pytest.raises(CvatUnreachable, match=r"JSON .*making it"):
            connected(url).json(sending("POST", "/api/x", {}, "making it"))
        assert len(seen) == 1


def test_numbers_that_are_none_are_refused() -> None:
    with answering(lambda _: (200, JSON, b"[NaN]")) as (url, _), pytest.raises(CvatUnreachable):
        connected(url).json(reading("/api/x", "reading"))


def test_a_page_instead_of_json_is_named() -> None:
    html = (200, {"Content-Type": "text/html"}, b"<!doctype html><p>Log in")
    with answering(lambda _: html) as (url, seen):
        with pytest.raises(CvatError, match=url):
            connected(url).json(reading("/api/x", "reading"))
        assert len(seen) == 1


REFUSALS = {
    400: "the server refused|refused with the status 400",
    401: "login has expired.*trephine cvat login",
    403: "may not do this",
    404: "not there",
    409: "still busy with the same request",
    413: "client_max_body_size",
    507: "disk of the server is full",
}


@pytest.mark.parametrize(("status", "message"), REFUSALS.items())
def test_a_refusal_says_what_to_do_and_is_not_tried_again(status: int, message: str) -> None:
    with answering(lambda _: (status, JSON, b'{"detail": "No."}')) as (url, seen):
        with pytest.raises(CvatError, match=message) as caught:
            connected(url).ask(reading("/api/x", "reading x"))
        assert not isinstance(caught.value, CvatUnreachable)
        assert url in str(caught.value)
        assert "reading x" in str(caught.value)
        assert len(seen) == 1


def test_a_full_disk_behind_a_500_is_named_and_not_tried_again() -> None:
    body = b"OSError: [Errno 28] No space left on device"
    with answering(lambda _: (500, {}, body)) as (url, seen):
        with pytest.raises(CvatError, match=url):
            connected(url).ask(reading("/api/x", "reading"))
        assert len(seen) == 1


def test_redirects_are_not_followed() -> None:
    with answering(lambda _: (200, JSON, b"{}")) as (other, seen):
        moved = (301, {"Location": f"{other}/api/x"}, b"")
        with (
            answering(lambda _: moved) as (url, _),
            pytest.raises(CvatError, match=other),
        ):
            connected(url).ask(reading("/api/x", "reading"))
        assert not seen


def test_what_a_server_repeats_of_our_secret_is_hidden() -> None:
    body = json.dumps({"detail": f"bad header Token {SECRET}"}).encode()
    with answering(lambda _: (403, JSON, body)) as (url, _), pytest.raises(CvatError) as caught:
        connected(url).ask(reading("/api/x", "reading"))
    assert "***" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_no_secret_in_reprs_logs_and_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with answering(lambda _: (500, {}, b"")) as (url, seen):
        connection = connected(url)
        request = HttpRequest("POST", "/api/x", "x", body=SECRET.encode(), headers={"A": SECRET})
        with pytest.raises(CvatUnreachable) as caught:
            connection.ask(request)
    assert seen[0].headers["authorization"] == f"Token {SECRET}"
    shown = [
        repr(connection),
        repr(request),
        repr(ServerResponse(200, {"a": SECRET}, SECRET.encode())),
    ]
    assert SECRET not in "".join([*shown, caplog.text, *traceback.format_exception(caught.value)])


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_server_that_is_off_is_named_and_even_a_write_tried_again() -> None:
    slept: list[float] = []
    retries = RetryPolicy(timeout_s=60, attempts=3, pause_s=0.0, sleep=slept.append)
    connection = connected(f"http://127.0.0.1:{free_port()}", retries)
    with pytest.raises(CvatUnreachable, match="making it"):
        connection.ask(sending("POST", "/api/x", {}, "making it"))
    assert len(slept) == 2


def test_a_host_that_nobody_knows_is_named() -> None:
    with pytest.raises(CvatUnreachable, match=r"nowhere\.invalid"):
        connected("http://nowhere.invalid").ask(reading("/api/x", "reading"))


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_silent_server_is_left_after_the_time_limit(silent: str) -> None:
    retries = RetryPolicy(timeout_s=0.05, attempts=2, pause_s=0.0)
    with pytest.raises(CvatUnreachable, match=r"0\.05 s"):
        connected(f"http://{silent}", retries).ask(reading("/api/x", "reading"))


def test_silence_is_not_borne_for_all_attempts(silent: str) -> None:
    slept: list[float] = []
    retries = RetryPolicy(timeout_s=0.05, attempts=50, pause_s=0.0, sleep=slept.append)
    with pytest.raises(CvatUnreachable, match=r"0\.05 s"):
        connected(f"http://{silent}", retries).ask(reading("/api/x", "reading"))
    assert len(slept) < 5


def test_a_server_that_drips_is_left_after_the_longer_limit() -> None:
    stop = threading.Event()

    def drip(listening: socket.socket) -> None:
        peer, _ = listening.accept()
        with peer:
            peer.recv(1 << 16)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not stop.is_set():
                peer.sendall(b"x")
                time.sleep(0.005)

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        thread = threading.Thread(target=drip, args=(listening,), daemon=True)
        thread.start()
        retries = RetryPolicy(timeout_s=60, job_timeout_s=0.1, attempts=1)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            with pytest.raises(CvatUnreachable, match=url) as error:
                connected(url, retries).ask(reading("/api/x", "reading"))
        finally:
            stop.set()
            thread.join(60)
    # The limit that was met, and the setting to raise: not those of a server that is silent.
    assert "within 0.1 s" in str(error.value) and "raise job_timeout_s under" in str(error.value)
    assert "60 s" not in str(error.value) and " timeout_s" not in str(error.value)


def test_a_server_without_tls_is_named() -> None:
    with (
        answering(lambda _: (200, {}, b"")) as (url, _),
        pytest.raises(CvatUnreachable, match=r"https .*http://"),
    ):
        connected(url.replace("http", "https")).ask(reading("/api/x", "reading"))


def test_pages_are_gathered_and_records_of_two_pages_count_once() -> None:
    first, second = page({"id": 3}, {"id": 1}, count=3, more=True), page({"id": 1}, {"id": 2})
    with answering(in_turn(first, second)) as (url, seen):
        records = connected(url).pages("/api/x", "reading", project_id=5)
        assert [record["id"] for record in records] == [1, 2, 3]
        assert "project_id=5&sort=id&page_size=500&page=2" in seen[1].path


def test_a_list_that_shrinks_while_it_is_read_is_read_again() -> None:
    short = page({"id": 1}, count=2)
    with answering(in_turn(short, page({"id": 1}, {"id": 2}))) as (url, _):
        assert len(connected(url).pages("/api/x", "reading")) == 2
    with answering(lambda _: short) as (url, _), pytest.raises(CvatError, match="reading"):
        connected(url).pages("/api/x", "reading")


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"results": [1]}', b'{"results": [{"id": "1"}]}'])
def test_a_list_of_another_form_is_refused(body: bytes) -> None:
    with (
        answering(lambda _: (200, JSON, body)) as (url, _),
        pytest.raises(CvatError, match="reading"),
    ):
        connected(url).pages("/api/x", "reading")


def job(status: str, message: str = "") -> Reply:
    return 200, JSON, json.dumps({"status": status, "message": message}).encode()


def test_a_job_is_waited_for() -> None:
    with answering(in_turn(job("queued"), job("started"), job("finished"))) as (url, seen):
        connected(url).wait("action=import&target_id=1", "importing")
        assert {asked.path for asked in seen} == {"/api/requests/action%3Dimport%26target_id%3D1"}


def test_a_failed_job_says_the_last_line_of_its_message() -> None:
    trace = f"Traceback (most recent call last):\n  File x\nImportError: no {SECRET}\n"
    with (
        answering(lambda _: job("failed", trace)) as (url, _),
        pytest.raises(CvatError, match=r"importing.*ImportError.* \*\*\*$"),
    ):
        connected(url).wait("1", "importing")


def test_a_job_without_end_is_left() -> None:
    clock = iter(np.arange(0.0, 100.0, 4.0).tolist())
    retries = RetryPolicy(
        timeout_s=60, job_timeout_s=10, poll_s=0.0, longest_poll_s=0.0, clock=lambda: next(clock)
    )
    with (
        answering(lambda _: job("started")) as (url, _),
        pytest.raises(CvatUnreachable, match=r"10 s.*importing"),
    ):
        connected(url, retries).wait("1", "importing")


def test_numpy_scalars_go_out_as_plain_numbers() -> None:
    value = {"a": np.int64(3), "b": [np.float32(0.5)]}
    assert json.loads(sending("PUT", "/", value, "x").body) == {"a": 3, "b": [0.5]}
    with pytest.raises(TypeError, match="object"):
        sending("PUT", "/", {"a": object()}, "x")


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b'{"non_field_errors": ["Unable."]}', "application/json", "Unable."),
        (b'["Too many", {"file": "x"}]', "application/json", "Too many; file: x"),
        (b"<h1>Server Error</h1>", "text/html", ""),
        (b"  <!doctype html>", "", ""),
        (b"File already exists", "text/plain", "File already exists"),
        (b"\xff\x00bad", "text/plain", "\ufffdbad"),
    ],
)
def test_the_words_of_a_refusal(body: bytes, kind: str, said: str) -> None:
    assert detail(ServerResponse(400, {"content-type": kind}, body)) == said


def test_long_words_are_cut() -> None:
    assert len(last_line("x" * 5000)) == 303


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, CvatError), (401, CvatLoggedOut), (403, CvatForbidden), (404, CvatMissing)],
)
def test_no_access_no_login_and_not_there_are_told_apart(status: int, kind: type) -> None:
    assert type(refusal(ServerResponse(status), "https://cvat.test", "reading")) is kind
