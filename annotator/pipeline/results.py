"""Options of a batch, its progress, and its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from annotator.core.progress import OnProgress, Progress
from annotator.core.scale_source import FoundScale, ScaleSource

READING, OUTLINING, GROUPING = "reading", "outlining", "grouping"
CLASSIFYING, CONTACT_SHEET = "classifying", "contact sheet"

# Classifying an image against outlining it, measured on 1200 x 1920 px; only used
# until the first image of this run is classified.
_CLASSIFYING_SHARE = 0.1


class Tracker:
    """Reports every step and keeps the clock of each stage.

    The estimate rests on the seconds measured in this run alone: those of the stage
    in hand for the rest of it, and a share of them for the stage to come. What was
    skipped is not counted as work.
    """

    def __init__(
        self,
        report: OnProgress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._clock = clock
        self._stage = ""
        self._started = 0.0
        self._done = self._total = self._to_come = 0
        self.began = clock()
        self.seconds: dict[str, float] = {}

    def start(self, stage: str, total: int, to_come: int = 0) -> None:
        """Begin a stage of so many images; `to_come` are to be classified after it."""
        self._stage, self._total, self._to_come = stage, total, to_come
        self._done = 0
        self._started = self._clock()

    def step(self, name: str) -> None:
        """One image of the stage is finished."""
        self._done += 1
        self.seconds[self._stage] = self._clock() - self._started
        progress = Progress(self._stage, self._done, self._total, name, self._left())
        self._report(progress)

    def add(self, inner: Mapping[str, float]) -> None:
        """Add seconds that a worker measured inside the stage in hand.

        Kept as ``outlining.encode``; workers measure side by side, so these can be more
        than the stage took.
        """
        for name, value in inner.items():
            key = f"{self._stage}.{name}"
            self.seconds[key] = self.seconds.get(key, 0.0) + value

    def say(self, note: str) -> None:
        """Tell a person something before the next step."""
        self._report(Progress(self._stage, self._done, self._total, "", None, note))

    def elapsed(self) -> float:
        """Seconds since the tracker was made."""
        return self._clock() - self.began

    def _left(self) -> float | None:
        """Seconds left, None while reading: what is to be done is not known yet."""
        if self._stage not in (OUTLINING, CLASSIFYING):
            return None
        each = self.seconds[self._stage] / self._done
        later = self._to_come * _CLASSIFYING_SHARE if self._stage == OUTLINING else 0.0
        return each * (self._total - self._done + later)


@dataclass(frozen=True, slots=True)
class AnnotateOptions:
    """Options of one run; how images are annotated stands in ``study.toml``.

    Parameters
    ----------
    proposals : {"superpixel", "sam", "auto"}
        Who cuts the images into objects. ``auto``: both, where SAM's weights are on this
        machine, else ``superpixel``.
    checkpoint : str or None
        Name or path of the SAM weights; not with ``superpixel``.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...; for SAM.
    workers : int
        Processes, 1 or more. The result is the same for any number.
    limit : int or None
        Take the first so many images of the input, in order.
    force : bool
        Do everything again, and move hand-edited rough annotations aside.
    network : str or None
        Written into ``study.toml`` as the network of this study and of all that follows:
        ``starter``, ``study``, ``none`` or a file. None: what stands there.
    preset : str or None
        Written there, too: all settings of a whole line, ``trephine`` or ``bambo``.
    um_per_px : float or None
        Microns per pixel of the images of this run whose file says none; the study keeps it
        with each of them. None: what is known already.
    engine : {"processes", "dask"}
        Who does the work: processes of this machine, or a Dask cluster. The result is the same.
    scheduler : str or None
        Address or scheduler file of a cluster that is there; None: one on this machine, of so
        many workers.
    send_pixels : bool
        Send the bytes of files to the workers, who see no disk of ours.
    """

    proposals: str = "superpixel"
    checkpoint: str | None = None
    device: str = "auto"
    workers: int = 1
    limit: int | None = None
    force: bool = False
    network: str | None = None
    preset: str | None = None
    um_per_px: float | None = None
    engine: str = "processes"
    scheduler: str | None = None
    send_pixels: bool = False


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One row of the table of results: an image.

    Parameters
    ----------
    name : str
        The image's own name in the study.
    path : str
        Where it was read from in this run.
    image_id : str
    status : {"done", "skipped"}
        Skipped: annotated before with the same pixels, settings and weights, or kept
        because a person edited it (`notes` say so).
    um_per_px : float or None
    areas_px : mapping
        Pixels of ``bg``, ``fat``, ``cell``, ``bone``, ``unlabelled``.
    cellularity : float or None
        cell / (cell + fat) in 0..1; None where there is neither.
    objects : int
    coverage : mapping
        Shares (0..1) of the pixels under ``0``, ``1`` and ``2+`` objects.
    seconds : float
        CPU seconds, all steps of this image together; whatever else the machine did
        meanwhile, and a GPU, do not count.
    notes : tuple of str
        Conversions on the way in, and what else a person should know.
    sources : mapping
        Objects by who made them: ``superpixel``, ``sam``, ``white``, ``network``.
    stage_seconds : mapping
        Of the clock, by stage, when the objects were made last: ``encode``, ``describe`` ...
    counts : mapping
        What the proposer counted meanwhile: ``prompts``, ``masks`` ...
    scale_source : ScaleSource
        Who said the scale.
    found_scale : FoundScale or None
        What the picture shows, where nobody said it.
    """

    name: str
    path: str
    image_id: str
    status: Literal["done", "skipped"]
    um_per_px: float | None
    areas_px: Mapping[str, int]
    cellularity: float | None
    objects: int
    coverage: Mapping[str, float]
    seconds: float
    notes: tuple[str, ...] = ()
    sources: Mapping[str, int] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    scale_source: ScaleSource = "none"
    found_scale: FoundScale | None = None


@dataclass(frozen=True, slots=True)
class ImageFailure:
    """An image that could not be annotated, and why, in words for a person."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A path whose pixels are those of another one; annotated once, under `name`."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a run did.

    Parameters
    ----------
    rows : tuple of ImageRow
        One an image that has an annotation now, in order of the input.
    failures : tuple of ImageFailure
    skipped : int
        Rows that were done before.
    duplicates : tuple of Duplicate
    named_by : {"seed", "starter", "model"} or None
        Who named the objects: groups that nobody reviewed, the starter classifier on what
        a network sees, the model of a round of learning. None where nothing was named.
    seconds : float
        Of the clock, for the whole run.
    kept : tuple of str
        Names whose rough annotation a person changed: left alone.
    refreshed : int
        Images outside this input that were classified again with new seed groups.
    stale : tuple of str
        Names that still have classes of older seed groups: their picture is gone
        from where it was.
    damaged : int
        Cached object files that could not be read and were made again.
    ignored : int
        Files in the folders given that are hidden or not named like an image.
    stage_seconds : mapping
        Of the clock, for each stage of the run; ``outlining.encode`` is what the workers
        spent on that inside it, added up over all of them.
    notes : tuple of str
        What a person should know of the run as a whole.
    """

    rows: tuple[ImageRow, ...]
    failures: tuple[ImageFailure, ...]
    skipped: int
    duplicates: tuple[Duplicate, ...]
    named_by: str | None
    seconds: float
    kept: tuple[str, ...] = ()
    refreshed: int = 0
    stale: tuple[str, ...] = ()
    damaged: int = 0
    ignored: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def seeded(self) -> bool:
        """Whether the classes come from seed groups that nobody has reviewed."""
        return self.named_by == "seed"
