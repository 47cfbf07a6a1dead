"""When more rounds of labelling stop paying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from annotator.core.intervals import Estimate

# Two rounds in a row have to change nothing, and they are compared with the one before: one
# round without a change can be chance.
_NEEDED = 3

State = Literal["too few rounds", "paying", "worse", "not paying"]


@dataclass(frozen=True, slots=True)
class RoundFigures:
    """Figures of one round on the held-out images.

    Parameters
    ----------
    macro_f1 : Estimate
        Mean F1 over the classes.
    cellularity : Estimate or None
        Mean over the held-out images; None where no held-out image has a cellularity.
    """

    macro_f1: Estimate
    cellularity: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to go on.

    Parameters
    ----------
    state : str
        ``too few rounds``, ``paying``, ``worse`` or ``not paying``.
    words : str
        The same for a person, with the figures it rests on.
    """

    state: State
    words: str


def is_paying(rounds: Sequence[RoundFigures]) -> Verdict:
    """Say whether another round of labelling is likely to change anything.

    More rounds are not paying when the last two left both the held-out macro-F1 and
    the cellularity within the intervals that they had before these two. Both rounds
    are compared with that one round, so that a slow rise, each step of which lies
    within the interval of the step before, still counts as paying.

    Parameters
    ----------
    rounds : sequence of RoundFigures
        All rounds on one and the same held-out images, in order.

    Examples
    --------
    >>> flat = RoundFigures(Estimate(0.95, 0.93, 0.97))
    >>> is_paying([flat, flat, flat]).state
    'not paying'
    >>> is_paying([flat, flat]).state
    'too few rounds'
    """
    usable = [figures for figures in rounds if _known(figures.macro_f1)]
    if len(usable) < _NEEDED:
        return Verdict(
            "too few rounds",
            f"{len(usable)} of the {_NEEDED} rounds with held-out figures that it takes "
            "to tell whether more rounds pay: go on",
        )
    # Both against the round before these two: compared step by step, a slow rise looks flat.
    before, *last = usable[-_NEEDED:]
    f1 = [figures.macro_f1 for figures in (before, *last)]
    if _below(f1[-1], f1[0]):
        return Verdict(
            "worse",
            f"the held-out macro-F1 fell beyond its interval ({_trend(f1)}): look at the "
            "doubtful labels before you label more",
        )
    changed = _changed(before, last)
    if changed:
        return Verdict("paying", f"the last two rounds still changed the {changed}: go on")
    same = "macro-F1" if before.cellularity is None else "macro-F1 and the cellularity"
    return Verdict(
        "not paying",
        f"more rounds are not paying: the last two changed the held-out {same} by less "
        f"than their intervals (macro-F1 {_trend(f1)})",
    )


def _changed(before: RoundFigures, last: Sequence[RoundFigures]) -> str:
    """Which figure left its interval, in words; empty when none did."""
    f1 = [figures.macro_f1 for figures in last]
    if not all(_holds(before.macro_f1, figures) for figures in f1):
        return f"held-out macro-F1 ({_trend([before.macro_f1, *f1])})"
    base = before.cellularity
    later = [figures.cellularity for figures in last if figures.cellularity is not None]
    if base is not None and _known(base) and not all(_holds(base, figures) for figures in later):
        return f"cellularity ({_trend([base, *later])})"
    return ""


def _known(score: Estimate) -> bool:
    """Whether there is an interval to compare with: one group alone has none."""
    return score.low is not None and score.high is not None


def _holds(before: Estimate, after: Estimate) -> bool:
    """Whether the later value lies in the earlier interval, its ends included."""
    return not _below(after, before) and not _above(after, before)


def _above(after: Estimate, before: Estimate) -> bool:
    return before.high is not None and after.known > before.high


def _below(after: Estimate, before: Estimate) -> bool:
    return before.low is not None and after.known < before.low


def _trend(figures: Sequence[Estimate]) -> str:
    """Values one after the other, and the interval of the first."""
    values = " → ".join(f"{estimate.known:.3f}" for estimate in figures)
    return f"{values}; interval at first {figures[0].low:.3f}-{figures[0].high:.3f}"
