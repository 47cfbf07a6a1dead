"""Cells that a spreadsheet would run, and the way back."""

from __future__ import annotations

import csv
import io
import itertools
import re

import numpy as np
import pytest

from annotator.core.csv import decode_text, plain, read_records, read_rows, safe, write_table
from annotator.core.errors import UsageError

HOSTILE = (
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "  =1",
    "＝1+1",
    "'=1",
    '"=1',
)
# Programs that split at semicolons, tabs or lines begin a cell in the middle.
INNER = {
    "\t=1": "'\t'=1",
    "\r=1": "'\r'=1",
    "Eva; =1": "Eva;' =1",
    'Eva;"=1"': 'Eva;\'"=1"',
    "Eva\r\n-5": "Eva\r\n'-5",
    "Eva;'=1": "Eva;''=1",
    "=1;=1": "'=1;'=1",
}
PLAIN = ("", "field 1", "'s Gravenhage", "'", "a=b", 'Mäuse, "x"\n', "a; b", "3-4", 4 * "'")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_formula_becomes_text_and_comes_back(text: str) -> None:
    cell = safe(text)
    assert cell == f"'{text}"
    assert plain(cell) == text


@pytest.mark.parametrize(("text", "cell"), INNER.items())
def test_a_formula_inside_becomes_text_and_comes_back(text: str, cell: str) -> None:
    assert safe(text) == cell
    assert plain(cell) == text


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert safe(text) == text
    assert plain(text) == text


def test_a_table_reads_back_as_it_was_written() -> None:
    rows = [[text, 1, 0.5, None, True] for text in (*HOSTILE, 'two "words", 骨髄')]
    data = write_table(["image", "a", "b", "c", "d"], rows)
    assert data.startswith(b"\xef\xbb\xbf")
    found = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [plain(row[0]) for row in found[1:]] == [row[0] for row in rows]
    assert {tuple(row[1:]) for row in found[1:]} == {("1", "0.5", "", "yes")}
    assert all(row[0][0] not in "=+-@\t\r" for row in found)


def test_a_lone_surrogate_does_not_stop_the_table() -> None:
    assert b"a?b" in write_table(["image"], [["a\udcffb"]])


def test_any_text_comes_back() -> None:
    """Every text of up to five of the characters that matter."""
    for length in range(6):
        for letters in itertools.product("'=; \"\n", repeat=length):
            text = "".join(letters)
            assert plain(safe(text)) == text
            assert not re.search(r"(\A|[;\n])[ \"]*=", safe(text))


def test_numbers_stay_numbers() -> None:
    data = write_table(["a", "b", "c"], [[-5, -0.5, np.float64(-2.25)]], byte_order_mark=False)
    assert data == b"a,b,c\r\n-5,-0.5,-2.25\r\n"


# Reading

ROWS = [["=evil", "Eva; =1", 'two "words"'], ["-5", "'=evil", "Zeile\r\n=2"], ["+49 30", "", "x"]]
COLUMNS = ["image", "author", "note"]


def saved(data: bytes, separator: str, encoding: str, quoting: int) -> bytes:
    """A table that a spreadsheet opened and saved as it saves CSV."""
    cells = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator, quoting=quoting).writerows(cells)
    return out.getvalue().encode(encoding)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_what_a_spreadsheet_saved_reads_back(separator: str, encoding: str, quoting: int) -> None:
    text, _ = decode_text(saved(write_table(COLUMNS, ROWS), separator, encoding, quoting))
    assert [cells for _, cells in read_rows(text, COLUMNS)] == [COLUMNS, *ROWS]


def test_the_same_text_without_our_apostrophes_reads_the_same() -> None:
    assert read_rows("image,author\n=evil,-5\n", COLUMNS)[1] == (2, ["=evil", "-5"])
    assert read_rows("image,author\n'=evil,'-5\n", COLUMNS)[1] == (2, ["=evil", "-5"])


def test_rows_have_the_numbers_that_a_spreadsheet_shows() -> None:
    text = "sep=;\n\nIMAGE;author\n\na,b;c\n;\nx\n"
    titles, records = read_records(text, COLUMNS)
    assert titles == ["image", "author"]
    assert records == [(5, {"image": "a,b", "author": "c"}), (7, {"image": "x", "author": ""})]
    assert [number for number, _ in read_rows(text, COLUMNS)] == [3, 4, 5, 6, 7]
    assert read_records("", COLUMNS) == ([], [])


def test_a_quotation_mark_out_of_place_is_refused_where_that_is_asked() -> None:
    text = 'image,author\n"a"b,c\n'
    with pytest.raises(UsageError, match="row 2: cannot be read as CSV"):
        read_rows(text, COLUMNS)
    assert read_rows(text, COLUMNS, strict=False)[1] == (2, ["ab", "c"])
