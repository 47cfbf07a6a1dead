"""Area of each class of a label map, and the cellularity that follows from it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.classes import CELL, CLASS_NAMES, FAT, UNLABELLED
from annotator.core.intervals import over

AREA_NAMES = (*CLASS_NAMES, "unlabelled")


def class_areas(
    classes: NDArray[np.uint8], pixels: NDArray[np.int64] | None = None
) -> dict[str, int]:
    """Pixels of each class, and of none.

    Parameters
    ----------
    classes : (H, W) or (R,) uint8
        Codes 0-3, and 255 for unlabelled; other codes are not counted.
    pixels : int64 of the same shape, optional
        How many pixels each code stands for, as in runs. Default: one.

    Returns
    -------
    dict of str to int
        By :data:`AREA_NAMES`, px.

    Examples
    --------
    >>> class_areas(np.array([[1, 255, 1]], np.uint8))
    {'bg': 0, 'fat': 2, 'cell': 0, 'bone': 0, 'unlabelled': 1}
    >>> class_areas(np.array([1, 2], np.uint8), np.array([30, 4]))["fat"]
    30
    """
    codes = (*range(len(CLASS_NAMES)), UNLABELLED)
    if pixels is None:
        # Five comparisons of bytes are quicker than one count of them all, which widens them.
        counts = [int(np.count_nonzero(classes == code)) for code in codes]
    else:
        weighted = np.bincount(classes.ravel(), pixels.ravel(), UNLABELLED + 1)
        counts = [int(weighted[code]) for code in codes]
    return dict(zip(AREA_NAMES, counts, strict=True))


def cellularity(areas: Mapping[str, float]) -> float | None:
    """Cell / (cell + fat) of one image, 0..1; None where there is neither.

    Parameters
    ----------
    areas : mapping of str to float
        Of ``cell`` and ``fat`` at least, in any unit.

    Examples
    --------
    >>> cellularity({"cell": 3, "fat": 1})
    0.75
    >>> cellularity({"cell": 0, "fat": 0}) is None
    True
    """
    cell, fat = (np.array(float(areas[CLASS_NAMES[code]])) for code in (CELL, FAT))
    share = float(cellularities(cell, fat))
    return None if np.isnan(share) else share


def cellularities(cell: Floats, fat: Floats) -> Floats:
    """Cell / (cell + fat) of many images, 0..1; NaN where there is neither.

    Parameters
    ----------
    cell, fat : (N,) float64, or both of any other shape
        Areas, in any unit.

    Returns
    -------
    float64 of the same shape

    Examples
    --------
    >>> cellularities(np.array([3.0, 0.0]), np.array([1.0, 0.0])).tolist()
    [0.75, nan]
    """
    return over(cell, cell + fat)
