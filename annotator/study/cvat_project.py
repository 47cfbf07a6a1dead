"""What a study knows of its projects in CVAT, and which of its images were deleted there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import JSON, ForeignKey, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from annotator.study.database import Base, Database, now


class CvatProjectRecord(Base):
    """What the server said of a project that the study was sent to."""

    __tablename__ = "cvat_projects"

    project_id: Mapped[int] = mapped_column(primary_key=True)
    made_by: Mapped[str]
    organization: Mapped[str]
    label_ids: Mapped[dict[str, int]] = mapped_column(JSON)


class CvatLeftProjectRecord(Base):
    """A project that the study was sent to before it was bound to another."""

    __tablename__ = "cvat_left_projects"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int]
    url: Mapped[str]
    name: Mapped[str]
    sent: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    time: Mapped[str]


class CvatAssignmentRecord(Base):
    """A job that a push gave to somebody, or was about to."""

    __tablename__ = "cvat_assignments"

    job_id: Mapped[int] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column(primary_key=True)


class CvatDeletedFrameRecord(Base):
    """An image whose frame a person deleted in CVAT: it is not to be used."""

    __tablename__ = "cvat_deleted_frames"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    job_id: Mapped[int]
    frame: Mapped[int]
    time: Mapped[str]


@dataclass(frozen=True, slots=True)
class KnownProject:
    """A project as the server had it at the last push.

    Parameters
    ----------
    project_id : int
    made_by : str
        User name of who made it; empty where that is not known.
    organization : str
        Short name of its organisation in CVAT; empty for none.
    label_ids : mapping of str to int
        Number of the label of each class, by the name of the class: a label keeps its number
        when it is renamed.
    """

    project_id: int
    made_by: str
    organization: str
    label_ids: Mapping[str, int]


def left_project_record(
    project_id: int, url: str, name: str, sent: Sequence[Mapping[str, Any]]
) -> CvatLeftProjectRecord:
    """The row of a project that is left now, with all that was sent to it."""
    rows = [dict(row) for row in sent]
    return CvatLeftProjectRecord(project_id=project_id, url=url, name=name, sent=rows, time=now())


@dataclass(frozen=True, slots=True)
class LeftProject:
    """A project that the study was sent to before it was bound to another.

    Parameters
    ----------
    project_id : int
    url : str
        Of the server, without credentials.
    name : str
    sent : tuple of mapping
        What was sent of each image: the fields of :class:`annotator.study.cvat.Sent`.
    time : str
        When it was left, UTC, ISO 8601.
    """

    project_id: int
    url: str
    name: str
    sent: tuple[Mapping[str, Any], ...]
    time: str


class CvatProjectStore:
    """What is known of the projects that a study was sent to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, project_id: int) -> KnownProject:
        """What was noted of a project; studies of earlier versions noted nothing."""
        if self._database.has_table(CvatProjectRecord.__tablename__):
            with self._database.session() as session:
                record = session.get(CvatProjectRecord, project_id)
                if record is not None:
                    return KnownProject(
                        project_id, record.made_by, record.organization, dict(record.label_ids)
                    )
        return KnownProject(project_id, "", "", {})

    def note(self, project: KnownProject) -> None:
        """Note what the server says of a project."""
        if project == self.known(project.project_id):
            return
        with self._database.session() as session:
            session.merge(CvatProjectRecord(**asdict(project)))
            session.commit()

    def left(self) -> tuple[LeftProject, ...]:
        """The projects that the study was sent to before, the first first."""
        if not self._database.has_table(CvatLeftProjectRecord.__tablename__):
            return ()
        query = select(CvatLeftProjectRecord).order_by(CvatLeftProjectRecord.id)
        with self._database.session() as session:
            return tuple(
                LeftProject(row.project_id, row.url, row.name, tuple(row.sent), row.time)
                for row in session.scalars(query)
            )

    def was_sent_to_one_left(self, image_id: str) -> bool:
        """Whether an image was sent to a project that was left."""
        return any(row["image_id"] == image_id for left in self.left() for row in left.sent)


class CvatAssignmentStore:
    """The jobs that pushes gave to somebody; all others were given by people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, job_id: int, user: str) -> None:
        """Note that a job is about to be given to a user."""
        with self._database.session() as session:
            session.merge(CvatAssignmentRecord(job_id=job_id, user=user))
            session.commit()

    def is_ours(self, job_id: int, user: str) -> bool:
        """Whether a push gave a job to this user."""
        with self._database.session() as session:
            return session.get(CvatAssignmentRecord, (job_id, user)) is not None


@dataclass(frozen=True, slots=True)
class DeletedFrame:
    """An image whose frame a person deleted in CVAT.

    Parameters
    ----------
    image_id : str
    job_id, frame : int
    time : str
        Of the pull that found it, UTC, ISO 8601.
    """

    image_id: str
    job_id: int
    frame: int
    time: str


class DeletedFrameStore:
    """The images whose frames people deleted in CVAT."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, DeletedFrame]:
        """All of them, by the ids of the images."""
        if not self._database.has_table(CvatDeletedFrameRecord.__tablename__):
            return {}
        with self._database.session() as session:
            records = session.scalars(select(CvatDeletedFrameRecord))
            return {
                r.image_id: DeletedFrame(r.image_id, r.job_id, r.frame, r.time) for r in records
            }

    def note(self, deleted: DeletedFrame) -> None:
        """Note that the frame of an image was deleted."""
        with self._database.session() as session:
            session.merge(CvatDeletedFrameRecord(**asdict(deleted)))
            session.commit()

    def forget(self, image_id: str) -> None:
        """The frame of an image was restored."""
        with self._database.session() as session:
            session.execute(
                delete(CvatDeletedFrameRecord).where(CvatDeletedFrameRecord.image_id == image_id)
            )
            session.commit()
