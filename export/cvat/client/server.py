"""The protocol :class:`CvatServer`: all requests to a CVAT server, in plain values.

:mod:`export.cvat.client.rest_server` implements it over REST, the tests with a fake. Nothing
above it knows of requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ANNOTATION = "annotation"
"""Type of the jobs that people annotate in; ground-truth jobs and replicas are others."""
GROUND_TRUTH = "ground_truth"
"""Type of a job against which the annotations of a task are checked."""
NEW, IN_PROGRESS, COMPLETED, REJECTED = "new", "in progress", "completed", "rejected"
"""States of a job, as CVAT writes them."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute that shapes of a label can carry.

    Parameters
    ----------
    name : str
    kind : str
        CVAT's ``input_type``: ``number`` or ``text`` here.
    values : tuple of str
        For a number: least, most, step.
    default : str
    id : int or None
        On the server; None before it is there.
    """

    name: str
    kind: str
    values: tuple[str, ...] = ()
    default: str = ""
    id: int | None = None


@dataclass(frozen=True, slots=True)
class CvatLabel:
    """A label of a project: name, colour ``#rrggbb``, attributes; `id` once it is there."""

    name: str
    colour: str
    attributes: tuple[Attribute, ...] = ()
    id: int | None = None


@dataclass(frozen=True, slots=True)
class CvatProject:
    """A project on the server.

    Parameters
    ----------
    id : int
    name : str
    made_by : str
        User name of who made it; empty where the server does not say.
    organization : str
        Short name of the organisation that it lies in; empty for none. Only
        :meth:`CvatServer.project` looks it up.
    """

    id: int
    name: str
    made_by: str = ""
    organization: str = ""


@dataclass(frozen=True, slots=True)
class CvatTask:
    """A task on the server; `frames` is 0 while it has no data."""

    id: int
    name: str
    project_id: int | None
    frames: int


@dataclass(frozen=True, slots=True)
class CvatFrame:
    """A frame of a task.

    Parameters
    ----------
    name : str
        Of its file.
    width, height : int
        Pixels.
    deleted : bool
        Whether a person deleted it: its shapes are still given out, but it is in no export.
    """

    name: str
    width: int
    height: int
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class CvatJob:
    """A job on the server.

    Parameters
    ----------
    id, task_id : int
    kind : str
        ``annotation``, ``ground_truth``, ...; only the first is ours to read and write.
    state, stage : str
        See :data:`NEW` and those beside it; ``annotation``, ``validation``, ``acceptance``.
    assignee : str or None
        User name.
    start, stop : int
        First and last frame of the task, both inclusive.
    updated : str
        When it was changed last, as the server writes it.
    replicas : int
        Copies of it in which several people annotate the same, to be merged into it.
    issues : int or None
        How many issues people opened in it; None where the server does not say.
    """

    id: int
    task_id: int
    kind: str
    state: str
    stage: str
    assignee: str | None
    start: int
    stop: int
    updated: str
    replicas: int = 0
    issues: int | None = None


