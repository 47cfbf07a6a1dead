"""Where a worker process gets its proposer from: a small description travels, not the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from annotator.errors import UsageError
from annotator.joined import JoinedProposer, JoinSettings, joined_fingerprint
from annotator.proposals import Proposer
from annotator.results import AnnotateOptions
from annotator.sam import SamSettings, sam_fingerprint, sam_proposer
from annotator.settings import Settings
from annotator.superpixel import SuperpixelProposer, SuperpixelSettings
from annotator.weights import Checkpoint, list_weights, resolve

NO_CHECKPOINT = (
    "no SAM checkpoint on this machine: proposals by superpixel alone; to have both, "
    "run: trephine weights fetch vit_b"
)


class ProposerSource(Protocol):
    """Makes a proposer in the process that uses it. Hashable, and can be pickled."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the proposer that :meth:`make` returns; cheap."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the choice of this proposer."""

    def make(self) -> Proposer:
        """Make it; may load weights."""

    def estimate(self, shapes: Sequence[tuple[int, int]]) -> str | None:
        """Say how long images of these heights and widths will take; None: not worth a word."""

    def __hash__(self) -> int:
        """So that a process loads it once."""


@dataclass(frozen=True, slots=True)
class SuperpixelSource:
    """The proposer without weights."""

    settings: SuperpixelSettings
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def fingerprint(self) -> str:
        """Of its settings."""
        return self.make().fingerprint

    def make(self) -> SuperpixelProposer:
        """Make it; nothing is loaded."""
        return SuperpixelProposer(self.settings)

    def estimate(self, shapes: Sequence[tuple[int, int]]) -> None:
        """A second an image: the progress says enough."""


@dataclass(frozen=True, slots=True)
class SamSource:
    """Segment Anything with one file of weights."""

    settings: SamSettings
    checkpoint: Checkpoint
    device: str
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def fingerprint(self) -> str:
        """Of its settings and weights; does not load torch."""
        return sam_fingerprint(self.settings, self.checkpoint.sha256)

    def make(self) -> Proposer:
        """Load torch and the weights."""
        return sam_proposer(self.settings, self.checkpoint, self.device)

    def estimate(self, shapes: Sequence[tuple[int, int]]) -> str | None:
        """By the operations of the network and the speed of this machine."""
        return None


@dataclass(frozen=True, slots=True)
class JoinedSource:
    """Both makers, joined."""

    superpixel: SuperpixelSource
    sam: SamSource
    settings: JoinSettings

    @property
    def fingerprint(self) -> str:
        """Of both makers and of how they are joined; does not load torch."""
        return joined_fingerprint(self.superpixel.fingerprint, self.sam.fingerprint, self.settings)

    @property
    def notes(self) -> tuple[str, ...]:
        """Which weights were chosen."""
        return (f"proposals by superpixel and by SAM with {self.sam.checkpoint.name}",)

    def make(self) -> Proposer:
        """Load torch and the weights."""
        sam = sam_proposer(self.sam.settings, self.sam.checkpoint, self.sam.device)
        return JoinedProposer(self.superpixel.make(), sam, self.settings)

    def estimate(self, shapes: Sequence[tuple[int, int]]) -> str | None:
        """SAM's: next to it the other maker takes no time."""
        return self.sam.estimate(shapes)


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
                "a checkpoint is only used with --proposals sam or auto; add that, or leave "
                "the checkpoint out"
            )
        return SuperpixelSource(settings.superpixel)
    if options.proposals == "sam":
        return SamSource(settings.sam, resolve(options.checkpoint or "vit_b"), options.device)
    if options.proposals == "auto":
        return _both_or_superpixel(settings, options)
    raise UsageError(f"expected proposals by superpixel, sam or auto, got {options.proposals!r}")


def _both_or_superpixel(settings: Settings, options: AnnotateOptions) -> ProposerSource:
    name = options.checkpoint or installed_checkpoint(options.device)
    if name is None:
        return SuperpixelSource(settings.superpixel, (NO_CHECKPOINT,))
    sam = SamSource(settings.sam, resolve(name), options.device)
    return JoinedSource(SuperpixelSource(settings.superpixel), sam, settings.join)


def installed_checkpoint(device: str) -> str | None:
    """The official checkpoint to use of those on this machine: the largest on a GPU.

    Without one the smallest: the larger ones take three and six times as long there.
    """
    names = [row.name for row in list_weights() if row.present]
    if len(names) < 2:
        return names[0] if names else None
    from annotator.sam_load import choose_device

    return names[0 if choose_device(device) == "cpu" else -1]


@lru_cache(maxsize=1)
def cached_proposer(source: ProposerSource) -> Proposer:
    """The proposer of this process, loaded once."""
    return source.make()
