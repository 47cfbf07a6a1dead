"""The images of a study as a person keeps them: which are in it, and where their files lie."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from annotator.core.errors import ImageError
from annotator.core.progress import OnStep, silent
from annotator.imaging.find import find_images
from annotator.imaging.read import read_image
from annotator.imaging.slide_region import SlideRegion, exists_on_disk
from annotator.study.left_out import RESTORED
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.cvat.push_plan import by_name
from export.source_pictures import SourcePicture

IN_STUDY = "in the study"
THERE, GONE, REPLACED = "there", "gone", "other pixels"


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One line of ``images list``.

    Parameters
    ----------
    name, file : str
        In the study, and where its file lies or lay.
    state : {"in the study", "excluded", "removed"}
    file_state : {"there", "gone", "other pixels"}
        The last only where the pixels were compared.
    why, author, time : str
        Of the decision; empty where there is none.
    excluded_px : int
        Pixels of its excluded regions.
    """

    name: str
    file: str
    state: str
    file_state: str
    why: str = ""
    author: str = ""
    time: str = ""
    excluded_px: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Relinked:
    """What came of looking for the pictures of a study in a folder.

    Parameters
    ----------
    found : tuple of (str, str)
        Name of the image, and the file that holds its pixels.
    missing : tuple of str
        Names of images whose pixels no file in the folder has, and whose own file is gone or
        holds another picture.
    unreadable : tuple of (str, str)
        Files that could not be read, and why.
    """

    found: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]


def list_images(study: Study, check: bool = False, on_step: OnStep = silent) -> list[ListedImage]:
    """List all images, also those that are left out.

    Parameters
    ----------
    study : Study
    check : bool
        Read every file and compare its pixels with those that were annotated.
    on_step : callable
        Told what is being done, how much of it is done, and how much there is.
    """
    standing, listed = study.image_decisions.standing(), []
    images, areas = study.all_images(), study.excluded_regions.areas()
    for done, image in enumerate(images, start=1):
        file_state = THERE if exists_on_disk(Path(image.source)) else GONE
        if check and file_state == THERE:
            file_state = REPLACED if _is_replaced(study, image) else THERE
            on_step("comparing", done, len(images))
        one = standing.get(image.id)
        said = (one.decision, one.why, one.author, one.time) if one else (IN_STUDY, "", "", "")
        area = areas.get(image.id)
        pixels = 0 if area is None else area.pixels
        listed.append(ListedImage(image.name, image.source, said[0], file_state, *said[1:], pixels))
    return listed


def decide(
    study: Study, names: Sequence[str], decision: str, why: str, author: str
) -> tuple[str, ...]:
    """Exclude, remove or restore images; return their names in the study.

    Parameters
    ----------
    study : Study
    names : sequence of str
        In the study, or of the files, or ids.
    decision : {"excluded", "removed", "restored"}
    why, author : str

    Raises
    ------
    UsageError
        When a name is of no image, or of several, or nothing says why; nothing was noted.
    StudyError
        When another run holds the study, or it cannot be written.
    """
    with study.writing():
        images = by_name(study.all_images(), names)
        standing = study.image_decisions.standing()
        for image in images:
            # Said twice, it is one decision; another reason is a new one.
            if decision == RESTORED and image.id not in standing:
                continue
            study.image_decisions.decide(image.id, decision, why, author)
    return tuple(image.name for image in images)


def relink(study: Study, folder: Path, on_step: OnStep = silent) -> Relinked:
    """Find the pictures of a study in a folder, by their pixels; names do not matter.

    Parameters
    ----------
    study : Study
    folder : Path
        With all below it.
    on_step : callable
        Told what is being done, how much of it is done, and how much there is.

    Raises
    ------
    UsageError
        When there is no such folder.
    StudyError
        When another run holds the study, or it cannot be written.
    """
    paths = find_images([str(folder)]).paths
    with study.writing():
        by_pixels: dict[str, list[Path]] = {}
        unreadable = []
        for done, path in enumerate(paths, start=1):
            try:
                by_pixels.setdefault(read_image(path, study.settings.read).id, []).append(path)
            except ImageError as error:
                unreadable.append((str(path), str(error)))
            on_step("reading", done, len(paths))
        found, missing = [], []
        for image in study.all_images():
            candidates = by_pixels.get(image.id, []) or _same_places(study, image, paths)
            if candidates:
                path = _same_name_first(candidates, Path(image.source).name)
                study.relink(image, path)
                found.append((image.name, str(path)))
            elif not exists_on_disk(Path(image.source)) or _is_replaced(study, image):
                missing.append(image.name)
    return Relinked(tuple(found), tuple(missing), tuple(unreadable))


def _same_places(study: Study, image: KnownImage, paths: Sequence[Path]) -> list[Path]:
    """The place of an image that was cut from a slide, in slides of the same name."""
    place = Path(image.source)
    region = SlideRegion.from_path(place)
    found = []
    for path in paths:
        if region is not None and path.name == region.slide.name:
            with suppress(ImageError):
                if read_image(path / place.name, study.settings.read).id == image.id:
                    found.append(path / place.name)
    return found


def _same_name_first(paths: Sequence[Path], name: str) -> Path:
    return next((path for path in paths if path.name == name), paths[0])


def _is_replaced(study: Study, image: KnownImage) -> bool:
    return SourcePicture(image, study.settings.read).is_replaced()
