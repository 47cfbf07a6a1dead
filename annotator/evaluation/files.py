"""The files of an evaluation: ``evaluation.json``, and pictures of the worst images.

::

    FOLDER/evaluation.json
    FOLDER/evaluation/NAME.jpg
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import TrephineError
from annotator.core.files import remove_leftovers, write_atomic
from annotator.evaluation.counts import Pair, read_maps
from annotator.evaluation.pictures import MapComparison, draw_comparison
from annotator.evaluation.results import ImageFigures, MapEvaluation
from annotator.imaging.codecs import encode_jpeg
from annotator.imaging.read import read_image
from annotator.imaging.slide_region import exists_on_disk
from annotator.pictures.overlay import Pixels
from annotator.settings.study import Settings
from annotator.study.excluded_area import codes_without_excluded

FILE = "evaluation.json"
PICTURES = "evaluation"
WORST = 6
"""Images of which pictures are drawn."""


def save_evaluation(
    evaluation: MapEvaluation, pairs: Sequence[Pair], folder: Path, settings: Settings, worst: int
) -> MapEvaluation:
    """Write an evaluation, with pictures of its worst images.

    Parameters
    ----------
    evaluation : MapEvaluation
    pairs : sequence of Pair
        That it was made from.
    folder : Path
        Pictures of an earlier evaluation there go; nothing else does.
    settings : Settings
        For the colours, and for reading the images.
    worst : int
        Pictures at most.

    Returns
    -------
    MapEvaluation
        With the names of the pictures.

    Raises
    ------
    StorageError
        When the place refuses.
    """
    by_name = {pair.name: pair for pair in pairs}
    pictures, earlier = folder / PICTURES, _earlier(folder / FILE)
    drawn = []
    for row in evaluation.rows[:worst]:
        picture = draw_comparison(_comparison(by_name[row.name], row, settings), settings.classes)
        drawn.append(replace(row, picture=f"{row.name}.jpg"))
        write_atomic(pictures / f"{row.name}.jpg", encode_jpeg(picture))
    saved = replace(evaluation, rows=(*drawn, *evaluation.rows[len(drawn) :]))
    text = json.dumps(saved.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(folder / FILE, (text + "\n").encode("utf-8", "backslashreplace"))
    remove_leftovers(pictures)
    for name in earlier - {row.picture for row in drawn}:
        (pictures / name).unlink(missing_ok=True)
    return saved


def _earlier(file: Path) -> set[str]:
    """Names of the pictures of an earlier evaluation; none where it cannot be read."""
    try:
        rows = json.loads(file.read_text("utf-8"))["rows"]
        names = {str(row["picture"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if name == PurePath(name).name and name.endswith(".jpg")}


def _comparison(pair: Pair, row: ImageFigures, settings: Settings) -> MapComparison:
    truth, _ = read_maps(pair.truth)
    predicted, _ = read_maps(pair.predicted)
    truth = codes_without_excluded(truth, pair.excluded)
    predicted = codes_without_excluded(predicted, pair.excluded)
    return MapComparison(
        pair.name, caption(row), predicted, truth, _pixels(pair, truth.shape, settings)
    )


def _pixels(pair: Pair, shape: tuple[int, ...], settings: Settings) -> Pixels | None:
    """The pixels of the image; None where its file is gone or is another picture by now."""
    if pair.image is None or not exists_on_disk(pair.image):
        return None
    try:
        found = read_image(pair.image, settings.read)
    except TrephineError:
        return None
    same = pair.image_id in ("", found.id) and found.pixels.shape[:2] == shape
    return found.pixels if same else None


def caption(row: ImageFigures) -> str:
    """One line of figures under a picture."""

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}"

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{value:.0f} %"

    dice = ", ".join(f"{name} {share(row.dice[name])}" for name in CLASS_NAMES)
    return (
        f"Dice {dice} · adipocytes F1 {share(row.adipocyte_f1)} · cellularity "
        f"{percent(row.cellularity)}, truth {percent(row.cellularity_truth)}"
    )
