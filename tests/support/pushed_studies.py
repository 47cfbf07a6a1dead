"""Studies with pictures and rough annotations, for tests of pushing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.label_maps import LabelMaps, compact
from annotator.core.objects import Image
from annotator.imaging.codecs import encode_png, encode_rgb_png
from annotator.study.cvat import map_digest
from annotator.study.rough import Annotation, KnownImage, RoughFiles
from annotator.study.study import Study
from export.cvat.client.labels import LabelIds
from export.cvat.client.retries import RetryPolicy
from export.cvat.client.shapes import difference, digest, paint_frame
from support.fake_cvat import FakeCvat

SHAPE = (36, 48)
CALM = RetryPolicy(attempts=3, pause_s=0.0)
"""Tries three times, without waiting."""


def rough_map(seed: int, shape: tuple[int, int] = SHAPE, objects: int = 6) -> LabelMaps:
    """Cell with background, open pixels, and fat and bone, some in parts and with holes."""
    rng = np.random.default_rng(seed)
    classes = np.full(shape, CELL, np.uint8)
    instances = np.zeros(shape, np.int32)
    classes[:3], classes[-2:, :9] = BG, UNLABELLED
    for number in range(1, objects + 1):
        y, x = rng.integers(0, shape[0] - 5), rng.integers(0, shape[1] - 5)
        where = slice(y, y + 5), slice(x, x + 5)
        some = rng.random((5, 5)) < 0.9
        classes[where][some] = FAT if number % 3 else BONE
        instances[where][some] = number
    return LabelMaps(classes, instances)


def set_rough(study: Study, image: KnownImage, rough: LabelMaps) -> None:
    """Give an image a rough annotation, as annotate does."""
    files = RoughFiles(encode_png(rough.classes), encode_png(compact(rough.instances)), b"x")
    count = int(compact(rough.instances).max())
    sure = tuple(round(0.5 + k / (2 * count + 1), 3) for k in range(count))
    known = Annotation(
        "look", "judge", "superpixel", "none", {}, None, count, {}, (), 0.0, confidence=sure
    )
    study.rough.save(image, files, known)


def add_picture(study: Study, number: int, rough: bool = True) -> KnownImage:
    """A picture beside the study, known to it, with a rough annotation."""
    pixels = np.random.default_rng(1000 + number).integers(0, 256, (*SHAPE, 3), np.uint8)
    path = study.path.parent / "patients" / f"Mrs Miller {number}.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode_rgb_png(pixels))
    image = Image.from_pixels(pixels)
    known = study.register(image.id, str(path), SHAPE, None, ())
    if rough:
        set_rough(study, known, rough_map(number))
    return known


def make_study(path: Path, count: int, settings: str = "") -> Study:
    """A study of so many annotated pictures; `settings` are those of [cvat]."""
    Study.create(path).close()
    text = (path / "study.toml").read_text("utf-8")
    head, tail = text.split("[cvat]\n")
    lines = [line for line in tail.splitlines() if line.split(" =")[0] not in settings]
    (path / "study.toml").write_text(f"{head}[cvat]\n{settings}\n" + "\n".join(lines), "utf-8")
    study = Study.open(path)
    for number in range(count):
        add_picture(study, number)
    return study


def assert_all_there(study: Study, server: FakeCvat, images: int = 6, tasks: int = 3) -> None:
    """Every image is on the server once, in the shapes of its rough map, and noted so."""
    full = list(server.task_table.values())
    assert len(full) == tasks
    names = [frame.name for one in full for frame in one.frames]
    known = {f"{image.id}.png": image for image in study.images()}
    assert len(names) == len(set(names)) == images
    assert set(names) <= set(known)
    sent = {one.name: one for one in study.cvat.sent()}
    assert set(sent) == set(names)
    bound = study.cvat.binding()
    assert bound is not None
    labels = LabelIds(server.labels(bound.project_id))
    for one in full:
        for number, frame in enumerate(one.frames):
            image = known[frame.name]
            rough = study.rough.read(image)
            painted = paint_frame(one.shapes, number, rough.shape, labels)
            assert not difference(rough, painted)
            noted = sent[frame.name]
            assert (noted.task_id, noted.frame) == (one.task.id, number)
            assert noted.rough_sha256 == map_digest(rough)
            assert noted.shapes_sha256 == digest(s for s in one.shapes if s.frame == number)
            baseline = study.cvat.baseline(image.id)
            assert baseline is not None
            assert np.array_equal(baseline.classes, rough.classes)
            assert np.array_equal(baseline.instances, rough.instances)


def copy_of(folder: Path, to: Path) -> Study:
    """A copy of a study and of the pictures beside it."""
    shutil.copytree(folder, to)
    study = Study.open(to / "study")
    for image in study.images():
        source = to / "patients" / Path(image.source).name
        study.register(image.id, str(source), image.shape, None, ())
    return study


def full_name(study: Study) -> str:
    return f"Trephine {study.cvat.study_key()}"
