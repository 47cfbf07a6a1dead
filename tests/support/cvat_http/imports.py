"""Archives that the HTTP server of the tests imports: VOC and COCO, as loosely as CVAT does."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from annotator.core.objects import tight_box
from export.readers.rle import crop_of_runs, encode_points, runs_of_text
from support.cvat_http.rows import ImportFailed, Json, PictureRow, TaskRow
from support.cvat_http.state import State

SPLITS = "ImageSets/Segmentation/"
FORMATS = ("PASCAL VOC 1.1", "Segmentation mask 1.1", "COCO 1.0")


def picture(name: str, data: bytes) -> PictureRow:
    """An image that was uploaded."""
    try:
        with Image.open(io.BytesIO(data)) as found:
            found.load()
            return PictureRow(name, data, found.width, found.height)
    except (UnidentifiedImageError, OSError) as error:
        raise ImportFailed(f"PIL.UnidentifiedImageError: cannot identify {name}\n") from error


def import_into(state: State, task: TaskRow, kind: str, data: bytes, to_polygons: bool) -> None:
    """Replace what the whole task has by what an archive holds."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            read = _coco if kind.startswith("COCO") else _voc
            shapes = list(read(task, archive))
    except zipfile.BadZipFile as error:
        raise ImportFailed("zipfile.BadZipFile: File is not a zip file\n") from error
    if to_polygons:
        shapes = [one for shape in shapes for one in _polygons(shape)]
    state.put_task(task, {"shapes": shapes})


def _voc(task: TaskRow, archive: zipfile.ZipFile) -> Iterator[Json]:
    """One mask a colour; without a list of images nothing at all, which is no error."""
    names = set(archive.namelist())
    lists = [n for n in names if n.startswith(SPLITS) and n.endswith(".txt") and "_" not in n]
    if not lists:
        return
    colours = _labelmap(archive.read("labelmap.txt").decode())
    ids = {one["name"]: one["id"] for one in task.labels}
    frames = {PurePosixPath(one.name).stem: k for k, one in enumerate(task.pictures)}
    for item in archive.read(lists[0]).decode().split("\n"):
        if item not in frames or f"SegmentationClass/{item}.png" not in names:
            continue
        classes = _class_names(_pixels(archive, f"SegmentationClass/{item}.png"), colours, item)
        for mask in _instances(archive, f"SegmentationObject/{item}.png", item):
            label = classes[mask][0]
            if label not in ids:
                raise ImportFailed(_failure(item, f"Label '{label}' is not registered"))
            yield _mask_shape(mask, frames[item], ids[label])


def _labelmap(text: str) -> dict[tuple[int, ...], str]:
    rows = [row.split(":") for row in text.splitlines() if row and not row.startswith("#")]
    return {tuple(map(int, row[1].split(","))): row[0] for row in rows}


def _pixels(archive: zipfile.ZipFile, name: str) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(archive.read(name))) as found:
        return np.array(found.convert("RGB"))


