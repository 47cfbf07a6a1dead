"""The rough annotations of a study: their files and their rows in the database.

We note the hash of every file before we write it. A file with another hash was changed
by a person: it is never written over, only moved aside when that is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import delete

from annotator.core.errors import StudyError
from annotator.core.files import Writer, sha256, storage_error
from annotator.core.label_maps import LabelMaps
from annotator.core.scale_source import FoundScale, ScaleSource
from annotator.imaging.label_map_files import read_label_maps
from annotator.study.database import AnnotationRecord, Database, WrittenFile, now
from annotator.study.excluded_area import without_excluded
from annotator.study.excluded_regions import ExcludedRegionStore


@dataclass(frozen=True, slots=True)
class KnownImage:
    """An image of the study.

    Parameters
    ----------
    id, name : str
        Content hash, and the name of its files.
    source : str
        Where it was read from last; for information.
    shape : (int, int)
        Height and width in pixels.
    um_per_px : float or None
        From its file, else as a person gave it, else from the study's settings.
    notes : tuple of str
        What was converted when it was read.
    objects_seconds : float or None
        Time that its objects took, where that is known.
    scale_source : ScaleSource
        Which of these said the scale.
    found_scale : FoundScale or None
        What the picture shows, where the file says no scale and a network looked for it.
    """

    id: str
    name: str
    source: str
    shape: tuple[int, int]
    um_per_px: float | None
    notes: tuple[str, ...]
    objects_seconds: float | None
    scale_source: ScaleSource = "none"
    found_scale: FoundScale | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """One rough annotation: how it was made, and what it shows.

    Parameters
    ----------
    objects_key, annotation_key : str
        Hashes of all that its objects, and the annotation itself, depend on: with the same
        keys it need not be made again.
    source, classifier : str
        Who proposed the objects, and what gave them their classes.
    areas_px : mapping of str to int
        Pixels of each class, and of ``unlabelled``.
    cellularity : float or None
        Cell / (cell + fat), 0..1; None where there is neither.
    objects : int
    coverage : mapping of str to float
        Shares of the pixels under no object, one, and more: ``0``, ``1``, ``2+``.
    notes : tuple of str
    seconds : float
        Of the processor.
    confidence : tuple of float
        Of instances 1, 2, 3 ... of ``rough/instances``, 0..1.
    """

    objects_key: str
    annotation_key: str
    source: str
    classifier: str
    areas_px: Mapping[str, int]
    cellularity: float | None
    objects: int
    coverage: Mapping[str, float]
    notes: tuple[str, ...]
    seconds: float
    confidence: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class RoughFiles:
    """The bytes of one rough annotation."""

    codes: bytes
    instances: bytes
    overlay: bytes


class RoughStore:
    """The ``rough/`` folder of a study and its rows in the database."""

    def __init__(
        self, study: Path, database: Database, write: Writer, excluded: ExcludedRegionStore
    ) -> None:
        self._study = study
        self._folder = study / "rough"
        self._database = database
        self._write = write
        self._excluded = excluded

    def paths(self, image: KnownImage) -> tuple[Path, Path, Path]:
        """Where codes, instances and overlay of an image lie."""
        return (
            self._folder / f"{image.name}.png",
            self._folder / "instances" / f"{image.name}.png",
            self._folder / "overlays" / f"{image.name}.jpg",
        )

    def annotation(self, image: KnownImage) -> Annotation | None:
        """The rough annotation of an image as it was noted; None where it has none."""
        with self._database.session() as session:
            record = session.get(AnnotationRecord, image.id)
            return None if record is None else _from_record(record)

    def is_complete(self, image: KnownImage) -> bool:
        """Whether all files of its rough annotation are there."""
        return all(path.exists() for path in self.paths(image))

    def edited(self, image: KnownImage) -> tuple[Path, ...]:
        """Files of its rough annotation that are not as we wrote them."""
        digests = {path: sha256(path) for path in self.paths(image)}
        with self._database.session() as session:
            return tuple(
                path
                for path, digest in digests.items()
                if digest is not None
                and session.get(WrittenFile, (self._inside(path), digest)) is None
            )

    def save(self, image: KnownImage, files: RoughFiles, annotation: Annotation) -> None:
        """Write a rough annotation and note it.

        The hashes are noted first: a file that a killed run leaves behind is then ours.

        Raises
        ------
        StorageError
            When a write fails; the annotation then counts as not done.
        """
        contents = (files.codes, files.instances, files.overlay)
        hashes = {p: _digest(data) for p, data in zip(self.paths(image), contents, strict=True)}
        self._note_hashes(hashes)
        for path, data in zip(hashes, contents, strict=True):
            self._write(path, data)
        with self._database.session() as session:
            session.merge(_to_record(image, annotation))
            for path, digest in hashes.items():
                older = WrittenFile.path == self._inside(path), WrittenFile.sha256 != digest
                session.execute(delete(WrittenFile).where(*older))
            session.commit()

    def _note_hashes(self, hashes: Mapping[Path, str]) -> None:
        with self._database.session() as session:
            for path, digest in hashes.items():
                session.merge(WrittenFile(path=self._inside(path), sha256=digest))
            session.commit()

    def read(self, image: KnownImage) -> LabelMaps:
        """Read the classes and instances of an image as they lie there now.

        Where a person changed the codes, the instances follow: see
        :func:`annotator.core.label_maps.fit_instances`. What is excluded has no class.

        Raises
        ------
        StudyError
            When a file is missing or holds something else.
        """
        codes, instances, _ = self.paths(image)
        for path in (codes, instances):
            if not path.exists():
                raise StudyError(f"{path}: missing; run trephine annotate again")
        advice = "take it away and annotate again"
        label_maps = read_label_maps(codes, instances, image.shape, advice)
        return without_excluded(label_maps, self._excluded.area(image.id, image.shape))

    def confidence(self, image: KnownImage) -> dict[int, float]:
        """Confidence of the class of each instance, by its id, in 0..1.

        Empty once a person changed anything: it says how sure the machine was.
        """
        annotation = self.annotation(image)
        if annotation is None or self.edited(image):
            return {}
        return dict(enumerate(annotation.confidence, start=1))

    def set_aside(self, paths: Sequence[Path]) -> Path:
        """Move files that a person changed into a new folder of ``rough/replaced/``.

        Raises
        ------
        StorageError
            When the place refuses.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        target = self._folder / "replaced" / stamp
        for path in paths:
            place = target / path.relative_to(self._folder)
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                path.rename(place)
            except OSError as error:
                raise storage_error(place, error) from error
        return target

    def save_contact_sheets(self, pages: Iterable[bytes]) -> tuple[Path, ...]:
        """Write the pages of the contact sheet; pages of an earlier, longer one go."""
        paths = []
        for number, data in enumerate(pages, start=1):
            path = self._folder / f"contact-sheet{'' if number == 1 else f'-{number}'}.jpg"
            self._write(path, data)
            paths.append(path)
        for old in self._folder.glob("contact-sheet-*.jpg"):
            if old not in paths:
                old.unlink(missing_ok=True)
        return tuple(paths)

    def _inside(self, path: Path) -> str:
        return path.relative_to(self._study).as_posix()


def _from_record(record: AnnotationRecord) -> Annotation:
    return Annotation(
        record.objects_key,
        record.annotation_key,
        record.source,
        record.classifier,
        record.areas_px,
        record.cellularity,
        record.objects,
        record.coverage,
        tuple(record.notes),
        record.seconds,
        tuple(record.confidence),
    )


def _to_record(image: KnownImage, annotation: Annotation) -> AnnotationRecord:
    lists = {"notes": list(annotation.notes), "confidence": list(annotation.confidence)}
    values = asdict(annotation) | lists
    return AnnotationRecord(image_id=image.id, written=now(), **values)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
