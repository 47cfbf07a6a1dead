"""The request and the result of a push, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

COUNT = 40
"""Images a push, unless asked otherwise."""
SHAPES, VOC = "shapes", "voc"
"""Ways in which annotations travel."""

SENT, SAME, TOUCHED = "sent", "up to date", "touched"
FAILED, LEFT, PLANNED = "failed", "left", "planned"
"""Status of an image after a push. Touched: a person works on it, and it was not sent."""


@dataclass(frozen=True, slots=True)
class PushRequest:
    """Which images a push sends, and how.

    Parameters
    ----------
    count : int
        Images at most, where none are named.
    images : tuple of str
        Names in the study.
    via : str
        :data:`SHAPES` or :data:`VOC`.
    batch_size : int or None
        Images a task; None for what ``study.toml`` says.
    assignee : str or None
        User name on the server.
    dry_run : bool
    new_project : bool
        Leave the project that the study was sent to, with all work in it, for another.
    """

    count: int = COUNT
    images: tuple[str, ...] = ()
    via: str = SHAPES
    batch_size: int | None = None
    assignee: str | None = None
    dry_run: bool = False
    new_project: bool = False


@dataclass(frozen=True, slots=True)
class PushedImage:
    """The result of a push for one image.

    Parameters
    ----------
    image : str
        Name in the study.
    status : str
        See :data:`SENT` and those beside it.
    shapes : int
        On the server.
    merged : mapping of str to int
        Objects that share a shape with others, by class.
    note : str
        Why, where there is something to say.
    """

    image: str
    status: str
    shapes: int = 0
    merged: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class PushedTask:
    """The result of a push for one task; `task_id` is None where none was made."""

    task_id: int | None
    name: str
    images: tuple[PushedImage, ...]
    upload_bytes: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class PushReport:
    """The result of a push.

    Parameters
    ----------
    url, project : str
    project_id : int or None
    tasks : tuple of PushedTask
    left : tuple of PushedImage
        Images that are in no task, each with the reason.
    notes : tuple of str
    stopped : str
        Why the push was broken off; else empty.
    dry_run : bool
    """

    url: str
    project: str
    project_id: int | None
    tasks: tuple[PushedTask, ...]
    left: tuple[PushedImage, ...]
    notes: tuple[str, ...] = ()
    stopped: str = ""
    dry_run: bool = False

    @property
    def images(self) -> tuple[PushedImage, ...]:
        """All images, those in no task last."""
        return (*(one for task in self.tasks for one in task.images), *self.left)

    @property
    def is_complete(self) -> bool:
        """Whether the push ended and no image failed; one that a person works on counts as done."""
        return not self.stopped and all(one.status != FAILED for one in self.images)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "url": self.url,
            "project": self.project,
            "project_id": self.project_id,
            "dry_run": self.dry_run,
            "complete": self.is_complete,
            "stopped": self.stopped or None,
            "notes": list(self.notes),
            "tasks": [
                {
                    "task_id": task.task_id,
                    "name": task.name,
                    "upload_bytes": task.upload_bytes,
                    "note": task.note or None,
                    "images": [_plain(one) for one in task.images],
                }
                for task in self.tasks
            ],
            "left": [_plain(one) for one in self.left],
        }


def _plain(image: PushedImage) -> dict[str, Any]:
    return {
        "image": image.image,
        "status": image.status,
        "shapes": image.shapes,
        "merged": dict(image.merged),
        "note": image.note or None,
    }
