"""The demonstration: drawn and real fields with their truth, annotated and compared with it.

Drawn fields are made anew and their truth is exact. Real ones are samples of the package:
``samples/SAMPLES.md`` says where they come from, who drew their truth, and their licences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import CLASS_NAMES, UNLABELLED
from annotator.core.errors import UsageError
from annotator.core.files import write_atomic
from annotator.core.progress import OnProgress
from annotator.imaging.codecs import decode_png
from annotator.pipeline.annotate import annotate
from annotator.pipeline.results import AnnotateOptions, BatchResult
from annotator.settings.study import new_study_settings
from annotator.study.study import Study, is_study
from annotator.synthetic.field_files import draw_fields
from annotator.synthetic.settings import PhantomSettings, phantom_set
from export.dataset.export import export_study
from export.shapes import ExportOptions

Dice = dict[str, float | None]

FIELDS = phantom_set(6)
"""The demonstration's drawn fields: 1200 x 1920 px, several magnifications and stains."""
REAL_FIELDS = ("tissue-core", "tissue-fat", "tissue-bone")
"""The demonstration's real fields: a trephine core, adipose tissue, pieces of bone."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demonstration gave.

    Parameters
    ----------
    result : BatchResult
    dice : dict
        Name of the image -> class -> Dice against the truth, 0..1; None where
        neither has the class. Drawn fields come first.
    places : Places
    """

    result: BatchResult
    dice: dict[str, Dice]
    places: Places

    @property
    def kinds(self) -> dict[str, str]:
        """Name of the image -> ``drawn`` or ``real``, in the order of `dice`."""
        return {name: "real" if name in REAL_FIELDS else "drawn" for name in self.dice}


def run_demo(
    folder: Path,
    fields: Sequence[PhantomSettings],
    workers: int,
    on_progress: OnProgress,
) -> Demo:
    """Draw the fields, annotate them and the real ones, compare, write an archive.

    Can be run again in the same folder: fields are drawn anew, and what is
    annotated already is skipped.

    Parameters
    ----------
    folder : Path
        Empty, or that of an earlier demonstration.
    fields : sequence of PhantomSettings
        The drawn ones.
    workers : int
        Processes.
    on_progress : callable
        Told of every field that is drawn, and of every step of the annotation.

    Raises
    ------
    UsageError
        When the folder holds other things.
    """
    places = Places(folder)
    _refuse_foreign(folder, places)
    draw_fields(places.images, places.truth, fields, workers, on_progress)
    copy_real_fields(places.images, places.truth)
    with (
        Study.open(places.study)
        if is_study(places.study)
        else Study.create(places.study, new_study_settings()) as study
    ):
        options = AnnotateOptions(workers=workers)
        result = annotate(study, [str(places.images)], options, on_progress)
        dice = score(study, result, places.truth)
        export_study(study, "voc", places.archive, ExportOptions(overwrite=True))
    return Demo(result, dice, places)


def copy_real_fields(images: Path, truth: Path) -> None:
    """Write the samples of the package, ``NAME.png`` into either folder."""
    samples = files("annotator").joinpath("samples")
    for name in REAL_FIELDS:
        for kind, folder in (("images", images), ("truth", truth)):
            sample = samples.joinpath(kind, f"{name}.png")
            write_atomic(folder / f"{name}.png", sample.read_bytes())


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
    """Compare rough annotations with the truth of the same file names; drawn fields first."""
    sources = {row.image_id: Path(row.path).name for row in result.rows}
    return {
        image.name: dice(
            decode_png((truth / sources[image.id]).read_bytes()), study.rough.read(image).classes
        )
        for image in sorted(study.images(), key=lambda image: image.name in REAL_FIELDS)
        if image.id in sources
    }


def dice(truth: NDArray[np.uint8], found: NDArray[np.uint8]) -> Dice:
    """Dice coefficient of each class, 0..1; None where neither map has it.

    Parameters
    ----------
    truth, found : (H, W) uint8
        Codes of classes. Pixels that are 255 in the truth count for nothing.

    Examples
    --------
    >>> dice(np.array([0, 0, 1, 2], np.uint8), np.array([0, 2, 1, 2], np.uint8))
    {'bg': 0.6666666666666666, 'fat': 1.0, 'cell': 0.6666666666666666, 'bone': None}
    """
    scores: Dice = {}
    scored = truth != UNLABELLED
    for code, name in enumerate(CLASS_NAMES):
        a, b = truth == code, (found == code) & scored
        both = np.count_nonzero(a) + np.count_nonzero(b)
        scores[name] = float(2 * np.count_nonzero(a & b) / both) if both else None
    return scores


@dataclass(frozen=True, slots=True)
class Places:
    """Where the demonstration puts things."""

    folder: Path

    @property
    def images(self) -> Path:
        """The drawn and the real fields."""
        return self.folder / "images"

    @property
    def truth(self) -> Path:
        """Their true classes: PNG of the same names."""
        return self.folder / "truth"

    @property
    def study(self) -> Path:
        """The study with the rough annotations."""
        return self.folder / "study"

    @property
    def archive(self) -> Path:
        """The rough annotations as PASCAL VOC."""
        return self.study / "exports" / "voc.zip"
