"""The pictures of the report: which images are shown, and how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.class_areas import class_areas
from annotator.core.classes import UNLABELLED
from annotator.core.errors import TrephineError
from annotator.core.label_maps import LabelMaps
from annotator.evaluation.results import ImageFigures, MapEvaluation
from annotator.imaging.codecs import decode_jpeg, encode_jpeg
from annotator.imaging.read import read_image
from annotator.measurements.morphometry import percentages
from annotator.measurements.summary import Dataset
from annotator.pictures.overlay import overlay, thumbnail
from annotator.report.canvas import VERMILION
from annotator.report.page import Block, Note, Panel, Pictures, ShownImage
from annotator.report.section_measurements import width_of
from annotator.report.text import number
from annotator.study.rough import KnownImage
from annotator.study.study import Study

Pixels = NDArray[np.uint8]

_BOX = (480, 360)
_QUALITY = 78
_BEST, _WORST, _RANDOM = 3, 3, 3
_SEED = 20_260
_DIFFERS = tuple(int(VERMILION[at : at + 2], 16) for at in (1, 3, 5))


@dataclass(frozen=True, slots=True)
class ImageSelection:
    """Images that are shown under one title, each with a sentence."""

    title: str
    images: Sequence[tuple[str, str]]


def choose(found: Dataset | None, evaluation: MapEvaluation | None) -> tuple[ImageSelection, ...]:
    """The best, the worst and some images at random; the same for the same images.

    Best and worst by mean Dice where masks were corrected; elsewhere by how far cellularity
    moves with the white reference, since nothing else is known of them.
    """
    sentences = (
        {} if found is None else {row.name: _cellularity(row.cellularity) for row in found.rows}
    )
    sentences |= (
        {} if evaluation is None else {row.name: _agreement(row) for row in evaluation.rows}
    )
    chosen = _by_dice(evaluation) or _by_band(found)
    shown = {name for one in chosen for name, _ in one.images}
    rest = np.array(sorted(sentences.keys() - shown))
    if len(rest):
        drawn = np.random.default_rng(_SEED).permutation(rest)[:_RANDOM].tolist()
        chosen.append(
            ImageSelection("Drawn at random", [(name, sentences[name]) for name in sorted(drawn)])
        )
    return tuple(one for one in chosen if one.images)


def _by_dice(evaluation: MapEvaluation | None) -> list[ImageSelection]:
    rows = [] if evaluation is None else [r for r in evaluation.rows if r.mean_dice is not None]
    named = [(row.name, _agreement(row)) for row in rows]
    worst = named[:_WORST]
    best = named[len(worst) :][::-1][:_BEST]
    title = "by mean Dice with the corrected mask"
    return (
        [ImageSelection(f"Worst {title}", worst), ImageSelection(f"Best {title}", best)]
        if named
        else []
    )


def _by_band(found: Dataset | None) -> list[ImageSelection]:
    known = [
        (
            width,
            row.name,
            f"{_cellularity(row.cellularity)} The band is {number(width)} points wide.",
        )
        for row in (() if found is None else found.rows)
        if (width := width_of(row)) is not None
    ]
    known.sort(key=lambda one: (-one[0], one[1]))
    widest = [(name, text) for _, name, text in known[:_WORST]]
    title = "Cellularity depends most on the white reference"
    return [ImageSelection(title, widest)] if widest else []


def _agreement(row: ImageFigures) -> str:
    return (
        f"Mean Dice {number(row.mean_dice, 3)}; cellularity: corrected "
        f"{number(row.cellularity_truth)} %, rough {number(row.cellularity)} %."
    )


def _cellularity(share: float | None) -> str:
    return "No cellularity." if share is None else f"Cellularity {number(100 * share)} %."


def picture_blocks(study: Study, choices: Sequence[ImageSelection]) -> Iterator[Block]:
    """The chosen images with their pictures; in place of one that cannot be shown, the reason."""
    images = {image.name: image for image in study.images()}
    if not choices:
        yield Note("No image has an annotation yet: run trephine annotate STUDY IMAGES.", "missing")
    for choice in choices:
        shown = []
        for name, text in choice.images:
            try:
                shown.append(ShownImage(name, text, tuple(_panels(study, images[name]))))
            except (TrephineError, OSError, KeyError) as error:
                yield Note(f"{name} cannot be shown: {error}", "fault")
        if shown:
            yield Pictures(choice.title, shown)


def _panels(study: Study, image: KnownImage) -> Iterator[Panel]:
    """The image, its rough annotation, the corrected one, and where they differ."""
    rough, truth = study.rough.read(image), study.truth.read(image.name, image.shape)
    pixels = _pixels(study, image)
    if pixels is not None:
        yield _panel(pixels, "image", f"{image.name}: the field as photographed.")
    schema = study.settings.classes
    for label, label_maps in (("rough", rough), ("corrected", truth)):
        if label_maps is None:
            continue
        if label_maps.shape != image.shape:
            raise TrephineError(f"the {label} mask is {label_maps.shape}, expected {image.shape}")
        picture = schema.palette()[label_maps.classes]
        if pixels is not None:
            picture = overlay(pixels, label_maps, schema)
        elif label == "rough":
            picture = _kept_overlay(study, image, picture)
        yield _panel(picture, label, f"{image.name}, {label} annotation: {_shares(label_maps)}.")
    if truth is not None:
        yield _differences(image.name, pixels, rough, truth)


def _pixels(study: Study, image: KnownImage) -> Pixels | None:
    """The picture where it was read from, if it is still the same."""
    try:
        found = read_image(Path(image.source), study.settings.read)
    except (TrephineError, OSError):
        return None
    return found.pixels if found.id == image.id else None


def _kept_overlay(study: Study, image: KnownImage, otherwise: Pixels) -> Pixels:
    """The overlay in ``rough/``, for a picture that is no longer where it was."""
    path = study.rough.paths(image)[2]
    found = decode_jpeg(path.read_bytes()) if path.is_file() else None
    return otherwise if found is None else found


def _differences(name: str, pixels: Pixels | None, rough: LabelMaps, truth: LabelMaps) -> Panel:
    """Where two maps differ, on a pale grey picture; open pixels of the truth are left out."""
    differs = (rough.classes != truth.classes) & (truth.classes != UNLABELLED)
    ground = np.full((*rough.shape, 3), 235, np.uint8)
    if pixels is not None:
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        ground = np.repeat((128 + grey // 2)[..., None], 3, axis=2).astype(np.uint8)
    ground[differs] = _DIFFERS
    labelled = int((truth.classes != UNLABELLED).sum())
    share = 100 * int(differs.sum()) / labelled if labelled else 0.0
    text = f"{number(share)} % differs"
    return _panel(
        ground, text, f"{name}: {text} between rough and corrected, marked in orange red."
    )


def _shares(label_maps: LabelMaps) -> str:
    shares = percentages(class_areas(label_maps.classes))
    return ", ".join(f"{name} {share:.0f} %" for name, share in shares.items())


def _panel(picture: Pixels, label: str, alt: str) -> Panel:
    small = thumbnail(picture, _BOX)
    return Panel(encode_jpeg(small, _QUALITY), small.shape[1], small.shape[0], label, alt)
