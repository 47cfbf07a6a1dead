"""A CVAT server in memory, behind the Protocol ``CvatServer``, with faults on demand.

It is as loose as the real one: what is sent is kept unless the real one drops it, shapes get
new ids with every write, and attributes that a shape lacks come back with their defaults.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.errors import CvatError, CvatForbidden, CvatMissing, CvatUnreachable
from annotator.core.objects import tight_box
from export.cvat.client.server import (
    ANNOTATION,
    NEW,
    AccessToken,
    Comment,
    CvatFrame,
    CvatJob,
    CvatLabel,
    CvatProject,
    CvatShape,
    CvatTask,
    ServerInfo,
    Shapes,
)
from export.readers.rle import encode_points

BEFORE, AFTER, TWICE = "before", "after", "twice"
"""The connection breaks before the server heard it; after it did it; it hears it twice."""


@dataclass
class FakeTask:
    """What the server knows of a task."""

    task: CvatTask
    frames_per_job: int
    frames: list[CvatFrame] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    shapes: list[CvatShape] = field(default_factory=list)


class FakeCvat:
    """A server that we are logged in to.

    Attributes
    ----------
    faults : dict of int to str
        By the number of the call, from 0: :data:`BEFORE`, :data:`AFTER` or :data:`TWICE`.
    hidden : set of int
        Projects and tasks that our login may not see.
    organization : str
        Short name of the organisation that we ask in.
    calls : list of str
        Names of the methods that were called, in order.
    before : callable or None
        Called with the name of each method before it is done: a person at work beside us.
    """

    def __init__(self, url: str = "https://cvat.test", users: Sequence[str] = ("eva",)) -> None:
        self.url = url
        self.users = {name: number for number, name in enumerate(users, start=1)}
        self.faults: dict[int, str] = {}
        self.hidden: set[int] = set()
        self.organization = ""
        self.calls: list[str] = []
        self.before: Callable[[str], None] | None = None
        self.task_table: dict[int, FakeTask] = {}
        self.job_table: dict[int, CvatJob] = {}
        self.tracks: dict[int, int] = {}
        self.comment_table: dict[int, list[Comment]] = {}
        self._projects: dict[int, tuple[CvatProject, tuple[CvatLabel, ...]]] = {}
        self._number = 100
        self._clock = 0

    @property
    def info(self) -> ServerInfo:
        """Who and what we talk to."""
        return ServerInfo("2.73.0", self.url, "trephine", self.organization)

    @property
    def writes(self) -> list[str]:
        """The calls that change something."""
        return [c for c in self.calls if c in WRITES]

    # The Protocol

    def token(self) -> AccessToken | None:
        """We are logged in with a password."""
        return None

    def use_organization(self, slug: str) -> None:
        """Ask in an organisation from now on."""
        self.organization = slug

    def project(self, project: int) -> CvatProject:
        """A project by its number."""
        return self._do("project", lambda: self._seen(project))

    def task(self, task: int) -> CvatTask:
        """A task by its number."""
        return self._do("task", lambda: self._seen_task(task))

    def projects(self, name: str) -> tuple[CvatProject, ...]:
        """Projects of exactly this name, by id."""
        return self._do(
            "projects",
            lambda: tuple(
                p for p, _ in self._projects.values() if p.name == name and p.id not in self.hidden
            ),
        )

    def create_project(self, name: str, labels: Sequence[CvatLabel]) -> CvatProject:
        """Make a project with these labels."""
        return self._do("create_project", lambda: self.add_project(name, labels))

    def labels(self, project: int) -> tuple[CvatLabel, ...]:
        """Labels of a project."""
        return self._do("labels", lambda: self._project(project)[1])

    def tasks(self, project: int) -> tuple[CvatTask, ...]:
        """All tasks of a project, by id."""
        return self._do(
            "tasks",
            lambda: tuple(
                t.task
                for t in self.task_table.values()
                if t.task.project_id == project and t.task.id not in self.hidden
            ),
        )

    def create_task(self, project: int, name: str, frames_per_job: int) -> CvatTask:
        """Make a task without data."""
        return self._do("create_task", lambda: self.add_task(project, name, frames_per_job))

    def delete_task(self, task: int) -> None:
        """Remove a task."""
        self._do("delete_task", lambda: self._delete(task))

    def upload(self, task: int, files: Sequence[Path]) -> None:
        """Give a task its images."""
        contents = [(path.name, path.read_bytes()) for path in files]
        self._do("upload", lambda: self._upload(task, contents))

    def frames(self, task: int) -> tuple[CvatFrame, ...]:
        """The frames of a task."""
        return self._do("frames", lambda: tuple(self._task(task).frames))

    def jobs(self, project: int) -> tuple[CvatJob, ...]:
        """All jobs of a project, by id."""
        return self._do("jobs", lambda: self._jobs(project))

    def task_jobs(self, task: int) -> tuple[CvatJob, ...]:
        """All jobs of a task, by id."""
        return self._do(
            "task_jobs", lambda: tuple(j for j in self.job_table.values() if j.task_id == task)
        )

    def shapes(self, job: int) -> Shapes:
        """What is annotated in a job."""
        return self._do("shapes", lambda: Shapes(self.shapes_of(job), self.tracks.get(job, 0)))

    def task_shapes(self, task: int) -> Shapes:
        """What is annotated in all jobs of a task that people annotate in."""
        return self._do("task_shapes", lambda: self._shapes_of_task(task))

    def put_shapes(self, job: int, shapes: Sequence[CvatShape]) -> None:
        """Replace everything that is annotated in a job."""
        _refuse_numpy(shapes)
        self._do("put_shapes", lambda: self.annotate(job, shapes))

    def import_voc(self, task: int, archive: Path) -> None:
        """Import a VOC archive as masks."""
        data = archive.read_bytes()
        self._do("import_voc", lambda: self._import_voc(task, data))

    def user(self, name: str) -> int:
        """Id of a user."""
        return self._do("user", lambda: self._user(name))

    def assign(self, job: int, user: int) -> None:
        """Give a job to a user."""
        self._do("assign", lambda: self._assign(job, user))

    def comments(self, job: int) -> tuple[Comment, ...]:
        """What was written in the issues of a job."""
        return self._do("comments", lambda: tuple(self.comment_table.get(job, ())))

    # What people do on the server, and what tests look at

    def add_labels(self, project: int, labels: Sequence[CvatLabel]) -> None:
        """Add labels to a project, as people do."""
        found, before = self._project(project)
        self._projects[project] = (found, (*before, *map(self._numbered, labels)))

    def add_project(self, name: str, labels: Sequence[CvatLabel]) -> CvatProject:
        """Make a project."""
        project = CvatProject(self._next(), name, "trephine", self.organization)
        self._projects[project.id] = (project, tuple(self._numbered(one) for one in labels))
        return project

    def add_task(self, project: int, name: str, frames_per_job: int = 1) -> CvatTask:
        """Make a task without data."""
        home = self._project(project)[0].organization
        if home != self.organization:
            raise CvatError("the task and its project should be in the same organization (400)")
        task = CvatTask(self._next(), name, project, 0)
        self.task_table[task.id] = FakeTask(task, frames_per_job)
        return task

    def set_job(self, job: int, **values: Any) -> CvatJob:
        """Change state, stage, assignee or kind of a job."""
        self.job_table[job] = replace(self._job(job), updated=self._now(), **values)
        return self.job_table[job]

    def shapes_of(self, job: int) -> tuple[CvatShape, ...]:
        """The shapes of a job as the server gives them out."""
        one = self._job(job)
        return tuple(s for s in self._task(one.task_id).shapes if one.start <= s.frame <= one.stop)

    def annotate(self, job: int, shapes: Sequence[CvatShape]) -> None:
        """Replace the shapes of a job; a shape of another job's frame wipes the job."""
        one = self._job(job)
        owner = self._task(one.task_id)
        owner.shapes = [s for s in owner.shapes if not one.start <= s.frame <= one.stop]
        if all(one.start <= s.frame <= one.stop for s in shapes):
            owner.shapes += [self._kept(owner, s) for s in shapes]
        self.set_job(job)

    def comment(self, job: int, text: str, author: str = "eva") -> None:
        """Write in an issue of a job."""
        made = Comment(
            self._next(), self._job(job).start, (1.0, 1.0), author, text, self._now(), False
        )
        self.comment_table.setdefault(job, []).append(made)

    def project_named(self, name: str) -> CvatProject:
        """The one project of this name."""
        (found,) = (p for p, _ in self._projects.values() if p.name == name)
        return found

    def delete_frames(self, task: int, *frames: int) -> None:
        """Delete these frames of a task, and restore all others; no job notices."""
        owner = self._task(task)
        owner.frames = [
            replace(one, deleted=number in frames) for number, one in enumerate(owner.frames)
        ]

    def move_project(self, project: int, organization: str) -> None:
        """Move a project into an organisation."""
        found, labels = self._project(project)
        self._projects[project] = (replace(found, organization=organization), labels)

    def change_labels(self, project: int, labels: Sequence[CvatLabel]) -> None:
        """Give a project other labels; those without an id get one."""
        found, _ = self._project(project)
        numbered = (one if one.id is not None else self._numbered(one) for one in labels)
        self._projects[project] = (found, tuple(numbered))

    def rename_project(self, project: int, name: str) -> None:
        """Give a project another name."""
        found, labels = self._project(project)
        self._projects[project] = (replace(found, name=name), labels)

    def remove_project(self, project: int) -> None:
        """Remove a project with its tasks."""
        for task in [t.task for t in self.task_table.values() if t.task.project_id == project]:
            self._delete(task.id)
        del self._projects[project]

    # Inside

    def _do(self, name: str, action: Callable[[], Any]) -> Any:
        """Do one call, with the fault that was asked for."""
        fault = self.faults.get(len(self.calls))
        self.calls.append(name)
        if self.before is not None:
            self.before(name)
        if fault == BEFORE:
            raise CvatUnreachable(f"{name}: {self.url} broke off; look at the network")
        result = action()
        if fault == TWICE and name in WRITES:
            result = action()
        if fault == AFTER:
            raise CvatUnreachable(f"{name}: {self.url} broke off; look at the network")
        return result

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _now(self) -> str:
        self._clock += 1
        minutes, seconds = divmod(self._clock, 60)
        hours, minutes = divmod(minutes, 60)
        return f"2026-01-02T{hours:02d}:{minutes:02d}:{seconds:02d}.000000Z"

    def _numbered(self, label: CvatLabel) -> CvatLabel:
        attributes = tuple(replace(one, id=self._next()) for one in label.attributes)
        return replace(label, attributes=attributes, id=self._next())

    def _project(self, number: int) -> tuple[CvatProject, tuple[CvatLabel, ...]]:
        return _found(self._projects, number, "project")

    def _seen(self, number: int) -> CvatProject:
        if number in self.hidden:
            raise CvatForbidden(f"project {number}: your user may not do this (403)")
        return self._project(number)[0]

    def _seen_task(self, number: int) -> CvatTask:
        if number in self.hidden:
            raise CvatForbidden(f"task {number}: your user may not do this (403)")
        return self._task(number).task

    def _task(self, number: int) -> FakeTask:
        return _found(self.task_table, number, "task")

    def _job(self, number: int) -> CvatJob:
        return _found(self.job_table, number, "job")

    def _jobs(self, project: int) -> tuple[CvatJob, ...]:
        jobs = self.job_table.values()
        return tuple(
            j
            for j in jobs
            if self._task(j.task_id).task.project_id == project and j.task_id not in self.hidden
        )

    def _shapes_of_task(self, task: int) -> Shapes:
        jobs = [one.id for one in self.job_table.values() if one.task_id == task]
        tracks = sum(self.tracks.get(job, 0) for job in jobs)
        return Shapes(tuple(self._task(task).shapes), tracks)

    def _user(self, name: str) -> int:
        if name not in self.users:
            raise CvatError(f"expected a user of {self.url}, got {name!r}; look at the spelling")
        return self.users[name]

    def _assign(self, job: int, user: int) -> None:
        (name,) = (name for name, number in self.users.items() if number == user)
        self.set_job(job, assignee=name)

    def _delete(self, task: int) -> None:
        self.task_table.pop(task, None)
        self.job_table = {j.id: j for j in self.job_table.values() if j.task_id != task}

    def _upload(self, task: int, files: Sequence[tuple[str, bytes]]) -> None:
        owner = self._task(task)
        if owner.frames:
            raise CvatError(f"task {task}: has its data already")
        names = [name for name, _ in files]
        if len(set(names)) < len(names):
            raise CvatError(f"task {task}: two files of one name")
        for name, data in files:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            owner.frames.append(CvatFrame(name, picture.shape[1], picture.shape[0]))
            owner.pictures.append(data)
        owner.task = replace(owner.task, frames=len(files))
        for start in range(0, len(files), owner.frames_per_job):
            stop = min(start + owner.frames_per_job, len(files)) - 1
            number = self._next()
            self.job_table[number] = CvatJob(
                number, task, ANNOTATION, NEW, "annotation", None, start, stop, self._now()
            )

    def _kept(self, owner: FakeTask, shape: CvatShape) -> CvatShape:
        """A shape as it is given out afterwards: a new id, and attributes with their defaults."""
        assert owner.task.project_id is not None
        known = {one.id: one for one in self._project(owner.task.project_id)[1]}
        if shape.label not in known:
            raise CvatError(f"label_id {shape.label} is not one of this task")
        defaults = {a.id: a.default for a in known[shape.label].attributes if a.id is not None}
        points = tuple(float(value) for value in shape.points)
        return replace(
            shape, id=self._next(), points=points, attributes=defaults | dict(shape.attributes)
        )

    def _import_voc(self, task: int, data: bytes) -> None:
        """One mask a colour of SegmentationObject; it replaces what the whole task has."""
        owner = self._task(task)
        found: list[CvatShape] = []
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            labels = _voc_labels(archive.read("labelmap.txt").decode())
            names = archive.read("ImageSets/Segmentation/default.txt").decode().split("\n")
            for frame, one in enumerate(owner.frames):
                if Path(one.name).stem in names:
                    found += self._voc_frame(owner, archive, frame, labels)
        owner.shapes = [self._kept(owner, one) for one in found]
        for job in [j for j in self.job_table.values() if j.task_id == task]:
            self.set_job(job.id)

    def _voc_frame(
        self,
        owner: FakeTask,
        archive: zipfile.ZipFile,
        frame: int,
        labels: Mapping[tuple[int, ...], str],
    ) -> list[CvatShape]:
        assert owner.task.project_id is not None
        ids = {one.name: one.id for one in self._project(owner.task.project_id)[1]}
        stem = Path(owner.frames[frame].name).stem
        classes = _picture(archive.read(f"SegmentationClass/{stem}.png"))
        objects = _picture(archive.read(f"SegmentationObject/{stem}.png"))
        colours = np.unique(objects.reshape(-1, 3), axis=0)
        shapes = []
        for colour in colours[colours.any(axis=1)]:
            mask = (objects == colour).all(axis=2)
            name = labels[tuple(classes[mask][0].tolist())]
            box = tight_box(mask)
            assert box is not None and ids[name] is not None
            points = encode_points(box, mask[box[1] : box[3], box[0] : box[2]])
            shapes.append(
                CvatShape(frame, ids[name], "mask", tuple(map(float, points)), source="manual")
            )
        return shapes


WRITES = frozenset(
    ("create_project", "create_task", "delete_task", "upload", "put_shapes", "import_voc", "assign")
)
"""Methods that change something on the server."""


def _found(table: Mapping[int, Any], number: int, what: str) -> Any:
    if number not in table:
        raise CvatMissing(f"{what} {number}: not there (404)")
    return table[number]


def _refuse_numpy(shapes: Sequence[CvatShape]) -> None:
    """The SDK's models take plain numbers only."""
    for shape in shapes:
        for value in (*shape.points, shape.z_order, shape.frame, shape.label, shape.group):
            if isinstance(value, np.generic):
                raise TypeError(f"expected plain numbers, got {type(value)}")


def _voc_labels(text: str) -> dict[tuple[int, ...], str]:
    rows = [line.split(":") for line in text.splitlines() if line and not line.startswith("#")]
    return {tuple(map(int, row[1].split(","))): row[0] for row in rows}


def _picture(data: bytes) -> NDArray[np.uint8]:
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)
