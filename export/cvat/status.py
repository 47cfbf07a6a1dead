"""The state of the correction work in CVAT, task by task.

What the server says of its jobs is put beside what the study noted of its pushes and pulls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from annotator.core.progress import OnStep, silent
from annotator.study.cvat import Binding, PulledJob, Sent
from annotator.study.study import Study
from export.cvat.client.server import (
    COMPLETED,
    NEW,
    REJECTED,
    CvatJob,
    CvatServer,
    CvatShape,
    CvatTask,
)
from export.cvat.client.shapes import digest
from export.cvat.project import bound_project
from export.cvat.pull_frames import GONE as GONE_FROM_SERVER
from export.cvat.pull_frames import annotation_jobs, why_absent

WAITING, TOUCHED, IN_WORK, SENT_BACK, TO_PULL, PULLED, GONE, UNSEEN, UNKNOWN = (
    "waiting",
    "touched",
    "in work",
    "rejected",
    "to pull",
    "pulled",
    "gone",
    "not seen",
    "unknown",
)
"""Conditions of a job, in this order: nobody has begun; its shapes were changed, though its state
is still new; begun; rejected by the person who checked it; completed, and not pulled since;
completed, and pulled as it is; no longer on the server; not to be seen by this login, or moved to
another project; the server was not asked."""
_FIRST_STAGE = "annotation"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One job on the server, and what was pushed to it and pulled from it.

    Parameters
    ----------
    job_id : int
    images : tuple of str
        Names in the study of what was pushed to it.
    state, stage : str
        On the server. Where it was not asked: as they were at the last pull, or empty.
    assignee : str or None
    updated : str
        When it was changed last, as the server writes it.
    pushed, pulled : str or None
        Time of the last push and the last pull by the clock of this machine, UTC, ISO 8601.
    condition : str
        See :data:`WAITING` and those beside it.
    deleted : tuple of str
        Those of its images whose frames people deleted: they are no truth.
    """

    job_id: int
    images: tuple[str, ...]
    state: str
    stage: str
    assignee: str | None
    updated: str
    pushed: str | None
    pulled: str | None
    condition: str
    deleted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """One task with its jobs.

    Parameters
    ----------
    task_id : int or None
        None for one that is not on the server yet.
    name : str
    frames : int
        On the server. Where it was not asked: the images that are to be pushed.
    jobs : tuple of JobStatus
    note : str
        What a person should do; empty where nothing is amiss.
    """

    task_id: int | None
    name: str
    frames: int
    jobs: tuple[JobStatus, ...]
    note: str = ""

    @property
    def pushed(self) -> str | None:
        """Time of the last push of any job, UTC."""
        return max((job.pushed for job in self.jobs if job.pushed), default=None)

    @property
    def pulled(self) -> str | None:
        """Time of the last pull of any job, UTC."""
        return max((job.pulled for job in self.jobs if job.pulled), default=None)

    def count(self, *conditions: str) -> int:
        """How many jobs are in one of these conditions."""
        return sum(job.condition in conditions for job in self.jobs)


@dataclass(frozen=True, slots=True)
class CvatStatus:
    """All tasks of a study in CVAT.

    Parameters
    ----------
    binding : Binding or None
        None for a study that was never pushed.
    tasks : tuple of TaskStatus
    offline : str or None
        Why the server was not asked; the tasks then show what the study noted itself.
    notes : tuple of str
        What a person should know.
    """

    binding: Binding | None
    tasks: tuple[TaskStatus, ...] = ()
    offline: str | None = None
    notes: tuple[str, ...] = ()

    def count(self, *conditions: str) -> int:
        """How many jobs of all tasks are in one of these conditions."""
        return sum(task.count(*conditions) for task in self.tasks)

    @property
    def deleted(self) -> tuple[str, ...]:
        """Images whose frames people deleted, of all tasks."""
        return tuple(name for task in self.tasks for job in task.jobs for name in job.deleted)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        bound = self.binding
        return {
            "url": bound and bound.url,
            "project": bound and {"id": bound.project_id, "name": bound.project_name},
            "offline": self.offline,
            "notes": list(self.notes),
            "deleted": list(self.deleted),
            "jobs": dict(Counter(job.condition for task in self.tasks for job in task.jobs)),
            "tasks": [
                asdict(task) | {"pushed": task.pushed, "pulled": task.pulled} for task in self.tasks
            ],
        }


