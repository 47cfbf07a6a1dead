"""How far a study is, in a few numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from annotator.study.study import Study


@dataclass(frozen=True, slots=True)
class StudyOverview:
    """What a study holds.

    Parameters
    ----------
    images, left_out : int
        In the study, and of these excluded or removed.
    drafts, corrected : int
        Images with a draft, and with a corrected mask in ``truth/``.
    labels : dict of str to int
        Labels of single objects ever given, by source: ``seed``, ``person``, ``truth``.
    round : int or None
        Whose model is in use; None before the first round of learning.
    """

    images: int
    left_out: int
    drafts: int
    corrected: int
    labels: dict[str, int]
    round: int | None

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


def overview(study: Study) -> StudyOverview:
    """Count what a study holds; reads only.

    Raises
    ------
    ModelError
        When a newer Trephine made its current round.
    """
    every, counted = study.all_images(), study.images()
    current = study.rounds.current()
    return StudyOverview(
        len(every),
        len(every) - len(counted),
        sum(study.rough.annotation(image) is not None for image in every),
        sum((study.path / "truth" / f"{image.name}.png").exists() for image in every),
        dict(sorted(Counter(label.source for label in study.labels.all()).items())),
        None if current is None else current.index,
    )
