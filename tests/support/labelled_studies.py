"""Studies with drawn objects, for tests of labels; imported by processes that are killed too."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, event

from active_learning.rounds.label_csv import ImportOptions, import_labels
from annotator.core.objects import ImageObjects, objects_from_labels
from annotator.study.objects_file import ImageFeatures, Proposals, pack
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from features.table import FeatureTable

ID, OTHER = "0123456789abcdef", "fedcba9876543210"


def stripes(*widths: int, height: int = 4) -> NDArray[np.int32]:
    """Objects 1, 2, 3 ... side by side, of these widths."""
    return np.repeat(np.arange(1, len(widths) + 1, dtype=np.int32), widths)[None].repeat(height, 0)


def add_objects(
    study: Study, labels: NDArray[np.int32], source: str = "in/a.png", image_id: str = ID
) -> KnownImage:
    """Make an image of a study known and give it the objects of a label map."""
    image = study.register(image_id, source, (labels.shape[0], labels.shape[1]), None, ())
    set_objects(study, image, objects_from_labels(image.id, labels), "look 1")
    return image


def set_objects(study: Study, image: KnownImage, objects: ImageObjects, key: str) -> None:
    """Give an image other objects, as other settings would."""
    table = FeatureTable(
        np.full(len(objects), image.id, "U16"),
        objects.ids,
        np.arange(len(objects), dtype=np.float64)[:, None],
        ("number",),
        "f" * 16,
    )
    described = ImageFeatures(key, objects, table, (0.0, 1.0, 0.0), 0, np.ones(objects.shape, bool))
    data = pack(Proposals(key, objects), described)
    path = study.objects_path(image)
    path.write_bytes(data)


@contextmanager
def only_readable(study: Path) -> Iterator[Path]:
    """A copy of a study that this process, also when it is root, may only read."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(shutil.copytree(study, Path(folder) / "study"))
        for place in (path, *path.rglob("*")):
            place.chmod(0o555 if place.is_dir() else 0o444)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield path
        finally:
            if root:
                os.seteuid(0)
            for place in (path, *(p for p in path.rglob("*") if p.is_dir())):
                place.chmod(0o755)


def rows(*lines: str) -> str:
    """A CSV file with these rows."""
    return "\n".join(["image,object,class,author", *lines, ""])


def label_rows(database: Path) -> list[tuple[object, ...]]:
    """What really stands in the table of labels."""
    with sqlite3.connect(database) as connection:
        found = connection.execute("SELECT * FROM labels ORDER BY id").fetchall()
    connection.close()
    return found


def import_and_die(study: Path, file: Path, step: int, told: Connection) -> None:
    """Import a CSV file, and be killed before the given statement or commit.

    Tells True where the import came to its end before that.
    """
    left = step

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    with Study.open(study) as opened:
        for name in ("before_cursor_execute", "commit"):
            event.listen(Engine, name, count)
        import_labels(opened, file, ImportOptions(author="eva"))
    told.send(True)


def import_and_tell(study: Path, file: Path, told: Connection) -> None:
    """Import a CSV file, telling when it begins."""
    with Study.open(study) as opened:
        told.send("begins")
        import_labels(opened, file, ImportOptions(author="eva"))
