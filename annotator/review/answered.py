"""Acts that were sent twice, because their answer was lost on the way, are done once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

MOST_KEYS = 2000


class Answered:
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
