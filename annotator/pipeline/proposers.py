"""How a worker process gets its proposer: a small description is sent to it, not the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from annotator.core.errors import UsageError
from annotator.pipeline.results import AnnotateOptions
from annotator.segmentation.join import JoinedProposer, joined_fingerprint
from annotator.segmentation.proposer import Proposer
from annotator.segmentation.sam.embedding_cache import EmbeddingCache
from annotator.segmentation.sam.proposer import SamProposer, load_sam, sam_fingerprint, sam_proposer
from annotator.segmentation.sam.tiles import tiles
from annotator.segmentation.sam.weights import Checkpoint, list_weights, resolve
from annotator.segmentation.superpixel import SuperpixelProposer
from annotator.settings.annotation import JoinSettings, SuperpixelSettings
from annotator.settings.sam import SamSettings
from annotator.settings.study import Settings

if TYPE_CHECKING:
    from annotator.segmentation.sam.model import SamModel

NO_CHECKPOINT = (
    "no SAM checkpoint on this machine: proposals by superpixel alone; to have both, "
    "run: trephine weights fetch vit_b"
)

# What a million pixels take on one core beside SAM, seconds: ground, features, classes;
# and the other maker. Measured on one field of 1200 x 1920.
LINE_SECONDS, SUPERPIXEL_SECONDS = 1.5, 2.0


class ProposerSource(Protocol):
    """A description of a proposer, which makes it in the process that uses it.

    Hashable, and can be pickled."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the proposer that :meth:`make` returns; cheap."""

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the file of weights; None where it uses none."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user on why this proposer was chosen."""

    def make(self) -> Proposer:
        """Make the proposer; may load weights."""

    def estimate(self, shapes: Sequence[tuple[int, int]]) -> str | None:
        """Say how long images of these heights and widths will take; None where it is short."""

    def problems(self) -> tuple[str, ...]:
        """Problems met in this process that did not stop the work, for the user to know."""

    def __hash__(self) -> int:
        """Equal descriptions have one hash, so that a process loads each proposer once."""


@dataclass(frozen=True, slots=True)
class SuperpixelSource:
    """The proposer without weights."""

    settings: SuperpixelSettings
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the settings."""
        return self.make().fingerprint

    @property
    def weights_sha256(self) -> None:
        """None: this proposer has no weights."""
        return None

    def make(self) -> SuperpixelProposer:
        """Make the proposer; nothing is loaded."""
        return SuperpixelProposer(self.settings)

    def estimate(self, shapes: Sequence[tuple[int, int]]) -> None:
        """None: it takes about a second an image."""

    def problems(self) -> tuple[str, ...]:
        """None: nothing can go wrong beside the objects."""
        return ()


@dataclass(frozen=True, slots=True)
class SamSource:
    """Segment Anything with one file of weights.

    Parameters
    ----------
    settings : SamSettings
    checkpoint : Checkpoint
    device : str
    embeddings : Path or None
        Where what the encoder made of the images is kept, if it is.
    notes : tuple of str
    """

    settings: SamSettings
    checkpoint: Checkpoint
    device: str
    embeddings: Path | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of settings and weights; does not load torch."""
        return sam_fingerprint(self.settings, self.checkpoint.sha256)

    @property
    def weights_sha256(self) -> str:
        """Hash of the checkpoint file."""
        return self.checkpoint.sha256

    def make(self) -> SamProposer:
        """Load torch and the weights."""
        return sam_proposer(self.settings, self.checkpoint, self.device, self._cache())

    def estimate(self, shapes: Sequence[tuple[int, int]]) -> str:
        """By what the network takes on this machine; see :meth:`expect`."""
        return self.expect(shapes, LINE_SECONDS)

    def expect(self, shapes: Sequence[tuple[int, int]], beside: float) -> str:
        """Say how long images will take.

        Parameters
        ----------
        shapes : sequence of (int, int)
            Their heights and widths.
        beside : float
            Seconds that a million pixels take beside SAM.

        Raises
        ------
        UsageError
            When there is no such device.
        WeightsError
            When the checkpoint is no SAM.
        """
        from annotator.segmentation.sam.time_estimate import measure_speed

        model = load_sam(self.checkpoint, self.device, self.settings.threads)
        height, width = max(shapes, key=math.prod)
        side = self.settings.tile_px or max(height, width)
        speed = measure_speed(model, self.settings, (min(height, side), min(width, side)))
        seconds = sum(beside * height * width / 1e6 for height, width in shapes)
        for shape in shapes:
            tile_count, prompts = expected_work(shape, self.settings)
            seconds += tile_count * speed.tile_seconds + prompts * speed.prompt_seconds
        return estimate_text(model, seconds, len(shapes))

    def problems(self) -> tuple[str, ...]:
        """Why embeddings could not be kept, if so."""
        cache = self._cache()
        return () if cache is None else tuple(cache.problems)

    def _cache(self) -> EmbeddingCache | None:
        if self.embeddings is None or not self.settings.embeddings_mb:
            return None
        return _embedding_cache(self.embeddings, self.settings.embeddings_mb * 1_000_000)