def known_status(study: Study, offline: str | None = None) -> CvatStatus:
    """What the study itself noted of its tasks and jobs, without asking the server.

    Parameters
    ----------
    study : Study
    offline : str, optional
        Why the server is not asked.
    """
    binding = study.cvat.binding()
    if binding is None:
        return CvatStatus(None, (), offline)
    records = _StudyRecords(study)
    tasks = [
        TaskStatus(
            _task_id(sent), name, len(image_ids), records.jobs(sent), "" if sent else _NOT_YET
        )
        for name, image_ids, sent in records.tasks()
    ]
    return CvatStatus(binding, tuple(tasks), offline, _left(study))


def _left(study: Study) -> tuple[str, ...]:
    """A note about each project that the study was sent to before."""
    return tuple(
        f"project {left.project_id} ({left.name!r}) at {left.url} was left at {left.time} with "
        f"{len(left.sent)} images that were sent to it; it is not looked at any more"
        for left in study.cvat.projects.left()
    )


def server_status(
    study: Study, server: CvatServer, read_shapes: bool = False, on_step: OnStep = silent
) -> CvatStatus:
    """The state of every task of the study on the server.

    Parameters
    ----------
    study : Study
    server : CvatServer
    read_shapes : bool
        Also read the shapes of jobs that are still new. CVAT's own pages change the state when
        somebody saves, other programs that write shapes do not.
    on_step : callable, optional
        Called with what is being done, how much of it is done, and how much there is.

    Raises
    ------
    UsageError
        When the study was pushed to another server.
    CvatForbidden
        When this login may not see the project.
    CvatMissing
        When the project was deleted.
    CvatError
        When the server refuses, or cannot be reached.
    """
    binding = study.cvat.binding()
    if binding is None:
        return CvatStatus(None)
    notes: list[str] = []
    bound_project(study, server, notes)
    records = _StudyRecords(study)
    by_id = {task.id: task for task in server.tasks(binding.project_id)}
    jobs = annotation_jobs(server.jobs(binding.project_id), notes)
    touched = _touched(study, server, jobs, on_step) if read_shapes else frozenset()
    by_name = {task.name: task for task in by_id.values()}
    tasks = []
    for name, image_ids, sent in records.tasks():
        # People may rename a task in CVAT: once it was sent, its id counts.
        task_id = _task_id(sent)
        task = by_name.get(name) if task_id is None else by_id.get(task_id)
        absence = "" if task or task_id is None else why_absent(server, task_id)
        deleted = _deleted_ids(server, task) if task and sent else frozenset()
        rows = records.jobs(sent, jobs, touched, deleted)
        if absence and absence != GONE_FROM_SERVER:
            rows = tuple(replace(row, condition=UNSEEN) for row in rows)
        tasks.append(_task(name, len(image_ids), task, rows, absence))
    return CvatStatus(binding, tuple(tasks), notes=(*notes, *_left(study)))


def _deleted_ids(server: CvatServer, task: CvatTask) -> frozenset[str]:
    """Ids of the images whose frames people deleted in a task."""
    if not task.frames:
        return frozenset()
    frames = server.frames(task.id)
    return frozenset(PurePosixPath(frame.name).stem for frame in frames if frame.deleted)


_NOT_YET = "not pushed yet: run trephine push again"
_UNFINISHED = "a push did not come to its end: run trephine push again"


def _task(
    name: str, planned: int, task: CvatTask | None, jobs: tuple[JobStatus, ...], absence: str
) -> TaskStatus:
    """One task; `planned` is how many images it is to have, `absence` why it is not listed."""
    if task is None:
        return TaskStatus(None, name, planned, jobs, absence or _NOT_YET)
    sent = sum(len(job.images) for job in jobs)
    return TaskStatus(task.id, name, task.frames, jobs, _UNFINISHED if sent < planned else "")


def _task_id(sent: Sequence[Sent]) -> int | None:
    return sent[0].task_id if sent else None


