"""Where a worker process gets its proposer from: a small description travels, not the model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from annotator.errors import UsageError
from annotator.proposals import Proposer
from annotator.results import AnnotateOptions
from annotator.sam import SamSettings, sam_fingerprint, sam_proposer
from annotator.settings import Settings
from annotator.superpixel import SuperpixelProposer, SuperpixelSettings
from annotator.weights import Checkpoint, resolve


class ProposerSource(Protocol):
    """Makes a proposer in the process that uses it. Hashable, and can be pickled."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the proposer that :meth:`make` returns; cheap."""

    def make(self) -> Proposer:
        """Make it; may load weights."""

    def __hash__(self) -> int:
        """So that a process loads it once."""


@dataclass(frozen=True, slots=True)
class SuperpixelSource:
    """The proposer without weights."""

    settings: SuperpixelSettings

    @property
    def fingerprint(self) -> str:
        """Of its settings."""
        return self.make().fingerprint

    def make(self) -> SuperpixelProposer:
        """Make it; nothing is loaded."""
        return SuperpixelProposer(self.settings)


@dataclass(frozen=True, slots=True)
class SamSource:
    """Segment Anything with one file of weights."""

    settings: SamSettings
    checkpoint: Checkpoint
    device: str

    @property
    def fingerprint(self) -> str:
        """Of its settings and weights; does not load torch."""
        return sam_fingerprint(self.settings, self.checkpoint.sha256)

    def make(self) -> Proposer:
        """Load torch and the weights."""
        return sam_proposer(self.settings, self.checkpoint, self.device)


def proposer_source(settings: Settings, options: AnnotateOptions) -> ProposerSource:
    """Choose the proposer that a run asks for.

    Raises
    ------
    UsageError
        When there is no such proposer, or it takes no weights.
    WeightsError
        When the weights are not there, or not what they claim to be.
    """
    if options.proposals == "superpixel":
        if options.checkpoint is not None:
            raise UsageError(
                "a checkpoint is only used with --proposals sam; add that, or leave the "
                "checkpoint out"
            )
        return SuperpixelSource(settings.superpixel)
    if options.proposals == "sam":
        return SamSource(settings.sam, resolve(options.checkpoint or "vit_b"), options.device)
    raise UsageError(f"expected proposals by superpixel or sam, got {options.proposals!r}")


@lru_cache(maxsize=1)
def cached_proposer(source: ProposerSource) -> Proposer:
    """The proposer of this process, loaded once."""
    return source.make()
