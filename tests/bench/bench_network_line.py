"""What a segmentation network adds to annotating: time and memory, with it against without it.

Part of ``make bench``. The same images are annotated with and without, in turns and each
time in a process of its own, so that other work on the machine falls on both.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import cv2
from bench_annotate import apart, draw, peak_mb

TURNS = 3
LONGEST, LARGEST_MB = 1.3, 500


def annotated(folder: Path, paths: list[Path], network: str) -> tuple[float, float, float]:
    """CPU seconds of an image, those of the network alone, and the peak of memory, MB."""
    from annotator.pipeline.annotate import annotate
    from annotator.pipeline.results import AnnotateOptions
    from annotator.study.study import Study

    cv2.setNumThreads(1)
    with Study.create(folder) as study:
        options = AnnotateOptions(network=network)
        result = annotate(study, [str(path) for path in paths], options, lambda step: None)
    if result.failures:
        raise RuntimeError(f"the benchmark's own images failed: {result.failures}")
    asked = median(row.stage_seconds.get("network", 0.0) for row in result.rows)
    return median(row.seconds for row in result.rows), asked, peak_mb()


def measure() -> list[tuple[str, str, str]]:
    """What was measured, the figure, and what it is held to."""
    found: dict[str, list[tuple[Any, ...]]] = {"none": [], "starter": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        paths = draw(folder)[::4]
        for turn in range(TURNS):
            for network, runs in found.items():
                study = folder / f"{network}-{turn}"
                runs.append(apart(annotated, study, paths, network))
    without, with_it = (
        [median(values) for values in zip(*found[network], strict=True)]
        for network in ("none", "starter")
    )
    return [
        ("an image without a network", f"{without[0]:.2f} s", ""),
        ("an image with the starter", f"{with_it[0]:.2f} s", ""),
        ("the network alone", f"{with_it[1]:.2f} s", "< 1 s, quiet core"),
        ("with against without", f"{with_it[0] / without[0]:.2f}", f"< {LONGEST}"),
        ("memory more", f"{with_it[2] - without[2]:.0f} MB", f"< {LARGEST_MB} MB"),
    ]
