"""Corrected masks from an archive exported by CVAT into ``truth/``, with a report.

An archive is taken whole or not at all: everything in it is read, checked and painted before
the first file is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.corrections import Correction, compare, together
from annotator.errors import StudyError, UsageError
from annotator.files import write_atomic
from annotator.names import fold
from annotator.schema import CLASS_NAMES, UNLABELLED
from annotator.store import KnownImage, Study
from annotator.store_truth import TruthStore
from export.archive import png
from export.corrected import Corrected
from export.painting import Painted
from export.reading import reading

EMPTY = "empty"
"""Status of an image on which nothing is painted: its mask, if it has one, stays."""


@dataclass(frozen=True, slots=True)
class PulledImage:
    """What came of one image.

    Parameters
    ----------
    image : str
        Name in the study.
    status : str
        ``new``, ``replaced``, ``unchanged`` or ``empty``.
    kept : Path or None
        Where the earlier mask lies now.
    areas_px : mapping of str to int
        Pixels of each class in the corrected mask, and ``unlabelled``.
    tied_px : int
        Pixels whose class only the order of the file decided.
    unused : mapping of str to int
        Things that cannot be painted, by kind.
    correction : Correction or None
        Against the rough annotation; None where there is none to compare with.
    notes : tuple of str
    """

    image: str
    status: str
    kept: Path | None
    areas_px: Mapping[str, int]
    tied_px: int
    unused: Mapping[str, int]
    correction: Correction | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PullReport:
    """What came of an archive.

    Parameters
    ----------
    format : str
    images : tuple of PulledImage
        In order of their names.
    unknown : tuple of str
        Names in the archive that no image of the study has.
    notes : tuple of str
        Of the archive as a whole.
    unused : mapping of str to int
        Things of no single image that cannot be used.
    path : Path or None
        The report as JSON.
    """

    format: str
    images: tuple[PulledImage, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]
    unused: Mapping[str, int]
    path: Path | None = None

    @property
    def correction(self) -> Correction | None:
        """Of all images that were compared, together."""
        return together(i.correction for i in self.images if i.correction is not None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        whole = self.correction
        return {
            "format": self.format,
            "notes": list(self.notes),
            "unknown": list(self.unknown),
            "unused": dict(self.unused),
            "classes": None if whole is None else whole.to_dict(),
            "images": [_plain(image) for image in self.images],
        }


def _plain(image: PulledImage) -> dict[str, Any]:
    return {
        "image": image.image,
        "status": image.status,
        "kept": None if image.kept is None else image.kept.name,
        "areas_px": dict(image.areas_px),
        "tied_px": image.tied_px,
        "unused": dict(image.unused),
        "notes": list(image.notes),
        "classes": None if image.correction is None else image.correction.to_dict(),
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """An image that is read and painted, packed until all are."""

    image: KnownImage
    data: bytes
    painted_px: int
    areas_px: Mapping[str, int]
    tied_px: int
    unused: Mapping[str, int]
    correction: Correction | None
    notes: list[str] = field(default_factory=list)


def pull_file(study: Study, path: Path) -> PullReport:
    """Take the corrected masks of an archive that CVAT exported into the study.

    What nobody painted is unlabelled (255), never background. An image on which nothing is
    painted says nothing: its mask stays as it is.

    Parameters
    ----------
    study : Study
    path : Path
        A zip of "CVAT for images 1.1", "COCO 1.0", "Segmentation mask 1.1" or "PASCAL VOC
        1.1", of a task, a job or a project.

    Raises
    ------
    UsageError
        When anything in the archive cannot be used; nothing was written.
    StudyError
        When another run holds the study, or it cannot be written.
    """
    with study.writing():
        images = study.images()
        if not images:
            raise UsageError(f"{study.path}: no images yet; run trephine annotate first")
        names = ImageNames(images)
        with reading(path, names.shape) as archive:
            ready, unknown = _read_all(study, names, archive.images)
            if not ready:
                raise UsageError(_none_known(unknown, images, archive.unused))
        store = TruthStore(study.path)
        done = tuple(_save(store, one) for one in sorted(ready, key=lambda r: r.image.name))
        report = PullReport(
            archive.format, done, tuple(unknown), tuple(archive.notes), dict(archive.unused)
        )
        return _write_report(study, report)


def _read_all(
    study: Study, names: ImageNames, found: Iterable[Corrected]
) -> tuple[list[_Ready], list[str]]:
    """Everything in the archive, painted and packed; and the names that are not ours."""
    ready: list[_Ready] = []
    unknown: list[str] = []
    for corrected in found:
        image = names.find(corrected.name)
        if image is None or corrected.painted is None:
            unknown.append(corrected.name)
            continue
        names.take(image, corrected)
        one = _prepare(study, image, corrected, corrected.painted)
        doubt = names.doubt(corrected.name, image)
        one.notes.extend([doubt] if doubt else [])
        ready.append(one)
    return ready, unknown


def _none_known(
    unknown: Sequence[str], images: Sequence[KnownImage], unused: Mapping[str, int]
) -> str:
    theirs = ", ".join(map(repr, unknown[:3])) or "no image at all"
    ours = ", ".join(repr(image.name) for image in images[:3])
    beside = "".join(f" and {n} of {kind}, which cannot be used" for kind, n in unused.items())
    return f"expected images of this study, such as {ours}, got {theirs}{beside}"


def _prepare(study: Study, image: KnownImage, found: Corrected, painted: Painted) -> _Ready:
    correction, notes = _correction(study, image, painted)
    return _Ready(
        image,
        png(painted.classes),
        painted.classes.size - painted.unlabelled_px,
        _areas(painted.classes),
        painted.tied_px,
        found.unused,
        correction,
        notes,
    )


def _areas(classes: NDArray[np.uint8]) -> dict[str, int]:
    codes = dict(enumerate(CLASS_NAMES)) | {UNLABELLED: "unlabelled"}
    return {name: int(np.count_nonzero(classes == code)) for code, name in codes.items()}


def _correction(
    study: Study, image: KnownImage, painted: Painted
) -> tuple[Correction | None, list[str]]:
    """Compare with the rough annotation as it lies there; one that cannot be read is named."""
    if painted.is_empty or study.rough.annotation(image) is None:
        return None, []
    try:
        rough = study.rough.read(image)
    except StudyError as error:
        return None, [f"not compared: {error}"]
    return compare(rough.classes, rough.instances, painted.classes, painted.instances), []


def _save(store: TruthStore, one: _Ready) -> PulledImage:
    name = one.image.name
    status, kept = EMPTY, None
    if one.painted_px:
        saved = store.save(name, one.data)
        status, kept = saved.status, saved.kept
    elif store.exists(name):
        one.notes.append("nothing is painted in the archive; the earlier mask stays")
    return PulledImage(
        name,
        status,
        kept,
        one.areas_px,
        one.tied_px,
        one.unused,
        one.correction,
        tuple(one.notes),
    )


def _write_report(study: Study, report: PullReport) -> PullReport:
    now = datetime.now(UTC)
    path = study.path / "report" / f"pull-{now.strftime('%Y%m%dT%H%M%S.%fZ')}.json"
    document = {"time": now.isoformat(timespec="seconds")} | report.to_dict()
    write_atomic(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    return replace(report, path=path)


# Which image is meant


class ImageNames:
    """Finds images of the study by their names in an archive, and takes each only once.

    In this order: the name under which our archives speak of its picture, its name in the
    study, the name of its file, its id, the stem of its file. The name as the archive has it
    goes before the one without suffix.
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
        """The image that a name in an archive means; None when there is none.

        Raises
        ------
        UsageError
            When it can mean several.
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

    def doubt(self, name: str, image: KnownImage) -> str | None:
        """Say which other images came from a file of this name; None where none did."""
        last = re.split(r"[/\\]", name)[-1]
        others = [repr(i.name) for i in self._files.get(fold(last), []) if i.id != image.id]
        if not others:
            return None
        return (
            f"{name!r} was taken for {image.name!r}, its name in the study; a file of this name "
            f"was also that of {', '.join(others)}: look whether it is the right one"
        )

    def shape(self, name: str) -> tuple[int, int] | None:
        """Height and width of the image that a name means; None when there is none."""
        image = self.find(name)
        return None if image is None else image.shape

    def take(self, image: KnownImage, found: Corrected) -> None:
        """Note that an image was found.

        Raises
        ------
        UsageError
            When it was found before: two people's masks are not for us to choose between.
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
