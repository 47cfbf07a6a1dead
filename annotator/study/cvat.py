"""What a study sent to a CVAT server and fetched from it: rows of its database, and ``cvat/``.

::

    cvat/NAME.png            class codes as they were sent and read back
    cvat/instances/NAME.png  instances of fat and bone, 16 bits
    cvat/earlier/            what was sent before that

Corrections are counted against these maps: a rough map may be made anew while a person
works on the one that was sent.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sqlalchemy import delete, exists, select
from sqlalchemy.dialects.sqlite import insert

from annotator.core.errors import StudyError, UsageError
from annotator.core.files import Writer, storage_error
from annotator.core.label_maps import LabelMaps
from annotator.core.runs import runs_of
from annotator.imaging.codecs import decode_png, encode_png
from annotator.study.cvat_project import (
    CvatAssignmentStore,
    CvatProjectStore,
    DeletedFrameStore,
    left_project_record,
)
from annotator.study.database import (
    CvatBatchRecord,
    CvatBindingRecord,
    CvatPulledRecord,
    CvatPutRecord,
    CvatSentRecord,
    Database,
    ImageRecord,
)

FOLDER = "cvat"

# Key of the one row of its table.
_ONLY = 1


@dataclass(frozen=True, slots=True)
class Binding:
    """The project on a server that a study was sent to.

    Parameters
    ----------
    url : str
        Of the server, without credentials.
    project_id : int
    project_name : str
    study_key : str
        12 hex digits by which the study is known there; they say nothing about it.
    """

    url: str
    project_id: int
    project_name: str
    study_key: str


@dataclass(frozen=True, slots=True)
class TaskImages:
    """Images that make one task, by their ids, in the order of its frames."""

    task_name: str
    image_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent of an image, once it was read back and found the same.

    Parameters
    ----------
    image_id : str
    task_id : int
    task_name : str
    job_id : int
    frame : int
        Of the task.
    name : str
        Of the picture on the server: ``<image_id>.png``.
    rough_sha256 : str
        Of the map, see :func:`map_digest`.
    shapes_sha256 : str
        Of the shapes of this one frame as they were read back, see
        :func:`export.cvat.client.shapes.digest`; a job may hold other frames beside.
    shapes : int
    merged : int
        Objects that share a shape with others.
    time : str
        UTC, ISO 8601.
    """

    image_id: str
    task_id: int
    task_name: str
    job_id: int
    frame: int
    name: str
    rough_sha256: str
    shapes_sha256: str
    shapes: int
    merged: int
    time: str


@dataclass(frozen=True, slots=True)
class PulledJob:
    """A job as it was when it was pulled last.

    Parameters
    ----------
    job_id : int
    updated : str
        As the server wrote it.
    shapes_sha256 : str
        Of all its shapes, see :func:`export.cvat.client.shapes.digest`.
    state : str
    time : str
        UTC, ISO 8601.
    """

    job_id: int
    updated: str
    shapes_sha256: str
    state: str
    time: str


def map_digest(label_maps: LabelMaps) -> str:
    """sha256 of classes and instances, however they are packed.

    Examples
    --------
    >>> import numpy as np
    >>> one = LabelMaps(np.full((1, 2), 2, np.uint8), np.zeros((1, 2), np.int32))
    >>> other = LabelMaps(np.full((2, 1), 2, np.uint8), np.zeros((2, 1), np.int32))
    >>> map_digest(one) == map_digest(other)
    False
    """
    # Over the runs: of two million pixels there are some ten thousand.
    runs = runs_of(label_maps.classes, label_maps.instances)
    hashed = hashlib.sha256(repr(label_maps.shape).encode())
    hashed.update(runs.starts.astype("<i8").tobytes())
    for array in (label_maps.classes, label_maps.instances):
        hashed.update(runs.of(array).astype("<i4").tobytes())
    return hashed.hexdigest()


