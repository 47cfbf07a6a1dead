"""What came of a pull: image by image, job by job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from annotator.evaluation.corrections import Correction, together
from export.cvat.client.server import Comment

EMPTY = "empty"
"""Status of an image on which nothing is painted: its mask, if it has one, stays."""
TAKEN, UNCHANGED, AS_PUSHED, FAILED, NOT_READ = (
    "taken",
    "unchanged",
    "as pushed",
    "failed",
    "not read",
)
"""What came of a job: corrections were taken; it is as it was when it was pulled last; nobody
changed what was pushed; something in it cannot be used; the server was gone before its turn."""


@dataclass(frozen=True, slots=True)
class PulledImage:
    """What came of one image.

    Parameters
    ----------
    image : str
        Name in the study.
    status : str
        ``new``, ``replaced``, ``unchanged`` or ``empty``.
    kept : Path or None
        Where the earlier mask lies now.
    areas_px : mapping of str to int
        Pixels of each class in the corrected mask, and ``unlabelled``.
    tied_px : int
        Pixels whose class only the order of the file, or of the ids on the server, decided.
    unused : mapping of str to int
        Things that cannot be painted, by kind.
    correction : Correction or None
        Against the annotation that was sent; None where there is none to compare with.
    notes : tuple of str
    comments : tuple of Comment
        What people wrote in CVAT about this image.
    job_id : int or None
        On the server; None for an archive.
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
            "notes": list(self.notes),
            "comments": [asdict(comment) for comment in self.comments],
            "classes": None if self.correction is None else self.correction.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class PulledJobRow:
    """What came of one job of a server.

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
class Failure:
    """Something that could not be used while the rest went on.

    Parameters
    ----------
    what : str
        Image, job or server.
    why : str
        What was expected, what came, what to do.
    """

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class PullReport:
    """What came of an archive, or of the jobs of a server.

    Parameters
    ----------
    format : str
        Of the archive; or the address of the server.
    images : tuple of PulledImage
        In order of their names.
    unknown : tuple of str
        Names that no image of the study has.
    notes : tuple of str
        Of the whole.
    unused : mapping of str to int
        Things of no single image that cannot be used.
    path : Path or None
        The report as JSON; beside it lies the same as text.
    jobs : tuple of PulledJobRow
        By id; none for an archive.
    failed : tuple of Failure
    """

    format: str
    images: tuple[PulledImage, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]
    unused: Mapping[str, int]
    path: Path | None = None
    jobs: tuple[PulledJobRow, ...] = ()
    failed: tuple[Failure, ...] = ()

    @property
    def correction(self) -> Correction | None:
        """Of all images that were compared, together."""
        return together(i.correction for i in self.images if i.correction is not None)

    @property
    def has_news(self) -> bool:
        """Whether anything was read, or failed, since the pull before."""
        return bool(self.images or self.failed or self.unknown)

    def count(self, outcome: str) -> int:
        """Jobs of which this came."""
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
            "classes": None if whole is None else whole.to_dict(),
            "images": [image.to_dict() for image in self.images],
        }
