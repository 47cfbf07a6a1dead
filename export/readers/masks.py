"""Read "Segmentation mask 1.1" and "PASCAL VOC 1.1": pictures of classes and of objects.

Both formats hold ``labelmap.txt`` and, for each image, a picture of classes and one of objects;
black means "nothing painted". The label map gives the name of each colour. The names count, not
the colours: those are of the CVAT task, or chosen by CVAT (VOC). The server has painted the
shapes already, so their order plays no part here.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from annotator.core.classes import CLASS_NAMES, UNLABELLED
from annotator.core.errors import UsageError
from export.readers.corrected import Corrected, Expected, Reading, check_size
from export.readers.labels import LabelReader
from export.readers.painting import Painted, split_excluded
from export.readers.zip import Entries

LABEL_MAP = "labelmap.txt"
CLASSES, OBJECTS, LISTS = "SegmentationClass/", "SegmentationObject/", "ImageSets/Segmentation/"
SEGMENTATION, VOC = "Segmentation mask 1.1", "PASCAL VOC 1.1"
MOST_OBJECTS = 255
_BYTE = re.compile("[0-9]{1,3}")
_VOC_WARNING = (
    "PASCAL VOC 1.1: CVAT leaves every polygon, and the area of every rectangle, out of this "
    "format in silence; if anybody drew some, export the task as CVAT for images 1.1"
)


def read_masks(archive: Entries, expected: Expected, labels: LabelReader) -> Reading:
    """Read the pictures of an archive.

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
    legend = _Legend(_label_map(archive.read(LABEL_MAP)), labels)
    others = ("Annotations/", "ImageSets/Main/")
    is_voc = any(name.startswith(others) for name in archive.names)
    reading = Reading(VOC if is_voc else SEGMENTATION, iter(()), [_VOC_WARNING] if is_voc else [])
    reading.images = _images(archive, legend, expected, reading.notes)
    return reading


@dataclass(frozen=True, slots=True)
class _Legend:
    """Names of labels by their colour, packed as 0xRRGGBB, and what the names mean."""

    colours: dict[int, str]
    labels: LabelReader


def _label_map(data: bytes) -> dict[int, str]:
    """Names of labels by their colour, which is packed as 0xRRGGBB."""
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{LABEL_MAP}: expected UTF-8 ({error.reason})") from error
    labels: dict[int, str] = {}
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        parts = [part.strip() for part in rest.split(":")[0].split(",")]
        if len(parts) != 3 or not all(_BYTE.fullmatch(p) and int(p) < 256 for p in parts):
            raise UsageError(
                f"{LABEL_MAP}: expected lines name:red,green,blue::, got {line[:80]!r}"
            )
        colour = _packed(*(int(part) for part in parts))
        if colour in labels:
            raise UsageError(f"{LABEL_MAP}: {labels[colour]!r} and {name!r} have one colour")
        labels[colour] = name
    return labels


def _packed(red: int, green: int, blue: int) -> int:
    """A colour as one number, 0xRRGGBB, so that pictures can be compared with it at once."""
    return red << 16 | green << 8 | blue


def _images(
    archive: Entries, legend: _Legend, expected: Expected, notes: list[str]
) -> Iterator[Corrected]:
    for name in sorted(_listed(archive) | _drawn(archive)):
        frame = expected(name)
        if frame is None:
            yield Corrected(name, None)
            continue
        painted = _painted(archive, name, legend, frame)
        count = int(painted.instances.max(initial=0))
        if count >= MOST_OBJECTS:
            notes.append(
                f"{name}: {count} objects; CVAT's pictures tell no more than {MOST_OBJECTS} apart, "
                "so count objects from CVAT for images 1.1 (classes are right)"
            )
        yield Corrected(name, painted)


def _listed(archive: Entries) -> set[str]:
    """Names in the lists of images. An image without any shape is in a list only."""
    found: set[str] = set()
    for name in archive.names:
        if name.startswith(LISTS) and name.endswith(".txt"):
            lines = archive.read(name).decode("utf-8", "replace").splitlines()
            found.update(line.strip().strip('"') for line in lines)
    return {name for name in found if name and not name.startswith("#")}


