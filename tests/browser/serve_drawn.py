"""A process that serves drawn objects on a port: ``serve_drawn.py PORT``.

A line of JSON on its input, [folder, count, names], says what to show from then on; it
answers "ready". One process can so serve many tests, one after the other.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from drawn_session import DrawnSession

from annotator.review.serve import ReviewOptions, serve


def show(line: str, review: DrawnSession | None = None) -> DrawnSession:
    """The session that a line asks for, in the place of another."""
    folder, count, names = json.loads(line)
    if review is None:
        return DrawnSession(Path(folder), count, names)
    review.__init__(Path(folder), count, names)  # type: ignore[misc]
    return review


def main(port: str) -> None:
    review = show(sys.stdin.readline())

    def listen() -> None:
        for line in sys.stdin:
            show(line, review)
            print("ready", flush=True)

    threading.Thread(target=listen, daemon=True).start()
    options = ReviewOptions("eva", port=int(port), browser=False)
    serve(review, options, None, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
