"""Read "CVAT for images 1.1": ``annotations.xml`` of a task, a job or a project.

It is the only export that keeps everything: masks, polygons to 2 decimals, and ``z_order``.
Shapes have no ids in it; those of one ``z_order`` stand in the order in which the server paints
them.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from lxml import etree

from annotator.core.errors import UsageError
from annotator.core.objects import tight_box
from export.readers.corrected import Corrected, Expected, Reading, check_size
from export.readers.doubled_boxes import boxes_note, without_boxes_of_masks
from export.readers.labels import LabelReader
from export.readers.painting import Crop, Mark, check_points, crop_of_shape, ellipse, paint
from export.readers.rle import decode
from export.readers.zip import Entries

XML_NAME = "annotations.xml"
FORMAT = "CVAT for images 1.1"
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([^"']*)["']""")


def read_cvat(archive: Entries, expected: Expected, labels: LabelReader) -> Reading:
    """Read the XML of an archive.

    Parameters
    ----------
    archive : Entries
    expected : callable
        Height and width by the name of an image; None for one that the study does not know.
    labels : LabelReader

    Returns
    -------
    Reading
        Its images are read one by one as they are asked for.
    """
    reading = Reading(FORMAT, iter(()))
    reading.images = _images(archive.read(XML_NAME), expected, labels, reading)
    return reading


def _images(
    data: bytes, expected: Expected, labels: LabelReader, reading: Reading
) -> Iterator[Corrected]:
    _refuse_entities(data)
    try:
        for element in _elements(data):
            if element.tag == "image":
                yield _image(element, expected, labels)
            else:
                reading.unused["track"] = reading.unused.get("track", 0) + 1
            # A read element is dropped with all before it, so that memory does not grow.
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise UsageError(f"{XML_NAME}: not the XML that CVAT writes ({error.msg})") from error


def _refuse_entities(data: bytes) -> None:
    """Refuse a document type: its entities can grow without end or read other files.

    The bytes are searched for it as UTF-8, so a file in another encoding, in which it would be
    spelled otherwise, is refused as well.
    """
    declared = _DECLARED.match(data.removeprefix(b"\xef\xbb\xbf"))
    name = declared[1].lower() if declared else b"utf-8"
    if name not in (b"utf-8", b"utf8", b"us-ascii") or b"\0" in data[:4096]:
        got = repr(name[:40].decode("ascii", "replace"))
        raise UsageError(f"{XML_NAME}: expected UTF-8, as CVAT writes it, got {got}")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise UsageError(f"{XML_NAME}: refused: it declares a document type or entities")


def _elements(data: bytes) -> Iterator[Any]:
    """The elements ``<image>`` and ``<track>``, each as soon as it is complete."""
    parser = etree.iterparse(
        io.BytesIO(data),
        events=("start", "end"),
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
    )
    depth = 0
    for event, element in parser:
        if event == "start":
            depth += 1
            if depth == 1 and element.tag != "annotations":
                raise UsageError(f"{XML_NAME}: expected <annotations>, got <{element.tag}>")
            continue
        depth -= 1
        if depth == 1 and element.tag in ("image", "track"):
            yield element


def _image(element: Any, expected: Expected, labels: LabelReader) -> Corrected:
    name = _text(element, "name", "an image")
    task = element.get("task_id")
    source = f"task {task}" if task else f"image {element.get('id')}"
    frame = expected(name)
    if frame is None:
        return Corrected(name, None, source=source)
    size = _whole(element, "height", name), _whole(element, "width", name)
    check_size(name, size, frame)
    marks: list[Mark] = []
    unused: Counter[str] = Counter()
    for order, shape in enumerate(element.iterchildren(tag=etree.Element)):
        if shape.tag not in _CROPS:
            unused[str(shape.tag)] += 1
            continue
        mark = _mark(shape, order, name, frame, labels)
        if mark is None:
            unused["shape without a pixel"] += 1
        else:
            marks.append(mark)
    marks, boxes = without_boxes_of_masks(marks)
    notes = (boxes_note(boxes),) if boxes else ()
    return Corrected(name, paint(marks, frame), dict(unused), source, notes=notes)


def _mark(
    shape: Any, order: int, name: str, frame: tuple[int, int], labels: LabelReader
) -> Mark | None:
    what = f"{name}, {shape.tag} {order + 1}"
    label = _text(shape, "label", what)
    try:
        crop = _CROPS[shape.tag](shape, what, frame)
    except UsageError as error:
        raise UsageError(f"{what}: {error}") from error
    if crop is None:
        return None
    z_order = _whole(shape, "z_order", what, 0)
    group = _whole(shape, "group_id", what, 0)
    return Mark(labels.code(label, name), *crop, z_order, order, group, shape.tag == "box")


def _mask(shape: Any, what: str, frame: tuple[int, int]) -> Crop | None:
    left, top, width, height = (
        _whole(shape, key, what) for key in ("left", "top", "width", "height")
    )
    try:
        runs = np.array([int(run) for run in _text(shape, "rle", what).split(",")], np.int64)
    except (ValueError, OverflowError) as error:
        raise UsageError("expected whole numbers as run lengths") from error
    box = (left, top, left + width, top + height)
    mask = decode(runs, box, frame)
    tight = tight_box(mask)
    if tight is None:
        return None
    x0, y0, x1, y1 = tight
    return (left + x0, top + y0, left + x1, top + y1), mask[y0:y1, x0:x1]


def _polygon(shape: Any, what: str, frame: tuple[int, int]) -> Crop | None:
    pairs = _text(shape, "points", what).split(";")
    try:
        points = [float(value) for pair in pairs for value in pair.split(",")]
    except ValueError as error:
        raise UsageError("expected points x,y;x,y") from error
    return crop_of_shape("polygon", points, frame)


def _box(shape: Any, what: str, frame: tuple[int, int]) -> Crop | None:
    points = [_number(shape, key, what) for key in ("xtl", "ytl", "xbr", "ybr")]
    return crop_of_shape("rectangle", points, frame, _number(shape, "rotation", what, 0.0))


def _ellipse(shape: Any, what: str, frame: tuple[int, int]) -> Crop | None:
    cx, cy, rx, ry = (_number(shape, key, what) for key in ("cx", "cy", "rx", "ry"))
    check_points([cx, cy], frame)
    return ellipse((cx, cy), (rx, ry), _number(shape, "rotation", what, 0.0), frame)


_CROPS = {"mask": _mask, "polygon": _polygon, "box": _box, "ellipse": _ellipse}


def _text(element: Any, key: str, what: str) -> str:
    value = element.get(key)
    if value is None:
        raise UsageError(f"{what}: expected the attribute {key!r}, got none")
    return str(value)


def _whole(element: Any, key: str, what: str, default: int | None = None) -> int:
    text = element.get(key)
    if text is None and default is not None:
        return default
    try:
        value = int(_text(element, key, what))
    except ValueError as error:
        raise UsageError(f"{what}: expected a whole number as {key}, got {text[:40]!r}") from error
    if abs(value) >= 2**31:
        raise UsageError(f"{what}: expected a number below 2**31 as {key}, got {text[:40]}")
    return value


def _number(element: Any, key: str, what: str, default: float | None = None) -> float:
    text = element.get(key)
    if text is None and default is not None:
        return default
    try:
        value = float(_text(element, key, what))
    except ValueError as error:
        raise UsageError(f"{what}: expected a number as {key}, got {text[:40]!r}") from error
    if not abs(value) < 1e9:
        raise UsageError(f"{what}: expected a number below 1e9 as {key}, got {text[:40]}")
    return value