def _drawn(archive: Entries) -> set[str]:
    names = (n for n in archive.names if n.startswith(CLASSES) and n.lower().endswith(".png"))
    return {name[len(CLASSES) : -len(".png")] for name in names}


def _painted(archive: Entries, name: str, legend: _Legend, frame: tuple[int, int]) -> Painted:
    drawn = f"{CLASSES}{name}.png"
    if drawn not in archive:
        return Painted(np.full(frame, UNLABELLED, np.uint8), np.zeros(frame, np.int32))
    colours = _colours(archive.read(drawn), drawn, frame)
    classes, excluded = split_excluded(_classes(colours, legend, name))
    objects = f"{OBJECTS}{name}.png"
    if objects in archive:
        numbers = _colours(archive.read(objects), objects, frame)
        return Painted(classes, _instances(classes, numbers), excluded=excluded)
    return Painted(classes, connected_pieces(classes), excluded=excluded)


def _colours(data: bytes, name: str, frame: tuple[int, int]) -> NDArray[np.int32]:
    """Colours of a picture as 0xRRGGBB, (H, W) int32."""
    stem = PurePosixPath(name).name
    try:
        # The header gives the size, so a picture of the wrong size is refused before it is decoded.
        with warnings.catch_warnings():
            warnings.simplefilter("error", Picture.DecompressionBombWarning)
            with Picture.open(io.BytesIO(data), formats=["PNG"]) as picture:
                check_size(stem, (picture.height, picture.width), frame)
                if picture.mode not in ("RGB", "RGBA", "P", "L", "1"):
                    raise UsageError(f"{name}: expected 8 bits a colour, got {picture.mode}")
                rgb = np.asarray(picture.convert("RGB"), np.int32)
    except (OSError, SyntaxError, ValueError, Warning, Picture.DecompressionBombError) as error:
        raise UsageError(f"{name}: not a whole PNG ({error}); export again") from error
    return rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]


def _classes(colours: NDArray[np.int32], legend: _Legend, name: str) -> NDArray[np.uint8]:
    """Codes of colours, (H, W) uint8: of a class, 255 or 254 (excluded).

    Black is unlabelled; a colour without a name is refused.
    """
    codes = np.full(colours.shape, UNLABELLED, np.uint8)
    known = colours == 0
    for colour, label in legend.colours.items():
        here = colours == colour
        if colour and here.any():
            codes[here] = legend.labels.code(label, name)
            known |= here
    if not known.all():
        colour = int(colours[~known][0])
        rgb = (colour >> 16, colour >> 8 & 255, colour & 255)
        raise UsageError(
            f"{name}: expected black, or colours that {LABEL_MAP} gives a label, got the colour "
            f"{rgb}; export again"
        )
    return codes


def _instances(classes: NDArray[np.uint8], colours: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number the pairs of object colour and class 1, 2, 3 ...; 0 where nothing is painted.

    Pairs, since CVAT gives objects of two classes one colour where it has no more colours. Which
    of the 2**24 colours occur is looked up in tables, which is faster than sorting the pixels.
    """
    seen = np.zeros(1 << 24, np.bool_)
    seen[colours] = True
    values = np.flatnonzero(seen)
    pairs = np.searchsorted(values, colours).astype(np.int64) * 4 + np.minimum(classes, 3)
    labelled = classes != UNLABELLED
    used = np.zeros(4 * len(values), np.bool_)
    used[pairs[labelled]] = True
    number = np.cumsum(used, dtype=np.int32)
    return np.where(labelled, number[pairs], np.int32(0))


def connected_pieces(classes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Connected pieces of each class, for an image without a picture of objects.

    Parameters
    ----------
    classes : (H, W) uint8

    Returns
    -------
    (H, W) int32
        1, 2, 3 ... for the pieces, which may meet at a corner; 0 where there is no class.
    """
    numbers = np.zeros(classes.shape, np.int32)
    for code in range(len(CLASS_NAMES)):
        _, parts = cv2.connectedComponents((classes == code).view(np.uint8), connectivity=8)
        numbers[parts > 0] = parts[parts > 0] + numbers.max()
    return numbers
