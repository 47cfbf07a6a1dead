"""Send rough annotations to a CVAT server: images become tasks, label maps become shapes.

A push can be run again at any time. Everything is looked for before it is made; batches of
images are noted in the study before their tasks are made; a frame is noted as sent only after
it was read back and compared. What a person has touched is reported and left as it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from annotator.core.errors import CvatError, CvatLoggedOut, CvatUnreachable, StudyError
from annotator.core.files import storage_error
from annotator.core.progress import OnProgress, Progress, silent
from annotator.study.cvat import Sent, TaskImages
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.cvat.client.labels import LabelIds, labels_of, with_ids
from export.cvat.client.retries import PUSH_RETRIES, RetryPolicy
from export.cvat.client.server import CvatProject, CvatServer
from export.cvat.client.shapes import check, draw
from export.cvat.project import ensure_project, find_project
from export.cvat.push_fresh import FreshTask, fresh_task
from export.cvat.push_jobs import send_job
from export.cvat.push_payload import (
    JobPayload,
    PushContext,
    TaskJob,
    jobs_with_images,
    payloads_ahead,
)
from export.cvat.push_plan import Plan, make_plan, read_rough
from export.cvat.push_progress import UPLOADING, PushClock, upload_estimate
from export.cvat.push_report import (
    FAILED,
    PLANNED,
    VOC,
    PushedImage,
    PushedTask,
    PushReport,
    PushRequest,
)
from export.cvat.push_tasks import (
    PreparedTask,
    TaskPictures,
    ensure_task,
    find_task,
)
from export.cvat.push_voc import send_archive
from export.shapes import shapes as voc_shapes

_TEMPORARY = ".sending-"


def push_images(
    study: Study,
    request: PushRequest,
    server: CvatServer,
    on_progress: OnProgress = silent,
    retries: RetryPolicy = PUSH_RETRIES,
) -> PushReport:
    """Send rough annotations to a server, or finish what an earlier push began.

    Parameters
    ----------
    study : Study
    request : PushRequest
    server : CvatServer
    on_progress : callable
        Gets a :class:`~annotator.core.progress.Progress` at every step.
    retries : RetryPolicy
        How often a broken connection is tried again.

    Returns
    -------
    PushReport
        Every image with what was done. ``stopped`` holds the reason where the push ended early
        because the server could not be reached any more.

    Raises
    ------
    UsageError
        When no image has a name that was asked for, or the study belongs to another server.
    CvatForbidden
        When this login may not see the project that the study was sent to.
    CvatError
        When there is no such assignee, or the project's labels do not tell the classes of the
        study apart; nothing was sent then.
    StudyError
        When another run holds the study, or it cannot be written.
    """
    with study.writing():
        return _Push(study, request, server, on_progress, retries).run()


def plan_push(study: Study, request: PushRequest, on_progress: OnProgress = silent) -> PushReport:
    """Say what a push would make, without a server and without changing the study.

    Parameters
    ----------
    study : Study
    request : PushRequest
    on_progress : callable

    Returns
    -------
    PushReport
        With the status ``planned`` of every image that would be sent.

    Raises
    ------
    UsageError
        As for :func:`push_images`.
    """
    plan = make_plan(study, request)
    images = {image.id: image for image in study.all_images()}
    tasks = []
    sent = () if request.new_project else study.cvat.sent()
    for batch in plan.batches:
        tasks.append(_planned(study, batch, images, request.via, sent))
        on_progress(Progress("planning", len(tasks), len(plan.batches), batch.task_name, None))
    settings = study.settings.cvat
    bound = study.cvat.binding()
    project = settings.project or (bound.project_name if bound else "Trephine, with a new number")
    return PushReport(
        bound.url if bound else settings.url,
        project,
        bound.project_id if bound and not request.new_project else None,
        tuple(tasks),
        plan.left,
        plan.notes,
        dry_run=True,
    )


def _planned(
    study: Study,
    batch: TaskImages,
    images: Mapping[str, KnownImage],
    via: str,
    all_sent: Sequence[Sent],
) -> PushedTask:
    """A task as a push would make it: its shapes are drawn and checked, its pictures measured."""
    sent = [row for row in all_sent if row.task_name == batch.task_name]
    # No server is asked, so the labels get ids of their own; they reach nobody.
    labels = LabelIds(with_ids(labels_of(study.settings.classes)))
    budget = study.settings.cvat.shapes_per_frame
    rows = []
    for image in (images[image_id] for image_id in batch.image_ids):
        try:
            rough = read_rough(study, image)
            drawn = draw(rough, study.rough.confidence(image), labels, 0, budget)
            check(drawn.shapes, {0: image.shape}, labels)
            count, merged = len(drawn.shapes), drawn.merged
            if via == VOC:
                # An archive holds every object as a shape of its own.
                count, merged = len(voc_shapes(rough)), {}
            rows.append(PushedImage(image.name, PLANNED, count, merged))
        except (StudyError, CvatError) as error:
            rows.append(PushedImage(image.name, FAILED, note=str(error)))
    # A task that was sent before has its pictures: nothing is uploaded for it.
    upload_bytes, unreadable = (0, {}) if sent else _measure_upload(study, batch, images)
    rows = [unreadable.get(row.image, row) for row in rows]
    task_id = sent[0].task_id if sent else None
    return PushedTask(task_id, batch.task_name, tuple(rows), upload_bytes)


def _measure_upload(
    study: Study, batch: TaskImages, images: Mapping[str, KnownImage]
) -> tuple[int, dict[str, PushedImage]]:
    """Bytes of the pictures of a batch, and the images that cannot be read, by name."""
    with TemporaryDirectory() as folder:
        pictures = TaskPictures(study, Path(folder), images)
        size = sum(path.stat().st_size for path in pictures.files(batch.image_ids))
    return size, {image.image: image for image in pictures.unreadable.values()}


@dataclass(slots=True)
class _Push:
    """One push, and what was done so far."""

    study: Study
    request: PushRequest
    server: CvatServer
    on_progress: OnProgress
    retries: RetryPolicy
    notes: list[str] = field(default_factory=list)
    tasks: list[PushedTask] = field(default_factory=list)
    left: list[PushedImage] = field(default_factory=list)
    stopped: str = ""

    def run(self) -> PushReport:
        plan = make_plan(self.study, self.request)
        found: CvatProject | None = None
        if plan.batches:
            found = self.retries.run(
                lambda: find_project(self.study, self.server, self.notes, self.request.new_project)
            )
        # Users are looked for in the organisation of the project, before anything is made.
        assignee = self._assignee()
        self.left += plan.left
        self.notes += plan.notes
        project: CvatProject | None = None
        if plan.batches:
            project, labels = self.retries.run(
                lambda: ensure_project(self.study, self.server, self.notes, found)
            )
            images = {image.id: image for image in self.study.all_images()}
            context = PushContext(self.study, self.server, labels, images, assignee)
            self.study.cvat.note_batches(plan.new)
            self._send_all(context, project, plan)
        return self._report(project)

    def _assignee(self) -> tuple[str, int] | None:
        """User name and id of the assignee; an unknown name stops before anything is made."""
        name = self.request.assignee
        if name is None:
            return None
        return name, self.retries.run(lambda: self.server.user(name))

    def _send_all(self, context: PushContext, project: CvatProject, plan: Plan) -> None:
        clock = PushClock(self.on_progress, len(plan.chosen))
        clock.say(upload_estimate(context, plan))
        try:
            with _temporary_folder(self.study) as folder:
                for batch in plan.batches:
                    pictures = TaskPictures(self.study, folder, context.images)
                    self._send_batch(context, project, batch, pictures, plan, clock)
                    pictures.clear()
                names = [task.name for task in self.tasks if task.task_id is not None]
                self._remove_empty_twins(project, names)
        except (CvatUnreachable, CvatLoggedOut) as error:
            done = sum(len(task.images) for task in self.tasks)
            again = "running the same push again finishes it"
            if self.request.new_project:
                again += ", without --new-project: the study belongs to the new one now"
            self.stopped = (
                f"{error} ({done} of {len(plan.chosen)} images done; what is on the server stays, "
                f"{again})"
            )

    def _send_batch(
        self,
        context: PushContext,
        project: CvatProject,
        batch: TaskImages,
        pictures: TaskPictures,
        plan: Plan,
        clock: PushClock,
    ) -> None:
        """Send one task: its pictures, then its annotations.

        A fault in it is reported and does not stop the other tasks; a lost connection does.
        """
        images: list[PushedImage] = []
        prepared: PreparedTask | None = None
        try:
            clock.stage(UPLOADING, batch.task_name)
            prepared = self.retries.run(lambda: ensure_task(self.server, project, batch, pictures))
            if prepared is not None:
                self._annotate(context, prepared, plan.chosen, images, clock, pictures.folder)
        except (CvatUnreachable, CvatLoggedOut):
            self._report_task(batch, prepared, images)
            raise
        except CvatError as error:
            reported = {image.image for image in (*images, *pictures.unreadable.values())}
            names = [context.images[i].name for i in batch.image_ids if i in plan.chosen]
            images += [
                PushedImage(name, FAILED, note=str(error)) for name in names if name not in reported
            ]
        self.left += pictures.unreadable.values()
        self._report_task(batch, prepared, images)

    def _annotate(
        self,
        context: PushContext,
        prepared: PreparedTask,
        chosen: frozenset[str],
        images: list[PushedImage],
        clock: PushClock,
        folder: Path,
    ) -> None:
        """Send the annotations of a task; `images` grows as jobs are finished."""
        if self.request.via == VOC:
            # An import replaces the whole task, so all of its images go, asked for or not.
            every_image = frozenset(prepared.frame_numbers)
            images += self.retries.run(
                lambda: send_archive(
                    context, jobs_with_images(context, prepared, every_image), folder
                )
            )
            clock.step(len(images), prepared.task.name)
            return
        wanted = chosen | self._never_sent(prepared)
        task_jobs = self.retries.run(lambda: jobs_with_images(context, prepared, wanted))
        fresh = fresh_task(context, prepared, task_jobs)
        written: list[tuple[TaskJob, Future[JobPayload]]] = []
        with closing(payloads_ahead(context, task_jobs)) as payloads:
            for task_job, payload in payloads:
                if fresh is not None and self._put(fresh, payload):
                    written.append((task_job, payload))
                    continue
                sent = self._send_job(context, task_job, payload)
                images += sent
                clock.step(len(sent), prepared.task.name)
        finished = fresh.finish([one.result() for _, one in written]) if fresh else []
        for (task_job, payload), done in zip(written, finished, strict=True):
            sent = self._send_job(context, task_job, payload) if done is None else done
            images += sent
            clock.step(len(sent), prepared.task.name)

    def _put(self, fresh: FreshTask, payload: Future[JobPayload]) -> bool:
        """Write a job of a fresh task; a payload that cannot be drawn is reported later."""
        return payload.exception() is None and fresh.put(payload.result())

    def _send_job(
        self, context: PushContext, task_job: TaskJob, payload: Future[JobPayload]
    ) -> list[PushedImage]:
        """Send one job; a fault in it is reported and does not stop the others of its task."""
        try:
            return self.retries.run(lambda: send_job(context, payload.result()))
        except (CvatUnreachable, CvatLoggedOut):
            raise
        except CvatError as error:
            names = (context.images[image_id].name for image_id in task_job.image_ids)
            return [PushedImage(name, FAILED, note=str(error)) for name in names]

    def _never_sent(self, prepared: PreparedTask) -> frozenset[str]:
        """Images of the task that were never sent, whether or not they were asked for."""
        sent = {row.image_id for row in self.study.cvat.sent() if row.task_id == prepared.task.id}
        return frozenset(prepared.frame_numbers) - sent

    def _report_task(
        self, batch: TaskImages, prepared: PreparedTask | None, images: Sequence[PushedImage]
    ) -> None:
        if prepared is None:
            if images:
                self.tasks.append(PushedTask(None, batch.task_name, tuple(images)))
            return
        task = prepared.task
        self.tasks.append(PushedTask(task.id, task.name, tuple(images), prepared.uploaded))

    def _remove_empty_twins(self, project: CvatProject, names: Sequence[str]) -> None:
        """Remove the empty second task that a request which was delivered twice may have made.

        Everything is sent by then: where this fails, the next push tidies up.
        """
        try:
            on_server = [task.name for task in self.server.tasks(project.id)]
            for name in names:
                if on_server.count(name) > 1:
                    find_task(self.server, project, name)
        except CvatError as error:
            self.notes.append(f"not tidied up, the next push does it: {error}")

    def _report(self, project: CvatProject | None) -> PushReport:
        bound = self.study.cvat.binding()
        return PushReport(
            self.server.info.url,
            project.name if project else (bound.project_name if bound else ""),
            project.id if project else None,
            tuple(self.tasks),
            tuple(self.left),
            tuple(dict.fromkeys(self.notes)),
            self.stopped,
        )


@contextmanager
def _temporary_folder(study: Study) -> Iterator[Path]:
    """A folder in the study for files until they are sent; those of killed runs are removed."""
    try:
        study.cvat.folder.mkdir(exist_ok=True)
        for old in study.cvat.folder.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(old, ignore_errors=True)
        temporary = TemporaryDirectory(prefix=_TEMPORARY, dir=study.cvat.folder)
    except OSError as error:
        raise storage_error(study.cvat.folder, error) from error
    with temporary as name:
        yield Path(name)
