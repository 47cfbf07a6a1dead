"""Studies of small pictures with rough maps that make a server sweat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.label_maps import LabelMaps
from annotator.imaging.codecs import encode_png
from annotator.imaging.read import read_image
from annotator.study.rough import Annotation, KnownImage, RoughFiles
from annotator.study.study import Study
from annotator.study.truth import TruthStore

SIZE = (64, 80)


def crowded(seed: int, size: tuple[int, int] = SIZE, count: int = 150) -> LabelMaps:
    """Objects as small as a pixel, on the border, with holes and in loose parts; some gaps.

    Bone may come in parts far from each other; where objects overlap, the last is on top.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    classes = np.full(size, CELL, np.uint8)
    classes[: height // 8, width // 2 :] = BG
    classes[height // 2 :, : width // 10] = UNLABELLED
    instances = np.zeros(size, np.int32)
    for number in range(1, count + 1):
        side = int(rng.choice([1, 1, 2, 3, 5, 8]))
        code = BONE if number % 4 == 0 else FAT
        for _ in range(2 if code == BONE else 1):
            y, x = int(rng.integers(height)), int(rng.integers(width))
            block = np.s_[y : y + side, x : x + side]
            if side == 5:
                # A hole stays what it was: cell, or another object within this one.
                hole = np.s_[y + 1 : y + 4, x + 1 : x + 4]
                kept = classes[hole].copy(), instances[hole].copy()
            classes[block], instances[block] = code, number
            if side == 5:
                classes[hole], instances[hole] = kept
    return LabelMaps(classes, instances)


def picture(path: Path, seed: int, size: tuple[int, int] = SIZE) -> Path:
    """A picture with a picture's noise; another for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


def add_picture(study: Study, path: Path, rough: LabelMaps) -> KnownImage:
    """Make a picture known to a study, with a rough map; the objects' ids are dense there."""
    image = read_image(path, study.settings.read)
    known = study.register(image.id, str(path), rough.shape, None, ())
    codes, instances = encode_png(rough.classes), encode_png(rough.instances.astype(np.uint16))
    count = int(rough.instances.max(initial=0))
    sure = tuple(np.linspace(0.0, 1.0, count).tolist())
    done = Annotation("look", "judge", "drawn", "none", {}, None, count, {}, (), 0.0, sure)
    study.rough.save(known, RoughFiles(codes, instances, b"x"), done)
    return known


def make_study(folder: Path, maps: Sequence[LabelMaps], settings: str = "", seed: int = 0) -> Path:
    """A study ``folder/study`` of pictures that lie beside it, one for each map."""
    pictures = folder / "Müller, Eva 1950-01-01"
    pictures.mkdir(parents=True)
    path = folder / "study"
    Study.create(path).close()
    (path / "study.toml").write_text(settings, "utf-8")
    with Study.open(path) as study:
        for number, rough in enumerate(maps):
            size = (rough.shape[0], rough.shape[1])
            file = picture(pictures / f"slide {number:02d}.png", 1000 * seed + number, size)
            add_picture(study, file, rough)
    return path


def truths(path: Path) -> dict[str, LabelMaps]:
    """The corrected masks of a study, by the names of the images."""
    with Study.open(path) as study:
        store = TruthStore(study.path)
        found = {image.name: store.read(image.name) for image in study.images()}
    return {name: one for name, one in found.items() if one is not None}


def roughs(path: Path) -> dict[str, LabelMaps]:
    """The rough maps of a study, by the names of the images."""
    with Study.open(path) as study:
        return {image.name: study.rough.read(image) for image in study.images()}


def same_map(one: LabelMaps, other: LabelMaps) -> bool:
    """Whether two maps agree in every pixel, the numbers of the instances included."""
    return bool(
        np.array_equal(one.classes, other.classes)
        and np.array_equal(one.instances, other.instances)
    )
