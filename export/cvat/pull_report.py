"""The report of a pull, image by image and job by job, as JSON and as text to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from annotator.core.classes import CLASS_NAMES
from annotator.evaluation.corrections import FATES, Correction, sum_corrections
from export.cvat.client.server import Comment


def pull_text(report: PullReport, time: str) -> str:
    """The report as Markdown: what was corrected, what people wrote, what could not be used.

    Parameters
    ----------
    report : PullReport
    time : str
        Time of the pull, UTC, ISO 8601.
    """
    return "\n".join(_lines(report, time)) + "\n"


def _lines(report: PullReport, time: str) -> Iterator[str]:
    yield f"# Corrections from {report.format}"
    yield ""
    yield f"{time}: {len(report.images)} image(s), {len(report.jobs)} job(s)."
    whole = report.correction
    if whole is not None:
        yield from ("", "## All images", "", *_table(whole))
    if report.failed:
        yield from ("", "## Could not be used", "")
        yield from (f"- {one.what}: {one.why}" for one in report.failed)
    if report.unknown:
        yield from ("", "## Not in the study", "", *(f"- {name}" for name in report.unknown))
    if report.deleted:
        yield from ("", "## Deleted in CVAT: no truth", "")
        yield from (f"- {one}" for one in report.deleted)
        yield ""
    yield from (f"- warning: {note}" for note in report.notes)
    for image in report.images:
        yield from ("", f"## {image.image}", "", *_image(image))


def _table(correction: Correction) -> Iterator[str]:
    """Objects and pixels by class; Dice of what was sent against what came back."""
    pixels = ("kept", "relabelled", "added", "deleted", "boundary_moved")
    titles = ("class", *FATES, *(f"{name.replace('_', ' ')} px" for name in pixels), "Dice")
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    plain = correction.to_dict()
    for code, name in enumerate(CLASS_NAMES):
        objects, px, dice = plain[name]["objects"], plain[name]["pixels"], correction.dice(code)
        figures = [*(objects[fate] for fate in FATES), *(px[key] for key in pixels)]
        cells = [name, *map(str, figures), "–" if dice is None else f"{dice:.4f}"]
        yield f"| {' | '.join(cells)} |"


def _image(image: PulledImage) -> Iterator[str]:
    job = "" if image.job_id is None else f", job {image.job_id}"
    open_px = image.areas_px["unlabelled"]
    yield (
        f"Mask {image.status}{job}; {open_px} pixels unlabelled, {image.tied_px} of equal z_order."
    )
    if image.excluded_px:
        yield f"Drawn as excluded: {image.excluded_px} pixels; they count nowhere."
    if image.kept is not None:
        yield f"The earlier mask is {image.kept.name}."
    if image.unused:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(image.unused.items()))
        yield f"Not used: {counts}."
    if image.correction is not None:
        yield from ("", *_table(image.correction))
    yield from (f"- warning: {note}" for note in image.notes)
    for comment in image.comments:
        where = ", ".join(f"{value:.0f}" for value in comment.position[:2])
        state = ", resolved" if comment.resolved else ""
        text = " ".join(comment.text.split())
        yield f"- {comment.author} at {where}{state}: {text}"


EMPTY = "empty"
"""Status of an image on which nothing is painted: its mask, if it has one, stays."""


TAKEN, UNCHANGED, AS_PUSHED, DELETED, FAILED, NOT_READ = (
    "taken",
    "unchanged",
    "as pushed",
    "deleted",
    "failed",
    "not read",
)
"""Outcomes of a job, in this order: corrections were taken; it is as it was at the last pull;
nobody changed what was pushed; all of its frames were deleted; something in it cannot be used;
the server could not be reached any more when it was its turn."""


@dataclass(frozen=True, slots=True)
class PulledImage:
    """One image of a pull, with what was corrected.

    Parameters
    ----------
    image : str
        Name in the study.
    status : str
        ``new``, ``replaced``, ``unchanged`` or ``empty``.
    kept : Path or None
        Where the mask that it replaced was moved to; None where there was none.
    areas_px : mapping of str to int
        Pixels of each class in the corrected mask, and ``unlabelled``.
    tied_px : int
        Pixels where shapes of different classes and equal z_order overlap, so that only their
        order in the file, or their ids on the server, decided.
    unused : mapping of str to int
        How many shapes cannot be painted, by kind.
    correction : Correction or None
        What changed against the annotation that was sent; None where there is none.
    notes : tuple of str
    comments : tuple of Comment
        What people wrote in CVAT about this image.
    job_id : int or None
        On the server; None for an archive.
    excluded_px : int
        Pixels that were drawn as excluded.
    """

    image: str
    status: str
    kept: Path | None
    areas_px: Mapping[str, int]
    tied_px: int
    unused: Mapping[str, int]
    correction: Correction | None
    notes: tuple[str, ...] = ()
    comments: tuple[Comment, ...] = ()
    job_id: int | None = None
    excluded_px: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "image": self.image,
            "status": self.status,
            "job": self.job_id,
            "kept": None if self.kept is None else self.kept.name,
            "areas_px": dict(self.areas_px),
            "tied_px": self.tied_px,
            "unused": dict(self.unused),
            "excluded_px": self.excluded_px,
            "notes": list(self.notes),
            "comments": [asdict(comment) for comment in self.comments],
            "classes": None if self.correction is None else self.correction.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class PulledJobRow:
    """One job of a pull from a server.

    Parameters
    ----------
    job_id, task_id : int
    state, stage : str
    assignee : str or None
    outcome : str
        See :data:`TAKEN` and those beside it.
    """

    job_id: int
    task_id: int
    state: str
    stage: str
    assignee: str | None
    outcome: str


@dataclass(frozen=True, slots=True)
class DeletedImage:
    """An image whose frame a person deleted in CVAT: it is no truth.

    Parameters
    ----------
    image : str
        Name in the study.
    job_id, frame : int
        On the server.
    kept : Path or None
        Where the mask that was truth before was moved to; None where there was none.
    is_new : bool
        Whether this pull found it.
    """

    image: str
    job_id: int
    frame: int
    kept: Path | None = None
    is_new: bool = True

    def __str__(self) -> str:
        kept = "" if self.kept is None else f"; its mask, truth until now, is kept as {self.kept}"
        return f"{self.image} (job {self.job_id}, frame {self.frame}){kept}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"kept": None if self.kept is None else self.kept.name}


@dataclass(frozen=True, slots=True)
class PullFailure:
    """Something that could not be used; the rest of the pull went on.

    Parameters
    ----------
    what : str
        Image, job or server.
    why : str
        What was expected, what was found, and what to do.
    """

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class PullReport:
    """What was taken from an archive, or from the jobs of a server.

    Parameters
    ----------
    format : str
        Of the archive; or the address of the server.
    images : tuple of PulledImage
        In order of their names.
    unknown : tuple of str
        Names that no image of the study has.
    notes : tuple of str
        About the pull as a whole.
    unused : mapping of str to int
        How many things that belong to no single image cannot be used, by kind.
    path : Path or None
        The file of this report as JSON, with the same as text beside it; None before it is
        written.
    jobs : tuple of PulledJobRow
        By id; none for an archive.
    failed : tuple of PullFailure
    deleted : tuple of DeletedImage
        Images whose frames people deleted in the jobs that were looked at.
    """

    format: str
    images: tuple[PulledImage, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]
    unused: Mapping[str, int]
    path: Path | None = None
    jobs: tuple[PulledJobRow, ...] = ()
    failed: tuple[PullFailure, ...] = ()
    deleted: tuple[DeletedImage, ...] = ()

    @property
    def correction(self) -> Correction | None:
        """The sum over all images that were compared; None where none was."""
        return sum_corrections(i.correction for i in self.images if i.correction is not None)

    @property
    def has_news(self) -> bool:
        """Whether anything was taken, deleted, failed or was not recognised."""
        deleted = any(one.is_new for one in self.deleted)
        return bool(self.images or self.failed or self.unknown or deleted)

    def count(self, outcome: str) -> int:
        """How many jobs had this outcome."""
        return sum(job.outcome == outcome for job in self.jobs)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        whole = self.correction
        return {
            "format": self.format,
            "notes": list(self.notes),
            "unknown": list(self.unknown),
            "unused": dict(self.unused),
            "jobs": [asdict(job) for job in self.jobs],
            "failed": [asdict(failure) for failure in self.failed],
            "deleted": [one.to_dict() for one in self.deleted],
            "classes": None if whole is None else whole.to_dict(),
            "images": [image.to_dict() for image in self.images],
        }
