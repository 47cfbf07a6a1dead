"""A CVAT server for tests, as 2.73 answers: over HTTP on loopback, with people and faults.

    with serving() as server:
        server.url, server.users["admin"].password
        server.state                 # what it holds
        server.expert.paint(...)     # somebody at work on the page
        server.faults.at({3: "500"}) # what goes wrong
        server.log                   # what was asked, and how long it took to work off

``python -m support.cvat_http.server`` runs one until it is interrupted.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.cvat_http.api import ROUTES, Api, ApiResponse, Call
from support.cvat_http.data import DATA_ROUTES
from support.cvat_http.expert import Expert
from support.cvat_http.faults import (
    DELAY,
    ERROR_500,
    ERROR_502_AFTER,
    LATE,
    RESET_AFTER,
    RESET_BEFORE,
    TRUNCATED,
    TWICE,
    UNDONE,
    Faults,
)
from support.cvat_http.rows import User
from support.cvat_http.state import State

LINGER_NOT = struct.pack("ii", 1, 0)
HTML = [("content-type", "text/html")]


@dataclass(frozen=True, slots=True)
class Logged:
    """A request: what was asked, how it was answered, the seconds that the work took."""

    method: str
    path: str
    status: int
    seconds: float


class CvatHttp:
    """The server and the handles that tests have on it.

    Attributes
    ----------
    url : str
    state : State
    users : dict of str to User
        By name, each with a password: the administrators ``admin`` and ``patho1``; ``patho2``,
        ``resident`` and ``stranger``, who see only what they made or were given; ``member``, who
        belongs to the organisations ``lab`` and ``clinic``.
    expert : Expert
        The user ``patho1`` at work, not through the faulty network.
    faults : Faults
    log : list of Logged
    crashes : list of Exception
        What should not have happened in the server itself.
    """

    def __init__(self, lag: int = 0) -> None:
        self.state = State(lag)
        self.faults = Faults()
        self.log: list[Logged] = []
        self.crashes: list[Exception] = []
        self._late: list[tuple[int, Call]] = []
        self._http = _Http(self)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.api = Api(self.state, self.url, (*ROUTES, *DATA_ROUTES))
        self.expert = Expert(self._call_as("patho1"))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def users(self) -> dict[str, User]:
        """Users by name."""
        return {one.username: one for one in self.state.users.values()}

    def start(self) -> None:
        """Take requests from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more; the address is free again."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, call: Call) -> ApiResponse:
        """Work a request off; a fault of ours is answered as the real server would."""
        begun = time.perf_counter()
        try:
            found = self.api.answer(call)
        except Exception as error:  # noqa: BLE001 - the real server answers 500 too
            self.crashes.append(error)
            found = ApiResponse(500, b"<h1>Server Error (500)</h1>", HTML)
        spent = time.perf_counter() - begun
        self.log.append(Logged(call.method, call.path, found.status, spent))
        return found

    def put_off(self, call: Call) -> None:
        """Work a request off later."""
        self._late.append((len(self.log) + self.faults.late_by, call))

    def catch_up(self) -> None:
        """Work off what is due by now."""
        due = [call for number, call in self._late if number <= len(self.log)]
        self._late = [one for one in self._late if one[0] > len(self.log)]
        for call in due:
            self.answer(call)

    def expert_called(self, name: str) -> Expert:
        """Another user at work, not through the faulty network."""
        return Expert(self._call_as(name))

    def _call_as(self, name: str) -> Any:
        """A function that asks in somebody's name, past the network."""

        def call(method: str, target: str, body: bytes = b"") -> ApiResponse:
            user = self.users[name]
            user.token = user.token or f"token of {name}"
            headers = {"authorization": f"Token {user.token}"}
            return self.api.answer(Call.of(method, f"/api/{target}", headers, body))

        return call


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, owner: CvatHttp) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "uvicorn"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Http

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""

    def handle_any(self) -> None:
        """Read a request, work it off, answer; or what was planned instead."""
        owner = self.server.owner
        fault = owner.faults.next(self.command, self.path)
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        # Half of a request is none: whoever sent it is gone.
        if fault == RESET_BEFORE or len(body) < length:
            return self._reset()
        call = Call.of(self.command, self.path, dict(self.headers), body)
        owner.catch_up()
        if fault == LATE:
            owner.put_off(call)
            return self._reset()
        answer = ApiResponse(502, b"<h1>502 Bad Gateway</h1>", HTML)
        if fault == ERROR_500:
            answer = ApiResponse(500, b"<h1>Server Error (500)</h1>", HTML)
        if fault not in UNDONE:
            done = self._done(owner, call, fault == TWICE)
            answer = answer if fault == ERROR_502_AFTER else done
        if fault == RESET_AFTER:
            return self._reset()
        if fault == DELAY:
            time.sleep(owner.faults.delay_s)
        return self._send(answer, truncated=fault == TRUNCATED)

    def _done(self, owner: CvatHttp, call: Call, twice: bool) -> ApiResponse:
        first = owner.answer(call)
        return owner.answer(call) if twice else first

    def _send(self, answer: ApiResponse, truncated: bool) -> None:
        payload = answer.payload()
        self.send_response(answer.status)
        kind = answer.content_type()
        named = [pair for pair in answer.headers if pair[0] != "content-type"]
        for name, value in [*named, *([("content-type", kind)] if kind else [])]:
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("content-length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload[: len(payload) // 2] if truncated else payload)
        self.wfile.flush()
        if truncated:
            self._reset(linger=bool(payload))

    def _reset(self, linger: bool = False) -> None:
        """Break the connection off; with `linger` what was written arrives before."""
        self.close_connection = True
        if linger:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        # The copies that rfile and wfile hold would keep it open.
        self.connection.shutdown(socket.SHUT_RD)
        self.rfile.close()
        self.connection.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any


@contextmanager
def serving(lag: int = 0) -> Iterator[CvatHttp]:
    """A server that runs until the block ends; `lag` as in :class:`State`."""
    server = CvatHttp(lag)
    server.start()
    try:
        yield server
    finally:
        server.stop()


if __name__ == "__main__":
    with serving() as running:
        admin = running.users["admin"]
        print(running.url, admin.username, admin.password, sep="\n", flush=True)
        threading.Event().wait()
