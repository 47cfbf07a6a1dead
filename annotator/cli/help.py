"""The help texts: plain lines, without a library for boxes, so that they come at once."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTIONS: dict[str, tuple[str, ...]] = {
    "From images to a first draft": ("init", "annotate", "slides", "demo", "doctor"),
    "Name and correct objects": ("seed", "review", "labels", "doubts"),
    "Correct whole images in CVAT": ("push", "status", "pull", "cvat"),
    "Learn from what was corrected": ("retrain", "rounds", "next", "simulate", "network"),
    "Measure and hand on": ("stats", "evaluate", "report", "export"),
    "Keep in order": ("images", "weights"),
}
"""Commands in the order in which a study meets them."""


class CommandGroup(TyperGroup):
    """A group of commands that are listed in whole sentences."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of the commands."""
        # One column for the names of all sections, as they stand below each other.
        width = max(map(len, self.commands))
        for title, names in self.sections():
            with formatter.section(title):
                rows = [(name.ljust(width), first_paragraph(self.commands[name])) for name in names]
                formatter.write_dl(rows)

    def sections(self) -> Iterator[tuple[str, list[str]]]:
        """Titles, and the names of the commands under each."""
        yield "Commands", [name for name, command in self.commands.items() if not command.hidden]


class AllCommands(CommandGroup):
    """All commands, by what they are for."""

    def sections(self) -> Iterator[tuple[str, list[str]]]:
        """Titles, and the names of the commands under each; those of no section come last."""
        ((_, left),) = super().sections()
        for title, names in SECTIONS.items():
            yield title, [name for name in names if name in left]
            left = [name for name in left if name not in names]
        if left:
            yield "More", left


def first_paragraph(command: Any) -> str:
    """What a command does, in the words that its own help begins with."""
    return " ".join(inspect.cleandoc(command.help or "").split("\n\n")[0].split())
