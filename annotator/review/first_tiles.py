"""What a page asks first, made while the server and the browser begin."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from annotator.core.errors import TrephineError
from annotator.review.protocol import ServedSession

FIRST = 60
"""Tiles that a large screen shows at once, or some more."""


@contextmanager
def first_tiles_made(review: ServedSession, queue: str) -> Iterator[threading.Thread]:
    """Make the first tiles of a queue beside the block, and end that with it.

    A session keeps what it has made: the page then waits for nothing, or for the rest alone.

    Parameters
    ----------
    review : ServedSession
        Whoever made it closes it, after the block.
    queue : str
        With which the page begins.

    Yields
    ------
    threading.Thread
        Which makes them.
    """
    stop = threading.Event()
    thread = threading.Thread(target=_make, args=(review, queue, stop), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


def _make(review: ServedSession, queue: str, stop: threading.Event) -> None:
    try:
        # In the order in which the page asks: it shows no tile before it has both.
        items = review.queue(queue, limit=FIRST)["items"]
        review.summary()
        for item in items:
            if stop.is_set():
                return
            review.tile(item["id"])
    except TrephineError:
        # The page asks the same, and says what is wrong to the person who can act on it.
        return
