"""Which images of a study are left out, by whose decision and why: a ledger that only grows.

Nothing of an image is deleted: its files, labels and masks stay, and ``restore`` brings it back.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import DDL, ForeignKey, event, func, select
from sqlalchemy.orm import Mapped, mapped_column

from annotator.core.errors import UsageError
from annotator.study.database import Base, Database, now

EXCLUDED, REMOVED, RESTORED = "excluded", "removed", "restored"
DECISIONS = (EXCLUDED, REMOVED, RESTORED)


class ImageDecisionRecord(Base):
    """One decision about an image; the last one of an image holds. None is changed or deleted."""

    __tablename__ = "image_decisions"

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), index=True)
    decision: Mapped[str]
    why: Mapped[str]
    author: Mapped[str]
    time: Mapped[str]


for _action in ("UPDATE", "DELETE"):
    event.listen(
        ImageDecisionRecord.metadata.tables["image_decisions"],
        "after_create",
        DDL(
            f"CREATE TRIGGER image_decisions_{_action.lower()} BEFORE {_action} ON image_decisions "
            "BEGIN SELECT RAISE(ABORT, 'image_decisions are append-only'); END"
        ),
    )


@dataclass(frozen=True, slots=True)
class ImageDecision:
    """What was decided about an image.

    Parameters
    ----------
    image_id : str
    decision : {"excluded", "removed", "restored"}
        ``excluded``: annotated and corrected as before, but in no training, table, export or
        choice of images. ``removed``: the same, and ``annotate`` passes it by.
    why, author : str
    time : str
        UTC.
    """

    image_id: str
    decision: str
    why: str
    author: str
    time: str


class ImageDecisionStore:
    """The decisions about the images of a study."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def decide(self, image_id: str, decision: str, why: str, author: str) -> None:
        """Note a decision.

        Raises
        ------
        UsageError
            When the decision is another word, or nothing says why.
        """
        if decision not in DECISIONS:
            raise UsageError(f"expected one of {', '.join(DECISIONS)}, got {decision!r}")
        if not why.strip():
            raise UsageError("expected the reason, got none; say it with --why 'out of focus'")
        with self._database.session() as session:
            session.add(
                ImageDecisionRecord(
                    image_id=image_id, decision=decision, why=why, author=author, time=now()
                )
            )
            session.commit()

    def standing(self) -> dict[str, ImageDecision]:
        """The decisions that leave an image out now, by its id."""
        if not self._is_there():
            return {}
        last = select(func.max(ImageDecisionRecord.id)).group_by(ImageDecisionRecord.image_id)
        query = select(ImageDecisionRecord).where(
            ImageDecisionRecord.id.in_(last), ImageDecisionRecord.decision != RESTORED
        )
        with self._database.session() as session:
            return {row.image_id: _plain(row) for row in session.scalars(query)}

    def removed(self) -> frozenset[str]:
        """Ids of the images that ``annotate`` passes by."""
        standing = self.standing().values()
        return frozenset(one.image_id for one in standing if one.decision == REMOVED)

    def history(self) -> tuple[ImageDecision, ...]:
        """All decisions, the first first."""
        if not self._is_there():
            return ()
        with self._database.session() as session:
            rows = session.scalars(select(ImageDecisionRecord).order_by(ImageDecisionRecord.id))
            return tuple(_plain(row) for row in rows)

    def _is_there(self) -> bool:
        """A study of an older Trephine that can only be read lacks the table."""
        return self._database.has_table(ImageDecisionRecord.__tablename__)


def _plain(row: ImageDecisionRecord) -> ImageDecision:
    return ImageDecision(row.image_id, row.decision, row.why, row.author, row.time)