@dataclass(frozen=True, slots=True)
class CvatShape:
    """One shape, as CVAT's API has it.

    Parameters
    ----------
    frame : int
        Of the task.
    label : int
        Id of the label.
    kind : str
        ``mask``, ``polygon``, ``rectangle``, ``ellipse``; or one that cannot be painted, such
        as ``points``, ``polyline``, ``cuboid``, ``skeleton``.
    points : tuple of float
        Pixels; for a mask run lengths with a box behind, see :mod:`export.readers.rle`; for the
        others see :func:`export.readers.painting.crop_of_shape`.
    z_order : int
        Shapes with a higher one lie above.
    group : int
        Shapes of one group are one object; 0 for none.
    rotation : float
        Degrees, clockwise.
    source : str
        ``auto`` or ``manual``.
    attributes : mapping of int to str
        By the id of the attribute.
    id : int or None
        On the server; None before it is there.
    """

    frame: int
    label: int
    kind: str
    points: tuple[float, ...]
    z_order: int = 0
    group: int = 0
    rotation: float = 0.0
    source: str = "auto"
    attributes: Mapping[int, str] = field(default_factory=dict)
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Shapes:
    """The annotations of a job: its shapes, and how many tracks and tags there are besides."""

    shapes: tuple[CvatShape, ...]
    tracks: int = 0
    tags: int = 0


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody wrote in an issue of a job.

    Parameters
    ----------
    issue, frame : int
    position : tuple of float
        Points ``x y x y ...`` in pixels of the frame.
    author, text, time : str
    resolved : bool
    """

    issue: int
    frame: int
    position: tuple[float, ...]
    author: str
    text: str
    time: str
    resolved: bool


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The personal access token that somebody is logged in with.

    Parameters
    ----------
    name : str
        As its owner called it.
    read_only : bool
        Whether it may read only.
    expires : str or None
        Until when it is valid, as the server writes it; None for ever.
    """

    name: str
    read_only: bool
    expires: str | None


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Version of the server, its address without credentials, the user that is logged in.

    Parameters
    ----------
    version, url, user : str
    organization : str
        Short name of the organisation that all is asked in; empty for none.
    """

    version: str
    url: str
    user: str
    organization: str = ""


class CvatServer(Protocol):
    """A server that we are logged in to.

    Every method raises :class:`annotator.core.errors.CvatError`, which says what happened and
    what to do. Where the server cannot be reached or the connection broke, it raises the
    subclass :class:`annotator.core.errors.CvatUnreachable`: then it is unknown whether a write
    arrived, and the caller looks at the server before it repeats the write. Reads, and writes
    that may be repeated without harm such as ``put_shapes``, are repeated inside; those that
    create something are not.
    """

    @property
    def info(self) -> ServerInfo:
        """Version, address and user."""

    def token(self) -> AccessToken | None:
        """The personal access token that we are logged in with.

        None where it is another kind of login, or a server that knows no such tokens.
        """

    def use_organization(self, slug: str) -> None:
        """Ask for all in this organisation from now on; an empty one names none."""

    def project(self, project: int) -> CvatProject:
        """A project by its number, with who made it and its organisation.

        Raises
        ------
        CvatForbidden
            When this login may not see it; it may well be there.
        CvatMissing
            When it was deleted.
        """

    def projects(self, name: str) -> tuple[CvatProject, ...]:
        """Projects of exactly this name, by id."""

    def create_project(self, name: str, labels: Sequence[CvatLabel]) -> CvatProject:
        """Make a project with these labels."""

    def labels(self, project: int) -> tuple[CvatLabel, ...]:
        """Labels of a project, with their ids and those of their attributes."""

    def tasks(self, project: int) -> tuple[CvatTask, ...]:
        """All tasks of a project, by id."""

    def task(self, task: int) -> CvatTask:
        """A task by its number; raises as :meth:`project` does."""

    def create_task(self, project: int, name: str, frames_per_job: int) -> CvatTask:
        """Make a task without data."""

    def delete_task(self, task: int) -> None:
        """Remove a task; one that is gone already is no error."""

    def upload(self, task: int, files: Sequence[Path]) -> None:
        """Give a task its images, in this order, and wait until it has them.

        Only the name of each file is sent, never its folder. Data that a broken upload left
        behind is no hindrance.
        """

    def frames(self, task: int) -> tuple[CvatFrame, ...]:
        """The frames of a task that has data, in their order."""

    def jobs(self, project: int) -> tuple[CvatJob, ...]:
        """All jobs of a project, over all pages, by id."""

    def task_jobs(self, task: int) -> tuple[CvatJob, ...]:
        """All jobs of a task, by id."""

    def shapes(self, job: int) -> Shapes:
        """What is annotated in a job; frames count from the start of its task."""

    def task_shapes(self, task: int) -> Shapes:
        """What is annotated in all jobs of a task that people annotate in."""

    def put_shapes(self, job: int, shapes: Sequence[CvatShape]) -> None:
        """Replace everything that is annotated in a job."""

    def import_voc(self, task: int, archive: Path) -> None:
        """Import a "PASCAL VOC 1.1" archive as masks, replacing what the task has; wait for it."""

    def user(self, name: str) -> int:
        """Id of the user of exactly this name."""

    def assign(self, job: int, user: int) -> None:
        """Give a job to a user."""

    def comments(self, job: int) -> tuple[Comment, ...]:
        """What was written in the issues of a job."""


class Connect(Protocol):
    """Opens a server; a fake in tests."""

    def __call__(self, url: str) -> CvatServer:
        """Log in to the server at `url` with the credentials that are known for it."""
