"""CVAT servers that the scenarios run against: the one of the tests, or a real one.

A real one is taken when its marker is asked for, ``pytest -m cvat``, and ``CVAT_URL`` names
it, with ``CVAT_TOKEN`` or ``CVAT_USER`` and ``CVAT_PASSWORD`` in the environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import urllib3

from annotator.settings.cvat import CvatSettings
from annotator.study.study import Study
from export.cvat.client.credentials import Sources, connect, credentials
from export.cvat.client.rest_server import Password
from export.cvat.client.retries import RetryPolicy
from export.cvat.client.server import CvatServer
from support.cvat_http.expert import Expert
from support.cvat_http.rows import Json
from support.cvat_http.server import CvatHttp, serving

HASTE = RetryPolicy(5.0, 60.0, pause_s=0.0, longest_s=0.0, poll_s=0.0, longest_poll_s=0.0)
"""How long to wait for a server that is this process."""


@dataclass
class CvatPlace:
    """A server, and who is on it.

    Attributes
    ----------
    url : str
    environ : mapping
        What the command line would find in the environment.
    expert : Expert
        Somebody at work there.
    http : CvatHttp or None
        The server of the tests; None for a real one.
    retries : RetryPolicy
    """

    url: str
    environ: Mapping[str, str] = field(repr=False)
    expert: Expert
    http: CvatHttp | None = None
    retries: RetryPolicy = HASTE

    def connect(self, organization: str = "") -> CvatServer:
        """Log in."""
        sources = Sources(self.environ, ask=None, retries=self.retries)
        return connect(CvatSettings(url=self.url, organization=organization), sources)

    def log_in_as(self, name: str) -> None:
        """Be another user of the server of the tests from now on."""
        assert self.http is not None
        self.environ = {
            "CVAT_URL": self.url,
            "CVAT_USER": name,
            "CVAT_PASSWORD": self.http.users[name].password,
        }

    def log_in_with(self, token: str) -> None:
        """Use a personal access token from now on."""
        self.environ = {"CVAT_URL": self.url, "CVAT_TOKEN": token}

    def jobs(self, study: Path) -> list[Json]:
        """The jobs of a study's project that people annotate in, by id."""
        with Study.open(study) as opened:
            binding = opened.cvat.binding()
        assert binding is not None
        target = f"jobs?project_id={binding.project_id}&page_size=1000"
        found = self.expert.ask("GET", target)["results"]
        return sorted((j for j in found if j["type"] == "annotation"), key=lambda j: j["id"])

    def place_of(self, study: Path, name: str) -> tuple[int, int]:
        """The job in which an image of a study lies, and the frame."""
        with Study.open(study) as opened:
            (image,) = (one for one in opened.images() if one.name == name)
            (sent,) = (one for one in opened.cvat.sent() if one.image_id == image.id)
        return sent.job_id, sent.frame

    def job_of(self, study: Path, name: str) -> int:
        """The job in which an image of a study lies."""
        return self.place_of(study, name)[0]

    def held(self, study: Path) -> list[tuple[Any, ...]]:
        """All tasks of the projects of a study, without what differs from server to server.

        Each is the digest of its images, the names of its frames, and of each job its frames,
        its state and its shapes.
        """
        with Study.open(study) as opened:
            key = opened.cvat.study_key()
        target = f"tasks?page_size=1000&search={key}"
        tasks = [t for t in self.expert.ask("GET", target)["results"] if key in t["name"]]
        return sorted(self._task(task) for task in tasks)

    def _task(self, task: Json) -> tuple[Any, ...]:
        names: list[str] = []
        if task.get("size"):
            meta = self.expert.ask("GET", f"tasks/{task['id']}/data/meta")
            names = [frame["name"] for frame in meta["frames"]]
        jobs = self.expert.ask("GET", f"jobs?task_id={task['id']}&page_size=1000")["results"]
        labels = self.expert.ask("GET", f"labels?task_id={task['id']}&page_size=100")["results"]
        rows = [
            (j["start_frame"], j["stop_frame"], j["state"], self._shapes(j["id"], labels))
            for j in jobs
        ]
        return task["name"].split()[-1], names, sorted(rows)

    def _shapes(self, job: int, labels: list[Json]) -> list[str]:
        names = {one["id"]: one["name"] for one in labels}
        attributes = {a["id"]: a["name"] for one in labels for a in one["attributes"]}
        rows = []
        for one in self.expert.shapes(job):
            values = {attributes[a["spec_id"]]: a["value"] for a in one["attributes"]}
            said = (one["frame"], names[one["label_id"]], one["type"], one["z_order"])
            rows.append(json.dumps([*said, one["points"], values], sort_keys=True))
        return sorted(rows)

    def remove(self, study: Path) -> None:
        """Remove the projects of a study with all that is in them."""
        with Study.open(study) as opened:
            name = f"Trephine {opened.cvat.study_key()}"
        for one in self.expert.ask("GET", f"projects?page_size=1000&search={name[9:]}")["results"]:
            if one["name"] == name:
                self.expert.ask("DELETE", f"projects/{one['id']}")


@contextmanager
def http_place(lag: int = 0) -> Iterator[CvatPlace]:
    """The server of the tests; nothing may go wrong in it but what was asked for."""
    with serving(lag) as http:
        admin = http.users["admin"]
        environ = {
            "CVAT_URL": http.url,
            "CVAT_USER": admin.username,
            "CVAT_PASSWORD": admin.password,
        }
        yield CvatPlace(http.url, environ, http.expert, http)
        assert not http.crashes


def real_place() -> CvatPlace:
    """The server that the environment names."""
    url = os.environ["CVAT_URL"].rstrip("/")
    retries = RetryPolicy()
    found = credentials(url, Sources(os.environ, ask=None, retries=retries))
    return CvatPlace(url, dict(os.environ), Expert(_ServerUser(url, found)), None, retries)


PLACES = ["http", pytest.param("real", marks=pytest.mark.cvat)]
"""Parameters of a fixture that runs its tests against both."""


@contextmanager
def asked_for(request: pytest.FixtureRequest) -> Iterator[CvatPlace]:
    """The server that a parameter names; the test is skipped where there is no real one."""
    if request.param == "http":
        with http_place(lag=2) as found:
            yield found
        return
    if "cvat" not in request.config.getoption("markexpr"):
        pytest.skip("asked for with -m cvat")
    if not os.environ.get("CVAT_URL"):
        pytest.skip("CVAT_URL names no server")
    yield real_place()


class _ServerUser:
    """Asks a real server as the user of the environment."""

    def __init__(self, url: str, found: Any) -> None:
        self._url = url
        self._pool = urllib3.PoolManager()
        self._headers = {"Accept": "application/vnd.cvat+json", "Content-Type": "application/json"}
        token = self._login(found) if isinstance(found, Password) else found.value
        # The key of a login has 40 digits; a personal access token is longer.
        self._headers["Authorization"] = f"{'Token' if len(token) == 40 else 'Bearer'} {token}"

    def _login(self, found: Password) -> str:
        sent = {"username": found.user, "password": found.password}
        answer = self("POST", "auth/login", json.dumps(sent).encode())
        return str(answer.body["key"])

    def __call__(self, method: str, target: str, body: bytes = b"") -> Any:
        answer = self._pool.request(
            method,
            f"{self._url}/api/{target}",
            body=body or None,
            headers=self._headers,
            timeout=300,
        )
        try:
            value = json.loads(answer.data) if answer.data else None
        except ValueError:
            value = answer.data
        return _Replied(answer.status, value)


@dataclass(frozen=True, slots=True)
class _Replied:
    status: int
    body: Any
