"""Somebody who corrects annotations on the server, for the server of the tests and for a real one.

All goes through the API, by a function ``call(method, target, body) -> answer`` with a
``status`` and a ``body`` that is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

Json = dict[str, Any]


class Replied(Protocol):
    """What a call comes back with."""

    status: int
    body: Any


Caller = Callable[[str, str, bytes], Replied]


class Expert:
    """What a person does in a job."""

    def __init__(self, call: Caller) -> None:
        self._call = call

    def ask(self, method: str, target: str, sent: object = None) -> Any:
        """Ask the API, without the ``/api/`` before; anything but success is a fault of a test."""
        found = self._call(method, target, b"" if sent is None else json.dumps(sent).encode())
        if found.status >= 400:
            raise AssertionError(f"{method} {target}: {found.status} {found.body!r}")
        return found.body

    def shapes(self, job: int) -> list[Json]:
        """All shapes of a job, those on top last."""
        found = self.ask("GET", f"jobs/{job}/annotations/")["shapes"]
        return sorted(found, key=lambda one: (one["z_order"], one["id"]))

    def label(self, job: int, name: str) -> int:
        """Id of a label of the job's task."""
        labels = self.ask("GET", f"labels?job_id={job}&page_size=100")["results"]
        (found,) = (one["id"] for one in labels if one["name"] == name)
        return int(found)

    def paint(
        self, job: int, label: str, points: Sequence[float], kind: str = "mask", **more: Any
    ) -> Json:
        """Add a shape on top, in the first frame of the job unless `frame` says another."""
        top = max((one["z_order"] for one in self.shapes(job)), default=0) + 1
        shape = {
            "type": kind,
            "frame": self.ask("GET", f"jobs/{job}")["start_frame"],
            "label_id": self.label(job, label),
            "points": [float(value) for value in points],
            "z_order": top,
            "source": "manual",
        } | more
        made = self.ask("PATCH", f"jobs/{job}/annotations/?action=create", {"shapes": [shape]})
        return dict(made["shapes"][0])

    def relabel(self, job: int, shape: Json, label: str) -> None:
        """Give a shape another label; its attributes are those of the old one, so they go."""
        changed = shape | {"label_id": self.label(job, label), "attributes": []}
        self.change(job, changed)

    def change(self, job: int, shape: Json) -> None:
        """Change a shape."""
        self.ask("PATCH", f"jobs/{job}/annotations/?action=update", {"shapes": [shape]})

    def delete(self, job: int, *shapes: Json) -> None:
        """Remove shapes."""
        self.ask("PATCH", f"jobs/{job}/annotations/?action=delete", {"shapes": list(shapes)})

    def complete(self, job: int, state: str = "completed") -> None:
        """Put a job into a state."""
        self.ask("PATCH", f"jobs/{job}", {"state": state})

    def stage(self, job: int, stage: str) -> None:
        """Put a job into a stage."""
        self.ask("PATCH", f"jobs/{job}", {"stage": stage})

    def comment(self, job: int, text: str, position: Sequence[float] = (1.0, 1.0, 5.0, 5.0)) -> int:
        """Open an issue in the first frame of a job; its number."""
        frame = self.ask("GET", f"jobs/{job}")["start_frame"]
        sent = {"job": job, "frame": frame, "position": list(position), "message": text}
        return int(self.ask("POST", "issues", sent)["id"])
