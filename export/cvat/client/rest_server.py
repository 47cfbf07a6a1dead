"""The protocol ``CvatServer`` for a real server, over the REST API of CVAT 2.42 to 2.80."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3

from annotator.core.errors import CvatError
from export.cvat.client.address import proxy_for
from export.cvat.client.http import Connection, HttpRequest, reading, sending
from export.cvat.client.http_errors import ServerResponse, detail
from export.cvat.client.retries import RetryPolicy
from export.cvat.client.serialise import (
    annotations_record,
    comments_of,
    frames_of,
    job_of,
    label_of,
    label_record,
    organization_of,
    project_of,
    shapes_of,
    take,
    task_of,
    token_of,
)
from export.cvat.client.server import (
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
from export.cvat.client.upload import VOC, import_archive, upload_images

_OPENING = ("sessionid", "csrftoken")
"""Cookies of a session that let somebody in."""
OLDEST, NEWEST = (2, 42), (2, 80)
"""Oldest and newest version of servers that were tested, without the last number."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Token:
    """A token: the key that a login gives out, or a personal access token."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Password:
    """A user and a password."""

    user: str
    password: str = field(repr=False)


Credentials = Token | Password


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A server after the login, and the key that the login gave out, if any."""

    server: RestServer
    key: Token | None = None


def log_in(url: str, credentials: Credentials, retries: RetryPolicy) -> LoggedIn:
    """Log in to the server at `url`, an address with its scheme.

    A server whose version we do not know gets a warning in the log, not a refusal.

    Raises
    ------
    CvatError
        When it is no CVAT server, or refuses the credentials.
    CvatUnreachable
        When it cannot be reached.
    """
    connection = _connection(url.rstrip("/"), retries)
    version = _version(connection)
    key = None
    if isinstance(credentials, Token):
        user = _by_token(connection, credentials)
    else:
        key = _by_password(connection, credentials)
        user = _self(connection)
    return LoggedIn(RestServer(connection, ServerInfo(version, connection.url, user)), key)


def _connection(url: str, retries: RetryPolicy) -> Connection:
    # Not by cvat_sdk's client: importing it alone takes as long as pulling five images.
    if urlsplit(url).scheme not in ("http", "https"):
        raise CvatError(f"expected the address of a CVAT server, got {url!r}")
    proxy = proxy_for(url)
    if proxy is None:
        pool = urllib3.PoolManager(cert_reqs=ssl.CERT_REQUIRED)
    else:
        pool = urllib3.ProxyManager(
            proxy.url, proxy_headers=proxy.headers, cert_reqs=ssl.CERT_REQUIRED
        )
    return Connection(url, pool, retries, f"trephine/{version('trephine')}")


def _version(connection: Connection) -> str:
    """Version of the server; a warning when it is one that we do not know."""
    what = "asking for the version"
    answer = connection.attempt(reading("/api/server/about", what))
    try:
        about = answer.json() if answer.status == 200 else None
    except ValueError:
        about = None
    if not isinstance(about, Mapping) or not isinstance(about.get("version"), str):
        if 300 <= answer.status < 400:
            raise connection.refused(answer, what)
        raise CvatError(
            f"{connection.url}: no CVAT server answers there (status {answer.status}): give the "
            "address that CVAT's page has in the browser, such as http://localhost:8080, without "
            "what follows behind it"
        )
    version = str(about["version"])
    if not _known(version):
        _log.warning(
            "%s runs CVAT %s; Trephine knows %d.%d to %d.%d: what was pushed is read back and "
            "compared all the same",
            connection.url,
            version[:20],
            *OLDEST,
            *NEWEST,
        )
    return version


def _known(version: str) -> bool:
    parts = version.split(".")
    if len(parts) < 2 or not all(p.isdecimal() for p in parts[:2]):
        return False
    return OLDEST <= (int(parts[0]), int(parts[1])) <= NEWEST


def _by_token(connection: Connection, token: Token) -> str:
    """Log in with a token of either kind; return the name of the user."""
    # The key of a login is 40 hexadecimal digits; a personal token is something else.
    kinds = ("Token", "Bearer") if _is_key(token.value) else ("Bearer", "Token")
    for kind in kinds:
        answer = _try_token(connection, kind, token)
        if answer.status == 200:
            return _user_name(answer)
        if answer.status not in (401, 403):
            raise connection.refused(answer, "logging in")
    raise CvatError(
        f"{connection.url}: the token is not valid there, or has expired: run 'trephine cvat "
        f"login {connection.url}', or give a fresh CVAT_TOKEN"
    )


def _try_token(connection: Connection, kind: str, token: Token) -> ServerResponse:
    connection.authorize({"Authorization": f"{kind} {token.value}"}, token.value)
    return connection.attempt(reading("/api/users/self", "logging in"))


