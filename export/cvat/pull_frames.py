"""Which images the frames of CVAT jobs show, and what a pull has found out so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from annotator.core.errors import CvatForbidden, CvatMissing
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.cvat.client.server import ANNOTATION, GROUND_TRUTH, CvatFrame, CvatJob, CvatServer
from export.cvat.pull_report import DeletedImage, PulledImage, PulledJobRow, PullFailure


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
    deleted: list[DeletedImage] = field(default_factory=list)

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


def annotation_jobs(jobs: Sequence[CvatJob], notes: list[str]) -> list[CvatJob]:
    """The jobs that are read: those in which people annotate.

    Parameters
    ----------
    jobs : sequence of CvatJob
        All of a project.
    notes : list of str
        What is said of the others is appended.

    Examples
    --------
    >>> notes = []
    >>> check = CvatJob(8, 1, "ground_truth", "new", "annotation", None, 0, 0, "")
    >>> annotation_jobs([check], notes), notes
    ([], ['not read: 1 ground_truth job(s) (8), of which CVAT itself makes use'])
    """
    for kind in sorted({job.kind for job in jobs} - {ANNOTATION}):
        numbers = [str(job.id) for job in jobs if job.kind == kind]
        notes.append(
            f"not read: {len(numbers)} {kind} job(s) ({', '.join(numbers)}), of which CVAT itself "
            "makes use"
        )
    shared = [job for job in jobs if job.kind == ANNOTATION and job.replicas]
    if shared:
        numbers = [str(job.id) for job in shared]
        notes.append(
            f"job(s) {', '.join(numbers)} have replicas: they are read once the replicas are "
            "merged into them in CVAT, and they are completed"
        )
    return [job for job in jobs if job.kind == ANNOTATION]


class FrameFinder:
    """Finds which image each frame of a job shows, and takes each image from one job only.

    Parameters
    ----------
    study : Study
    server : CvatServer
    jobs : sequence of CvatJob
        All of the project, those that are not read included.
    results : PullResults
        What cannot be used is reported there.
    """

    def __init__(
        self, study: Study, server: CvatServer, jobs: Sequence[CvatJob], results: PullResults
    ) -> None:
        self._checked_tasks = {job.task_id for job in jobs if job.kind == GROUND_TRUTH}
        jobs = [job for job in jobs if job.kind == ANNOTATION]
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

    def is_as_sent(self, frame: PulledFrame, shapes_sha256: str) -> bool:
        """Whether a frame holds exactly what a push read back from it last.

        Parameters
        ----------
        frame : PulledFrame
        shapes_sha256 : str
            :func:`export.cvat.client.shapes.digest` of the shapes that it holds now.
        """
        sent = self._sent.get(frame.image.id)
        place = None if sent is None else (sent.job_id, sent.frame, sent.shapes_sha256)
        return place == (frame.job.id, frame.frame, shapes_sha256)

    def sent_in(self, job: CvatJob) -> list[KnownImage]:
        """The images that were sent to a job."""
        image_ids = [sent.image_id for sent in self._sent.values() if sent.job_id == job.id]
        return [self._images[image_id] for image_id in image_ids]

    def frames_of(self, job: CvatJob) -> list[PulledFrame]:
        """The frames of a job that show images of the study; the others are reported.

        Those that people deleted are no frames any more.
        """
        found = [
            self._find(job, number, frame)
            for number, frame in self._on_server(job)
            if not frame.deleted
        ]
        return [pulled_frame for pulled_frame in found if pulled_frame is not None]

    def deletions(self, job: CvatJob) -> list[tuple[PulledFrame, bool]]:
        """The frames of images that were sent to a job, each with whether it is deleted now.

        Deleting a frame does not change the job's time of change, so it is asked at every pull.
        In a task of somebody else a deleted frame says less: another may show the same image.
        """
        found = []
        for number, frame in self._on_server(job):
            image = self._images.get(PurePosixPath(frame.name).stem)
            sent = None if image is None else self._sent.get(image.id)
            if image is not None and sent is not None and sent.job_id == job.id:
                found.append((PulledFrame(job, number, image), frame.deleted))
            elif image is not None and frame.deleted:
                self._results.notes.append(
                    f"{PulledFrame(job, number, image)}: deleted in CVAT, so not taken from there"
                )
        return found

    def _on_server(self, job: CvatJob) -> list[tuple[int, CvatFrame]]:
        """The frames of a job with their numbers in the task, which is asked once."""
        if job.task_id not in self._frames_by_task:
            self._frames_by_task[job.task_id] = self._server.frames(job.task_id)
        frames = self._frames_by_task[job.task_id][job.start : job.stop + 1]
        return list(enumerate(frames, job.start))

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
        if first.job.id != job.id and job.task_id in self._checked_tasks:
            # A honeypot: CVAT shows the same image in several jobs, to see whether they agree.
            self._results.notes.append(
                f"{image.name} is shown again in job {job.id}, to check it; taken is job "
                f"{first.job.id}"
            )
        elif first.job.id != job.id:
            self._results.fail(
                str(pulled_frame),
                f"it is also in job {first.job.id}, which was taken; delete the one that is wrong",
            )
        return first.job.id == job.id
