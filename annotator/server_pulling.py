"""Corrected masks from the jobs of a CVAT server into ``truth/``, with a report.

Unlike an archive, a server is taken image by image: what cannot be used is named, the rest
goes on, and the next pull tries it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

from annotator.errors import CvatError, CvatUnreachable, StorageError, StudyError, UsageError
from annotator.intake import Ready, make_ready, save, sent_map, write_report
from annotator.pulled import (
    AS_PUSHED,
    FAILED,
    NOT_READ,
    TAKEN,
    UNCHANGED,
    Failure,
    PulledImage,
    PulledJobRow,
    PullReport,
)
from annotator.store import KnownImage, Study
from annotator.store_cvat import Binding, PulledJob
from annotator.store_truth import TruthStore
from export.cvat import ANNOTATION, COMPLETED, NEW, Comment, CvatServer, Frame, Job, Shape, Shapes
from export.cvat_corrected import ServerLabels, correct_frame
from export.cvat_shapes import digest

ONLY = ("completed", "all")
"""Which jobs are pulled: those that are finished; also those in which anything was changed."""
OnStep = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Say nothing of the progress."""


def pull_server(
    study: Study, server: CvatServer, only: str = "completed", on_step: OnStep = silent
) -> PullReport:
    """Take the corrected masks of the jobs of a study's project.

    A job is read again when its state or its time of change on the server is another than when
    it was pulled last, or when a mask of it is missing here.

    Parameters
    ----------
    study : Study
    server : CvatServer
    only : {"completed", "all"}
        With ``all``, what was changed in unfinished jobs too; what is there exactly as it was
        pushed is taken from completed jobs alone: elsewhere nobody looked at it.
    on_step : callable
        Told what is being done, how much of it is done, and how much there is.

    Raises
    ------
    UsageError
        When the study was never pushed, or to another server.
    CvatError
        When the server refuses, or cannot be reached, before the first job.
    StudyError
        When another run holds the study, or it cannot be written.
    """
    if only not in ONLY:
        raise UsageError(f"expected one of {', '.join(ONLY)} to pull, got {only!r}")
    with study.writing():
        binding = bound(study, server)
        labels = ServerLabels(server.labels(binding.project_id))
        jobs = [job for job in server.jobs(binding.project_id) if job.kind == ANNOTATION]
        pull = _Pull(study, server, labels, jobs)
        chosen = [job for job in jobs if only == "all" or job.state == COMPLETED]
        pull.run(chosen, on_step)
        return write_report(study, pull.report(binding))


def bound(study: Study, server: CvatServer) -> Binding:
    """The project that a study was pushed to.

    Raises
    ------
    UsageError
        When there is none, or it is on another server.
    """
    binding = study.cvat.binding()
    if binding is None:
        raise UsageError(
            f"{study.path}: expected a study that was pushed to CVAT; run trephine push first, or "
            "give an archive that was exported there: trephine pull STUDY --from FILE"
        )
    study.cvat.check_server(server.info.url)
    return binding


@dataclass(frozen=True, slots=True)
class _Place:
    """A frame of a job that shows one of our images."""

    job: Job
    frame: int
    image: KnownImage


@dataclass(slots=True)
class _News:
    """What has come of a pull so far."""

    images: list[PulledImage] = field(default_factory=list)
    jobs: list[PulledJobRow] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)

    def fail(self, what: str, why: object) -> None:
        """Name what cannot be used."""
        self.failed.append(Failure(what, str(why)))


class _Frames:
    """Finds the images that the frames of a job show, each image only once."""

    def __init__(self, study: Study, server: CvatServer, jobs: Sequence[Job], news: _News) -> None:
        self._server = server
        self._news = news
        self._images = {image.id: image for image in study.images()}
        self._sent = {sent.image_id: sent for sent in study.cvat.sent()}
        self._jobs = {job.id for job in jobs}
        self._of_task: dict[int, tuple[Frame, ...]] = {}
        self._taken: dict[str, _Place] = {}

    def missing(self) -> list[str]:
        """Names of images whose jobs are no longer on the server."""
        gone = [one.image_id for one in self._sent.values() if one.job_id not in self._jobs]
        return sorted(self._images[number].name for number in gone)

    def sent_in(self, job: Job) -> list[KnownImage]:
        """The images that were sent to a job."""
        ours = [one.image_id for one in self._sent.values() if one.job_id == job.id]
        return [self._images[number] for number in ours]

    def of(self, job: Job) -> list[_Place]:
        """The frames of a job that show our images; others are named."""
        if job.task_id not in self._of_task:
            self._of_task[job.task_id] = self._server.frames(job.task_id)
        frames = self._of_task[job.task_id][job.start : job.stop + 1]
        places = [self._place(job, n, frame) for n, frame in enumerate(frames, start=job.start)]
        return [place for place in places if place is not None]

    def _place(self, job: Job, number: int, frame: Frame) -> _Place | None:
        """By name, never by order: frames can be deleted, and tasks be made by others."""
        image = self._images.get(PurePosixPath(frame.name).stem)
        where = f"job {job.id}, frame {number}"
        if image is None:
            self._news.unknown.append(f"{frame.name} ({where})")
            return None
        place = _Place(job, number, image)
        if (frame.height, frame.width) != image.shape:
            height, width = image.shape
            self._news.fail(
                f"{image.name} ({where})",
                f"expected {width} x {height} pixels, as in the study, got {frame.width} x "
                f"{frame.height}; it is another picture of this name",
            )
            return None
        return place if self._is_the_one(place, where) else None

    def _is_the_one(self, place: _Place, where: str) -> bool:
        """Whether this is the job that an image was sent to; another may show it as well."""
        sent = self._sent.get(place.image.id)
        if sent is not None and sent.job_id in self._jobs:
            if sent.job_id != place.job.id:
                self._news.notes.append(
                    f"{place.image.name} is also in {where}; taken is job {sent.job_id}, to which "
                    "it was pushed"
                )
            return sent.job_id == place.job.id
        first = self._taken.setdefault(place.image.id, place)
        if first.job.id != place.job.id:
            self._news.fail(
                f"{place.image.name} ({where})",
                f"it is also in job {first.job.id}, which was taken; delete the one that is wrong",
            )
        return first.job.id == place.job.id


