"""What labels of other programs mean: as --map and study.toml say it."""

import pytest

from annotator.core.errors import UsageError
from annotator.core.label_names import LabelNames, label_names, label_names_of_toml


def test_the_classes_mean_themselves_until_somebody_says_otherwise() -> None:
    assert label_names("").meaning(" Fat ") == "fat"
    assert label_names("fat=bone").meaning("FAT") == "bone"
    assert label_names("").meaning("adipocyte") is None


def test_case_and_blanks_make_no_difference() -> None:
    names = label_names(" Red  Marrow = CELL ,#FF0000=Fat,")
    assert names.meaning("red marrow\t") == "cell"
    assert names.meaning("#ff0000") == "fat"


def test_a_label_may_hold_an_equals_sign() -> None:
    assert label_names("a=b=bg").meaning("A=B") == "bg"


def test_one_goes_over_the_other() -> None:
    whole = label_names("a=fat").over(label_names("a=bone,b=cell"))
    assert dict(whole.given) == {"a": "fat", "b": "cell"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("fat", "LABEL=CLASS, such as adipocyte=fat, got 'fat'"),
        ("a=vessel", "bg, fat, cell, bone, ignore, exclude as the class, got 'a=vessel'"),
        ("=fat", "got '=fat'"),
        ("a=", "got 'a='"),
        ("a=fat,A=bone", "two meanings"),
        ("a=fat,a=bone", "two meanings"),
    ],
)
def test_what_says_nothing_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        label_names(text)


@pytest.mark.parametrize(
    "value", ["a=fat,7=ignore", ["a=fat", "7=ignore"], {"a": "fat", "7": "ignore"}]
)
def test_a_study_may_say_it_as_a_table_a_text_or_a_list(value: object) -> None:
    assert label_names_of_toml(value) == LabelNames({"a": "fat", "7": "ignore"})


@pytest.mark.parametrize("value", [3, [3], {"a": 3}, True])
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(UsageError, match="adipocyte"):
        label_names_of_toml(value)
