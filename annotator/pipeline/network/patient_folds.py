"""How corrected fields are parted: patients kept out for good, and parts to judge on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from active_learning.classifier.folds import holdout, outer_folds
from active_learning.network.patches import TruthField
from annotator.core.classes import CLASS_NAMES
from annotator.settings.network_training import NetworkTrainSettings

# With fewer labelled patients all are needed to learn from.
_FEWEST_TO_HOLD_OUT = 5
# With fewer patients to learn from, none is spared to tell when to stop.
_FEWEST_TO_VALIDATE = 3
# Of an image's labelled pixels: less of a class is no example of it.
_LEAST_OF_A_CLASS = 0.01


@dataclass(frozen=True, slots=True)
class PatientFold:
    """One split; all by indices of fields, and no patient is in two of the three.

    Parameters
    ----------
    learned, stopping, unseen : tuple of int
        To learn from, to tell when to stop, and to be judged on.
    """

    learned: tuple[int, ...]
    stopping: tuple[int, ...]
    unseen: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PatientSplits:
    """All splits of a study.

    Parameters
    ----------
    folds : tuple of PatientFold
        None where there is one patient only.
    learned, held_out : tuple of int
        Fields that the final network learns from, and those of patients kept out of it.
    notes : tuple of str
        What cannot be measured, and why.
    """

    folds: tuple[PatientFold, ...]
    learned: tuple[int, ...]
    held_out: tuple[int, ...]
    notes: tuple[str, ...]


def patient_splits(
    fields: Sequence[TruthField], settings: NetworkTrainSettings, held_out: float, seed: int
) -> PatientSplits:
    """Deal the patients of fields into parts, every class spread as evenly as they allow.

    Parameters
    ----------
    fields : sequence of TruthField
    settings : NetworkTrainSettings
    held_out : float
        Share of the patients that are kept out for good, once there are five.
    seed : int
        Of this keeping out: the same as for the rounds of the classifier.
    """
    patients = np.array([field.patient for field in fields], np.str_)
    kept = holdout(patients, held_out, seed)
    if len(np.unique(patients)) < _FEWEST_TO_HOLD_OUT or kept.all():
        kept = np.zeros(len(fields), np.bool_)
    learned = np.flatnonzero(~kept)
    folds, notes = _folds(fields, learned, patients, settings)
    return PatientSplits(folds, _plain(learned), _plain(np.flatnonzero(kept)), notes)


def _folds(
    fields: Sequence[TruthField],
    learned: NDArray[np.intp],
    patients: NDArray[np.str_],
    settings: NetworkTrainSettings,
) -> tuple[tuple[PatientFold, ...], tuple[str, ...]]:
    if len(np.unique(patients[learned])) < 2:
        return (), (
            "all corrected masks are of one patient: nothing tells how the network does on "
            "another; correct masks of a second patient",
        )
    # One example for each class of a field, so that classes are spread over the parts.
    examples = [(at, code) for at in learned.tolist() for code in _classes(fields[at])]
    owners = np.array([at for at, _ in examples], np.intp)
    codes = np.array([code for _, code in examples], np.uint8)
    dealt = outer_folds(codes, patients[owners], settings.folds)
    part_of = {str(patients[at]): int(part) for at, part in zip(owners, dealt.part, strict=True)}
    folds = []
    for part in range(dealt.count):
        unseen = [at for at in learned.tolist() if part_of[str(patients[at])] == part]
        rest = [at for at in learned.tolist() if part_of[str(patients[at])] != part]
        spared = _spared(patients[rest], settings, part)
        folds.append(
            PatientFold(
                tuple(at for at in rest if patients[at] not in spared),
                tuple(at for at in rest if patients[at] in spared),
                tuple(unseen),
            )
        )
    return tuple(folds), dealt.notes


def _classes(field: TruthField) -> list[int]:
    """Codes of the classes that a field shows; never none."""
    counts = np.bincount(field.codes.ravel(), minlength=256)[: len(CLASS_NAMES)]
    shown = np.flatnonzero(counts >= max(_LEAST_OF_A_CLASS * counts.sum(), 1))
    return [int(code) for code in shown]


def _spared(patients: NDArray[np.str_], settings: NetworkTrainSettings, part: int) -> set[str]:
    """Patients of a fold that tell when to stop."""
    names = np.unique(patients)
    if len(names) < _FEWEST_TO_VALIDATE or not settings.validation:
        return set()
    count = max(round(settings.validation * len(names)), 1)
    drawn = np.random.default_rng([settings.random_state, part]).permutation(names)
    return {str(name) for name in drawn[:count]}


def _plain(rows: NDArray[np.intp]) -> tuple[int, ...]:
    return tuple(int(row) for row in rows)
