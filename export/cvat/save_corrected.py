"""Compare corrected maps with what was sent, write them into ``truth/``, and report it.

Both ways of a correction end here: a CVAT server (:mod:`export.cvat.pull_server`) and an
exported archive (:mod:`export.cvat.pull_archive`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from annotator.core.class_areas import class_areas
from annotator.core.errors import StudyError
from annotator.core.files import write_atomic
from annotator.core.label_maps import LabelMaps
from annotator.core.objects import BoolMask
from annotator.evaluation.corrections import Correction, compare_maps
from annotator.segmentation.outside_black import leave_open
from annotator.study.excluded_area import ExcludedArea, without_excluded
from annotator.study.excluded_regions import PULLED
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from annotator.study.truth import TruthFiles, TruthStore, truth_files
from export.cvat.client.server import Comment
from export.cvat.pull_report import EMPTY, PulledImage, PullReport, pull_text


@dataclass(frozen=True, slots=True, eq=False)
class PackedImage:
    """A corrected map that was compared, compressed until it is written.

    All images of an archive are held at once before the first is written; as PNG they take
    far less memory than as arrays.

    Parameters
    ----------
    image : KnownImage
    files : TruthFiles
        Classes and instances as PNG.
    painted_px : int
        Pixels that have a class; where it is 0, nothing is written.
    areas_px, tied_px, unused, correction, comments, job_id
        See :class:`export.cvat.pull_report.PulledImage`.
    notes : list of str
        The caller may add to it.
    excluded : (H, W) bool or None
        What was drawn as excluded; None where nothing was.
    earlier : ExcludedArea or None
        What the study excludes of the image already.
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
    excluded: BoolMask | None = None
    earlier: ExcludedArea | None = None


def pack_corrected(
    image: KnownImage,
    corrected: LabelMaps,
    baseline: LabelMaps | None,
    tied_px: int = 0,
    unused: Mapping[str, int] | None = None,
    excluded: BoolMask | None = None,
    earlier: ExcludedArea | None = None,
    files: TruthFiles | None = None,
) -> PackedImage:
    """Compare a corrected map with what was sent, and compress it.

    Parameters
    ----------
    image : KnownImage
    corrected : LabelMaps
        (H, W) as the image.
    baseline : LabelMaps or None
        What was sent; None where that is not known: then nothing is compared.
    tied_px : int
        Pixels whose class only the order of the shapes decided.
    unused : mapping of str to int
        Shapes that cannot be painted, by kind.
    excluded : (H, W) bool or None
        What was drawn as excluded; it has no class in `corrected`, and is not compared.
    earlier : ExcludedArea or None
        What the study excludes of the image already; it is not compared either.
    files : TruthFiles, optional
        The corrected map in files, where it lies in some already. Default: they are made.

    Raises
    ------
    StudyError
        When it has more instances than a file can hold.
    """
    areas = class_areas(corrected.classes)
    painted_px = corrected.classes.size - areas["unlabelled"]
    correction = None
    # An image on which nothing is painted was not corrected: it must not count as if every
    # object had been deleted.
    if painted_px and baseline is not None:
        first, second = without_excluded(baseline, earlier), without_excluded(corrected, earlier)
        if excluded is not None:
            first = leave_open(first, excluded)
        correction = compare_maps(first.classes, first.instances, second.classes, second.instances)
    files = files or truth_files(corrected)
    return PackedImage(
        image,
        files,
        painted_px,
        areas,
        tied_px,
        unused or {},
        correction,
        excluded=excluded,
        earlier=earlier,
    )


def sent_map(study: Study, image: KnownImage) -> tuple[LabelMaps | None, list[str]]:
    """The map that corrections are counted against.

    That is what was sent to a server. Where it is not known, since the annotation went out as an
    archive, it is the rough annotation in the study.

    Returns
    -------
    baseline : LabelMaps or None
        None where there is neither.
    notes : list of str
        What a person should know about the comparison.
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


def save(store: TruthStore, packed: PackedImage) -> PulledImage:
    """Write a corrected map, unless nothing is painted on it.

    Raises
    ------
    StorageError
        When a file cannot be written.
    """
    name = packed.image.name
    status, earlier_mask, notes = EMPTY, None, list(packed.notes)
    if packed.painted_px:
        saved = store.save(name, packed.files)
        status, earlier_mask = saved.status, saved.earlier_copy
    elif store.exists(name):
        notes.append("nothing is painted on it any more; the earlier mask stays")
    return PulledImage(
        image=name,
        status=status,
        kept=earlier_mask,
        areas_px=packed.areas_px,
        tied_px=packed.tied_px,
        unused=packed.unused,
        correction=packed.correction,
        notes=tuple(notes),
        comments=packed.comments,
        job_id=packed.job_id,
    )


def note_excluded(study: Study, packed: PackedImage, pulled: PulledImage) -> PulledImage:
    """Keep in the study what was drawn as excluded on an image, and say how much it is.

    It takes the place of what an earlier pull brought of this image. Where nothing is drawn as
    excluded any more, what an earlier pull brought stays: a format may not have known of it.

    Returns
    -------
    PulledImage
        With its `excluded_px` and notes.
    """
    image, excluded = packed.image, packed.excluded
    if excluded is None or not excluded.any():
        earlier = () if packed.earlier is None else packed.earlier.regions
        drawn = [region for region in earlier if region.origin == PULLED]
        stays = [
            f"region {region.id}, excluded in an earlier pull, is not drawn here and stays "
            f"excluded; take it back with trephine images restore-region {study.path} {region.id}"
            for region in drawn
        ]
        return replace(pulled, notes=(*pulled.notes, *stays))
    study.excluded_regions.replace_pulled(image.id, excluded, "drawn as exclude", "pull")
    return replace(pulled, excluded_px=int(np.count_nonzero(excluded)))


def write_report(study: Study, report: PullReport) -> PullReport:
    """Write a report into ``report/`` of the study, as JSON and as text beside it.

    Returns
    -------
    PullReport
        The same with its path.
    """
    now = datetime.now(UTC)
    path = study.path / "report" / f"pull-{now.strftime('%Y%m%dT%H%M%S.%fZ')}.json"
    time = now.isoformat(timespec="seconds")
    document = {"time": time} | report.to_dict()
    write_atomic(path.with_suffix(".md"), pull_text(report, time).encode())
    write_atomic(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    return replace(report, path=path)
