"""Which images the frames of CVAT jobs show, and what a pull has found out so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from annotator.core.errors import CvatForbidden, CvatMissing
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.cvat.client.server import CvatFrame, CvatJob, CvatServer
from export.cvat.pull_report import PulledImage, PulledJobRow, PullFailure


@dataclass(frozen=True, slots=True)
class PulledFrame:
    """A frame of a job that shows an image of the study."""

    job: CvatJob
    frame: int
    image: KnownImage

    def __str__(self) -> str:
        return f"{self.image.name} (job {self.job.id}, frame {self.frame})"


@dataclass(slots=True)
class PullResults:
    """What a pull has read and reported so far."""

    images: list[PulledImage] = field(default_factory=list)
    jobs: list[PulledJobRow] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: list[PullFailure] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)

    def fail(self, what: str, why: object) -> None:
        """Report something that cannot be used."""
        self.failed.append(PullFailure(what, str(why)))


GONE = "no longer on the server"
"""Why a task is not listed: it was deleted."""


def why_absent(server: CvatServer, task: int) -> str:
    """Why a task, or a job of it, is not listed in the study's project.

    A list leaves out what the login may not see, so each task is asked for by its number.

    Raises
    ------
    CvatError
        When the server says neither that it is there nor that it is not.
    """
    try:
        server.task(task)
    except CvatMissing:
        return GONE
    except CvatForbidden:
        return f"not to be seen by {server.info.user!r}, though perhaps there"
    return "no longer in the project or the task that they were pushed to"


class FrameFinder:
    """Finds which image each frame of a job shows, and takes each image from one job only."""

    def __init__(
        self, study: Study, server: CvatServer, jobs: Sequence[CvatJob], results: PullResults
    ) -> None:
        self._server = server
        self._results = results
        self._images = {image.id: image for image in study.all_images()}
        self._sent = {sent.image_id: sent for sent in study.cvat.sent()}
        self._job_ids = {job.id for job in jobs}
        self._frames_by_task: dict[int, tuple[CvatFrame, ...]] = {}
        self._first_found: dict[str, PulledFrame] = {}

    def missing(self) -> dict[str, list[str]]:
        """Names of images whose jobs are not listed, by why they are not."""
        missing: dict[str, list[str]] = {}
        reasons: dict[int, str] = {}
        for sent in self._sent.values():
            if sent.job_id not in self._job_ids:
                if sent.task_id not in reasons:
                    reasons[sent.task_id] = why_absent(self._server, sent.task_id)
                names = missing.setdefault(reasons[sent.task_id], [])
                names.append(self._images[sent.image_id].name)
        return {why: sorted(names) for why, names in missing.items()}

    def sent_in(self, job: CvatJob) -> list[KnownImage]:
        """The images that were sent to a job."""
        image_ids = [sent.image_id for sent in self._sent.values() if sent.job_id == job.id]
        return [self._images[image_id] for image_id in image_ids]

    def frames_of(self, job: CvatJob) -> list[PulledFrame]:
        """The frames of a job that show images of the study; the others are reported."""
        if job.task_id not in self._frames_by_task:
            self._frames_by_task[job.task_id] = self._server.frames(job.task_id)
        frames = self._frames_by_task[job.task_id][job.start : job.stop + 1]
        found = [self._find(job, number, frame) for number, frame in enumerate(frames, job.start)]
        return [pulled_frame for pulled_frame in found if pulled_frame is not None]

    def _find(self, job: CvatJob, number: int, frame: CvatFrame) -> PulledFrame | None:
        """The image that a frame shows, by the name of its picture.

        Not by its order: people can delete frames, and add tasks of their own.
        """
        image = self._images.get(PurePosixPath(frame.name).stem)
        if image is None:
            self._results.unknown.append(f"{frame.name} (job {job.id}, frame {number})")
            return None
        pulled_frame = PulledFrame(job, number, image)
        if (frame.height, frame.width) != image.shape:
            height, width = image.shape
            self._results.fail(
                str(pulled_frame),
                f"expected {width} x {height} pixels, as in the study, got {frame.width} x "
                f"{frame.height}; it is another picture of this name",
            )
            return None
        return pulled_frame if self._is_from_its_job(pulled_frame) else None

    def _is_from_its_job(self, pulled_frame: PulledFrame) -> bool:
        """Whether an image is to be taken from this job; another may show it as well.

        The job that it was pushed to counts; where that is not known, the first that shows it.
        """
        image, job = pulled_frame.image, pulled_frame.job
        sent = self._sent.get(image.id)
        if sent is not None and sent.job_id in self._job_ids:
            if sent.job_id != job.id:
                self._results.notes.append(
                    f"{image.name} is also in job {job.id}; taken is job {sent.job_id}, to which "
                    "it was pushed"
                )
            return sent.job_id == job.id
        first = self._first_found.setdefault(image.id, pulled_frame)
        if first.job.id != job.id:
            self._results.fail(
                str(pulled_frame),
                f"it is also in job {first.job.id}, which was taken; delete the one that is wrong",
            )
        return first.job.id == job.id
