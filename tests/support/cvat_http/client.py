"""Bare requests to the HTTP server of the tests, for its own tests."""

from __future__ import annotations

import http.client
import io
import json
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from support.cvat_http.server import CvatHttp

Json = dict[str, Any]
LABELS = [{"name": "fat", "color": "#800000"}, {"name": "cell", "color": "#808000"}]


class Client:
    """Sends bare requests, as whoever logged in."""

    def __init__(self, server: CvatHttp) -> None:
        self.host = urlsplit(server.url).netloc
        self.cookies: dict[str, str] = {}

    def ask(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
            sent["x-csrftoken"] = self.cookies["csrftoken"]
        try:
            connection.request(method, path, body or None, sent)
            found = connection.getresponse()
            content = found.read()
        finally:
            connection.close()
        for value in found.headers.get_all("set-cookie") or []:
            name, _, rest = value.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        return found.status, {k.lower(): v for k, v in found.headers.items()}, content

    def json(self, method: str, path: str, sent: object = None) -> tuple[int, Any]:
        """Status and body of the answer, both ways JSON."""
        body = b"" if sent is None else json.dumps(sent).encode()
        status, _, content = self.ask(method, path, body, content_type="application/json")
        return status, json.loads(content) if content else None

    def login(self, server: CvatHttp, name: str = "admin") -> Client:
        """Log in."""
        sent = {"username": name, "password": server.users[name].password}
        assert self.json("POST", "/api/auth/login", sent)[0] == 200
        return self


def png(size: tuple[int, int] = (120, 90)) -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", size, "pink").save(packed, "PNG")
    return packed.getvalue()


def form(*names: str, data: bytes | None = None) -> tuple[bytes, str]:
    """Files as a browser or the SDK sends them."""
    parts = [
        b'--cut\r\nContent-Disposition: form-data; name="f"; filename="%s"\r\n\r\n%s\r\n'
        % (name.encode(), png() if data is None else data)
        for name in names
    ]
    return b"".join(parts) + b"--cut--\r\n", "multipart/form-data; boundary=cut"


def add_task(server: CvatHttp, frames: int = 2, name: str = "batch") -> tuple[int, list[int]]:
    """A task of a new project, with a job a frame: its number and those of the jobs."""
    client = Client(server).login(server)
    project = client.json("POST", "/api/projects", {"name": "p", "labels": LABELS})[1]["id"]
    sent = {"name": name, "project_id": project, "segment_size": 1}
    task = client.json("POST", "/api/tasks", sent)[1]["id"]
    upload(client, task, *(f"{k}.png" for k in range(frames)))
    return task, [job.id for job in server.state.jobs_of(task)]


def upload(client: Client, task: int, *names: str, data: bytes | None = None) -> int:
    """Send images to a task; status of the last answer."""
    place = f"/api/tasks/{task}/data/"
    client.ask("POST", place, upload_start="")
    body, kind = form(*names, data=data)
    status = client.ask("POST", place, body, upload_multiple="", content_type=kind)[0]
    if status != 200:
        return status
    order = {"image_quality": 100, "upload_file_order": list(names)}
    sent = json.dumps(order).encode()
    return client.ask("POST", place, sent, upload_finish="", content_type="application/json")[0]


def mask(frame: int, label: int, *points: float, **more: Any) -> Json:
    """A mask as the API takes it; by default one pixel in the corner."""
    runs = list(points or (0, 1, 0, 0, 0, 0))
    return {"type": "mask", "frame": frame, "label_id": label, "points": runs} | more
