"""What every exporter takes and gives: images, the shapes in them, options, a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from annotator.core.classes import BG, CELL, CLASS_NAMES
from annotator.core.errors import ExportError
from annotator.core.label_maps import LabelMaps
from annotator.core.objects import BoolMask, freeze, tight_box


@dataclass(frozen=True, slots=True, eq=False)
class ExportImage:
    """One image on its way into an archive.

    Parameters
    ----------
    name : str
        The image's name in the study, without a suffix; archives use it as file name.
    file_name : str
        Name of the original file. Its suffix goes behind `name` where an archive
        speaks of the picture itself.
    stitched : LabelMaps
    confidence : mapping of int to float
        Of instances, by id, in 0..1; those that are missing have none.
    um_per_px : float or None
        Microns per pixel, None where nobody says.
    source_path : Path or None
        The original file, for archives that carry the pictures.
    picture : callable or None
        Makes the bytes of a PNG of the annotated pixels, without metadata, for data sets that
        carry the pictures; raises :class:`annotator.core.errors.ImageError` where it cannot.
    """

    name: str
    file_name: str
    stitched: LabelMaps
    confidence: Mapping[int, float] = field(default_factory=dict)
    um_per_px: float | None = None
    source_path: Path | None = None
    picture: Callable[[], bytes] | None = None

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def picture_name(self) -> str:
        """The name with the suffix of the original file, ``.png`` where it has none."""
        return self.name + (PurePath(self.file_name).suffix or ".png")


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One thing to draw: an instance of fat or bone, a piece of bg, or all the cell.

    Parameters
    ----------
    code : int
        Class, 0-3.
    instance : int
        Id of the instance; 0 for bg and cell, which have none.
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1``, tight.
    mask : (h, w) bool
        The mask inside its box.
    """

    code: int
    instance: int
    box: tuple[int, int, int, int]
    mask: BoolMask

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", freeze(self.mask))

    @property
    def label(self) -> str:
        """Name of the class."""
        return CLASS_NAMES[self.code]

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self.mask))

    @property
    def where(self) -> tuple[slice, slice]:
        """Rows and columns of the box in the image."""
        x0, y0, x1, y1 = self.box
        return slice(y0, y1), slice(x0, x1)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What a person can choose about an export.

    Parameters
    ----------
    images : bool
        Carry the original picture files along, byte for byte (VOC only).
    overwrite : bool
        Replace what is there already.
    """

    images: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written, and what the reader of it has to know.

    Parameters
    ----------
    format : str
    files : tuple of Path
        The archive or folder first, then what lies beside it.
    images : int
    shapes : int
        Things drawn in all images together.
    merged : mapping of str to (mapping of str to int)
        By image, how many instances of each class lost their own id because
        the format holds no more than 255; empty where none did.
    notes : tuple of str
        For people.
    """

    format: str
    files: tuple[Path, ...]
    images: int
    shapes: int
    merged: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def check_name(name: str) -> None:
    """Refuse a name that some reader of our archives would lose or misread.

    A line that starts with ``#`` is a comment in the lists of a VOC archive,
    blanks at either end are cut off there, and a divider would make a folder.

    Raises
    ------
    ExportError
        With the reason.
    """
    bad = (
        not name
        or name != name.strip()
        or name.startswith((".", "#"))
        or any(c in "/\\" or not c.isprintable() for c in name)
    )
    if bad:
        raise ExportError(
            f"image name {name!r}: expected one that does not start with '.' or '#', has no "
            "blank at either end and no '/', '\\' or control character; rename the image"
        )


def shapes(stitched: LabelMaps) -> list[Shape]:
    """Cut a label map into the shapes that an archive lists.

    Instances of fat and bone come first, by id; then the pieces of bg
    (8-connected, in raster order), so that a person can relabel each; then all
    cell of the image as one shape with holes. Together they hold every labelled
    pixel exactly once.
    """
    return [*_instances(stitched), *_pieces_of_bg(stitched.classes), *_cell(stitched.classes)]


def _instances(stitched: LabelMaps) -> Iterator[Shape]:
    for number, where in enumerate(find_objects(stitched.instances), start=1):
        if where is not None:
            rows, columns = where
            mask = stitched.instances[where] == number
            code = int(stitched.classes[where][mask][0])
            yield Shape(code, number, (columns.start, rows.start, columns.stop, rows.stop), mask)


def _pieces_of_bg(classes: NDArray[np.uint8]) -> Iterator[Shape]:
    mask = (classes == BG).view(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    for piece, (x, y, width, height) in enumerate(stats[1:, :4].tolist(), start=1):
        inside = labels[y : y + height, x : x + width] == piece
        yield Shape(BG, 0, (x, y, x + width, y + height), inside)


def _cell(classes: NDArray[np.uint8]) -> Iterator[Shape]:
    mask: BoolMask = classes == CELL
    box = tight_box(mask)
    if box is not None:
        x0, y0, x1, y1 = box
        yield Shape(CELL, 0, box, mask[y0:y1, x0:x1].copy())
