"""What there is on a CVAT server, for the server of the tests: rows, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
STATES = ("new", "in progress", "completed", "rejected")
STAGES = ("annotation", "validation", "acceptance")


class Refused(Exception):
    """The request is answered with an error.

    Attributes
    ----------
    status : int
    body : dict, list or str
        As JSON.
    """

    def __init__(self, status: int, body: object) -> None:
        super().__init__(f"{status} {body}")
        self.status, self.body = status, body


class ImportFailed(Exception):
    """A request that is worked off in the background ends as failed, with this message."""


@dataclass
class User:
    """Somebody who can log in; `token` is None until then, and after a logout."""

    id: int
    username: str
    password: str
    staff: bool = False
    token: str | None = None


@dataclass
class AccessTokenRow:
    """A personal access token of a user; one that is `expired` lets nobody in."""

    id: int
    user: int
    value: str
    name: str = "laptop"
    read_only: bool = False
    expires: str | None = None
    expired: bool = False


@dataclass
class OrganizationRow:
    """An organisation and the numbers of its members, who see all that lies in it."""

    id: int
    slug: str
    members: set[int]


@dataclass
class ProjectRow:
    """A project, with its labels as the API gives them out."""

    id: int
    name: str
    labels: list[Json]
    created: str
    updated: str
    owner: int = 1
    assignee: int | None = None
    organization: int | None = None


@dataclass
class PictureRow:
    """An image of a task: the name it was sent under, its bytes, its size."""

    name: str
    data: bytes
    width: int
    height: int


@dataclass
class TaskRow:
    """A task; `data` has a number once an upload began, `pictures` when it is worked off.

    `deleted` are the numbers of its deleted frames, for its jobs as well.
    """

    id: int
    name: str
    project_id: int | None
    labels: list[Json]
    segment_size: int
    created: str
    updated: str
    data: int | None = None
    image_quality: int = 70
    owner: int = 1
    assignee: int | None = None
    organization: int | None = None
    deleted: set[int] = field(default_factory=set)
    files: dict[str, bytes] = field(default_factory=dict)
    pictures: list[PictureRow] = field(default_factory=list)


@dataclass
class JobRow:
    """A job with what is annotated in it; `start` and `stop` are both inclusive."""

    id: int
    task_id: int
    start: int
    stop: int
    created: str
    updated: str
    type: str = "annotation"
    state: str = "new"
    stage: str = "annotation"
    assignee: int | None = None
    assigned: str | None = None
    parent: int | None = None
    shapes: dict[int, Json] = field(default_factory=dict)
    tracks: list[Json] = field(default_factory=list)
    tags: list[Json] = field(default_factory=list)

    def holds(self, shape: Json) -> bool:
        """Whether the frame of a shape is one of this job."""
        return bool(self.start <= shape["frame"] <= self.stop)


@dataclass
class Issue:
    """An issue of a job, with its comments: id, author, text, time."""

    id: int
    job_id: int
    frame: int
    position: list[float]
    owner: int
    created: str
    resolved: bool = False
    comments: list[tuple[int, int, str, str]] = field(default_factory=list)


@dataclass
class RequestRow:
    """Something that is worked off in the background.

    `wait` counts down with every request that reaches the server; at 0 the work is done.
    """

    id: str
    kind: str
    task_id: int
    created: str
    owner: int
    wait: int
    work: Callable[[], None]
    format: str | None = None
    status: str = "queued"
    message: str = ""
    started: str | None = None
    finished: str | None = None

    @property
    def shown_message(self) -> str:
        """What a poll is told."""
        extracting = self.kind == "create:task" and self.status == "started"
        return "Media files are being extracted..." if extracting else self.message

    @property
    def is_open(self) -> bool:
        """Whether it is not worked off yet."""
        return self.status in ("queued", "started")


@dataclass
class Upload:
    """A file that arrives in pieces (TUS)."""

    name: str
    length: int
    data: bytearray = field(default_factory=bytearray)
