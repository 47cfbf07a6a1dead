"""Regions of images that count nowhere: pen, folds, borders; a ledger that only grows.

A region holds for the drafts and for the corrected masks of its image alike. Its pixels are
unlabelled (255) in every label map that the study reads, whatever the files hold. Taken back, it
holds no more; its row stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from sqlalchemy import DDL, ForeignKey, event, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from annotator.core.errors import UsageError
from annotator.core.mask_bits import pack_mask
from annotator.core.objects import BoolMask, tight_box
from annotator.study.database import Base, Database, ImageRecord, now
from annotator.study.excluded_area import ExcludedArea, ExcludedRegion

PULLED = "pulled"
"""Origin of a region that was drawn together with corrections; any other is a file's name."""


class ExcludedRegionRecord(Base):
    """One region of an image. None is changed or deleted."""

    __tablename__ = "excluded_regions"

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), index=True)
    x0: Mapped[int]
    y0: Mapped[int]
    x1: Mapped[int]
    y1: Mapped[int]
    bits: Mapped[bytes]
    pixels: Mapped[int]
    why: Mapped[str]
    origin: Mapped[str]
    author: Mapped[str]
    time: Mapped[str]


class RestoredRegionRecord(Base):
    """That a region holds no more. None is changed or deleted."""

    __tablename__ = "restored_regions"

    region_id: Mapped[int] = mapped_column(ForeignKey("excluded_regions.id"), primary_key=True)
    why: Mapped[str]
    author: Mapped[str]
    time: Mapped[str]


for _table in ("excluded_regions", "restored_regions"):
    for _action in ("UPDATE", "DELETE"):
        event.listen(
            Base.metadata.tables[_table],
            "after_create",
            DDL(
                f"CREATE TRIGGER {_table}_{_action.lower()} BEFORE {_action} ON {_table} "
                f"BEGIN SELECT RAISE(ABORT, '{_table} are append-only'); END"
            ),
        )


