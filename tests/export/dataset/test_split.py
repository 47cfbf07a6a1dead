"""Sides of patients: nobody on two, nobody moves, shares met on average."""

from __future__ import annotations

from collections import Counter

import pytest

from annotator.core.errors import UsageError
from export.dataset.split import SIDES, Split, parse_shares


def test_shares_are_met_on_average() -> None:
    split = Split()
    counts = Counter(split.side(f"patient {n}") for n in range(4000))
    assert [counts[side] / 4000 for side in SIDES] == pytest.approx([0.7, 0.15, 0.15], abs=0.02)


def test_another_seed_deals_anew() -> None:
    names = [f"patient {n}" for n in range(200)]
    first, second = ([Split(seed).side(name) for name in names] for seed in (1, 2))
    assert first != second
    assert first == [Split(1).side(name) for name in names]


def test_sides_are_those_of_a_hash_worked_out_elsewhere() -> None:
    # printf '0\np1' | sha256sum: the first 64 bits are 0.916 of 2**64; 0.523, 0.853, 0.566.
    assert [Split().side(name) for name in ("p1", "p2", "p3", "p4")] == [
        "test",
        "train",
        "test",
        "train",
    ]
    assert Split(shares=(50, 20, 30)).side("p4") == "val"


def test_larger_shares_only_take_patients_from_the_next_side() -> None:
    names = [f"patient {n}" for n in range(500)]
    for name in names:
        if Split(shares=(60, 20, 20)).side(name) == "train":
            assert Split(shares=(70, 15, 15)).side(name) == "train"


def test_sides_without_anybody_are_named() -> None:
    assert Split(shares=(100, 0, 0)).empty_sides(["a", "b"]) == ()
    assert len(Split().empty_sides(["a"])) == 2
    assert Split().empty_sides([]) == SIDES


def test_odd_names_have_a_side() -> None:
    assert all(Split().side(name) in SIDES for name in ("", "骨髄", "a\udcff", "=1"))


@pytest.mark.parametrize("text", ["70/15", "70/15/10", "a/b/c", "-10/60/50", "", "70/15/15/0"])
def test_shares_that_cannot_be_used_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="70/15/15"):
        parse_shares(text)
