"""CPU time and memory of the whole line beside those of an earlier commit.

Part of ``make bench``; alone: ``python tests/bench/bench_line.py [COMMIT]``. The commit is
unpacked into a temporary folder, and both versions annotate the same fields in processes of
their own, in turns: what else the machine does meets both alike. SAM is not asked.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import bench_annotate

BASE = "e8308bf"
ROUNDS = 5
ROOT = Path(__file__).parents[2]

# Runs in either version: with the names of this one, or else with those of e8308bf.
LINE = """
import json, resource, sys, time
from pathlib import Path
import cv2
cv2.setNumThreads(1)
try:
    from annotator.core.workers import import_all
    from annotator.imaging.appearance import Appearance as begin
    from annotator.imaging.read import read_image
    from annotator.pipeline.preload import PRELOAD
    from annotator.pipeline.steps import classify_image, describe_image, propose
    from annotator.segmentation.superpixel import SuperpixelProposer
    from annotator.settings.study import Settings
    from active_learning.seed.seed_model import fit_seed
    load_libraries = lambda: import_all(PRELOAD)
except ModuleNotFoundError:
    from annotator.workers import load_libraries
    from annotator.images import read_image
    from annotator.line import judge as classify_image, look as describe_image, propose
    from annotator.superpixel import SuperpixelProposer
    from annotator.settings import Settings
    from active_learning.seed import fit_seed
    begin = lambda image: image
load_libraries()
settings, seconds = Settings(), []
proposer = SuperpixelProposer(settings.superpixel)
images = [read_image(Path(name), settings.read) for name in sys.argv[1:]]
for image in images:
    begun = time.process_time()
    start = begin(image)
    seen = describe_image(start, propose(start, proposer), settings)
    del start
    seconds.append(time.process_time() - begun)
    classify_image(seen, fit_seed(seen.table, settings.seed), settings)
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


@dataclass(frozen=True, slots=True)
class LineCost:
    """What the fields took, propose to describe, in CPU seconds; and the peak, MB."""

    seconds: float
    peak_mb: float


def unpack(commit: str, folder: Path) -> Path:
    """Put the files of a commit into a folder."""
    packed = subprocess.run(
        ["git", "archive", "--format=tar", commit], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def run_line(tree: Path, paths: list[Path]) -> LineCost:
    """Annotate the fields with the version that lies in a folder."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, "-c", LINE, *map(str, paths)],
        cwd=tree,
        env=os.environ | threads | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, peak = json.loads(done.stdout)
    return LineCost(sum(seconds), peak / (1e6 if sys.platform == "darwin" else 1e3))


def measure(commit: str = BASE, rounds: int = ROUNDS) -> list[tuple[str, str, str]]:
    """What was measured, the figure, and how it compares."""
    with tempfile.TemporaryDirectory() as place:
        old_tree = unpack(commit, Path(place) / "old")
        fields = Path(place) / "fields"
        fields.mkdir()
        paths = bench_annotate.draw(fields)[::4]
        old, new = [], []
        for _ in range(rounds):
            old.append(run_line(old_tree, paths))
            new.append(run_line(ROOT, paths))
    before, now = (median(run.seconds for run in runs) for runs in (old, new))
    peak_before, peak_now = (median(run.peak_mb for run in runs) for runs in (old, new))
    return [
        (
            f"propose to describe, {len(paths)} fields, median of {rounds}",
            f"{now:.2f} s CPU; {commit}: {before:.2f} s",
            f"{now / before:.2f} x its time, < 0.92",
        ),
        (
            "peak memory of the process",
            f"{peak_now:.0f} MB; {commit}: {peak_before:.0f} MB",
            f"{peak_now / peak_before:.2f} x its memory, <= 1",
        ),
    ]


if __name__ == "__main__":
    for row in measure(*sys.argv[1:2]):
        print(*row, sep="; ")