def _packed(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    wide = pixels.astype(np.int64)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _class_names(
    pixels: NDArray[np.uint8], colours: dict[tuple[int, ...], str], item: str
) -> NDArray[np.object_]:
    """Name of the class of each pixel; a colour that the label map lacks fails."""
    found, inverse = np.unique(_packed(pixels), return_inverse=True)
    names = []
    for value in found.tolist():
        rgb = (value >> 16, value >> 8 & 255, value & 255)
        if rgb not in colours:
            raise ImportFailed(_failure(item, f"Undeclared color {rgb}"))
        names.append(colours[rgb])
    if "background" not in colours.values():
        raise ImportFailed(_failure(item, "background"))
    table: NDArray[np.object_] = np.array(names, np.object_)[inverse.reshape(pixels.shape[:2])]
    return table


def _instances(archive: zipfile.ZipFile, name: str, item: str) -> Iterator[NDArray[np.bool_]]:
    """One mask a number; the 16 bits of a grey image are cut to 8, which is no error."""
    if name not in archive.namelist():
        raise ImportFailed(_failure(item, "background"))
    with Image.open(io.BytesIO(archive.read(name))) as found:
        grey = found.mode[0] in "LI"
        raw = np.array(found) if grey else np.array(found.convert("RGB"))
    numbers = raw.astype(np.int64) & 255 if grey else _numbers(_packed(raw), item)
    for number in np.unique(numbers[numbers > 0]).tolist():
        yield numbers == number


def _numbers(packed: NDArray[np.int64], item: str) -> NDArray[np.int64]:
    """Index in the colour map of VOC; another colour fails the import."""
    table = {_voc_colour(index): index for index in range(256)}
    found, inverse = np.unique(packed, return_inverse=True)
    for value in found.tolist():
        if value not in table:
            rgb = (value >> 16, value >> 8 & 255, value & 255)
            raise ImportFailed(_failure(item, f"Undeclared color {rgb}"))
    return np.array([table[v] for v in found.tolist()])[inverse.reshape(packed.shape)]


def _voc_colour(index: int) -> int:
    """Red, green and blue in one number: bits 0, 1, 2 become their highest bits, and so on."""
    rgb = [0, 0, 0]
    for bit in range(8):
        rgb[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
    return rgb[0] << 16 | rgb[1] << 8 | rgb[2]


def _failure(item: str, what: str) -> str:
    return (
        "cvat.apps.dataset_manager.bindings.CvatImportError: Failed to import item "
        f"('{item}', 'default'): {what!r}\n"
    )


def _mask_shape(mask: NDArray[np.bool_], frame: int, label: int) -> Json:
    box = tight_box(mask)
    assert box is not None
    x0, y0, x1, y1 = box
    points = encode_points(box, mask[y0:y1, x0:x1])
    return {"type": "mask", "label_id": label, "frame": frame, "points": points, "source": "file"}


def _coco(task: TaskRow, archive: zipfile.ZipFile) -> Iterator[Json]:
    """Shapes of the first document; what is not in the task is passed over."""
    found = [name for name in archive.namelist() if name.endswith(".json")]
    if not found:
        return
    document = json.loads(archive.read(found[0]))
    ids = {one["name"]: one["id"] for one in task.labels}
    labels = {c["id"]: ids.get(c["name"]) for c in document["categories"]}
    frames = {one.name: k for k, one in enumerate(task.pictures)}
    images = {one["id"]: frames.get(one["file_name"]) for one in document["images"]}
    for one in document["annotations"]:
        frame, label = images[one["image_id"]], labels[one["category_id"]]
        if frame is not None and label is not None:
            yield from _coco_shapes(one["segmentation"], frame, label)


def _coco_shapes(segmentation: Any, frame: int, label: int) -> Iterator[Json]:
    if isinstance(segmentation, dict):
        counts, size = segmentation["counts"], tuple(segmentation["size"])
        runs = np.array(counts) if isinstance(counts, list) else runs_of_text(counts.encode())
        mask = np.zeros(size, np.bool_)
        found = crop_of_runs(runs, size)
        assert found is not None
        (x0, y0, x1, y1), mask[y0:y1, x0:x1] = found
        yield _mask_shape(mask, frame, label)
        return
    for ring in segmentation:
        yield {"type": "polygon", "label_id": label, "frame": frame, "points": ring}


def _polygons(shape: Json) -> Iterator[Json]:
    """What CVAT makes of a mask unless it is told not to: outlines, without the holes."""
    if shape["type"] != "mask":
        yield shape
        return
    *runs, left, top, right, bottom = (int(value) for value in shape["points"])
    values = (np.arange(len(runs)) % 2).astype(np.uint8)
    mask = np.repeat(values, runs).reshape(bottom - top + 1, right - left + 1)
    for ring in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        if len(ring) > 2:
            points = np.add(ring.reshape(-1, 2), (left, top)).astype(float).ravel().tolist()
            yield shape | {"type": "polygon", "points": points}
