"""What goes wrong on purpose, and what the server has done then."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest
from support.cvat_http import faults
from support.cvat_http.client import LABELS, Client
from support.cvat_http.server import CvatHttp, serving

BROKEN = (ConnectionError, http.client.HTTPException)
PROJECT = {"name": "p", "labels": LABELS}


@pytest.fixture
def server() -> Iterator[CvatHttp]:
    with serving() as running:
        yield running
        assert not running.crashes


@pytest.fixture
def client(server: CvatHttp) -> Client:
    return Client(server).login(server)


@pytest.mark.parametrize(
    ("kind", "made"), [(faults.RESET_BEFORE, 0), (faults.RESET_AFTER, 1), (faults.TRUNCATED, 1)]
)
def test_a_broken_connection_leaves_a_trace_or_none(
    server: CvatHttp, client: Client, kind: str, made: int
) -> None:
    server.faults.at({0: kind})
    with pytest.raises(BROKEN):
        client.json("POST", "/api/projects", PROJECT)
    assert len(server.state.projects) == made
    assert client.json("GET", "/api/projects")[1]["count"] == made


@pytest.mark.parametrize(
    ("kind", "status", "made"),
    [
        (faults.ERROR_500, 500, 0),
        (faults.ERROR_502, 502, 0),
        (faults.ERROR_502_AFTER, 502, 1),
        (faults.TWICE, 201, 2),
        (faults.DELAY, 201, 1),
    ],
)
def test_an_answer_does_not_say_what_was_done(
    server: CvatHttp, client: Client, kind: str, status: int, made: int
) -> None:
    server.faults.at({0: kind})
    found, _, _ = client.ask(
        "POST", "/api/projects", b'{"name": "p"}', content_type="application/json"
    )
    assert (found, len(server.state.projects)) == (status, made)
    assert [one.kind for one in server.faults.log] == [kind]


def test_a_late_request_is_worked_off_after_others(server: CvatHttp, client: Client) -> None:
    server.faults.at({0: faults.LATE})
    server.faults.late_by = 2
    with pytest.raises(BROKEN):
        client.json("POST", "/api/projects", PROJECT)
    counts = [client.json("GET", "/api/projects")[1]["count"] for _ in range(4)]
    assert counts == [0, 0, 1, 1]


def test_chance_is_the_same_for_one_seed(server: CvatHttp, client: Client) -> None:
    logs = []
    for _ in range(2):
        server.faults.log.clear()
        server.faults.random(7, 0.5, (faults.ERROR_500, faults.ERROR_502), most=5)
        for _ in range(20):
            client.ask("GET", "/api/users/self")
        logs.append([(one.number, one.kind) for one in server.faults.log])
    assert logs[0] == logs[1]
    assert len(logs[0]) == 5


@pytest.mark.parametrize("done", [False, True])
def test_is_down_from_one_request_on(server: CvatHttp, client: Client, done: bool) -> None:
    server.faults.down(1, done)
    assert client.json("GET", "/api/projects")[0] == 200
    for _ in range(3):
        with pytest.raises(BROKEN):
            client.json("POST", "/api/projects", PROJECT)
    assert len(server.state.projects) == int(done)
    server.faults.clear()
    assert client.json("GET", "/api/projects")[0] == 200