def _is_key(token: str) -> bool:
    return len(token) == 40 and all(c in "0123456789abcdef" for c in token)


def _by_password(connection: Connection, credentials: Password) -> Token | None:
    """Open a session; return the key that the server gives out, where it does."""
    record = {"username": credentials.user, "password": credentials.password}
    connection.authorize({}, credentials.password)
    answer = connection.attempt(sending("POST", "/api/auth/login", record, "logging in", True))
    if answer.status in (400, 401, 403):
        raise CvatError(
            f"{connection.url}: user or password are wrong (the server says: "
            f"{detail(answer).replace(credentials.password, '***')}): try again with those "
            "that open CVAT's own page"
        )
    if answer.status != 200:
        raise connection.refused(answer, "logging in")
    key = _key(answer)
    cookies = _cookies(answer)
    if "sessionid" not in cookies and key is None:
        raise CvatError(f"{connection.url}: expected a session from the login, got none")
    headers = _session(cookies) if "sessionid" in cookies else _token(key)
    # Only these cookies are secret: another one of CVAT's is just "1", and blotting that out
    # would make messages unreadable.
    opening = (value for name, value in cookies.items() if name in _OPENING)
    connection.authorize(headers, credentials.password, *opening, key or "")
    return Token(key) if key else None


def _key(answer: ServerResponse) -> str | None:
    try:
        record = answer.json()
    except ValueError:
        return None
    key = record.get("key") if isinstance(record, Mapping) else None
    return key if isinstance(key, str) and key else None


def _cookies(answer: ServerResponse) -> dict[str, str]:
    jar: SimpleCookie = SimpleCookie()
    for line in answer.cookies:
        jar.load(line)
    return {name: morsel.value for name, morsel in jar.items()}


def _session(cookies: Mapping[str, str]) -> dict[str, str]:
    wanted = {k: v for k, v in cookies.items() if k in _OPENING}
    return {
        "Cookie": "; ".join(f"{k}={v}" for k, v in wanted.items()),
        "X-CSRFToken": wanted.get("csrftoken", ""),
    }


