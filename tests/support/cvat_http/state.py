"""What the HTTP server of the tests knows: users, projects, tasks, jobs, shapes, requests.

It is as loose as a CVAT server: run lengths that do not add up are kept, a shape of a
bad frame is dropped without a word, an import replaces what the whole task has.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from support.cvat_http.rows import (
    AccessTokenRow,
    ImportFailed,
    Issue,
    JobRow,
    Json,
    OrganizationRow,
    PictureRow,
    ProjectRow,
    Refused,
    RequestRow,
    TaskRow,
    Upload,
    User,
)

DEFAULTS: Json = {
    "group": None,
    "source": "manual",
    "occluded": False,
    "outside": False,
    "z_order": 0,
    "rotation": 0.0,
    "points": [],
    "attributes": [],
    "elements": [],
}
"""What a shape has when it was sent without."""


class State:
    """All that the server knows.

    Attributes
    ----------
    lag : int
        Requests until something in the background is worked off; 0 for at once.
    """

    def __init__(self, lag: int = 0) -> None:
        self.lag = lag
        self.users: dict[int, User] = {}
        self.sessions: dict[str, int] = {}
        self.access_tokens: dict[str, AccessTokenRow] = {}
        self.organizations: dict[int, OrganizationRow] = {}
        self.projects: dict[int, ProjectRow] = {}
        self.tasks: dict[int, TaskRow] = {}
        self.jobs: dict[int, JobRow] = {}
        self.issues: dict[int, Issue] = {}
        self.requests: dict[str, RequestRow] = {}
        self.uploads: dict[str, Upload] = {}
        self._numbers: dict[str, int] = {}
        self._clock = dt.datetime(2026, 11, 20, 15, 48, 1, 1, tzinfo=dt.UTC)
        for name in ("admin", "patho1", "patho2", "member", "resident", "stranger"):
            self.add_user(name, f"password of {name}", name in ("admin", "patho1"))
        for slug in ("lab", "clinic"):
            self.add_organization(slug, "member")

    def next_id(self, kind: str) -> int:
        """The next number of a kind; it is never given again."""
        self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return self._numbers[kind]

    def count_from(self, numbers: Mapping[str, int]) -> None:
        """Take these for the numbers that were given last, by kind."""
        self._numbers |= numbers

    def now(self) -> str:
        """A time that is later with every call."""
        self._clock += dt.timedelta(milliseconds=137)
        return self._clock.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def add_user(self, name: str, password: str, staff: bool = False) -> User:
        """Make a user."""
        user = User(self.next_id("user"), name, password, staff)
        self.users[user.id] = user
        return user

    def user_named(self, name: str) -> User:
        """The user of this name."""
        (found,) = (u for u in self.users.values() if u.username == name)
        return found

    def add_token(self, user: str, **values: Any) -> AccessTokenRow:
        """Make a personal access token for the user of this name."""
        number = self.next_id("token")
        value = f"{'personal access token':-<40}{number}".replace(" ", "-")
        self.access_tokens[value] = AccessTokenRow(
            number, self.user_named(user).id, value, **values
        )
        return self.access_tokens[value]

    def add_organization(self, slug: str, *members: str) -> OrganizationRow:
        """Make an organisation of these users."""
        number = self.next_id("organization")
        ids = {self.user_named(name).id for name in members}
        self.organizations[number] = OrganizationRow(number, slug, ids)
        return self.organizations[number]

    def organization_named(self, slug: str) -> OrganizationRow:
        """The organisation of this short name."""
        (found,) = (one for one in self.organizations.values() if one.slug == slug)
        return found

    # Who sees what

    def sees_project(self, user: User, project: ProjectRow) -> bool:
        """Whether a user may see a project: an administrator, who made it, has it, or a member."""
        return self._sees(user, project)

    def sees_task(self, user: User, task: TaskRow) -> bool:
        """Whether a user may see a task: as for its project, or who has the task."""
        project = self.projects.get(task.project_id or 0)
        return self._sees(user, task) or (project is not None and self._sees(user, project))

    def sees_job(self, user: User, job: JobRow) -> bool:
        """Whether a user may see a job: as for its task, or who has the job."""
        return job.assignee == user.id or self.sees_task(user, self.tasks[job.task_id])

    def _sees(self, user: User, row: ProjectRow | TaskRow) -> bool:
        organization = self.organizations.get(row.organization or 0)
        is_member = organization is not None and user.id in organization.members
        return user.staff or is_member or user.id in (row.owner, row.assignee)

    def transfer(self, project: int, slug: str | None) -> None:
        """Move a project with its tasks into an organisation, or out of any."""
        number = None if slug is None else self.organization_named(slug).id
        self.projects[project].organization = number
        for task in self.tasks.values():
            if task.project_id == project:
                task.organization = number

    # Projects and tasks

    def add_project(
        self, name: str, labels: Sequence[Json], owner: int = 1, organization: int | None = None
    ) -> ProjectRow:
        """Make a project; names need not differ."""
        names = [one["name"] for one in labels]
        if len(set(names)) < len(names):
            raise Refused(400, {"labels": ["All label names must be unique for the project"]})
        time = self.now()
        number = self.next_id("project")
        made = [self._label(one, number) for one in labels]
        self.projects[number] = ProjectRow(
            number, name, made, time, time, owner, None, organization
        )
        return self.projects[number]

    def _label(self, sent: Json, project: int | None) -> Json:
        attributes = [self._attribute(one) for one in sent.get("attributes", [])]
        return {
            "id": self.next_id("label"),
            "name": sent["name"],
            "color": sent.get("color", "#33ddff"),
            "attributes": attributes,
            "type": sent.get("type", "any"),
            "sublabels": [],
            "project_id": project,
            "parent_id": None,
            "has_parent": False,
        }

    def _attribute(self, sent: Json) -> Json:
        # Values of a number are kept as sent; those of a text are one text, empty by default.
        return {
            "id": self.next_id("attribute"),
            "name": sent["name"],
            "mutable": sent.get("mutable", False),
            "input_type": sent["input_type"],
            "default_value": sent.get("default_value", ""),
            "values": list(sent.get("values", [])) or [""],
        }

    def change_label(self, number: int, sent: Json) -> Json:
        """Rename or recolour a label; without a colour it gets a new one."""
        (label,) = (one for p in self.projects.values() for one in p.labels if one["id"] == number)
        label["name"] = sent.get("name", label["name"])
        label["color"] = sent.get("color", f"#{(0x33DDFF + 7919 * number) % 0x1000000:06x}")
        return label

    def delete_label(self, number: int) -> None:
        """Remove a label, with all shapes that have it."""
        for project in self.projects.values():
            project.labels[:] = [one for one in project.labels if one["id"] != number]
        for job in self.jobs.values():
            job.shapes = {k: s for k, s in job.shapes.items() if s["label_id"] != number}

    def add_task(self, sent: Json, owner: int = 1, organization: int | None = None) -> TaskRow:
        """Make a task without data."""
        project = sent.get("project_id")
        if project is not None and project not in self.projects:
            raise Refused(400, [f'Invalid pk "{project}" - object does not exist.'])
        labels = self.projects[project].labels if project is not None else []
        if project is None:
            labels = [self._label(one, None) for one in sent.get("labels", [])]
        time = self.now()
        number = self.next_id("task")
        size = sent.get("segment_size", 0)
        made = TaskRow(number, sent["name"], project, labels, size, time, time)
        made.owner, made.organization = owner, organization
        self.tasks[number] = made
        return self.tasks[number]

    def delete_task(self, number: int) -> None:
        """Remove a task with its jobs and their issues."""
        del self.tasks[number]
        self.jobs = {k: j for k, j in self.jobs.items() if j.task_id != number}
        self.issues = {k: i for k, i in self.issues.items() if i.job_id in self.jobs}

    def delete_project(self, number: int) -> None:
        """Remove a project with its tasks."""
        for task in [t.id for t in self.tasks.values() if t.project_id == number]:
            self.delete_task(task)
        del self.projects[number]

    def give_pictures(self, task: TaskRow, pictures: Sequence[PictureRow]) -> None:
        """Attach images to a task, and make its jobs."""
        task.pictures, task.files, task.updated = list(pictures), {}, self.now()
        size = task.segment_size or len(pictures)
        for start in range(0, len(pictures), size):
            self.add_job(task.id, start, min(start + size, len(pictures)) - 1)

    def delete_frames(self, task: TaskRow, numbers: Iterable[int], start: int, stop: int) -> None:
        """Of the frames from `start` to `stop` delete these, and restore the others.

        No job notices: its time of change stays.
        """
        inside = set(range(start, stop + 1))
        task.deleted = (task.deleted - inside) | (inside & set(numbers))
        task.updated = self.now()

    def add_replica(self, job: JobRow) -> JobRow:
        """Make a copy of a job, in which somebody else annotates the same."""
        made = self.add_job(job.task_id, job.start, job.stop, "replica")
        made.parent = job.id
        return made

    def add_job(self, task: int, start: int, stop: int, kind: str = "annotation") -> JobRow:
        """Make a job: with `kind` ``ground_truth`` one beside those that people annotate in."""
        time = self.now()
        job = JobRow(self.next_id("job"), task, start, stop, time, time, kind)
        self.jobs[job.id] = job
        return job

    def jobs_of(self, task: int, kind: str | None = "annotation") -> list[JobRow]:
        """Jobs of a task by id; those of all kinds where `kind` is None."""
        jobs = sorted(self.jobs.values(), key=lambda j: j.id)
        return [j for j in jobs if j.task_id == task and kind in (None, j.type)]

    # Annotations

    def touch(self, job: JobRow) -> None:
        """Note that a job was changed now."""
        job.updated = self.now()
        self.tasks[job.task_id].updated = job.updated

    def kept(self, task: TaskRow, shape: Json, number: int | None = None) -> Json:
        """A shape as it is kept: with an id, with defaults, with plain floats as points."""
        known = {one["id"]: one["attributes"] for one in task.labels}
        if shape.get("label_id") not in known:
            raise Refused(400, [f"label_id `{shape.get('label_id')}` is invalid"])
        specs = {one["id"] for one in known[shape["label_id"]]}
        for given in shape.get("attributes", []):
            if given["spec_id"] not in specs:
                raise Refused(400, [f"spec_id `{given['spec_id']}` is invalid"])
        if "type" not in shape or "frame" not in shape:
            raise Refused(400, {"shapes": [{"type": ["This field is required."]}]})
        made = DEFAULTS | shape
        made["id"] = self.next_id("shape") if number is None else number
        made["points"] = [float(value) for value in made["points"]]
        return made

    def put_job(self, job: JobRow, sent: Json) -> None:
        """Replace what a job has; a frame of another job among them wipes the job."""
        task = self.tasks[job.task_id]
        if any("id" in one for one in sent.get("shapes", [])):
            raise Refused(400, {"shapes": ["ids must be absent"]})
        shapes = [self.kept(task, one) for one in sent.get("shapes", [])]
        foreign = not all(job.holds(one) for one in shapes)
        changes = bool(job.shapes or shapes or job.tracks or job.tags)
        job.shapes = {} if foreign else {one["id"]: one for one in shapes}
        job.tracks, job.tags = list(sent.get("tracks", [])), list(sent.get("tags", []))
        if changes or job.tracks or job.tags:
            # Nothing in the place of nothing is no change.
            self.touch(job)

    def put_task(self, task: TaskRow, sent: Json) -> None:
        """Replace what all jobs of a task have; a shape of a bad frame is dropped."""
        for job in reversed(self.jobs_of(task.id)):
            mine = [one for one in sent.get("shapes", []) if job.holds(one)]
            self.put_job(job, {"shapes": mine})

    def create(self, job: JobRow, shapes: Iterable[Json]) -> list[Json]:
        """Add shapes to a job."""
        task = self.tasks[job.task_id]
        made = [self.kept(task, one) for one in shapes if job.holds(one)]
        job.shapes |= {one["id"]: one for one in made}
        self.touch(job)
        return made

    def update(self, job: JobRow, shapes: Iterable[Json]) -> list[Json]:
        """Change shapes of a job; they keep their ids."""
        task = self.tasks[job.task_id]
        made = [self.kept(task, one, one["id"]) for one in shapes if one.get("id") in job.shapes]
        for one in made:
            # A shape that was changed is given out last from then on.
            del job.shapes[one["id"]]
            job.shapes[one["id"]] = one
        self.touch(job)
        return made

    def delete(self, job: JobRow, shapes: Iterable[Json]) -> list[Json]:
        """Remove shapes of a job."""
        gone = [job.shapes.pop(one["id"]) for one in shapes if one.get("id") in job.shapes]
        self.touch(job)
        return gone

    # In the background

    def enqueue(self, request: RequestRow) -> RequestRow:
        """Have something worked off; an open request of the same id is a conflict."""
        old = self.requests.get(request.id)
        if old is not None and old.is_open:
            raise Refused(409, {"rq_id": old.id})
        self.requests[request.id] = request
        self._work(request)
        return request

    def tick(self) -> None:
        """One more request has reached the server: what waits in the background goes on."""
        for request in [r for r in self.requests.values() if r.is_open]:
            request.wait -= 1
            self._work(request)

    def _work(self, request: RequestRow) -> None:
        request.status = "queued" if request.wait > 1 else "started"
        if request.status == "started" and request.started is None:
            request.started = self.now()
        if request.wait > 0:
            return
        try:
            request.work()
            request.status = "finished"
        except ImportFailed as error:
            request.status, request.message = "failed", str(error)
        request.finished = self.now()

    def begin_upload(self, name: str, length: int, owner: int) -> str:
        """Name under which a file that comes in pieces is kept."""
        key = f"{owner}_{uuid.UUID(int=self.next_id('upload'))}"
        self.uploads[key] = Upload(name, length)
        return key

    # For tests

    def shapes_of(self, task: int) -> Iterator[Json]:
        """All shapes of a task's annotation jobs."""
        for job in self.jobs_of(task):
            yield from job.shapes.values()

    def tasks_named(self, name: str) -> list[TaskRow]:
        """Tasks of this name, by id."""
        return [t for t in sorted(self.tasks.values(), key=lambda t: t.id) if t.name == name]
