"""What all commands share: exit codes, arguments, examples, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

DONE, OURS, USAGE, INCOMPLETE, STOPPED = 0, 1, 2, 3, 130

StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY", help="The study folder.")]
Author = Annotated[
    str | None, typer.Option(help="Name of the author; unless given, that of your account.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def examples(*lines: str) -> str:
    """The foot of a help text: example lines as they are, whatever the width.

    Examples
    --------
    >>> print(examples("trephine init marrow").replace(chr(8), "(as it is)"))
    (as it is)
    Examples:
      trephine init marrow
    """
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False))
