"""What ``slides`` prints. No logic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from annotator.cli.print_annotate import console, say, table
from annotator.pipeline.slide_description import SlideDescription
from annotator.pipeline.slide_fields import CutFields, FieldRequest


def print_descriptions(
    described: Sequence[SlideDescription], faults: Sequence[tuple[Path, str]]
) -> None:
    """One row a slide, then its levels and what is odd with it."""
    if described:
        made = table("slide", "format", "px", "um/px", "objective", "tissue", align="llrrrr", gap=2)
        for one in described:
            height, width = one.info.shape
            um = "?" if one.um_per_px is None else f"{one.um_per_px:.4g}"
            objective = "?" if one.info.objective is None else f"{one.info.objective:g}x"
            tissue = f"{100 * one.tissue_share:.1f} %"
            if one.tissue_mm2 is not None:
                tissue += f", {one.tissue_mm2:.1f} mm²"
            cells = one.info.path.name, one.info.vendor, f"{width} x {height}"
            made.add_row(*map(escape, cells), um, objective, tissue)
        console().print(made)
    for one in described:
        levels = ", ".join(
            f"{level.shape[1]} x {level.shape[0]} (1/{level.downsample:.4g})"
            for level in one.info.levels
        )
        say([f"{one.info.path.name}: {len(one.info.levels)} level(s): {levels}"])
        say(f"  note: {note}" for note in one.notes)
    say(f"failed: {file}: {why}" for file, why in faults)


def print_fields(cut: CutFields, request: FieldRequest, dry_run: bool) -> None:
    """Where the fields lie, and how many there are."""
    many = f"{len(cut.places)} field(s) of {request.size} x {request.size} px"
    at = f"{request.um_per_px:g} um/px, {cut.tissue_mm2:.1f} mm² of tissue on {cut.slide.name}"
    say([f"{many} at {at}; {cut.before} were there before."])
    if len(cut.places) < request.count:
        say(
            [
                f"note: {request.count} were asked for: no other place has "
                f"{100 * request.least_tissue:.0f} % of tissue and is free"
            ]
        )
    if dry_run:
        say(f"  {place.name}" for place in cut.places)
        say(["Nothing was cut; leave --dry-run out to do it."])
