"""Time and memory of ``trephine stats`` for fields of 1200 x 1920, measured and kept.

Part of ``make bench``. Fields are phantoms and their mirror images, labelled with their truth;
what 1,000 of them take is worked out from forty.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

FIELDS, COPIES = 2, 20
SHAPE = (1200, 1920)
Row = tuple[str, str, str]


def make(folder: Path, copies: int) -> None:
    """A study of labelled fields, with their pictures beside it."""
    from annotator.core.label_maps import LabelMaps
    from annotator.core.objects import Image
    from annotator.study.study import Study
    from annotator.study.truth import TruthStore, truth_files
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.field_files import image_png
    from annotator.synthetic.settings import phantom_set

    with Study.create(folder / "study") as study:
        for number, settings in enumerate(phantom_set(FIELDS, SHAPE)):
            made = make_phantom(settings)
            maps = LabelMaps(made.classes, made.instances)
            for copy in range(copies):
                # Brighter by one grey level here and there: other pixels, the same work.
                pixels = np.array(made.image.pixels)
                pixels[copy, :50] ^= 1
                image = Image.from_pixels(pixels, settings.um_per_px)
                path = folder / f"{number}-{copy}.png"
                path.write_bytes(image_png(image))
                known = study.register(image.id, str(path), image.shape, settings.um_per_px, ())
                TruthStore(study.path).save(known.name, truth_files(maps))


def run(folder: Path, workers: int, images: int) -> tuple[float, float, float]:
    """Seconds by the clock, seconds of all cores, and the most MB of one process."""
    from annotator.measurements.table import dataset
    from annotator.study.study import Study

    cv2.setNumThreads(1)
    (folder / "study" / "report" / "measured.json").unlink(missing_ok=True)
    begun, cpu = time.perf_counter(), cpu_seconds()
    with Study.open(folder / "study") as study:
        found = dataset(study, workers=workers)
    if len(found.rows) != images or found.faults:
        raise RuntimeError(f"the benchmark's own images failed: {found.faults[:3]}")
    return time.perf_counter() - begun, cpu_seconds() - cpu, peak_mb()


def again(folder: Path) -> float:
    """Seconds of a run in which everything is kept already."""
    from annotator.measurements.table import dataset
    from annotator.study.study import Study

    begun = time.perf_counter()
    with Study.open(folder / "study") as study:
        dataset(study)
    return time.perf_counter() - begun


def cpu_seconds() -> float:
    """Of this process and of those it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_mb() -> float:
    """Largest memory of this process so far, MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def measure() -> list[Row]:
    """What was measured, the figure, and what it is held to."""
    from bench_annotate import apart

    images = FIELDS * COPIES
    with tempfile.TemporaryDirectory() as place:
        few, folder = Path(place) / "few", Path(place) / "all"
        for where, copies in ((few, 1), (folder, COPIES)):
            where.mkdir()
            # Apart: a process begins with the peak of the one that started it.
            apart(make, where, copies)
        _, _, small = apart(run, few, 1, FIELDS)
        one, cpu, peak = apart(run, folder, 1, images)
        two, _, _ = apart(run, folder, 2, images)
        kept = apart(again, folder)
    per_image = f"{1000 * cpu / images:.0f} ms of a core an image"
    return [
        (f"stats, {images} images, 1 worker", f"{one:.1f} s; {per_image}", "< 180 ms"),
        (f"stats, {images} images, 2 workers", f"{two:.1f} s", ""),
        ("stats, 1,000 images, 2 cores", f"{1000 * cpu / images / 2:.0f} s", "< 90 s, idle cores"),
        ("stats again", f"{kept:.2f} s", ""),
        (
            f"stats, peak memory, {FIELDS} and {images} images",
            f"{small:.0f}, {peak:.0f} MB",
            "does not grow",
        ),
    ]
