"""Labels of objects: who gave which class; which of several counts is decided elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from annotator.core.classes import CLASS_NAMES

MIXED, SKIP = 4, 5
"""What a person can answer beside the four classes: it is stored, and never trained on."""

LABEL_NAMES = (*CLASS_NAMES, "mixed", "skip")
"""Names in the order of their codes."""

SOURCES = ("seed", "model", "person", "truth")
"""Where a label comes from; ``truth`` is a corrected mask."""

ObjectKey = tuple[str, int]
"""Id of the image, and number of the object."""


@dataclass(frozen=True, slots=True)
class Label:
    """One label of one object.

    Parameters
    ----------
    image_id : str
    object_id : int
        Unique among the objects of the image under their present settings; in a stored
        label, the number that the object had then.
    code : int
        0 bg, 1 fat, 2 cell, 3 bone, 4 mixed, 5 skip.
    source : {"seed", "model", "person", "truth"}
    round : int
        Of the learning loop, 0 or more.
    author : str
        Who gave it; not empty.
    time : str
        ISO 8601, in UTC (``2026-11-20T20:41:20+00:00``).
    confidence : float
        0..1. Of a corrected mask: the share of the object that has the class.
    mask_key, objects_key : str
        Which mask was labelled, and the settings that the object came of; empty where
        labels are not stored.
    id, origin : int
        Number of the stored label, and of the one that it was moved from; else 0.

    Raises
    ------
    ValueError
        When a field is out of its range.

    Examples
    --------
    >>> label = Label("0123", 7, 1, "person", 0, "Eva", "2026-01-01T00:00:00+00:00")
    >>> label.key, label.is_class
    (('0123', 7), True)
    """

    image_id: str
    object_id: int
    code: int
    source: str
    round: int
    author: str
    time: str
    confidence: float = 1.0
    mask_key: str = ""
    objects_key: str = ""
    id: int = 0
    origin: int = 0

    def __post_init__(self) -> None:
        if self.object_id < 1 or not 0 <= self.code < len(LABEL_NAMES) or self.round < 0:
            raise ValueError(
                "expected an object from 1, a code in 0-5 and a round from 0, "
                f"got {self.object_id}, {self.code} and {self.round}"
            )
        if self.source not in SOURCES or not self.author:
            raise ValueError(
                f"expected a source of {', '.join(SOURCES)} and an author, "
                f"got {self.source!r} and {self.author!r}"
            )
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"expected a confidence in 0..1, got {self.confidence}")
        # Texts are compared to tell which is later, which holds in one time zone only.
        datetime.fromisoformat(self.time)
        if not self.time.endswith("+00:00"):
            raise ValueError(f"expected a time in UTC that ends with +00:00, got {self.time!r}")

    @property
    def key(self) -> ObjectKey:
        """Image and object."""
        return self.image_id, self.object_id

    @property
    def is_class(self) -> bool:
        """Whether it names one of the four classes."""
        return self.code < len(CLASS_NAMES)
