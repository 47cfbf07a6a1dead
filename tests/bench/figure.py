"""The picture at the top of the README: one drawn field on its way to a rough annotation.

``make figure`` writes ``docs/figure.png``; the same bytes again for the same versions.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw

from active_learning.seed.seed_model import fit_seed
from annotator.core.classes import ClassSchema
from annotator.core.errors import UsageError
from annotator.core.files import write_atomic
from annotator.core.objects import Image, ImageObjects
from annotator.demo import FIELDS
from annotator.imaging.appearance import Appearance
from annotator.pictures.overlay import font, outlines, overlay, thumbnail
from annotator.pipeline.steps import classify_image, describe_image, propose
from annotator.segmentation.superpixel import SuperpixelProposer
from annotator.settings.study import Settings
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings

Pixels = NDArray[np.uint8]

FIELD = replace(FIELDS[2], shape=(640, 800))
"""Bone, fat, marrow and the edge of the slide."""
_PAPER, _INK = (255, 255, 255), (20, 20, 20)


def main() -> None:
    """Write the picture to where the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the PNG to write")
    out = parser.parse_args().out
    draw_figure(out, FIELD)
    print(f"Made {out}.")


def draw_figure(out: Path, settings: PhantomSettings) -> None:
    """Write image, proposals, classes and overlay of a drawn field as a PNG.

    Raises
    ------
    UsageError
        When `out` is not named like a PNG.
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: expected a name that ends in .png")
    sheet = PilImage.fromarray(side_by_side(panels(settings)))
    file = io.BytesIO()
    sheet.quantize(256, dither=PilImage.Dither.NONE).save(file, "PNG", optimize=True)
    write_atomic(out, file.getvalue())


def panels(settings: PhantomSettings) -> list[tuple[str, Pixels]]:
    """Annotate one drawn field and picture each step of it."""
    chosen = Settings()
    image = make_phantom(settings).image
    appearance = Appearance(image)
    proposals = propose(appearance, SuperpixelProposer(chosen.superpixel))
    seen = describe_image(appearance, proposals, chosen)
    annotation = classify_image(seen, fit_seed(seen.table, chosen.seed), chosen)
    return [
        ("image", np.asarray(image.pixels)),
        ("proposals", proposals_picture(image, seen.objects)),
        ("classes", classes_picture(seen.objects, annotation.codes, chosen.classes)),
        ("overlay", overlay(image.pixels, annotation.label_maps, chosen.classes)),
    ]


def proposals_picture(image: Image, objects: ImageObjects) -> Pixels:
    """Each object in its mean colour with a dark rim; larger ones below, (H, W, 3) uint8."""
    order = np.argsort(-objects.areas(), kind="stable")
    labels = objects.select(order).label_map()
    flat, size = labels.ravel(), len(objects) + 1
    count = np.maximum(np.bincount(flat, minlength=size), 1)
    sums = [np.bincount(flat, image.pixels[..., c].ravel(), size) for c in range(3)]
    means = (np.stack(sums, axis=1) / count[:, None]).astype(np.uint8)
    picture: Pixels = means[labels]
    picture[outlines(labels, 1)] //= 3
    picture[labels == 0] = image.pixels[labels == 0]
    return picture


def classes_picture(objects: ImageObjects, codes: NDArray[np.uint8], schema: ClassSchema) -> Pixels:
    """Each object in the colour of its class with a pale rim, (H, W, 3) uint8."""
    order = np.argsort(-objects.areas(), kind="stable")
    labels = objects.select(order).label_map()
    of_label = np.concatenate([np.zeros(1, np.uint8), codes[order]])
    picture: Pixels = schema.palette()[of_label[labels]]
    picture[labels == 0] = _PAPER
    rim = outlines(labels, 1) & (labels > 0)
    picture[rim] = picture[rim] // 2 + 127
    return picture


def side_by_side(titled: Sequence[tuple[str, Pixels]], width: int = 480) -> Pixels:
    """Set titled pictures of one shape beside each other, `width` px each, arrows between."""
    small = [(title, thumbnail(p, (width, 10 * width))) for title, p in titled]
    height, arrow, head = small[0][1].shape[0], 36, 34
    size = len(small) * width + (len(small) - 1) * arrow, height + head
    sheet = PilImage.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (title, picture) in enumerate(small):
        x = index * (width + arrow)
        draw.text((x, 6), title, _INK, font(18))
        sheet.paste(PilImage.fromarray(picture), (x, head))
        if index:
            draw.text((x - arrow + 8, head + height // 2 - 12), "→", _INK, font(22))
    return np.asarray(sheet)


if __name__ == "__main__":
    main()
