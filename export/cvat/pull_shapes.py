"""Reads the shapes of jobs, those of a whole task in one answer where most of them are wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from annotator.core.errors import CvatError, CvatLoggedOut, CvatUnreachable
from export.cvat.client.server import ANNOTATION, CvatJob, CvatServer, Shapes

_MOST_FRAMES = 50
"""Of a task that is read in one answer."""


class ShapesReader:
    """Reads what is annotated in the jobs of a project, job after job.

    Parameters
    ----------
    server : CvatServer
    jobs : sequence of CvatJob
        All of the project, of every kind.
    """

    def __init__(self, server: CvatServer, jobs: Sequence[CvatJob]) -> None:
        self._server = server
        self._jobs_of_task = Counter(job.task_id for job in jobs)
        # In one answer, jobs that show the same frames could not be told apart.
        self._mixed = {job.task_id for job in jobs if job.kind != ANNOTATION}
        self._frames_of_task: dict[int, set[int]] = {}
        for job in jobs:
            frames = self._frames_of_task.setdefault(job.task_id, set())
            own = range(job.start, job.stop + 1)
            if not frames.isdisjoint(own):
                self._mixed.add(job.task_id)
            frames.update(own)
        self._expected: Counter[int] = Counter()
        self._task: int | None = None
        self._of_task: Shapes | None = None

    def expect(self, jobs: Iterable[CvatJob]) -> None:
        """Say which jobs are going to be read."""
        self._expected = Counter(job.task_id for job in jobs)

    def of_job(self, job: CvatJob) -> Shapes:
        """What is annotated in a job.

        Raises
        ------
        CvatError
            When the server refuses.
        CvatUnreachable
            When it cannot be reached.
        """
        if self._is_worth_it(job.task_id):
            if self._task != job.task_id:
                self._task, self._of_task = job.task_id, self._read(job.task_id)
            if self._of_task is not None:
                shapes = self._of_task.shapes
                return Shapes(tuple(s for s in shapes if job.start <= s.frame <= job.stop))
        return self._server.shapes(job.id)

    def _is_worth_it(self, task: int) -> bool:
        """Whether half of a task's jobs are wanted, or more."""
        wanted = self._expected[task]
        if task in self._mixed or len(self._frames_of_task.get(task, ())) > _MOST_FRAMES:
            return False
        return wanted > 1 and 2 * wanted >= self._jobs_of_task[task]

    def _read(self, task: int) -> Shapes | None:
        """All shapes of a task; None where its jobs are better read one by one."""
        try:
            found = self._server.task_shapes(task)
        except (CvatUnreachable, CvatLoggedOut):
            raise
        except CvatError:
            # Who may see a job may not always see its task.
            return None
        # A track may go over several jobs: the jobs themselves say whose it is.
        return None if found.tracks or found.tags else found
