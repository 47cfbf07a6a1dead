"""Tables as CSV that no spreadsheet takes for a program: the one writer and the one reader.

A cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line end is a formula to a
spreadsheet, whoever wrote it: the name of an image is enough. Such text gets an apostrophe in
front, as OWASP advises (https://owasp.org/www-community/attacks/CSV_Injection).
:func:`read_rows` takes it away again, so that the same text comes back, from our own file and
from the same file saved by a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from annotator.core.errors import UsageError

Cell = str | int | float | bool | None

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SEPARATORS = ",;\t"
_LONGEST_AUTHOR = 100

# The full-width forms too: some spreadsheets read them as the plain ones.
_SIGNS = r"[=+\-@＝＋－＠]"
# A spreadsheet that splits at semicolons, tabs or lines begins a new cell there, inside of a
# text of ours: where the comma is the decimal sign, semicolons separate the cells of a CSV.
_INNER_START = r"(?<=[;\t\r\n])"
# Blanks and quotation marks may be dropped by the program. Our own apostrophes count too: text
# that has them already gets one more, or it would come back without.
_DROPPED = r"[ \"']*"
_FORMULA = rf"(?={_DROPPED}(?:{_SIGNS}|[\t\r\n]))"
_INNER_FORMULA = rf"(?={_DROPPED}{_SIGNS})"
_UNSAFE = re.compile(rf"\A{_FORMULA}|{_INNER_START}{_INNER_FORMULA}")
_APOSTROPHE = re.compile(rf"\A'{_FORMULA}|{_INNER_START}'{_INNER_FORMULA}")

_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (_BYTE_ORDER_MARK, "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


# Writing


def safe(text: str) -> str:
    """Text as a cell that is text to every spreadsheet.

    Examples
    --------
    >>> safe("=1+1"), safe(" @x"), safe("field 1")
    ("'=1+1", "' @x", 'field 1')
    >>> safe("'=1+1"), safe("Eva; =1+1")
    ("''=1+1", "Eva;' =1+1")
    """
    return _UNSAFE.sub("'", text)


def plain(text: str) -> str:
    """What :func:`safe` was given; other text as it is.

    Examples
    --------
    >>> plain(safe("=1+1")), plain("=1+1"), plain("'s Gravenhage")
    ('=1+1', '=1+1', "'s Gravenhage")
    """
    return _APOSTROPHE.sub("", text)


def write_table(
    columns: Sequence[str], rows: Iterable[Sequence[Cell]], byte_order_mark: bool = True
) -> bytes:
    """Write CSV: UTF-8, commas, lines that end with CR LF, quotation marks where needed.

    Parameters
    ----------
    columns : sequence of str
        The heading.
    rows : iterable of sequence of (str, int, float, bool or None)
        Text is made safe, see :func:`safe`. Numbers stay numbers, with a point; None is an
        empty cell, a truth value ``yes`` or ``no``.
    byte_order_mark : bool
        Without this mark in front, spreadsheets misread every letter beyond ASCII.

    Examples
    --------
    >>> write_table(["image", "x"], [["=a", -0.5], ["b", None]]).decode("utf-8-sig").split()
    ['image,x', "'=a,-0.5", 'b,']
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([safe(name) for name in columns])
    writer.writerows([_cell(value) for value in row] for row in rows)
    # A lone surrogate of a file's name cannot be written: it becomes a question mark.
    data = out.getvalue().encode("utf-8", "replace")
    return _BYTE_ORDER_MARK + data if byte_order_mark else data


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return safe(value)
    # NumPy's own numbers would write their type too.
    return repr(float(value)) if isinstance(value, float) else str(int(value))


# Reading


def read_rows(
    text: str, columns: Sequence[str], strict: bool = True
) -> list[tuple[int, list[str]]]:
    """Read a table as people and spreadsheets write it: what :func:`write_table` was given.

    Parameters
    ----------
    text : str
        With commas, semicolons or tabs, any line ends; Excel's first line ``sep=;`` may stand
        above the heading.
    columns : sequence of str
        That the heading may have, in small letters: they tell which separator is meant.
    strict : bool
        Whether a quotation mark out of place is refused.

    Returns
    -------
    list of (int, list of str)
        The heading first, then all rows below it, empty ones too. Each with its number in the
        file, from 1, as spreadsheets show it, and its cells without blanks at their ends.

    Raises
    ------
    UsageError
        When a quotation mark is out of place, or a cell is longer than 131,072 characters.

    Examples
    --------
    >>> read_rows("image;author\\r\\nfield 1;'=eva\\r\\n", ["image", "author"])
    [(1, ['image', 'author']), (2, ['field 1', '=eva'])]
    """
    text = text.lstrip("\ufeff")
    named = re.match(r'"?sep=([,;\t])"?[\r\n]', text)
    separator = named[1] if named else _separator(text, columns)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict)
    rows: list[tuple[int, list[str]]] = []
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            row = [plain(cell.strip()) for cell in cells]
            is_above = not rows and (not any(row) or (named and number == 1))
            if not is_above:
                rows.append((number, row))
    except csv.Error as error:
        raise UsageError(
            f"row {number + 1}: cannot be read as CSV ({error}); look for a quotation mark too "
            "many or too few"
        ) from error
    return rows


def read_records(
    text: str, columns: Sequence[str], strict: bool = True
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read a table like :func:`read_rows`, cells by the names of their columns.

    Returns
    -------
    titles : list of str
        The heading in small letters; empty where there is no text at all.
    records : list of (int, dict of str to str)
        Number and cells of each row with any text; a cell that is missing is empty.

    Examples
    --------
    >>> read_records("Image,Author\\n\\nfield 1\\n", ["image", "author"])
    (['image', 'author'], [(3, {'image': 'field 1', 'author': ''})])
    """
    rows = read_rows(text, columns, strict)
    titles = [cell.casefold() for cell in rows[0][1]] if rows else []
    return titles, [
        (number, {name: cells[at] if at < len(cells) else "" for at, name in enumerate(titles)})
        for number, cells in rows[1:]
        if any(cells)
    ]


def _separator(text: str, columns: Sequence[str]) -> str:
    """The one that finds most of the columns in the heading, else the most frequent there."""
    heading = next((line for line in text.splitlines() if line.strip()), "")

    def columns_found(separator: str) -> tuple[int, int]:
        cells = heading.replace('"', "").split(separator)
        return sum(cell.strip().casefold() in columns for cell in cells), len(cells)

    return max(_SEPARATORS, key=columns_found)


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
    """What keeps a text from being somebody's name; an empty one is not a fault here.

    Examples
    --------
    >>> author_faults("Eva Müller"), len(author_faults("two\\nlines"))
    ([], 1)
    """
    if len(author) > _LONGEST_AUTHOR or not all(map(str.isprintable, author)):
        return [
            f"expected an author of up to {_LONGEST_AUTHOR} characters on one line, "
            f"got {author[:40]!r}"
        ]
    return []
