"""What was said of an object: the label alone; which of several counts is decided elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from annotator.core.classes import CLASS_NAMES

# What a person can say beside the four classes: kept, never trained on.
MIXED, SKIP = 4, 5


LABEL_NAMES = (*CLASS_NAMES, "mixed", "skip")


SOURCES = ("seed", "model", "person", "truth")


ObjectKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Label:
    """What was said of one object.

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
        Who said it; not empty.
    time : str
        ISO 8601, in UTC (``2026-11-20T20:41:20+00:00``).
    confidence : float
        0..1. Of a corrected mask: the share of the object that has the class.
    mask_key, look_key : str
        Which mask it was said of, and the settings that the object came of; empty where
        labels are not stored.
    id, origin : int
        Number of the stored label, and of the one that it was moved from; else 0.

    Raises
    ------
    ValueError
        When a field is out of its range.
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
