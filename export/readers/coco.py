"""Read COCO as CVAT exports it, ``annotations/instances_*.json``, and as Label Studio does.

The format has no ``z_order``. Where shapes overlap, the later one in the file is taken to lie
on top, which is the order in which CVAT writes them. A rectangle is a box without a
segmentation. Ids can be any numbers: ours and CVAT's start at 1, Label Studio's at 0.

Label Studio puts ``result.json`` at the top of its archive. Its COCO holds less than its JSON:
an outline without holes for what was brushed, an upright box for a turned one, and an image
anew for each annotation of a task.

References
----------
COCO, "Data format", https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from annotator.core.errors import UsageError
from export.readers.corrected import Corrected, Expected, Reading, check_size
from export.readers.doubled_boxes import boxes_note, without_boxes_of_masks
from export.readers.json_files import load_json, numbers_of
from export.readers.labels import LabelReader
from export.readers.painting import Crop, Mark, check_points, crop_of_shape, paint, polygon
from export.readers.rle import crop_of_runs, runs_of_text
from export.readers.zip import Entries

PREFIX = "annotations/instances_"
FORMAT = "COCO 1.0"
_NO_Z = (
    "COCO 1.0 has no z_order: where shapes overlap, the later in the file was taken to lie on "
    "top; CVAT for images 1.1 keeps it"
)


_LABEL_STUDIO = (
    "COCO of Label Studio has no holes, draws what was brushed half a pixel too small and turned "
    "rectangles upright; its export as JSON is exact"
)
_BACKWARDS = (
    "the ids of the annotations run backwards, as datumaro 1.x writes COCO: where shapes overlap, "
    "what lies on top may be reversed; read the file that went into the conversion"
)


def read_coco(
    archive: Entries, names: Sequence[str], expected: Expected, labels: LabelReader
) -> Reading:
    """Read the instances of every subset of an archive.

    Parameters
    ----------
    archive : Entries
    names : sequence of str
        Of the files of annotations in it.
    expected : callable
        Height and width by the name of an image; None for one that the study does not know.
    labels : LabelReader

    Returns
    -------
    Reading
        Its images are read one by one as they are asked for.
    """
    by_hand = not all(name.startswith(PREFIX) for name in names)
    reading = Reading(FORMAT, iter(()), [_NO_Z], by_hand=by_hand)
    reading.images = _all_images(archive, names, expected, labels, reading)
    return reading


def _all_images(
    archive: Entries,
    names: Sequence[str],
    expected: Expected,
    labels: LabelReader,
    reading: Reading,
) -> Iterator[Corrected]:
    for name in names:
        document = load_json(archive.read(name), name)
        try:
            reading.notes.extend(_file_notes(document))
            yield from _Subset(document, name, labels, reading.by_hand).images(expected)
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{name}: not COCO ({error!r})") from error


def _file_notes(document: Mapping[str, Any]) -> Iterator[str]:
    info = document.get("info")
    if isinstance(info, dict) and "Label Studio" in str(info.get("contributor")):
        yield _LABEL_STUDIO
    ids = [annotation.get("id") for annotation in document["annotations"]]
    backwards = len(ids) > 1 and all(type(ident) is int for ident in ids)
    if backwards and all(later < one for one, later in pairwise(ids)):
        yield _BACKWARDS


class _Subset:
    """The images of one file, with the annotations of each."""

    def __init__(
        self, document: Mapping[str, Any], source: str, labels: LabelReader, by_hand: bool
    ) -> None:
        self._source = source
        self._labels = labels
        self._by_hand = by_hand
        self._names = {entry["id"]: str(entry["name"]) for entry in document["categories"]}
        self._entries = document["images"]
        self._by_image: dict[Any, list[Mapping[str, Any]]] = {e["id"]: [] for e in self._entries}
        for annotation in document["annotations"]:
            if annotation["image_id"] not in self._by_image:
                got = annotation["image_id"]
                raise UsageError(f"{source}: an annotation of image {got!r}: none")
            self._by_image[annotation["image_id"]].append(annotation)

    def images(self, expected: Expected) -> Iterator[Corrected]:
        """One after the other."""
        for entry in self._entries:
            name = str(entry["file_name"])
            try:
                yield self._corrected(entry, name, expected)
            except UsageError as error:
                if not self._by_hand:
                    raise
                yield Corrected(name, None, source=self._source, refused=str(error))

    def _corrected(self, entry: Mapping[str, Any], name: str, expected: Expected) -> Corrected:
        frame = expected(name)
        if frame is None:
            return Corrected(name, None, source=self._source)
        size = entry["height"], entry["width"]
        # Label Studio writes null for the size of a picture that it could not open.
        if size != (None, None) or not self._by_hand:
            check_size(name, size, frame)
        source = f"{self._source}, image {entry['id']}" if self._by_hand else self._source
        return self._painted(name, self._by_image[entry["id"]], frame, source)

    def _painted(
        self,
        name: str,
        annotations: Sequence[Mapping[str, Any]],
        frame: tuple[int, int],
        source: str,
    ) -> Corrected:
        marks: list[Mark] = []
        unused: Counter[str] = Counter()
        groups = _groups(annotations)
        for order, annotation in enumerate(annotations):
            mark = self._mark(name, annotation, frame, order, groups.get(_object(annotation), 0))
            if mark is None:
                unused["shape without a pixel"] += 1
            else:
                marks.append(mark)
        marks, boxes = without_boxes_of_masks(marks)
        notes = (boxes_note(boxes),) if boxes else ()
        return Corrected(name, paint(marks, frame), dict(unused), source, notes=notes)

    def _mark(
        self,
        name: str,
        annotation: Mapping[str, Any],
        frame: tuple[int, int],
        order: int,
        group: int,
    ) -> Mark | None:
        what = f"{name}, annotation {annotation.get('id')}"
        category = annotation["category_id"]
        if category not in self._names:
            raise UsageError(f"{what}: expected category {category!r} in the file, got '(none)'")
        try:
            crop = _crop(annotation, frame)
        except UsageError as error:
            raise UsageError(f"{what}: {error}") from error
        if crop is None:
            return None
        code = self._labels.code(self._names[category], name)
        is_box = not annotation.get("segmentation")
        return Mark(code, *crop, order=order, group=group, is_box=is_box)


def _groups(annotations: Sequence[Mapping[str, Any]]) -> dict[Any, int]:
    """A number for each object that is there as an outline, and once more as the box around it.

    CVAT writes a group of shapes as one annotation, so there are no other groups.
    """
    boxes = {_object(one) for one in annotations if not one.get("segmentation")}
    outlines = [_object(one) for one in annotations if one.get("segmentation")]
    doubled = dict.fromkeys(key for key in outlines if key in boxes)
    return {key: number for number, key in enumerate(doubled, start=1)}


def _object(annotation: Mapping[str, Any]) -> tuple[Any, str]:
    """What two annotations of one object have in common: class and box."""
    box = annotation.get("bbox")
    try:
        place = ", ".join(f"{value:.0f}" for value in numbers_of(box))
    except UsageError:
        place = str(box)[:60]
    return annotation["category_id"], place


def _crop(annotation: Mapping[str, Any], frame: tuple[int, int]) -> Crop | None:
    """The pixels of an annotation: run lengths, polygons, or else the box of a rectangle."""
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return _crop_of_rle(segmentation, frame)
    if segmentation:
        rings = [numbers_of(ring) for ring in segmentation]
        for ring in rings:
            check_points(ring, frame)
        return polygon(rings, frame)
    x, y, width, height = numbers_of(annotation["bbox"], 4)
    rotation = numbers_of([annotation.get("attributes", {}).get("rotation", 0.0)])[0]
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
