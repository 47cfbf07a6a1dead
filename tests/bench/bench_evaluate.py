"""Evaluation of maps of 1200 x 1920: seconds an image, and memory that does not grow.

Part of ``make bench``. The maps are phantoms' truth and the same shifted by some pixels,
with adipocytes one by one; mirrored so that all are different.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_annotate import apart, peak_mb

SHAPE = (1200, 1920)
DRAWINGS = 5
IMAGES = 40
GOAL_IMAGES, GOAL_SECONDS = 1000, 90.0
CORES = 2


def draw(place: Path) -> tuple[Path, Path]:
    """Two folders of maps with their instances."""
    import cv2

    from annotator.imaging.codecs import encode_png
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.settings import phantom_set

    folders = place / "predicted", place / "truth"
    for folder in folders:
        (folder / "instances").mkdir(parents=True)
    for number, settings in enumerate(phantom_set(DRAWINGS, SHAPE)):
        codes = make_phantom(settings).classes
        for turn in range(IMAGES // DRAWINGS):
            truth = np.roll(codes[:: (-1) ** turn], 97 * turn, axis=1)
            for folder, one in zip(folders, (np.roll(truth, 3, axis=0), truth), strict=True):
                fat = (one == 1).astype(np.uint8)
                numbers = cv2.connectedComponents(fat, connectivity=4)[1].astype(np.uint16)
                name = f"field-{number}-{turn}.png"
                (folder / name).write_bytes(encode_png(np.ascontiguousarray(one)))
                (folder / "instances" / name).write_bytes(encode_png(numbers))
    return folders


def evaluated(predicted: Path, truth: Path, workers: int) -> tuple[float, float, float]:
    """Seconds of the clock, and CPU seconds and peak memory (MB) of this process."""
    from annotator.evaluation.evaluate import EvaluateOptions, evaluate_folders

    begun = time.perf_counter()
    found = evaluate_folders(predicted, truth, EvaluateOptions(workers=workers))
    seconds = time.perf_counter() - begun
    if found.images != len(list(truth.glob("*.png"))):
        raise RuntimeError(f"the benchmark's own maps failed: {found.faults}")
    used = resource.getrusage(resource.RUSAGE_SELF)
    return seconds, used.ru_utime + used.ru_stime, peak_mb()


def some_of(folders: tuple[Path, Path], count: int, place: Path) -> tuple[Path, Path]:
    """The first few maps of both folders, as links."""
    chosen = place / f"predicted-{count}", place / f"truth-{count}"
    for folder, target in zip(folders, chosen, strict=True):
        (target / "instances").mkdir(parents=True)
        for path in sorted(folder.glob("*.png"))[:count]:
            os.link(path, target / path.name)
            os.link(folder / "instances" / path.name, target / "instances" / path.name)
    return chosen


def measure() -> list[tuple[str, str, str]]:
    """What was measured, the figure, and what it is held to."""
    with tempfile.TemporaryDirectory() as place:
        # Apart: a process starts with the peak of the one that it comes from.
        folders = apart(draw, Path(place))
        few = some_of(folders, IMAGES // 4, Path(place))
        _, cpu_few, peak_few = apart(evaluated, *few, 1)
        one, cpu, peak = apart(evaluated, *folders, 1)
        two, _, _ = apart(evaluated, *folders, CORES)
    each = (cpu - cpu_few) / (IMAGES - IMAGES // 4)
    whole = GOAL_IMAGES * each / CORES
    grown = f"{peak:.0f} MB, {peak - peak_few:+.0f} against {IMAGES // 4} images"
    return [
        ("an image evaluated, CPU", f"{each:.3f} s", f"< {CORES * GOAL_SECONDS / 1000:.2f} s"),
        (
            f"{GOAL_IMAGES} images, {CORES} idle cores, from that",
            f"{whole:.0f} s",
            f"< {GOAL_SECONDS:.0f} s",
        ),
        (f"{IMAGES} images evaluated, peak memory", grown, "flat"),
        (f"{IMAGES} images, 1 worker", f"{one:.1f} s", ""),
        (f"{IMAGES} images, {CORES} workers", f"{two:.1f} s = 1/{one / two:.2f}", ""),
    ]


if __name__ == "__main__":
    for row in measure():
        print(*row, sep="\t")
