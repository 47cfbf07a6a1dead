"""Files of LabelMe and Label Studio, written in their documented formats, for tests."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.label_names import OUR_NAMES, LabelNames
from annotator.core.objects import BoolMask
from export.readers.corrected import Corrected
from export.readers.detect import reading
from support.cvat_archives import FRAME, png_of


def read_by_name(
    path: Path, names: LabelNames = OUR_NAMES, frame: tuple[int, int] = FRAME
) -> tuple[dict[str, Corrected], list[str]]:
    """All images of a folder or an archive by their names, and the notes."""
    with reading(path, lambda name: None if "other" in name else frame, names) as found:
        images = {image.name: image for image in found.images}
        return images, found.notes


def classes_of(images: dict[str, Corrected], name: str) -> NDArray[np.uint8]:
    """What one image comes to."""
    painted = images[name].painted
    assert painted is not None, images[name].refused
    return painted.classes


# LabelMe


def labelme_shape(label: str, kind: str, points: list[list[float]], **more: Any) -> dict[str, Any]:
    """One shape."""
    plain = {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}}
    return plain | more


def labelme_mask(label: str, mask: BoolMask, left: int, top: int, **more: Any) -> dict[str, Any]:
    """A mask, with its box inclusive as LabelMe 5 writes it."""
    height, width = mask.shape
    corners = [[float(left), float(top)], [float(left + width - 1), float(top + height - 1)]]
    picture = base64.b64encode(png_of(mask.astype(np.uint8))).decode()
    return labelme_shape(label, "mask", corners, mask=picture, **more)


def labelme_file(
    path: Path, shapes: Iterable[dict[str, Any]], image: str = "a.png", **more: Any
) -> Path:
    """The file of an image, as LabelMe 5 writes it."""
    document = {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": image,
        "imageData": None,
        "imageHeight": FRAME[0],
        "imageWidth": FRAME[1],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document | more, ensure_ascii=False, indent=2), "utf-8")
    return path


# Label Studio


def brush_rle(
    mask: BoolMask, sizes: tuple[int, ...] = (3, 4, 8, 16), runs: bool = True
) -> list[int]:
    """A mask as Label Studio packs it: red, green, blue and opacity of each pixel.

    With `runs` False each value stands for itself, as where no two neighbours are equal.
    """
    values = np.repeat(mask.ravel().astype(np.uint8) * 255, 4)
    parts = [f"{values.size:032b}", f"{8 - 1:05b}", *(f"{size - 1:04b}" for size in sizes)]
    if runs:
        starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
        blocks = zip(values[starts], np.diff(np.r_[starts, values.size]), strict=True)
        for value, length in blocks:
            parts += _run(int(value), int(length), sizes)
    else:
        longest = 1 << sizes[-1]
        for start in range(0, values.size, longest):
            block = values[start : start + longest]
            parts.append(f"0{len(sizes) - 1:02b}{block.size - 1:0{sizes[-1]}b}")
            parts += [f"{value:08b}" for value in block]
    bits = "".join(parts)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def _run(value: int, length: int, sizes: tuple[int, ...]) -> Iterable[str]:
    while length:
        part = min(length, 1 << sizes[-1])
        number = next(k for k, size in enumerate(sizes) if part <= 1 << size)
        yield f"1{number:02b}{part - 1:0{sizes[number]}b}{value:08b}"
        length -= part


def region(label: str | None, kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One region."""
    named = {kind: [label]} if label is not None else {}
    size = {"original_width": FRAME[1], "original_height": FRAME[0], "image_rotation": 0}
    return {"id": "r1", "type": kind, "value": value | named, **size, **more}


def brush_region(label: str, mask: BoolMask, **more: Any) -> dict[str, Any]:
    """What was brushed."""
    return region(label, "brushlabels", {"format": "rle", "rle": brush_rle(mask)}, **more)


def task(
    *annotations: dict[str, Any], image: str = "/data/upload/4/0123abcd-a.png", **more: Any
) -> dict[str, Any]:
    """One task as the export in JSON has it."""
    plain = {"id": 7, "data": {"image": image}, "annotations": list(annotations), "predictions": []}
    return plain | more


def annotation(*regions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One annotation of a task."""
    time = {
        "created_at": "2026-03-01T10:00:00.000000Z",
        "updated_at": "2026-03-01T10:05:00.000000Z",
    }
    plain = {"id": 1, "completed_by": 3, "was_cancelled": False, "result": list(regions)}
    return plain | time | more


def tasks_file(path: Path, *tasks: dict[str, Any]) -> Path:
    """An export in JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(tasks)), "utf-8")
    return path