@lru_cache(maxsize=1)
def _embedding_cache(folder: Path, most_bytes: int) -> EmbeddingCache:
    """The cache of this process, with the problems that it met."""
    return EmbeddingCache(folder, most_bytes)


def estimate_text(model: SamModel, seconds: float, images: int) -> str:
    """Say how many seconds a batch of images will take, for people."""
    kind, device = model.architecture.kind, model.device
    name = "a small SAM" if kind == "small" else kind
    if device == "cpu":
        import torch

        threads = torch.get_num_threads()
        device = f"cpu, {threads} thread{'s' * (threads != 1)}"
    return (
        f"about {duration(seconds / images)} an image with {name} on this machine ({device}): "
        f"{duration(seconds)} for {images} image{'s' * (images != 1)}"
    )


def duration(seconds: float) -> str:
    """Seconds in words, no finer than an estimate deserves.

    Examples
    --------
    >>> [duration(s) for s in (0.2, 12.2, 89, 95, 400, 7200, 9000)]
    ['less than 1 s', '12 s', '89 s', '2 min', '7 min', '2 h', '2.5 h']
    """
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f}".removesuffix(".0") + " h"


def expected_work(shape: tuple[int, int], settings: SamSettings) -> tuple[int, int]:
    """Tiles and prompts of an image; in guided mode the prompts that it may have at most.

    Examples
    --------
    >>> expected_work((1200, 1920), SamSettings(prompts_at_most=200))
    (1, 200)
    >>> expected_work((1200, 1920), SamSettings.preset("bambo"))
    (1, 25600)
    """
    count = len(tiles(shape, settings.tile_px or max(shape), settings.tile_overlap))
    if settings.mode == "exact":
        return count, settings.points_per_side**2
    return count, count * settings.prompts_at_most


@dataclass(frozen=True, slots=True)
class JoinedSource:
    """SAM and the classical proposer, joined."""

    superpixel: SuperpixelSource
    sam: SamSource
    settings: JoinSettings

    @property
    def fingerprint(self) -> str:
        """Fingerprint of both proposers and of how they are joined; does not load torch."""
        return joined_fingerprint(self.superpixel.fingerprint, self.sam.fingerprint, self.settings)

    @property
    def weights_sha256(self) -> str:
        """Hash of SAM's checkpoint."""
        return self.sam.weights_sha256

    @property
    def notes(self) -> tuple[str, ...]:
        """Which weights were chosen."""
        return (f"proposals by superpixel and by SAM with {self.sam.checkpoint.name}",)

    def make(self) -> Proposer:
        """Load torch and the weights."""
        return JoinedProposer(self.superpixel.make(), self.sam.make(), self.settings)

    def estimate(self, shapes: Sequence[tuple[int, int]]) -> str | None:
        """Say how long SAM and the classical proposer will take."""
        # With regions to begin from, SAM is guided whatever its mode.
        guided = replace(self.sam, settings=replace(self.sam.settings, mode="guided"))
        return guided.expect(shapes, LINE_SECONDS + SUPERPIXEL_SECONDS)

    def problems(self) -> tuple[str, ...]:
        """Problems that SAM met in this process."""
        return self.sam.problems()


def proposer_source(
    settings: Settings, options: AnnotateOptions, embeddings: Path | None = None
) -> ProposerSource:
    """Choose the proposer that a run asks for.

    Parameters
    ----------
    settings : Settings
    options : AnnotateOptions
    embeddings : Path, optional
        Where SAM's embeddings may be kept.

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
        checkpoint = resolve(options.checkpoint or "vit_b")
        return SamSource(settings.sam, checkpoint, options.device, embeddings)
    if options.proposals == "auto":
        return _both_or_superpixel(settings, options, embeddings)
    raise UsageError(f"expected proposals by superpixel, sam or auto, got {options.proposals!r}")


def _both_or_superpixel(
    settings: Settings, options: AnnotateOptions, embeddings: Path | None
) -> ProposerSource:
    name = options.checkpoint or installed_checkpoint(options.device)
    if name is None:
        return SuperpixelSource(settings.superpixel, (NO_CHECKPOINT,))
    sam = SamSource(settings.sam, resolve(name), options.device, embeddings)
    return JoinedSource(SuperpixelSource(settings.superpixel), sam, settings.join)


def installed_checkpoint(device: str) -> str | None:
    """The official checkpoint to use of those on this machine: the largest on a GPU.

    Without one the smallest: the larger ones take three and six times as long there.
    """
    names = [row.name for row in list_weights() if row.present]
    if len(names) < 2:
        return names[0] if names else None
    from annotator.segmentation.sam.checkpoint import choose_device

    return names[0 if choose_device(device) == "cpu" else -1]


@lru_cache(maxsize=1)
def cached_proposer(source: ProposerSource) -> Proposer:
    """The proposer of this process, loaded once."""
    return source.make()
