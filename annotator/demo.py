"""The demonstration: synthetic fields with exact truth, annotated and compared with it."""

from __future__ import annotations

import io
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from active_learning.seed.seed_model import fit_seed
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import UsageError
from annotator.core.files import write_atomic
from annotator.core.objects import Image
from annotator.core.progress import Progress
from annotator.imaging.appearance import Appearance
from annotator.imaging.codecs import decode_png, encode_png
from annotator.pictures.overlay import classes_picture, figure, overlay, proposals_picture
from annotator.pipeline.annotate import annotate
from annotator.pipeline.results import AnnotateOptions, BatchResult
from annotator.pipeline.steps import classify_image, describe_image, propose
from annotator.segmentation.superpixel import SuperpixelProposer
from annotator.settings.study import Settings
from annotator.study.study import Study, is_study
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings, phantom_set
from export.dataset.export import export_study
from export.shapes import ExportOptions

Dice = dict[str, float | None]

FIELDS = phantom_set(6)
"""The demonstration's fields: 1200 x 1920 px, several magnifications and stains."""
FIGURE = replace(FIELDS[2], shape=(640, 800))
"""The field of the README's picture: bone, fat, marrow and the edge of the slide."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demonstration gave.

    Parameters
    ----------
    result : BatchResult
    dice : dict
        Name of the image -> class -> Dice against the truth, 0..1; None where
        neither has the class.
    places : Places
    """

    result: BatchResult
    dice: dict[str, Dice]
    places: Places


def run_demo(
    folder: Path,
    fields: Sequence[PhantomSettings],
    workers: int,
    on_progress: Callable[[Progress], None],
) -> Demo:
    """Draw the fields, annotate them without any weights, compare, write an archive.

    Can be run again in the same folder: fields are drawn anew, and what is
    annotated already is skipped.

    Raises
    ------
    UsageError
        When the folder holds other things.
    """
    places = Places(folder)
    _refuse_foreign(folder, places)
    draw_fields(places, fields, workers, on_progress)
    with (
        Study.open(places.study) if is_study(places.study) else Study.create(places.study) as study
    ):
        options = AnnotateOptions(workers=workers)
        result = annotate(study, [str(places.images)], options, on_progress)
        dice = score(study, result, places.truth)
        export_study(study, "voc", places.archive, ExportOptions(overwrite=True))
    return Demo(result, dice, places)


def _refuse_foreign(folder: Path, places: Places) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder, or nothing, got a file")
    names = {place.name for place in (places.images, places.truth, places.study)}
    foreign = sorted(p.name for p in folder.glob("*") if p.name not in names)
    if foreign:
        raise UsageError(
            f"{folder}: expected an empty folder or an earlier demo, found {foreign[0]}; "
            "name another folder"
        )


def score(study: Study, result: BatchResult, truth: Path) -> dict[str, Dice]:
    """Compare rough annotations with the truth of the same file names."""
    sources = {row.image_id: Path(row.path).name for row in result.rows}
    return {
        image.name: dice(
            decode_png((truth / sources[image.id]).read_bytes()), study.rough.read(image).classes
        )
        for image in study.images()
        if image.id in sources
    }


def dice(truth: NDArray[np.uint8], found: NDArray[np.uint8]) -> Dice:
    """Dice coefficient of each class, 0..1; None where neither map has it.

    Examples
    --------
    >>> dice(np.array([0, 0, 1, 2], np.uint8), np.array([0, 2, 1, 2], np.uint8))
    {'bg': 0.6666666666666666, 'fat': 1.0, 'cell': 0.6666666666666666, 'bone': None}
    """
    scores: Dice = {}
    for code, name in enumerate(CLASS_NAMES):
        a, b = truth == code, found == code
        both = np.count_nonzero(a) + np.count_nonzero(b)
        scores[name] = float(2 * np.count_nonzero(a & b) / both) if both else None
    return scores


def draw_figure(out: Path, settings: PhantomSettings) -> None:
    """Write the picture of the README: image, proposals, classes, overlay of a phantom.

    Raises
    ------
    UsageError
        When `out` is not named like a PNG.
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: expected a name that ends in .png")
    sheet = PilImage.fromarray(figure(figure_panels(settings)))
    file = io.BytesIO()
    sheet.quantize(256, dither=PilImage.Dither.NONE).save(file, "PNG", optimize=True)
    write_atomic(out, file.getvalue())


def figure_panels(settings: PhantomSettings) -> list[tuple[str, NDArray[np.uint8]]]:
    """Annotate one phantom and picture each step of it."""
    chosen = Settings()
    image = make_phantom(settings).image
    appearance = Appearance(image)
    proposed = propose(appearance, SuperpixelProposer(chosen.superpixel))
    seen = describe_image(appearance, proposed, chosen)
    judged = classify_image(seen, fit_seed(seen.table, chosen.seed), chosen)
    return [
        ("image", np.asarray(image.pixels)),
        ("proposals", proposals_picture(image, seen.objects)),
        ("classes", classes_picture(seen.objects, judged.codes, chosen.classes)),
        ("overlay", overlay(image.pixels, judged.stitched, chosen.classes)),
    ]


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
