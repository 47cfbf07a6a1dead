"""A process that serves a fake study: ``serve_fake.py PORT [HOST [PASSWORD]]``."""

from __future__ import annotations

import sys

from fake_session import FakeSession

from annotator.review.serve import ReviewOptions, serve


def main(port: str, host: str = "127.0.0.1", password: str | None = None) -> None:
    options = ReviewOptions("eva", host, int(port), browser=False)
    serve(FakeSession(), options, password, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