def _touched(
    study: Study, server: CvatServer, jobs: Sequence[CvatJob], on_step: OnStep
) -> frozenset[int]:
    """Ids of jobs whose state is new, but which hold shapes that this study never put there."""
    new_jobs = [job for job in jobs if job.state == NEW]
    touched = set()
    for number, job in enumerate(new_jobs):
        on_step("jobs", number, len(new_jobs))
        by_frame: dict[int, list[CvatShape]] = {}
        for shape in server.shapes(job.id).shapes:
            if job.start <= shape.frame <= job.stop:
                by_frame.setdefault(shape.frame, []).append(shape)
        if any(
            digest(shapes) not in study.cvat.puts(job.id, frame)
            for frame, shapes in by_frame.items()
        ):
            touched.add(job.id)
    return frozenset(touched)


class _StudyRecords:
    """What the study noted of its tasks and jobs."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._names = {image.id: image.name for image in study.all_images()}
        self._sent = study.cvat.sent()
        self._deleted = study.cvat.deleted_frames.all()
        self._pulled = study.cvat.pulled_jobs()

    def tasks(self) -> list[tuple[str, tuple[str, ...], list[Sent]]]:
        """Name of each task, ids of its images, and what was sent of it.

        In the order in which their batches were made; tasks without a batch come last.
        """
        image_ids = {batch.task_name: batch.image_ids for batch in self._study.cvat.batches()}
        for sent in self._sent:
            if sent.task_name not in image_ids:
                image_ids[sent.task_name] = self._sent_images(sent.task_name)
        return [
            (name, ids, [sent for sent in self._sent if sent.task_name == name])
            for name, ids in image_ids.items()
        ]

    def _sent_images(self, task_name: str) -> tuple[str, ...]:
        return tuple(sent.image_id for sent in self._sent if sent.task_name == task_name)

    def jobs(
        self,
        sent: Sequence[Sent],
        on_server: Sequence[CvatJob] | None = None,
        touched: frozenset[int] = frozenset(),
        deleted: frozenset[str] | None = None,
    ) -> tuple[JobStatus, ...]:
        """The jobs that images were sent to, by id.

        Parameters
        ----------
        sent : sequence of Sent
            Images of one task.
        on_server : sequence of CvatJob or None
            The jobs as they are on the server; None where it was not asked.
        touched : frozenset of int
            Ids of jobs that somebody changed while their state stayed new.
        deleted : frozenset of str or None
            Ids of the images whose frames are deleted; None for those that a pull found.
        """
        noted = frozenset(self._deleted)
        by_job: dict[int, list[Sent]] = {}
        for image in sent:
            by_job.setdefault(image.job_id, []).append(image)
        jobs: Mapping[int, CvatJob] = {job.id: job for job in on_server or ()}
        asked = on_server is not None
        return tuple(
            self._with_deleted(
                self._job(job_id, images, jobs.get(job_id), asked, job_id in touched),
                {image.image_id for image in images},
                noted if deleted is None else deleted,
            )
            for job_id, images in sorted(by_job.items())
        )

    def _with_deleted(self, job: JobStatus, image_ids: Set[str], deleted: Set[str]) -> JobStatus:
        """A job with its deleted frames; where a pull has not seen them, it is to be pulled."""
        ours, noted = image_ids & deleted, image_ids & self._deleted.keys()
        condition = TO_PULL if job.condition == PULLED and ours != noted else job.condition
        names = tuple(sorted(self._names[image_id] for image_id in ours))
        return replace(job, condition=condition, deleted=names)

    def _job(
        self, job_id: int, sent: Sequence[Sent], job: CvatJob | None, asked: bool, touched: bool
    ) -> JobStatus:
        pulled = self._pulled.get(job_id)
        images = tuple(self._names[image.image_id] for image in sent)
        push_time = max(image.time for image in sent)
        pull_time = None if pulled is None else pulled.time
        if job is None:
            state = pulled.state if pulled else ""
            condition = GONE if asked else PULLED if pulled else UNKNOWN
            return JobStatus(job_id, images, state, "", None, "", push_time, pull_time, condition)
        return JobStatus(
            job_id,
            images,
            job.state,
            job.stage,
            job.assignee,
            job.updated,
            push_time,
            pull_time,
            TOUCHED if touched else _condition(job, pulled),
        )


def _condition(job: CvatJob, pulled: PulledJob | None) -> str:
    if job.state == COMPLETED:
        as_pulled = pulled is not None and (pulled.updated, pulled.state) == (
            job.updated,
            job.state,
        )
        return PULLED if as_pulled else TO_PULL
    if job.state == REJECTED:
        return SENT_BACK
    return WAITING if job.state == NEW and job.stage == _FIRST_STAGE else IN_WORK
