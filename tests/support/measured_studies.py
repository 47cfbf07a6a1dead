"""Studies of drawn fields with their pictures, for tests of the data table and its export."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.label_maps import LabelMaps, compact
from annotator.core.objects import Image
from annotator.imaging.codecs import encode_png
from annotator.study.rough import Annotation, KnownImage, RoughFiles
from annotator.study.study import Study
from annotator.study.truth import TruthStore, truth_files

COLOURS = {BG: 238, FAT: 236, CELL: (140, 70, 150), BONE: (225, 140, 180), UNLABELLED: 150}
SHAPE = (40, 50)


def field(bone: int = 0, unlabelled: int = 0, bg: int = 0) -> LabelMaps:
    """Cell with a fat square of 10 x 10, one of 4 x 5 at the border, and columns of others.

    Of 2,000 pixels 120 are fat; each column of the others holds 40.
    """
    classes = np.full(SHAPE, CELL, np.uint8)
    instances = np.zeros(SHAPE, np.int32)
    classes[10:20, 5:15], instances[10:20, 5:15] = FAT, 1
    classes[0:4, 20:25], instances[0:4, 20:25] = FAT, 2
    classes[:, 50 - bone :], instances[:, 50 - bone :] = BONE, 3
    left = 50 - bone - unlabelled
    classes[:, left : left + unlabelled] = UNLABELLED
    classes[:, left - bg : left] = BG
    instances[classes == BG] = 0
    instances[classes == UNLABELLED] = 0
    return LabelMaps(classes, instances if bone else np.where(instances == 3, 0, instances))


def paint(classes: NDArray[np.uint8], seed: int = 0) -> NDArray[np.uint8]:
    """A picture of a label map, with a little noise, so that no two are the same."""
    pixels = np.zeros((*classes.shape, 3), np.uint8)
    for code, colour in COLOURS.items():
        pixels[classes == code] = colour
    noise = np.random.default_rng(seed).integers(0, 4, pixels.shape)
    return (pixels + noise).astype(np.uint8)


def add(
    study: Study,
    file: str,
    rough: LabelMaps | None,
    truth: LabelMaps | None = None,
    um_per_px: float | None = None,
) -> KnownImage:
    """Write a picture beside the study, make it known, and give it these labels."""
    labels = rough or truth or field()
    pixels = paint(labels.classes, len(study.images()))
    path = study.path.parent / "pictures" / file
    path.parent.mkdir(exist_ok=True)
    done, data = cv2.imencode(".png", pixels[..., ::-1])
    path.write_bytes(data.tobytes() if done else b"")
    image = Image.from_pixels(pixels, um_per_px, ())
    known = study.register(image.id, str(path), image.shape, um_per_px, ())
    if rough is not None:
        files = RoughFiles(encode_png(rough.classes), encode_png(compact(rough.instances)), b"x")
        said = Annotation("look", "judge", "seed", "none", {}, None, 2, {}, (), 0.0)
        study.rough.save(known, files, said)
    if truth is not None:
        TruthStore(study.path).save(known.name, truth_files(truth))
    return known
