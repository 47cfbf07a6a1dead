"""A process of the command ``trephine review`` alone: ``serve_study.py review STUDY ...``."""

from __future__ import annotations

import sys

import typer

from annotator.cli.main import run
from annotator.cli.review import register


def main() -> int:
    app = typer.Typer()
    # A second command, or its name would not have to be given.
    app.callback()(lambda: None)
    register(app)
    return run(sys.argv[1:], app)


if __name__ == "__main__":
    raise SystemExit(main())
