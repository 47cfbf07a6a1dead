"""Write a folder of integer PNGs, the form that a program reads most easily.

::

    OUT/images/NAME.png          the pixels that were annotated, 8-bit RGB, without metadata
    OUT/masks/NAME.png           codes 0 bg, 1 fat, 2 cell, 3 bone, 255 unlabelled; 8-bit grey
    OUT/instances/fat/NAME.png   ids of the fat instances, 0 elsewhere; 16-bit grey
    OUT/instances/bone/NAME.png  the same for bone
    OUT/classes.json             names, codes, colours; size and microns per pixel of each image
    OUT/README.md, ...           files that the caller adds: a data card, tables
    OUT/trephine-export.json     hashes of all files, so that a later export sees what changed

Grey, without a palette: many readers turn a palette into colours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BONE, CLASS_NAMES, FAT, UNLABELLED, ClassSchema
from annotator.core.errors import ExportError, ImageError
from annotator.core.label_maps import LabelMaps
from annotator.imaging.codecs import encode_small_png
from export.archive import FolderSink, folder_at
from export.shapes import ExportImage, ExportOptions, ExportReport

Beside = Callable[[tuple[str, ...]], Mapping[str, bytes | str]]
_MOST = int(np.iinfo(np.uint16).max)


def instance_map(label_maps: LabelMaps, code: int) -> NDArray[np.uint16]:
    """Ids of the instances of one class.

    Parameters
    ----------
    label_maps : LabelMaps
        (H, W).
    code : int
        Class, 1 fat or 3 bone.

    Returns
    -------
    (H, W) uint16
        0 where there is no instance of the class.

    Raises
    ------
    ExportError
        When an id does not fit into 16 bits.

    Examples
    --------
    >>> classes, instances = np.array([[1, 3]], np.uint8), np.array([[5, 6]], np.int32)
    >>> instance_map(LabelMaps(classes, instances), 3).tolist()
    [[0, 6]]
    """
    ids = np.where(label_maps.classes == code, label_maps.instances, 0)
    if ids.max() > _MOST:
        raise ExportError(
            f"instance {ids.max()} does not fit into a 16-bit picture (at most {_MOST}): "
            "export as coco, which has no such limit"
        )
    return ids.astype(np.uint16)


def classes_json(schema: ClassSchema, images: dict[str, Any]) -> str:
    """The text of ``classes.json``: the classes in the order of their codes, then the images."""
    classes = [
        {"name": name, "code": code, "colour": schema.colours[code]}
        for code, name in enumerate(CLASS_NAMES)
    ]
    body = {"classes": classes, "unlabelled": UNLABELLED, "images": images}
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def write_labelmap(
    out: Path,
    images: Iterable[ExportImage],
    schema: ClassSchema,
    options: ExportOptions,
    beside: Beside = lambda missing: {},
) -> ExportReport:
    """Write a folder of label maps; see :func:`export.formats.write.write_export`.

    Parameters
    ----------
    out, images, schema, options
    beside : callable
        Called after the last image with the names of those whose picture cannot be written;
        returns further files, by name.
    """
    records: dict[str, Any] = {}
    missing: dict[str, str] = {}
    count = 0
    with folder_at(out, options.overwrite) as sink:
        for image in images:
            count += _write_maps(sink, image)
            reason = _write_picture(sink, image)
            if reason:
                missing[image.name] = reason
            records[image.name] = _record(image)
        if not records:
            raise ExportError("no image to export: annotate some first")
        sink.write("classes.json", classes_json(schema, records))
        for name, data in beside(tuple(missing)).items():
            sink.write(name, data)
    notes = tuple(f"{name}: exported without its picture: {why}" for name, why in missing.items())
    return ExportReport("labelmap", (out,), len(records), count, {}, notes, tuple(missing))


def _write_maps(sink: FolderSink, image: ExportImage) -> int:
    """Write classes and instances of one image; return the number of instances."""
    label_maps = image.label_maps
    sink.write(f"masks/{image.name}.png", encode_small_png(label_maps.classes))
    for code in (FAT, BONE):
        name = f"instances/{CLASS_NAMES[code]}/{image.name}.png"
        sink.write(name, encode_small_png(instance_map(label_maps, code)))
    return len(np.unique(label_maps.instances)) - int(np.any(label_maps.instances == 0))


def _write_picture(sink: FolderSink, image: ExportImage) -> str:
    """Write the picture of an image, where it has one; why that failed, or an empty text."""
    if image.picture is None:
        return ""
    try:
        data = image.picture()
    except ImageError as error:
        return str(error)
    sink.write(f"images/{image.name}.png", data)
    return ""


def _record(image: ExportImage) -> dict[str, Any]:
    height, width = image.label_maps.shape
    return {
        "file_name": image.file_name,
        "width": width,
        "height": height,
        "um_per_px": image.um_per_px,
    }
