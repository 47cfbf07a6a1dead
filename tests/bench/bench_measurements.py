"""What ``stats`` and ``evaluate`` take an image, by an earlier commit and by this tree.

    python tests/bench/bench_measurements.py [FOLDER_OF_REAL_FIELDS ...]

The earlier commit annotates the fields; both trees then measure the same label maps, and
compare the same maps with them, in turns (see bench_two_commits.py, whose parts this uses).
For evaluating, the maps are moved by three rows; every second truth is open along the
boundaries of its classes, as corrected masks are where nobody was sure. Times are processor
time with one thread. What a command takes without an image (its start, the intervals, the
tables) is taken off: measured as ``stats`` where all is kept, and as ``evaluate`` of one map.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from bench_two_commits import COMMIT, ROOT, Tree, checked_out, drawn_fields, real_fields
from rich.console import Console
from rich.table import Table

MOVED_ROWS, OPEN_PX = 3, 9
STATS = "stats, an image"
STATS_COMMAND = "stats, the whole command"
EVALUATE = "evaluate, an image"
EVALUATE_COMMAND = "evaluate, the whole command"


def annotated(tree: Tree, folder: Path, fields: list[Path]) -> Path:
    """A study with rough label maps of the fields."""
    study = folder / "study"
    if not study.exists():
        tree.annotate(study, *fields)
    return study


def maps_to_compare(rough: Path, folder: Path) -> tuple[Path, Path]:
    """Two folders of label maps: the truth is the rough map, moved, and open here and there."""
    from annotator.imaging.codecs import encode_png

    predicted, truth = folder / "predicted", folder / "truth"
    shutil.copytree(rough, predicted, dirs_exist_ok=True)
    (truth / "instances").mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sorted(predicted.glob("*.png"))):
        codes = np.roll(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), MOVED_ROWS, axis=0)
        instances = predicted / "instances" / path.name
        if number % 2:
            codes[along_boundaries(codes)] = 255
        (truth / path.name).write_bytes(encode_png(codes))
        if instances.exists():
            numbers = cv2.imread(str(instances), cv2.IMREAD_UNCHANGED)
            moved = (np.roll(numbers, MOVED_ROWS, axis=0) * (codes == 1)).astype(np.uint16)
            (truth / "instances" / path.name).write_bytes(encode_png(moved))
    return predicted, truth


def along_boundaries(codes: np.ndarray) -> np.ndarray:
    """A band along the boundaries of all classes, (H, W) bool."""
    around = np.ones((OPEN_PX, OPEN_PX), np.uint8)
    found: np.ndarray = cv2.dilate(codes, around) != cv2.erode(codes, around)
    return found


def first_map(folders: tuple[Path, Path], place: Path) -> tuple[Path, Path]:
    """The first map of both folders alone."""
    for folder in folders:
        target = place / folder.name
        (target / "instances").mkdir(parents=True, exist_ok=True)
        first = min(folder.glob("*.png")).name
        for name in (first, f"instances/{first}"):
            if (folder / name).exists():
                shutil.copy(folder / name, target / name)
    return place / folders[0].name, place / folders[1].name


def measure_stats(tree: Tree, study: Path, images: int) -> None:
    """Measure all images of a study, and once more with everything kept."""
    (study / "report" / "measured.json").unlink(missing_ok=True)
    asked = ("stats", str(study), "--from", "rough", "--workers", "1")
    new, kept = (tree.run(*asked)["cpu"] for _ in range(2))
    tree.note(STATS_COMMAND, new)
    tree.note(STATS, (new - kept) / images)


def measure_evaluate(tree: Tree, few: tuple[Path, Path], many: tuple[Path, Path]) -> None:
    """Compare one pair of maps, and all."""
    spent = []
    for predicted, truth in (few, many):
        out = predicted.parent / f"out-{tree.name}"
        asked = ("--pred", str(predicted), "--truth", str(truth), "--out", str(out))
        spent.append(tree.run("evaluate", *asked, "--worst", "0", "--workers", "1")["cpu"])
    images = len(list(many[0].glob("*.png")))
    tree.note(EVALUATE_COMMAND, spent[1])
    tree.note(EVALUATE, (spent[1] - spent[0]) / (images - 1))


def table(trees: list[Tree], title: str) -> Table:
    """Medians of both trees, and of the ratios round by round."""
    earlier, today = trees
    found = Table("what", COMMIT, "today", "ratio (range)", title=title)
    for what in (STATS, STATS_COMMAND, EVALUATE, EVALUATE_COMMAND):
        before, after = earlier.seconds[what], today.seconds[what]
        ratios = [one / other for one, other in zip(before, after, strict=True)]
        found.add_row(
            what,
            f"{1000 * median(before):.0f} ms",
            f"{1000 * median(after):.0f} ms",
            f"{median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})",
        )
    return found


def measure(asked: Any, folder: Path, root: Path) -> Table:
    """All rounds of both trees."""
    trees = [Tree("earlier", root, None), Tree("today", ROOT, "none")]
    for tree in trees:
        tree.start()
    fields = [*drawn_fields(folder), *real_fields(folder, asked.folders)][:: asked.every]
    studies = [annotated(trees[0], folder, fields), folder / "study-today"]
    if not studies[1].exists():
        shutil.copytree(*studies)
    many = maps_to_compare(studies[0] / "rough", folder)
    few = first_map(many, folder / "few")
    for turn in range(asked.rounds + 1):
        for tree, study in zip(trees, studies, strict=True):
            measure_stats(tree, study, len(fields))
            measure_evaluate(tree, few, many)
            if not turn:
                # Both warm up once.
                tree.seconds.clear()
    for tree in trees:
        tree.process.communicate()
    return table(trees, f"{len(fields)} fields, {asked.rounds} rounds")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="stats and evaluate of two commits")
    parser.add_argument("folders", nargs="*", type=Path, help="folders of real fields, PNG")
    parser.add_argument("--every", type=int, default=1, help="only every so many fields (1)")
    parser.add_argument("--rounds", type=int, default=5, help="of both trees (5)")
    parser.add_argument("--keep", type=Path, help="where the fields and studies stay")
    asked: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, checked_out(COMMIT) as root:
        folder = asked.keep or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        Console(width=120).print(measure(asked, folder, root))


if __name__ == "__main__":
    main()
