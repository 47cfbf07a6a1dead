"""The scales that were found in the pictures of a study, where their files say none."""

from __future__ import annotations

from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Mapped, mapped_column

from annotator.core.scale_source import FoundScale
from annotator.study.database import Base, Database


class FoundScaleRecord(Base):
    """What was found when the objects of an image were made; no row: nothing was looked for."""

    __tablename__ = "found_scales"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    um_per_px: Mapped[float]
    by: Mapped[str]
    is_sure: Mapped[bool]

    @property
    def scale(self) -> FoundScale:
        """The scale that this row holds."""
        return FoundScale(self.um_per_px, self.by, self.is_sure)


class FoundScaleStore:
    """The found scales of a study, by the ids of the images."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, FoundScale]:
        """The scale of every image in which one was found."""
        if not self._is_there():
            return {}
        with self._database.session() as session:
            rows = session.scalars(select(FoundScaleRecord)).all()
            return {row.image_id: row.scale for row in rows}

    def of(self, image_id: str) -> FoundScale | None:
        """The scale found in an image; None where none was."""
        if not self._is_there():
            return None
        with self._database.session() as session:
            record = session.get(FoundScaleRecord, image_id)
            return None if record is None else record.scale

    def note(self, image_id: str, scale: FoundScale) -> None:
        """Note the scale of an image, in the place of one that was found before."""
        with self._database.session() as session:
            session.merge(
                FoundScaleRecord(
                    image_id=image_id, um_per_px=scale.um_per_px, by=scale.by, is_sure=scale.is_sure
                )
            )
            session.commit()

    def _is_there(self) -> bool:
        """A study of an older Trephine that can only be read lacks the table."""
        return self._database.has_table(FoundScaleRecord.__tablename__)
