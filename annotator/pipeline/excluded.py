"""Regions that leave an image and come back, and its draft drawn again without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from annotator.core.class_areas import cellularity
from annotator.core.errors import ImageError, StudyError, UsageError
from annotator.core.label_maps import LabelMaps, compact
from annotator.core.label_names import LabelNames
from annotator.core.objects import BoolMask
from annotator.imaging.codecs import encode_jpeg, encode_png
from annotator.measurements.measure import pixels_again
from annotator.pictures.overlay import hatch, overlay
from annotator.pipeline.steps import annotation_key
from annotator.pipeline.tasks import excluded_reason
from annotator.study.excluded_area import ExcludedArea, ExcludedRegion, counted_areas
from annotator.study.rough import Annotation, KnownImage, RoughFiles
from annotator.study.study import Study
from export.cvat.push_plan import by_name
from export.readers.geojson import excluding_masks


@dataclass(frozen=True, slots=True)
class ListedRegion:
    """One line of ``images regions``.

    Parameters
    ----------
    number : int
        Of the region in the study.
    image : str
        Name in the study.
    pixels : int
    share : float
        Of the image, 0..1.
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1``, px.
    why, origin, author, time : str
        See :class:`annotator.study.excluded_area.ExcludedRegion`.
    restored : str
        Why it holds no more; empty while it holds.
    """

    number: int
    image: str
    pixels: int
    share: float
    box: tuple[int, int, int, int]
    why: str
    origin: str
    author: str
    time: str
    restored: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RegionReport:
    """What was excluded or taken back.

    Parameters
    ----------
    image : str
        Name in the study.
    regions : int
        New regions, or those that were taken back.
    excluded_px : int
        All that is excluded of the image now.
    share : float
        Of the image, 0..1.
    notes : tuple of str
        What is still to be done.
    """

    image: str
    regions: int
    excluded_px: int
    share: float
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return asdict(self)


def list_regions(study: Study, names: Sequence[str] = ()) -> list[ListedRegion]:
    """All excluded regions of a study or of some images, also those that were taken back.

    Raises
    ------
    UsageError
        When a name is of no image, or of several.
    """
    images = by_name(study.all_images(), names) if names else study.all_images()
    known = {image.id: image for image in images}
    regions = [region for region in study.excluded_regions.all() if region.image_id in known]
    listed = [_listed(region, known[region.image_id]) for region in regions]
    return sorted(listed, key=lambda one: (one.image, one.number))


def _listed(region: ExcludedRegion, image: KnownImage) -> ListedRegion:
    said = (region.why, region.origin, region.author, region.time, region.restored)
    share = region.pixels / (image.shape[0] * image.shape[1])
    return ListedRegion(region.id, image.name, region.pixels, round(share, 6), region.box, *said)


def exclude_region(study: Study, name: str, file: Path, why: str, author: str) -> RegionReport:
    """Exclude the regions of a GeoJSON file from an image: those of class ``exclude``, or of none.

    Parameters
    ----------
    study : Study
    name : str
        Of the image in the study, or of its file, or its id.
    file : Path
        GeoJSON, as QuPath exports it.
    why, author : str

    Raises
    ------
    UsageError
        When there is no such image, the file holds no such region, or nothing says why; nothing
        was noted.
    StudyError
        When another run holds the study, or it cannot be written.
    """
    with study.writing():
        (image,) = by_name(study.all_images(), [name])
        masks = _masks(file, image, study.settings.also)
        before = study.excluded_regions.area(image.id, image.shape)
        count = study.excluded_regions.exclude(image.id, masks, why, file.name, author)
        notes = _drawn_again(study, image, before)
    return _report(study, image, count, notes)


def restore_regions(
    study: Study, numbers: Sequence[int], why: str, author: str
) -> tuple[RegionReport, ...]:
    """Take excluded regions back, by their numbers; one report for each image.

    Raises
    ------
    UsageError
        When a region does not hold, or nothing says why; nothing was noted.
    StudyError
        When another run holds the study, or it cannot be written.
    """
    with study.writing():
        study.excluded_regions.restore(numbers, why, author)
        of_image: dict[str, int] = {}
        for region in study.excluded_regions.all():
            if region.id in numbers:
                of_image[region.image_id] = of_image.get(region.image_id, 0) + 1
        images = [image for image in study.all_images() if image.id in of_image]
    return tuple(
        _report(study, one, of_image[one.id], _after_restoring(study, one)) for one in images
    )


def _masks(file: Path, image: KnownImage, names: LabelNames) -> list[BoolMask]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror or error}") from error
    masks = []
    for (x0, y0, x1, y1), crop in excluding_masks(data, str(file), image.shape, names):
        mask = np.zeros(image.shape, np.bool_)
        mask[y0:y1, x0:x1] = crop
        masks.append(mask)
    if not masks:
        raise UsageError(
            f"{file}: expected polygons of the class 'exclude', or without a class, on the image "
            f"{image.name!r}, got none; draw some in QuPath and export them as GeoJSON"
        )
    return masks


def _report(study: Study, image: KnownImage, count: int, notes: tuple[str, ...]) -> RegionReport:
    area = study.excluded_regions.area(image.id, image.shape)
    pixels = 0 if area is None else area.pixels
    share = round(pixels / (image.shape[0] * image.shape[1]), 6)
    return RegionReport(image.name, count, pixels, share, notes)


def _after_restoring(study: Study, image: KnownImage) -> tuple[str, ...]:
    """A draft has no classes where something was excluded: they are to be made again."""
    if study.rough.annotation(image) is None:
        return ()
    return (
        f"its draft is open there until it is annotated again: trephine annotate {study.path} "
        f"{image.source}",
    )


# The draft


def _drawn_again(study: Study, image: KnownImage, before: ExcludedArea | None) -> tuple[str, ...]:
    """Write the draft of an image without what is excluded; notes say where that cannot be."""
    rough, annotation = study.rough, study.rough.annotation(image)
    after = study.excluded_regions.area(image.id, image.shape)
    if annotation is None or after is None or not rough.is_complete(image):
        return ()
    if rough.edited(image):
        return ("its draft was edited by a person: the files stay, and are read without it",)
    try:
        label_maps = rough.read(image)
        pixels = pixels_again(Path(image.source), image.id, image.shape, study.settings.read)
    except (ImageError, StudyError):
        pixels = None
    if pixels is None:
        return ("its picture is not at hand: the overlay shows it after trephine annotate",)
    picture = hatch(overlay(pixels, label_maps, study.settings.classes), after.mask())
    files = RoughFiles(
        encode_png(label_maps.classes), encode_png(_numbers(label_maps)), encode_jpeg(picture)
    )
    rough.save(image, files, _counted_again(study, annotation, label_maps, before, after))
    return ()


def _numbers(label_maps: LabelMaps) -> Any:
    """Instances under the numbers that they have: the confidence of each is found by it."""
    instances = label_maps.instances
    fits = int(instances.max(initial=0)) <= np.iinfo(np.uint16).max
    return instances.astype(np.uint16) if fits else compact(instances)


def _counted_again(
    study: Study,
    annotation: Annotation,
    label_maps: LabelMaps,
    before: ExcludedArea | None,
    after: ExcludedArea,
) -> Annotation:
    """The annotation with the figures of what is left; annotate then takes it for done."""

    def key(left_out: str) -> str:
        made_by = annotation.objects_key, annotation.classifier
        return annotation_key(*made_by, study.settings, left_out)

    areas = counted_areas(label_maps.classes, after)
    earlier = excluded_reason(before)
    was_current = annotation.annotation_key == key("" if before is None else before.key)
    return replace(
        annotation,
        annotation_key=key(after.key) if was_current else annotation.annotation_key,
        areas_px=areas,
        cellularity=cellularity(areas),
        notes=(
            *(note for note in annotation.notes if note not in earlier),
            *excluded_reason(after),
        ),
    )
