"""The input and output of every exporter: images, the shapes in them, options, a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, CELL, CLASS_NAMES
from annotator.core.errors import ExportError
from annotator.core.label_maps import LabelMaps
from annotator.core.objects import BoolMask, freeze, tight_box


@dataclass(frozen=True, slots=True, eq=False)
class ExportImage:
    """One image with its annotation, to be written into an archive or a folder.

    Parameters
    ----------
    name : str
        The image's name in the study, without a suffix; archives use it as file name.
    file_name : str
        Name of the original file; the picture in an archive is called `name` with its suffix.
    label_maps : LabelMaps
        The annotation, (H, W).
    confidence : mapping of int to float
        By id of the instance, 0..1; instances that are missing have none.
    um_per_px : float or None
        Microns per pixel; None where the scale is not known.
    source_path : Path or None
        The original file, for archives that carry the pictures.
    picture : callable or None
        Makes the bytes of a PNG of the annotated pixels, without metadata, for data sets that
        carry the pictures; raises :class:`annotator.core.errors.ImageError` where it cannot.
    check_source : callable or None
        Raises :class:`annotator.core.errors.ImageError` where the original file is gone or holds
        other pixels than those that were annotated.
    is_turned : bool
        Whether the original file says that it is to be turned; the annotation is upright.
    """

    name: str
    file_name: str
    label_maps: LabelMaps
    confidence: Mapping[int, float] = field(default_factory=dict)
    um_per_px: float | None = None
    source_path: Path | None = None
    picture: Callable[[], bytes] | None = None
    check_source: Callable[[], None] | None = None
    is_turned: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def picture_name(self) -> str:
        """The name with the suffix of the original file, ``.png`` where it has none."""
        return self.name + (PurePath(self.file_name).suffix or ".png")


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One region of an annotation: an instance of fat or bone, a piece of bg, or all the cell.

    Parameters
    ----------
    code : int
        Class, 0-3.
    instance : int
        Id of the instance; 0 for bg and cell, which have none.
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1``, tight, px.
    mask : (h, w) bool
        The mask inside its box.

    Examples
    --------
    >>> shape = Shape(1, 7, (5, 3, 7, 4), np.array([[True, True]]))
    >>> shape.label, shape.area, shape.where
    ('fat', 2, (slice(3, 4, None), slice(5, 7, None)))
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
    """The files that were written, and what a person should know of them.

    Parameters
    ----------
    format : str
    files : tuple of Path
        The archive or folder first, then what lies beside it.
    images : int
    shapes : int
        Shapes of all images together.
    merged : mapping of str to (mapping of str to int)
        By image, how many instances of each class lost their own id because
        the format holds no more than 255; empty where none did.
    notes : tuple of str
        Sentences for a person.
    incomplete : tuple of str
        Names of the images that are left out, or written without their picture, or whose
        file is another picture by now.
    """

    format: str
    files: tuple[Path, ...]
    images: int
    shapes: int
    merged: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()


def check_name(name: str) -> None:
    """Refuse a name that some reader of the archives would lose or misread.

    In the lists of a VOC archive a line that starts with ``#`` is a comment and blanks at
    either end are cut off; a slash would make a folder.

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


def shapes(label_maps: LabelMaps) -> list[Shape]:
    """Cut label maps into the shapes that an archive lists.

    Together they hold every labelled pixel exactly once.

    Parameters
    ----------
    label_maps : LabelMaps
        (H, W).

    Returns
    -------
    list of Shape
        First the instances of fat and bone, by id. Then the pieces of bg, 8-connected, in
        raster order: one by one, so that a person can relabel each. Last all cell of the image
        as one shape with holes.

    Examples
    --------
    >>> classes = np.array([[1, 2, 0, 255, 0]], np.uint8)
    >>> instances = np.array([[4, 0, 0, 0, 0]], np.int32)
    >>> [(shape.label, shape.box) for shape in shapes(LabelMaps(classes, instances))]
    [('fat', (0, 0, 1, 1)), ('bg', (2, 0, 3, 1)), ('bg', (4, 0, 5, 1)), ('cell', (1, 0, 2, 1))]
    """
    return [*_instances(label_maps), *_pieces_of_bg(label_maps.classes), *_cell(label_maps.classes)]


def _instances(label_maps: LabelMaps) -> Iterator[Shape]:
    from scipy.ndimage import find_objects  # slow to import, and a pull needs none

    for number, where in enumerate(find_objects(label_maps.instances), start=1):
        if where is not None:
            rows, columns = where
            mask = label_maps.instances[where] == number
            code = int(label_maps.classes[where][mask][0])
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
