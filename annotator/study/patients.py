"""The patient of each image.

Fields of one patient resemble each other: a model is never tested on a patient of whom it
has seen another field, and intervals are over patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

from annotator.core.csv import decode_text, read_records
from annotator.core.errors import SettingsError, UsageError
from annotator.imaging.slide_region import SlideRegion, file_on_disk
from annotator.settings.images import PatientSettings
from annotator.study.names import fold
from annotator.study.rough import KnownImage

_COLUMNS = ("image", "patient")


def patients_of(
    images: Sequence[KnownImage], settings: PatientSettings, folder: Path
) -> dict[str, str]:
    """The patient of each image, by its id; an image of nobody known is its own.

    Places in one slide are of one patient, whose name is that of the slide unless pattern or
    table name another.

    Parameters
    ----------
    images : sequence of KnownImage
    settings : PatientSettings
    folder : Path
        Of the study, from which the table of patients is found.

    Raises
    ------
    SettingsError
        When the table of patients cannot be used.

    Examples
    --------
    >>> image = KnownImage("a1", "HE_12_3", "in/HE_12_3.png", (4, 4), None, (), None)
    >>> patients_of([image], PatientSettings(pattern="_([0-9]+)_"), Path())
    {'a1': '12'}
    """
    if settings.table:
        named = _read_table(folder / settings.table)
        return {image.id: _looked_up(image, named) or _alone(image) for image in images}
    return {image.id: settings.named(_file(image).name) or _alone(image) for image in images}


def strangers(images: Sequence[KnownImage], patients: dict[str, str]) -> tuple[str, ...]:
    """Names of the images of unknown patients: each counts as a patient of its own."""
    return tuple(image.name for image in images if patients[image.id] == image.name)


def _file(image: KnownImage) -> Path:
    """The file of an image; of a place in a slide, that of the slide."""
    return file_on_disk(PurePath(image.source))


def _alone(image: KnownImage) -> str:
    """The patient where nobody says whose an image is: itself; its slide where it is a part."""
    region = SlideRegion.from_path(PurePath(image.source))
    return image.name if region is None else region.slide.stem


def _looked_up(image: KnownImage, named: dict[str, str]) -> str | None:
    file = _file(image)
    names = (image.id, image.name, file.name, file.stem)
    return next((named[fold(name)] for name in names if fold(name) in named), None)


def _read_table(path: Path) -> dict[str, str]:
    """Patients by the folded name of an image."""
    try:
        text, _ = decode_text(path.read_bytes())
        # Not strict: such tables were taken before quotation marks were looked at.
        titles, records = read_records(text, _COLUMNS, strict=False)
    except (OSError, UsageError) as error:
        raise SettingsError(
            f"[patients] table: {path}: cannot be read ({error}); correct it, or empty it"
        ) from error
    if not set(_COLUMNS) <= set(titles):
        raise SettingsError(
            f"[patients] table: {path}: expected columns image and patient, got "
            f"{', '.join(titles)[:80]!r}"
        )
    found: dict[str, str] = {}
    for _, row in records:
        image, patient = row["image"], row["patient"]
        if not image or not patient:
            continue
        if found.setdefault(fold(image), patient) != patient:
            raise SettingsError(
                f"[patients] table: {path}: image {image!r} has two patients, "
                f"{found[fold(image)]!r} and {patient!r}; take one out"
            )
    return found
