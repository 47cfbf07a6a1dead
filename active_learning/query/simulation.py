"""The loop against known labels: does choosing beat chance, and by how much?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from active_learning.classifier.evaluation import accuracy, confusion_of, macro_f1
from active_learning.classifier.examples import take_rows
from active_learning.query.select_images import Pool, choose
from annotator.core.arrays import Floats
from annotator.core.errors import ModelError
from annotator.core.intervals import Estimate
from annotator.core.objects import BoolMask
from annotator.settings.learning import (
    COMMITTEE,
    UNCERTAINTY,
    QuerySettings,
    SimulateSettings,
)
from features.network import network_probabilities
from features.table import FeatureTable

Rows = NDArray[np.intp]

Learner = Callable[[Rows], Floats]
"""Trains on these rows with their true classes; probabilities of all rows, (M, 4)."""

TREPHINE, BY_COMMITTEE, RANDOM = "trephine", "committee", "random"
"""Images chosen where the classifier is unsure, where network and classifier disagree, by chance.

The names stand in files of earlier versions.
"""


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
        ``trephine``, ``committee`` or ``random``.
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

    @property
    def strategies(self) -> tuple[str, ...]:
        """Those that were played, in their order."""
        return tuple(dict.fromkeys(curve.strategy for curve in self.curves))

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

    def share_needed(self, strategy: str = TREPHINE) -> float | None:
        """Images that choosing takes to reach random's last macro-F1, as a share of random's.

        Read off the mean curves with straight lines between the rounds; None when it
        is never reached.
        """
        ours, random = self.mean(strategy), self.mean(RANDOM)
        needed = first_reach(ours.images, ours.macro_f1, random.macro_f1[-1])
        return None if needed is None else needed / random.images[-1]

    def gain(self, strategy: str, beside: str) -> Estimate:
        """What a strategy adds to the macro-F1 of another, as a mean over the rounds.

        Both were measured on the same held-out groups seed by seed, so the interval is that of
        the mean difference over seeds, by Student's t; None for a single seed. Held-out groups of
        different seeds overlap: the interval is rather too narrow than too wide.

        Parameters
        ----------
        strategy, beside : str
        """
        of = {(curve.strategy, curve.seed): float(np.mean(curve.macro_f1)) for curve in self.curves}
        seeds = sorted({curve.seed for curve in self.curves})
        return mean_with_interval([of[strategy, seed] - of[beside, seed] for seed in seeds])

    def text(self) -> str:
        """All curves as a table, and what they come to, a sentence a line."""
        means = [self.mean(strategy) for strategy in self.strategies]
        columns = "".join(f"{strategy:>11}" for strategy in self.strategies)
        width = len(columns)
        lines = [
            f"{'':6}{'macro-F1':^{width}}{'accuracy':^{width}}".rstrip(),
            f"{'images':>6}{columns}{columns}",
        ]
        figures = [mean.macro_f1 for mean in means] + [mean.accuracy for mean in means]
        for images, *row in zip(means[0].images, *figures, strict=True):
            lines.append(f"{images:6.0f}" + "".join(f"{figure:11.3f}" for figure in row))
        return "\n".join([*lines, *self.sentences()])

    def sentences(self) -> list[str]:
        """What the curves come to."""
        chosen = [strategy for strategy in self.strategies if strategy != RANDOM]
        found = [self.sentence(strategy) for strategy in chosen]
        if BY_COMMITTEE in chosen:
            found.append(self._committee_in_words())
        return found

    def sentence(self, strategy: str = TREPHINE) -> str:
        """What a strategy comes to beside drawing at random."""
        share, last = self.share_needed(strategy), self.mean(RANDOM).images[-1]
        who = "choosing by committee" if strategy == BY_COMMITTEE else "choosing"
        if share is None:
            return f"{who} did not reach the macro-F1 that {last:.0f} images at random give"
        return (
            f"{who} reaches the macro-F1 of {last:.0f} images at random "
            f"with {100 * share:.0f} % of them"
        )

    def _committee_in_words(self) -> str:
        gain = self.gain(BY_COMMITTEE, TREPHINE)
        start = f"the committee changes the macro-F1 by {gain.known:+.3f}"
        if gain.low is None or gain.high is None:
            return f"{start}: repeat it with more seeds before you trust that"
        verdict = "no difference that shows"
        if gain.low > 0 or gain.high < 0:
            verdict = "it pays" if gain.low > 0 else "it costs"
        return (
            f"{start} (95 % interval over {len({one.seed for one in self.curves})} seeds "
            f"{gain.low:+.3f} to {gain.high:+.3f}): {verdict}"
        )


def mean_with_interval(values: Sequence[float]) -> Estimate:
    """Mean with its 95 % interval by Student's t; no interval for fewer than two values.

    Parameters
    ----------
    values : sequence of float
        One or more.

    Examples
    --------
    >>> mean_with_interval([0.5])
    Estimate(value=0.5, low=None, high=None)
    >>> found = mean_with_interval([0.0, 1.0, 2.0])
    >>> round(found.known, 3), round(found.low, 3), round(found.high, 3)
    (1.0, -1.484, 3.484)
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean)
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    reach = float(student_t.ppf(0.975, len(values) - 1)) * error
    return Estimate(mean, mean - reach, mean + reach)


def simulate(
    known: Known,
    learn: Learner,
    settings: SimulateSettings,
    query: QuerySettings,
    on_step: Callable[[int, int], None] | None = None,
) -> Simulation:
    """Play the loop with each strategy on the same held-out groups, seed by seed.

    The committee plays where a segmentation network saw the objects.

    Parameters
    ----------
    known : Known
    learn : callable
        See :data:`Learner`.
    settings : SimulateSettings
    query : QuerySettings
        Its ``strategy`` is replaced by each in turn, its ``random_state`` by the seed of the run.
    on_step : callable, optional
        Told the runs done and all runs.

    Raises
    ------
    ModelError
        When there are fewer than two groups: one to learn from, one to measure on.
    """
    runs = list(product(range(settings.seeds), _strategies(known.table)))
    curves = []
    for done, (seed, strategy) in enumerate(runs, start=1):
        held_out = _held_out(known.groups, settings.held_out, seed)
        run_query = replace(_query_of(strategy, query), random_state=seed)
        curves.append(Curve(strategy, seed, *_play(known, learn, settings, run_query, held_out)))
        if on_step is not None:
            on_step(done, len(runs))
    return Simulation(tuple(curves))


def _strategies(table: FeatureTable) -> tuple[str, ...]:
    if network_probabilities(table) is None:
        return TREPHINE, RANDOM
    return TREPHINE, BY_COMMITTEE, RANDOM


def _query_of(strategy: str, query: QuerySettings) -> QuerySettings:
    # Chance is the same query with all images drawn: all strategies run the same code.
    if strategy == RANDOM:
        return replace(query, random_share=1.0)
    return replace(query, strategy=COMMITTEE if strategy == BY_COMMITTEE else UNCERTAINTY)


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
