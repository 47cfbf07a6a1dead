"""The rounds of a study's learning loop: the labels, the model, and how good it was.

A round is a row of the database and three files in ``models/``: the model as skops bytes,
a JSON of what made it, and the probabilities that its labels got from models that had not
seen them. The files are written first and the row last, so that a kill leaves either no
round or a whole one; files without a row are written over by the next round.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select

from annotator.core.errors import ModelError
from annotator.core.files import Writer
from annotator.core.labels import Label
from annotator.study.database import Database, QueryRecord, RoundRecord, now
from annotator.study.labels import LabelledMask, LabelStore

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Round:
    """A round of the loop.

    Parameters
    ----------
    index : int
        From 1.
    parent : int or None
        The round whose model was current before; None for the first.
    time : str
        UTC, ISO 8601.
    labels_from : {"labels", "truth", "both"}
    verdict : {"first", "better", "level", "worse", "incomplete"}
        Incomplete: it knows no label of a class that the drafts show.
    adopted : bool
        Whether its model became the study's.
    features : str
        Fingerprint of the features that it was trained on.
    model_sha256 : str
    weights_sha256 : str or None
        Of SAM's checkpoint, where one was used; of several, with blanks between them.
    settings : mapping
        Those of training, labels and patients.
    classes : sequence of str
        In the order of their codes.
    groups : sequence of str
        Patients that it was trained on.
    queried : sequence of str
        Ids of the images that had been asked for since the parent.
    metrics : mapping
        As JSON values; see :mod:`active_learning.rounds.retrain`.
    format : int
    """

    index: int
    parent: int | None
    time: str
    labels_from: str
    verdict: str
    adopted: bool
    features: str
    model_sha256: str
    weights_sha256: str | None
    settings: Mapping[str, Any]
    classes: Sequence[str]
    groups: Sequence[str]
    queried: Sequence[str]
    metrics: Mapping[str, Any]
    format: int = FORMAT

    @property
    def patients_are_named(self) -> bool:
        """Whether a pattern or a table said whose an image is."""
        patients = self.settings.get("patients", {})
        return bool(patients.get("pattern") or patients.get("table"))

    @property
    def unknown_patients(self) -> int:
        """Images without a patient that it learned from; earlier versions did not note them."""
        least = 0 if self.patients_are_named else int(self.metrics["patients"])
        return int(self.metrics.get("unknown_patients", least))


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold:
    """Probabilities of labelled objects from models that had not seen their patient.

    Parameters
    ----------
    image_ids, mask_keys : (M,) str
    probabilities : (M, 4) float64
    """

    image_ids: NDArray[np.str_]
    mask_keys: NDArray[np.str_]
    probabilities: NDArray[np.float64]

    def by_key(self) -> dict[tuple[str, str], NDArray[np.float64]]:
        """Probabilities of each object, (4,) float64, by image and key of its mask."""
        keys = zip(self.image_ids.tolist(), self.mask_keys.tolist(), strict=True)
        return dict(zip(keys, self.probabilities, strict=True))


_ARRAYS = tuple(OutOfFold.__dataclass_fields__)
# Before the names of the arrays that are of held-out patients.
_HELD_OUT = "held_out_"


@dataclass(frozen=True, slots=True, eq=False)
class RoundFiles:
    """The files of a round beside its row: see :mod:`active_learning.classifier.model_file`.

    `held_out` is of the patients that were kept apart, from the model.
    """

    archive: bytes
    record: Mapping[str, Any]
    out_of_fold: OutOfFold
    held_out: OutOfFold | None = None


class RoundStore:
    """The rounds of a study: rows of its database, and files in ``models/``."""

    def __init__(self, study: Path, database: Database, write: Writer, labels: LabelStore) -> None:
        self._folder = study / "models"
        self._database = database
        self._write = write
        self._labels = labels

    def all(self) -> tuple[Round, ...]:
        """All rounds, in order."""
        if not self._is_there():
            return ()
        with self._database.session() as session:
            records = session.scalars(select(RoundRecord).order_by(RoundRecord.index))
            return tuple(_from_record(record) for record in records)

    def current(self) -> Round | None:
        """The round whose model the study uses: the last that was adopted.

        Raises
        ------
        ModelError
            When a newer Trephine wrote it.
        """
        adopted = [one for one in self.all() if one.adopted]
        if not adopted:
            return None
        if adopted[-1].format > FORMAT:
            raise ModelError(
                f"round {adopted[-1].index}: expected format {FORMAT} or older, got "
                f"{adopted[-1].format}: a newer Trephine wrote it; update Trephine"
            )
        return adopted[-1]

    def next_index(self) -> int:
        """Number of the round to come."""
        if not self._is_there():
            return 1
        with self._database.session() as session:
            return (session.scalar(select(func.max(RoundRecord.index))) or 0) + 1

    def paths(self, index: int) -> tuple[Path, Path, Path]:
        """Where the model, its JSON and its out-of-fold probabilities lie."""
        name = f"round-{index:02d}"
        return (
            self._folder / f"{name}.skops",
            self._folder / f"{name}.json",
            self._folder / f"{name}.npz",
        )

    def read_model(self, index: int) -> tuple[bytes, Mapping[str, Any]]:
        """The bytes of a model and the JSON of what made it.

        Raises
        ------
        ModelError
            When one of them is missing or no JSON.
        """
        archive, record, _ = self.paths(index)
        try:
            content = json.loads(record.read_text("utf-8"))
            data = archive.read_bytes()
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ModelError(
                f"{archive}: the model of round {index} cannot be read ({error}); restore it "
                "from a backup, or run trephine retrain to make a new round"
            ) from error
        if not isinstance(content, dict):
            raise ModelError(f"{record}: expected an object, got {type(content).__name__}; retrain")
        return data, content

    def read_out_of_fold(self, index: int) -> OutOfFold:
        """Probabilities of the labels of a round, from models that had not seen them.

        Raises
        ------
        ModelError
            When the file is missing or damaged.
        """
        return self._read_probabilities(index, "")

    def read_held_out(self, index: int) -> OutOfFold | None:
        """Probabilities of labels of the patients that a round held out, from its model.

        None where there was no such patient, or an earlier version made the round.

        Raises
        ------
        ModelError
            When the file is missing or damaged.
        """
        found = self._read_probabilities(index, _HELD_OUT, optional=True)
        return found if len(found.mask_keys) else None

    def _read_probabilities(self, index: int, part: str, optional: bool = False) -> OutOfFold:
        path = self.paths(index)[2]
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
                if optional and f"{part}mask_keys" not in arrays:
                    return OutOfFold(np.array([], np.str_), np.array([], np.str_), np.zeros((0, 4)))
                return OutOfFold(*(arrays[f"{part}{name}"] for name in _ARRAYS))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise ModelError(
                f"{path}: cannot be read ({error}); run trephine retrain to make a new round"
            ) from error

    def add(
        self,
        round_: Round,
        files: RoundFiles,
        labels: Sequence[Label] = (),
        masks: Sequence[LabelledMask] = (),
    ) -> None:
        """Add a round and the labels that it brought, all or nothing.

        Raises
        ------
        StorageError
            When a file cannot be written; there is no such round then.
        StudyError
            When the database cannot be written.
        """
        archive, record, out_of_fold = self.paths(round_.index)
        self._write(archive, files.archive)
        self._write(record, _json(files.record))
        self._write(out_of_fold, _npz(files))
        with self._database.session() as session:
            self._labels.append_in(session, labels, masks)
            session.add(RoundRecord(**asdict(round_)))
            session.commit()

    def note_query(self, image_ids: Sequence[str]) -> None:
        """Note which images were suggested to be labelled next."""
        current = self.current()
        with self._database.session() as session:
            index = current.index if current else 0
            session.add(QueryRecord(time=now(), round=index, image_ids=list(image_ids)))
            session.commit()

    def queried(self, index: int) -> tuple[str, ...]:
        """Images that were asked for while a round (0: none) was current, each once."""
        if not self._database.has_table(QueryRecord.__tablename__):
            return ()
        query = select(QueryRecord).where(QueryRecord.round == index).order_by(QueryRecord.id)
        with self._database.session() as session:
            asked = [image_id for one in session.scalars(query) for image_id in one.image_ids]
        return tuple(dict.fromkeys(asked))

    def _is_there(self) -> bool:
        """A study of an older Trephine that can only be read has no rounds."""
        return self._database.has_table(RoundRecord.__tablename__)


def _from_record(record: RoundRecord) -> Round:
    return Round(**{name: getattr(record, name) for name in Round.__dataclass_fields__})


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _npz(files: RoundFiles) -> bytes:
    """Bytes that depend on the content alone: zip members carry the date 1980-01-01."""
    buffer = io.BytesIO()
    arrays = {name: getattr(files.out_of_fold, name) for name in _ARRAYS}
    if files.held_out is not None:
        arrays |= {f"{_HELD_OUT}{name}": getattr(files.held_out, name) for name in _ARRAYS}
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
