"""Names that a spreadsheet would run, and what such a program makes of our tables."""

from __future__ import annotations

import csv
import io
import re

HOSTILE = (
    "=cmd|' C calc'!A0",
    "'=evil",
    "''=evil",
    "-5",
    "+49 30",
    "@home",
    "＝1+1",
    "Eva; =1",
    'Eva;"=1"',
    'Eva "=1", 骨髄',
    "'s Gravenhage",
)

_RUN = re.compile(r'[ "]*[=+\-@＝＋－＠\t\r\n]')


def cells_that_run(data: bytes) -> list[str]:
    """Cells that begin like a formula and are no number, whichever separator a program takes."""
    text = data.decode("utf-8-sig")
    return [
        cell
        for separator in ",;\t"
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        for cell in row
        if _RUN.match(cell) and not _is_number(cell)
    ]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    # A text of a person that looks like a number is text all the same.
    return cell not in HOSTILE


def saved_by_a_spreadsheet(data: bytes, separator: str = ";", encoding: str = "utf-8") -> bytes:
    """The same cells with another separator, as a spreadsheet saves what it opened."""
    rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator).writerows(rows)
    return out.getvalue().encode(encoding)
