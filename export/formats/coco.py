"""Write COCO 1.0: one JSON in a zip, with masks as uncompressed run lengths.

CVAT imports such an archive without a limit on the number of instances and keeps
the masks pixel for pixel. Ids start at 1: readers take category 0 for none.

References
----------
COCO, "Data format", https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from annotator.core.classes import BONE, CLASS_NAMES, FAT, ClassSchema
from annotator.core.errors import ExportError
from annotator.core.objects import BoolMask
from export.archive import zip_at
from export.shapes import ExportImage, ExportOptions, ExportReport, Shape, shapes

JSON_NAME = "annotations/instances_default.json"


def coco_rle(box: tuple[int, int, int, int], mask: BoolMask, shape: tuple[int, int]) -> list[int]:
    """Run lengths of a mask in COCO's order: column by column over the whole image.

    Parameters
    ----------
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1`` of the mask in the image, px.
    mask : (h, w) bool
        The mask inside its box; at least one pixel is set.
    shape : (int, int)
        Height and width of the image, px.

    Returns
    -------
    list of int
        ``counts`` of an uncompressed RLE as ``pycocotools`` reads it: pixels, unset and set in
        turn, starting with unset.

    Examples
    --------
    >>> coco_rle((1, 0, 3, 2), np.array([[True, True], [False, True]]), (3, 4))
    [3, 1, 2, 2, 4]
    """
    height, width = shape
    x0, y0, _, _ = box
    # Runs are found in the box alone and moved to where the box lies: the image is large. Each
    # column gets an unset pixel at both ends, so that every run has a start and an end in it.
    columns = np.zeros((mask.shape[1], mask.shape[0] + 2), np.int8)
    columns[:, 1:-1] = mask.T
    edges = np.diff(columns, axis=1)
    offsets = (x0 + np.arange(mask.shape[1])) * height + y0
    column, row = np.nonzero(edges == 1)
    starts = offsets[column] + row
    column, row = np.nonzero(edges == -1)
    ends = offsets[column] + row
    # A run that reaches the bottom of the image may go on at the top of the next column.
    apart = starts[1:] != ends[:-1]
    starts, ends = starts[np.r_[True, apart]], ends[np.r_[apart, True]]
    bounds = np.r_[0, np.stack([starts, ends], axis=1).ravel(), height * width]
    counts: list[int] = np.diff(bounds).tolist()
    return counts if counts[-1] else counts[:-1]


def to_annotation(shape: Shape, image: ExportImage, ident: int, image_ident: int) -> dict[str, Any]:
    """One COCO annotation.

    Fat and bone are single objects. Cell and bg are regions, which COCO calls crowds
    (``iscrowd`` 1): evaluation and training do not take each for one object.

    Parameters
    ----------
    shape : Shape
    image : ExportImage
    ident, image_ident : int
        Ids of the annotation and of the image in the file, from 1.

    Returns
    -------
    dict
        ``bbox`` is ``x y width height`` in pixels, ``area`` pixels.

    Examples
    --------
    >>> from annotator.core.label_maps import LabelMaps
    >>> label_maps = LabelMaps(np.array([[1, 2]], np.uint8), np.array([[5, 0]], np.int32))
    >>> image = ExportImage("a", "a.tif", label_maps)
    >>> record = to_annotation(shapes(label_maps)[0], image, 1, 1)
    >>> record["segmentation"]["counts"], record["bbox"], record["iscrowd"]
    ([0, 1, 1], [0.0, 0.0, 1.0, 1.0], 0)
    """
    x0, y0, x1, y1 = shape.box
    annotation: dict[str, Any] = {
        "id": ident,
        "image_id": image_ident,
        "category_id": shape.code + 1,
        "segmentation": {
            "counts": coco_rle(shape.box, shape.mask, image.label_maps.shape),
            "size": list(image.label_maps.shape),
        },
        "area": float(shape.area),
        "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
        "iscrowd": 0 if shape.code in (FAT, BONE) else 1,
    }
    if shape.instance:
        annotation["instance_id"] = shape.instance
        if shape.instance in image.confidence:
            annotation["confidence"] = round(float(image.confidence[shape.instance]), 6)
    return annotation


class CocoStream:
    """Writes the JSON image by image, so that memory does not grow with their number."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._images: list[dict[str, Any]] = []
        self._names: set[str] = set()
        self.annotations = 0
        self._put({"licenses": [_LICENCE], "info": _INFO, "categories": _categories()}, end=1)
        self._target.write(b',"annotations":[')

    @property
    def images(self) -> int:
        """How many images were added."""
        return len(self._images)

    def add(self, image: ExportImage, drawn: Iterable[Shape]) -> None:
        """Write the annotations of one image.

        Raises
        ------
        ExportError
            When an image of this name was added before.
        """
        if image.name in self._names:
            raise ExportError(f"two images are called {image.name!r}: give each its own name")
        self._names.add(image.name)
        ident = len(self._images) + 1
        self._images.append(_image_record(image, ident))
        for shape in drawn:
            self.annotations += 1
            self._target.write(b",\n" if self.annotations > 1 else b"\n")
            self._put(to_annotation(shape, image, self.annotations, ident))

    def close(self) -> None:
        """Write what comes after the annotations."""
        self._target.write(b'],"images":')
        self._put(self._images)
        self._target.write(b"}\n")

    def _put(self, value: object, end: int = 0) -> None:
        """Write a value as compact JSON without its last `end` characters."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        self._target.write(text[: len(text) - end].encode())


def write_coco(
    out: Path,
    images: Iterable[ExportImage],
    schema: ClassSchema,
    options: ExportOptions,
) -> ExportReport:
    """Write a COCO archive; see :func:`export.formats.write.write_export`."""
    with zip_at(out, options.overwrite) as sink, sink.stream(JSON_NAME) as target:
        stream = CocoStream(target)
        for image in images:
            stream.add(image, shapes(image.label_maps))
        stream.close()
        if not stream.images:
            raise ExportError("no image to export: annotate some first")
    return ExportReport("coco", (out,), stream.images, stream.annotations)


_LICENCE = {"name": "", "id": 0, "url": ""}
_INFO = {
    "contributor": "",
    "date_created": "",
    "description": "Trephine: fat and bone by instance, bg by piece, cell as a whole",
    "url": "",
    "version": "",
    "year": "",
}


def _categories() -> list[dict[str, Any]]:
    return [{"id": c + 1, "name": n, "supercategory": ""} for c, n in enumerate(CLASS_NAMES)]


def _image_record(image: ExportImage, ident: int) -> dict[str, Any]:
    height, width = image.label_maps.shape
    record: dict[str, Any] = {
        "id": ident,
        "width": width,
        "height": height,
        "file_name": image.picture_name,
        "license": 0,
        "flickr_url": "",
        "coco_url": "",
        "date_captured": 0,
    }
    if image.um_per_px is not None:
        record["um_per_px"] = image.um_per_px
    return record
