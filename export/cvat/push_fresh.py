"""The first annotations of a task that this push has just made, with few requests.

A job of an old task is looked at just before it is written, and read again just after. The jobs
of a fresh one are looked at together: all of them hold nothing, and a list of them tells whether
anything happened to one since. That list is read again before a write unless it is younger than
:data:`LOOK_S`. What was written is read back once for the whole task.

Where anything is otherwise than it should be, the job is left to
:func:`export.cvat.push_jobs.send_job`, which looks for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from annotator.core.errors import CvatError
from export.cvat.client.server import ANNOTATION, NEW, CvatJob, Shapes
from export.cvat.push_jobs import finish_job, is_doubled, put_payload
from export.cvat.push_payload import JobPayload, PushContext, TaskJob
from export.cvat.push_report import PushedImage
from export.cvat.push_tasks import PreparedTask

LOOK_S = 1.0
"""Seconds for which a look at the jobs of a task that was just made holds: about a write."""
MOST_FRAMES = 50
"""Of a task that is read in one answer."""


class FreshTask:
    """A task that was just made, whose jobs nobody has touched.

    Parameters
    ----------
    context : PushContext
    prepared : PreparedTask
    jobs : sequence of CvatJob
        As they were when all of them held nothing.
    looked : float
        When that was, by the clock.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        context: PushContext,
        prepared: PreparedTask,
        jobs: Sequence[CvatJob],
        looked: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._task = prepared.task.id
        self._jobs = {job.id: job for job in jobs}
        self._current = dict(self._jobs)
        self._looked = looked
        self._clock = clock
        self._broken = False

    def put(self, payload: JobPayload) -> bool:
        """Write a job that nobody has touched; false where it is left to ``send_job``."""
        job_id = payload.contents.job.id
        try:
            if self._broken or not payload.contents.frames or not self._is_untouched(job_id):
                return False
            put_payload(self._context, payload)
        except CvatError:
            # It may have arrived: whoever looks at the job will see.
            self._broken = True
            return False
        return True

    def finish(self, payloads: Sequence[JobPayload]) -> list[list[PushedImage] | None]:
        """Read back what was put, and note it as sent; None for a job left to ``send_job``."""
        if not payloads:
            return []
        try:
            on_server = self._context.server.task_shapes(self._task)
        except CvatError:
            return [None] * len(payloads)
        return [self._finish(payload, on_server) for payload in payloads]

    def _finish(self, payload: JobPayload, on_server: Shapes) -> list[PushedImage] | None:
        job = payload.contents.job
        mine = Shapes(tuple(s for s in on_server.shapes if job.start <= s.frame <= job.stop))
        if on_server.tracks or on_server.tags or is_doubled(payload, mine):
            return None
        try:
            return finish_job(self._context, payload, mine)
        except CvatError:
            # It could not be assigned; send_job tries that again.
            return None

    def _is_untouched(self, job_id: int) -> bool:
        """Whether a job is as it was when it held nothing."""
        if self._clock() - self._looked > LOOK_S:
            looked = self._clock()
            self._current = {job.id: job for job in self._context.server.task_jobs(self._task)}
            self._looked = looked
        return self._current.get(job_id) == self._jobs[job_id]


def fresh_task(
    context: PushContext, prepared: PreparedTask, task_jobs: Sequence[TaskJob]
) -> FreshTask | None:
    """A task whose pictures this push has just sent; None where it is to be sent job by job.

    Parameters
    ----------
    context : PushContext
    prepared : PreparedTask
    task_jobs : sequence of TaskJob
        As they were listed just now.
    """
    jobs = [task_job.job for task_job in task_jobs]
    begun = [j for j in jobs if (j.state, j.stage, j.assignee) != (NEW, ANNOTATION, None)]
    if not prepared.uploaded or begun or len(prepared.frame_numbers) > MOST_FRAMES:
        return None
    looked = time.monotonic()
    try:
        on_server = context.server.task_shapes(prepared.task.id)
    except CvatError:
        return None
    if on_server.shapes or on_server.tracks or on_server.tags:
        return None
    return FreshTask(context, prepared, jobs, looked)
