"""What ``images`` prints: lists of images and regions, and what relink found. No logic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from annotator.cli.print_annotate import console, say, some, table
from annotator.report.text import percentage

if TYPE_CHECKING:
    from annotator.pipeline.excluded import ListedRegion, RegionReport
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


def print_regions(listed: Sequence[ListedRegion]) -> None:
    """One row a region, also those that were taken back."""
    if not listed:
        say(["No region is excluded."])
        return
    made = table("image", "region", "px", "% of image", "state", "why", align="lrrrll", gap=2)
    for one in listed:
        state = f"restored: {one.restored}" if one.restored else "excluded"
        why = f"{one.why} ({one.origin}, {one.author}, {one.time})"
        figures = str(one.number), str(one.pixels), percentage(one.share)
        made.add_row(escape(one.image), *figures, escape(state), escape(why))
    console().print(made)


def print_region_reports(done: Sequence[RegionReport], verb: str) -> None:
    """How much is excluded of each image now, and what is still to be done."""
    for one in done:
        left_out = f"{one.excluded_px} px, {percentage(one.share)} % of it, count nowhere now"
        if not one.excluded_px:
            left_out = "nothing of it is excluded now"
        say([f"{one.image}: {one.regions} region(s) {verb}; {left_out}."])
        say(f"  {note}" for note in one.notes)
