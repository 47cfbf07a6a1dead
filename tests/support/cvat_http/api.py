"""The API of CVAT 2.73 as far as Trephine asks for it: from a call to an answer, no sockets."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from support.cvat_http.json import Views
from support.cvat_http.rows import (
    STAGES,
    STATES,
    AccessTokenRow,
    JobRow,
    Json,
    OrganizationRow,
    ProjectRow,
    Refused,
    TaskRow,
    User,
)
from support.cvat_http.state import State

JSON_TYPE = "application/vnd.cvat+json"
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


@dataclass
class Call:
    """A request; `headers` have lower-case names."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    user: User | None = None
    token: AccessTokenRow | None = None

    @classmethod
    def of(cls, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Self:
        """Take the target of a request apart."""
        parts = urlsplit(target)
        query = {k: v[-1] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        lower = {name.lower(): value for name, value in headers.items()}
        return cls(method, parts.path, query, lower, body)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refused(400, {"detail": f"JSON parse error - {error}"}) from error

    def who(self) -> User:
        """Who is logged in; nobody is refused."""
        if self.user is None:
            raise Refused(401, {"detail": "Authentication credentials were not provided."})
        return self.user


@dataclass
class ApiResponse:
    """A response; `body` is JSON unless it is bytes or None."""

    status: int
    body: Any = None
    headers: list[tuple[str, str]] = field(default_factory=list)

    def payload(self) -> bytes:
        """The body as it is sent."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    def content_type(self) -> str | None:
        """Type of the body."""
        named = dict(self.headers).get("content-type")
        return named or (None if self.body is None else JSON_TYPE)


Handler = Callable[..., ApiResponse]
Route = tuple[str, str, Handler]
"""Method, pattern of the path after ``/api/``, and who answers."""


def created(row: Json) -> ApiResponse:
    """Something that is there now, and where."""
    return ApiResponse(201, row, [("location", row["url"])])


class Api:
    """Routes and who may pass.

    Attributes
    ----------
    state : State
    """

    def __init__(self, state: State, url: str, routes: Iterable[Route]) -> None:
        self.state, self.views = state, Views(state, url)
        self._lock = threading.RLock()
        self._routes = [
            (method, re.compile(f"/api/{pattern}/?"), handler)
            for method, pattern, handler in routes
        ]

    def answer(self, call: Call) -> ApiResponse:
        """Work a request off."""
        with self._lock:
            self.state.tick()
            try:
                call.token = self._access_token(call)
                call.user = self._who(call)
                return self._handler(call)
            except Refused as refused:
                return ApiResponse(refused.status, refused.body)

    def _handler(self, call: Call) -> ApiResponse:
        known = False
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(call.path)
            if found and method == call.method:
                numbers = [int(p) if p.isdigit() else unquote(p) for p in found.groups()]
                return handler(self, call, *numbers)
            known |= bool(found)
        if known:
            raise Refused(405, {"detail": f'Method "{call.method}" not allowed.'})
        page = b"<!doctype html><h1>Not Found</h1>"
        return ApiResponse(404, page, [("content-type", "text/html; charset=utf-8")])

    def _who(self, call: Call) -> User | None:
        """The user of a token or a session; a session may change things with its CSRF token."""
        if call.token is not None:
            return self.state.users[call.token.user]
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        if kind == "Token":
            for user in self.state.users.values():
                if user.token is not None and secrets.compare_digest(user.token, token):
                    return user
            raise Refused(401, {"detail": "Invalid token."})
        cookies = {k: m.value for k, m in SimpleCookie(call.headers.get("cookie", "")).items()}
        number = self.state.sessions.get(cookies.get("sessionid", ""))
        if number is None:
            return None
        sent = call.headers.get("x-csrftoken", "")
        if call.method in UNSAFE and (not sent or sent != cookies.get("csrftoken")):
            raise Refused(403, {"detail": "CSRF Failed: CSRF token missing."})
        return self.state.users[number]

    def _access_token(self, call: Call) -> AccessTokenRow | None:
        """The personal access token of a request; one that is read-only changes nothing."""
        kind, _, value = call.headers.get("authorization", "").partition(" ")
        if kind != "Bearer":
            return None
        token = self.state.access_tokens.get(value)
        if token is None or token.expired:
            raise Refused(401, {"detail": "Invalid token."})
        if token.read_only and call.method in UNSAFE:
            raise Refused(403, {"detail": "You do not have permission to perform this action."})
        return token

    # What the handlers share

    def organization(self, call: Call) -> OrganizationRow | None:
        """The organisation that a request names; None for none."""
        slug = call.headers.get("x-organization", "")
        if not slug:
            return None
        for one in self.state.organizations.values():
            if one.slug == slug and (call.who().staff or call.who().id in one.members):
                return one
        raise Refused(404, {"detail": "Not found."})

    def in_organization(self, call: Call, rows: Iterable[Any]) -> list[Any]:
        """Rows of the organisation that a request names; all where it names none."""
        organization = self.organization(call)
        return [r for r in rows if organization is None or r.organization == organization.id]

    def page(self, call: Call, rows: Sequence[Json]) -> ApiResponse:
        """One page of a list, 10 rows unless asked for more."""
        size = int(call.query.get("page_size") or 10)
        page = int(call.query.get("page") or 1)
        if page < 1 or (page > 1 and (page - 1) * size >= len(rows)):
            raise Refused(404, {"detail": "Invalid page."})
        more = page * size < len(rows)
        url = f"{self.views.url}{call.path}?page="
        return ApiResponse(
            200,
            {
                "count": len(rows),
                "next": f"{url}{page + 1}" if more else None,
                "previous": f"{url}{page - 1}" if page > 1 else None,
                "results": list(rows[(page - 1) * size : page * size]),
            },
        )

    def listed(self, call: Call, rows: Iterable[Json], simple: Sequence[str]) -> ApiResponse:
        """One page of the rows that a query asks for, the newest first."""
        call.who()
        wanted = {k: v for k, v in call.query.items() if k in simple}
        logic = json.loads(call.query["filter"]) if call.query.get("filter") else True
        found = [
            row
            for row in rows
            if all(_text(row, name) == value for name, value in wanted.items())
            and _holds(logic, row)
        ]
        term = call.query.get("search", "").lower()
        found = [row for row in found if term in str(row.get("name", row)).lower()]
        newest = call.query.get("sort", "-id") != "id"
        return self.page(call, sorted(found, key=lambda row: row["id"], reverse=newest))

    def task(self, call: Call, number: int) -> TaskRow:
        """A task of a logged-in user."""
        call.who()
        if number not in self.state.tasks:
            raise Refused(404, {"detail": "No Task matches the given query."})
        found = self.state.tasks[number]
        self._let_in(self.state.sees_task(call.who(), found))
        return found

    def _let_in(self, sees: bool) -> None:
        if not sees:
            raise Refused(403, {"detail": "You do not have permission to perform this action."})

    def job(self, call: Call, number: int) -> JobRow:
        """A job of a logged-in user."""
        call.who()
        if number not in self.state.jobs:
            raise Refused(404, {"detail": "No Job matches the given query."})
        found = self.state.jobs[number]
        self._let_in(self.state.sees_job(call.who(), found))
        return found

    def project(self, call: Call, number: int) -> ProjectRow:
        """A project of a logged-in user."""
        call.who()
        if number not in self.state.projects:
            raise Refused(404, {"detail": "No Project matches the given query."})
        found = self.state.projects[number]
        self._let_in(self.state.sees_project(call.who(), found))
        return found


def _text(row: Json, name: str) -> str | None:
    """What a plain query parameter is compared with."""
    value = row.get(name)
    if isinstance(value, dict):
        value = value.get("username")
    return None if value is None else str(value)


def _holds(logic: Any, row: Json) -> bool:
    """Whether a row passes a filter in JSON logic."""
    if isinstance(logic, bool):
        return logic
    ((operator, operands),) = logic.items()
    if operator in ("and", "or"):
        return (all if operator == "and" else any)(_holds(one, row) for one in operands)
    if operator == "!":
        return not _holds(operands[0] if isinstance(operands, list) else operands, row)
    left, right = operands
    value = _text(row, left["var"])
    if operator == "==":
        return value == (None if right is None else str(right))
    if operator == "in" and isinstance(right, list):
        return value in [str(one) for one in right]
    raise Refused(400, {"filter": [f"Unknown operator {operator}"]})


# Who we are


def _about(api: Api, call: Call) -> ApiResponse:
    return ApiResponse(200, api.views.about())


def _login(api: Api, call: Call) -> ApiResponse:
    sent = call.json
    for user in api.state.users.values():
        if user.username == sent.get("username") and user.password == sent.get("password"):
            user.token = user.token or secrets.token_hex(20)
            return ApiResponse(200, {"key": user.token}, _session(api.state, user))
    raise Refused(400, {"non_field_errors": ["Unable to log in with provided credentials."]})


def _session(state: State, user: User) -> list[tuple[str, str]]:
    session = secrets.token_hex(16)
    state.sessions[session] = user.id
    values = {"csrftoken": secrets.token_hex(16), "sessionfresh": "1", "sessionid": session}
    return [("set-cookie", f"{name}={value}; Path=/") for name, value in values.items()]


def _logout(api: Api, call: Call) -> ApiResponse:
    """End all sessions of a user; the token is gone with them."""
    user = call.user
    if user is not None:
        user.token = None
        kept = {k: v for k, v in api.state.sessions.items() if v != user.id}
        api.state.sessions = kept
    gone = [
        ("set-cookie", f'{name}=""; Max-Age=0; Path=/') for name in ("sessionfresh", "sessionid")
    ]
    return ApiResponse(200, {"detail": "Successfully logged out."}, gone)


def _self(api: Api, call: Call) -> ApiResponse:
    return ApiResponse(200, api.views.user(call.who()))


def _users(api: Api, call: Call) -> ApiResponse:
    who, organization = call.who(), api.organization(call)
    inside = {who.id} if organization is None else organization.members
    seen = [one for one in api.state.users.values() if who.staff or one.id in inside]
    rows = [api.views.user(one) for one in seen]
    return api.listed(call, rows, ("username", "first_name", "last_name"))


def _own_token(api: Api, call: Call) -> ApiResponse:
    call.who()
    if call.token is None:
        raise Refused(404, {"detail": "Not found."})
    return ApiResponse(200, api.views.token(call.token))


def _organization(api: Api, call: Call, number: int) -> ApiResponse:
    organization = api.state.organizations[number]
    if not call.who().staff and call.who().id not in organization.members:
        raise Refused(403, {"detail": "You do not have permission to perform this action."})
    return ApiResponse(200, api.views.organization(organization))


# Projects, labels, tasks, jobs


def _projects(api: Api, call: Call) -> ApiResponse:
    found = [p for p in api.state.projects.values() if api.state.sees_project(call.who(), p)]
    rows = [api.views.project(one) for one in api.in_organization(call, found)]
    return api.listed(call, rows, ("name", "owner", "status"))


def _new_project(api: Api, call: Call) -> ApiResponse:
    sent, organization = call.json, api.organization(call)
    home = None if organization is None else organization.id
    made = api.state.add_project(sent["name"], sent.get("labels", []), call.who().id, home)
    return created(api.views.project(made))


def _project(api: Api, call: Call, number: int) -> ApiResponse:
    return ApiResponse(200, api.views.project(api.project(call, number)))


def _no_project(api: Api, call: Call, number: int) -> ApiResponse:
    api.state.delete_project(api.project(call, number).id)
    return ApiResponse(204)


def _labels(api: Api, call: Call) -> ApiResponse:
    """Labels of a project, a task or a job, in the order in which they were made."""
    call.who()
    query = call.query
    if "job_id" in query:
        found = api.state.tasks[api.job(call, int(query["job_id"])).task_id].labels
    elif "task_id" in query:
        found = api.task(call, int(query["task_id"])).labels
    elif "project_id" in query:
        found = api.project(call, int(query["project_id"])).labels
    else:
        found = [one for project in api.state.projects.values() for one in project.labels]
    return api.page(call, found)


def _change_label(api: Api, call: Call, number: int) -> ApiResponse:
    call.who()
    return ApiResponse(200, api.state.change_label(number, call.json))


def _no_label(api: Api, call: Call, number: int) -> ApiResponse:
    call.who()
    api.state.delete_label(number)
    return ApiResponse(204)


def _tasks(api: Api, call: Call) -> ApiResponse:
    found = [t for t in api.state.tasks.values() if api.state.sees_task(call.who(), t)]
    rows = [api.views.task(one) for one in api.in_organization(call, found)]
    return api.listed(call, rows, ("name", "project_id", "owner", "status", "subset"))


def _new_task(api: Api, call: Call) -> ApiResponse:
    sent, organization = call.json, api.organization(call)
    home = None if organization is None else organization.id
    if sent.get("project_id") in api.state.projects:
        project = api.project(call, sent["project_id"])
        if project.organization != home:
            raise Refused(400, ["The task and its project should be in the same organization."])
    return created(api.views.task(api.state.add_task(sent, call.who().id, home)))


def _task(api: Api, call: Call, number: int) -> ApiResponse:
    return ApiResponse(200, api.views.task(api.task(call, number)))


def _rename_task(api: Api, call: Call, number: int) -> ApiResponse:
    task = api.task(call, number)
    task.name = call.json.get("name", task.name)
    return ApiResponse(200, api.views.task(task))


def _no_task(api: Api, call: Call, number: int) -> ApiResponse:
    api.state.delete_task(api.task(call, number).id)
    return ApiResponse(204)


def _jobs(api: Api, call: Call) -> ApiResponse:
    home = {task.id for task in api.in_organization(call, api.state.tasks.values())}
    jobs = [j for j in api.state.jobs.values() if j.task_id in home]
    rows = [api.views.job(one) for one in jobs if api.state.sees_job(call.who(), one)]
    names = ("task_id", "project_id", "state", "stage", "type", "assignee", "dimension")
    return api.listed(call, rows, names)


def _job(api: Api, call: Call, number: int) -> ApiResponse:
    return ApiResponse(200, api.views.job(api.job(call, number)))


def _change_job(api: Api, call: Call, number: int) -> ApiResponse:
    job, sent = api.job(call, number), call.json
    for name, allowed in (("state", STATES), ("stage", STAGES)):
        if sent.get(name, allowed[0]) not in allowed:
            raise Refused(400, {name: [f'"{sent[name]}" is not a valid choice.']})
    if "assignee" in sent:
        if sent["assignee"] not in (None, *api.state.users):
            raise Refused(400, {"assignee": ["Invalid pk - object does not exist."]})
        job.assignee, job.assigned = sent["assignee"], api.state.now()
    job.state, job.stage = sent.get("state", job.state), sent.get("stage", job.stage)
    api.state.touch(job)
    return ApiResponse(200, api.views.job(job))


ROUTES: tuple[Route, ...] = (
    ("GET", "server/about", _about),
    ("POST", "auth/login", _login),
    ("POST", "auth/logout", _logout),
    ("GET", "users/self", _self),
    ("GET", "users", _users),
    ("GET", "auth/access_tokens/self", _own_token),
    ("GET", r"organizations/(\d+)", _organization),
    ("GET", "projects", _projects),
    ("POST", "projects", _new_project),
    ("GET", r"projects/(\d+)", _project),
    ("DELETE", r"projects/(\d+)", _no_project),
    ("GET", "labels", _labels),
    ("PATCH", r"labels/(\d+)", _change_label),
    ("DELETE", r"labels/(\d+)", _no_label),
    ("GET", "tasks", _tasks),
    ("POST", "tasks", _new_task),
    ("GET", r"tasks/(\d+)", _task),
    ("PATCH", r"tasks/(\d+)", _rename_task),
    ("DELETE", r"tasks/(\d+)", _no_task),
    ("GET", "jobs", _jobs),
    ("GET", r"jobs/(\d+)", _job),
    ("PATCH", r"jobs/(\d+)", _change_job),
)
