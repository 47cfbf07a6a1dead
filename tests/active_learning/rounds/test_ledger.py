"""A row a round, and the curve."""

from __future__ import annotations

from dataclasses import replace

import cv2
import pytest
from support.learning_studies import TRUTH

from active_learning.rounds.ledger import ledger, save_curve
from active_learning.rounds.retrain import retrain
from annotator.core.progress import silent
from annotator.study.study import Study


@pytest.mark.slow
def test_the_ledger_has_a_row_a_round_and_a_curve(trained_path):
    with Study.open(trained_path) as study:
        retrain(study, replace(TRUTH, published=False), silent)
        found = ledger(study)
        curve = save_curve(study, found)
    assert [(row.index, row.current, row.verdict) for row in found.rows] == [
        (1, False, "first"),
        (2, True, "level"),
    ]
    first, second = found.rows
    assert first.out_of_fold == second.out_of_fold
    assert found.verdict.state == "too few rounds"
    assert curve is not None
    assert cv2.imread(str(curve)) is not None
    assert found.to_dict()["rounds"][0]["objects"] == first.objects


def test_an_empty_ledger(path):
    with Study.open(path) as study:
        found = ledger(study)
        assert found.rows == ()
        assert save_curve(study, found) is None
