"""The labels of a study, append-only, and the corrected masks in ``truth/``.

Every label carries the mask of the object that was labelled. Objects are numbered anew
whenever the settings of the proposals change; the mask tells which of them it is now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, func, insert, select, text, tuple_
from sqlalchemy.orm import Session, aliased

from annotator.core.errors import StudyError
from annotator.core.hashing import short_hash
from annotator.core.labels import Label
from annotator.core.mask_bits import pack_mask, unpack_mask
from annotator.core.objects import BoolMask
from annotator.imaging.label_map_files import read_corrected_codes
from annotator.study.database import (
    Database,
    LabelActRecord,
    LabelActRowRecord,
    LabelledMaskRecord,
    LabelRecord,
)
from annotator.study.excluded_area import codes_without_excluded
from annotator.study.excluded_regions import ExcludedRegionStore

# Rows that one statement asks for: SQLite takes 32,766 values, older ones 999.
_AT_ONCE = 400
# Names of the fields of a label, `origin` last.
_FIELDS = tuple(Label.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class LabelledMask:
    """The mask of one labelled object, packed.

    Parameters
    ----------
    image_id : str
    key : str
        First 16 hex digits of a sha256 over box and bits.
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1``.
    bits : bytes
        The crop row by row, eight pixels a byte, deflated.
    """

    image_id: str
    key: str
    box: tuple[int, int, int, int]
    bits: bytes

    def crop(self) -> BoolMask:
        """The mask inside its box, (H, W) bool, by the height and width of the box.

        Raises
        ------
        StudyError
            When the bits are damaged.
        """
        x0, y0, x1, y1 = self.box
        try:
            return unpack_mask(self.bits, (y1 - y0, x1 - x0))
        except ValueError as error:
            raise StudyError(
                f"the mask {self.key} of image {self.image_id} is damaged; restore study.db"
            ) from error


def mask_key(box: Sequence[int], crop: BoolMask) -> str:
    """Key of a mask: the same for the same pixels of an image, whatever made them.

    Parameters
    ----------
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1``.
    crop : (h, w) bool
        The mask inside its box.

    Examples
    --------
    >>> mask_key((0, 0, 2, 1), np.ones((1, 2), bool))
    '2a054a7294a2610b'
    """
    return short_hash(",".join(str(int(side)) for side in box), np.packbits(crop).tobytes())


def labelled_mask(image_id: str, box: Sequence[int], crop: BoolMask) -> LabelledMask:
    """Pack a mask for the database.

    Parameters
    ----------
    image_id : str
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1``.
    crop : (h, w) bool
        The mask inside its box.

    Examples
    --------
    >>> mask = labelled_mask("a1", (3, 0, 5, 1), np.array([[True, False]]))
    >>> mask.box, mask.crop().tolist()
    ((3, 0, 5, 1), [[True, False]])
    """
    x0, y0, x1, y1 = map(int, box)
    bits = pack_mask(crop)
    return LabelledMask(image_id, mask_key(box, crop), (x0, y0, x1, y1), bits)


class LabelStore:
    """The labels of a study in its database, and its ``truth/`` folder."""

    def __init__(
        self, study: Path, database: Database, excluded: ExcludedRegionStore | None = None
    ) -> None:
        self._study = study
        self._database = database
        self._excluded = excluded or ExcludedRegionStore(database)

    def append(self, labels: Sequence[Label], masks: Sequence[LabelledMask]) -> None:
        """Add labels, all of them or none: one transaction.

        Parameters
        ----------
        labels : sequence of Label
            Each with its `mask_key` and `objects_key`; `id` is given here.
        masks : sequence of LabelledMask
            Of the objects that they name; those already known are passed over.

        Raises
        ------
        StudyError
            When a label names an image or a mask that the study does not know, or the
            database cannot be written; nothing was added.
        """
        if not labels:
            return
        with self._database.session() as session:
            self.append_in(session, labels, masks)
            session.commit()

    def append_in(
        self, session: Session, labels: Sequence[Label], masks: Sequence[LabelledMask]
    ) -> None:
        """Add labels in a transaction that the caller commits, like :meth:`append`."""
        if not labels:
            return
        begin_writing(session)
        labelled = {(label.image_id, label.mask_key) for label in labels}
        rows = {(mask.image_id, mask.key): _mask_row(mask) for mask in masks}
        missing = labelled - _stored_masks(session, sorted(labelled))
        if missing - rows.keys():
            raise StudyError(
                "expected the mask of every labelled object, got none for "
                f"{len(missing - rows.keys())} of {len(labelled)}"
            )
        if missing:
            session.execute(insert(LabelledMaskRecord), [rows[key] for key in sorted(missing)])
        session.execute(insert(LabelRecord), [_label_row(label) for label in labels])

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction that nobody else can write into, committed at its end.

        Raises
        ------
        StudyError
            When another program writes for more than ten seconds.
        """
        with self._database.session() as session:
            begin_writing(session)
            yield session
            session.commit()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads."""
        with self._database.session() as session:
            yield session

    def all(self) -> tuple[Label, ...]:
        """Every label ever given and not undone, in the order of arrival.

        Objects have the numbers that they had then: see
        :func:`active_learning.rounds.add_labels.present_labels` for those of today.
        """
        return self._read()

    def for_image(self, image_id: str) -> tuple[Label, ...]:
        """All labels of one image, like :meth:`all`."""
        return self._read(LabelRecord.image_id == image_id)

    def count(self) -> int:
        """How many labels were ever given."""
        if not self._is_there():
            return 0
        with self._database.session() as session:
            return session.scalar(select(func.count()).select_from(LabelRecord)) or 0

    def image_ids(self) -> tuple[str, ...]:
        """Images with labels, in order of their ids."""
        if not self._is_there():
            return ()
        query = select(LabelRecord.image_id).distinct().order_by(LabelRecord.image_id)
        with self._database.session() as session:
            return tuple(session.scalars(query))

    def given_at_review_page(self) -> frozenset[int]:
        """Ids of the labels that acts at the review page brought, undone ones too."""
        if not self._database.has_table(LabelActRowRecord.__tablename__):
            return frozenset()
        with self._database.session() as session:
            return frozenset(session.scalars(select(LabelActRowRecord.label_id)))

    def masks(self, image_id: str) -> dict[str, LabelledMask]:
        """Masks of the objects of an image that were ever labelled, by their keys."""
        if not self._is_there():
            return {}
        query = select(LabelledMaskRecord).where(LabelledMaskRecord.image_id == image_id)
        with self._database.session() as session:
            return {
                r.mask_key: LabelledMask(r.image_id, r.mask_key, (r.x0, r.y0, r.x1, r.y1), r.bits)
                for r in session.scalars(query)
            }

    def truth(self, name: str, shape: tuple[int, int]) -> NDArray[np.uint8] | None:
        """Read ``truth/NAME.png``, class codes (H, W) uint8; None where there is none.

        What is excluded of the image has no class.

        Parameters
        ----------
        name : str
            Of the image in the study.
        shape : (int, int)
            Height and width of the image.

        Raises
        ------
        StudyError
            When the file holds something else.
        """
        path = self._study / "truth" / f"{name}.png"
        instances = path.parent / "instances" / path.name
        if not path.exists():
            return None
        codes = read_corrected_codes(path, instances, shape)
        return codes_without_excluded(codes, self._excluded.of_name(name))

    def _is_there(self) -> bool:
        """A study of an older Trephine that can only be read has no labels."""
        return self._database.has_table(LabelRecord.__tablename__)

    def _read(self, *where: ColumnElement[bool]) -> tuple[Label, ...]:
        if not self._is_there():
            return ()
        # Plain columns in the order of the fields: quicker than objects of the ORM.
        columns = [getattr(LabelRecord, name) for name in _FIELDS[:-1]]
        origin = func.coalesce(LabelRecord.origin, 0)
        query = select(*columns, origin).where(*where).order_by(LabelRecord.id)
        if self._database.has_table(LabelActRecord.__tablename__):
            family = func.coalesce(LabelRecord.origin, LabelRecord.id)
            query = query.where(family.not_in(withdrawn_labels()))
        with self._database.session() as session:
            return tuple(Label(*row) for row in session.execute(query))


def begin_writing(session: Session) -> None:
    """Take the right to write before anything is read, so that nobody comes in between."""
    driver = session.connection().connection.dbapi_connection
    if driver is not None and not driver.in_transaction:
        session.execute(text("BEGIN IMMEDIATE"))


def withdrawn_labels() -> Select[int]:
    """Ids of the labels whose act is undone: the last that was done about it was an undo."""
    turn, later = aliased(LabelActRecord), aliased(LabelActRecord)
    last = select(func.max(later.id)).where(later.of == turn.of).scalar_subquery()
    return (
        select(LabelActRowRecord.label_id)
        .join(turn, turn.of == LabelActRowRecord.act_id)
        .where(turn.kind == "undo", turn.id == last)
    )


def _stored_masks(session: Session, masks: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of some masks, by image and key, that the database holds."""
    table = LabelledMaskRecord
    found: set[tuple[str, str]] = set()
    for at in range(0, len(masks), _AT_ONCE):
        query = select(table.image_id, table.mask_key).where(
            tuple_(table.image_id, table.mask_key).in_(masks[at : at + _AT_ONCE])
        )
        found |= {(image_id, key) for image_id, key in session.execute(query)}
    return found


def _mask_row(mask: LabelledMask) -> dict[str, object]:
    x0, y0, x1, y1 = mask.box
    box = {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
    return {"image_id": mask.image_id, "mask_key": mask.key, **box, "bits": mask.bits}


def _label_row(label: Label) -> dict[str, object]:
    row = {name: getattr(label, name) for name in _FIELDS if name != "id"}
    return row | {"origin": label.origin or None}
