"""The JSON side of the review page: queues, acts, changes, training.

Functions that are not ``async`` run in a thread each, so that a slow disk stops nobody.
Acts that were sent twice, because their answer was lost on the way, are done once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from annotator.review.access import Visitor
from annotator.review.protocol import ServedSession

MOST_IDS = 50_000

ObjectId = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,64}:[0-9]{1,9}$")]
Short = Annotated[str, Field(max_length=100)]
Key = Annotated[str, Field(min_length=8, max_length=64)]

router = APIRouter(prefix="/api")


class _Act(BaseModel):
    """What every act may carry: a key under which it is done once."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: Key | None = None


class _Labels(_Act):
    ids: Annotated[list[ObjectId], Field(min_length=1, max_length=MOST_IDS)]
    code: Short
    queue: Short = ""


class _Cluster(_Act):
    cluster: Short
    code: Short


def review_of(request: Request) -> ServedSession:
    """The study that the application serves."""
    return cast(ServedSession, request.app.state.review)


def author_of(request: Request) -> str:
    """Who is logged in; nobody else gets as far as here."""
    return cast(Visitor, request.scope["visitor"]).author


def _once(request: Request, act: _Act, do: Callable[[], Json | None]) -> JSONResponse:
    answered = cast(IdempotencyCache, request.app.state.answered)
    return JSONResponse(answered.once(author_of(request), act.key, do))


@router.get("/summary")
def summary(request: Request) -> JSONResponse:
    """What the study holds, and who asks."""
    return JSONResponse({**review_of(request).summary(), "author": author_of(request)})


@router.get("/queue")
def queue(
    request: Request,
    name: Annotated[str, Query(max_length=100)],
    image: Annotated[str | None, Query(max_length=100)] = None,
    cluster: Annotated[str | None, Query(max_length=100)] = None,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
    fresh: bool = False,
) -> JSONResponse:
    """A part of a queue; `fresh` puts it together anew."""
    review, author = review_of(request), author_of(request)
    part = review.queue(name, image or None, cluster or None, offset, limit, author, fresh)
    return JSONResponse(part)


@router.post("/labels")
def labels(request: Request, act: _Labels) -> JSONResponse:
    """Give objects a class."""
    review, author = review_of(request), author_of(request)
    return _once(request, act, lambda: review.label(author, act.ids, act.code, act.queue))


@router.post("/clusters")
def clusters(request: Request, act: _Cluster) -> JSONResponse:
    """Give a class to a cluster."""
    review, author = review_of(request), author_of(request)
    return _once(request, act, lambda: review.name_cluster(author, act.cluster, act.code))


@router.post("/undo")
def undo(request: Request, act: _Act) -> JSONResponse:
    """Take back the last act; null where there is none."""
    review, author = review_of(request), author_of(request)
    return _once(request, act, lambda: review.undo(author))


@router.post("/redo")
def redo(request: Request, act: _Act) -> JSONResponse:
    """Do again what was taken back; null where there is nothing."""
    review, author = review_of(request), author_of(request)
    return _once(request, act, lambda: review.redo(author))


@router.get("/changes")
def changes(request: Request, since: Annotated[int, Query(ge=0, le=2**62)] = 0) -> JSONResponse:
    """Labels that anybody added since."""
    return JSONResponse(review_of(request).changes(since))


@router.get("/train")
def training(request: Request) -> JSONResponse:
    """How far the round of learning is."""
    return JSONResponse(review_of(request).training())


@router.post("/train")
def train(request: Request, act: _Act) -> JSONResponse:
    """Begin a round of learning."""
    review, author = review_of(request), author_of(request)
    return _once(request, act, lambda: review.start_training(author))


@router.get("/outlines/{image_id}")
def outlines(request: Request, image_id: str) -> JSONResponse:
    """The objects of an image as paths."""
    return JSONResponse(review_of(request).outlines(image_id))


Json = dict[str, Any]


MOST_KEYS = 2000


class IdempotencyCache:
    """The answers to the last acts, by the keys under which the page sent them.

    Safe for many threads.
    """

    def __init__(self, most: int = MOST_KEYS) -> None:
        self._most = most
        self._answers: OrderedDict[tuple[str, str], Json] = OrderedDict()
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def once(self, author: str, key: str | None, act: Callable[[], Json | None]) -> Json | None:
        """Do an act, or give the answer from when it was done.

        Parameters
        ----------
        author : str
            One author's acts are done one after the other.
        key : str or None
            Given by the page to one act; without it the act is done.
        act : callable
            Does it. What it raises is not kept, nor that there was nothing to do.
        """
        with self._guard:
            lock = self._locks.setdefault(author, threading.Lock())
        with lock:
            known = self._answers.get((author, key)) if key else None
            if known is not None:
                return known
            answer = act()
            if key and answer is not None:
                self._keep((author, key), answer)
            return answer

    def _keep(self, place: tuple[str, str], answer: Json) -> None:
        with self._guard:
            self._answers[place] = answer
            if len(self._answers) > self._most:
                self._answers.popitem(last=False)
