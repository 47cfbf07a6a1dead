"""Labels as CSV: image, object, class, author, source; as spreadsheets really write it.

Read are UTF-8 with and without a byte order mark, UTF-16 and Windows-1252; commas,
semicolons and tabs; any line ends. What is wrong with a row is said with its number, which
counts every row of the file, the heading included, as spreadsheets do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from annotator.core.csv import author_faults, decode_text, read_rows, write_table
from annotator.core.errors import UsageError
from annotator.core.labels import LABEL_NAMES, SOURCES, Label

COLUMNS = ("image", "object", "class", "author", "source")
_NEEDED = COLUMNS[:3]
# Largest id of an object, int32.
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One label as it stands in the file.

    Parameters
    ----------
    number : int
        Of the row in the file, from 1.
    image : str
        Name of the image in the study, of its file, or its id.
    object_id : int
    code : int
        0-3, 4 mixed, 5 skip.
    author : str
        Empty where the file does not say.
    source : str
        ``person`` where the file does not say.
    """

    number: int
    image: str
    object_id: int
    code: int
    author: str = ""
    source: str = "person"


@dataclass(frozen=True, slots=True)
class RowFault:
    """The fault of one row of the file."""

    row: int
    what: str


@dataclass(frozen=True, slots=True)
class CsvTable:
    """What a file holds.

    Parameters
    ----------
    rows : tuple of CsvRow
        The sound ones.
    faults : tuple of RowFault
        What is wrong with the others.
    encoding : str
        In which the text was taken to be.
    """

    rows: tuple[CsvRow, ...]
    faults: tuple[RowFault, ...]
    encoding: str


def read_csv(data: bytes) -> CsvTable:
    """Read labels from the bytes of a CSV file.

    Parameters
    ----------
    data : bytes

    Raises
    ------
    UsageError
        When the file as a whole cannot be used: empty, not text, no such columns, no rows.

    Examples
    --------
    >>> read_csv(b"image;object;class\\r\\nfield 1;7;fat\\r\\n").rows
    (CsvRow(number=2, image='field 1', object_id=7, code=1, author='', source='person'),)
    """
    text, encoding = decode_text(data)
    lines = _records(text)
    if not lines:
        raise UsageError(f"expected rows with {', '.join(COLUMNS)}, got an empty file")
    columns = _columns(lines[0][1])
    rows: list[CsvRow] = []
    faults: list[RowFault] = []
    for number, cells in lines[1:]:
        found = _read_row(number, cells, columns)
        if isinstance(found, CsvRow):
            rows.append(found)
        else:
            faults += (RowFault(number, what) for what in found)
    if not rows and not faults:
        raise UsageError("expected rows with labels under the heading, got none")
    return CsvTable(tuple(rows), tuple(faults), encoding)


def write_csv(labels: Iterable[tuple[str, Label]]) -> bytes:
    """Write labels, each with the name of its image, as CSV.

    As :func:`annotator.core.csv.write_table` does: names that begin like a formula get an
    apostrophe, which :func:`read_csv` takes away again.

    Examples
    --------
    >>> label = Label("0123", 7, 1, "person", 0, "Eva", "2026-01-01T00:00:00+00:00")
    >>> write_csv([("field 1", label)]).decode("utf-8-sig").splitlines()
    ['image,object,class,author,source', 'field 1,7,fat,Eva,person']
    """
    rows = (
        (image, label.object_id, LABEL_NAMES[label.code], label.author, label.source)
        for image, label in labels
    )
    return write_table(COLUMNS, rows)


def refuse(faults: Sequence[RowFault]) -> None:
    """Raise when there is any fault, naming all of them with their rows.

    Raises
    ------
    UsageError

    Examples
    --------
    >>> refuse([])
    >>> refuse([RowFault(2, "no author"), RowFault(3, "no author"), RowFault(7, "no author")])
    Traceback (most recent call last):
    annotator.core.errors.UsageError: nothing was imported; 3 fault(s) to correct:
      rows 2-3, 7: no author
    """
    if not faults:
        return
    by_text: dict[str, list[int]] = {}
    for fault in sorted(faults, key=lambda f: f.row):
        by_text.setdefault(fault.what, []).append(fault.row)
    lines = [f"  {_row_list(rows)}: {what}" for what, rows in by_text.items()]
    raise UsageError(
        "\n".join([f"nothing was imported; {len(faults)} fault(s) to correct:", *lines])
    )


def _records(text: str) -> list[tuple[int, list[str]]]:
    """Number and cells of every row that has any text in it."""
    return [
        (number, [unicodedata.normalize("NFC", cell) for cell in cells])
        for number, cells in read_rows(text, COLUMNS)
        if any(cells)
    ]


def _columns(heading: Sequence[str]) -> dict[str, int]:
    """Where each of our columns is; others are passed over."""
    names = [cell.casefold() for cell in heading]
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise UsageError(
            f"expected a heading with {', '.join(_NEEDED)} and perhaps author and source, got "
            f"{', '.join(heading)[:200]!r}: without {', '.join(missing)} (separators can be "
            "commas, semicolons, tabs)"
        )
    twice = [name for name in COLUMNS if names.count(name) > 1]
    if twice:
        raise UsageError(f"expected each column once, got {', '.join(twice)} twice; take one out")
    return {name: names.index(name) for name in COLUMNS if name in names}


def _read_row(number: int, cells: Sequence[str], columns: dict[str, int]) -> CsvRow | list[str]:
    """A row, or all that is wrong with it."""
    given = {name: cells[at] if at < len(cells) else "" for name, at in columns.items()}
    source = given.get("source", "").casefold() or "person"
    name = given["class"].casefold()
    faults = [
        *_cell_faults(given),
        *author_faults(given.get("author", "")),
    ]
    if name not in LABEL_NAMES:
        faults.append(f"expected a class of {', '.join(LABEL_NAMES)}, got {given['class']!r}")
    if source not in SOURCES:
        faults.append(f"expected a source of {', '.join(SOURCES)}, got {given['source']!r}")
    if faults:
        return faults
    object_id, code = int(given["object"]), LABEL_NAMES.index(name)
    return CsvRow(number, given["image"], object_id, code, given.get("author", ""), source)


def _cell_faults(given: dict[str, str]) -> list[str]:
    faults = []
    if not given["image"]:
        faults.append("expected an image, got an empty cell")
    number = given["object"]
    if not re.fullmatch("[0-9]{1,10}", number) or not 1 <= int(number) <= _MOST:
        faults.append(f"expected the number of an object, got {number[:40]!r}")
    return faults


def _row_list(rows: Sequence[int]) -> str:
    """Row numbers in words: ``rows 2-4, 7``."""
    runs: list[list[int]] = []
    for row in sorted(set(rows)):
        if runs and runs[-1][1] == row - 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    text = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)
    return f"row {text}" if text.isdigit() else f"rows {text}"
