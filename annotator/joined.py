"""Objects by two makers, joined: SAM's outline where it is confident, else the classical one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from annotator.objects import Image, ImageObjects, joined_objects
from annotator.proposals import Proposer
from annotator.stopwatch import Stopwatch

# Raised whenever the same objects would be joined in another way.
_VERSION = 1


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """When an outline by SAM takes the place of a classical one."""

    least_score: float = field(
        default=0.88,
        metadata={"doc": "least quality that SAM predicts for its mask, 0..1", "ge": 0, "le": 1},
    )
    least_stability: float = field(
        default=0.92,
        metadata={"doc": "least stability of SAM's mask, 0..1", "ge": 0, "le": 1},
    )
    same_iou: float = field(
        default=0.5,
        metadata={
            "doc": "two outlines mean the same thing from this IoU on",
            "gt": 0.0,
            "le": 1.0,
        },
    )


class Prompted(Protocol):
    """What SAM found from classical regions."""

    @property
    def objects(self) -> ImageObjects:
        """SAM's objects."""

    @property
    def region_of(self) -> NDArray[np.int32]:
        """Position of the classical region that prompted each, (N,); -1 for SAM's own search."""


class PromptedProposer(Proposer, Protocol):
    """A maker of proposals that can begin with the regions of another one."""

    def propose_from(
        self, image: Image, regions: ImageObjects, watch: Stopwatch | None = None
    ) -> Prompted:
        """Return its objects, and which region led to each."""


@dataclass(frozen=True, slots=True)
class JoinedProposer:
    """The classical proposer's regions, seen again by SAM."""

    classical: Proposer
    sam: PromptedProposer
    settings: JoinSettings = JoinSettings()

    @property
    def name(self) -> str:
        """``auto``."""
        return "auto"

    @property
    def fingerprint(self) -> str:
        """See :func:`joined_fingerprint`."""
        return joined_fingerprint(self.classical.fingerprint, self.sam.fingerprint, self.settings)

    def propose(self, image: Image, watch: Stopwatch | None = None) -> ImageObjects:
        """Ask both makers and join what they found."""
        watch = watch or Stopwatch()
        regions = self.classical.propose(image, watch)
        prompted = self.sam.propose_from(image, regions, watch)
        with watch("join"):
            return join(regions, prompted.objects, prompted.region_of, self.settings)


def joined_fingerprint(classical: str, sam: str, settings: JoinSettings) -> str:
    """Key of everything that shapes the result; needs neither maker."""
    text = f"auto {_VERSION} {classical} {sam} {settings!r}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def join(
    classical: ImageObjects,
    sam: ImageObjects,
    region_of: NDArray[np.int32],
    settings: JoinSettings,
) -> ImageObjects:
    """Take the better outline of each thing."""
    return joined_objects(classical, sam)
