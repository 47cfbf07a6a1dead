"""What ``images`` prints: the list, and what relink found. No logic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from annotator.cli.print_annotate import console, say, some, table

if TYPE_CHECKING:
    from annotator.pipeline.study_images import ListedImage, Relinked


def print_images(listed: Sequence[ListedImage], study: Path) -> None:
    """One row an image, then what to do about files that are gone."""
    made = table("image", "state", "file", "why", align="llll", gap=2)
    for one in listed:
        why = f"{one.why} ({one.author}, {one.time})" if one.why else ""
        made.add_row(*map(escape, (one.name, one.state, one.file_state, why)))
    console().print(made)
    gone = [one.name for one in listed if one.file_state == "gone"]
    if gone:
        say([f"{len(gone)} files are gone. Next: trephine images relink {study} FOLDER"])


def print_relinked(found: Relinked) -> None:
    """How many pictures were found, and which were not."""
    say([f"{len(found.found)} pictures found."])
    say(f"{path}: not read: {why}" for path, why in found.unreadable)
    if found.missing:
        say([f"{len(found.missing)} not found: {some(found.missing)}"])
