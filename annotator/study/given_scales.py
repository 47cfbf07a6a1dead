"""The scales that people gave to images whose file says none."""

from __future__ import annotations

from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Mapped, mapped_column

from annotator.study.database import Base, Database


class GivenScaleRecord(Base):
    """Microns per pixel that a person gave to an image; no row: nobody gave one."""

    __tablename__ = "given_scales"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    um_per_px: Mapped[float]


class GivenScaleStore:
    """The given scales of a study, by the ids of the images."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, float]:
        """Microns per pixel of every image that was given one."""
        if not self._is_there():
            return {}
        with self._database.session() as session:
            rows = session.scalars(select(GivenScaleRecord)).all()
            return {row.image_id: row.um_per_px for row in rows}

    def of(self, image_id: str) -> float | None:
        """Microns per pixel that an image was given; None where it was given none."""
        if not self._is_there():
            return None
        with self._database.session() as session:
            record = session.get(GivenScaleRecord, image_id)
            return None if record is None else record.um_per_px

    def give(self, image_id: str, um_per_px: float) -> None:
        """Note the scale of an image, in the place of one that it was given before."""
        with self._database.session() as session:
            session.merge(GivenScaleRecord(image_id=image_id, um_per_px=um_per_px))
            session.commit()

    def _is_there(self) -> bool:
        """A study of an older Trephine that can only be read lacks the table."""
        return self._database.has_table(GivenScaleRecord.__tablename__)
