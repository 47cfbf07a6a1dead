"""One run over many images in three passes: read, propose, classify. What is done is skipped.

The passes are described in :mod:`annotator.pipeline.annotate`. Workers are given paths and return
bytes; this process alone writes, in the order of the input, so that the result does not
depend on their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from active_learning.classification import Classifier
from active_learning.rounds.current_classifier import current_classifier
from annotator.core.class_areas import cellularity
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import StudyError
from annotator.core.hashing import fingerprint
from annotator.core.progress import rounded
from annotator.core.workers import Done, Fault
from annotator.imaging.codecs import decode_jpeg, encode_jpeg
from annotator.imaging.read import reader_key
from annotator.imaging.slide_region import exists_on_disk
from annotator.pictures.overlay import SheetTile, contact_sheet
from annotator.pipeline.engines.engine import Engine
from annotator.pipeline.given_scale import GivenScale
from annotator.pipeline.proposers import ProposerSource
from annotator.pipeline.results import (
    CLASSIFYING,
    CONTACT_SHEET,
    GROUPING,
    OUTLINING,
    READING,
    AnnotateOptions,
    BatchResult,
    Duplicate,
    ImageFailure,
    ImageRow,
    Tracker,
)
from annotator.pipeline.steps import annotation_key, objects_key, propose_key
from annotator.pipeline.tasks import (
    ClassifyResult,
    ClassifyTask,
    ImageJob,
    ProposeTask,
    ReadTask,
    ReduceJob,
    reduce_overlay,
)
from annotator.study.chosen_network import ChosenNetwork
from annotator.study.excluded_area import ExcludedArea, counted_areas
from annotator.study.objects_file import OutdatedError, unpack_keys
from annotator.study.rough import Annotation, KnownImage, RoughFiles
from annotator.study.seen_pictures import FileStamp, SeenPicture
from annotator.study.study import Study


@dataclass(frozen=True, slots=True)
class _Field:
    """An image of this run: where it is, what the study calls it, how it looks (JPEG)."""

    path: Path
    image: KnownImage
    thumbnail: bytes


@dataclass(slots=True)
class AnnotationRun:
    """One run: what it works with, and what has come of it so far."""

    study: Study
    options: AnnotateOptions
    source: ProposerSource
    tracker: Tracker
    workers: Engine
    network: ChosenNetwork | None = None
    hints: tuple[str, ...] = ()
    failures: dict[str, str] = field(default_factory=dict)
    duplicates: list[Duplicate] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    objects_seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refreshed: int = 0
    damaged: int = 0

    def annotate(self, paths: Sequence[Path], ignored: int) -> BatchResult:
        """Do the three passes, the contact sheet and the ledger."""
        fields = self._read_pass(paths)
        outlined = self._propose_pass(fields)
        rows: list[ImageRow] = []
        named_by = None
        if outlined:
            classifier = self._group()
            named_by = classifier.source
            rows = self._classify_pass(outlined, classifier)
            self._refresh({f.image.id for f in fields}, classifier)
            self._draw_contact_sheets(outlined, rows)
        stage_seconds = rounded(self.tracker.seconds)
        result = BatchResult(
            rows=tuple(rows),
            failures=tuple(ImageFailure(path, reason) for path, reason in self.failures.items()),
            skipped=sum(row.status == "skipped" for row in rows),
            duplicates=tuple(self.duplicates),
            named_by=named_by,
            seconds=self.tracker.elapsed(),
            kept=tuple(self.kept),
            refreshed=self.refreshed,
            stale=tuple(self.stale),
            damaged=self.damaged,
            ignored=ignored,
            stage_seconds=stage_seconds,
            notes=tuple(self.notes),
        )
        self._note_run(result)
        return result

    # First pass

    def _read_pass(self, paths: Sequence[Path]) -> list[_Field]:
        """Decode every path; the study learns the images, in the order of the input."""
        fields: dict[str, _Field] = {}
        given_scale = GivenScale(self.options.um_per_px)
        removed = self.study.image_decisions.removed()
        self.tracker.start(READING, len(paths))
        self._note((*self.hints, *self.source.notes))
        for path, outcome in self._read(paths):
            if isinstance(outcome, Fault):
                self._fail(path, outcome)
            elif outcome.result.image_id in fields:
                name = fields[outcome.result.image_id].image.name
                self.duplicates.append(Duplicate(str(path), name))
            elif outcome.result.image_id in removed:
                self._note([f"{path.name}: passed by, it was removed from the study"])
            else:
                read = outcome.result
                image = self.study.register(
                    read.image_id, str(path), read.shape, read.um_per_px, read.notes
                )
                image = given_scale.give(self.study, image)
                fields[image.id] = _Field(path, image, read.thumbnail)
            self.tracker.step(str(path))
        self._note(given_scale.notes())
        return list(fields.values())

    def _read(self, paths: Sequence[Path]) -> Iterator[tuple[Path, Done[SeenPicture] | Fault]]:
        """What the files hold, in their order; those that were read before are not decoded."""
        task, seen = ReadTask(self.study.settings.read), self.study.seen_pictures
        reader = reader_key(task.settings)
        known = {} if self.options.force else seen.untouched(paths, reader)
        unknown = [path for path in paths if path not in known]
        stamps = {path: FileStamp.of(path) for path in unknown}
        outcomes = iter(self.workers.run(task, unknown))
        for path in paths:
            if path in known:
                yield path, Done(known[path])
                continue
            _, outcome = next(outcomes)
            if isinstance(outcome, Done):
                seen.note(path, reader, stamps[path], outcome.result)
            yield path, outcome

    # Second pass

    def _propose_pass(self, fields: Sequence[_Field]) -> list[_Field]:
        """Make the objects that are missing; return the fields that have them now."""
        todo = [f for f in fields if self.options.force or not self._has_objects(f.image)]
        by_path, rescaled = {f.path: f for f in todo}, dict[str, KnownImage]()
        task = ProposeTask(self.source, self.study.settings, self.options.force, self.network)
        self.tracker.start(OUTLINING, len(todo), to_come=len(fields))
        self._estimate_time([f.image for f in todo])
        for job, outcome in self.workers.run(task, [self._job(f) for f in todo]):
            image = by_path[job.path].image
            if isinstance(outcome, Fault):
                self._fail(job.path, outcome)
            else:
                result = outcome.result
                self.study.save_objects(image, result.data, result.seconds, result.objects_run)
                if result.found_scale is not None:
                    rescaled[image.id] = self.study.note_found_scale(image, result.found_scale)
                self.objects_seconds[image.id] = result.seconds
                self.tracker.add(result.objects_run.stage_seconds)
                self._note(result.problems)
            self.tracker.step(image.name)
        made = [f for f in fields if str(f.path) not in self.failures]
        return [replace(f, image=rescaled.get(f.image.id, f.image)) for f in made]

    def _estimate_time(self, images: Sequence[KnownImage]) -> None:
        """Say how long the proposals will take, where the proposer can tell."""
        force = self.options.force
        shapes = [
            i.shape for i in images if force or self._stored_keys(i)[0] != self._propose_key(i)
        ]
        text = self.source.estimate(shapes) if shapes else None
        if text:
            self.tracker.say(text)

    def _has_objects(self, image: KnownImage) -> bool:
        """Whether the study has the objects of an image, whole and under these settings."""
        try:
            described = self.study.described(image)
        except OutdatedError:
            return False
        except ValueError:
            self.damaged += 1
            return False
        return described is not None and described.key == self._objects_key(image)

    def _objects_key(self, image: KnownImage) -> str:
        return objects_key(self._propose_key(image), self.study.settings, self._network_key)

    @property
    def _network_key(self) -> str:
        return self.network.fingerprint if self.network else ""

    def _propose_key(self, image: KnownImage) -> str:
        return propose_key(image.id, image.um_per_px, self.source.fingerprint, self._network_key)

    def _stored_keys(self, image: KnownImage) -> tuple[str, str]:
        """Keys of the stored proposals and objects of an image; empty where there are none."""
        try:
            return unpack_keys(self.study.objects_path(image).read_bytes())
        except (FileNotFoundError, ValueError):
            return "", ""

    # Between them

    def _group(self) -> Classifier:
        """The study's classifier, fitted now if it has none for these settings."""
        self.tracker.start(GROUPING, 1)
        ready = [image for image in self.study.images() if self._is_ready(image)]
        # Where all that could give groups is left out, it still has to be annotated.
        ready = ready or [image for image in self.study.all_images() if self._is_ready(image)]
        key = objects_key(self.source.fingerprint, self.study.settings, self._network_key)
        classifier = current_classifier(
            self.study, ready, key, self.options.force, self.workers.here
        )
        self.tracker.step(f"{len(ready)} images")
        return classifier

    def _is_ready(self, image: KnownImage) -> bool:
        """Whether the stored objects are those of the present settings; only the key is read."""
        return self._stored_keys(image)[1] == self._objects_key(image)

    # Third pass

    def _classify_pass(self, fields: Sequence[_Field], classifier: Classifier) -> list[ImageRow]:
        """Annotate what is not annotated by this classifier yet; one row a field."""
        rows: dict[str, ImageRow] = {}
        todo = []
        for f in fields:
            row = self._unchanged_row(f, classifier)
            if row is not None:
                rows[f.image.id] = row
            elif not self._failed(f):
                todo.append(f)
        self.tracker.start(CLASSIFYING, len(todo))
        for f, annotation in self._classify_fields(todo, classifier):
            rows[f.image.id] = self._row(f, annotation, "done")
        return [rows[f.image.id] for f in fields if f.image.id in rows and not self._failed(f)]

    def _unchanged_row(self, f: _Field, classifier: Classifier) -> ImageRow | None:
        """The row of an annotation that stays as it is, or None when one is to be made."""
        rough = self.study.rough
        edited = rough.edited(f.image)
        if edited and self.options.force:
            rough.set_aside(edited)
        elif edited:
            return self._edited_row(f)
        annotation = rough.annotation(f.image)
        wanted = self._annotation_key(f.image, self._objects_key(f.image), classifier)
        holds = annotation is not None and annotation.annotation_key == wanted
        if annotation is None or not holds or self.options.force:
            return None
        return self._row(f, annotation, "skipped") if rough.is_complete(f.image) else None

    def _edited_row(self, f: _Field) -> ImageRow | None:
        """The row of an annotation that a person edited: counted as it is, not written over."""
        self.kept.append(f.image.name)
        try:
            counted = counted_areas(self.study.rough.read(f.image).classes, self._excluded(f.image))
        except StudyError as error:
            self.failures[str(f.path)] = f"kept as a person changed it, but: {error}"
            return None
        annotation = self.study.rough.annotation(f.image)
        return ImageRow(
            f.image.name,
            str(f.path),
            f.image.id,
            "skipped",
            f.image.um_per_px,
            counted,
            cellularity(counted),
            annotation.objects if annotation else 0,
            annotation.coverage if annotation else {},
            0.0,
            (*f.image.notes, "edited by a person, kept; --force moves it to rough/replaced"),
            self.study.object_runs.last(f.image.id).sources,
            scale_source=f.image.scale_source,
            found_scale=f.image.found_scale,
        )

    def _row(
        self, f: _Field, annotation: Annotation, status: Literal["done", "skipped"]
    ) -> ImageRow:
        objects_run = self.study.object_runs.last(f.image.id)
        return ImageRow(
            f.image.name,
            str(f.path),
            f.image.id,
            status,
            f.image.um_per_px,
            annotation.areas_px,
            annotation.cellularity,
            annotation.objects,
            annotation.coverage,
            annotation.seconds,
            (*f.image.notes, *annotation.notes),
            objects_run.sources,
            objects_run.stage_seconds,
            objects_run.counts,
            f.image.scale_source,
            f.image.found_scale,
        )

    def _classify_fields(
        self, fields: Sequence[_Field], classifier: Classifier
    ) -> Iterator[tuple[_Field, Annotation]]:
        """Classify, stitch and write; yield what is done."""
        by_path = {f.path: f for f in fields}
        task = ClassifyTask(classifier, self.study.settings)
        for job, outcome in self.workers.run(task, [self._job(f) for f in fields]):
            f = by_path[job.path]
            if isinstance(outcome, Fault):
                self._fail(job.path, outcome)
            else:
                yield f, self._save(f.image, outcome.result, classifier)
            self.tracker.step(f.image.name)

    def _save(
        self, image: KnownImage, result: ClassifyResult, classifier: Classifier
    ) -> Annotation:
        describing = self.objects_seconds.get(image.id, image.objects_seconds or 0.0)
        annotation = Annotation(
            objects_key=result.objects_key,
            annotation_key=self._annotation_key(image, result.objects_key, classifier),
            source=classifier.source,
            classifier=classifier.fingerprint,
            areas_px=result.areas_px,
            cellularity=cellularity(result.areas_px),
            objects=result.objects,
            coverage=result.coverage,
            notes=result.notes,
            seconds=describing + result.seconds,
            confidence=result.confidence,
        )
        files = RoughFiles(result.codes, result.instances, result.overlay)
        self.study.rough.save(image, files, annotation)
        return annotation

    def _refresh(self, seen: set[str], classifier: Classifier) -> None:
        """Classify the study's other images again where older groups named their classes."""
        outdated = [
            _Field(Path(image.source), image, b"")
            for image in self.study.images()
            if image.id not in seen and self._is_outdated(image, classifier)
        ]
        there = [f for f in outdated if exists_on_disk(f.path)]
        self.stale += [f.image.name for f in outdated if not exists_on_disk(f.path)]
        self.tracker.start(CLASSIFYING, len(there))
        self.refreshed = sum(1 for _ in self._classify_fields(there, classifier))

    def _is_outdated(self, image: KnownImage, classifier: Classifier) -> bool:
        annotation = self.study.rough.annotation(image)
        return (
            annotation is not None
            and annotation.classifier != classifier.fingerprint
            and self._is_ready(image)
            and not self.study.rough.edited(image)
        )

    # The rest

    def _note(self, notes: Sequence[str]) -> None:
        """Say what is new, and keep it for the result."""
        for note in notes:
            if note not in self.notes:
                self.notes.append(note)
                self.tracker.say(note)

    def _draw_contact_sheets(self, fields: Sequence[_Field], rows: Sequence[ImageRow]) -> None:
        """All images of this run on numbered pages."""
        pages = contact_sheet(self._tiles(fields, rows), self.study.settings.classes)
        self.tracker.start(CONTACT_SHEET, 1)
        self.study.rough.save_contact_sheets(encode_jpeg(page) for page in pages)
        self.tracker.step("")

    def _tiles(self, fields: Sequence[_Field], rows: Sequence[ImageRow]) -> Iterator[SheetTile]:
        """From the overlays as they lie there, so that a second run draws the same sheet."""
        by_id = {f.image.id: f for f in fields}
        found = [by_id[row.image_id] for row in rows]
        jobs = [ReduceJob(self.study.rough.paths(f.image)[2], f.image.shape) for f in found]
        outcomes = self.workers.run(reduce_overlay, jobs)
        for f, row, (_, outcome) in zip(found, rows, outcomes, strict=True):
            small = decode_jpeg(f.thumbnail)
            if isinstance(outcome, Fault) or outcome.result is None or small is None:
                continue
            total = sum(row.areas_px.values()) or 1
            shares = tuple(row.areas_px[name] / total for name in CLASS_NAMES)
            yield SheetTile(f.image.name, small, outcome.result, shares, row.cellularity)

    def _note_run(self, result: BatchResult) -> None:
        counts = Counter[str](row.status for row in result.rows)
        self.study.record_run(
            fingerprint(self.study.settings, self.source.fingerprint, self._network_key),
            result.seconds,
            {**counts, "failed": len(result.failures), "duplicates": len(result.duplicates)},
            result.stage_seconds,
            [(failure.path, failure.reason) for failure in result.failures],
        )

    def _annotation_key(self, image: KnownImage, objects_key: str, classifier: Classifier) -> str:
        excluded = self._excluded(image)
        left_out = "" if excluded is None else excluded.key
        return annotation_key(objects_key, classifier.fingerprint, self.study.settings, left_out)

    def _excluded(self, image: KnownImage) -> ExcludedArea | None:
        return self.study.excluded_regions.area(image.id, image.shape)

    def _job(self, f: _Field) -> ImageJob:
        image = f.image
        return ImageJob(
            f.path,
            image.id,
            image.um_per_px,
            self.study.objects_path(image),
            self._excluded(image),
            image.found_scale,
        )

    def _failed(self, f: _Field) -> bool:
        return str(f.path) in self.failures

    def _fail(self, path: Path, fault: Fault) -> None:
        """Note a failure; what only we can act on goes to the log with its trace."""
        reason = fault.reason
        if fault.trace:
            self.study.log_error(str(path), fault.trace)
            reason += f"; the details are in {self.study.error_log}, please report them"
        self.failures[str(path)] = reason
