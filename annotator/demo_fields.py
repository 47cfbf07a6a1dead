"""The synthetic fields of the demonstration: drawn in several processes, written as PNG.

A module of its own, because each process imports it anew.
"""

from __future__ import annotations

import io
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PilImage

from annotator.core.files import write_atomic
from annotator.core.objects import Image
from annotator.core.progress import Progress
from annotator.imaging.codecs import encode_png
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings


@dataclass(frozen=True, slots=True)
class Places:
    """Where the demonstration puts things."""

    folder: Path

    @property
    def images(self) -> Path:
        """The synthetic fields."""
        return self.folder / "images"

    @property
    def truth(self) -> Path:
        """Their exact classes: PNG of the same names."""
        return self.folder / "truth"

    @property
    def study(self) -> Path:
        """The study with the rough annotations."""
        return self.folder / "study"

    @property
    def archive(self) -> Path:
        """The rough annotations as PASCAL VOC."""
        return self.study / "exports" / "voc.zip"


def draw_fields(
    places: Places,
    fields: Sequence[PhantomSettings],
    workers: int,
    on_progress: Callable[[Progress], None],
) -> None:
    """Write images and truth of phantoms, in `workers` processes."""
    jobs = [(f, f"field-{number}", places) for number, f in enumerate(fields, start=1)]
    for done, name in enumerate(_in_processes(jobs, workers), start=1):
        # No estimate: the longer part of the run comes after this.
        on_progress(Progress("drawing fields", done, len(jobs), name, None))


def _in_processes(
    jobs: Sequence[tuple[PhantomSettings, str, Places]], workers: int
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


def draw_field(settings: PhantomSettings, name: str, places: Places) -> str:
    """Write one phantom and its truth; return its name."""
    phantom = make_phantom(settings)
    write_atomic(places.images / f"{name}.png", image_png(phantom.image))
    write_atomic(places.truth / f"{name}.png", encode_png(np.asarray(phantom.classes)))
    return name


def image_png(image: Image) -> bytes:
    """Write pixels and their size as PNG; the size is in ``pHYs``, pixels per metre."""
    file = io.BytesIO()
    scale = {} if image.um_per_px is None else {"dpi": (25400 / image.um_per_px,) * 2}
    PilImage.fromarray(np.asarray(image.pixels)).save(file, "PNG", compress_level=4, **scale)
    return file.getvalue()
