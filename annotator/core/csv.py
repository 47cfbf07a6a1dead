"""Tables as CSV that no spreadsheet takes for a program.

A cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line end is a formula to a
spreadsheet, whoever wrote it: the name of an image is enough. Such text gets an apostrophe in
front, as OWASP advises; :func:`plain` takes it away again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

# The full-width forms too: some spreadsheets read them as the plain ones.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

Cell = str | int | float | bool | None


def safe(text: str) -> str:
    """Text as a cell that is text to every spreadsheet.

    Examples
    --------
    >>> safe("=1+1"), safe(" @x"), safe("field 1")
    ("'=1+1", "' @x", 'field 1')
    """
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def plain(text: str) -> str:
    """What :func:`safe` was given.

    Examples
    --------
    >>> plain(safe("=1+1")), plain("'s Gravenhage")
    ('=1+1', "'s Gravenhage")
    """
    return text[1:] if text[:1] == "'" and safe(text[1:]) == text else text


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """CSV with commas, UTF-8 with the mark without which spreadsheets misread it.

    None is an empty cell, a truth value ``yes`` or ``no``; numbers have a point.

    Examples
    --------
    >>> write_table(["image", "x"], [["=a", 0.5], ["b", None]]).decode("utf-8-sig").split()
    ['image,x', "'=a,0.5", 'b,']
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([safe(name) for name in columns])
    writer.writerows([_cell(value) for value in row] for row in rows)
    # A lone surrogate of a file's name cannot be written: it becomes a question mark.
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", "replace")


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return safe(value) if isinstance(value, str) else repr(value)
