"""Labels that the model disputes, with a picture of each object, as a table to correct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learning.classifier.examples import take_rows
from active_learning.query.confident_learning import LabelError, find_doubts
from active_learning.rounds.contact_sheets import ShownObject, examples
from active_learning.rounds.current_classifier import must_fit, trained_model
from active_learning.rounds.dataset import (
    LearningSet,
    StudyObjects,
    labelled_objects,
    learning_set,
)
from annotator.core.classes import CLASS_NAMES
from annotator.core.csv import write_table
from annotator.core.errors import UsageError
from annotator.core.files import write_atomic
from annotator.core.labels import Label
from annotator.core.progress import OnStep
from annotator.imaging.codecs import encode_rgb_png
from annotator.pictures.object_sheets import cluster_sheet
from annotator.study.rounds import Round
from annotator.study.study import Study

COUNT = 100
_A_PAGE = 48
_COLUMNS = (
    *("rank", "image", "object", "class", "author", "source", "suggested", "score", "why", "cvat"),
)


@dataclass(frozen=True, slots=True)
class SuspectLabel:
    """A label that somebody should look at again.

    Parameters
    ----------
    rank : int
        From 1, the most suspicious first; it stands below its picture.
    image, image_id : str
        Name in the study, and id.
    object_id : int
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1``.
    given, suggested : str
        Classes.
    author, source : str
        Of the label.
    score : float
        0..1.
    why : str
    cvat : str or None
        The page of CVAT on which its image is annotated; None where it is not there.
    """

    rank: int
    image: str
    image_id: str
    object_id: int
    box: tuple[int, int, int, int]
    given: str
    suggested: str
    author: str
    source: str
    score: float
    why: str
    cvat: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LabelErrorsReport:
    """The doubtful labels, and where they are shown.

    Parameters
    ----------
    rows : tuple of SuspectLabel
    disputed, labels : int
        All disputed labels, of all labels that were looked at.
    unjudged : int
        Labels for which there is no figure from a model that has not seen them.
    table : Path
        Can be corrected and imported: its columns are those of labels.
    sheets : tuple of Path
    """

    rows: tuple[SuspectLabel, ...]
    disputed: int
    labels: int
    unjudged: int
    table: Path
    sheets: tuple[Path, ...]


def find_label_errors(study: Study, count: int, on_step: OnStep) -> LabelErrorsReport:
    """List disputed labels, and write table and pictures into ``report/doubts/``.

    Parameters
    ----------
    study : Study
    count : int
        How many at most.
    on_step : callable
        Called with what is being done, how much of it is done, and how much there is.

    Raises
    ------
    UsageError
        When the count is below 1, or there has been no round yet.
    ModelError
        When the model of the current round is damaged or does not fit.
    """
    if count < 1:
        raise UsageError(f"expected a count of 1 or more, got {count}")
    round_ = study.rounds.current()
    if round_ is None:
        raise UsageError(
            f"{study.path}: expected a round of learning, got none; run trephine retrain first"
        )
    with study.writing():
        objects = labelled_objects(study)
        learned = learning_set(study, objects, "both")
        probabilities = unseen_probabilities(study, round_, learned)
        table = learned.examples.table
        errors = find_doubts(
            table.image_ids, table.object_ids, learned.examples.codes, probabilities
        )
        rows = _rows(study, objects, learned, errors[:count])
        paths = _write(study, rows, on_step)
    unjudged = int(np.isnan(probabilities).any(axis=1).sum())
    return LabelErrorsReport(rows, len(errors), len(learned), unjudged, paths[0], paths[1:])


def unseen_probabilities(study: Study, round_: Round, learned: LearningSet) -> NDArray[np.float64]:
    """Probabilities of each labelled object from a model that has not seen its patient.

    For objects that the round knew, from its files: of its folds, and of the patients that it
    held out. For patients that are new since then, from its model.

    Parameters
    ----------
    study : Study
    round_ : Round
    learned : LearningSet
        M labelled objects of today.

    Returns
    -------
    (M, 4) float64
        NaN for objects of the round's patients that were labelled since.

    Raises
    ------
    ModelError
        When the objects have other features than the round, or the probabilities of its folds
        are missing or damaged, or its model is and there are new patients.
    """
    must_fit(round_, learned.examples.table.fingerprint)
    kept = study.rounds.read_out_of_fold(round_.index).by_key()
    held_out = study.rounds.read_held_out(round_.index)
    if held_out is not None:
        kept |= held_out.by_key()
    probabilities = np.full((len(learned), len(CLASS_NAMES)), np.nan)
    for row, label in enumerate(learned.labels):
        known = kept.get((label.image_id, label.mask_key))
        if known is not None:
            probabilities[row] = known
    unknown = np.isnan(probabilities).any(axis=1)
    new = unknown & ~np.isin(learned.examples.groups, list(round_.groups))
    if new.any():
        table = take_rows(learned.examples.table, np.flatnonzero(new))
        probabilities[new] = trained_model(study, round_).probabilities(table)
    return probabilities


def _rows(
    study: Study, objects: StudyObjects, learned: LearningSet, errors: Sequence[LabelError]
) -> tuple[SuspectLabel, ...]:
    names = {image.id: image.name for image in study.all_images()}
    labels: dict[tuple[str, int], Label] = {label.key: label for label in learned.labels}
    row_of, boxes = objects.rows(), objects.boxes.tolist()
    pages = study.cvat.frame_urls()
    return tuple(
        SuspectLabel(
            rank,
            names[error.image_id],
            error.image_id,
            error.object_id,
            tuple(boxes[row_of[error.image_id, error.object_id]]),
            CLASS_NAMES[error.given],
            CLASS_NAMES[error.suggested],
            labels[error.image_id, error.object_id].author,
            labels[error.image_id, error.object_id].source,
            round(error.score, 4),
            error.why,
            pages.get(error.image_id),
        )
        for rank, error in enumerate(errors, start=1)
    )


def _write(study: Study, rows: Sequence[SuspectLabel], on_step: OnStep) -> tuple[Path, ...]:
    """The table first, then the sheets; older sheets go."""
    folder = study.path / "report" / "doubts"
    table = folder / "doubts.csv"
    write_atomic(table, doubts_csv(rows))
    colours = study.settings.classes
    shown = [
        ShownObject(
            (row.image_id, row.object_id),
            colours.rgb(row.given),
            f"{row.rank}: {row.given}, {row.suggested}?",
        )
        for row in rows
    ]
    tiles = examples(study, shown, on_step)
    paths = [table]
    for page in range(-(-len(rows) // _A_PAGE)):
        part = rows[page * _A_PAGE : (page + 1) * _A_PAGE]
        title = (
            f"doubtful labels {part[0].rank}-{part[-1].rank}: the label, and what the model sees"
        )
        sheet = cluster_sheet(title, [("", [tiles[r.image_id, r.object_id] for r in part])])
        paths.append(folder / f"sheet-{page + 1}.png")
        write_atomic(paths[-1], encode_rgb_png(sheet))
    for old in folder.glob("sheet-*.png"):
        if old not in paths:
            old.unlink(missing_ok=True)
    return tuple(paths)


def doubts_csv(rows: Sequence[SuspectLabel]) -> bytes:
    """The table of disputed labels: columns as labels have them, so that it can be imported."""
    cells = (
        (
            *(r.rank, r.image, r.object_id, r.given, r.author, r.source),
            *(r.suggested, r.score, r.why, r.cvat),
        )
        for r in rows
    )
    return write_table(_COLUMNS, cells)
