"""The study folder: the only module that knows its file names and its database.

::

    study.toml                settings, commented
    study.db                  images, annotations, labels, the ledger of runs and of written files
    study.lock                held by the run that writes
    objects/NAME.npz          objects and features
    embeddings/               what SAM's encoder made of the images; can be removed
    rough/NAME.png            class codes
    rough/instances/NAME.png  instances of fat and bone, 16 bits
    rough/overlays/NAME.jpg
    rough/contact-sheet.jpg
    rough/replaced/           files that a person had changed, before ``--force``
    models/seed.json          the seed groups
    models/round-NN.*         the model of each round of learning
    networks/NNN.*            the study's own segmentation networks, with their cards
    seed/                     clusters to name, with their sheets
    cvat/                     what was sent to CVAT, as it was sent
    cache/                    pictures of the review page; can be removed
    flags.csv                 haemorrhage, soft tissue and artefacts, as people noted them
    truth/NAME.png            corrected masks; truth/instances/ and truth/earlier/ beside them
    exports/ report/

Files are written whole or not at all. A file in ``rough/`` that is not as we wrote it
belongs to the person who changed it, and is not written over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import select
from sqlalchemy.orm import Session

from annotator.core.errors import StudyError
from annotator.core.files import Writer, storage_error, write_atomic
from annotator.core.scale_source import FoundScale, known_scale
from annotator.settings.change import Values, changed_toml
from annotator.settings.study import Settings, read_settings, render_toml, settings_of
from annotator.study.chosen_network import ChosenNetwork, chosen_network
from annotator.study.cvat import CvatStore
from annotator.study.database import Database, FailureRecord, ImageRecord, RunRecord, now
from annotator.study.excluded_regions import ExcludedRegionStore
from annotator.study.found_scales import FoundScaleStore
from annotator.study.given_scales import GivenScaleStore
from annotator.study.labels import LabelStore
from annotator.study.left_out import ImageDecisionStore
from annotator.study.lock import held_lock
from annotator.study.moved import MovedFiles
from annotator.study.names import fold, unique_name
from annotator.study.networks import NetworkStore
from annotator.study.objects_file import ImageFeatures, unpack
from annotator.study.rough import KnownImage, RoughStore
from annotator.study.rounds import RoundStore
from annotator.study.runs import ObjectsRun, ObjectsRunStore, note_objects_run
from annotator.study.seen_pictures import SeenPictureStore
from annotator.study.truth import TruthStore

_FOLDERS = ("objects", "rough", "models", "exports", "report", "truth")
_FILES = ("study.toml", "study.db", "study.db-wal", "study.db-shm", "study.lock")


class Study:
    """An open study. Use it as a context, or call :meth:`close`.

    Attributes
    ----------
    path : Path
    settings : Settings
        As they were in ``study.toml`` when it was opened.
    rough : RoughStore
        The rough annotations.
    object_runs : ObjectsRunStore
        How the objects were made.
    labels : LabelStore
        The labels of the objects, and the corrected masks.
    rounds : RoundStore
        The rounds of learning.
    networks : NetworkStore
        The segmentation networks that learned from its corrected masks.
    seen_pictures : SeenPictureStore
        What was read before, and need not be decoded again.
    image_decisions : ImageDecisionStore
        Which images are left out, and why.
    excluded_regions : ExcludedRegionStore
        Which regions of images count nowhere, and why.
    truth : TruthStore
        The corrected masks, read without what is excluded.
    cvat : CvatStore
        What was sent to a CVAT server, and fetched from it.
    """

    def __init__(self, path: Path, settings: Settings, database: Database, write: Writer) -> None:
        self.path = path
        self.settings = settings
        self.excluded_regions = ExcludedRegionStore(database)
        self.rough = RoughStore(path, database, write, self.excluded_regions)
        self.truth = TruthStore(path, write, self.excluded_regions.of_name)
        self.labels = LabelStore(path, database, self.excluded_regions)
        self.rounds = RoundStore(path, database, write, self.labels)
        self.networks = NetworkStore(path, write)
        self.object_runs = ObjectsRunStore(database)
        self.cvat = CvatStore(path, database, write)
        self._given_scales = GivenScaleStore(database)
        self.found_scales = FoundScaleStore(database)
        self.seen_pictures = SeenPictureStore(database)
        self.image_decisions = ImageDecisionStore(database)
        self._database = database
        self._write = write
        self._held = False

    @classmethod
    def create(cls, path: Path, settings: Settings | None = None) -> Study:
        """Make a new study in a folder that is absent or empty, and open it.

        Raises
        ------
        StudyError
            When a study is there already, or a folder with other things in it;
            nothing is changed.
        """
        if is_study(path):
            scale = settings and settings.um_per_px
            advice = (
                f"; for the scale write um_per_px = {scale:g} into {path / 'study.toml'}, or give "
                "it to single images with trephine annotate --um-per-px"
                if scale
                else ""
            )
            raise StudyError(f"{path}: a study exists here already; nothing was changed{advice}")
        _refuse_foreign(path)
        _make_folders(path)
        database = Database.open(path / "study.db")
        database.create_tables()
        database.close()
        # Last, because this file is what makes a folder a study: a killed init can be repeated.
        write_atomic(path / "study.toml", render_toml(settings or Settings()).encode())
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, write: Writer = write_atomic) -> Study:
        """Open a study, also one that can only be read.

        Parameters
        ----------
        path : Path
        write : Writer
            Who puts bytes into files; tests pass one that fails.

        Raises
        ------
        StudyError
            When it is not a study, or one of a newer Trephine.
        SettingsError
            When its ``study.toml`` holds values that cannot be used.
        """
        if not is_study(path):
            raise StudyError(f"{path}: not a study; make one with: trephine init {path}")
        settings = read_settings(path / "study.toml")
        return cls(path, settings, Database.open(path / "study.db"), write)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the study for one run that writes; within it, once more costs nothing.

        Raises
        ------
        StudyError
            When another run holds it, or it cannot be written; before anything is done.
        """
        if self._held:
            yield
            return
        with held_lock(self.path):
            _make_folders(self.path)
            self._held = True
            try:
                yield
            finally:
                self._held = False

    # Settings, and what follows from them

    def change_settings(self, values: Values) -> None:
        """Write single values into ``study.toml``; all else in it stays as it is.

        Raises
        ------
        SettingsError
            When a value cannot be used; the file is as it was then.
        StorageError
            When the place refuses.
        """
        path = self.path / "study.toml"
        before = path.read_bytes()
        text = changed_toml(before.decode("utf-8-sig"), values)
        if text == before.decode("utf-8-sig"):
            return
        settings = settings_of(text, path)
        self._write(path, text.encode())
        self.settings = settings

    @property
    def network(self) -> ChosenNetwork | None:
        """The segmentation network that the settings name; None where there is to be none.

        Raises
        ------
        ModelError
            When it is not there, or cannot be used.
        """
        return self.network_named(self.settings.network.use)

    def network_named(self, use: str) -> ChosenNetwork | None:
        """The network that a value of ``[network] use`` would mean here; raises likewise."""
        return chosen_network(use, self.path, self._own_network)

    def _own_network(self) -> ChosenNetwork | None:
        entry = self.networks.current_entry()
        if entry is None:
            return None
        return ChosenNetwork(entry.sha256, self.networks.path(entry.index))

    @property
    def features(self) -> str:
        """Fingerprint of the features that the study's objects have under its settings.

        Raises
        ------
        ModelError
            When the network that gives some of them cannot be used.
        """
        from features.describe import feature_fingerprint  # slow to import, and few commands ask

        network = self.network
        return feature_fingerprint(self.settings.describe, network.fingerprint if network else "")

    # Images and their names

    def register(
        self,
        image_id: str,
        source: str,
        shape: tuple[int, int],
        um_per_px: float | None,
        notes: Sequence[str],
    ) -> KnownImage:
        """Note an image; the first time it gets its name, which it keeps for ever."""
        with self._database.session() as session:
            record = session.get(ImageRecord, image_id)
            if record is None:
                record = self._new_image(session, image_id, source, shape)
            record.source = str(Path(source).absolute())
            record.um_per_px = um_per_px
            record.notes = list(notes)
            session.commit()
            given, found = self._given_scales.of(image_id), self.found_scales.of(image_id)
            return self._known(record, given, found, MovedFiles(self.path))

    def give_scale(self, image: KnownImage, um_per_px: float) -> KnownImage:
        """Keep the scale that a person gives to an image; its file's own goes before."""
        self._given_scales.give(image.id, um_per_px)
        with self._database.session() as session:
            record = session.get_one(ImageRecord, image.id)
            found = self.found_scales.of(image.id)
            return self._known(record, um_per_px, found, MovedFiles(self.path))

    def note_found_scale(self, image: KnownImage, scale: FoundScale) -> KnownImage:
        """Keep the scale that was found in a picture; it gives no sizes in microns."""
        self.found_scales.note(image.id, scale)
        with self._database.session() as session:
            record = session.get_one(ImageRecord, image.id)
            given = self._given_scales.of(image.id)
            return self._known(record, given, scale, MovedFiles(self.path))

    def _new_image(
        self, session: Session, image_id: str, source: str, shape: tuple[int, int]
    ) -> ImageRecord:
        taken = frozenset(session.scalars(select(ImageRecord.folded_name)))
        name = unique_name(source, image_id, taken)
        record = ImageRecord(
            id=image_id,
            name=name,
            folded_name=fold(name),
            height=shape[0],
            width=shape[1],
            added=now(),
        )
        session.add(record)
        return record

    def images(self) -> tuple[KnownImage, ...]:
        """The images that are not left out, in order of their names."""
        left_out = self.image_decisions.standing()
        return tuple(image for image in self.all_images() if image.id not in left_out)

    def relink(self, image: KnownImage, path: Path) -> None:
        """Note where the file of an image lies now."""
        with self._database.session() as session:
            session.get_one(ImageRecord, image.id).source = str(path.absolute())
            session.commit()

    def all_images(self) -> tuple[KnownImage, ...]:
        """All images, also those that are left out, in order of their names."""
        with self._database.session() as session:
            records = session.scalars(select(ImageRecord).order_by(ImageRecord.name))
            given, found = self._given_scales.all(), self.found_scales.all()
            moved = MovedFiles(self.path)
            return tuple(
                self._known(record, given.get(record.id), found.get(record.id), moved)
                for record in records
            )

    def _known(
        self,
        record: ImageRecord,
        given: float | None,
        found: FoundScale | None,
        moved: MovedFiles,
    ) -> KnownImage:
        um_per_px, scale_source = known_scale(
            record.um_per_px, given, self.settings.um_per_px, found
        )
        return KnownImage(
            record.id,
            record.name,
            moved.place(record.source),
            (record.height, record.width),
            um_per_px,
            tuple(record.notes),
            record.objects_seconds,
            scale_source,
            found if scale_source == "found" else None,
        )

    # Objects

    @property
    def embeddings(self) -> Path:
        """Folder of the embeddings that SAM's encoder made; can be removed at any time."""
        return self.path / "embeddings"

    def objects_path(self, image: KnownImage) -> Path:
        """Where the objects of an image lie."""
        return self.path / "objects" / f"{image.name}.npz"

    def save_objects(
        self, image: KnownImage, data: bytes, seconds: float, objects_run: ObjectsRun | None = None
    ) -> None:
        """Write the packed objects of an image, and note their cost and how they were made.

        Raises
        ------
        StorageError
            When the place refuses.
        """
        self._write(self.objects_path(image), data)
        with self._database.session() as session:
            session.get_one(ImageRecord, image.id).objects_seconds = seconds
            note_objects_run(session, image.id, objects_run or ObjectsRun())
            session.commit()

    def described(self, image: KnownImage) -> ImageFeatures | None:
        """Read the objects of an image; None where there are none yet.

        Raises
        ------
        ValueError
            When the file is damaged, or of another format (:class:`OutdatedError`): make
            it again.
        """
        path = self.objects_path(image)
        return unpack(path.read_bytes()) if path.exists() else None

    # Models, runs, faults

    def read_model(self, name: str) -> Any:
        """Read ``models/NAME.json``; None where it is absent or damaged."""
        try:
            return json.loads((self.path / "models" / f"{name}.json").read_text("utf-8"))
        except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
            return None

    def save_model(self, name: str, content: Any) -> None:
        """Write ``models/NAME.json``."""
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
        self._write(self.path / "models" / f"{name}.json", (text + "\n").encode())

    def record_run(
        self,
        settings: str,
        seconds: float,
        counts: Mapping[str, int],
        stage_seconds: Mapping[str, float],
        failures: Sequence[tuple[str, str]],
    ) -> None:
        """Add a run to the ledger, with the paths that failed and why."""
        with self._database.session() as session:
            run = RunRecord(
                started=now(seconds),
                seconds=seconds,
                settings=settings,
                counts=dict(counts),
                stage_seconds=dict(stage_seconds),
            )
            session.add(run)
            session.flush()
            session.add_all(FailureRecord(run_id=run.id, path=p, reason=r) for p, r in failures)
            session.commit()

    @property
    def error_log(self) -> Path:
        """The file for the traces of unexpected errors."""
        return self.path / "report" / "errors.log"

    def log_error(self, path: str, trace: str) -> None:
        """Add the trace of an unexpected error to the log.

        Raises
        ------
        StorageError
            When the place refuses.
        """
        try:
            self.error_log.parent.mkdir(exist_ok=True)
            with self.error_log.open("a", encoding="utf-8") as file:
                file.write(f"{now()} {path}\n{trace}\n")
        except OSError as error:
            raise storage_error(self.error_log, error) from error


def is_study(path: Path) -> bool:
    """Whether the folder holds a study."""
    return (path / "study.toml").is_file() and (path / "study.db").is_file()


def _make_folders(path: Path) -> None:
    try:
        for name in _FOLDERS:
            (path / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error


def _refuse_foreign(path: Path) -> None:
    """A study starts in a place of its own; what a killed init left behind does not count."""
    if path.exists() and not path.is_dir():
        raise StudyError(f"{path}: expected a folder, or nothing, got a file; choose another name")
    found = sorted(p.name for p in path.iterdir()) if path.is_dir() else []
    foreign = [name for name in found if name not in (*_FOLDERS, *_FILES)]
    if foreign:
        more = " ..." if len(foreign) > 3 else ""
        raise StudyError(
            f"{path}: expected an empty folder, found {', '.join(foreign[:3])}{more}; choose "
            "another place for the study"
        )
