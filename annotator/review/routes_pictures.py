"""Pictures of the study: tiles, zooms, whole images. Asked for by id, never by a path.

They get threads of their own, few of them: however many tiles a page asks for, a label finds
a thread at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from annotator.core.hashing import short_hash
from annotator.review.routes import review_of

THREADS = 4

_KINDS = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG", "image/png"), (b"RIFF", "image/webp"))

router = APIRouter()


@router.get("/tile/{object_id}")
async def tile(request: Request, object_id: str) -> Response:
    """An object in its surroundings."""
    review = review_of(request)
    return await _of_object(request, object_id, "tile", review.tile)


@router.get("/zoom/{object_id}")
async def zoom(request: Request, object_id: str) -> Response:
    """The same, larger."""
    review = review_of(request)
    return await _of_object(request, object_id, "zoom", review.zoom)


@router.get("/picture/{image_id}")
async def picture(request: Request, image_id: str) -> Response:
    """A whole image; its id is the hash of its pixels, so that it never changes."""
    review = review_of(request)

    def answer() -> Response:
        return _picture(request, f'"{short_hash(image_id)}"', lambda: review.picture(image_id))

    return await _in_own_thread(request, answer)


async def _of_object(
    request: Request, object_id: str, size: str, draw: Callable[[str], bytes]
) -> Response:
    review = review_of(request)

    def answer() -> Response:
        etag = f'"{size}-{short_hash(review.tag(object_id))}"'
        return _picture(request, etag, lambda: draw(object_id))

    return await _in_own_thread(request, answer)


async def _in_own_thread(request: Request, answer: Callable[[], Response]) -> Response:
    limiter = cast(CapacityLimiter, request.app.state.picture_threads)
    return await to_thread.run_sync(answer, limiter=limiter)


def _picture(request: Request, etag: str, draw: Callable[[], bytes]) -> Response:
    # The browser keeps it, and asks each time whether it still holds: an object of this
    # number may have another outline tomorrow.
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    data = draw()
    return Response(data, headers=headers, media_type=media_type(data))


def media_type(data: bytes) -> str:
    """Media type of a picture, by its first bytes.

    Examples
    --------
    >>> media_type(b"RIFF....WEBP")
    'image/webp'
    """
    return next((kind for head, kind in _KINDS if data.startswith(head)), "image/jpeg")
