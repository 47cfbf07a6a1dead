"""What is excluded of an image, and label maps, areas and objects without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.class_areas import class_areas
from annotator.core.classes import UNLABELLED
from annotator.core.errors import StudyError
from annotator.core.hashing import short_hash
from annotator.core.label_maps import LabelMaps
from annotator.core.mask_bits import unpack_mask
from annotator.core.objects import BoolMask, ImageObjects
from annotator.segmentation.outside_black import leave_open


@dataclass(frozen=True, slots=True)
class ExcludedRegion:
    """A region of an image that counts nowhere.

    Parameters
    ----------
    id : int
        Its number in the study, from 1.
    image_id : str
    box : (int, int, int, int)
        Half-open ``x0 y0 x1 y1``, tight, px.
    bits : bytes
        The mask inside its box row by row, eight pixels a byte, deflated.
    pixels : int
        Of the mask.
    why : str
        Such as ``pen``.
    origin : str
        Name of the file that it came from; ``pulled`` with corrections.
    author, time : str
        Who said it, and when in UTC.
    restored : str
        Why it holds no more; empty while it holds.
    """

    id: int
    image_id: str
    box: tuple[int, int, int, int]
    bits: bytes
    pixels: int
    why: str
    origin: str
    author: str
    time: str
    restored: str = ""

    @property
    def where(self) -> tuple[slice, slice]:
        """Rows and columns of the box in the image."""
        x0, y0, x1, y1 = self.box
        return slice(y0, y1), slice(x0, x1)

    def crop(self) -> BoolMask:
        """The mask inside its box, (h, w) bool.

        Raises
        ------
        StudyError
            When the bits are damaged.
        """
        x0, y0, x1, y1 = self.box
        try:
            return unpack_mask(self.bits, (y1 - y0, x1 - x0))
        except ValueError as error:
            raise StudyError(f"excluded region {self.id} is damaged; restore study.db") from error


@dataclass(frozen=True, slots=True)
class ExcludedArea:
    """All that is excluded of one image; it can be sent to another process.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image, px.
    regions : tuple of ExcludedRegion
        Those that hold, at least one.
    """

    shape: tuple[int, int]
    regions: tuple[ExcludedRegion, ...]

    def mask(self) -> BoolMask:
        """Pixels of all regions, (H, W) bool."""
        mask = np.zeros(self.shape, np.bool_)
        for region in self.regions:
            mask[region.where] |= region.crop()
        return mask

    @property
    def pixels(self) -> int:
        """Pixels under any region."""
        return int(np.count_nonzero(self.mask()))

    @property
    def key(self) -> str:
        """The same for the same pixels, however they are cut into regions."""
        return short_hash("excluded", np.packbits(self.mask()).tobytes())

    @property
    def reason(self) -> str:
        """Why its pixels have no class, for notes.

        Examples
        --------
        >>> pen = ExcludedRegion(1, "a1", (0, 0, 2, 1), b"", 2, "pen", "", "eva", "")
        >>> ExcludedArea((3, 4), (pen, pen)).reason
        'excluded (pen)'
        """
        return f"excluded ({', '.join(dict.fromkeys(region.why for region in self.regions))})"

    def leave_out(self, label_maps: LabelMaps) -> LabelMaps:
        """Label maps in which nothing here has a class."""
        return leave_open(label_maps, self.mask())


def without_excluded(label_maps: LabelMaps, area: ExcludedArea | None) -> LabelMaps:
    """Label maps in which nothing excluded has a class.

    Maps of another size are given back as they are: whoever compares sizes refuses them.

    Parameters
    ----------
    label_maps : LabelMaps
    area : ExcludedArea or None

    Examples
    --------
    >>> maps = LabelMaps(np.ones((1, 2), np.uint8), np.ones((1, 2), np.int32))
    >>> without_excluded(maps, None) is maps
    True
    """
    if area is None or area.shape != label_maps.shape:
        return label_maps
    return area.leave_out(label_maps)


def codes_without_excluded(
    codes: NDArray[np.uint8], area: ExcludedArea | None
) -> NDArray[np.uint8]:
    """Class codes, (H, W) uint8, that are 255 where anything is excluded.

    Examples
    --------
    >>> codes_without_excluded(np.array([[1]], np.uint8), None).tolist()
    [[1]]
    """
    if area is None or area.shape != codes.shape:
        return codes
    return np.where(area.mask(), np.uint8(UNLABELLED), codes)


def counted_areas(classes: NDArray[np.uint8], area: ExcludedArea | None) -> dict[str, int]:
    """Pixels of each class and of none, without those that are excluded.

    Parameters
    ----------
    classes : (H, W) uint8
        Codes 0-3, and 255; also 255 where anything is excluded.
    area : ExcludedArea or None

    Examples
    --------
    >>> counted_areas(np.array([[1, 255]], np.uint8), None)["unlabelled"]
    1
    """
    areas = class_areas(classes)
    if area is not None:
        areas["unlabelled"] -= area.pixels
    return areas


def counted_objects(objects: ImageObjects, area: ExcludedArea | None) -> BoolMask:
    """Objects that count, (N,) bool: at most half of each is excluded.

    Parameters
    ----------
    objects : ImageObjects
    area : ExcludedArea or None

    Examples
    --------
    >>> from annotator.core.objects import objects_from_labels
    >>> counted_objects(objects_from_labels("a1", np.array([[1, 2]], np.int32)), None).tolist()
    [True, True]
    """
    if area is None or area.shape != objects.shape:
        return np.ones(len(objects), np.bool_)
    mask = area.mask()
    inside = [np.count_nonzero(mask[where] & crop) for where, crop in objects]
    counted: BoolMask = 2 * np.array(inside, np.int64) <= objects.areas()
    return counted
