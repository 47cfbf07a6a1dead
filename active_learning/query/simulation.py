"""The loop against known labels: does choosing beat chance, and by how much?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from active_learning.classifier.evaluation import accuracy, confusion_of, macro_f1
from active_learning.classifier.examples import take_rows
from active_learning.query.select_images import Pool, choose
from annotator.core.arrays import Floats
from annotator.core.errors import ModelError
from annotator.core.objects import BoolMask
from annotator.settings.learning import QuerySettings, SimulateSettings
from features.table import FeatureTable

Rows = NDArray[np.intp]

Learner = Callable[[Rows], Floats]
"""Trains on these rows with their true classes; probabilities of all rows, (M, 4)."""

STRATEGIES = ("trephine", "random")


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Objects whose true classes are known.

    Parameters
    ----------
    table : FeatureTable
        M objects.
    areas : (M,) float64
        Pixels.
    codes : (M,) uint8
        True classes; more than 3 for objects that are mixed: neither trained on nor
        measured, but chosen with their image.
    groups : (M,) str
        Patients; never on both sides.
    start : (M, 4) float64
        Probabilities before anything is labelled.
    """

    table: FeatureTable
    areas: Floats
    codes: NDArray[np.uint8]
    groups: NDArray[np.str_]
    start: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """How one run went.

    Parameters
    ----------
    strategy : str
        ``trephine`` or ``random``.
    seed : int
    images, objects : tuple of int
        Labelled after each round.
    macro_f1, accuracy : tuple of float
        On the held-out groups after each round, 0..1.
    """

    strategy: str
    seed: int
    images: tuple[int, ...]
    objects: tuple[int, ...]
    macro_f1: tuple[float, ...]
    accuracy: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MeanCurve:
    """A strategy over all seeds: means after each round."""

    images: tuple[float, ...]
    macro_f1: tuple[float, ...]
    accuracy: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """All runs of a simulation."""

    curves: tuple[Curve, ...]

    def mean(self, strategy: str) -> MeanCurve:
        """Mean over the seeds; rounds that not every seed had images for are left out."""
        runs = [curve for curve in self.curves if curve.strategy == strategy]

        def over_seeds(rows: list[tuple[float, ...]]) -> tuple[float, ...]:
            return tuple(float(np.mean(column)) for column in zip(*rows, strict=False))

        return MeanCurve(
            over_seeds([curve.images for curve in runs]),
            over_seeds([curve.macro_f1 for curve in runs]),
            over_seeds([curve.accuracy for curve in runs]),
        )

    def share_needed(self) -> float | None:
        """Images that choosing takes to reach random's last macro-F1, as a share of random's.

        Read off the mean curves with straight lines between the rounds; None when it
        is never reached.
        """
        ours, random = self.mean("trephine"), self.mean("random")
        needed = first_reach(ours.images, ours.macro_f1, random.macro_f1[-1])
        return None if needed is None else needed / random.images[-1]

    def text(self) -> str:
        """Both curves as a table, and what they come to in one sentence."""
        ours, random = self.mean("trephine"), self.mean("random")
        lines = [
            f"{'':8}{'macro-F1':^22}{'accuracy':^22}",
            f"{'images':>6}  {'trephine':>10} {'random':>10} {'trephine':>11} {'random':>10}",
        ]
        for row in zip(
            ours.images, ours.macro_f1, random.macro_f1, ours.accuracy, random.accuracy, strict=True
        ):
            images, *figures = row
            cells = "  ".join(f"{figure:9.3f}" for figure in figures)
            lines.append(f"{images:6.0f}  {cells}")
        return "\n".join([*lines, self.sentence()])

    def sentence(self) -> str:
        """What the curves come to."""
        share, last = self.share_needed(), self.mean("random").images[-1]
        if share is None:
            return f"choosing did not reach the macro-F1 that {last:.0f} images at random give"
        return (
            f"choosing reaches the macro-F1 of {last:.0f} images at random "
            f"with {100 * share:.0f} % of them"
        )