class ExcludedRegionStore:
    """The excluded regions of a study."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def exclude(
        self, image_id: str, masks: Iterable[BoolMask], why: str, origin: str, author: str
    ) -> int:
        """Note regions of an image, all of them or none; return how many are new.

        A region that holds already, pixel by pixel, is not noted again.

        Parameters
        ----------
        image_id : str
        masks : iterable of (H, W) bool
            In the size of the image; empty ones are passed over.
        why, origin, author : str

        Raises
        ------
        UsageError
            When nothing says why.
        """
        _say_why(why, "pen")
        self._make_tables()
        with self._database.session() as session:
            known = {(r.box, r.bits) for r in _rows(session, image_id) if not r.restored}
            count = 0
            for mask in masks:
                row = _packed(mask)
                if row is None or (row[0], row[1]) in known:
                    continue
                known.add((row[0], row[1]))
                session.add(_record(image_id, row, why, origin, author))
                count += 1
            session.commit()
        return count

    def replace_pulled(self, image_id: str, mask: BoolMask, why: str, author: str) -> bool:
        """Note what was drawn as excluded with the corrections of an image, as drawn last.

        Parameters
        ----------
        image_id : str
        mask : (H, W) bool
            Not empty. It takes the place of what an earlier pull brought of the image.
        why, author : str

        Returns
        -------
        bool
            Whether anything is otherwise than before.
        """
        row = _packed(mask)
        if row is None:
            return False
        self._make_tables()
        with self._database.session() as session:
            earlier = [
                region
                for region in _rows(session, image_id)
                if region.origin == PULLED and not region.restored
            ]
            if [(region.box, region.bits) for region in earlier] == [(row[0], row[1])]:
                return False
            for region in earlier:
                session.add(_restored(region.id, "drawn anew", author))
            session.add(_record(image_id, row, why, PULLED, author))
            session.commit()
        return True

    def restore(self, region_ids: Sequence[int], why: str, author: str) -> None:
        """Take regions back that hold, all of them or none.

        Raises
        ------
        UsageError
            When nothing says why, or a region does not hold.
        """
        _say_why(why, "drawn too large")
        self._make_tables()
        with self._database.session() as session:
            holding = {region.id for region in _rows(session) if not region.restored}
            strange = [number for number in region_ids if number not in holding]
            if strange:
                some = ", ".join(map(str, sorted(holding))) or "none"
                raise UsageError(
                    f"expected numbers of excluded regions that hold ({some}), got {strange[0]}; "
                    "see trephine images regions"
                )
            session.add_all(_restored(number, why, author) for number in dict.fromkeys(region_ids))
            session.commit()

    def all(self) -> tuple[ExcludedRegion, ...]:
        """All regions, also those that were taken back, in the order of their numbers."""
        if not self._is_there():
            return ()
        with self._database.session() as session:
            return tuple(_rows(session))

    def area(self, image_id: str, shape: tuple[int, int]) -> ExcludedArea | None:
        """What is excluded of an image of this height and width; None where nothing is."""
        if not self._is_there():
            return None
        with self._database.session() as session:
            regions = tuple(r for r in _rows(session, image_id) if not r.restored)
        return ExcludedArea(shape, regions) if regions else None

    def areas(self) -> Mapping[str, ExcludedArea]:
        """What is excluded of every image of which anything is, by the id of the image."""
        holding: dict[str, list[ExcludedRegion]] = {}
        for region in self.all():
            if not region.restored:
                holding.setdefault(region.image_id, []).append(region)
        if not holding:
            return {}
        with self._database.session() as session:
            return {
                image_id: ExcludedArea(_shape(session, image_id), tuple(regions))
                for image_id, regions in holding.items()
            }

    def of_name(self, name: str) -> ExcludedArea | None:
        """What is excluded of the image of this name in the study; None where nothing is."""
        if not self._is_there():
            return None
        with self._database.session() as session:
            image = session.scalar(select(ImageRecord).where(ImageRecord.name == name))
            return None if image is None else self.area(image.id, (image.height, image.width))

    def _make_tables(self) -> None:
        if not self._is_there():
            self._database.create_tables()

    def _is_there(self) -> bool:
        """A study of an older Trephine that can only be read lacks the tables."""
        return self._database.has_table(ExcludedRegionRecord.__tablename__)


_Packed = tuple[tuple[int, int, int, int], bytes, int]


def _packed(mask: BoolMask) -> _Packed | None:
    """Tight box, packed bits and pixels of a mask; None where it is empty."""
    box = tight_box(mask)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    crop = mask[y0:y1, x0:x1]
    return box, pack_mask(crop), int(np.count_nonzero(crop))


def _record(
    image_id: str, packed: _Packed, why: str, origin: str, author: str
) -> ExcludedRegionRecord:
    (x0, y0, x1, y1), bits, pixels = packed
    return ExcludedRegionRecord(
        image_id=image_id,
        x0=x0,
        y0=y0,
        x1=x1,
        y1=y1,
        bits=bits,
        pixels=pixels,
        why=why.strip(),
        origin=origin,
        author=author,
        time=now(),
    )


def _restored(region_id: int, why: str, author: str) -> RestoredRegionRecord:
    return RestoredRegionRecord(region_id=region_id, why=why, author=author, time=now())


def _rows(session: Session, image_id: str | None = None) -> list[ExcludedRegion]:
    """Regions in the order of their numbers, of one image or of all."""
    restored = {one.region_id: one.why for one in session.scalars(select(RestoredRegionRecord))}
    query = select(ExcludedRegionRecord).order_by(ExcludedRegionRecord.id)
    if image_id is not None:
        query = query.where(ExcludedRegionRecord.image_id == image_id)
    return [
        ExcludedRegion(
            row.id,
            row.image_id,
            (row.x0, row.y0, row.x1, row.y1),
            row.bits,
            row.pixels,
            row.why,
            row.origin,
            row.author,
            row.time,
            restored.get(row.id, ""),
        )
        for row in session.scalars(query)
    ]


def _shape(session: Session, image_id: str) -> tuple[int, int]:
    image = session.get_one(ImageRecord, image_id)
    return image.height, image.width


def _say_why(why: str, example: str) -> None:
    if not why.strip():
        raise UsageError(f"expected the reason, got none; say it with --why {example!r}")
