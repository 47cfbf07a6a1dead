"""Archives as CVAT exports them: recorded ones, and ones made here to hold a fault."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from annotator.core.classes import CLASS_NAMES
from annotator.core.objects import BoolMask
from export.readers.corrected import Corrected
from export.readers.detect import reading
from export.readers.painting import Mark, Painted, crop_of_shape, paint
from export.readers.rle import encode

RECORDED = Path(__file__).parents[1] / "data" / "cvat"
FRAME = (90, 120)
"""Height and width of the recorded images."""


def recorded(name: str) -> Path:
    """An export of a CVAT 2.42 server."""
    return RECORDED / f"{name}.zip"


def server_shapes() -> dict[str, Painted]:
    """The shapes that the server held when it exported, painted by z_order and id."""
    document = json.loads((RECORDED / "tiny_truth.json").read_text("utf-8"))
    marks: dict[str, list[Mark]] = {name: [] for name in document["frames"].values()}
    for shape in document["shapes"]:
        crop = crop_of_shape(shape["type"], shape["points"], FRAME, shape["rotation"])
        assert crop is not None
        code = CLASS_NAMES.index(shape["label"])
        mark = Mark(code, *crop, shape["z"], shape["id"])
        marks[document["frames"][str(shape["frame"])]].append(mark)
    return {name: paint(found, FRAME) for name, found in marks.items()}


def read_all(path: Path, frame: tuple[int, int] = FRAME) -> dict[str, Corrected]:
    """All images of an archive by their names without suffix."""
    with reading(path, lambda _: frame) as found:
        return {image.name.removesuffix(".png"): image for image in found.images}


def painted(path: Path, name: str = "a", frame: tuple[int, int] = FRAME) -> Painted:
    """What one image of an archive comes to."""
    found = read_all(path, frame)[name].painted
    assert found is not None
    return found


def zip_of(path: Path, files: Mapping[str, bytes | str]) -> Path:
    """A zip with these files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def mask_xml(label: str, mask: BoolMask, left: int = 0, top: int = 0, z_order: int = 0) -> str:
    """One mask in CVAT's XML."""
    height, width = mask.shape
    runs = ", ".join(map(str, encode(mask)))
    return (
        f'<mask label="{label}" source="manual" occluded="0" rle="{runs}" left="{left}" '
        f'top="{top}" width="{width}" height="{height}" z_order="{z_order}"></mask>'
    )


def image_xml(
    *shapes: str, name: str = "a.png", frame: tuple[int, int] = FRAME, more: str = ""
) -> str:
    """One image in CVAT's XML."""
    inside = "\n".join(shapes)
    size = f'width="{frame[1]}" height="{frame[0]}"'
    return f'<image id="0" name="{name}" {more} {size}>{inside}</image>'


def cvat_zip(path: Path, *images: str, head: str = "") -> Path:
    """An archive of "CVAT for images 1.1"."""
    start = f'<?xml version="1.0" encoding="utf-8"?>\n{head}<annotations><version>1.1</version>'
    return zip_of(path, {"annotations.xml": f"{start}{''.join(images)}</annotations>"})


def coco_zip(path: Path, *annotations: Mapping[str, object], name: str = "a.png") -> Path:
    """An archive of "COCO 1.0" with one image."""
    shape = {"height": FRAME[0], "width": FRAME[1]}
    document = {
        "categories": [{"id": k + 1, "name": label} for k, label in enumerate(CLASS_NAMES)],
        "images": [{"id": 1, "file_name": name, **shape}],
        "annotations": [
            {"id": k, "image_id": 1, "category_id": 2, "bbox": [0, 0, 1, 1], **annotation}
            for k, annotation in enumerate(annotations, start=1)
        ],
    }
    return zip_of(path, {"annotations/instances_default.json": json.dumps(document)})


def png_of(pixels: np.ndarray) -> bytes:
    """A PNG of these pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