def simulate(
    known: Known,
    learn: Learner,
    settings: SimulateSettings,
    query: QuerySettings,
    on_step: Callable[[int, int], None] | None = None,
) -> Simulation:
    """Play the loop with both strategies on the same held-out groups, seed by seed.

    Parameters
    ----------
    known : Known
    learn : callable
        See :data:`Learner`.
    settings : SimulateSettings
    query : QuerySettings
        Its ``random_state`` is replaced by the seed of the run.
    on_step : callable, optional
        Told the runs done and all runs.

    Raises
    ------
    ModelError
        When there are fewer than two groups: one to learn from, one to measure on.
    """
    runs = list(product(range(settings.seeds), STRATEGIES))
    curves = []
    for done, (seed, strategy) in enumerate(runs, start=1):
        held_out = _held_out(known.groups, settings.held_out, seed)
        run_query = replace(query, random_state=seed)
        # Chance is the same query with all images drawn: both strategies run the same code.
        if strategy == "random":
            run_query = replace(run_query, random_share=1.0)
        curves.append(Curve(strategy, seed, *_play(known, learn, settings, run_query, held_out)))
        if on_step is not None:
            on_step(done, len(runs))
    return Simulation(tuple(curves))


def _held_out(groups: NDArray[np.str_], share: float, seed: int) -> BoolMask:
    """Objects of about this share of the groups, drawn at random; some on either side."""
    names = np.unique(groups)
    if len(names) < 2:
        raise ModelError(
            f"expected two or more groups, so that one can be held out, got {len(names)}; "
            "add images of another patient"
        )
    count = min(max(1, round(share * len(names))), len(names) - 1)
    drawn = np.random.default_rng(seed).permutation(names)[:count]
    return np.asarray(np.isin(groups, drawn), np.bool_)


def _play(
    known: Known,
    learn: Learner,
    settings: SimulateSettings,
    query: QuerySettings,
    held_out: BoolMask,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...], tuple[float, ...]]:
    """One run: images, objects, macro-F1 and accuracy after each round."""
    pool = np.flatnonzero(~held_out)
    labelled = np.zeros(len(held_out), np.bool_)
    images, objects, f1_scores, accuracies = [], [], [], []
    probabilities = known.start
    for _ in range(settings.rounds):
        chosen = choose(_pool(known, pool, probabilities, labelled), settings.batch, query)
        if not chosen:
            break
        labelled |= np.isin(known.table.image_ids, [one.image_id for one in chosen])
        # Mixed objects cost their image, and teach nothing.
        rows = np.flatnonzero(labelled & (known.codes < 4))
        # A first batch without two classes teaches nothing: the start goes on.
        if len(np.unique(known.codes[rows])) > 1:
            probabilities = learn(rows)
        matrix = _measure(known, held_out, probabilities)
        images.append(len(np.unique(known.table.image_ids[labelled])))
        objects.append(len(rows))
        f1_scores.append(float(macro_f1(matrix)))
        accuracies.append(float(accuracy(matrix)))
    return tuple(images), tuple(objects), tuple(f1_scores), tuple(accuracies)


def _pool(known: Known, rows: Rows, probabilities: Floats, labelled: BoolMask) -> Pool:
    return Pool(
        take_rows(known.table, rows), probabilities[rows], known.areas[rows], labelled[rows]
    )


def _measure(known: Known, held_out: BoolMask, probabilities: Floats) -> NDArray[np.int64]:
    rows = held_out & (known.codes < 4)
    return confusion_of(known.codes[rows], probabilities[rows].argmax(axis=1).astype(np.uint8))


def first_reach(
    images: tuple[float, ...], figures: tuple[float, ...], target: float
) -> float | None:
    """Images at which a curve first reaches a figure, on straight lines between its points.

    Examples
    --------
    >>> first_reach((10, 20, 30), (0.5, 0.75, 1.0), 0.875)
    25.0
    >>> first_reach((10, 20), (0.5, 0.7), 0.8) is None
    True
    """
    for index, (count, figure) in enumerate(zip(images, figures, strict=True)):
        if figure < target:
            continue
        if index == 0:
            return float(count)
        before, low = images[index - 1], figures[index - 1]
        return float(before + (count - before) * (target - low) / (figure - low))
    return None
