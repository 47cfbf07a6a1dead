"""What a worker does with one image in each pass: a path comes in, bytes go out.

Nothing here writes, and nothing knows the study beyond the one file it is told to read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from active_learning.classification import Classifier
from annotator.core.errors import ImageError
from annotator.core.label_maps import LabelMaps, compact
from annotator.core.objects import BoolMask, Image, ImageObjects
from annotator.core.progress import Stopwatch, rounded
from annotator.core.runs import runs_of
from annotator.core.scale_source import FoundScale
from annotator.core.workers import import_all
from annotator.imaging.appearance import Appearance
from annotator.imaging.clear_view import clear_view
from annotator.imaging.codecs import decode_jpeg, encode_jpeg, encode_png
from annotator.imaging.read import read_image
from annotator.pictures.overlay import hatch, overlay, thumbnail
from annotator.pipeline.network.choice import (
    at_found_scale,
    cached_predictor,
    scale_in_picture,
    seen_by_network,
)
from annotator.pipeline.preload import PRELOAD
from annotator.pipeline.proposers import ProposerSource, cached_proposer
from annotator.pipeline.steps import (
    RoughAnnotation,
    classify_image,
    describe_again,
    describe_image,
    propose,
    propose_key,
)
from annotator.pipeline.view_notes import view_notes
from annotator.segmentation.outside_black import leave_open
from annotator.settings.images import ReadSettings
from annotator.settings.study import Settings
from annotator.study.chosen_network import ChosenNetwork
from annotator.study.excluded_area import ExcludedArea, counted_areas, without_excluded
from annotator.study.objects_file import (
    ImageFeatures,
    Proposals,
    pack,
    unpack,
    unpack_proposals,
    unpack_with_network,
)
from annotator.study.runs import ObjectsRun
from annotator.study.seen_pictures import SeenPicture
from export.stitch import unlabelled_reasons


@dataclass(frozen=True, slots=True)
class ReadTask:
    """Decode an image, to know its identity."""

    settings: ReadSettings

    def __call__(self, path: Path) -> SeenPicture:
        """Read the image at a path."""
        image = read_image(path, self.settings)
        small = encode_jpeg(thumbnail(image.pixels))
        return SeenPicture(image.id, image.shape, image.um_per_px, image.notes, small)


@dataclass(frozen=True, slots=True)
class ImageJob:
    """An image of the study that there is work on.

    Parameters
    ----------
    path : Path
        Of the picture.
    image_id : str
        What its pixels must be.
    um_per_px : float or None
        The scale to work at.
    objects : Path
        Its objects in the study, which may not exist yet.
    excluded : ExcludedArea or None
        What is excluded of it.
    found_scale : FoundScale or None
        What an earlier run found in the picture, where nobody says the scale.
    """

    path: Path
    image_id: str
    um_per_px: float | None
    objects: Path
    excluded: ExcludedArea | None = None
    found_scale: FoundScale | None = None


_Stored = tuple[Proposals, ImageFeatures]
"""Proposals in the study, and what came of them."""


@dataclass(frozen=True, slots=True)
class ProposeResult:
    """The packed objects of an image, the CPU seconds that they took, and how they were made.

    `problems` are what a person should know of this process, `found_scale` is what the picture
    shows where its file says no scale.
    """

    data: bytes
    seconds: float
    objects_run: ObjectsRun
    problems: tuple[str, ...]
    found_scale: FoundScale | None = None


UNSURE_SCALE = (
    "the scale of some images is known from no file and can only be guessed from the picture: "
    "sizes by which adipocytes are told apart may be off; give it with trephine annotate "
    "--um-per-px"
)
"""Told once a run, of whichever image was the first."""


@dataclass(frozen=True, slots=True)
class ProposeTask:
    """Propose, prune, describe. Proposals that still hold are taken from the study."""

    source: ProposerSource
    settings: Settings
    afresh: bool = False
    network: ChosenNetwork | None = None

    def __call__(self, job: ImageJob) -> ProposeResult:
        """Propose, prune and describe the objects of one image."""
        watch = Stopwatch()
        with watch("loading"):
            import_all(PRELOAD)
            proposer = cached_proposer(self.source)
            network_key = self.network.fingerprint if self.network else ""
            key = propose_key(job.image_id, job.um_per_px, proposer.fingerprint, network_key)
            stored = None if self.afresh else _stored(job.objects, key)
            if self.network is not None and not _tells_classes(stored):
                cached_predictor(self.network)
        started = time.process_time()
        with watch("reading"):
            view = clear_view(_read_again(job, self.settings))
            appearance = Appearance(view.image, black=view.unseen)
        proposed, described = None, None
        scale = job.found_scale if job.um_per_px is None else None
        if stored is not None and self._needs_no_network(job, stored):
            proposed, earlier = stored
            appearance = at_found_scale(appearance, scale)
            described = describe_again(
                appearance, network_key, proposed, self.settings, earlier, watch
            )
        if proposed is None or described is None:
            proposed, described, scale = self._described(appearance, stored, watch)
        problems = self.source.problems()
        if scale is not None and not scale.is_sure:
            problems = (*problems, UNSURE_SCALE)
        with watch("packing"):
            data = pack(proposed, described)
        seconds = time.process_time() - started
        sources = described.objects.by_source()
        found = ObjectsRun(
            rounded(watch.seconds), watch.counts, sources, self.source.weights_sha256
        )
        return ProposeResult(data, seconds, found, problems, scale)

    def _needs_no_network(self, job: ImageJob, stored: _Stored) -> bool:
        """Whether what is stored may be enough to go on without asking the network again."""
        scale_is_known = job.um_per_px is not None or job.found_scale is not None
        return self.network is not None and scale_is_known and _tells_classes(stored)

    def _described(
        self, appearance: Appearance, stored: _Stored | None, watch: Stopwatch
    ) -> tuple[Proposals, ImageFeatures, FoundScale | None]:
        """Ask the network, where there is one; take stored proposals, or make them; describe."""
        scale = None
        if self.network is not None:
            with watch("network"):
                scale = scale_in_picture(appearance)
                appearance = seen_by_network(appearance, self.network, scale)
        if stored is None:
            proposed, earlier = propose(appearance, cached_proposer(self.source), watch), None
        else:
            proposed, earlier = stored
        described = describe_image(appearance, proposed, self.settings, watch, earlier)
        return proposed, described, scale


@dataclass(frozen=True, slots=True)
class ClassifyResult:
    """A rough annotation as bytes, its numbers, and the CPU seconds that it took.

    `confidence` is that of instances 1, 2, 3 ... of the instance map.
    """

    codes: bytes
    instances: bytes
    overlay: bytes
    objects_key: str
    areas_px: Mapping[str, int]
    objects: int
    coverage: Mapping[str, float]
    notes: tuple[str, ...]
    confidence: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ClassifyTask:
    """Classify, mask the cells, stitch, draw."""

    classifier: Classifier
    settings: Settings

    def __call__(self, job: ImageJob) -> ClassifyResult:
        """Annotate one image from its objects in the study."""
        started = time.process_time()
        described = unpack(job.objects.read_bytes())
        image = _read_again(job, self.settings)
        annotation = classify_image(described, self.classifier, self.settings)
        view = clear_view(image)
        label_maps = leave_open(annotation.label_maps, view.unseen)
        label_maps = without_excluded(label_maps, job.excluded)
        picture = overlay(image.pixels, label_maps, self.settings.classes)
        if job.excluded is not None:
            picture = hatch(picture, job.excluded.mask())
        return ClassifyResult(
            codes=encode_png(label_maps.classes),
            instances=encode_png(compact(label_maps.instances)),
            overlay=encode_jpeg(picture),
            objects_key=described.key,
            areas_px=counted_areas(label_maps.classes, job.excluded),
            objects=len(described.objects),
            coverage=dict(zip(("0", "1", "2+"), described.coverage, strict=True)),
            notes=(
                *_reasons(annotation, described.objects, view.unseen),
                *view_notes(view),
                *excluded_reason(job.excluded),
            ),
            confidence=confidences(label_maps, described.objects.ids, annotation.confidence),
            seconds=time.process_time() - started,
        )


@dataclass(frozen=True, slots=True)
class ReduceJob:
    """An overlay in the study, and the shape that it must have."""

    path: Path
    shape: tuple[int, int]


def reduce_overlay(job: ReduceJob) -> NDArray[np.uint8] | None:
    """Read an overlay and make it small.

    Parameters
    ----------
    job : ReduceJob

    Returns
    -------
    (H, W, 3) uint8 or None
        RGB; None where the overlay is gone or of another shape than it was.

    Examples
    --------
    >>> reduce_overlay(ReduceJob(Path("gone.jpg"), (20, 30))) is None
    True
    """
    large = decode_jpeg(job.path.read_bytes()) if job.path.is_file() else None
    return None if large is None or large.shape[:2] != job.shape else thumbnail(large)


def confidences(
    label_maps: LabelMaps, ids: NDArray[np.int32], confidence: NDArray[np.float64]
) -> tuple[float, ...]:
    """Confidence of each instance, in the order of their ids: that of the object it came from.

    Parameters
    ----------
    label_maps : LabelMaps
    ids : (N,) int32
        Of the objects that were stitched.
    confidence : (N,) float64
        Of their classes, 0..1.

    Returns
    -------
    tuple of float
        0..1, to four digits.

    Examples
    --------
    Object 7 was cut in two when it was stitched; its piece has the id 8.

    >>> codes, instances = np.ones((1, 3), np.uint8), np.array([[7, 9, 8]], np.int32)
    >>> maps = LabelMaps(codes, instances, split_from=((8, 7),))
    >>> confidences(maps, np.array([7, 9], np.int32), np.array([0.9, 0.6]))
    (0.9, 0.9, 0.6)
    """
    of_object = dict(zip(ids.tolist(), confidence.round(4).tolist(), strict=True))
    origin = dict(label_maps.split_from)
    instances = label_maps.instances
    found = np.unique(runs_of(instances).of(instances))
    return tuple(of_object[origin.get(n, n)] for n in found[found > 0].tolist())


def _read_again(job: ImageJob, settings: Settings) -> Image:
    image = read_image(job.path, settings.read)
    if image.id != job.image_id:
        raise ImageError("its pixels changed while the run was going on; run again")
    return image.at_scale(job.um_per_px)


def _tells_classes(stored: _Stored | None) -> bool:
    """Whether what is stored tells the classes that a network saw."""
    return stored is not None and stored[1].network_classes is not None


def _stored(path: Path, key: str) -> _Stored | None:
    """The study's proposals, where they are there, whole, and made in the same way.

    With them comes what was made of them, under whatever settings.
    """
    try:
        data = path.read_bytes()
        kept = unpack_proposals(data)
        return (kept, unpack_with_network(data)) if kept.key == key else None
    except (FileNotFoundError, ValueError):
        return None


def excluded_reason(excluded: ExcludedArea | None) -> tuple[str, ...]:
    """How much is excluded and why, for the notes of an annotation."""
    return () if excluded is None else (f"{excluded.pixels} px unlabelled: {excluded.reason}",)


def _reasons(
    annotation: RoughAnnotation, objects: ImageObjects, unseen: BoolMask | None
) -> tuple[str, ...]:
    """Why pixels have no class, for the notes; black has a note of its own."""
    counts = unlabelled_reasons(annotation.label_maps, objects, annotation.codes, unseen)
    return tuple(f"{n} px unlabelled: {reason}" for reason, n in counts.items() if n)
