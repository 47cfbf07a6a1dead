"""Rough annotations to a CVAT server: images to tasks, maps to shapes, all of it read back.

It can be run again at any time. Everything is looked for before it is made, batches of images
are noted before their tasks are, and what is noted as sent was read back and compared. What a
person has touched is named and left.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from annotator.core.errors import CvatError, CvatUnreachable, StudyError
from annotator.core.files import storage_error
from annotator.core.progress import OnProgress, Progress, silent
from annotator.study.cvat import TaskImages
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.cvat.client.labels import LabelIds, labels_of, with_ids
from export.cvat.client.retries import PUSH_RETRIES, RetryPolicy
from export.cvat.client.server import CvatProject, CvatServer
from export.cvat.client.shapes import check, draw
from export.cvat.push_jobs import JobPayload, PushContext, TaskJob, meant_ahead, send_job, slots
from export.cvat.push_plan import Plan, make_plan, read_rough
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
    ensure_project,
    ensure_task,
    find_task,
)
from export.cvat.push_voc import send_archive
from export.shapes import shapes as voc_shapes

UPLOADING, ANNOTATING = "uploading", "annotating"
_TEMPORARY = ".sending-"
# For the estimate before anything is measured: a home connection, and PNG of stained tissue.
_BYTES_A_SECOND, _BYTES_A_PIXEL = 2e6, 1.8


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
        Told of every step.
    retries : RetryPolicy
        How often a broken connection is tried again.

    Returns
    -------
    PushReport
        Its ``stopped`` says so where the server could not be reached any more.

    Raises
    ------
    UsageError
        When what is asked for cannot be meant: no such image, another server than before.
    CvatError
        When there is no such assignee, or the project's labels are not those of the study;
        nothing was sent then.
    StudyError
        When another run holds the study, or it cannot be written.
    """
    with study.writing():
        return _Push(study, request, server, on_progress, retries).run()


def plan_push(study: Study, request: PushRequest, on_progress: OnProgress = silent) -> PushReport:
    """Say what a push would make, without a server and without noting anything.

    Raises
    ------
    UsageError
        As for :func:`push_images`.
    """
    plan = make_plan(study, request)
    images = {image.id: image for image in study.images()}
    tasks = []
    for batch in plan.batches:
        tasks.append(_planned(study, batch, images, request.via))
        on_progress(Progress("planning", len(tasks), len(plan.batches), batch.task_name, None))
    settings = study.settings.cvat
    bound = study.cvat.binding()
    project = settings.project or (bound.project_name if bound else "Trephine, with a new number")
    return PushReport(
        bound.url if bound else settings.url,
        project,
        bound.project_id if bound else None,
        tuple(tasks),
        plan.left,
        plan.notes,
        dry_run=True,
    )


def _planned(
    study: Study, batch: TaskImages, images: Mapping[str, KnownImage], via: str
) -> PushedTask:
    """A task as it would be, its annotations checked and its pictures packed and weighed."""
    sent = {one.image_id: one for one in study.cvat.sent() if one.task_name == batch.task_name}
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
                count, merged = len(voc_shapes(rough)), {}
            rows.append(PushedImage(image.name, PLANNED, count, merged))
        except (StudyError, CvatError) as error:
            rows.append(PushedImage(image.name, FAILED, note=str(error)))
    uploaded, bad = (0, {}) if sent else _weigh(study, batch, images)
    rows = [bad.get(row.image, row) for row in rows]
    return PushedTask(
        next((o.task_id for o in sent.values()), None), batch.task_name, tuple(rows), uploaded
    )


def _weigh(
    study: Study, batch: TaskImages, images: Mapping[str, KnownImage]
) -> tuple[int, dict[str, PushedImage]]:
    """Bytes of the pictures of a batch, and those that cannot be read, by name."""
    with TemporaryDirectory() as folder:
        made = TaskPictures(study, Path(folder), images)
        size = sum(path.stat().st_size for path in made.files(batch.image_ids))
    return size, {one.image: one for one in made.bad.values()}