class _Pull:
    """One pull: what is known before it, and what has come of it so far."""

    def __init__(
        self, study: Study, server: CvatServer, labels: ServerLabels, jobs: Sequence[Job]
    ) -> None:
        self._study = study
        self._server = server
        self._labels = labels
        self._news = _News()
        self._frames = _Frames(study, server, jobs, self._news)
        self._said: dict[int, tuple[Comment, ...]] = {}
        self._truth = TruthStore(study.path)
        self._truth.tidy()

    def run(self, jobs: Sequence[Job], on_step: OnStep) -> None:
        """Read jobs one by one; once the server is gone, the others are named as not read."""
        for number, job in enumerate(jobs):
            on_step("jobs", number, len(jobs))
            try:
                outcome = self._job(job)
            except CvatUnreachable as error:
                self._news.fail(f"job {job.id}", error)
                self._news.jobs += [_row(left, NOT_READ) for left in jobs[number:]]
                return
            except CvatError as error:
                self._news.fail(f"job {job.id}", error)
                outcome = FAILED
            self._news.jobs.append(_row(job, outcome))
        on_step("jobs", len(jobs), len(jobs))

    def report(self, binding: Binding) -> PullReport:
        """What came of it."""
        news, missing = self._news, self._frames.missing()
        if missing:
            news.notes.append(
                f"no longer on the server: the jobs of {', '.join(missing)}; what was pulled of "
                "them stays"
            )
        return PullReport(
            f"{binding.url}, project {binding.project_name}",
            tuple(sorted(news.images, key=lambda one: one.image)),
            tuple(news.unknown),
            tuple(news.notes),
            dict(news.unused),
            None,
            tuple(news.jobs),
            tuple(news.failed),
        )

    def _job(self, job: Job) -> str:
        """Take what is new in a job; which outcome it has."""
        before = self._study.cvat.pulled(job.id)
        if before is not None and self._stands(job, before):
            return UNCHANGED
        failed = len(self._news.failed)
        places = self._frames.of(job)
        found = self._server.shapes(job.id) if places else Shapes(())
        said = digest(found.shapes)
        self._count(found)
        if before is not None and (before.shapes_sha256, before.state) == (said, job.state):
            places = [one for one in places if not self._truth.exists(one.image.name)]
        taken = [self._image(one, found.shapes) for one in places]
        if len(self._news.failed) > failed:
            return FAILED
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._study.cvat.note_pulled(PulledJob(job.id, job.updated, said, job.state, now))
        return TAKEN if any(taken) else AS_PUSHED if places else UNCHANGED

    def _stands(self, job: Job, before: PulledJob) -> bool:
        """Whether a job is as it was; and no finished mask of it was lost here since."""
        if (before.updated, before.state) != (job.updated, job.state):
            return False
        ours = self._frames.sent_in(job) if job.state == COMPLETED else []
        return all(self._truth.exists(image.name) for image in ours)

    def _count(self, found: Shapes) -> None:
        self._news.unused.update({"track": found.tracks, "tag": found.tags})
        self._news.unused += Counter()  # drops what is zero

    def _image(self, place: _Place, shapes: Sequence[Shape]) -> bool:
        """Take one image; whether there was anything to take."""
        own = [shape for shape in shapes if shape.frame == place.frame]
        if self._is_untouched(place, own):
            return False
        try:
            one = self._ready(place, own)
        except StorageError:
            raise
        except (CvatError, StudyError) as error:
            self._news.fail(f"{place.image.name} (job {place.job.id}, frame {place.frame})", error)
            return True
        self._news.images.append(save(self._truth, one))
        return True

    def _is_untouched(self, place: _Place, own: Sequence[Shape]) -> bool:
        """Whether nobody said anything of it: in an unfinished job, just what was pushed."""
        if place.job.state == COMPLETED:
            return False
        pushed = self._study.cvat.puts(place.job.id, place.frame)
        return digest(own) in pushed or (not own and place.job.state == NEW)

    def _ready(self, place: _Place, own: Sequence[Shape]) -> Ready:
        against, notes = sent_map(self._study, place.image)
        found = correct_frame(own, place.image.shape, self._labels, against)
        one = make_ready(place.image, found.stitched, against, found.tied_px, found.unused)
        one.notes.extend(notes)
        return replace(one, comments=self._comments(place, one.notes), job_id=place.job.id)

    def _comments(self, place: _Place, notes: list[str]) -> tuple[Comment, ...]:
        """What people wrote about an image; a job is asked only once."""
        job = place.job.id
        if job not in self._said:
            try:
                self._said = {job: self._server.comments(job)}
            except CvatUnreachable:
                raise
            except CvatError as error:
                notes.append(f"the comments could not be read: {error}")
                self._said = {job: ()}
        return tuple(one for one in self._said[job] if one.frame == place.frame)


def _row(job: Job, outcome: str) -> PulledJobRow:
    return PulledJobRow(job.id, job.task_id, job.state, job.stage, job.assignee, outcome)
