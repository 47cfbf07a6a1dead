"""Labels of a study from a CSV file and into one.

A file is taken whole or not at all: every fault of every row is told at once, and with any
of them nothing is imported.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from active_learning.labels.csv import CsvRow, RowFault, read_csv, refuse, write_csv
from active_learning.labels.label import latest_of_each, strength
from active_learning.rounds.add_labels import NewLabel, NewLabels, last_words
from active_learning.rounds.current_labels import LabelledImage, labelled_image, present_labels
from annotator.core.csv import author_faults
from annotator.core.errors import UsageError
from annotator.core.files import write_atomic
from annotator.core.labels import LABEL_NAMES
from annotator.imaging.slide_region import file_name
from annotator.study.names import fold
from annotator.study.rough import KnownImage
from annotator.study.study import Study


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Who speaks, and when.

    Parameters
    ----------
    author : str or None
        Of every row that is new, whatever the file says.
    fallback : str or None
        Of rows that name nobody, such as :func:`system_user`.
    round : int
        Of the learning loop.

    Raises
    ------
    UsageError
        When a name is not one line of text.
    """

    author: str | None = None
    fallback: str | None = None
    round: int = 0

    def __post_init__(self) -> None:
        for name in (self.author, self.fallback):
            faults = [] if name is None else author_faults(name)
            if name is not None and (faults or not name.strip()):
                raise UsageError(faults[0] if faults else "expected an author, got an empty name")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of importing a file of labels.

    Parameters
    ----------
    rows : int
        Labels in the file.
    added, already, changed : int
        Labels that are new, that were there before, and of the new ones those by which an
        author changed a label of their own.
    images : int
        Images that the file names.
    encoding : str
        In which the file was read.
    """

    rows: int
    added: int
    already: int
    changed: int
    images: int
    encoding: str


@dataclass(frozen=True, slots=True)
class LabelsExportReport:
    """What was written.

    Parameters
    ----------
    rows : int
        The last word of every author and source on every object of today.
    images : int
    """

    rows: int
    images: int


def system_user() -> str:
    """Name under which this computer knows the user.

    Raises
    ------
    UsageError
        When it knows none.
    """
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError) as error:
        raise UsageError("this computer has no name for you; give one as the author") from error


def import_labels(study: Study, path: Path, options: ImportOptions | None = None) -> ImportReport:
    """Import a CSV file with columns image, object, class, and perhaps author and source.

    A row that is in the study already (the same image, object, class, author and source,
    and no later word of this author) is left as it is. Without a source, a row is a
    person's. With another one, as :func:`export_labels` writes it, the row is a person's
    correction where the study has a label of this source with another class; where it has
    none, the row keeps its source, so that labels can move from study to study.

    Parameters
    ----------
    study : Study
    path : Path
    options : ImportOptions, optional

    Raises
    ------
    UsageError
        When the file or any of its rows cannot be used; nothing was imported.
    StudyError
        When another run holds the study, or it cannot be written.
    """
    options = options or ImportOptions()
    with study.writing():
        try:
            table = read_csv(_read(path))
            faults = list(table.faults)
            by_image = _by_image(table.rows, study.all_images(), faults)
            new = NewLabels(options.round)
            for image, rows in by_image:
                found = labelled_image(study, image)
                given, more = _resolve(found, image, rows, options)
                faults += more
                if found is not None and not faults:
                    new.add(found, given)
            refuse(faults)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error
        done = new.store(study)
    count = len(table.rows)
    return ImportReport(
        count, done.added, done.already, done.changed, len(by_image), table.encoding
    )


def export_labels(study: Study, path: Path, replace: bool = False) -> LabelsExportReport:
    """Write the last word of every author and source on the objects of today as CSV.

    Parameters
    ----------
    study : Study
    path : Path
    replace : bool
        Whether a file that is there may be written over.

    Raises
    ------
    UsageError
        When there is nothing to write, or a file in the way.
    StorageError
        When the place refuses.
    """
    if path.exists() and (path.is_dir() or not replace):
        raise UsageError(f"{path}: exists already; choose another name, or ask to replace it")
    names = {image.id: image.name for image in study.all_images()}
    labels = list(latest_of_each(present_labels(study)))
    if not labels:
        raise UsageError(f"{study.path}: no label of any object that is there; nothing to export")
    labels.sort(key=lambda s: (names[s.image_id], s.object_id, -strength(s), s.author))
    write_atomic(path, write_csv((names[label.image_id], label) for label in labels))
    return LabelsExportReport(len(labels), len({label.image_id for label in labels}))


def _read(path: Path) -> bytes:
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise UsageError(f"expected a CSV file, got {what}; check the name")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}; check its permissions") from error


# Which image is meant


def _by_image(
    rows: Iterable[CsvRow], images: Sequence[KnownImage], faults: list[RowFault]
) -> list[tuple[KnownImage, list[CsvRow]]]:
    """The rows of each image, by names of images; rows of no image become faults."""
    names = _names(images)
    of_image: dict[str, list[CsvRow]] = {}
    for row in rows:
        candidates = _candidates(row.image, names)
        if len(candidates) == 1:
            of_image.setdefault(candidates[0].id, []).append(row)
        else:
            faults.append(RowFault(row.number, _not_one(row.image, candidates)))
    return [(image, of_image[image.id]) for image in images if image.id in of_image]


_Names = tuple[Mapping[str, Sequence[KnownImage]], ...]


def _names(images: Iterable[KnownImage]) -> _Names:
    """Images by id, by name in the study, by name of their file: in this order they count."""
    by_id: dict[str, list[KnownImage]] = {}
    by_name: dict[str, list[KnownImage]] = {}
    by_file: dict[str, list[KnownImage]] = {}
    for image in images:
        by_id.setdefault(fold(image.id), []).append(image)
        by_name.setdefault(fold(image.name), []).append(image)
        by_file.setdefault(fold(file_name(image.source)), []).append(image)
    return by_id, by_name, by_file


def _candidates(text: str, names: _Names) -> Sequence[KnownImage]:
    """Images that a text can mean; a path means the file at its end."""
    texts = (text, text, re.split(r"[/\\]", text)[-1])
    found = (table.get(fold(name), ()) for name, table in zip(texts, names, strict=True))
    return next(filter(None, found), ())


def _not_one(text: str, candidates: Sequence[KnownImage]) -> str:
    if not candidates:
        return f"no image {text!r} in the study; give its name there, that of its file, or its id"
    choice = " or ".join(repr(image.name) for image in candidates)
    return f"{len(candidates)} images have a file {text!r}; say which one: {choice}"


# What a row says


def _resolve(
    found: LabelledImage | None,
    image: KnownImage,
    rows: Sequence[CsvRow],
    options: ImportOptions,
) -> tuple[list[NewLabel], list[RowFault]]:
    """What the rows of one image say, and what is wrong with them."""
    if found is None:
        none = f"image {image.name!r} has no objects yet; run trephine annotate on it first"
        return [], [RowFault(row.number, none) for row in rows]
    ids = set(found.described.objects.ids.tolist())
    last = last_words(found.labels)
    given: dict[tuple[int, str, str], tuple[CsvRow, NewLabel]] = {}
    faults = []
    for row in rows:
        label = _read_label(row, last, options)
        if row.object_id not in ids:
            label = f"no object {row.object_id} among the {len(ids)} of image {image.name!r}"
        if isinstance(label, NewLabel):
            earlier, _ = given.setdefault(
                (label.object_id, label.source, label.author), (row, label)
            )
            label = label if earlier is row else _twice(row, earlier)
        if isinstance(label, str):
            faults.append(RowFault(row.number, label))
    return [label for _, label in given.values()], faults


def _read_label(
    row: CsvRow, last: Mapping[tuple[int, str, str], int], options: ImportOptions
) -> NewLabel | str:
    """Who says it and as what, or what is wrong."""
    if last.get((row.object_id, row.source, row.author)) == row.code:
        return NewLabel(row.object_id, row.code, row.author, row.source)
    if row.source == "person":
        author = options.author or row.author or options.fallback
        source = "person"
    elif any(key[:2] == (row.object_id, row.source) for key in last):
        author, source = options.author or options.fallback, "person"
        if not author:
            return (
                f"another class than its label of source {row.source!r} in the study, so a "
                "correction; give the author of corrections"
            )
    else:
        author, source = row.author, row.source
    if not author:
        return "no author; fill the column author, or give the author for all rows"
    return NewLabel(row.object_id, row.code, author, source)


def _twice(row: CsvRow, earlier: CsvRow) -> str:
    if row.code == earlier.code:
        return f"the same object, class and author as in row {earlier.number}; take one out"
    classes = LABEL_NAMES[row.code], LABEL_NAMES[earlier.code]
    return (
        f"{classes[0]}, but {classes[1]} in row {earlier.number} for the same object by the "
        "same author; keep one"
    )
