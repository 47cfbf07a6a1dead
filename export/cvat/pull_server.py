"""Corrected masks from the jobs of a CVAT server into ``truth/``, with a report.

Unlike an archive, a server is taken image by image: what cannot be used is named, the rest
goes on, and the next pull tries it again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

from annotator.core.errors import CvatError, CvatUnreachable, StorageError, StudyError, UsageError
from annotator.core.label_maps import LabelMaps
from annotator.core.progress import OnStep, silent
from annotator.study.cvat import Binding, PulledJob
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from annotator.study.truth import TruthStore
from export.cvat.client.from_shapes import ServerLabels, correct_frame
from export.cvat.client.server import (
    ANNOTATION,
    COMPLETED,
    NEW,
    Comment,
    CvatFrame,
    CvatJob,
    CvatServer,
    CvatShape,
    Shapes,
)
from export.cvat.client.shapes import digest
from export.cvat.pull_report import (
    AS_PUSHED,
    FAILED,
    NOT_READ,
    TAKEN,
    UNCHANGED,
    PulledImage,
    PulledJobRow,
    PullFailure,
    PullReport,
)
from export.cvat.save_corrected import make_ready, save, sent_map, write_report

ONLY = ("completed", "all")
"""Which jobs are pulled: those that are finished; also those in which anything was changed."""
_WORKERS = 2
_AHEAD = 4  # jobs that are read before the first of them is written


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
        binding = must_be_pushed(study)
        study.cvat.check_server(server.info.url)
        labels = ServerLabels(server.labels(binding.project_id))
        jobs = [job for job in server.jobs(binding.project_id) if job.kind == ANNOTATION]
        pull = _Pull(study, server, labels, jobs)
        chosen = [job for job in jobs if only == "all" or job.state == COMPLETED]
        pull.run(chosen, on_step)
        report = pull.report(binding)
        # A watch would else leave a report of nothing every few minutes.
        return write_report(study, report) if report.has_news else report


def must_be_pushed(study: Study) -> Binding:
    """The project that a study was pushed to.

    Raises
    ------
    UsageError
        When there is none.
    """
    binding = study.cvat.binding()
    if binding is None:
        raise UsageError(
            f"{study.path}: expected a study that was pushed to CVAT; run trephine push first, or "
            "give an archive that was exported there: trephine pull STUDY --from FILE"
        )
    return binding


@dataclass(frozen=True, slots=True)
class _Place:
    """A frame of a job that shows one of our images."""

    job: CvatJob
    frame: int
    image: KnownImage

    def __str__(self) -> str:
        return f"{self.image.name} (job {self.job.id}, frame {self.frame})"


@dataclass(slots=True)
class _News:
    """What has come of a pull so far."""

    images: list[PulledImage] = field(default_factory=list)
    jobs: list[PulledJobRow] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: list[PullFailure] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)

    def fail(self, what: str, why: object) -> None:
        """Name what cannot be used."""
        self.failed.append(PullFailure(what, str(why)))


@dataclass(frozen=True, slots=True)
class _Words:
    """What is said of an image: by people on the server, and by us."""

    comments: tuple[Comment, ...]
    notes: tuple[str, ...]


@dataclass(slots=True, eq=False)
class _Opened:
    """A job that was read, or why it was not; `shapes_sha256` where it was."""

    job: CvatJob
    outcome: str
    shapes_sha256: str | None = None
    images: list[tuple[_Place, Future[PulledImage]]] = field(default_factory=list)


class _Frames:
    """Finds the images that the frames of a job show, each image only once."""

    def __init__(
        self, study: Study, server: CvatServer, jobs: Sequence[CvatJob], news: _News
    ) -> None:
        self._server = server
        self._news = news
        self._images = {image.id: image for image in study.images()}
        self._sent = {sent.image_id: sent for sent in study.cvat.sent()}
        self._jobs = {job.id for job in jobs}
        self._of_task: dict[int, tuple[CvatFrame, ...]] = {}
        self._taken: dict[str, _Place] = {}

    def missing(self) -> list[str]:
        """Names of images whose jobs are no longer on the server."""
        gone = [one.image_id for one in self._sent.values() if one.job_id not in self._jobs]
        return sorted(self._images[number].name for number in gone)

    def sent_in(self, job: CvatJob) -> list[KnownImage]:
        """The images that were sent to a job."""
        ours = [one.image_id for one in self._sent.values() if one.job_id == job.id]
        return [self._images[number] for number in ours]

    def of(self, job: CvatJob) -> list[_Place]:
        """The frames of a job that show our images; others are named."""
        if job.task_id not in self._of_task:
            self._of_task[job.task_id] = self._server.frames(job.task_id)
        frames = self._of_task[job.task_id][job.start : job.stop + 1]
        places = [self._place(job, n, frame) for n, frame in enumerate(frames, start=job.start)]
        return [place for place in places if place is not None]

    def _place(self, job: CvatJob, number: int, frame: CvatFrame) -> _Place | None:
        """By name, never by order: frames can be deleted, and tasks be made by others."""
        image = self._images.get(PurePosixPath(frame.name).stem)
        if image is None:
            self._news.unknown.append(f"{frame.name} (job {job.id}, frame {number})")
            return None
        place = _Place(job, number, image)
        if (frame.height, frame.width) != image.shape:
            height, width = image.shape
            self._news.fail(
                str(place),
                f"expected {width} x {height} pixels, as in the study, got {frame.width} x "
                f"{frame.height}; it is another picture of this name",
            )
            return None
        return place if self._is_the_one(place) else None

    def _is_the_one(self, place: _Place) -> bool:
        """Whether this is the job that an image was sent to; another may show it as well."""
        sent = self._sent.get(place.image.id)
        if sent is not None and sent.job_id in self._jobs:
            if sent.job_id != place.job.id:
                self._news.notes.append(
                    f"{place.image.name} is also in job {place.job.id}; taken is job "
                    f"{sent.job_id}, to which it was pushed"
                )
            return sent.job_id == place.job.id
        first = self._taken.setdefault(place.image.id, place)
        if first.job.id != place.job.id:
            self._news.fail(
                str(place),
                f"it is also in job {first.job.id}, which was taken; delete the one that is wrong",
            )
        return first.job.id == place.job.id


class _Pull:
    """One pull: what is known before it, and what has come of it so far."""

    def __init__(
        self, study: Study, server: CvatServer, labels: ServerLabels, jobs: Sequence[CvatJob]
    ) -> None:
        self._study = study
        self._server = server
        self._labels = labels
        self._news = _News()
        self._frames = _Frames(study, server, jobs, self._news)
        self._truth = TruthStore(study.path)
        self._truth.tidy()

    def run(self, jobs: Sequence[CvatJob], on_step: OnStep) -> None:
        """Read jobs one by one; once the server is gone, the others are named as not read.

        While one is read, those before it are painted, compared and written on other cores.
        """
        opened: deque[_Opened] = deque()
        pool = ThreadPoolExecutor(_WORKERS)
        try:
            for number, job in enumerate(jobs):
                on_step("jobs", number, len(jobs))
                opened.append(self._open(job, pool))
                if opened[-1].outcome == NOT_READ:
                    opened += [_Opened(left, NOT_READ) for left in jobs[number + 1 :]]
                    break
                while len(opened) > _AHEAD:
                    self._close(opened.popleft())
            while opened:
                self._close(opened.popleft())
        finally:
            pool.shutdown(cancel_futures=True)
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

    def _open(self, job: CvatJob, pool: Executor) -> _Opened:
        """Read what is new in a job, and have it taken."""
        before = self._study.cvat.pulled(job.id)
        if before is not None and self._stands(job, before):
            return _Opened(job, UNCHANGED)
        failed = len(self._news.failed)
        try:
            opened = self._read(job, before, pool)
        except CvatUnreachable as error:
            self._news.fail(f"job {job.id}", error)
            return _Opened(job, NOT_READ)
        except CvatError as error:
            self._news.fail(f"job {job.id}", error)
            return _Opened(job, FAILED)
        if len(self._news.failed) > failed:
            opened.outcome = FAILED
        return opened

    def _read(self, job: CvatJob, before: PulledJob | None, pool: Executor) -> _Opened:
        places = self._frames.of(job)
        found = self._server.shapes(job.id) if places else Shapes(())
        opened = _Opened(job, AS_PUSHED if places else UNCHANGED, digest(found.shapes))
        self._count(found)
        if before is not None and (before.shapes_sha256, before.state) == (
            opened.shapes_sha256,
            job.state,
        ):
            places = [one for one in places if not self._truth.exists(one.image.name)]
            opened.outcome = UNCHANGED
        own = [
            (place, [shape for shape in found.shapes if shape.frame == place.frame])
            for place in places
        ]
        wanted = [(place, shapes) for place, shapes in own if not self._untouched(place, shapes)]
        if wanted:
            opened.outcome = TAKEN
            comments, notes = self._comments(job)
            for place, shapes in wanted:
                against, doubts = sent_map(self._study, place.image)
                said = tuple(one for one in comments if one.frame == place.frame)
                words = _Words(said, (*doubts, *notes))
                args = (place, shapes, self._labels, against, words)
                opened.images.append((place, pool.submit(_take, self._truth, *args)))
        return opened

    def _close(self, opened: _Opened) -> None:
        """Wait for the images of a job, and note that it was pulled."""
        for place, future in opened.images:
            try:
                self._news.images.append(future.result())
            except StorageError:
                raise
            except (CvatError, StudyError) as error:
                self._news.fail(str(place), error)
                opened.outcome = FAILED
        job = opened.job
        if opened.shapes_sha256 is not None and opened.outcome != FAILED:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._study.cvat.note_pulled(
                PulledJob(job.id, job.updated, opened.shapes_sha256, job.state, now)
            )
        self._news.jobs.append(
            PulledJobRow(job.id, job.task_id, job.state, job.stage, job.assignee, opened.outcome)
        )

    def _stands(self, job: CvatJob, before: PulledJob) -> bool:
        """Whether a job is as it was; and no finished mask of it was lost here since."""
        if (before.updated, before.state) != (job.updated, job.state):
            return False
        ours = self._frames.sent_in(job) if job.state == COMPLETED else []
        return all(self._truth.exists(image.name) for image in ours)

    def _count(self, found: Shapes) -> None:
        self._news.unused.update({"track": found.tracks, "tag": found.tags})
        self._news.unused += Counter()  # drops what is zero

    def _untouched(self, place: _Place, own: Sequence[CvatShape]) -> bool:
        """Whether nobody said anything of it: in an unfinished job, just what was pushed."""
        if place.job.state == COMPLETED:
            return False
        pushed = self._study.cvat.puts(place.job.id, place.frame)
        return digest(own) in pushed or (not own and place.job.state == NEW)

    def _comments(self, job: CvatJob) -> tuple[tuple[Comment, ...], list[str]]:
        try:
            return self._server.comments(job.id), []
        except CvatUnreachable:
            raise
        except CvatError as error:
            return (), [f"the comments could not be read: {error}"]


def _take(
    store: TruthStore,
    place: _Place,
    shapes: Sequence[CvatShape],
    labels: ServerLabels,
    against: LabelMaps | None,
    words: _Words,
) -> PulledImage:
    """Paint an image, compare it and write it; on another core than the reading."""
    found = correct_frame(shapes, place.image.shape, labels, against)
    one = make_ready(place.image, found.stitched, against, found.tied_px, found.unused)
    one.notes.extend(words.notes)
    return save(store, replace(one, comments=words.comments, job_id=place.job.id))
