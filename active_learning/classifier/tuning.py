"""Hyper-parameters by grouped cross-validation on a bounded sample.

The time of an SVC grows with the square of its objects and more, so that the search sees
``search_rows`` of them at most; the model is then fitted on ``fit_rows``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from active_learning.classifier.decision import predicted
from active_learning.classifier.evaluation import accuracy, confusion_of, macro_f1
from active_learning.classifier.examples import CLASSES, Examples, subsample
from active_learning.classifier.folds import inner_folds
from active_learning.classifier.gaussian_kernel import gaussian_kernel, kernel_matrix
from active_learning.classifier.svm import SvmParameters, finite, machine, scaler
from annotator.core.progress import OnStep
from annotator.settings.learning import TrainSettings

T = TypeVar("T")

# Coarse steps on a logarithmic scale, around what scaled features usually ask for.
COSTS = (1.0, 5.0, 25.0)
REACHES = (0.1, 0.3, 1.0)


@dataclass(frozen=True, slots=True)
class Tried:
    """Hyper-parameters, and their figures on objects that they were not fitted on.

    Parameters
    ----------
    choice : SvmParameters
    accuracy, macro_f1 : float
    """

    choice: SvmParameters
    accuracy: float
    macro_f1: float

    @property
    def score(self) -> float:
        """Mean of both: of macro-F1 alone, a handful of rare objects would decide."""
        return (self.accuracy + self.macro_f1) / 2

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self.choice) | {"accuracy": self.accuracy, "macro_f1": self.macro_f1}


def tune(
    examples: Examples, settings: TrainSettings, on_step: OnStep, jobs: int
) -> tuple[Tried, ...]:
    """Try hyper-parameters; the best first, equals in the order of the grid.

    First a grid of cost and reach, then balanced class weights at its best point.
    Figures are of all held-out objects together. The published classifier has nothing
    to tune.

    Raises
    ------
    ValueError
        When a class has one object alone.
    """
    if settings.classifier == "bambo":
        return ()
    seen = examples.take(subsample(examples.codes, settings.search_rows, settings.random_state))
    trial = _Trial(seen, settings)
    total = len(COSTS) * len(REACHES) + 1
    grid = [SvmParameters(cost, reach) for cost, reach in product(COSTS, REACHES)]
    tried = trial.scores(grid, lambda done: on_step("tuning", done, total), jobs)
    best = max(tried, key=lambda trial_result: trial_result.score)
    # Only at the best point: on the whole grid it would cost as much again.
    tried += trial.scores([replace(best.choice, balanced=True)], lambda _: None, jobs)
    on_step("tuning", total, total)
    return tuple(sorted(tried, key=lambda trial_result: -trial_result.score))


class _Trial:
    """Folds with their features scaled once for all hyper-parameters."""

    def __init__(self, examples: Examples, settings: TrainSettings) -> None:
        self.examples, self.settings = examples, settings
        folds = inner_folds(examples.codes, examples.groups, settings.inner_folds)
        self.parts = [self._scaled(*split) for split in folds.splits()]

    def _scaled(self, train: NDArray[Any], test: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        # Fitted on the training part alone: medians of all objects would know the held-out ones.
        X = finite(self.examples.table.X)
        steps = scaler(self.settings, self.examples.table.names).fit(X[train])
        return train, test, steps.transform(X[train]), steps.transform(X[test])

    def scores(
        self, choices: Sequence[SvmParameters], on_done: Callable[[int], None], jobs: int
    ) -> list[Tried]:
        # One kernel serves all choices of one reach on a part, whatever they cost.
        reaches = list(dict.fromkeys(choice.reach for choice in choices))
        alike = [[choice for choice in choices if choice.reach == reach] for reach in reaches]
        tasks = [(part, group) for group in alike for part in self.parts]
        found = in_threads(
            self._confusions, tasks, jobs, lambda n: on_done(n * len(choices) // len(tasks))
        )
        # Confusions add up over the folds; the F1 of a rare class may not exist in a single one.
        sums = {choice: np.zeros((CLASSES, CLASSES), np.int64) for choice in choices}
        for (_, group), matrices in zip(tasks, found, strict=True):
            for choice, matrix in zip(group, matrices, strict=True):
                sums[choice] += matrix
        return [
            Tried(choice, float(accuracy(matrix)), float(macro_f1(matrix)))
            for choice, matrix in sums.items()
        ]

    def _confusions(
        self, task: tuple[tuple[NDArray[Any], ...], Sequence[SvmParameters]]
    ) -> list[NDArray[np.int64]]:
        """Confusions on the held-out objects of a part, of choices with the same reach."""
        (train, test, train_X, test_X), choices = task
        codes, weights = self.examples.codes, self.examples.weights
        gamma = machine(choices[0], train_X.shape[1], self.settings).gamma
        seen = kernel_matrix(train_X, gamma)
        asked = gaussian_kernel(test_X, train_X, gamma)
        found = []
        for choice in choices:
            svc = machine(choice, train_X.shape[1], self.settings).set_params(kernel="precomputed")
            svc.fit(seen, codes[train], None if weights is None else weights[train])
            found.append(confusion_of(codes[test], predicted(svc, asked)))
        return found


S = TypeVar("S")


def in_threads(
    run: Callable[[S], T], tasks: Sequence[S], jobs: int, on_done: Callable[[int], None]
) -> list[T]:
    """Results in the order of the tasks. libsvm lets go of the interpreter while it works."""
    results = []
    with ThreadPoolExecutor(max_workers=max(jobs, 1)) as pool:
        for result in pool.map(run, tasks):
            results.append(result)
            on_done(len(results))
    return results


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
