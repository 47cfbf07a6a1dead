"""Cells that a spreadsheet would run, and the way back."""

from __future__ import annotations

import csv
import io

import pytest

from annotator.core.csv import plain, safe, write_table

HOSTILE = ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1+1")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_formula_becomes_text_and_comes_back(text: str) -> None:
    cell = safe(text)
    assert cell == f"'{text}"
    assert plain(cell) == text


@pytest.mark.parametrize("text", ["", "field 1", "'s Gravenhage", "'", "a=b", 'Mäuse, "x"\n'])
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
