"""The page itself, and the two ways in: the address with its token, and the password."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from annotator.core.errors import UsageError
from annotator.review.access import LONGEST_NAME, Access, Visitor, checked_author
from annotator.review.routes import review_of

TEMPLATES = Path(__file__).parent / "templates"

router = APIRouter()


def environment() -> Environment:
    """Templates in which every value is escaped, whatever their names end in."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )


@router.get("/")
def page(request: Request, token: str | None = None) -> Response:
    """The page; with a token a session first, and then the page under a plain address."""
    access, visitor = _access(request), cast(Visitor | None, request.scope["visitor"])
    if token is not None and access.opens(token):
        # Who is in already stays who they are.
        return _let_in(access, visitor.author if visitor else access.author)
    if visitor is None:
        return _unknown(request, token)
    if token is not None:
        return RedirectResponse("/", HTTPStatus.SEE_OTHER)
    values = {
        "csrf": access.csrf(visitor),
        "study": review_of(request).path.resolve().name,
        "author": visitor.author,
        "queue": request.app.state.queue,
    }
    return _html(request, "page.html.j2", values)


@router.post("/login")
async def login(request: Request) -> Response:
    """Let in who knows the password, under the name that they give."""
    access, address = _access(request), request.client.host if request.client else ""
    wait = access.throttle.wait(address)
    if wait:
        return _ask(
            request,
            f"Too many wrong passwords. Wait {wait:.0f} s.",
            HTTPStatus.TOO_MANY_REQUESTS,
        )
    form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=10)
    if not access.knows(form.get("password", [""])[0]):
        access.throttle.failed(address)
        return _ask(request, "This is not the password.", HTTPStatus.FORBIDDEN)
    try:
        author = checked_author(form.get("author", [""])[0])
    except UsageError as error:
        return _ask(request, str(error), HTTPStatus.BAD_REQUEST)
    access.throttle.passed(address)
    return _let_in(access, author)


@router.get("/favicon.ico")
def icon() -> Response:
    """Browsers ask for it unasked."""
    return RedirectResponse("/static/icon.svg", HTTPStatus.SEE_OTHER)


def _unknown(request: Request, token: str | None) -> Response:
    if token is not None:
        return _ask(request, "This address is not, or no longer, one to come in by.")
    answer = _ask(request, "")
    if request.headers.get("sec-fetch-site") == "cross-site":
        # After a link elsewhere the browser keeps the cookie back; asked by our own page for
        # the same address, it sends it.
        answer.headers["Refresh"] = "0; url=/"
    return answer


def _let_in(access: Access, author: str) -> Response:
    answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        access.cookie, access.session(author), httponly=True, samesite="strict", path="/"
    )
    return answer


def _ask(request: Request, message: str, status: int = HTTPStatus.UNAUTHORIZED) -> Response:
    values = {
        "said": message,
        "password": _access(request).password is not None,
        "longest": LONGEST_NAME,
    }
    answer = _html(request, "login.html.j2", values, status)
    # A form says where it comes from only if it may.
    answer.headers["Referrer-Policy"] = "same-origin"
    return answer


def _html(request: Request, name: str, values: dict[str, Any], status: int = 200) -> Response:
    templates = cast(Environment, request.app.state.templates)
    return HTMLResponse(templates.get_template(name).render(values), status)


def _access(request: Request) -> Access:
    return cast(Access, request.app.state.access)
