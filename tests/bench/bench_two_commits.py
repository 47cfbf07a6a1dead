"""The whole line of an earlier commit and of this tree side by side, on one core.

    python tests/bench/bench_two_commits.py [--network starter] [FOLDER_OF_REAL_FIELDS ...]

The bench checks the earlier commit out by itself. Each tree has a process of its own, which
runs the command line on one image after the other, in turns with the other tree: what else
the machine does falls on both. Times are processor time, user and system, with one thread in
every library; the first image, on which both warm up, is not counted. Memory is the largest
that the process has held (VmHWM), imports included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

COMMIT = "e8308bf"
SHAPE = (1200, 1920)
# Drawn and real fields; among the first six drawn ones are all magnifications and stains.
DRAWN, REAL = 6, 6
COARSE_UM = 4.0
ROOT = Path(__file__).parents[2]
SERVER = Path(__file__).with_name("command_server.py")
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
# The commands on each field, in this order, and the line of study.toml that changes before.
STEPS = {
    "annotate": ("", ""),
    "again, threshold of the cell mask": ("gap_um2 = 60.0", "gap_um2 = 90.0"),
    "again, classes only": ("fragment_px = 16", "fragment_px = 15"),
}


@dataclass(slots=True)
class Tree:
    """A commit's files, the process that runs its command line, and what was measured."""

    name: str
    root: Path
    network: str | None
    process: subprocess.Popen[str] = field(init=False)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_mb: float = 0.0

    def start(self) -> None:
        """Start the process; it answers one line for each line."""
        self.process = subprocess.Popen(
            [sys.executable, SERVER],
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(self.root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> dict[str, float]:
        """Run a command: seconds of processor time and on the clock, and MB at the peak."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(arguments), file=self.process.stdin, flush=True)
        answer: dict[str, float] = json.loads(self.process.stdout.readline())
        if answer["status"]:
            raise RuntimeError(f"{self.name}: trephine {' '.join(arguments)} failed")
        self.peak_mb = answer["peak_mb"]
        return answer

    def annotate(self, study: Path, *images: Path, workers: int = 1) -> dict[str, float]:
        """Annotate images into a study, which is made first where there is none."""
        if not study.exists():
            self.run("init", str(study))
        asked = ["--network", self.network] if self.network else []
        places = [str(path) for path in images]
        return self.run("annotate", str(study), *places, "--workers", str(workers), *asked)

    def note(self, what: str, seconds: float) -> None:
        """Keep one measurement."""
        self.seconds.setdefault(what, []).append(seconds)


def drawn_fields(folder: Path) -> Iterator[Path]:
    """Phantoms of all kinds."""
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.field_files import image_png
    from annotator.synthetic.settings import phantom_set

    for number, settings in enumerate(phantom_set(DRAWN, SHAPE)):
        path = folder / f"drawn-{number}-{settings.um_per_px}.png"
        if not path.exists():
            path.write_bytes(image_png(make_phantom(settings).image))
        yield path


def real_fields(folder: Path, sources: list[Path]) -> Iterator[Path]:
    """Real fields, continued by their mirror image to the size of the drawn ones."""
    found = [path for source in sources for path in sorted(source.glob("*.png"))]
    for path in found[:: max(1, len(found) // REAL)][:REAL]:
        bgr = cv2.imread(str(path))
        rest = [(0, max(0, side - have)) for side, have in zip(SHAPE, bgr.shape, strict=False)]
        target = folder / f"real-{path.name}"
        wide = np.pad(bgr, [*rest, (0, 0)], "symmetric")[: SHAPE[0], : SHAPE[1]]
        cv2.imwrite(str(target), wide)
        yield target


def coarse_field(folder: Path) -> Path:
    """An overview of a core, in which adipocytes are some 14 px wide: 14,000 objects."""
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.field_files import image_png
    from annotator.synthetic.settings import PhantomSettings

    settings = PhantomSettings(um_per_px=COARSE_UM, cellularity=0.3, shape=SHAPE, bone=0.1)
    path = folder / "coarse.png"
    if not path.exists():
        path.write_bytes(image_png(make_phantom(settings).image))
    return path


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """The files of a commit, for as long as the block lasts."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", root, commit], check=True)
        try:
            yield root
        finally:
            subprocess.run([*git, "remove", "--force", root], check=True)


