"""The HTTP server of the tests against what a CVAT 2.42 server said to the same requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cvat_http.client import Client, form
from support.cvat_http.server import CvatHttp, serving

DATA = Path(__file__).parents[3] / "data" / "cvat_http"
Json = dict[str, Any]
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
UPLOAD = re.compile(r"1_[0-9a-f]{8}-[0-9a-f-]{27}")
STARTS = {
    "280": {"project": 13, "label": 52, "attribute": 2, "task": 90, "job": 89, "data": 88},
    "242": {"project": 14, "label": 56, "attribute": 3, "task": 91, "job": 91, "data": 89},
}
"""The last numbers that the recorded server had given before each recording."""


@pytest.fixture
def server() -> Iterator[CvatHttp]:
    with serving() as running:
        yield running
        assert not running.crashes


# The recorded exchanges


class Replay:
    """Sends what was recorded, with the uploads' names and the shapes' ids as they are now."""

    def __init__(self, server: CvatHttp) -> None:
        self.client = Client(server)
        self.upload = self.archive = ""
        self.shapes: dict[int, Json] = {}

    def send(self, one: Json) -> tuple[int, dict[str, str], bytes]:
        """Send one request; its answer, as if the server's address were ``HOST``."""
        name = re.search(r"filename=(tiny_\w+\.zip)", one["path"])
        self.archive = name[1] if name else self.archive
        headers = {k: v for k, v in one["headers"].items() if k != "cookie"}
        body = self._body(one["body"] or {}, headers)
        path = UPLOAD.sub(self.upload, one["path"])
        status, found, content = self.client.ask(one["method"], path, body, **headers)
        self.upload = found.get("upload-filename", self.upload)
        found = {k: v.replace(self.client.host, "HOST") for k, v in found.items()}
        if "json" in (one["answer"] or {}):
            content = content.replace(self.client.host.encode(), b"HOST")
            self._note_shapes(one["answer"]["json"], json.loads(content))
        return status, found, content

    def _body(self, recorded: Json, headers: dict[str, str]) -> bytes:
        if "json" in recorded:
            shapes = recorded["json"].get("shapes", ())
            for one in [s for s in shapes if "id" in s]:
                one["id"] = self.shapes[one["id"]]["id"]
            return json.dumps(recorded["json"]).encode()
        if "multipart_or_form" in recorded:
            names = re.findall(r'filename="([^"]+)"', recorded["multipart_or_form"])
            body, headers["content-type"] = form(*names)
            return body
        return (DATA / self.archive).read_bytes() if "bytes" in recorded else b""

    def _note_shapes(self, recorded: Json, found: Json) -> None:
        """Which of our shapes is which of the recorded ones."""
        here = {(s["frame"], s["z_order"]): s for s in found.get("shapes", ())}
        for one in recorded.get("shapes", ()):
            self.shapes[one["id"]] = here[one["frame"], one["z_order"]]


def plain(body: Any) -> Any:
    """A body without what differs by nature.

    Times and names of uploads; what is said while something is being worked off; the ids and
    the order of shapes, which even the real server did not give in one order twice.
    """
    if isinstance(body, dict):
        left_out = {"description"} | ({"message"} if body.get("status") == "started" else set())
        made = {name: plain(value) for name, value in body.items() if name not in left_out}
        if "shapes" in made:
            bare = [{k: v for k, v in one.items() if k != "id"} for one in made["shapes"]]
            made["shapes"] = sorted(bare, key=lambda one: (one["frame"], one["z_order"]))
        return made
    if isinstance(body, list):
        return [plain(one) for one in body]
    return UPLOAD.sub("UPLOAD", TIME.sub("TIME", body)) if isinstance(body, str) else body


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> Iterator[tuple[CvatHttp, Iterator[Json]]]:
    """A server that counts from where the recorded one did, and the recorded exchanges."""
    exchanges = json.loads((DATA / f"sdk{request.param}.json").read_text("utf-8"))
    with serving(lag=2) as running:
        admin = running.users["admin"]
        admin.password, admin.token = "REDACTED-PASSWORD", "0" * 40
        running.api.views.version = "2.42.0"
        running.state.users = {k: u for k, u in running.state.users.items() if k <= 3}
        running.users["patho1"].staff = False
        running.state.count_from(STARTS[request.param])
        yield running, exchanges
        assert not running.crashes


@pytest.mark.slow
@pytest.mark.parametrize("recorded", ["280", "242"], indirect=True)
def test_answers_recorded_requests_as_the_real_server_did(
    recorded: tuple[CvatHttp, list[Json]],
) -> None:
    server, exchanges = recorded
    replay = Replay(server)
    for one in exchanges:
        what = f"{one['method']} {one['path']}"
        status, headers, content = replay.send(one)
        assert status == one["status"], what
        for key in ("content-type", "location", "upload-offset", "upload-filename"):
            assert plain(headers.get(key)) == plain(one["answer_headers"].get(key)), what
        if "json" in (one["answer"] or {}):
            assert plain(json.loads(content)) == plain(one["answer"]["json"]), what
