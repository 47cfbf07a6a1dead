"""What the server needs of a study; :class:`annotator.review.session.ReviewSession` gives it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

Json = dict[str, Any]


class ServedSession(Protocol):
    """A study as the page sees it. Every method may be called from any thread."""

    @property
    def path(self) -> Path:
        """Where the study lies."""

    def summary(self) -> Json:
        """Study, classes, counts, rounds, queues, images, training."""

    def queue(
        self,
        name: str,
        image: str | None = None,
        cluster: str | None = None,
        offset: int = 0,
        limit: int = 500,
        author: str | None = None,
        fresh: bool = False,
    ) -> Json:
        """A part of a queue."""

    def label(self, author: str, ids: Sequence[str], code: str, queue: str = "") -> Json:
        """Give objects a class."""

    def undo(self, author: str) -> Json | None:
        """Take back this author's last act."""

    def redo(self, author: str) -> Json | None:
        """Do again what this author took back."""

    def name_cluster(self, author: str, cluster: str, code: str) -> Json:
        """Give a class to a cluster."""

    def changes(self, since: int) -> Json:
        """Labels that anybody added since."""

    def tile(self, object_id: str) -> bytes:
        """A small picture of an object."""

    def zoom(self, object_id: str) -> bytes:
        """A larger picture of an object."""

    def tag(self, object_id: str) -> str:
        """What the pictures of an object depend on."""

    def picture(self, image_id: str) -> bytes:
        """A whole image."""

    def outlines(self, image_id: str) -> Json:
        """The objects of an image as paths."""

    def start_training(self, author: str | None = None) -> Json:
        """Begin a round of learning."""

    def training(self) -> Json:
        """How far the round of learning is."""
