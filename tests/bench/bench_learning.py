"""A round of learning by an earlier commit and by this tree side by side, on one core.

    python tests/bench/bench_learning.py [--objects 25000] [--only retrain|doubts] [--commit NAME]

The bench checks the earlier commit out by itself. ``retrain`` is timed on drawn examples, in the
steps that take its time, by two processes in turns: what else the machine does falls on both.
``doubts`` is timed as the command, start of the program included, on a study of drawn fields at
4 um/px with 24,000 labelled objects. Times are processor time, user and system, with one
thread in every library.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bench_two_commits import COARSE_UM, COMMIT, ONE_THREAD, ROOT, checked_out
from rich.console import Console
from rich.table import Table

OBJECTS, FEATURES, KINDS, IMAGES, PATIENTS = 25_000, 102, 60, 60, 12
STEPS = ("cross_fit", "fit", "importance", "published")
SERVER = Path(__file__).with_name("learning_steps.py")
FIELDS, SHAPE = 12, (500, 840)
# Runs of ``doubts`` by each tree.
TIMES = 3


def draw_examples(path: Path, objects: int, seed: int = 0) -> None:
    """Objects of 60 kinds, each of one class, in 12 patients; 3 % of the labels are wrong."""
    rng = np.random.default_rng(seed)
    centres, class_of = rng.normal(size=(KINDS, FEATURES)), rng.integers(0, 4, KINDS)
    kind, image = rng.integers(0, KINDS, objects), rng.integers(0, IMAGES, objects)
    X = centres[kind] + rng.normal(0, 1.2, (objects, FEATURES))
    X += rng.normal(0, 0.2, (IMAGES, FEATURES))[image]
    # Twelve features are not defined for each object.
    X[:, :12][rng.random((objects, 12)) < 0.08] = np.nan
    codes = class_of[kind].astype(np.uint8)
    wrong = rng.random(objects) < 0.03
    codes[wrong] = rng.integers(0, 4, int(wrong.sum()))
    np.savez(
        path,
        X=X,
        seven=X[:, 20:27] * [100, 1, 1, 1, 1, 10, 10],
        codes=codes,
        images=np.array([f"image-{n:02d}" for n in image]),
        groups=np.array([f"patient-{n % PATIENTS:02d}" for n in image]),
        weights=rng.lognormal(0, 0.6, objects),
    )


def environment(root: Path) -> dict[str, str]:
    """One thread in every library, and the code of this tree."""
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": str(root)}


def steps_of(roots: list[Path], drawn: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each step of a round, by each tree in turn."""
    processes = [
        subprocess.Popen(
            [sys.executable, SERVER, drawn],
            env=environment(root),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for root in roots
    ]
    for step in STEPS:
        answers = []
        for process in processes:
            assert process.stdin is not None and process.stdout is not None
            print(step, file=process.stdin, flush=True)
            answers.append(json.loads(process.stdout.readline()))
        yield step, answers
    for process in processes:
        process.communicate()


def measure_retrain(table: Table, roots: list[Path], objects: int, folder: Path) -> None:
    """Rows of the steps, and of all of them."""
    drawn = folder / "drawn.npz"
    draw_examples(drawn, objects)
    sums = [0.0, 0.0]
    for step, answers in steps_of(roots, drawn):
        earlier, today = (answer["cpu"] for answer in answers)
        sums = [sums[0] + earlier, sums[1] + today]
        table.add_row(step, *(_cell(answer) for answer in answers), f"{earlier / today:.2f}")
    table.add_row("retrain", f"{sums[0]:.1f} s", f"{sums[1]:.1f} s", f"{sums[0] / sums[1]:.2f}")


def _cell(answer: dict[str, Any]) -> str:
    figures = ", ".join(f"{name} {value:.4f}" for name, value in answer["figures"].items())
    return f"{answer['cpu']:.1f} s ({figures})"


def trephine(root: Path, *arguments: object) -> float:
    """Seconds of processor time that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "annotator", *map(str, arguments)],
        env=environment(root),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def learned_study(root: Path, study: Path, images: Path, truth: Path, *asked: str) -> None:
    """A study with a round of learning from the truth of its fields."""
    trephine(root, "init", study)
    trephine(root, "annotate", study, images, "--workers", "1", *asked)
    for path in truth.glob("*.png"):
        (study / "truth" / path.name).write_bytes(path.read_bytes())
    trephine(root, "retrain", study)


def draw_fields(images: Path, truth: Path) -> None:
    """Overviews of cores with 2,000 objects each."""
    from annotator.synthetic.field_files import draw_field
    from annotator.synthetic.settings import PhantomSettings

    for number in range(FIELDS):
        settings = PhantomSettings(
            um_per_px=COARSE_UM,
            shape=SHAPE,
            cellularity=(0.2, 0.3, 0.4, 0.5)[number % 4],
            bone=(0.05, 0.1, 0.15)[number % 3],
            seed=number,
        )
        draw_field(settings, f"p{number}_a.png", images, truth)


def measure_doubts(table: Table, roots: list[Path], folder: Path) -> None:
    """Rows of the commands on the study."""
    images, truth = folder / "images", folder / "truth"
    images.mkdir()
    truth.mkdir()
    draw_fields(images, truth)
    studies = [folder / "earlier", folder / "today"]
    for root, study, asked in zip(roots, studies, ((), ("--network", "none")), strict=True):
        learned_study(root, study, images, truth, *asked)
    runs = [
        [trephine(root, "doubts", study) for root, study in zip(roots, studies, strict=True)]
        for _ in range(TIMES)
    ]
    earlier, today = (median(times) for times in zip(*runs, strict=True))
    table.add_row("doubts", f"{earlier:.1f} s", f"{today:.1f} s", f"{earlier / today:.2f}")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="learning by an earlier commit and this tree")
    parser.add_argument("--commit", default=COMMIT, help=f"the earlier one ({COMMIT})")
    parser.add_argument("--objects", type=int, default=OBJECTS, help=f"to learn from ({OBJECTS})")
    parser.add_argument("--only", choices=("retrain", "doubts"), help="one of the two")
    asked = parser.parse_args()
    table = Table("what", asked.commit, "today", "ratio", title=f"{asked.objects} objects")
    with tempfile.TemporaryDirectory() as place, checked_out(asked.commit) as earlier:
        roots = [earlier, ROOT]
        if asked.only != "doubts":
            measure_retrain(table, roots, asked.objects, Path(place))
        if asked.only != "retrain":
            measure_doubts(table, roots, Path(place))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
