"""What a batch is asked for, and what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class AnnotateOptions:
    """What one run is asked for; how images are annotated stands in ``study.toml``.

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
    """

    proposals: str = "superpixel"
    checkpoint: str | None = None
    device: str = "auto"
    workers: int = 1
    limit: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class ImageRow:
    """What the table says of one image.

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
    makers : mapping
        Objects by who made them: ``superpixel``, ``sam``, ``white``.
    stage_seconds : mapping
        Of the clock, by stage, when the objects were made last: ``encode``, ``describe`` ...
    counts : mapping
        What the proposer counted meanwhile: ``prompts``, ``masks`` ...
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
    makers: Mapping[str, int] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
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
    failures : tuple of Failure
    skipped : int
        Rows that were done before.
    duplicates : tuple of Duplicate
    seeded : bool
        The classes come from seed groups that nobody has reviewed.
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
    failures: tuple[Failure, ...]
    skipped: int
    duplicates: tuple[Duplicate, ...]
    seeded: bool
    seconds: float
    kept: tuple[str, ...] = ()
    refreshed: int = 0
    stale: tuple[str, ...] = ()
    damaged: int = 0
    ignored: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
