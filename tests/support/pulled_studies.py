"""Studies with rough annotations, and archives of corrected ones, for tests of pulling."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import CELL, CLASS_NAMES, FAT
from annotator.core.label_maps import LabelMaps, compact
from annotator.imaging.codecs import encode_png
from annotator.study.rough import Annotation, KnownImage, RoughFiles
from annotator.study.study import Study
from export.readers.rle import encode
from export.shapes import shapes

RECORDED = Path(__file__).parents[1] / "data" / "cvat"
SHAPE = (90, 120)


def field(shape: tuple[int, int] = SHAPE) -> LabelMaps:
    """Cell with two fat instances, one with a hole."""
    classes = np.full(shape, CELL, np.uint8)
    instances = np.zeros(shape, np.int32)
    for number, (y, x) in enumerate(((10, 10), (10, 50)), start=1):
        classes[y : y + 20, x : x + 20] = FAT
        instances[y : y + 20, x : x + 20] = number
    classes[15:18, 15:18], instances[15:18, 15:18] = CELL, 0
    return LabelMaps(classes, instances)


def add_image(
    study: Study, source: str = "in/tile_001.png", rough: LabelMaps | None = None, number: int = 1
) -> KnownImage:
    """Make an image known, with a rough annotation."""
    rough = rough or field()
    image = study.register(f"{number:016x}", source, rough.shape, None, ())
    files = RoughFiles(encode_png(rough.classes), encode_png(compact(rough.instances)), b"x")
    known = Annotation("look", "judge", "superpixel", "none", {}, None, 2, {}, (), 0.0)
    study.rough.save(image, files, known)
    return image


def xml_of(image: str, label_maps: LabelMaps) -> str:
    """A map as the XML that CVAT exports when it holds our shapes."""
    height, width = label_maps.shape
    lines = [f'<image id="0" name="{image}" width="{width}" height="{height}">']
    for z_order, one in enumerate(shapes(label_maps)):
        x0, y0, x1, y1 = one.box
        runs = ", ".join(map(str, encode(one.mask)))
        lines.append(
            f'<mask label="{CLASS_NAMES[one.code]}" source="auto" rle="{runs}" left="{x0}" '
            f'top="{y0}" width="{x1 - x0}" height="{y1 - y0}" z_order="{z_order}"></mask>'
        )
    return "\n".join([*lines, "</image>"])


def archive_of(path: Path, *images: str) -> Path:
    """An export of "CVAT for images 1.1"."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", f"<annotations>{''.join(images)}</annotations>")
    return path


def changed(label_maps: LabelMaps, *blocks: tuple[int, int, int, int, int, int]) -> LabelMaps:
    """The map with blocks ``y0 y1 x0 x1`` of another class and instance."""
    classes, instances = label_maps.classes.copy(), label_maps.instances.copy()
    for y0, y1, x0, x1, code, number in blocks:
        classes[y0:y1, x0:x1], instances[y0:y1, x0:x1] = code, number
    return LabelMaps(classes, instances)


def truth_of(study: Study, image: KnownImage) -> NDArray[np.uint8]:
    """The corrected mask of an image; there must be one."""
    found = study.labels.truth(image.name, image.shape)
    assert found is not None
    return found