def measure_steps(trees: list[Tree], fields: list[Path], folder: Path) -> None:
    """Each field in a study of its own, by each tree in turn."""
    for path in fields:
        for what, (before, after) in STEPS.items():
            for tree in trees:
                study = folder / tree.name / path.stem
                if before:
                    written = (study / "study.toml").read_text().replace(before, after)
                    (study / "study.toml").write_text(written)
                tree.note(what, tree.annotate(study, path)["cpu"])


def measure_coarse(trees: list[Tree], path: Path, folder: Path) -> None:
    """The field of many small objects."""
    for tree in trees:
        answer = tree.annotate(folder / tree.name / "coarse", path)
        tree.note(f"annotate, {COARSE_UM:.0f} um/px", answer["cpu"])


def measure_workers(tree: Tree, fields: list[Path], folder: Path) -> tuple[float, float]:
    """Seconds on the clock of one worker and of two, on the same fields."""
    one, two = (tree.annotate(folder / f"workers-{n}", *fields, workers=n)["clock"] for n in (1, 2))
    return one, two


def rows(trees: list[Tree]) -> Iterator[tuple[str, ...]]:
    """Medians of both trees, and the median of the ratios field by field."""
    earlier, today = trees
    for what, ours in today.seconds.items():
        theirs = earlier.seconds[what]
        ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
        least = f"{min(ratios):.2f}..{max(ratios):.2f}"
        yield (
            what,
            f"{median(theirs):.2f} s",
            f"{median(ours):.2f} s",
            (f"{median(ratios):.2f} ({least})"),
        )
    yield (
        "peak memory",
        f"{earlier.peak_mb:.0f} MB",
        f"{today.peak_mb:.0f} MB",
        f"{today.peak_mb / earlier.peak_mb:.2f} of it",
    )


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="an earlier commit and this tree side by side")
    parser.add_argument("folders", nargs="*", type=Path, help="folders of real fields, PNG")
    parser.add_argument("--commit", default=COMMIT, help=f"the earlier one ({COMMIT})")
    parser.add_argument("--network", default="none", help="of this tree: none, or starter")
    parser.add_argument("--every", type=int, default=1, help="only every so many fields (1)")
    parser.add_argument("--no-coarse", action="store_true", help="leave the coarse field out")
    parser.add_argument("--workers", action="store_true", help="two workers against one as well")
    parser.add_argument("--keep", type=Path, help="where the fields and studies stay")
    return parser.parse_args()


def measure(asked: argparse.Namespace, folder: Path, root: Path) -> Table:
    """All fields by both trees."""
    trees = [Tree("earlier", root, None), Tree("today", ROOT, asked.network)]
    for tree in trees:
        tree.start()
    coarse = None if asked.no_coarse else coarse_field(folder)
    fields = [*drawn_fields(folder), *real_fields(folder, asked.folders)][:: asked.every]
    for tree in trees:
        tree.annotate(folder / tree.name / "warm", fields[0])
    measure_steps(trees, fields, folder)
    if coarse is not None:
        measure_coarse(trees, coarse, folder)
    title = f"{len(fields)} fields of {SHAPE[0]} x {SHAPE[1]}, network {asked.network}"
    table = Table("what", asked.commit, "today", "ratio (range)", title=title)
    for row in rows(trees):
        table.add_row(*row)
    if asked.workers:
        one, two = measure_workers(trees[1], fields, folder)
        load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores busy"
        table.add_row("workers, on the clock", f"1: {one:.1f} s", f"2: {two:.1f} s", load)
        table.add_row("two against one", "", "", f"{one / two:.2f}")
    for tree in trees:
        tree.process.communicate()
    return table


def main() -> None:
    """Measure and print the table."""
    asked: Any = arguments()
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as place, checked_out(asked.commit) as root:
        folder = asked.keep or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        console.print(measure(asked, folder, root))


if __name__ == "__main__":
    main()
