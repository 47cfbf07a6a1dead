"""Take the corrected masks of an archive, or of files of QuPath, into ``truth/``, with a report.

An archive is taken as a whole or not at all: everything in it is read, checked and painted
before the first file is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from annotator.core.errors import UsageError
from annotator.core.label_maps import LabelMaps, fit_instances
from annotator.study.names import fold
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.cvat.pull_report import PullReport
from export.cvat.save_corrected import (
    PackedImage,
    note_excluded,
    pack_corrected,
    save,
    sent_map,
    write_report,
)
from export.readers.corrected import Corrected, Reading
from export.readers.detect import reading
from export.readers.geojson import FORMAT as GEOJSON
from export.readers.painting import Painted
from export.source_pictures import (
    TURNED_ADVICE,
    SourcePicture,
    carries_other_pixels,
    is_turned,
)


def pull_file(study: Study, path: Path) -> PullReport:
    """Take the corrected masks of an archive that CVAT exported into the study.

    A pixel that nobody painted is unlabelled (255), never background. An image on which nothing
    is painted was not corrected: its mask stays as it is.

    Parameters
    ----------
    study : Study
    path : Path
        A zip of "CVAT for images 1.1", "COCO 1.0", "Segmentation mask 1.1" or "PASCAL VOC
        1.1", of a task, a job or a project; or GeoJSON of QuPath, one file an image, a folder or
        a zip of them.

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
        names = ImageNames(images)
        with reading(path, names.shape) as archive:
            packed, unknown = _read_all(study, names, archive)
            if not packed:
                raise UsageError(_none_known(unknown, images, archive))
        study.truth.tidy()
        by_name = sorted(packed, key=lambda packed_image: packed_image.image.name)
        pulled = tuple(
            note_excluded(study, packed_image, save(study.truth, packed_image))
            for packed_image in by_name
        )
        report = PullReport(
            archive.format, pulled, tuple(unknown), tuple(archive.notes), dict(archive.unused)
        )
        return write_report(study, report)


def _read_all(
    study: Study, names: ImageNames, archive: Reading
) -> tuple[list[PackedImage], list[str]]:
    """All images of an archive, painted and packed; and names that no image of the study has."""
    packed: list[PackedImage] = []
    unknown: list[str] = []
    for corrected in archive.images:
        image = names.find(corrected.name)
        if image is None or corrected.painted is None:
            unknown.append(corrected.name)
            continue
        names.take(image, corrected)
        packed_image = _pack(study, image, corrected, corrected.painted)
        warning = names.ambiguity(corrected.name, image)
        packed_image.notes.extend([warning] if warning else [])
        packed_image.notes.extend(_of_replaced(study, image, corrected.name))
        if archive.format == GEOJSON and is_turned(image):
            packed_image.notes.append(TURNED_ADVICE)
        if carries_other_pixels(archive.picture(corrected.name), image):
            packed_image.notes.append(
                "the picture in the archive has other pixels than those that were annotated: look "
                "whether this mask fits"
            )
        packed.append(packed_image)
    return packed, unknown


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
        f"the file {PurePosixPath(image.source).name!r} holds other pixels now than those that "
        "were annotated: look whether this mask is of the earlier picture"
    ]


# Which image is meant


class ImageNames:
    """Finds images of the study by their names in an archive, and takes each only once.

    A name is looked up in this order: the name that our own archives give the picture, its name
    in the study, the name of its file, its id, the stem of its file. Only a name that is found
    nowhere is looked up again without its suffix.

    Parameters
    ----------
    images : iterable of KnownImage
    """

    def __init__(self, images: Iterable[KnownImage]) -> None:
        known = tuple(images)
        self._files = _table((PurePosixPath(image.source).name, image) for image in known)
        self._tables = (
            _table((image.name + PurePosixPath(image.source).suffix, image) for image in known),
            _table((image.name, image) for image in known),
            self._files,
            _table((image.id, image) for image in known),
            _table((PurePosixPath(image.source).stem, image) for image in known),
        )
        self._taken: dict[str, Corrected] = {}

    def find(self, name: str) -> KnownImage | None:
        """The image that a name in an archive stands for; None where there is none.

        Raises
        ------
        UsageError
            When it can stand for several.
        """
        last = re.split(r"[/\\]", name)[-1]
        for text in (last, PurePosixPath(last).stem):
            for table in self._tables:
                found = table.get(fold(text), [])
                if len(found) > 1:
                    choice = ", ".join(repr(image.name) for image in found)
                    raise UsageError(
                        f"{name!r} can mean {choice}; in CVAT, call the images as in the study"
                    )
                if found:
                    return found[0]
        return None

    def ambiguity(self, name: str, image: KnownImage) -> str | None:
        """A warning where other images came from a file of this name too; else None."""
        last = re.split(r"[/\\]", name)[-1]
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
                f"{found.name!r} ({found.source}); export the task or the job that holds the one "
                "you want"
            )


def _table(named: Iterable[tuple[str, KnownImage]]) -> dict[str, list[KnownImage]]:
    table: dict[str, list[KnownImage]] = {}
    for name, image in named:
        table.setdefault(fold(name), []).append(image)
    return table
