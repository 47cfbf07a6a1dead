"""Names of images: their own, safe on every file system, unique without regard to case."""

from __future__ import annotations

import unicodedata

import pytest

from annotator.study.names import clean_stem, fold, unique_name
from export.shapes import check_name

ID = "0123456789abcdef"


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("a/b/field 12.png", "field 12"),
        ("Mäusefemur_Ωmega_骨髄.tif", "Mäusefemur_Ωmega_骨髄"),
        ("scan.2024.01.png", "scan.2024.01"),
        ('a<b>c:d"e|f?g*h.png', "a_b_c_d_e_f_g_h"),
        ("tab\there.png", "tab_here"),
        ("back\\slash.png", "back_slash"),
        (".hidden.png", "hidden"),
        ("dots...png", "dots"),
        ("CON.png", "CON_"),
        ("lpt1.x.png", "lpt1.x_"),
        ("console.png", "console"),
        ("\udcff.png", "_"),
        ("#12.png", "_12"),
        (" .#12#.png", "_12#"),
        ("non\u00a0breaking\u3000wide.png", "non breaking wide"),
        ("zero\u200bwidth.png", "zero_width"),
    ],
)
def test_only_what_a_file_system_cannot_hold_is_changed(path, stem):
    assert clean_stem(path) == stem


@pytest.mark.slow
def test_no_name_of_ours_is_refused_by_an_export():
    for code in range(0x3100):
        for path in (f"{chr(code)}a.png", f"a{chr(code)}.png", f"{chr(code)}.png"):
            check_name(clean_stem(path))


def test_composed_and_decomposed_letters_give_one_name():
    name = "Knochenmark_größe"
    assert clean_stem(unicodedata.normalize("NFD", name) + ".png") == name


def test_a_long_name_leaves_room_for_our_suffixes():
    stem = clean_stem("ä" * 250 + ".png")
    assert len(stem.encode()) == 180
    assert set(stem) == {"ä"}


def test_a_clash_gets_the_start_of_the_hash():
    assert unique_name("x/a.png", ID, set()) == "a"
    assert unique_name("y/a.tif", ID, {"a"}) == "a-01234567"
    assert unique_name("y/A.tif", ID, {fold("a")}) == "A-01234567"


def test_a_clash_of_the_clash_gets_the_whole_hash():
    assert unique_name("a.png", ID, {"a", "a-01234567"}) == f"a-{ID}"
