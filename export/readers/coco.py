"""Read "COCO 1.0" as CVAT exports it: ``annotations/instances_*.json``.

The format has no ``z_order``. Where shapes overlap, the later one in the file is taken to lie
on top, which is the order in which CVAT writes them. A rectangle is a box without a
segmentation.

References
----------
COCO, "Data format", https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from annotator.core.errors import UsageError
from export.readers.corrected import Corrected, Expected, Reading, check_size, code_of
from export.readers.painting import Crop, Mark, check_points, crop_of_shape, paint, polygon
from export.readers.rle import crop_of_runs, runs_of_text
from export.readers.zip import Unzipped

PREFIX = "annotations/instances_"
FORMAT = "COCO 1.0"
_NO_Z = (
    "COCO 1.0 has no z_order: where shapes overlap, the later in the file was taken to lie on "
    "top; CVAT for images 1.1 keeps it"
)


def read_coco(archive: Unzipped, expected: Expected) -> Reading:
    """Read the instances of every subset of an archive.

    Parameters
    ----------
    archive : Unzipped
    expected : callable
        Height and width by the name of an image; None for one that the study does not know.

    Returns
    -------
    Reading
        Its images are read one by one as they are asked for.
    """
    names = [n for n in archive.names if n.startswith(PREFIX) and n.endswith(".json")]
    reading = Reading(FORMAT, iter(()), [_NO_Z])
    reading.images = _all_images(archive, names, expected)
    return reading


def _all_images(archive: Unzipped, names: Sequence[str], expected: Expected) -> Iterator[Corrected]:
    for name in names:
        document = _load(archive.read(name), name)
        try:
            yield from _images(document, name, expected)
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{name}: not COCO as CVAT writes it ({error!r})") from error


def _load(data: bytes, name: str) -> dict[str, Any]:
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not the JSON that CVAT writes ({error})") from error
    if not isinstance(document, dict):
        raise UsageError(f"{name}: expected an object with images and annotations, got another")
    return document


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _images(document: Mapping[str, Any], source: str, expected: Expected) -> Iterator[Corrected]:
    labels = {entry["id"]: str(entry["name"]) for entry in document["categories"]}
    by_image: dict[Any, list[Mapping[str, Any]]] = {e["id"]: [] for e in document["images"]}
    for annotation in document["annotations"]:
        if annotation["image_id"] not in by_image:
            raise UsageError(f"{source}: an annotation of image {annotation['image_id']!r}: none")
        by_image[annotation["image_id"]].append(annotation)
    for entry in document["images"]:
        name = str(entry["file_name"])
        frame = expected(name)
        if frame is None:
            yield Corrected(name, None, source=source)
            continue
        check_size(name, (entry["height"], entry["width"]), frame)
        yield _image(name, by_image[entry["id"]], labels, frame, source)


def _image(
    name: str,
    annotations: Sequence[Mapping[str, Any]],
    labels: Mapping[Any, str],
    frame: tuple[int, int],
    source: str,
) -> Corrected:
    marks: list[Mark] = []
    unused: Counter[str] = Counter()
    for order, annotation in enumerate(annotations):
        what = f"{name}, annotation {annotation.get('id')}"
        code = code_of(labels.get(annotation["category_id"], "(none)"), what)
        try:
            crop = _crop(annotation, frame)
        except UsageError as error:
            raise UsageError(f"{what}: {error}") from error
        if crop is None:
            unused["shape without a pixel"] += 1
        else:
            # CVAT writes a group of shapes as one annotation, so there are no groups here.
            marks.append(Mark(code, *crop, order=order))
    return Corrected(name, paint(marks, frame), dict(unused), source)


def _crop(annotation: Mapping[str, Any], frame: tuple[int, int]) -> Crop | None:
    """The pixels of an annotation: run lengths, polygons, or else the box of a rectangle."""
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return _crop_of_rle(segmentation, frame)
    if segmentation:
        rings = [_numbers(ring) for ring in segmentation]
        for ring in rings:
            check_points(ring, frame)
        return polygon(rings, frame)
    x, y, width, height = _numbers(annotation["bbox"], 4)
    rotation = _numbers([annotation.get("attributes", {}).get("rotation", 0.0)])[0]
    return crop_of_shape("rectangle", [x, y, x + width, y + height], frame, rotation)


def _crop_of_rle(rle: Mapping[str, Any], frame: tuple[int, int]) -> Crop | None:
    if list(rle["size"]) != list(frame):
        raise UsageError(f"expected a mask of height and width {list(frame)}, got {rle['size']}")
    counts = rle["counts"]
    if isinstance(counts, str):
        return crop_of_runs(runs_of_text(counts.encode()), frame)
    if not all(type(run) is int and abs(run) < 2**53 for run in counts):
        raise UsageError("expected whole numbers as run lengths")
    return crop_of_runs(np.array(counts, np.int64), frame)


def _numbers(values: Any, count: int | None = None) -> list[float]:
    known = isinstance(values, list) and all(type(v) in (int, float) for v in values)
    if not known or (count is not None and len(values) != count):
        raise UsageError(f"expected {count or 'only'} numbers, got {str(values)[:60]}")
    try:
        return [float(value) for value in values]
    except OverflowError as error:
        raise UsageError("expected numbers of a picture, got one beyond any") from error
