"""Tables as CSV that no spreadsheet takes for a program.

A cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line end is a formula to a
spreadsheet, whoever wrote it: the name of an image is enough. Such text gets an apostrophe in
front, as OWASP advises; :func:`plain` takes it away again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from annotator.core.errors import UsageError

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


_LONGEST_AUTHOR = 100


_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def decode_text(data: bytes) -> tuple[str, str]:
    """Decode a text file and say in which encoding it was taken to be.

    Raises
    ------
    UsageError
        When it is no text, or in an encoding that cannot be told.

    Examples
    --------
    >>> decode_text("Mäuse".encode("cp1252")), decode_text("Mäuse".encode("utf-16"))
    (('Mäuse', 'cp1252'), ('Mäuse', 'utf-16'))
    """
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise UsageError("expected CSV, got an Excel workbook; save it as CSV (UTF-8)")
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UsageError(
            f"expected UTF-8, UTF-16 or Windows-1252, got something else ({encoding} fails at "
            f"byte {error.start}); save it as CSV in UTF-8"
        ) from error
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text):
        raise UsageError("expected CSV, got bytes that are no text; save it as CSV in UTF-8")
    return text, encoding


def _encoding(data: bytes) -> str:
    """By the mark in front, else by what the bytes can be."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    # Without a mark, the zeros beside the letters of the heading tell UTF-16.
    if data[1:2] == b"\0":
        return "utf-16-le"
    if data[:1] == b"\0":
        return "utf-16-be"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        # An umlaut in UTF-8 among other bytes: two files were joined, or one was damaged.
        return "utf-8" if re.search(rb"\xc3[\x80-\xbf]", data) else "cp1252"
    return "utf-8"


def author_faults(author: str) -> list[str]:
    """What keeps a text from being somebody's name; an empty one is not a fault here."""
    if len(author) > _LONGEST_AUTHOR or not all(map(str.isprintable, author)):
        return [
            f"expected an author of up to {_LONGEST_AUTHOR} characters on one line, "
            f"got {author[:40]!r}"
        ]
    return []
