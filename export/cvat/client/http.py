"""Requests to a CVAT server, bounded in time, and repeated where that does no harm.

They go to the REST API itself. The models of CVAT's SDK know no time limits for uploads and
imports, and take longer over the points of thousands of masks than the server itself.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from annotator.core.errors import CvatError, CvatUnreachable
from export.cvat.client.http_errors import (
    AGAIN,
    ExchangeFailure,
    ServerResponse,
    broken,
    last_line,
    passing,
    refusal,
    unfinished,
)
from export.cvat.client.retries import RetryPolicy

ACCEPT = "application/vnd.cvat+json"
ORGANIZATION = "X-Organization"
"""Header with the short name of the organisation in which a request is meant."""
BLOCK = 1 << 16
SLOWEST = 125_000
"""Bytes a second that we wait for while sending, beside the time limit: 1 Mbit/s."""
PAGE = 500
_MOST_PAGES = 10_000


class _UnfinishedAnswer(urllib3.exceptions.TimeoutError):
    """An answer began, and did not end within the limit for a whole one."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request.

    Parameters
    ----------
    method, path : str
        The path from ``/api`` on.
    what : str
        What the request does, for messages, such as ``making a task``.
    query : mapping
    body : bytes
    headers : mapping
    repeat : bool
        True where sending it twice does no harm.
    """

    method: str
    path: str
    what: str
    query: Mapping[str, object] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    repeat: bool = False


def reading(path: str, what: str, **query: object) -> HttpRequest:
    """A request that only reads.

    Examples
    --------
    >>> request = reading("/api/tasks", "listing tasks", page=2)
    >>> request.method, request.query, request.repeat
    ('GET', {'page': 2}, True)
    """
    return HttpRequest("GET", path, what, query, repeat=True)


def sending(method: str, path: str, value: object, what: str, repeat: bool = False) -> HttpRequest:
    """A request with a value as JSON; scalars of numpy become plain numbers.

    Examples
    --------
    >>> sending("POST", "/api/tasks", {"name": "batch 1", "size": 3}, "making a task").body
    b'{"name":"batch 1","size":3}'
    """
    body = json.dumps(value, default=_plain, separators=(",", ":")).encode()
    return HttpRequest(method, path, what, {}, body, {"Content-Type": "application/json"}, repeat)


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"expected plain values for the server, got a {type(value).__name__}")


class Connection:
    """Sends requests to one server.

    Parameters
    ----------
    url : str
        Address of the server, without a slash at its end.
    pool : urllib3.PoolManager
    retries : RetryPolicy
    user_agent : str
    """

    def __init__(
        self, url: str, pool: urllib3.PoolManager, retries: RetryPolicy, user_agent: str
    ) -> None:
        self.url = url
        self.retries = retries
        self._pool = pool
        # CVAT builds the address for the pieces of a file from this header: it must be set.
        place = urlsplit(url)
        origin = f"{place.scheme}://{place.netloc}"
        self._headers = {"Accept": ACCEPT, "User-Agent": user_agent, "Origin": origin}
        self._secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Connection to {self.url}>"

    def authorize(self, headers: Mapping[str, str], *secrets: str) -> None:
        """Send these headers from now on; the secrets in them never reach a message."""
        self._headers = {**self._headers, **headers}
        self._secrets = tuple(s for s in secrets if s)

    def use_organization(self, slug: str) -> None:
        """Name this organisation in every request from now on; none where it is empty."""
        self._headers = {k: v for k, v in self._headers.items() if k != ORGANIZATION}
        if slug:
            self._headers[ORGANIZATION] = slug

    def ask(self, request: HttpRequest) -> ServerResponse:
        """The server's answer to a request that it accepted.

        Raises
        ------
        CvatError
            When it refused.
        CvatUnreachable
            When no attempt brought an answer.
        """
        answer = self.attempt(request)
        if answer.status >= 300:
            raise self.refused(answer, request.what)
        return answer

    def refused(self, answer: ServerResponse, what: str) -> CvatError:
        """The error for an answer that another attempt will not change."""
        error = refusal(answer, self.url, what)
        return type(error)(self._clean(str(error)))

    def unreachable(self, failure: ExchangeFailure, what: str) -> CvatUnreachable:
        """The error for a failure that did not pass."""
        reason = self._clean(failure.reason)
        return CvatUnreachable(f"{self.url}: {reason}, while {what}: {failure.advice}")

    def attempt(self, request: HttpRequest) -> ServerResponse:
        """The answer of the server, whatever its status, after the attempts that the policy allows.

        Raises
        ------
        CvatUnreachable
            When no attempt brought an answer, or only failures of the server.
        """
        pauses = self.retries.pauses()
        # A server that is silent each time must not hold a person for all attempts.
        end = self.retries.clock() + 2 * self.retries.timeout_s
        while True:
            found = self.once(request)
            if isinstance(found, ServerResponse):
                return found
            pause = next(pauses, None) if request.repeat or found.unsent else None
            if pause is None or found.final or self.retries.clock() > end:
                raise self.unreachable(found, request.what)
            self.retries.sleep(max(pause, found.wait_s))

    def json(self, request: HttpRequest) -> Any:
        """The value that the server answers with; asked again when it is cut short.

        Raises
        ------
        CvatError
            When it refused, or answers with a page.
        CvatUnreachable
            When no attempt brought JSON.
        """
        for _ in range(self.retries.attempts if request.repeat else 1):
            answer = self.ask(request)
            try:
                return answer.json()
            except ValueError:
                if b"<" in answer.body[:100]:
                    raise CvatError(
                        f"{self.url}: expected JSON while {request.what}, got a page: is this "
                        "the address of CVAT, and not of a login or a proxy in front of it?"
                    ) from None
        raise CvatUnreachable(
            f"{self.url}: expected JSON while {request.what}, got {_named(answer)}: {AGAIN}"
        )

    def pages(self, path: str, what: str, **query: object) -> tuple[dict[str, Any], ...]:
        """The records of all pages of a list, by id, each once.

        Raises
        ------
        CvatError
            When the list has another form, or changed too often while it was read.
        """
        for _ in range(self.retries.attempts):
            found, count = self._pages(path, what, query)
            # Records that go while we read move others across the border of a page.
            if len(found) >= count:
                return tuple(found[key] for key in sorted(found))
        raise CvatError(
            f"{self.url}: expected {count} records while {what}, got {len(found)}: the list "
            f"changes while it is read; {AGAIN}"
        )

    def _pages(
        self, path: str, what: str, query: Mapping[str, object]
    ) -> tuple[dict[int, dict[str, Any]], int]:
        found: dict[int, dict[str, Any]] = {}
        for page in range(1, _MOST_PAGES):
            answer = self.json(reading(path, what, **query, sort="id", page_size=PAGE, page=page))
            records, count, more = self._page(answer, what)
            found |= {record["id"]: record for record in records}
            if not more:
                break
        return found, count

    def _page(self, answer: Any, what: str) -> tuple[list[dict[str, Any]], int, bool]:
        records = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(records, list) or not all(_is_record(r) for r in records):
            raise CvatError(f"{self.url}: expected a page of records while {what}, got others")
        count = answer.get("count")
        return records, count if isinstance(count, int) else 0, bool(answer.get("next"))

    def wait(self, request_id: str, what: str) -> None:
        """Wait until a job of the server is done.

        Raises
        ------
        CvatError
            When it failed: with the last line of its message.
        CvatUnreachable
            When it is not done in time.
        """
        start, pause = self.retries.clock(), self.retries.poll_s
        while self.state(request_id, what) != "finished":
            if self.retries.clock() - start > self.retries.job_timeout_s:
                raise CvatUnreachable(
                    f"{self.url}: not done within {self.retries.job_timeout_s:g} s: {what}; the "
                    "server goes on with it: run the same command again later, or raise "
                    "job_timeout_s under [cvat] in study.toml"
                )
            self.retries.sleep(pause)
            pause = min(pause * 1.5, self.retries.longest_poll_s)

    def state(self, request_id: str, what: str) -> str:
        """State of a job of the server: queued, started, finished.

        Raises
        ------
        CvatError
            When the job failed, or is not known.
        """
        answer = self.json(reading(job_path(request_id), what))
        status = str(answer.get("status", "")) if isinstance(answer, dict) else ""
        if status == "failed":
            raise CvatError(self._clean(self._failed(str(answer.get("message") or ""), what)))
        return status

    def busy(self, request_id: str, what: str) -> bool:
        """Whether the server is working on a job now; false for a job that it does not know."""
        answer = self.attempt(reading(job_path(request_id), what))
        with contextlib.suppress(ValueError):
            record = answer.json() if answer.status == 200 else None
            return isinstance(record, dict) and record.get("status") in ("queued", "started")
        return False

    def _failed(self, message: str, what: str) -> str:
        if "No space left" in message:
            return f"{self.url}: the disk of the server is full, while {what}: make room there"
        why = last_line(message) or "it gives no reason"
        return f"{self.url}: the server failed while {what}: {why}"

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def once(self, request: HttpRequest) -> ServerResponse | ExchangeFailure:
        """The answer to a single attempt, whatever its status, or why there is none."""
        try:
            answer = self._send(request)
        except _UnfinishedAnswer:
            return unfinished(self.retries.job_timeout_s)
        except urllib3.exceptions.HTTPError as error:
            return broken(error, self.url, self.retries.timeout_s)
        return passing(answer) or answer

    def _send(self, request: HttpRequest) -> ServerResponse:
        limit = self.retries.timeout_s
        query = f"?{urlencode(request.query)}" if request.query else ""
        response = self._pool.request(
            request.method,
            f"{self.url}{request.path}{query}",
            body=request.body or None,
            headers={**self._headers, **request.headers},
            # urllib3 applies the first limit, for connecting, to the sending as well.
            timeout=urllib3.Timeout(limit + len(request.body) / SLOWEST, limit),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            body = self._body(response)
        finally:
            # An answer that was read to its end has given its connection back; one that was not
            # would leave the rest of it to the next request.
            response.close()
        headers = {name.lower(): value for name, value in response.headers.items()}
        cookies = tuple(response.headers.getlist("Set-Cookie"))
        return ServerResponse(response.status, headers, body, cookies)

    def _body(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """Read piece by piece, with a limit on the whole: a server may send a byte now and then."""
        end = self.retries.clock() + self.retries.job_timeout_s
        pieces: list[bytes] = []
        while piece := response.read1(BLOCK):
            pieces.append(piece)
            if self.retries.clock() > end:
                raise _UnfinishedAnswer
        return b"".join(pieces)


def job_path(request_id: str) -> str:
    """Where the state of a job of the server is.

    Examples
    --------
    >>> job_path("action=create&target_id=91")
    '/api/requests/action%3Dcreate%26target_id%3D91'
    """
    return f"/api/requests/{quote(request_id, safe='')}"


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and type(value.get("id")) is int


def _named(answer: ServerResponse) -> str:
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return f"{len(answer.body)} bytes of {kind or 'an unnamed kind'}"
