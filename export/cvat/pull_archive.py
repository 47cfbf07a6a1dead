"""Take corrected masks that people bring as files into ``truth/``, with a report.

What a server exported is taken as a whole or not at all: everything in it is read, checked and
painted before the first file is written. Of files that people made one by one (GeoJSON,
LabelMe, Label Studio, masks as PNG) each is taken or refused alone, with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from annotator.core.errors import UsageError
from annotator.core.label_maps import LabelMaps, fit_instances
from annotator.core.label_names import OUR_NAMES, LabelNames
from annotator.imaging.slide_region import file_name
from annotator.study.names import fold
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.cvat.pull_report import PullFailure, PullReport
from export.cvat.save_corrected import (
    PackedImage,
    note_excluded,
    pack_corrected,
    save,
    sent_map,
    write_report,
)
from export.readers.corrected import Corrected, Reading, last_part
from export.readers.detect import reading
from export.readers.geojson import FORMAT as GEOJSON
from export.readers.painting import Painted
from export.source_pictures import (
    TURNED_ADVICE,
    SourcePicture,
    carries_other_pixels,
    is_turned,
)


def pull_file(study: Study, path: Path, names: LabelNames = OUR_NAMES) -> PullReport:
    """Take corrected masks of an archive, a folder or a file into the study.

    A pixel that nobody painted is unlabelled (255), never background. An image on which nothing
    is painted was not corrected: its mask stays as it is.

    Parameters
    ----------
    study : Study
    path : Path
        A zip that CVAT exported, of a task, a job or a project; an export of Label Studio; a
        folder or a zip of GeoJSON of QuPath, of files of LabelMe, or of masks as PNG; or one
        such file.
    names : LabelNames
        What labels mean, beside those of ``study.toml``, and before them.

    Raises
    ------
    UsageError
        When anything in the archive cannot be used; nothing was written.
    StudyError
        When another run holds the study, or it cannot be written.
    """
    with study.writing():
        images = study.all_images()
        if not images:
            raise UsageError(f"{study.path}: no images yet; run trephine annotate first")
        known, labels = ImageNames(images), names.over(study.settings.also)
        with reading(path, known.shape, labels, study.settings.classes) as archive:
            found = _read_all(study, known, archive)
            if not found.packed and not found.refused:
                raise UsageError(_none_known(found.unknown, images, archive))
        study.truth.tidy()
        by_name = sorted(found.packed, key=lambda packed_image: packed_image.image.name)
        pulled = tuple(
            note_excluded(study, packed_image, save(study.truth, packed_image))
            for packed_image in by_name
        )
        report = PullReport(
            archive.format,
            pulled,
            tuple(found.unknown),
            tuple(archive.notes),
            dict(archive.unused),
            failed=tuple(found.refused),
        )
        return write_report(study, report)


@dataclass(slots=True)
class _Found:
    """What was read: images to be written, names of no image, and what cannot be used."""

    packed: list[PackedImage] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    refused: list[PullFailure] = field(default_factory=list)


def _read_all(study: Study, names: ImageNames, archive: Reading) -> _Found:
    """All images of an archive, painted and packed."""
    found = _Found()
    for corrected in archive.images:
        if corrected.refused:
            why = corrected.refused.removeprefix(f"{corrected.name}: ")
            found.refused.append(PullFailure(corrected.name, why))
            continue
        image = names.find(corrected.name)
        if image is None or corrected.painted is None:
            found.unknown.append(corrected.name)
            continue
        try:
            names.take(image, corrected)
        except UsageError as error:
            if not archive.by_hand:
                raise
            # Neither is taken: which one is right only a person knows.
            found.refused.append(PullFailure(image.name, str(error)))
            found.packed = [one for one in found.packed if one.image.id != image.id]
            continue
        found.packed.append(_packed(study, names, archive, image, corrected, corrected.painted))
    return found


def _packed(
    study: Study,
    names: ImageNames,
    archive: Reading,
    image: KnownImage,
    corrected: Corrected,
    painted: Painted,
) -> PackedImage:
    packed_image = _pack(study, image, corrected, painted)
    warning = names.ambiguity(corrected.name, image)
    packed_image.notes.extend([*corrected.notes, *([warning] if warning else [])])
    packed_image.notes.extend(_of_replaced(study, image, corrected.name))
    if archive.format == GEOJSON and is_turned(image):
        packed_image.notes.append(TURNED_ADVICE)
    if carries_other_pixels(archive.picture(corrected.name), image):
        packed_image.notes.append(
            "the picture in the archive has other pixels than those that were annotated: look "
            "whether this mask fits"
        )
    return packed_image


def _none_known(unknown: Sequence[str], images: Sequence[KnownImage], archive: Reading) -> str:
    in_archive = ", ".join(map(repr, unknown[:3])) or "no image at all"
    in_study = ", ".join(repr(image.name) for image in images[:3])
    unusable = "".join(
        f" and {n} of {kind}, which cannot be used" for kind, n in archive.unused.items()
    )
    naming = f"; {archive.naming}" if archive.naming else ""
    return f"expected images of this study, such as {in_study}, got {in_archive}{unusable}{naming}"


def _pack(study: Study, image: KnownImage, corrected: Corrected, painted: Painted) -> PackedImage:
    """Give the painted pixels instances that agree with their classes, compare and compress."""
    baseline, notes = sent_map(study, image)
    label_maps = LabelMaps(painted.classes, fit_instances(painted.classes, painted.instances))
    packed = pack_corrected(
        image,
        label_maps,
        baseline,
        painted.tied_px,
        corrected.unused,
        painted.excluded,
        study.excluded_regions.area(image.id, image.shape),
    )
    packed.notes.extend(notes)
    return packed


def _of_replaced(study: Study, image: KnownImage, name: str) -> list[str]:
    """A warning where the file of an image was replaced, and the archive gives but its name.

    Names that we gave on a server hold the hash of the pixels: such a mask is the right one.
    """
    if PurePosixPath(name).stem == image.id:
        return []
    if not SourcePicture(image, study.settings.read).is_replaced():
        return []
    return [
        f"the file {file_name(image.source)!r} holds other pixels now than those that "
        "were annotated: look whether this mask is of the earlier picture"
    ]


# Which image is meant

# What Label Studio puts before the name of a picture that was uploaded.
_UPLOADED = re.compile("^[0-9a-f]{8}-")


class ImageNames:
    """Finds images of the study by their names in an archive, and takes each only once.

    A name is looked up in this order: the name that our own archives give the picture, its name
    in the study, the name of its file, its id, the stem of its file. Only a name that is found
    nowhere is looked up again without its suffix, then without what Label Studio puts before it.

    Parameters
    ----------
    images : iterable of KnownImage
    """

    def __init__(self, images: Iterable[KnownImage]) -> None:
        known = self._images = tuple(images)
        self._files = _table((file_name(image.source), image) for image in known)
        self._tables = (
            _table(
                (image.name + PurePosixPath(file_name(image.source)).suffix, image)
                for image in known
            ),
            _table((image.name, image) for image in known),
            self._files,
            _table((image.id, image) for image in known),
            _table((PurePosixPath(file_name(image.source)).stem, image) for image in known),
        )
        self._taken: dict[str, Corrected] = {}

    def find(self, name: str) -> KnownImage | None:
        """The image that a name in an archive stands for; None where there is none.

        Raises
        ------
        UsageError
            When it can stand for several.
        """
        last = last_part(name)
        uploaded = _UPLOADED.sub("", last)
        for text in dict.fromkeys((last, PurePosixPath(last).stem, uploaded)):
            found = self._only_one(text, name)
            if found is not None:
                return found
        if uploaded == last:
            return None
        stem = PurePosixPath(uploaded).stem
        return self._only_one(stem, name) or self._of_uploads(stem, name)

    def _only_one(self, text: str, name: str) -> KnownImage | None:
        return next((found for table in self._tables if (found := _one(table, text, name))), None)

    def _of_uploads(self, stem: str, name: str) -> KnownImage | None:
        """Label Studio has uploads without the blanks and signs that their names had."""
        return _one(_table((as_uploaded(i.name), i) for i in self._images), stem, name)

    def ambiguity(self, name: str, image: KnownImage) -> str | None:
        """A warning where other images came from a file of this name too; else None."""
        last = last_part(name)
        others = [repr(i.name) for i in self._files.get(fold(last), []) if i.id != image.id]
        if not others:
            return None
        return (
            f"{name!r} was taken for {image.name!r}, its name in the study; a file of this name "
            f"was also that of {', '.join(others)}: look whether it is the right one"
        )

    def shape(self, name: str) -> tuple[int, int] | None:
        """Height and width of the image that a name stands for; None where there is none."""
        image = self.find(name)
        return None if image is None else image.shape

    def take(self, image: KnownImage, found: Corrected) -> None:
        """Note that an image was found in the archive.

        Raises
        ------
        UsageError
            When it was found before: between the masks of two people a person has to choose.
        """
        other = self._taken.setdefault(image.id, found)
        if other is not found:
            raise UsageError(
                f"image {image.name!r} is there twice: {other.name!r} ({other.source}) and "
                f"{found.name!r} ({found.source}); bring only the one that you want (in CVAT, the "
                "task or the job that holds it)"
            )


def as_uploaded(name: str) -> str:
    """A name as Label Studio keeps it for a picture that was uploaded.

    Examples
    --------
    >>> as_uploaded("Fall 12 (2)")
    'Fall_12_2'
    """
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def _one(table: Mapping[str, list[KnownImage]], text: str, name: str) -> KnownImage | None:
    found = table.get(fold(text), [])
    if len(found) > 1:
        choice = ", ".join(repr(image.name) for image in found)
        raise UsageError(f"{name!r} can mean {choice}; call the images as in the study")
    return found[0] if found else None


def _table(named: Iterable[tuple[str, KnownImage]]) -> dict[str, list[KnownImage]]:
    table: dict[str, list[KnownImage]] = {}
    for name, image in named:
        table.setdefault(fold(name), []).append(image)
    return table
