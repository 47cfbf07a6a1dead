"""How far cellularity moves with the white reference: the band of a row of the data table.

Fat and slide are white, cell is not, and where white ends is a choice. The range of that
choice is taken from two places that agree. The published notebooks ask for all channels of
at least 170 in one place and 200 in another; seen from the white of an ordinary slide
(L 93) these greys are 14.0 and 7.4 units away (:mod:`annotator.imaging.white`), a factor of 1.9
apart. The thresholds that our own cut is bounded by, 9 and 17, lie as far apart, 1.9. So the
threshold that an image has by its own white is moved down and up by the square root of 1.9,
about 1.4: from one end to the other by that whole factor.

What then happens to a labelled pixel, whoever labelled it:

- a **cell** pixel between the threshold and the higher one becomes white, and goes to the
  class, fat or background, of the nearest pixel that has one of these two;
- a **fat** or **background** pixel between the lower threshold and the threshold becomes cell;
- a pixel whose label does not follow the threshold now (a gap between cells that is white
  already, a membrane counted as fat) does not follow a moved one either;
- bone and unlabelled pixels stay.

Gaps between cells count like the edges of adipocytes, so the band is rather too wide.
Pixels are looked at on a grid of at most 80,000: the band is good to 0.1 points or so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.class_areas import cellularity
from annotator.core.classes import BG, CELL, FAT
from annotator.core.objects import BoolMask
from annotator.imaging.white import WhiteReference, to_lab, white_reference, whiteness_of_lab
from annotator.measurements.morphometry import second_cellularity

FACTOR = 1.9**0.5
Band = tuple[float, float]
_MOST_PIXELS = 80_000


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """An image and its labels on a coarse grid.

    Parameters
    ----------
    lab : (h, w, 3) float32
        CIELAB, see :func:`annotator.imaging.white.to_lab`.
    classes : (h, w) uint8
    white : (h, w) float32
        Distance from white, see :func:`annotator.imaging.white.whiteness`.
    reference : WhiteReference
    """

    lab: NDArray[np.float32]
    classes: NDArray[np.uint8]
    white: NDArray[np.float32]
    reference: WhiteReference


@dataclass(frozen=True, slots=True)
class Flips:
    """Shares of the image, 0..1, that change their class when white reaches further or less.

    Parameters
    ----------
    cell_to_fat, cell_to_bg : float
        When white reaches further.
    fat_to_cell, bg_to_cell : float
        When it reaches less far.
    """

    cell_to_fat: float
    cell_to_bg: float
    fat_to_cell: float
    bg_to_cell: float


def sampled(
    pixels: NDArray[np.uint8], classes: NDArray[np.uint8], black: BoolMask | None = None
) -> Sampled:
    """Take every n-th pixel of every n-th row.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.
    classes : (H, W) uint8
    black : (H, W) bool, optional
        What was filled in the pixels: it has no colour here, and is not white.

    Raises
    ------
    ValueError
        When the two are not of one size.
    """
    if pixels.shape[:2] != classes.shape:
        raise ValueError(f"expected labels of {pixels.shape[:2]}, got {classes.shape}")
    step = max(1, int(np.ceil((classes.size / _MOST_PIXELS) ** 0.5)))
    few = np.ascontiguousarray(pixels[::step, ::step])
    reference = white_reference(few)
    lab = to_lab(few)
    labels = np.ascontiguousarray(classes[::step, ::step])
    if black is not None:
        lab[black[::step, ::step]] = 0
    return Sampled(lab, labels, whiteness_of_lab(lab, reference), reference)


def flips(image: Sampled) -> Flips:
    """Find the pixels that change class when the white threshold moves by `FACTOR`.

    Parameters
    ----------
    image : Sampled

    Returns
    -------
    Flips
    """
    threshold = image.reference.threshold
    classes, white = image.classes, image.white
    becomes_white = (classes == CELL) & (white > threshold) & (white <= threshold * FACTOR)
    becomes_cell = (white > threshold / FACTOR) & (white <= threshold)
    to_fat = int(np.count_nonzero(becomes_white & _nearest_is_fat(classes)))
    counts = (
        to_fat,
        np.count_nonzero(becomes_white) - to_fat,
        np.count_nonzero(becomes_cell & (classes == FAT)),
        np.count_nonzero(becomes_cell & (classes == BG)),
    )
    return Flips(*(float(count) / classes.size for count in counts))


def bands(areas: Mapping[str, float], moved: Flips) -> tuple[Band | None, Band | None]:
    """Lowest and highest cellularity by both equations, each with its own value inside.

    Parameters
    ----------
    areas : mapping
        Of ``bg``, ``fat``, ``cell``, ``bone``, ``unlabelled``, in any unit.
    moved : Flips

    Returns
    -------
    (band, second_band)
        None where the cellularity itself is undefined.

    Examples
    --------
    >>> areas = {"bg": 0, "fat": 40, "cell": 60, "bone": 0, "unlabelled": 0}
    >>> bands(areas, Flips(0.1, 0.0, 0.2, 0.0))[0]
    (0.5, 0.8)
    """
    total = sum(areas.values())
    wider = _moved(areas, moved.cell_to_fat * total, moved.cell_to_bg * total)
    narrower = _moved(areas, -moved.fat_to_cell * total, -moved.bg_to_cell * total)
    states = (areas, wider, narrower)
    first, second = (
        [equation(state) for state in states] for equation in (cellularity, second_cellularity)
    )
    return _around(first), _around(second)


def _moved(areas: Mapping[str, float], to_fat: float, to_bg: float) -> dict[str, float]:
    """Move area between cell and fat or bg; a sampled share may exceed what is there a little."""
    fat, bg = max(0.0, areas["fat"] + to_fat), max(0.0, areas["bg"] + to_bg)
    taken = fat - areas["fat"] + bg - areas["bg"]
    return {**areas, "fat": fat, "bg": bg, "cell": max(0.0, areas["cell"] - taken)}


def _around(values: list[float | None]) -> Band | None:
    """Range of the values; None where the first is undefined, other undefined ones left out."""
    known = [value for value in values if value is not None]
    return (float(min(known)), float(max(known))) if values[0] is not None else None


def _nearest_is_fat(classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether the nearest fat or background pixel is fat; False where there is neither."""
    other = ((classes != FAT) & (classes != BG)).astype(np.uint8)
    if other.all():
        return np.zeros(classes.shape, np.bool_)
    _, owner = cv2.distanceTransformWithLabels(
        other, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # The label of a pixel is the number of its nearest zero pixel: look each one's class up.
    zero = other == 0
    of_label = np.zeros(int(owner.max()) + 1, np.bool_)
    of_label[owner[zero]] = classes[zero] == FAT
    nearest: NDArray[np.bool_] = of_label[owner]
    return nearest