@dataclass(slots=True)
class _Push:
    """One push on its way."""

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
        assignee = self._assignee()
        plan = make_plan(self.study, self.request)
        self.left += plan.left
        self.notes += plan.notes
        project: CvatProject | None = None
        if plan.batches:
            project, labels = self.retries.run(
                lambda: ensure_project(self.study, self.server, self.notes)
            )
            images = {image.id: image for image in self.study.images()}
            sending = PushContext(self.study, self.server, labels, images, assignee)
            self.study.cvat.note_batches(plan.new)
            self._send_all(sending, project, plan)
        return self._report(project)

    def _assignee(self) -> tuple[str, int] | None:
        """A name that is not there stops before anything is made."""
        name = self.request.assignee
        if name is None:
            return None
        return name, self.retries.run(lambda: self.server.user(name))

    def _send_all(self, sending: PushContext, project: CvatProject, plan: Plan) -> None:
        clock = _Clock(self.on_progress, len(plan.chosen))
        clock.say(_estimate(sending, plan))
        try:
            with _folder(self.study) as folder:
                for batch in plan.batches:
                    made = TaskPictures(self.study, folder, sending.images)
                    self._send_batch(sending, project, batch, made, plan, clock)
                    made.clear()
                self._sweep(project, [t.name for t in self.tasks if t.task_id is not None])
        except CvatUnreachable as error:
            done = sum(len(task.images) for task in self.tasks)
            self.stopped = (
                f"{error} ({done} of {len(plan.chosen)} images done; what is on the server stays, "
                "running the same push again finishes it)"
            )

    def _send_batch(
        self,
        sending: PushContext,
        project: CvatProject,
        batch: TaskImages,
        made: TaskPictures,
        plan: Plan,
        clock: _Clock,
    ) -> None:
        """One task: its pictures, then its annotations; a fault in it does not stop the others."""
        images: list[PushedImage] = []
        ready: PreparedTask | None = None
        try:
            clock.stage(UPLOADING, batch.task_name)
            ready = self.retries.run(lambda: ensure_task(self.server, project, batch, made))
            if ready is not None:
                self._annotate(sending, ready, plan.chosen, images, clock, made.folder)
        except CvatUnreachable:
            self._note_task(batch, ready, images)
            raise
        except CvatError as error:
            named = {one.image for one in (*images, *made.bad.values())}
            rest = [sending.images[i].name for i in batch.image_ids if i in plan.chosen]
            images += [PushedImage(n, FAILED, note=str(error)) for n in rest if n not in named]
        self.left += made.bad.values()
        self._note_task(batch, ready, images)

    def _annotate(
        self,
        sending: PushContext,
        ready: PreparedTask,
        chosen: frozenset[str],
        images: list[PushedImage],
        clock: _Clock,
        folder: Path,
    ) -> None:
        if self.request.via == VOC:
            whole = frozenset(ready.numbers)
            images += self.retries.run(
                lambda: send_archive(sending, slots(sending, ready, whole), folder)
            )
            clock.step(len(images), ready.task.name)
            return
        wanted = chosen | self._unfinished(ready)
        here = self.retries.run(lambda: slots(sending, ready, wanted))
        with closing(meant_ahead(sending, here)) as ahead:
            for slot, drawn in ahead:
                done = self._send_job(sending, slot, drawn)
                images += done
                clock.step(len(done), ready.task.name)

    def _send_job(
        self, sending: PushContext, slot: TaskJob, drawn: Future[JobPayload]
    ) -> list[PushedImage]:
        """One job; a fault in it does not stop the others of its task."""
        try:
            return self.retries.run(lambda: send_job(sending, drawn.result()))
        except CvatUnreachable:
            raise
        except CvatError as error:
            names = (sending.images[image_id].name for image_id in slot.image_ids)
            return [PushedImage(name, FAILED, note=str(error)) for name in names]

    def _unfinished(self, ready: PreparedTask) -> frozenset[str]:
        """Images of the task that were never sent, whether or not they were asked for."""
        sent = {one.image_id for one in self.study.cvat.sent() if one.task_id == ready.task.id}
        return frozenset(ready.numbers) - sent

    def _note_task(
        self, batch: TaskImages, ready: PreparedTask | None, images: Sequence[PushedImage]
    ) -> None:
        if ready is None:
            if images:
                self.tasks.append(PushedTask(None, batch.task_name, tuple(images)))
            return
        task = ready.task
        self.tasks.append(PushedTask(task.id, task.name, tuple(images), ready.uploaded))

    def _sweep(self, project: CvatProject, names: Sequence[str]) -> None:
        """Remove what a delivery that came late or twice left behind: empty tasks of our names.

        All is done by then: where this fails, the next push tidies up.
        """
        try:
            there = [task.name for task in self.server.tasks(project.id)]
            for name in names:
                if there.count(name) > 1:
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


class _Clock:
    """Tells how far a push is, and how long the rest takes at the pace so far."""

    def __init__(
        self, on_progress: OnProgress, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_progress = on_progress
        self._total = total
        self._done = 0
        self._clock = clock
        self._began = clock()

    def say(self, note: str) -> None:
        """Tell a person something before the next step."""
        if note:
            self._on_progress(Progress(UPLOADING, self._done, self._total, "", None, note))

    def stage(self, stage: str, name: str) -> None:
        """Say what is being done now."""
        self._on_progress(Progress(stage, self._done, self._total, name, self._left()))

    def step(self, images: int, name: str) -> None:
        """So many images are finished."""
        self._done += images
        self._total = max(self._total, self._done)
        self.stage(ANNOTATING, name)

    def _left(self) -> float | None:
        if not self._done:
            return None
        return (self._clock() - self._began) / self._done * (self._total - self._done)


def _estimate(sending: PushContext, plan: Plan) -> str:
    """What there is to upload, before the first of it is measured."""
    sent = {one.image_id for one in sending.study.cvat.sent()}
    shapes = [sending.images[i].shape for b in plan.batches for i in b.image_ids if i not in sent]
    if not shapes:
        return ""
    size = sum(height * width for height, width in shapes) * _BYTES_A_PIXEL
    minutes = size / _BYTES_A_SECOND / 60
    return (
        f"{len(shapes)} image(s) to upload, about {size / 1e6:.0f} MB: "
        f"{minutes:.1f} min at {_BYTES_A_SECOND / 1e6:.0f} MB/s; measured from the first task on"
    )


@contextmanager
def _folder(study: Study) -> Iterator[Path]:
    """A folder in the study for what is on its way; those of killed runs go."""
    try:
        study.cvat.folder.mkdir(exist_ok=True)
        for old in study.cvat.folder.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(old, ignore_errors=True)
        made = TemporaryDirectory(prefix=_TEMPORARY, dir=study.cvat.folder)
    except OSError as error:
        raise storage_error(study.cvat.folder, error) from error
    with made as name:
        yield Path(name)
