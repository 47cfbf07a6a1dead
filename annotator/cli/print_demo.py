"""What ``demo`` prints on stdout: Dice of each field, and where to look. No logic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from annotator.cli.print_annotate import (
    console,
    counts_text,
    failures_text,
    mean_of_known,
    result_json,
    say,
    summary_table,
    table,
)
from annotator.core.classes import CLASS_NAMES
from annotator.report.text import number

if TYPE_CHECKING:
    from annotator.demo import Demo

REMARKS = (
    "Drawn fields: their truth is exact, and they are tidier than tissue.",
    "Real fields: truth by one annotator, no pathologist; the starter network learned from them "
    "too. They show how it works, not how good it is on new tissue.",
    "Dice is 0 where only one of the two has a class, be it a few pixels.",
)


def dice_table(dice: Mapping[str, Mapping[str, float | None]], kinds: Mapping[str, str]) -> Table:
    """Dice of each class for each image, and the mean of each kind; a dash where there is none.

    Parameters
    ----------
    dice : mapping
        Name of the image -> class -> 0..1; None where neither map has the class.
    kinds : mapping
        Name of the image -> ``drawn`` or ``real``.
    """
    made = table("image", "field", *(f"Dice {name}" for name in CLASS_NAMES), whole=True)
    for name, scores in dice.items():
        made.add_row(escape(name), kinds[name], *(number(scores[c], 3) for c in CLASS_NAMES))
    made.add_section()
    for kind in dict.fromkeys(kinds.values()):
        those = [scores for name, scores in dice.items() if kinds[name] == kind]
        means = (number(mean_of_known([d[c] for d in those]), 3) for c in CLASS_NAMES)
        made.add_row(f"mean of {len(those)}", kind, *means, style="bold")
    return made


def print_demo(demo: Demo) -> None:
    """Print the table with Dice against the truth, and where to look."""
    out, places = console(), demo.places
    for shown in (summary_table(demo.result.rows), dice_table(demo.dice, demo.kinds)):
        out.print(shown)
        out.print()
    say(
        [
            *counts_text(demo.result),
            *failures_text(demo.result),
            "",
            *REMARKS,
            "The classes are a first draft by the starter network; nobody has corrected them.",
            f"Overlays       {places.study / 'rough' / 'overlays'}",
            f"Contact sheet  {places.study / 'rough' / 'contact-sheet.jpg'}",
            f"VOC archive    {places.archive}",
            f"Truth          {places.truth}",
        ],
    )


def demo_json(demo: Demo) -> dict[str, Any]:
    """All of it as plain values, for ``--json``."""
    places = demo.places
    fields = {name: {"field": kind, "dice": demo.dice[name]} for name, kind in demo.kinds.items()}
    extra = {"study": str(places.study), "truth": str(places.truth), "fields": fields}
    return result_json(demo.result, **extra, remarks=list(REMARKS))
