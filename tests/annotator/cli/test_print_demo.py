from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from annotator.cli.print_demo import dice_table

SCORES: dict[str, dict[str, float | None]] = {
    "a": {"bg": 1.0, "fat": 0.8, "cell": 0.9, "bone": None},
    "b": {"bg": 0.5, "fat": 0.9, "cell": 0.9, "bone": 0.7},
}


def lines_of(shown: Table) -> list[str]:
    out = Console(file=io.StringIO(), width=80)
    out.print(shown)
    return out.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_dice_skips_what_neither_has() -> None:
    lines = lines_of(dice_table(SCORES, dict.fromkeys(SCORES, "drawn")))
    assert lines[2].split() == ["a", "drawn", "1.000", "0.800", "0.900", "–"]
    assert lines[-1].split() == ["mean", "of", "2", "drawn", "0.750", "0.850", "0.900", "0.700"]


def test_drawn_and_real_fields_have_a_mean_each() -> None:
    lines = lines_of(dice_table(SCORES, {"a": "drawn", "b": "real"}))
    assert lines[-2].split() == ["mean", "of", "1", "drawn", "1.000", "0.800", "0.900", "–"]
    assert lines[-1].split() == ["mean", "of", "1", "real", "0.500", "0.900", "0.900", "0.700"]
