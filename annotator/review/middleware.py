"""What every request goes through before it reaches a page: host, origin, session, size.

And every answer after it: headers that keep scripts, frames and other sites out.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotator.review.access import Access, Visitor

# 25,000 objects at once are 0.7 MB.
MOST_BYTES = 2 * 1024 * 1024
CSRF_HEADER = "X-Trephine"
PUBLIC = frozenset(("/", "/login", "/favicon.ico"))
STATIC = "/static/"

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SAFE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # The address may hold the token.
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def fault(status: int, error: str) -> JSONResponse:
    """An answer that says what was expected, what came, and what to do."""
    return JSONResponse({"error": error}, status, SAFE_HEADERS)


class AccessMiddleware:
    """ASGI around the application that turns away what must not come in.

    What passes finds its :class:`~annotator.review.access.Visitor` (or None, on public
    paths) in ``scope["visitor"]``.

    Parameters
    ----------
    app : ASGI application
    access : Access
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        visitor = self._access.visitor(headers.get("cookie", ""))
        refusal = next(self._refusals(scope, headers, visitor), None)
        scope["visitor"] = visitor
        await (refusal or self._app)(scope, receive, _with_headers(send))

    def _refusals(
        self, scope: Scope, headers: Headers, visitor: Visitor | None
    ) -> Iterator[Response]:
        path, changes = scope["path"], scope["method"] not in ("GET", "HEAD")
        host = headers.get("host", "")
        if not self._access.allows_host(host):
            yield _refuse(
                HTTPStatus.FORBIDDEN,
                f"expected this server's own name as host, got {host!r}; open the address that "
                "trephine review printed",
            )
        if not _own_site(headers, host):
            yield _refuse(
                HTTPStatus.FORBIDDEN,
                "expected a request of this server's own page, got one of another site; open "
                "the page itself",
            )
        if visitor is None and path not in PUBLIC and not path.startswith(STATIC):
            yield _refuse(
                HTTPStatus.UNAUTHORIZED,
                "expected somebody who has come in, got nobody, or a session that is over; open "
                "the address that trephine review printed",
            )
        if changes:
            yield from self._refused_changes(path, headers, visitor)

    def _refused_changes(
        self, path: str, headers: Headers, visitor: Visitor | None
    ) -> Iterator[Response]:
        if visitor is not None and path != "/login":
            sent = headers.get(CSRF_HEADER, "")
            if not self._access.sent_by_page(visitor, sent):
                yield _refuse(
                    HTTPStatus.FORBIDDEN,
                    f"expected the header {CSRF_HEADER} with the page's own value, got "
                    f"{'another value' if sent else 'none'}; load the page anew",
                )
        length = headers.get("content-length", "")
        if not length.isdecimal():
            yield _refuse(
                HTTPStatus.LENGTH_REQUIRED,
                "expected the length of what is sent, got none; send Content-Length",
            )
        elif int(length[:20]) > MOST_BYTES:
            yield _refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"expected at most {MOST_BYTES} bytes, got {length[:20]}; send fewer objects at "
                "a time",
            )


def _refuse(status: HTTPStatus, error: str) -> Response:
    answer = fault(status, error)
    # What comes after the head is not read, and must not be taken for the next request.
    answer.headers["Connection"] = "close"
    return answer


def _own_site(headers: Headers, host: str) -> bool:
    """Whether a request is of our own page, or of a person who types or follows an address."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        return False
    site = headers.get("sec-fetch-site", "none")
    if site in ("same-origin", "none"):
        return True
    # A link elsewhere may lead to the page; it shows nothing there without a session.
    return headers.get("sec-fetch-mode") == "navigate" and origin is None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SAFE_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
