"""A process that learns from drawn examples, step by step; see bench_learning.py.

Whose code learns, PYTHONPATH says. The examples are read from the file that is the argument.
One line comes in, the name of a step; one line of JSON goes out.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from typing import Any

import numpy as np

# Where things lay in the earlier commit, and where they lie today.
PLACES = {
    "Examples": ("active_learning.examples", "active_learning.classifier.examples"),
    "TrainSettings": ("active_learning.train_settings", "annotator.settings.learning"),
    "FeatureTable": ("features.table", "features.table"),
    "cross_fit": ("active_learning.training", "active_learning.classifier.training"),
    "fit": ("active_learning.training", "active_learning.classifier.training"),
    "permutation_importance": (
        "active_learning.importance",
        "active_learning.classifier.importance",
    ),
    "confusion_of": ("active_learning.evaluation", "active_learning.classifier.evaluation"),
    "macro_f1": ("active_learning.evaluation", "active_learning.classifier.evaluation"),
}


def found(name: str) -> Any:
    """Something of the code that learns, by its name."""
    earlier, today = PLACES[name]
    try:
        return getattr(import_module(today), name)
    except ModuleNotFoundError:
        return getattr(import_module(earlier), name)


class LearningSteps:
    """What a round of learning does, one step a time."""

    def __init__(self, path: str) -> None:
        with np.load(path) as drawn:
            self.drawn = dict(drawn)
        self.settings = found("TrainSettings")()
        self.examples = self._examples(self.drawn["X"], self.drawn["weights"])
        self.crossed: Any = None

    def _examples(self, X: Any, weights: Any) -> Any:
        ids = np.arange(1, len(X) + 1, dtype=np.int32)
        names = tuple(f"f{number}" for number in range(X.shape[1]))
        table = found("FeatureTable")(self.drawn["images"], ids, X, names, "drawn")
        return found("Examples")(table, self.drawn["codes"], self.drawn["groups"], weights)

    def cross_fit(self) -> dict[str, float]:
        """One tuned and calibrated model for each held-out part."""
        self.crossed = found("cross_fit")(self.examples, self.settings, jobs=1)
        return self._figures(self.crossed.probabilities)

    def fit(self) -> dict[str, float]:
        """The model that is kept."""
        model = found("fit")(self.examples, self.settings, jobs=1)
        return self._figures(model.probabilities(self.examples.table))

    def importance(self) -> dict[str, float]:
        """Each feature shuffled."""
        losses = found("permutation_importance")(self.examples, self.crossed, self.settings, jobs=1)
        return {"largest loss": losses[0].loss}

    def published(self) -> dict[str, float]:
        """The published classifier on the same parts."""
        settings = found("TrainSettings")(classifier="bambo")
        crossed = found("cross_fit")(self._examples(self.drawn["seven"], None), settings, jobs=1)
        return self._figures(crossed.probabilities)

    def _figures(self, probabilities: Any) -> dict[str, float]:
        codes = self.examples.codes
        given = probabilities.argmax(axis=1).astype(np.uint8)
        f1 = found("macro_f1")(found("confusion_of")(codes, given))
        return {"accuracy": float((given == codes).mean()), "macro-F1": float(f1)}


def main() -> None:
    """Serve until there are no more lines."""
    steps = LearningSteps(sys.argv[1])
    for line in sys.stdin:
        before = time.process_time()
        figures = getattr(steps, line.strip())()
        seconds = time.process_time() - before
        print(json.dumps({"cpu": seconds, "figures": figures}), flush=True)
    # skops and scikit-learn take a second to be taken apart.
    os._exit(0)


if __name__ == "__main__":
    main()
