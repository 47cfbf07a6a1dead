"""No patient is on two sides, and every class is spread over the parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from support.known_fields import QUICK, known_field

from active_learning.network.patches import TruthField
from annotator.pipeline.network.patient_folds import patient_splits


def _fields(patients: int, each: int = 2) -> list[TruthField]:
    return [
        known_field(number, f"p{number // each}", shape=(32, 48))
        for number in range(patients * each)
    ]


def test_no_patient_is_on_two_sides_and_each_is_judged_once() -> None:
    fields = _fields(7)
    splits = patient_splits(fields, replace(QUICK, folds=3), held_out=0.0, seed=0)
    assert splits.learned == tuple(range(14)) and splits.held_out == ()
    judged = [at for fold in splits.folds for at in fold.unseen]
    assert sorted(judged) == list(range(14))
    for fold in splits.folds:
        sides = [
            {fields[at].patient for at in side}
            for side in (fold.learned, fold.stopping, fold.unseen)
        ]
        assert all(sides)
        assert sum(len(side) for side in sides) == len(set.union(*sides)) == 7


def test_held_out_patients_are_in_no_part() -> None:
    fields = _fields(12)
    splits = patient_splits(fields, QUICK, held_out=0.4, seed=0)
    kept = {fields[at].patient for at in splits.held_out}
    assert kept and not kept & {fields[at].patient for at in splits.learned}
    used = {at for fold in splits.folds for at in (*fold.learned, *fold.stopping, *fold.unseen)}
    assert used == set(splits.learned)


def test_two_patients_learn_from_each_other_and_nobody_is_spared() -> None:
    splits = patient_splits(_fields(2), QUICK, held_out=0.5, seed=0)
    assert [(len(one.learned), one.stopping, len(one.unseen)) for one in splits.folds] == [
        (2, (), 2),
        (2, (), 2),
    ]


def test_one_patient_cannot_be_judged() -> None:
    splits = patient_splits(_fields(1), QUICK, held_out=0.15, seed=0)
    assert splits.folds == () and splits.learned == (0, 1)
    assert "all corrected masks are of one patient" in splits.notes[0]


def test_a_class_that_one_patient_alone_has_is_noted() -> None:
    fields = _fields(3, each=1)
    without = [
        replace(one, codes=np.where(one.codes == 3, 2, one.codes).astype(np.uint8))
        for one in fields[1:]
    ]
    splits = patient_splits([fields[0], *without], replace(QUICK, folds=3), 0.0, 0)
    assert any(note.startswith("bone: all its labels are in one part") for note in splits.notes)
