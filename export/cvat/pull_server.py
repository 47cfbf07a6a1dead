"""Take the corrected masks from the jobs of a CVAT server into ``truth/``, with a report.

Jobs are read one after the other in this thread, since the server answers one at a time; those
of a task of which many are to be read come in one answer (:mod:`export.cvat.pull_shapes`). Their
images are painted, compared and written in other threads meanwhile.

Unlike an archive, which is taken as a whole or not at all, a server is taken image by image:
what cannot be used is reported, the rest goes on, and the next pull tries it again. A job is
noted as pulled only after all of its images were written.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence, Set
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from annotator.core.errors import (
    CvatError,
    CvatLoggedOut,
    CvatUnreachable,
    StorageError,
    StudyError,
    UsageError,
)
from annotator.core.files import storage_error
from annotator.core.label_maps import LabelMaps
from annotator.core.progress import OnStep, silent
from annotator.study.cvat import Binding, PulledJob
from annotator.study.cvat_project import DeletedFrame
from annotator.study.excluded_area import ExcludedArea
from annotator.study.study import Study
from annotator.study.truth import TruthFiles, TruthStore
from export.cvat.client.from_shapes import ServerLabels, correct_frame
from export.cvat.client.server import (
    COMPLETED,
    NEW,
    Comment,
    CvatJob,
    CvatProject,
    CvatServer,
    CvatShape,
    Shapes,
)
from export.cvat.client.shapes import NO_SHAPES, digest_by_frame
from export.cvat.project import bound_project, labels_to_read
from export.cvat.pull_frames import FrameFinder, PulledFrame, PullResults, annotation_jobs
from export.cvat.pull_report import (
    AS_PUSHED,
    DELETED,
    EMPTY,
    FAILED,
    NOT_READ,
    TAKEN,
    UNCHANGED,
    DeletedImage,
    PulledImage,
    PulledJobRow,
    PullReport,
)
from export.cvat.pull_shapes import ShapesReader
from export.cvat.save_corrected import (
    PackedImage,
    note_excluded,
    pack_corrected,
    save,
    sent_map,
    write_report,
)

ONLY = ("completed", "all")
"""Which jobs are pulled: those that are finished; also those in which anything was changed."""
_WORKERS = 2
_AHEAD = 4  # jobs that may be read before the first of them is written; this bounds the memory


def pull_server(
    study: Study, server: CvatServer, only: str = "completed", on_step: OnStep = silent
) -> PullReport:
    """Take the corrected masks of the jobs of a study's project.

    A job is read again when its state or its time of change on the server differs from that of
    the last pull, or when a mask of it is missing in the study.

    Parameters
    ----------
    study : Study
    server : CvatServer
    only : {"completed", "all"}
        ``completed``: jobs that a person has finished. ``all``: also frames that were changed
        in unfinished jobs. A frame that is exactly as it was pushed counts as corrected only in
        a completed job: elsewhere nobody may have looked at it.
    on_step : callable
        Called with what is being done, how much of it is done, and how much there is.

    Returns
    -------
    PullReport
        With its path where there was anything to report.

    Raises
    ------
    UsageError
        When the study was never pushed, or to another server.
    CvatForbidden
        When this login may not see the project.
    CvatError
        When the server refuses, or cannot be reached, before the first job.
    StudyError
        When another run holds the study, or it cannot be written.
    """
    if only not in ONLY:
        raise UsageError(f"expected one of {', '.join(ONLY)} to pull, got {only!r}")
    with study.writing():
        binding = must_be_pushed(study)
        notes: list[str] = []
        project = bound_project(study, server, notes) or CvatProject(binding.project_id, "")
        labels = labels_to_read(study, server, project, notes)
        all_jobs = server.jobs(binding.project_id)
        jobs = annotation_jobs(all_jobs, notes)
        pull = _Pull(study, server, labels, all_jobs, ShapesReader(server, all_jobs))
        pull.note(notes)
        chosen = [job for job in jobs if only == "all" or job.state == COMPLETED]
        pull.run(chosen, on_step)
        report = pull.report(binding)
        # `pull --watch` would otherwise write an empty report every few minutes.
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
class _Remarks:
    """What the report says about an image: comments of people on the server, and our notes.

    `excluded` is what the study excludes of the image already.
    """

    comments: tuple[Comment, ...]
    notes: tuple[str, ...]
    excluded: ExcludedArea | None = None


@dataclass(slots=True, eq=False)
class _OpenJob:
    """A job whose images are being written.

    Parameters
    ----------
    job : CvatJob
    outcome : str
        See :data:`export.cvat.pull_report.TAKEN` and those beside it; may turn to failed.
    shapes_sha256 : str or None
        Digest of all its shapes; None where it was not read.
    images : list
        Frames that are being painted and written, each with what was packed and its result to
        come.
    as_before : bool
        Whether its shapes are those of the last pull: then an empty image is no news.
    """

    job: CvatJob
    outcome: str
    shapes_sha256: str | None = None
    images: list[tuple[PulledFrame, Future[tuple[PackedImage, PulledImage]]]] = field(
        default_factory=list
    )
    as_before: bool = False


class _Pull:
    """One pull of a study from a server."""

    def __init__(
        self,
        study: Study,
        server: CvatServer,
        labels: ServerLabels,
        jobs: Sequence[CvatJob],
        shapes: ShapesReader,
    ) -> None:
        self._study = study
        self._server = server
        self._labels = labels
        self._shapes = shapes
        self._results = PullResults()
        self._frames = FrameFinder(study, server, jobs, self._results)
        self._truth = study.truth
        self._truth.tidy()
        # Asked once, and not job by job: a pull reads hundreds of jobs.
        self._pulled = study.cvat.pulled_jobs()
        self._excluded = study.excluded_regions.areas()
        self._deleted = study.cvat.deleted_frames.all()

    def note(self, notes: Sequence[str]) -> None:
        """Add what a person should know to the report."""
        self._results.notes.extend(notes)

    def run(self, jobs: Sequence[CvatJob], on_step: OnStep) -> None:
        """Read jobs one by one; once the server is gone, the others are reported as not read."""
        open_jobs: deque[_OpenJob] = deque()
        self._shapes.expect(job for job in jobs if self._is_changed(job))
        pool = ThreadPoolExecutor(_WORKERS)
        try:
            for number, job in enumerate(jobs):
                on_step("jobs", number, len(jobs))
                open_jobs.append(self._open(job, pool))
                if open_jobs[-1].outcome == NOT_READ:
                    open_jobs += [_OpenJob(unread, NOT_READ) for unread in jobs[number + 1 :]]
                    break
                while len(open_jobs) > _AHEAD:
                    self._close(open_jobs.popleft())
            while open_jobs:
                self._close(open_jobs.popleft())
        finally:
            pool.shutdown(cancel_futures=True)
        on_step("jobs", len(jobs), len(jobs))

    def report(self, binding: Binding) -> PullReport:
        """The report of the pull."""
        results = self._results
        for why, missing in self._frames.missing().items():
            results.notes.append(
                f"{why}: the jobs of {', '.join(missing)}; what was pulled of them stays"
            )
        return PullReport(
            f"{binding.url}, project {binding.project_name}",
            tuple(sorted(results.images, key=lambda image: image.image)),
            tuple(results.unknown),
            tuple(results.notes),
            dict(results.unused),
            None,
            tuple(results.jobs),
            tuple(results.failed),
            tuple(sorted(results.deleted, key=lambda one: one.image)),
        )

    def _open(self, job: CvatJob, pool: Executor) -> _OpenJob:
        """Read a job where it changed since the last pull, and start painting its images."""
        earlier = self._pulled.get(job.id)
        failures = len(self._results.failed)
        try:
            deleted_ids = self._note_deletions(job)
            if earlier is not None and self._is_unchanged(job, earlier, deleted_ids):
                return _OpenJob(job, UNCHANGED)
            open_job = self._read(job, earlier, deleted_ids, pool)
        except (CvatUnreachable, CvatLoggedOut) as error:
            self._results.fail(f"job {job.id}", error)
            return _OpenJob(job, NOT_READ)
        except CvatError as error:
            self._results.fail(f"job {job.id}", error)
            return _OpenJob(job, FAILED)
        # A frame that was refused makes the job count as failed, so that the next pull reads
        # it again.
        if len(self._results.failed) > failures:
            open_job.outcome = FAILED
        return open_job

    def _read(
        self, job: CvatJob, earlier: PulledJob | None, deleted_ids: Set[str], pool: Executor
    ) -> _OpenJob:
        frames = self._frames.frames_of(job)
        on_server = self._shapes.of_job(job) if frames else Shapes(())
        outcome = AS_PUSHED if frames else DELETED if deleted_ids else UNCHANGED
        shapes_sha256, of_frame = digest_by_frame(on_server.shapes)
        open_job = _OpenJob(job, outcome, shapes_sha256)
        self._count_unused(on_server)
        # The time of change also moves when no shape did, such as when a job is assigned. Where
        # the shapes are those of the last pull, only masks that were lost in the study since
        # then are taken.
        if earlier is not None and (earlier.shapes_sha256, earlier.state) == (
            open_job.shapes_sha256,
            job.state,
        ):
            frames = [frame for frame in frames if not self._truth.exists(frame.image.name)]
            open_job.outcome, open_job.as_before = UNCHANGED, True
        changed = [
            frame
            for frame in frames
            if not self._is_as_pushed(frame, of_frame.get(frame.frame, NO_SHAPES))
        ]
        if changed:
            open_job.outcome = TAKEN
            comments, notes = self._comments(job)
            for frame in changed:
                shapes = [shape for shape in on_server.shapes if shape.frame == frame.frame]
                baseline, baseline_notes = sent_map(self._study, frame.image)
                own_comments = tuple(one for one in comments if one.frame == frame.frame)
                image = frame.image
                excluded = self._excluded.get(image.id)
                remarks = _Remarks(own_comments, (*baseline_notes, *notes), excluded)
                shapes_sha256 = of_frame.get(frame.frame, NO_SHAPES)
                as_sent = not baseline_notes and self._frames.is_as_sent(frame, shapes_sha256)
                if as_sent and baseline is not None:
                    paths = self._study.cvat.baseline_paths(image.name)
                    taking = pool.submit(_take_sent, self._truth, frame, baseline, paths, remarks)
                else:
                    taking = pool.submit(
                        _take, self._truth, frame, shapes, self._labels, baseline, remarks
                    )
                open_job.images.append((frame, taking))
        return open_job

    def _close(self, open_job: _OpenJob) -> None:
        """Wait until the images of a job are written, and note that it was pulled."""
        for frame, taking in open_job.images:
            try:
                self._add(open_job, note_excluded(self._study, *taking.result()))
            except StorageError:
                # A full disk stops the pull: every other image would meet it too.
                raise
            except (CvatError, StudyError) as error:
                self._results.fail(str(frame), error)
                open_job.outcome = FAILED
        job = open_job.job
        if open_job.shapes_sha256 is not None and open_job.outcome != FAILED:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._study.cvat.note_pulled(
                PulledJob(job.id, job.updated, open_job.shapes_sha256, job.state, now)
            )
        self._results.jobs.append(
            PulledJobRow(job.id, job.task_id, job.state, job.stage, job.assignee, open_job.outcome)
        )

    def _add(self, open_job: _OpenJob, image: PulledImage) -> None:
        """Report an image; one that is as empty as at the last pull is no news."""
        if open_job.as_before and image.status == EMPTY:
            open_job.outcome = UNCHANGED
        else:
            self._results.images.append(image)

    def _note_deletions(self, job: CvatJob) -> set[str]:
        """Take out of truth whose frame was deleted; ids of all those of a job.

        A mask that somebody put into ``truth/`` after the deletion is left where it is.
        """
        noted = self._deleted
        deleted_ids = set()
        for frame, deleted in self._frames.deletions(job):
            image, is_new = frame.image, frame.image.id not in noted
            if deleted:
                deleted_ids.add(image.id)
                copy = self._truth.set_aside(image.name) if is_new else None
                self._results.deleted.append(
                    DeletedImage(image.name, job.id, frame.frame, copy, is_new)
                )
            if deleted and is_new:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                self._study.cvat.deleted_frames.note(
                    DeletedFrame(image.id, job.id, frame.frame, now)
                )
            elif not deleted and not is_new:
                self._study.cvat.deleted_frames.forget(image.id)
                self._results.notes.append(f"{frame}: its frame was restored in CVAT")
        return deleted_ids

    def _is_changed(self, job: CvatJob) -> bool:
        """Whether the list of jobs tells of a change since the last pull."""
        earlier = self._pulled.get(job.id)
        return earlier is None or (earlier.updated, earlier.state) != (job.updated, job.state)

    def _is_unchanged(self, job: CvatJob, earlier: PulledJob, deleted_ids: Set[str]) -> bool:
        """Whether a job is as it was pulled last, and no mask of a finished one was lost here."""
        if (earlier.updated, earlier.state) != (job.updated, job.state):
            return False
        images = self._frames.sent_in(job) if job.state == COMPLETED else []
        return all(
            self._truth.exists(image.name) for image in images if image.id not in deleted_ids
        )

    def _count_unused(self, on_server: Shapes) -> None:
        self._results.unused.update({"track": on_server.tracks, "tag": on_server.tags})
        self._results.unused += Counter()  # adding an empty counter drops the zeros

    def _is_as_pushed(self, frame: PulledFrame, shapes_sha256: str) -> bool:
        """Whether a frame of an unfinished job is as it was pushed: no person judged it then.

        In a completed job even an unchanged frame was judged: it was found right.
        """
        if frame.job.state == COMPLETED:
            return False
        pushed = self._study.cvat.puts(frame.job.id, frame.frame)
        is_empty = shapes_sha256 == NO_SHAPES
        return shapes_sha256 in pushed or (is_empty and frame.job.state == NEW)

    def _comments(self, job: CvatJob) -> tuple[tuple[Comment, ...], list[str]]:
        if job.issues == 0:
            return (), []
        try:
            return self._server.comments(job.id), []
        except (CvatUnreachable, CvatLoggedOut):
            raise
        except CvatError as error:
            return (), [f"the comments could not be read: {error}"]


def _take(
    store: TruthStore,
    frame: PulledFrame,
    shapes: Sequence[CvatShape],
    labels: ServerLabels,
    baseline: LabelMaps | None,
    remarks: _Remarks,
) -> tuple[PackedImage, PulledImage]:
    """Paint the corrected map of an image, compare it with what was sent, and write it."""
    corrected = correct_frame(shapes, frame.image.shape, labels, baseline)
    packed = pack_corrected(
        frame.image,
        corrected.label_maps,
        baseline,
        corrected.tied_px,
        corrected.unused,
        corrected.excluded,
        remarks.excluded,
    )
    left_out = tuple(
        f"left out: {count} shape(s) of the label {name!r}, which is no class of the study"
        for name, count in sorted(corrected.left_out.items())
    )
    return _written(store, frame, packed, remarks, left_out)


def _take_sent(
    store: TruthStore,
    frame: PulledFrame,
    sent: LabelMaps,
    paths: tuple[Path, Path],
    remarks: _Remarks,
) -> tuple[PackedImage, PulledImage]:
    """Take the map that was sent: the shapes are those that were found to show it then.

    Its files are those of the corrected map, too.
    """
    try:
        classes, instances = (path.read_bytes() for path in paths)
    except OSError as error:
        raise storage_error(paths[0], error) from error
    files = TruthFiles(classes, instances)
    packed = pack_corrected(frame.image, sent, sent, earlier=remarks.excluded, files=files)
    return _written(store, frame, packed, remarks)


def _written(
    store: TruthStore,
    frame: PulledFrame,
    packed: PackedImage,
    remarks: _Remarks,
    left_out: tuple[str, ...] = (),
) -> tuple[PackedImage, PulledImage]:
    packed.notes.extend((*remarks.notes, *left_out))
    packed = replace(packed, comments=remarks.comments, job_id=frame.job.id)
    return packed, save(store, packed)