def _token(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Token {key}"}


def _self(connection: Connection) -> str:
    return _user_name(connection.ask(reading("/api/users/self", "logging in")))


def _user_name(answer: ServerResponse) -> str:
    try:
        return take(answer.json(), "username", str, "a user")
    except ValueError:
        raise CvatError("expected a user from the server, got something else") from None


class RestServer:
    """The Protocol :class:`export.cvat.client.server.CvatServer` over REST.

    Parameters
    ----------
    connection : Connection
        Logged in.
    info : ServerInfo
    """

    def __init__(self, connection: Connection, info: ServerInfo) -> None:
        self._connection = connection
        self._info = info
        self._just_made: set[int] = set()

    def __repr__(self) -> str:
        return f"<CVAT {self._info.version} at {self._info.url} as {self._info.user}>"

    @property
    def info(self) -> ServerInfo:
        """Version, address and user."""
        return self._info

    def token(self) -> AccessToken | None:
        """The personal access token that we are logged in with; None for another login."""
        answer = self._connection.attempt(reading("/api/auth/access_tokens/self", "whoami"))
        # A key of a login or a session is no such token, and older servers know none.
        try:
            return token_of(answer.json()) if answer.status == 200 else None
        except ValueError:
            return None

    def use_organization(self, slug: str) -> None:
        """Ask for all in this organisation from now on; an empty one names none."""
        self._connection.use_organization(slug)
        self._info = replace(self._info, organization=slug)

    def project(self, project: int) -> CvatProject:
        """A project by its number, with who made it and its organisation."""
        what = f"looking for project {project}"
        record = self._connection.json(reading(f"/api/projects/{project}", what))
        number = organization_of(record)
        if number is None:
            return project_of(record)
        what = f"looking for the organisation of project {project}"
        organization = self._connection.json(reading(f"/api/organizations/{number}", what))
        slug = take(organization, "slug", str, "an organisation")
        return replace(project_of(record), organization=slug)

    def projects(self, name: str) -> tuple[CvatProject, ...]:
        """Projects of exactly this name, by id."""
        records = self._pages("/api/projects", "looking for the project", name=name)
        found = map(project_of, records)
        return tuple(project for project in found if project.name == name)

    def create_project(self, name: str, labels: Sequence[CvatLabel]) -> CvatProject:
        """Make a project with these labels."""
        record = {"name": name, "labels": [label_record(label) for label in labels]}
        return project_of(self._make("/api/projects", record, "making the project"))

    def labels(self, project: int) -> tuple[CvatLabel, ...]:
        """Labels of a project, with their ids and those of their attributes."""
        records = self._pages("/api/labels", "reading the labels", project_id=project)
        return tuple(map(label_of, records))

    def tasks(self, project: int) -> tuple[CvatTask, ...]:
        """All tasks of a project, by id."""
        records = self._pages("/api/tasks", "reading the tasks", project_id=project)
        return tuple(map(task_of, records))

    def task(self, task: int) -> CvatTask:
        """A task by its number."""
        what = f"looking for task {task}"
        return task_of(self._connection.json(reading(f"/api/tasks/{task}", what)))

    def create_task(self, project: int, name: str, frames_per_job: int) -> CvatTask:
        """Make a task without data."""
        record = {"name": name, "project_id": project, "segment_size": int(frames_per_job)}
        made = task_of(self._make("/api/tasks", record, "making a task"))
        self._just_made.add(made.id)
        return made

    def delete_task(self, task: int) -> None:
        """Remove a task; one that is gone already is no error."""
        request = HttpRequest("DELETE", f"/api/tasks/{task}", f"removing task {task}", repeat=True)
        answer = self._connection.attempt(request)
        if answer.status >= 300 and answer.status != 404:
            raise self._connection.refused(answer, request.what)

    def upload(self, task: int, files: Sequence[Path]) -> None:
        """Give a task its images, in this order, and wait until it has them."""
        # Whether a task that was just made has images already need not be asked.
        is_empty = task in self._just_made
        self._just_made.discard(task)
        upload_images(self._connection, task, files, is_empty)

    def frames(self, task: int) -> tuple[CvatFrame, ...]:
        """The frames of a task that has data, in their order."""
        what = f"reading the frames of task {task}"
        meta = self._connection.json(reading(f"/api/tasks/{task}/data/meta", what))
        return frames_of(meta)

    def jobs(self, project: int) -> tuple[CvatJob, ...]:
        """All jobs of a project, over all pages, by id."""
        records = self._pages("/api/jobs", "reading the jobs", project_id=project)
        return tuple(map(job_of, records))

    def task_jobs(self, task: int) -> tuple[CvatJob, ...]:
        """All jobs of a task, by id."""
        records = self._pages("/api/jobs", "reading the jobs", task_id=task)
        return tuple(map(job_of, records))

    def shapes(self, job: int) -> Shapes:
        """What is annotated in a job; frames count from the start of its task."""
        what = f"reading the shapes of job {job}"
        return shapes_of(self._connection.json(reading(_annotations(job), what)))

    def task_shapes(self, task: int) -> Shapes:
        """What is annotated in all jobs of a task that people annotate in."""
        what = f"reading the shapes of task {task}"
        return shapes_of(self._connection.json(reading(f"/api/tasks/{task}/annotations/", what)))

    def put_shapes(self, job: int, shapes: Sequence[CvatShape]) -> None:
        """Replace everything that is annotated in a job."""
        record, what = annotations_record(shapes), f"writing the shapes of job {job}"
        self._connection.ask(sending("PUT", _annotations(job), record, what, repeat=True))

    def import_voc(self, task: int, archive: Path) -> None:
        """Import a "PASCAL VOC 1.1" archive as masks, replacing what the task has; wait for it."""
        import_archive(self._connection, task, archive, VOC)

    def user(self, name: str) -> int:
        """Id of the user of exactly this name."""
        records = self._pages("/api/users", f"looking for the user {name!r}", search=name)
        for record in records:
            if record.get("username") == name:
                return take(record, "id", int, "a user")
        raise CvatError(
            f"{self._info.url}: no user {name!r} there, or none that {self._info.user!r} may see: "
            f"{self._who_sees_users()}; give the user name as it stands in CVAT (capitals count)"
        )

    def _who_sees_users(self) -> str:
        if self._info.organization:
            return f"only members of the organisation {self._info.organization!r} are seen there"
        return (
            "outside an organisation all but administrators see only themselves: push as an "
            "administrator, or have the project moved into an organisation with that user"
        )

    def assign(self, job: int, user: int) -> None:
        """Give a job to a user."""
        what = f"assigning job {job}"
        request = sending("PATCH", f"/api/jobs/{job}", {"assignee": user}, what, True)
        self._connection.ask(request)

    def comments(self, job: int) -> tuple[Comment, ...]:
        """What was written in the issues of a job."""
        what = f"reading the issues of job {job}"
        issues = self._pages("/api/issues", what, job_id=job)
        if not issues:
            return ()
        records = self._pages("/api/comments", what, job_id=job)
        return tuple(c for issue in issues for c in comments_of(issue, records))

    def _pages(self, path: str, what: str, **query: object) -> tuple[dict[str, Any], ...]:
        return self._connection.pages(path, what, **query)

    def _make(self, path: str, record: object, what: str) -> dict[str, Any]:
        made: dict[str, Any] = self._connection.json(sending("POST", path, record, what))
        return made


def _annotations(job: int) -> str:
    return f"/api/jobs/{job}/annotations/"
