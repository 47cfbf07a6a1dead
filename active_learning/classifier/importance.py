"""Which features a classifier leans on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learning.classifier.evaluation import confusion_of, macro_f1
from active_learning.classifier.examples import Examples, Index, subsample, take_rows
from active_learning.classifier.training import CrossFit
from active_learning.classifier.tuning import cores, in_threads
from annotator.core.progress import OnStep, silent
from annotator.settings.learning import TrainSettings
from features.table import FeatureTable

# Columns that are shuffled at a time: scaling and scoring a few rows takes longer to begin than
# to do.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Importance:
    """What a feature is worth on groups that were held out.

    Parameters
    ----------
    name : str
    loss : float
        Macro-F1 with the feature as it is minus with it permuted. About 0 for a feature
        that is of no use, or that others can replace: correlated ones are permuted one at
        a time, so that the loss is what this one alone holds.
    """

    name: str
    loss: float

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


def permutation_importance(
    examples: Examples,
    fitted: CrossFit,
    settings: TrainSettings,
    on_step: OnStep = silent,
    jobs: int | None = None,
) -> tuple[Importance, ...]:
    """Loss in macro-F1 when a feature is shuffled, largest first.

    Each part is judged by the model that has not seen it, on a sample of
    ``settings.importance_rows`` objects of all parts together. Values are shuffled among
    the objects of a part.

    Parameters
    ----------
    examples : Examples
        That `fitted` was made from.
    fitted : CrossFit
    settings : TrainSettings
    on_step : callable
        Called with what is being done, how much of it is done, and how much there is.
    jobs : int or None
        Threads; None takes all processors.

    References
    ----------
    Breiman, "Random forests", Machine Learning 45 (2001) 5-32, section 10.
    """
    rows = subsample(examples.codes, settings.importance_rows, settings.random_state)
    seen, parts = examples.take(rows), fitted.folds.part[rows]
    names = examples.table.names
    order = _shuffle(parts, settings.random_state)

    def score(columns: Sequence[int]) -> list[float]:
        return _macro_f1(seen, parts, fitted, columns, order)

    # Column -1: none is shuffled.
    columns = list(range(-1, len(names)))
    tasks = [columns[at : at + _AT_ONCE] for at in range(0, len(columns), _AT_ONCE)]

    def report(done: int) -> None:
        on_step("importance", min(done * _AT_ONCE, len(columns)), len(columns))

    found = in_threads(score, tasks, cores() if jobs is None else jobs, report)
    intact, *shuffled = [f1 for some in found for f1 in some]
    importances = [Importance(name, intact - f1) for name, f1 in zip(names, shuffled, strict=True)]
    return tuple(sorted(importances, key=lambda importance: -importance.loss))


def _shuffle(parts: Index, seed: int) -> Index:
    """Another row of the same part for each row.

    Within a part: between parts the model changes, and so would what a value means to it.
    """
    generator = np.random.default_rng(seed)
    order = np.arange(len(parts))
    for part in np.unique(parts):
        rows = np.flatnonzero(parts == part)
        order[rows] = generator.permutation(rows)
    return order


def _macro_f1(
    examples: Examples, parts: Index, fitted: CrossFit, columns: Sequence[int], order: Index
) -> list[float]:
    """Macro-F1 with each of some columns shuffled; -1 shuffles none."""
    predicted: NDArray[np.uint8] = np.zeros((len(columns), len(examples)), np.uint8)
    for part, model in enumerate(fitted.models):
        rows = np.flatnonzero(parts == part)
        shuffled = _shuffled(examples.table, rows, columns, order)
        given = model.probabilities(shuffled).argmax(axis=1)
        predicted[:, rows] = given.reshape(len(columns), len(rows))
    return [float(macro_f1(confusion_of(examples.codes, codes))) for codes in predicted]


def _shuffled(
    table: FeatureTable, rows: Index, columns: Sequence[int], order: Index
) -> FeatureTable:
    """Some rows of a table below one another, once for each column, which is shuffled in it."""
    stack = np.repeat(table.X[rows][None], len(columns), axis=0)
    for values, column in zip(stack, columns, strict=True):
        if column >= 0:
            values[:, column] = table.X[order[rows], column]
    several = take_rows(table, np.tile(rows, len(columns)))
    return replace(several, X=stack.reshape(len(several), -1))
