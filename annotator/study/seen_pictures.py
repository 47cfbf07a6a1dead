"""The files that were read before: one that has not been touched since need not be decoded.

A file counts as untouched while its size, its number on the disk and both of its times are what
they were: the time of its last change in the folder's books moves with every write, whatever a
copying program says of its age. One that was changed a moment before it was read is not noted:
clocks of file systems tick slowly.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import JSON, BigInteger, LargeBinary, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Mapped, mapped_column

from annotator.study.database import Base, Database

_SLOWEST_CLOCK_S = 2.0
_AT_ONCE = 500  # SQLite takes some ten thousand values in one question


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells one state of a file from another, without reading it.

    Parameters
    ----------
    size : int
        Bytes.
    number : int
        Of the file on its disk.
    modified_ns, changed_ns : int
        Times of the last write to it, and of the last change of anything about it.
    """

    size: int
    number: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> FileStamp | None:
        """The stamp of a file; None where there is none."""
        try:
            found = path.stat()
        except OSError:
            return None
        # SQLite's whole numbers have a sign.
        return cls(found.st_size, found.st_ino & (2**63 - 1), found.st_mtime_ns, found.st_ctime_ns)

    @property
    def is_fresh(self) -> bool:
        """Whether the file was changed so lately that another change may leave the same stamp."""
        age_s = time.time() - max(self.modified_ns, self.changed_ns) / 1e9
        return age_s < _SLOWEST_CLOCK_S


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """What reading a file told.

    Parameters
    ----------
    image_id : str
    shape : (int, int)
        Height and width, px.
    um_per_px : float or None
    notes : tuple of str
    thumbnail : bytes
        JPEG.
    """

    image_id: str
    shape: tuple[int, int]
    um_per_px: float | None
    notes: tuple[str, ...]
    thumbnail: bytes


class SeenPictureRecord(Base):
    """A file as it was when it was read last, and what it held."""

    __tablename__ = "seen_pictures"

    path: Mapped[str] = mapped_column(primary_key=True)
    reader: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int] = mapped_column(BigInteger)
    modified_ns: Mapped[int] = mapped_column(BigInteger)
    changed_ns: Mapped[int] = mapped_column(BigInteger)
    image_id: Mapped[str]
    height: Mapped[int]
    width: Mapped[int]
    um_per_px: Mapped[float | None]
    notes: Mapped[list[str]] = mapped_column(JSON)
    thumbnail: Mapped[bytes] = mapped_column(LargeBinary)

    @property
    def stamp(self) -> FileStamp:
        """The file as it was."""
        return FileStamp(self.size, self.number, self.modified_ns, self.changed_ns)

    @property
    def picture(self) -> SeenPicture:
        """What it held."""
        return SeenPicture(
            self.image_id,
            (self.height, self.width),
            self.um_per_px,
            tuple(self.notes),
            self.thumbnail,
        )


class SeenPictureStore:
    """What a study remembers of the files that it read; all of it can be found again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def untouched(self, paths: Iterable[Path], reader: str) -> dict[Path, SeenPicture]:
        """The files among `paths` that are as they were when this reader read them.

        Parameters
        ----------
        paths : iterable of Path
        reader : str
            Another one whenever the same file may be read as something else.
        """
        if not self._database.has_table(SeenPictureRecord.__tablename__):
            return {}
        by_text = {_key(path): path for path in paths}
        texts, found = list(by_text), dict[Path, SeenPicture]()
        with self._database.session() as session:
            for start in range(0, len(texts), _AT_ONCE):
                asked = select(SeenPictureRecord).where(
                    SeenPictureRecord.path.in_(texts[start : start + _AT_ONCE]),
                    SeenPictureRecord.reader == reader,
                )
                for record in session.scalars(asked):
                    path = by_text[record.path]
                    if record.stamp == FileStamp.of(path):
                        found[path] = record.picture
        return found

    def note(self, path: Path, reader: str, stamp: FileStamp | None, picture: SeenPicture) -> None:
        """Note what a file held, unless it may have changed while it was read.

        Parameters
        ----------
        path : Path
        reader : str
        stamp : FileStamp or None
            Taken before it was read.
        picture : SeenPicture
        """
        if stamp is None or stamp.is_fresh or stamp != FileStamp.of(path):
            return
        if not self._database.has_table(SeenPictureRecord.__tablename__):
            self._database.create_tables()
        height, width = picture.shape
        fields = {
            "path": _key(path),
            "reader": reader,
            "size": stamp.size,
            "number": stamp.number,
            "modified_ns": stamp.modified_ns,
            "changed_ns": stamp.changed_ns,
            "image_id": picture.image_id,
            "height": height,
            "width": width,
            "um_per_px": picture.um_per_px,
            "notes": list(picture.notes),
            "thumbnail": picture.thumbnail,
        }
        noted = insert(SeenPictureRecord).values(fields)
        with self._database.session() as session:
            session.execute(noted.on_conflict_do_update(index_elements=["path"], set_=fields))
            session.commit()


def _key(path: Path) -> str:
    """The whole path as text that a database takes: file names need not be text."""
    return str(path.absolute()).encode("utf-8", "backslashreplace").decode()
