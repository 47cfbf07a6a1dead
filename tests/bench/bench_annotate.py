"""Time of each stage and memory for fields of 1200 x 1920, and what a second worker brings.

Part of ``make bench``. Libraries are held to one thread, so that a stage's seconds are
those of one core. Stages run in a process of their own, whose peak memory is theirs.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

FIELDS = 2
SHAPE = (1200, 1920)


def draw(folder: Path) -> list[Path]:
    """Write phantoms and their mirror images: eight different pictures of two drawings."""
    from annotator.core.objects import Image
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.field_files import image_png
    from annotator.synthetic.settings import phantom_set

    paths = []
    for number, settings in enumerate(phantom_set(FIELDS, SHAPE), start=1):
        pixels = make_phantom(settings).image.pixels
        for flip, flipped in enumerate((pixels, pixels[::-1], pixels[:, ::-1], pixels[::-1, ::-1])):
            paths.append(folder / f"field-{number}-{flip}.png")
            image = Image.from_pixels(np.ascontiguousarray(flipped), settings.um_per_px)
            paths[-1].write_bytes(image_png(image))
    return paths


def stages(paths: list[Path]) -> tuple[dict[str, list[float]], float, float]:
    """Seconds of each stage for each path; memory before and at the peak, MB."""
    from active_learning.seed.seed_model import fit_seed
    from annotator.imaging.appearance import Appearance
    from annotator.imaging.codecs import encode_jpeg, encode_png
    from annotator.imaging.read import read_image
    from annotator.pictures.overlay import overlay
    from annotator.pipeline.steps import classify_image, describe_image, propose
    from annotator.segmentation.superpixel import SuperpixelProposer
    from annotator.settings.study import Settings

    cv2.setNumThreads(1)
    settings, seconds = Settings(), defaultdict[str, list[float]](list)
    proposer = SuperpixelProposer(settings.superpixel)

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        value = work()
        seconds[stage].append(time.perf_counter() - begun)
        return value

    before = peak_mb()
    for path in paths:
        image = timed("read", lambda p=path: read_image(p, settings.read))
        # White, colours and scale are worked out when the proposer first asks for them.
        look = Appearance(image)
        proposed = timed("propose", lambda a=look: propose(a, proposer))
        seen = timed("prune, describe", lambda a=look, p=proposed: describe_image(a, p, settings))
        model = timed("group", lambda s=seen: fit_seed(s.table, settings.seed))
        judged = timed(
            "classify, mask, stitch", lambda s=seen, m=model: classify_image(s, m, settings)
        )
        painted = timed(
            "overlay",
            lambda i=image, j=judged: overlay(i.pixels, j.label_maps, settings.classes),
        )
        timed(
            "encode",
            lambda j=judged, p=painted: (encode_png(j.label_maps.classes), encode_jpeg(p)),
        )
    return dict(seconds), before, peak_mb()


def peak_mb() -> float:
    """Largest memory of this process so far, MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def batch(folder: Path, paths: list[Path], workers: int) -> float:
    """Seconds of a whole batch with so many workers."""
    from annotator.pipeline.annotate import annotate
    from annotator.pipeline.results import AnnotateOptions
    from annotator.study.study import Study

    with Study.create(folder) as study:
        options = AnnotateOptions(workers=workers)
        result = annotate(study, [str(p) for p in paths], options, lambda step: None)
    if result.failures:
        raise RuntimeError(f"the benchmark's own images failed: {result.failures}")
    return result.seconds


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a fresh process, which takes its number of threads from the environment."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def measure() -> list[tuple[str, str, str]]:
    """What was measured, the figure, and what it is held to."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        paths = draw(folder)
        seconds, before, peak = apart(stages, paths[::4])
        rows = [(stage, f"{median(values):.2f} s", "") for stage, values in seconds.items()]
        whole = sum(median(values) for values in seconds.values())
        rows.append(("an image, one core, all stages", f"{whole:.2f} s", "< 6 s"))
        above = f"{peak:.0f} MB, {peak - before:.0f} above the imports"
        rows.append(("peak memory", above, "< 1500 MB"))
        one, two = (apart(batch, folder / f"study-{n}", paths, n) for n in (1, 2))
    return [
        *rows,
        (f"{len(paths)} images, 1 worker", f"{one:.1f} s", ""),
        (
            f"{len(paths)} images, 2 workers",
            f"{two:.1f} s = 1/{one / two:.2f}",
            "1/1.7, idle cores",
        ),
    ]
