"""Small annotated studies with masks that are known, for tests of the learning loop."""

from __future__ import annotations

import csv
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from sqlalchemy import Engine, event

from active_learning.rounds.retrain import RetrainOptions, retrain
from annotator.core.progress import silent
from annotator.imaging.codecs import encode_png
from annotator.pipeline.annotate import annotate
from annotator.pipeline.results import AnnotateOptions
from annotator.study.study import Study
from support.pipeline_fakes import BandSource, field

QUICK = """
[train]
folds = 3
inner_folds = 2
search_rows = 200
resamples = 100
importance_rows = 50
"""
TRUTH = RetrainOptions("truth", "eva", published=False)


def make_pictures(folder: Path, count: int, first: int = 0) -> Path:
    """Drawn fields, and for each a mask: discs are fat, one in three has bone below."""
    for name in ("in", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        pixels = field(number)
        codes = np.where(pixels.min(axis=2) > 200, 1, 2).astype(np.uint8)
        if number % 3 == 0:
            pixels[48:] = (235, 120, 190)
            codes[48:] = 3
        name = f"p{number // 2}_{number}.png"
        cv2.imwrite(str(folder / "in" / name), pixels[..., ::-1])
        (folder / "masks" / name).write_bytes(encode_png(codes))
    return folder


def make_study(folder: Path, count: int = 8, settings: str = QUICK) -> Path:
    """A study of drawn fields in ``study/``, annotated; pictures and masks lie beside it."""
    make_pictures(folder, count)
    study = folder / "study"
    study.mkdir()
    Study.create(study).close()
    (study / "study.toml").write_text(settings, "utf-8")
    annotate_all(study)
    return study


def annotate_all(study: Path) -> int:
    """Annotate what lies beside a study; how many images were done."""
    with Study.open(study) as opened:
        inputs = [str(study.parent / "in")]
        result = annotate(opened, inputs, AnnotateOptions(), lambda _: None, BandSource())
    assert result.failures == ()
    return len(result.rows) - result.skipped


def copy_of(study: Path, target: Path) -> Path:
    """A study of one's own; the pictures stay where they are."""
    return Path(shutil.copytree(study, target))


def give_truth(study: Path, masks: Path, *numbers: int) -> None:
    """Put the masks of some fields into ``truth/``."""
    for number in numbers:
        name = f"p{number // 2}_{number}.png"
        shutil.copy(masks / name, study / "truth" / name)


@contextmanager
def before_each_step(study: Path, act: Callable[[int], None]) -> Iterator[Study]:
    """Open a study, and act before each step of storing a round, with the step's number.

    Steps are the halves of each write of a file, and after the first of these each
    statement and each commit.
    """
    done = 0

    def step(*_: object) -> None:
        nonlocal done
        done += 1
        act(done)

    def write(path: Path, data: bytes) -> None:
        if not event.contains(Engine, "commit", step):
            for name in ("before_cursor_execute", "commit"):
                event.listen(Engine, name, step)
        step()
        path.write_bytes(data[: len(data) // 2])
        step()
        path.write_bytes(data)

    try:
        with Study.open(study, write) as opened:
            yield opened
    finally:
        for name in ("before_cursor_execute", "commit"):
            if event.contains(Engine, name, step):
                event.remove(Engine, name, step)


def retrain_and_die(study: Path, step: int) -> None:
    """Retrain, and be killed before the given step of storing the round."""

    def die(number: int) -> None:
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)

    with before_each_step(study, die) as opened:
        retrain(opened, TRUTH, silent)


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
