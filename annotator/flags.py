"""Haemorrhage, soft tissue, sectioning artefact: proposed with a score, set by a person.

The scores are simple evidence from colour and texture on a coarse grid, made up by hand and
measured against nobody's flags: they say which images to look at, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FLAGS = ("haemorrhage", "soft_tissue", "artefact")
PROPOSED_FROM = 0.5
"""Scores from here on are proposed as a yes."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of one image.

    Parameters
    ----------
    score : float or None
        Ours, 0..1; None where the picture was not at hand.
    value : bool or None
        What a person said; None where nobody did.
    set_by : str
        Who said so; empty where nobody did.
    """

    score: float | None
    value: bool | None = None
    set_by: str = ""

    @property
    def raised(self) -> bool:
        """A person's word, else whether our score is high."""
        if self.value is not None:
            return self.value
        return self.score is not None and self.score >= PROPOSED_FROM

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "raised": self.raised,
            "score": self.score,
            "value": self.value,
            "set_by": self.set_by,
        }