class CvatStore:
    """The rows about CVAT, and the ``cvat/`` folder of a study.

    Attributes
    ----------
    projects : CvatProjectStore
        What the server said of the project, and the projects that were left.
    assignments : CvatAssignmentStore
        The jobs that pushes gave to somebody.
    deleted_frames : DeletedFrameStore
        Images whose frames people deleted there.
    """

    def __init__(self, study: Path, database: Database, write: Writer) -> None:
        self.folder = study / FOLDER
        self.projects = CvatProjectStore(database)
        self.assignments = CvatAssignmentStore(database)
        self.deleted_frames = DeletedFrameStore(database)
        self._database = database
        self._write = write

    # Where the study is on a server

    def study_key(self) -> str:
        """The 12 hex digits by which the study is known on a server; made once."""
        with self._database.session() as session:
            record = session.get(CvatBindingRecord, _ONLY)
            if record is None:
                record = CvatBindingRecord(id=_ONLY, study_key=secrets.token_hex(6))
                session.add(record)
                session.commit()
            return record.study_key

    def binding(self) -> Binding | None:
        """The project that the study was sent to; None before the first time."""
        if not self._database.has_table(CvatBindingRecord.__tablename__):
            return None
        with self._database.session() as session:
            record = session.get(CvatBindingRecord, _ONLY)
            if record is None or None in (record.url, record.project_id, record.project_name):
                return None
            return Binding(
                record.url or "",
                record.project_id or 0,
                record.project_name or "",
                record.study_key,
            )

    def check_server(self, url: str) -> None:
        """Refuse another server than the one that the study was sent to.

        Raises
        ------
        UsageError
            With what to do.
        """
        bound = self.binding()
        if bound is not None and _normalised(bound.url) != _normalised(url):
            raise UsageError(
                f"expected {bound.url}, the CVAT server that this study was sent to, got {url}; "
                "set url in [cvat] of study.toml, or CVAT_URL, back, or make a new study for the "
                "other server"
            )

    def bind(self, binding: Binding) -> None:
        """Note the project that the study is sent to.

        Another one that it was sent to before stays known, with all that was sent to it.

        Raises
        ------
        UsageError
            When the study was sent to another server before.
        """
        self.check_server(binding.url)
        key = self.study_key()
        if binding.study_key != key:
            raise ValueError(f"expected the key {key} of this study, got {binding.study_key}")
        earlier, sent = self.binding(), [asdict(row) for row in self.sent()]
        with self._database.session() as session:
            if earlier is not None and earlier.project_id != binding.project_id:
                place = (earlier.project_id, earlier.url, earlier.project_name)
                session.add(left_project_record(*place, sent))
                session.execute(delete(CvatSentRecord))
            session.merge(CvatBindingRecord(id=_ONLY, **asdict(binding)))
            session.commit()

    # Batches

    def batches(self) -> tuple[TaskImages, ...]:
        """All batches, in the order in which they were made."""
        if not self._database.has_table(CvatBatchRecord.__tablename__):
            return ()
        with self._database.session() as session:
            records = session.scalars(select(CvatBatchRecord)).all()
            ordered = sorted(records, key=lambda r: (r.time, r.task_name))
            return tuple(TaskImages(r.task_name, tuple(r.image_ids)) for r in ordered)

    def note_batches(self, batches: Iterable[TaskImages], instead_of: Sequence[str] = ()) -> None:
        """Note batches before their tasks are made; those named `instead_of` are forgotten."""
        with self._database.session() as session:
            for name in instead_of:
                session.execute(delete(CvatBatchRecord).where(CvatBatchRecord.task_name == name))
            for batch in batches:
                session.merge(
                    CvatBatchRecord(
                        task_name=batch.task_name,
                        image_ids=list(batch.image_ids),
                        time=_now_to_the_microsecond(),
                    )
                )
            session.commit()

    # What was put and sent

    def note_puts(self, job_id: int, digests: Mapping[int, str]) -> None:
        """Note, by frame, the digests of the shapes that are about to be put in a job."""
        with self._database.session() as session:
            for frame, digest in digests.items():
                session.merge(CvatPutRecord(job_id=job_id, frame=frame, shapes_sha256=digest))
            session.commit()

    def puts(self, job_id: int, frame: int) -> frozenset[str]:
        """Digests of all shapes that we ever put, or were about to put, on a frame of a job."""
        query = select(CvatPutRecord.shapes_sha256).where(
            CvatPutRecord.job_id == job_id, CvatPutRecord.frame == frame
        )
        with self._database.session() as session:
            return frozenset(session.scalars(query))

    def sent(self) -> tuple[Sent, ...]:
        """What was sent of each image last, by task and frame."""
        if not self._database.has_table(CvatSentRecord.__tablename__):
            return ()
        query = select(CvatSentRecord).order_by(CvatSentRecord.task_id, CvatSentRecord.frame)
        with self._database.session() as session:
            return tuple(_sent(record) for record in session.scalars(query))

    def verified(self, job_id: int, frame: int) -> Sent | None:
        """What was sent to a frame of a job and read back last; None where nothing was."""
        query = select(CvatSentRecord).where(
            CvatSentRecord.job_id == job_id, CvatSentRecord.frame == frame
        )
        with self._database.session() as session:
            record = session.scalars(query).first()
            return None if record is None else _sent(record)

    def note_sent(self, sent: Sent, label_maps: LabelMaps) -> None:
        """Note what was sent and read back, and keep the map as the baseline of corrections.

        Raises
        ------
        StorageError
            When a file cannot be written; it then counts as not sent.
        """
        with self._database.session() as session:
            name = session.get_one(ImageRecord, sent.image_id).name
            self._save(self.folder / f"{name}.png", encode_png(label_maps.classes))
            instances = encode_png(label_maps.instances.astype(np.uint16))
            self._save(self.folder / "instances" / f"{name}.png", instances)
            session.merge(CvatSentRecord(**asdict(sent)))
            session.merge(
                CvatPutRecord(
                    job_id=sent.job_id, frame=sent.frame, shapes_sha256=sent.shapes_sha256
                )
            )
            session.commit()

    def frame_urls(self) -> dict[str, str]:
        """The pages of all images that are in CVAT, by the ids of the images."""
        binding = self.binding()
        if binding is None:
            return {}
        return {sent.image_id: frame_url(binding, sent) for sent in self.sent()}

    def baseline(self, image_id: str) -> LabelMaps | None:
        """The map exactly as it was sent last; None where none was.

        Raises
        ------
        StudyError
            When its files are missing or damaged.
        """
        if not self._database.has_table(CvatSentRecord.__tablename__):
            return None
        was_sent = exists().where(CvatSentRecord.image_id == image_id)
        named = select(ImageRecord.name, was_sent).where(ImageRecord.id == image_id)
        with self._database.session() as session:
            name, is_there = session.execute(named).one()
            if not is_there and not self.projects.was_sent_to_one_left(image_id):
                return None
        paths = self.baseline_paths(name)
        try:
            classes, instances = (decode_png(path.read_bytes()) for path in paths)
            return LabelMaps(classes, instances.astype(np.int32))
        except (OSError, StudyError, ValueError) as error:
            raise StudyError(
                f"{paths[0]}: what was sent of {name} cannot be read ({error}); restore cvat/ "
                "from a backup"
            ) from error

    def baseline_paths(self, name: str) -> tuple[Path, Path]:
        """Where the classes and the instances that were sent of an image lie, as PNG."""
        return self.folder / f"{name}.png", self.folder / "instances" / f"{name}.png"

    def _save(self, path: Path, data: bytes) -> None:
        """Write a file; another that is there goes to ``earlier/`` first."""
        try:
            earlier = path.read_bytes() if path.exists() else None
        except OSError as error:
            raise storage_error(path, error) from error
        if earlier == data:
            return
        if earlier is not None:
            inside = path.relative_to(self.folder)
            stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{hashlib.sha256(earlier).hexdigest()[:12]}"
            self._write(
                self.folder / "earlier" / inside.with_name(f"{path.stem}.{stamp}.png"), earlier
            )
        self._write(path, data)

    # What was pulled

    def pulled_jobs(self) -> dict[int, PulledJob]:
        """The jobs that were ever pulled, by their ids, as they were when they were last."""
        if not self._database.has_table(CvatPulledRecord.__tablename__):
            return {}
        with self._database.session() as session:
            return {
                record.job_id: PulledJob(
                    record.job_id, record.updated, record.shapes_sha256, record.state, record.time
                )
                for record in session.scalars(select(CvatPulledRecord))
            }

    def note_pulled(self, job: PulledJob) -> None:
        """Note a job that was pulled."""
        fields = asdict(job)
        with self._database.session() as session:
            noted = insert(CvatPulledRecord).values(fields)
            session.execute(noted.on_conflict_do_update(index_elements=["job_id"], set_=fields))
            session.commit()


def _sent(record: CvatSentRecord) -> Sent:
    return Sent(**{name: getattr(record, name) for name in Sent.__dataclass_fields__})


def _normalised(url: str) -> str:
    """The same for two spellings of one address."""
    return url.rstrip("/").casefold()


def _now_to_the_microsecond() -> str:
    """The time to the microsecond, so that batches keep their order."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def frame_url(binding: Binding, sent: Sent) -> str:
    """The page of CVAT on which an image is annotated.

    Examples
    --------
    >>> sent = Sent("a1", 7, "t", 9, 3, "a1.png", "", "", 1, 0, "")
    >>> frame_url(Binding("https://cvat.example.org", 1, "Trephine", ""), sent)
    'https://cvat.example.org/tasks/7/jobs/9?frame=3'
    """
    return f"{binding.url.rstrip('/')}/tasks/{sent.task_id}/jobs/{sent.job_id}?frame={sent.frame}"
