"""Fields drawn in several processes, written as PNG beside their truth.

Each process imports this module anew: it needs no more than drawing does.
"""

from __future__ import annotations

import io
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PilImage

from annotator.core.files import write_atomic
from annotator.core.objects import Image
from annotator.core.progress import OnProgress, Progress
from annotator.imaging.codecs import encode_png
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings


def draw_fields(
    images: Path,
    truth: Path,
    fields: Sequence[PhantomSettings],
    workers: int,
    on_progress: OnProgress,
) -> None:
    """Write images and truth of phantoms, in `workers` processes.

    Parameters
    ----------
    images, truth : Path
        Folders; ``field-1.png`` ... come into each.
    fields : sequence of PhantomSettings
    workers : int
    on_progress : callable
        Told of every field that is drawn.
    """
    jobs = [(f, f"field-{number}.png", images, truth) for number, f in enumerate(fields, start=1)]
    for done, name in enumerate(_in_processes(jobs, workers), start=1):
        # No estimate: the longer part of the run comes after this.
        on_progress(Progress("drawing fields", done, len(jobs), name, None))


def _in_processes(
    jobs: Sequence[tuple[PhantomSettings, str, Path, Path]], workers: int
) -> Iterator[str]:
    """Yield names as they are drawn; in this process where one worker is enough."""
    if workers == 1 or len(jobs) == 1:
        yield from (draw_field(*job) for job in jobs)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), multiprocessing.get_context("spawn"), _one_thread
    )
    try:
        waiting: list[Future[str]] = [pool.submit(draw_field, *job) for job in jobs]
        yield from (future.result() for future in as_completed(waiting))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    cv2.setNumThreads(1)


def draw_field(settings: PhantomSettings, name: str, images: Path, truth: Path) -> str:
    """Write one phantom and its truth; return its name."""
    phantom = make_phantom(settings)
    write_atomic(images / name, image_png(phantom.image))
    write_atomic(truth / name, encode_png(np.asarray(phantom.classes)))
    return name.removesuffix(".png")


def image_png(image: Image) -> bytes:
    """Write pixels and their size as PNG; the size is in ``pHYs``, pixels per metre."""
    file = io.BytesIO()
    scale = {} if image.um_per_px is None else {"dpi": (25400 / image.um_per_px,) * 2}
    PilImage.fromarray(np.asarray(image.pixels)).save(file, "PNG", compress_level=4, **scale)
    return file.getvalue()
