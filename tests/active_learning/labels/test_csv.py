"""CSV as people and their programs write it; every fault is named with its row."""

from __future__ import annotations

import pytest
from support.hostile_texts import HOSTILE, cells_that_run, saved_by_a_spreadsheet

from active_learning.labels.csv import CsvRow, RowFault, read_csv, refuse, write_csv
from annotator.core.errors import UsageError
from annotator.core.labels import LABEL_NAMES, Label

PLAIN = "image,object,class,author\nMäusle 1,3,fat,Eva Müller\nfield,12,Bone,\n"
ROWS = (
    CsvRow(2, "Mäusle 1", 3, 1, "Eva Müller"),
    CsvRow(3, "field", 12, 3, ""),
)


def faults_of(text: str) -> list[tuple[int, str]]:
    return [(fault.row, fault.what) for fault in read_csv(text.encode()).faults]


# How it may be written


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"],
)
def test_encodings_are_told_apart(encoding: str):
    table = read_csv(PLAIN.encode(encoding))
    assert table.rows == ROWS
    assert table.faults == ()
    assert table.encoding == encoding


def test_a_mark_makes_utf_16_of_either_order():
    table = read_csv(b"\xfe\xff" + PLAIN.encode("utf-16-be"))
    assert (table.rows, table.encoding) == (ROWS, "utf-16")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends_are_told_apart(separator: str, end: str):
    text = PLAIN.replace(",", separator).replace("\n", end)
    assert read_csv(text.encode()).rows == ROWS


def test_the_line_in_which_excel_names_its_separator_counts_as_a_row():
    text = "sep=;\r\nimage;object;class\r\na,b;1;cell\r\n"
    assert read_csv(text.encode()).rows == (CsvRow(3, "a,b", 1, 2),)


def test_columns_may_be_in_any_order_with_others_between():
    text = "Class,note,OBJECT,Image\ncell,x,4,a\n"
    assert read_csv(text.encode()).rows == (CsvRow(2, "a", 4, 2),)


def test_quotes_blanks_and_empty_rows_do_no_harm():
    text = 'image,object,class\n\n" a, b ", 5 ,FAT\n,,\n"say ""a""",6,skip\n'
    assert read_csv(text.encode()).rows == (CsvRow(3, "a, b", 5, 1), CsvRow(5, 'say "a"', 6, 5))


def test_decomposed_letters_are_the_same_letters():
    (row,) = read_csv("image,object,class\nMa\u0308usle,1,bg\n".encode()).rows
    assert row.image == "Mäusle"


# What is wrong with a file


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"\xef\xbb\xbf", "empty file"),
        (b"\n \r\n", "empty file"),
        (b"image,object,class,author\n", "under the heading, got none"),
        (b"image,object,class,author\n\n,,,\n", "under the heading, got none"),
        (b"image,author\na,eva\n", "without object, class"),
        (b"a,1,fat\nb,2,fat\n", "without image, object, class"),
        (b"image|object|class\na|1|fat\n", "separators can be commas, semicolons, tabs"),
        (b"image,object,class,Image\na,1,fat,b\n", "image twice"),
        (b"PK\x03\x04....", "Excel workbook"),
        (b"image,object,class\na\x00,1,fat\n", "no text"),
        (b"image,object,class\n\x8d,1,fat\n", "save it as CSV in UTF-8"),
        ("image,object,class\nä,1,fat\n".encode() + b"\xe4,2,fat\n", "utf-8 fails at byte"),
        (b"\xff\xfei\x00m", "utf-16 fails at byte"),
        (b'image,object,class\n"a,1,fat\nb,2,fat\n', "row 2: cannot be read as CSV"),
        (b'image,object,class\na,1,fat\n"b"x,2,fat\n', "row 3: cannot be read as CSV"),
        (b"image,object,class\n" + b"a" * 200_000 + b",1,fat\n", "row 2: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(data: bytes, words: str):
    with pytest.raises(UsageError) as caught:
        read_csv(data)
    assert words in str(caught.value)


# What is wrong with a row


def test_every_fault_is_named_with_its_row():
    assert faults_of(
        "image,object,class,author,source\n"
        "a,1,fat,eva,\n"
        ",2,fat,eva,\n"
        "a,two,fat,eva,\n"
        "\n"
        "a,3,adipocyte,eva,rumour\n"
        "a,4\n"
    ) == [
        (3, "expected an image, got an empty cell"),
        (4, "expected the number of an object, got 'two'"),
        (6, "expected a class of bg, fat, cell, bone, mixed, skip, got 'adipocyte'"),
        (6, "expected a source of seed, model, person, truth, got 'rumour'"),
        (7, "expected a class of bg, fat, cell, bone, mixed, skip, got ''"),
    ]


@pytest.mark.parametrize("number", ["0", "-1", "1.0", "1e3", "٣", "1_000", "", "2147483648"])
def test_only_whole_numbers_name_an_object(number: str):
    ((row, what),) = faults_of(f"image,object,class\na,{number},fat\n")
    assert row == 2
    assert what.startswith("expected the number of an object")


@pytest.mark.parametrize("author", ["e" * 101, '"two\nlines"', "left\u200eright"])
def test_an_author_is_a_name_on_one_line(author: str):
    ((row, what),) = faults_of(f"image,object,class,author\na,1,fat,{author}\n")
    assert row == 2
    assert what.startswith("expected an author")


def test_faults_of_one_kind_are_told_together():
    faults = [RowFault(row, "no author") for row in (9, 2, 3, 4)] + [RowFault(5, "no image")]
    with pytest.raises(UsageError) as caught:
        refuse(faults)
    assert str(caught.value).splitlines() == [
        "nothing was imported; 5 fault(s) to correct:",
        "  rows 2-4, 9: no author",
        "  row 5: no image",
    ]


# There and back


def test_what_is_written_is_read_back():
    names = ["field", 'a, "b"; c', "Mäusle –", "=1+1"]
    labels = [
        (name, Label("id", number, code, source, 2, "Eva Müller", "2026-01-01T00:00:00+00:00"))
        for name in names
        for number, (code, source) in enumerate(
            zip(range(len(LABEL_NAMES)), ["seed", "model", "person", "truth"] * 2, strict=False), 1
        )
    ]
    data = write_csv(labels)
    table = read_csv(data)
    assert data.startswith(b"\xef\xbb\xbf")
    assert table.faults == ()
    assert [(r.image, r.object_id, r.code, r.author, r.source) for r in table.rows] == [
        (name, label.object_id, label.code, label.author, label.source) for name, label in labels
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_authors_are_text_and_come_back(text: str):
    label = Label("id", 7, 1, "person", 2, text, "2026-01-01T00:00:00+00:00")
    data = write_csv([(text, label)])
    assert cells_that_run(data) == []
    for file in (data, saved_by_a_spreadsheet(data), saved_by_a_spreadsheet(data, "\t", "utf-16")):
        assert read_csv(file).rows == (CsvRow(2, text, 7, 1, text),)
