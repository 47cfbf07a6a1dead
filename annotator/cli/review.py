"""The command ``trephine review``: a page in the browser to correct objects at a glance.

:func:`register` adds it to the command line of :mod:`annotator.cli.main`. Heavy imports stand
inside the command.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from enum import StrEnum
from typing import Annotated

import typer

from annotator.cli.options import Author, StudyFolder, examples


class FirstQueue(StrEnum):
    """Queues of objects that the page can begin with."""

    clusters = "clusters"
    doubts = "doubts"
    uncertain = "uncertain"
    image = "image"
    random = "random"


def register(app: typer.Typer) -> None:
    """Add the command."""
    foot = examples(
        "trephine review marrow",
        "trephine review marrow --queue uncertain --author eva",
        "trephine review marrow --host 0.0.0.0 --port 8000",
    )
    app.command(epilog=foot)(review)


def review(
    study: StudyFolder,
    queue: Annotated[
        FirstQueue, typer.Option(help="Queue to begin with; it can be changed on the page.")
    ] = FirstQueue.clusters,
    author: Author = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")
    ] = 0,
    host: Annotated[
        str,
        typer.Option(
            help="Address to serve at; any but 127.0.0.1 lets others in, with a password."
        ),
    ] = "127.0.0.1",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser on the page.")
    ] = True,
) -> None:
    """Correct objects at a glance: small pictures, grouped, with one key for each class.

    Every label is stored at once, signed with the author's name. Ctrl-C ends the
    server; with the same --port, a page that is open goes on with the next one.

    With --host, others come in by their name and a password, which is asked for
    or taken from TREPHINE_REVIEW_PASSWORD. The connection is not encrypted.
    """
    import getpass
    import os

    from active_learning.rounds.label_csv import system_user
    from annotator.review.access import checked_author
    from annotator.review.first_tiles import first_tiles_made
    from annotator.review.serve import ReviewOptions, asked_password, serve
    from annotator.review.session import ReviewSession

    ask = getpass.getpass if sys.stdin is not None and sys.stdin.isatty() else None
    name = checked_author(system_user() if author is None else author)
    options = ReviewOptions(name, host, port, queue.value, browser)
    # Before the study is read, and long before a socket is open.
    password = asked_password(host, os.environ, ask)
    with ReviewSession(study, name) as session, first_tiles_made(session, options.queue):
        serve(session, options, password, _say)


def _say(line: str) -> None:
    # A terminal that was closed ends the server, and takes no words any more.
    with suppress(OSError):
        print(line, flush=True)
