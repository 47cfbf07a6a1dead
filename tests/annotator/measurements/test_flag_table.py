"""``flags.csv``: rows are added, tables of spreadsheets are read, a person's word counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hostile_texts import HOSTILE, cells_that_run, saved_by_a_spreadsheet
from support.measured_studies import add, field

from annotator.core.errors import UsageError
from annotator.measurements.flag_table import flags_path, parse_word, read_flags, set_flags
from annotator.measurements.table import dataset
from annotator.study.study import Study

HEAD = "image,flag,value,author,time\r\n"


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        add(made, "field 1.png", field())
        add(made, "=2+2.png", field(bone=5))
        yield made


def flag_of(study: Study, image: int, name: str) -> tuple[bool | None, str]:
    flag = dataset(study).rows[image].flags[name]
    return flag.value, flag.set_by


def test_a_word_counts_until_the_next_one(study: Study) -> None:
    set_flags(study, "field 1", ["haemorrhage=yes", "artefact=no"], "Eva")
    assert flag_of(study, 1, "haemorrhage") == (True, "Eva")
    assert flag_of(study, 1, "artefact") == (False, "Eva")
    set_flags(study, "FIELD 1.png", ["haemorrhage=no"], "Jo")
    assert flag_of(study, 1, "haemorrhage") == (False, "Jo")
    set_flags(study, "field 1", ["haemorrhage=unset"], "Jo")
    assert flag_of(study, 1, "haemorrhage") == (None, "")
    assert len(flags_path(study).read_text("utf-8-sig").splitlines()) == 5


def test_hostile_names_are_quoted_and_found_again(study: Study) -> None:
    set_flags(study, "=2+2", ["soft_tissue=yes"], "=cmd()")
    text = flags_path(study).read_text("utf-8-sig")
    assert "'=2+2,soft_tissue,yes,'=cmd()," in text
    set_flags(study, "field 1", ["artefact=yes"], "Eva")
    assert flags_path(study).read_text("utf-8-sig").startswith(text)
    assert flag_of(study, 0, "soft_tissue") == (True, "=cmd()")


def test_a_table_of_a_german_spreadsheet_is_read_and_kept(study: Study) -> None:
    table = "Flag;Image;Value;Remark\r\nHemorrhage;field 1;YES;Prüfung\r\n\r\n"
    flags_path(study).write_bytes(table.encode("cp1252"))
    assert flag_of(study, 1, "haemorrhage") == (True, "a person")
    set_flags(study, "field 1", ["artefact=yes"], "Eva")
    lines = flags_path(study).read_text("utf-8-sig").splitlines()
    assert lines[0] == "Flag,Image,Value,Remark,author,time"
    assert lines[1] == "Hemorrhage,field 1,YES,Prüfung"
    assert lines[-1].startswith("artefact,field 1,yes,,Eva,20")
    assert flag_of(study, 1, "haemorrhage") == (True, "a person")


def test_rows_that_mean_nothing_are_named(study: Study) -> None:
    rows = ["nobody,artefact,yes,,", "field 1,bubbles,yes,,", "field 1,artefact,maybe,,", ",,,,"]
    flags_path(study).write_text(HEAD + "\n".join(rows))
    found = dataset(study)
    assert found.notes == (
        "flags.csv row 2 is passed over: no image of the study has this name",
        "flags.csv row 3 is passed over: expected a flag of haemorrhage, soft_tissue, artefact, "
        "black, one_colour, doubtful_white",
        "flags.csv row 4 is passed over: expected yes, no or unset",
    )
    assert {flag.value for row in found.rows for flag in row.flags.values()} == {None}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"image,what\n", "image, flag, value"),
        (b"PK\x03\x04", "Excel"),
        (b'image,flag,value\n"a,b\n', r"flags\.csv"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_and_kept(
    study: Study, data: bytes, why: str
) -> None:
    path = flags_path(study)
    path.write_bytes(data)
    with pytest.raises(UsageError, match=why):
        read_flags(path, study.images())
    with pytest.raises(UsageError, match=why):
        set_flags(study, "field 1", ["artefact=yes"], "Eva")
    assert path.read_bytes() == data


def test_what_cannot_be_noted_writes_nothing(study: Study) -> None:
    for image, words, author, why in (
        ("field 9", ["artefact=yes"], "Eva", "'field 9'"),
        ("field 1", ["artefact=yes", "fold=yes"], "Eva", "'fold=yes'"),
        ("field 1", ["artefact"], "Eva", "'artefact'"),
        ("field 1", ["artefact=yes"], " ", "author"),
        ("field 1", ["artefact=yes"], "two\nlines", "author"),
    ):
        with pytest.raises(UsageError, match=why):
            set_flags(study, image, words, author)
    assert not flags_path(study).exists()


def test_a_file_name_of_two_images_is_refused(study: Study) -> None:
    add(study, "double.png", field(bg=3))
    (study.path.parent / "more").mkdir()
    picture = study.path.parent / "pictures" / "double.png"
    image = study.register("f" * 16, str(picture), (40, 50), None, ())
    assert image.name != "double"
    with pytest.raises(UsageError, match=" 2 "):
        set_flags(study, "double.png", ["artefact=yes"], "Eva")
    assert set_flags(study, "double", ["artefact=yes"], "Eva").name == "double"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("haemorrhage=1", ("haemorrhage", "yes")),
        ("Hemorrhage = no", ("haemorrhage", "no")),
        ("sectioning artifact=y", ("artefact", "yes")),
        ("soft-tissue=unset", ("soft_tissue", "unset")),
    ],
)
def test_words_as_people_type_them(text: str, word: tuple[str, str]) -> None:
    assert parse_word(text) == word


@pytest.mark.slow
@pytest.mark.parametrize("author", HOSTILE)
def test_a_hostile_author_is_text_and_comes_back(study: Study, author: str) -> None:
    path = flags_path(study)
    set_flags(study, "=2+2", ["soft_tissue=yes"], author)
    assert cells_that_run(path.read_bytes()) == []
    assert flag_of(study, 0, "soft_tissue") == (True, author)
    path.write_bytes(saved_by_a_spreadsheet(path.read_bytes()))
    assert flag_of(study, 0, "soft_tissue") == (True, author)
    # What is there is written again with every new row.
    set_flags(study, "=2+2", ["artefact=yes"], "Eva")
    assert cells_that_run(path.read_bytes()) == []
    assert flag_of(study, 0, "soft_tissue") == (True, author)


def test_rows_have_the_numbers_that_a_spreadsheet_shows(study: Study) -> None:
    flags_path(study).write_text("sep=,\n" + HEAD + "\nnobody,artefact,yes,,\n")
    assert dataset(study).notes == (
        "flags.csv row 4 is passed over: no image of the study has this name",
    )
