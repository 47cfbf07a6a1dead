"""The picture at the top of the README: a real field, its rough annotation and its truth.

``make figure`` writes ``docs/figure.png``; the same bytes again for the same versions.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw

from annotator.core.classes import CLASS_NAMES, ClassSchema
from annotator.core.errors import UsageError
from annotator.core.files import write_atomic
from annotator.core.label_maps import LabelMaps, fit_instances
from annotator.demo import Places, copy_real_fields
from annotator.imaging.codecs import decode_png
from annotator.imaging.read import read_image
from annotator.pictures.overlay import font, overlay, thumbnail
from annotator.pipeline.annotate import annotate
from annotator.pipeline.results import AnnotateOptions
from annotator.settings.study import new_study_settings
from annotator.study.study import Study

Pixels = NDArray[np.uint8]

FIELD = "tissue-core"
"""Bone, fat, marrow and slide; where it is from stands in ``annotator/samples/SAMPLES.md``."""
_TITLES = ("background", "fat", "cell", "bone")
_PAPER, _INK = (255, 255, 255), (20, 20, 20)


def main() -> None:
    """Write the picture to where the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the PNG to write")
    out = parser.parse_args().out
    with TemporaryDirectory() as folder:
        places = Places(Path(folder))
        copy_real_fields(places.images, places.truth)
        draw_figure(out, places, FIELD)
    print(f"Made {out}.")


def draw_figure(out: Path, places: Places, name: str) -> None:
    """Write a field, its rough annotation and its truth as a PNG.

    Parameters
    ----------
    out : Path
        The PNG to write.
    places : Places
        Where the images and their truth lie; the study is made there.
    name : str
        Of the field to show; all of them are annotated.

    Raises
    ------
    UsageError
        When `out` is not named like a PNG.
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: expected a name that ends in .png")
    with Study.create(places.study, new_study_settings()) as study:
        annotate(study, [str(places.images)], AnnotateOptions(), lambda step: None)
        sheet = PilImage.fromarray(
            side_by_side(panels(study, places, name), study.settings.classes)
        )
    file = io.BytesIO()
    sheet.quantize(256, dither=PilImage.Dither.NONE).save(file, "PNG", optimize=True)
    write_atomic(out, file.getvalue())


def panels(study: Study, places: Places, name: str) -> list[tuple[str, Pixels]]:
    """Picture a field, then its rough annotation and its truth over it."""
    pixels = np.asarray(read_image(places.images / f"{name}.png", study.settings.read).pixels)
    found = next(image for image in study.images() if image.name == name)
    codes = decode_png((places.truth / f"{name}.png").read_bytes())
    truth = LabelMaps(codes, fit_instances(codes, np.zeros(codes.shape, np.int32)))
    schema = study.settings.classes
    return [
        ("image", pixels),
        ("rough annotation", overlay(pixels, study.rough.read(found), schema)),
        ("truth", overlay(pixels, truth, schema)),
    ]


def side_by_side(
    titled: Sequence[tuple[str, Pixels]], schema: ClassSchema, width: int = 480
) -> Pixels:
    """Set titled pictures of one shape beside each other, `width` px each, and name the colours."""
    small = [(title, thumbnail(p, (width, 10 * width))) for title, p in titled]
    height, gap, head = small[0][1].shape[0], 12, 34
    size = len(small) * width + (len(small) - 1) * gap, height + 2 * head
    sheet = PilImage.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (title, picture) in enumerate(small):
        x = index * (width + gap)
        draw.text((x, 6), title, _INK, font(18))
        sheet.paste(PilImage.fromarray(picture), (x, head))
    _name_colours(draw, height + head, schema)
    return np.asarray(sheet)


def _name_colours(draw: ImageDraw.ImageDraw, top: int, schema: ClassSchema) -> None:
    """Write the names of the classes in one line, each behind a square as the overlay has it."""
    for index, (name, title) in enumerate(zip(CLASS_NAMES, _TITLES, strict=True)):
        x = index * 130
        tint = tuple((value + 2 * 255) // 3 for value in schema.rgb(name))
        draw.rectangle((x, top + 9, x + 16, top + 25), tint)
        draw.text((x + 22, top + 7), title, _INK, font(16))
    draw.text((len(CLASS_NAMES) * 130, top + 7), "no tint: not scored", _INK, font(16))


if __name__ == "__main__":
    main()
