"""The web application of the review page: a study behind the access control."""

from __future__ import annotations

from os import PathLike, stat_result
from pathlib import Path

from anyio import CapacityLimiter
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from annotator.core.errors import StudyError, TrephineError, UsageError
from annotator.review import routes, routes_pages, routes_pictures
from annotator.review.access import Access
from annotator.review.errors import Busy, NotFound
from annotator.review.middleware import AccessMiddleware, fault
from annotator.review.protocol import ServedSession
from annotator.review.routes import IdempotencyCache

STATIC = Path(__file__).parent / "static"

# The first that fits. A study that is locked or full now may take the same act later, and the
# page tries 5xx again by itself.
_STATUS: tuple[tuple[type[TrephineError], int], ...] = (
    (NotFound, 404),
    (Busy, 409),
    (UsageError, 400),
    (StudyError, 503),
    (TrephineError, 409),
)


def create_app(review: ServedSession, access: Access, queue: str = "clusters") -> FastAPI:
    """The application.

    Parameters
    ----------
    review : ServedSession
        The study; whoever made it closes it.
    access : Access
        Who may come in.
    queue : str
        With which the page begins.
    """
    app = FastAPI(title="Trephine review", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.review, app.state.access, app.state.queue = review, access, queue
    app.state.answered = IdempotencyCache()
    app.state.templates = routes_pages.environment()
    app.state.picture_threads = CapacityLimiter(routes_pictures.THREADS)
    for router in (routes_pages.router, routes.router, routes_pictures.router):
        # As they are: include_router would make each anew, and mutes a warning meanwhile in a
        # way that is not safe beside the threads of the study.
        app.router.routes.extend(router.routes)
    app.mount("/static", _Static(directory=STATIC))
    app.add_middleware(AccessMiddleware, access=access)
    app.add_exception_handler(TrephineError, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _not_served)
    app.add_exception_handler(Exception, _broken)
    return app


class _Static(StaticFiles):
    """Our own scripts and styles; asked for anew each time, so that an update is seen."""

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """One file, with a type that does not depend on what the system knows."""
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers["Cache-Control"] = "no-cache"
        if str(full_path).endswith(".js") and answer.status_code == 200:
            answer.headers["Content-Type"] = "text/javascript; charset=utf-8"
        return answer


def _refused(request: Request, error: Exception) -> Response:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return fault(status, str(error))


def _not_understood(request: Request, error: Exception) -> Response:
    """Say what was wrong with a request, without giving back what was sent."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    where = [".".join(str(part) for part in one["loc"][1:]) or "body" for one in found[:3]]
    reasons = "; ".join(f"{place}: {one['msg']}" for place, one in zip(where, found, strict=False))
    return fault(400, f"expected another request ({reasons}); load the page anew")


def _not_served(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return fault(
        status, f"expected an address of the page, got {request.url.path!r}; open the page at /"
    )


def _broken(request: Request, error: Exception) -> Response:
    return fault(
        500,
        f"a fault of ours: {type(error).__name__}; the terminal of trephine review shows more, "
        "and what was stored before is safe; try again",
    )
