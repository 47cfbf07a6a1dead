"""Corrected masks on their way into ``truth/``, wherever they came from, and the report of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from annotator.core.class_areas import class_areas
from annotator.core.errors import StudyError
from annotator.core.files import write_atomic
from annotator.core.label_maps import LabelMaps
from annotator.evaluation.corrections import Correction, compare_maps
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from annotator.study.truth import TruthFiles, TruthStore, truth_files
from export.cvat.client.server import Comment
from export.cvat.pull_report import EMPTY, PulledImage, PullReport, pull_text


@dataclass(frozen=True, slots=True, eq=False)
class PackedImage:
    """An image that is read, painted and compared, packed until it is written.

    Parameters
    ----------
    image : KnownImage
    files : TruthFiles
    painted_px : int
        0 where nothing is painted: nothing is written then.
    areas_px, tied_px, unused, correction, comments, job_id
        See :class:`export.cvat.pull_report.PulledImage`.
    notes : list of str
        May still grow.
    """

    image: KnownImage
    files: TruthFiles
    painted_px: int
    areas_px: Mapping[str, int]
    tied_px: int
    unused: Mapping[str, int]
    correction: Correction | None
    notes: list[str] = field(default_factory=list)
    comments: tuple[Comment, ...] = ()
    job_id: int | None = None


def make_ready(
    image: KnownImage,
    stitched: LabelMaps,
    against: LabelMaps | None,
    tied_px: int = 0,
    unused: Mapping[str, int] | None = None,
) -> PackedImage:
    """Compare a corrected mask with what was sent, where that is known, and pack it.

    Raises
    ------
    StudyError
        When it has more instances than a file can hold.
    """
    areas = class_areas(stitched.classes)
    painted_px = stitched.classes.size - areas["unlabelled"]
    correction = None
    if painted_px and against is not None:
        correction = compare_maps(
            against.classes, against.instances, stitched.classes, stitched.instances
        )
    files = truth_files(stitched)
    return PackedImage(image, files, painted_px, areas, tied_px, unused or {}, correction)


def sent_map(study: Study, image: KnownImage) -> tuple[LabelMaps | None, list[str]]:
    """The map that corrections are counted against, and what a person has to know of it.

    What was sent to a server; where that is not known, the rough annotation as it lies there.
    """
    notes = []
    try:
        baseline = study.cvat.baseline(image.id)
        if baseline is not None:
            return baseline, []
    except StudyError as error:
        notes.append(f"compared with the rough annotation: {error}")
    if study.rough.annotation(image) is None:
        return None, notes
    try:
        return study.rough.read(image), notes
    except StudyError as error:
        return None, [f"not compared: {error}"]


def save(store: TruthStore, one: PackedImage) -> PulledImage:
    """Write a corrected mask, unless nothing is painted on it."""
    name = one.image.name
    status, kept, notes = EMPTY, None, list(one.notes)
    if one.painted_px:
        saved = store.save(name, one.files)
        status, kept = saved.status, saved.earlier_copy
    elif store.exists(name):
        notes.append("nothing is painted on it any more; the earlier mask stays")
    return PulledImage(
        name,
        status,
        kept,
        one.areas_px,
        one.tied_px,
        one.unused,
        one.correction,
        tuple(notes),
        one.comments,
        one.job_id,
    )


def write_report(study: Study, report: PullReport) -> PullReport:
    """Write a report as JSON, and as text beside it."""
    now = datetime.now(UTC)
    path = study.path / "report" / f"pull-{now.strftime('%Y%m%dT%H%M%S.%fZ')}.json"
    time = now.isoformat(timespec="seconds")
    document = {"time": time} | report.to_dict()
    write_atomic(path.with_suffix(".md"), pull_text(report, time).encode())
    write_atomic(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    return replace(report, path=path)
