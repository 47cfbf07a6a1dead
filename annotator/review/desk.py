"""A study as the review page sees it: queues of objects, acts of labelling, pictures.

Nothing of the web is in here. All answers are JSON values, or the bytes of a picture.
Every method can be called from any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from annotator.store import Study

Json = dict[str, Any]

QUEUES = ("clusters", "doubts", "uncertain", "image", "random")
PICTURE_TYPE = "image/jpeg"
"""Media type of all pictures."""


class Desk:
    """An open study on which one person or several work.

    Use it as a context, or call :meth:`close`.

    Parameters
    ----------
    path : Path
        Of the study.
    author : str
        Who works here unless an act says otherwise.

    Raises
    ------
    StudyError
        When it is no study, or one that cannot be written.
    """

    def __init__(self, path: Path, author: str) -> None:
        self.path = path
        self.author = author
        self._study = Study.open(path)

    def close(self) -> None:
        """End what runs in the background, and let go of the study."""
        self._study.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def summary(self) -> Json:
        """Study, author, classes, counts, rounds, queues, images, training."""
        raise NotImplementedError

    def queue(
        self,
        name: str,
        image: str | None = None,
        cluster: str | None = None,
        offset: int = 0,
        limit: int = 500,
        author: str | None = None,
    ) -> Json:
        """A part of a queue, in an order that stays while a person works.

        Raises
        ------
        Unknown
            When there is no such queue, image or cluster.
        UsageError
            When the queue needs something that is not there yet, such as a model.
        """
        raise NotImplementedError

    def label(self, author: str, ids: Sequence[str], code: str, queue: str = "") -> Json:
        """Say of objects that they are of a class, ``mixed``, or to be skipped: one act.

        Raises
        ------
        Unknown
            When there is no such object; nothing was stored.
        UsageError
            When the code is none, or no object is named.
        """
        raise NotImplementedError

    def undo(self, author: str) -> Json | None:
        """Take back the author's last act that stands; None where there is none."""
        raise NotImplementedError

    def redo(self, author: str) -> Json | None:
        """Do again what was taken back last; None where there is nothing."""
        raise NotImplementedError

    def name_cluster(self, author: str, cluster: str, code: str) -> Json:
        """Give a class to all objects of a cluster that no person has labelled: one act."""
        raise NotImplementedError

    def changes(self, since: int) -> Json:
        """What anybody said after a point in time, and the point that it is now."""
        raise NotImplementedError

    def tile(self, object_id: str) -> bytes:
        """An object in its surroundings, outlined, 128 x 128 px, as JPEG."""
        raise NotImplementedError

    def zoom(self, object_id: str) -> bytes:
        """The same with more around it, 512 x 512 px."""
        raise NotImplementedError

    def tag(self, object_id: str) -> str:
        """What the tile of an object depends on: another tag, another picture (for ETag)."""
        raise NotImplementedError

    def picture(self, image_id: str) -> bytes:
        """The whole image, as JPEG."""
        raise NotImplementedError

    def outlines(self, image_id: str) -> Json:
        """The objects of an image as SVG paths, in pixels of the image."""
        raise NotImplementedError

    def start_training(self) -> Json:
        """Begin a round of learning in the background; Busy while one is under way."""
        raise NotImplementedError

    def training(self) -> Json:
        """How far the round of learning is, and what came of the last one."""
        raise NotImplementedError
