"""When rounds stop paying: at the edges of the intervals, and where figures are missing."""

from __future__ import annotations

import pytest

from active_learning.query.stopping import RoundFigures, is_paying
from annotator.core.intervals import Estimate


def rounds(*values, low=0.02, high=0.02, cells=None):
    """Rounds with these macro-F1 values, and perhaps cellularities, +- 0.02 each."""
    cells = cells or [None] * len(values)
    return [
        RoundFigures(
            Estimate(value, value - low, value + high),
            None if cell is None else Estimate(cell, cell - 0.02, cell + 0.02),
        )
        for value, cell in zip(values, cells, strict=True)
    ]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_rounds_cannot_tell(count):
    verdict = is_paying(rounds(*[0.9] * count))
    assert verdict.state == "too few rounds"
    assert verdict.words.startswith(f"{count} of the 3 rounds")


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ((0.90, 0.90, 0.90), "not paying"),
        ((0.90, 0.919, 0.919), "not paying"),
        ((0.90, 0.90, 0.921), "paying"),
        ((0.90, 0.921, 0.90), "paying"),
        ((0.90, 0.881, 0.881), "not paying"),
        ((0.90, 0.90, 0.879), "worse"),
        ((0.90, 0.879, 0.90), "paying"),
        # each step is within the interval of the step before, both together are not
        ((0.90, 0.915, 0.93), "paying"),
        ((0.50, 0.90, 0.905, 0.91), "not paying"),
    ],
)
def test_the_last_two_rounds_against_the_interval_before_them(values, state):
    assert is_paying(rounds(*values)).state == state


def test_a_value_on_the_end_of_the_interval_is_within_it():
    edge = [RoundFigures(Estimate(value, 0.75, 1.0)) for value in (0.875, 0.75, 1.0)]
    assert is_paying(edge).state == "not paying"


@pytest.mark.parametrize(
    ("cells", "state"),
    [
        ((0.60, 0.61, 0.61), "not paying"),
        ((0.60, 0.60, 0.63), "paying"),
        ((0.60, 0.57, 0.60), "paying"),
        ((None, 0.57, 0.70), "not paying"),
        ((0.60, None, None), "not paying"),
    ],
)
def test_the_cellularity_has_to_stand_still_too(cells, state):
    verdict = is_paying(rounds(0.9, 0.9, 0.9, cells=cells))
    assert verdict.state == state
    if state == "paying":
        assert verdict.words.startswith("the last two rounds still changed the cellularity (0.600")


def test_rounds_without_an_interval_do_not_count():
    one_group = RoundFigures(Estimate(0.9, None, None))
    assert is_paying([one_group, *rounds(0.9, 0.9)]).state == "too few rounds"
    assert is_paying([*rounds(0.9, 0.9), one_group, *rounds(0.9)]).state == "not paying"


def test_the_words_name_the_figures():
    words = is_paying(rounds(0.9, 0.905, 0.91, cells=(0.6, 0.6, 0.6))).words
    assert "0.900 → 0.905 → 0.910" in words and "0.880-0.920" in words
    assert "fell" in is_paying(rounds(0.9, 0.9, 0.7)).words
