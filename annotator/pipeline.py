"""The batch: images in, rough annotations in the study folder out.

Three passes, each of which can be killed at any moment and taken up again:

1. *reading*: every path is decoded once, so that names, duplicates and unreadable
   files are known before any long work starts;
2. *outlining*: read, propose, prune, describe; kept in ``objects/NAME.npz``;
3. *classifying*: the objects get their classes, the pixels their codes; written to
   ``rough/``. Between the two the seed groups are fitted, unless the study has them.

Workers are given paths and return bytes; this process alone writes, in the order of
the input, so that the result does not depend on their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from annotator.store import Study


@dataclass(frozen=True, slots=True)
class AnnotateOptions:
    """What one run is asked for; how images are annotated stands in ``study.toml``.

    Parameters
    ----------
    proposals : {"superpixel", "sam"}
        Who cuts the images into objects.
    checkpoint : str or None
        Name or path of the SAM weights; only with ``sam``.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...; only with ``sam``.
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
class Progress:
    """One step forward.

    Parameters
    ----------
    stage : {"reading", "outlining", "grouping", "classifying", "contact sheet"}
        In this order; a stage with nothing to do reports nothing.
    done, total : int
        Images of this stage.
    name : str
        The image just finished: its path while reading, then its name in the study.
    eta_seconds : float or None
        Seconds left of the whole run, from the measured ones; None until there are some.
    """

    stage: str
    done: int
    total: int
    name: str
    eta_seconds: float | None


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
        Of one core, for all steps of this image.
    notes : tuple of str
        Conversions on the way in, and what else a person should know.
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
    """

    rows: tuple[ImageRow, ...]
    failures: tuple[Failure, ...]
    skipped: int
    duplicates: tuple[Duplicate, ...]
    seeded: bool
    seconds: float
    kept: tuple[str, ...] = field(default=())
    refreshed: int = 0
    stale: tuple[str, ...] = field(default=())
    damaged: int = 0


def annotate(
    study: Study,
    inputs: Sequence[str],
    options: AnnotateOptions,
    on_progress: Callable[[Progress], None],
) -> BatchResult:
    """Annotate files, folders (recursive) and globs into the study.

    Raises
    ------
    UsageError
        When the inputs name no image at all, or the options are out of range.
    StudyError
        When the study is locked by another run or read-only; before any work.
    StorageError
        When a write failed; what was done until then stays and is skipped next time.
    WeightsError
        When SAM was asked for and its weights are not there; before any work.
    KeyboardInterrupt
        Passed on after the workers were stopped; the study can be taken up again.
    """
    raise NotImplementedError
