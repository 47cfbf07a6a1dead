"""How the work in CVAT stands: task by task, from the server and from what the study knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from annotator.core.progress import OnStep, silent
from annotator.study.cvat import Binding, PulledJob, Sent
from annotator.study.study import Study
from export.cvat.client.server import (
    ANNOTATION,
    COMPLETED,
    NEW,
    REJECTED,
    CvatJob,
    CvatServer,
    CvatTask,
)
from export.cvat.client.shapes import digest

WAITING, TOUCHED, IN_WORK, SENT_BACK, TO_PULL, PULLED, GONE, UNKNOWN = (
    "waiting",
    "touched",
    "in work",
    "rejected",
    "to pull",
    "pulled",
    "gone",
    "unknown",
)
"""How a job stands: nobody has begun; changed, though its state is new; begun; rejected by who
checked it; completed, and not pulled since; pulled as it is; no longer on the server; the
server was not asked."""
_FIRST_STAGE = "annotation"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How one job stands.

    Parameters
    ----------
    job_id : int
    images : tuple of str
        Names in the study of what was pushed to it.
    state, stage : str
        On the server; as they were when it was pulled last, or empty, where it was not asked.
    assignee : str or None
    updated : str
        When it was changed last, as the server writes it.
    pushed, pulled : str or None
        When, by our clock, UTC.
    condition : str
        See :data:`WAITING` and those beside it.
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


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """How one task stands.

    Parameters
    ----------
    task_id : int or None
        None for one that is not on the server yet.
    name : str
    frames : int
        On the server; those that are to be pushed where it was not asked.
    jobs : tuple of JobStatus
    note : str
        What a person has to know; empty where all is well.
    """

    task_id: int | None
    name: str
    frames: int
    jobs: tuple[JobStatus, ...]
    note: str = ""

    @property
    def pushed(self) -> str | None:
        """The last push, UTC."""
        return max((job.pushed for job in self.jobs if job.pushed), default=None)

    @property
    def pulled(self) -> str | None:
        """The last pull, UTC."""
        return max((job.pulled for job in self.jobs if job.pulled), default=None)

    def count(self, *conditions: str) -> int:
        """Jobs that stand so."""
        return sum(job.condition in conditions for job in self.jobs)


@dataclass(frozen=True, slots=True)
class CvatStatus:
    """How a study stands in CVAT.

    Parameters
    ----------
    binding : Binding or None
        None for a study that was never pushed.
    tasks : tuple of TaskStatus
    offline : str or None
        Why the server was not asked; what is told is then what the study knows.
    """

    binding: Binding | None
    tasks: tuple[TaskStatus, ...] = ()
    offline: str | None = None

    def count(self, *conditions: str) -> int:
        """Jobs of all tasks that stand so."""
        return sum(task.count(*conditions) for task in self.tasks)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        bound = self.binding
        return {
            "url": bound and bound.url,
            "project": bound and {"id": bound.project_id, "name": bound.project_name},
            "offline": self.offline,
            "jobs": dict(Counter(job.condition for task in self.tasks for job in task.jobs)),
            "tasks": [
                asdict(task) | {"pushed": task.pushed, "pulled": task.pulled} for task in self.tasks
            ],
        }


def known_status(study: Study, offline: str | None = None) -> CvatStatus:
    """What the study knows without asking the server.

    Parameters
    ----------
    study : Study
    offline : str, optional
        Why the server is not asked.
    """
    binding = study.cvat.binding()
    if binding is None:
        return CvatStatus(None, (), offline)
    known = _Known(study)
    tasks = [
        TaskStatus(_task_id(sent), name, len(images), known.jobs(sent), "" if sent else _NOT_YET)
        for name, images, sent in known.tasks()
    ]
    return CvatStatus(binding, tuple(tasks), offline)


def server_status(
    study: Study, server: CvatServer, look: bool = False, on_step: OnStep = silent
) -> CvatStatus:
    """How every task of the study stands on the server.

    Parameters
    ----------
    study : Study
    server : CvatServer
    look : bool
        Read the shapes of jobs that nobody seems to have begun: CVAT's own pages set the state
        when somebody saves, other programs do not.
    on_step : callable, optional
        Told what is being done, how much of it is done, and how much there is.

    Raises
    ------
    UsageError
        When the study was pushed to another server.
    CvatError
        When the server refuses, or cannot be reached.
    """
    binding = study.cvat.binding()
    if binding is None:
        return CvatStatus(None)
    study.cvat.check_server(server.info.url)
    known = _Known(study)
    there = {task.id: task for task in server.tasks(binding.project_id)}
    jobs = [job for job in server.jobs(binding.project_id) if job.kind == ANNOTATION]
    touched = _touched(study, server, jobs, on_step) if look else frozenset()
    by_name = {task.name: task for task in there.values()}
    tasks = []
    for name, images, sent in known.tasks():
        number = _task_id(sent)
        task = by_name.get(name) if number is None else there.get(number)
        tasks.append(_task(name, len(images), task, known.jobs(sent, jobs, touched)))
    return CvatStatus(binding, tuple(tasks))


_NOT_YET = "not pushed yet: run trephine push again"
_GONE = "no longer on the server"
_HALF = "a push did not come to its end: run trephine push again"


def _task(name: str, wanted: int, task: CvatTask | None, jobs: tuple[JobStatus, ...]) -> TaskStatus:
    if task is None:
        return TaskStatus(None, name, wanted, jobs, _GONE if jobs else _NOT_YET)
    held = sum(len(job.images) for job in jobs)
    return TaskStatus(task.id, name, task.frames, jobs, _HALF if held < wanted else "")


def _task_id(sent: Sequence[Sent]) -> int | None:
    return sent[0].task_id if sent else None


def _touched(
    study: Study, server: CvatServer, jobs: Sequence[CvatJob], on_step: OnStep
) -> frozenset[int]:
    """Jobs whose state is new, but whose shapes are none that we put there."""
    new = [job for job in jobs if job.state == NEW]
    found = set()
    for number, job in enumerate(new):
        on_step("jobs", number, len(new))
        shapes = server.shapes(job.id).shapes
        frames = {frame: [s for s in shapes if s.frame == frame] for frame in _frames(job)}
        if any(digest(own) not in study.cvat.puts(job.id, f) for f, own in frames.items() if own):
            found.add(job.id)
    return frozenset(found)


def _frames(job: CvatJob) -> range:
    return range(job.start, job.stop + 1)


class _Known:
    """What the study knows of its tasks and jobs."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._names = {image.id: image.name for image in study.images()}
        self._sent = study.cvat.sent()

    def tasks(self) -> list[tuple[str, tuple[str, ...], list[Sent]]]:
        """Name, ids of the images, and what was sent: planned tasks first, in their order."""
        planned = {batch.task_name: batch.image_ids for batch in self._study.cvat.batches()}
        for sent in self._sent:
            if sent.task_name not in planned:
                planned[sent.task_name] = self._images(sent.task_name)
        return [
            (name, images, [sent for sent in self._sent if sent.task_name == name])
            for name, images in planned.items()
        ]

    def _images(self, task_name: str) -> tuple[str, ...]:
        return tuple(sent.image_id for sent in self._sent if sent.task_name == task_name)

    def jobs(
        self,
        sent: Sequence[Sent],
        there: Sequence[CvatJob] | None = None,
        touched: frozenset[int] = frozenset(),
    ) -> tuple[JobStatus, ...]:
        """The jobs to which images were sent, as they are `there`; None where nobody asked."""
        by_job: dict[int, list[Sent]] = {}
        for one in sent:
            by_job.setdefault(one.job_id, []).append(one)
        found: Mapping[int, CvatJob] = {job.id: job for job in there or ()}
        return tuple(
            self._job(number, ours, found.get(number), there is not None, number in touched)
            for number, ours in sorted(by_job.items())
        )

    def _job(
        self, number: int, ours: Sequence[Sent], job: CvatJob | None, asked: bool, touched: bool
    ) -> JobStatus:
        pulled = self._study.cvat.pulled(number)
        images = tuple(self._names[one.image_id] for one in ours)
        pushed = max(one.time for one in ours)
        time = None if pulled is None else pulled.time
        if job is None:
            state = pulled.state if pulled else ""
            condition = GONE if asked else PULLED if pulled else UNKNOWN
            return JobStatus(number, images, state, "", None, "", pushed, time, condition)
        condition = TOUCHED if touched else _condition(job, pulled)
        return JobStatus(
            number,
            images,
            job.state,
            job.stage,
            job.assignee,
            job.updated,
            pushed,
            time,
            condition,
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
