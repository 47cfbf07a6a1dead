"""A rough idea of an image's scale, for sizes inside the algorithms.

Nobody reports these microns: where the file and the study say nothing, areas
are given in pixels. They only tell how many pixels a nucleus is likely to span.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import fill_holes
from annotator.imaging.stains import density_levels, otsu_level, red_density
from annotator.imaging.white import WhiteReference

# Area-weighted median inscribed radius of the haematoxylin-dark blobs, in um;
# nuclei touch and have lobes, so it is less than a nucleus' radius.
_BLOB_RADIUS_UM = 1.85
# A larger share of the image is not nuclei, but one stain cut at nothing.
_MOST_DARK = 0.7
# From a 40x objective with a fine camera to a 4x one.
_RANGE = (0.15, 2.5)
WITHOUT_NUCLEI = 0.5
"""The guess where there are no nuclei, um per px."""
# Levels of density in the histogram; up to eight of them are white and noise.
_LEVELS_PER_OD, _STAINED_LEVEL = 170, 8
# Fewer stained pixels, or fewer blobs, say nothing about the size of nuclei.
_FEWEST_PIXELS, _FEWEST_BLOBS = 100, 20


def guess_um_per_px(pixels: NDArray[np.uint8], reference: WhiteReference) -> float:
    """Guess the microns per pixel of an image from the size of its nuclei.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.
    reference : WhiteReference
        White of the image.

    Returns
    -------
    float
        In 0.15..2.5; 0.5 where there are no nuclei. On synthetic fields right to a factor
        of 1.6.

    Examples
    --------
    >>> from annotator.imaging.white import white_reference
    >>> bare = np.full((40, 60, 3), 240, np.uint8)
    >>> guess_um_per_px(bare, white_reference(bare))
    0.5
    """
    found = nuclei_um_per_px(pixels, reference)
    return WITHOUT_NUCLEI if found is None else float(np.clip(found, *_RANGE))


def nuclei_um_per_px(pixels: NDArray[np.uint8], reference: WhiteReference) -> float | None:
    """Microns per pixel by which dark blobs have the size of nuclei; None without blobs."""
    radius = _blob_radius(red_density(pixels, reference))
    return None if radius is None else _BLOB_RADIUS_UM / radius


def _blob_radius(density: NDArray[np.float32]) -> float | None:
    """Area-weighted median inscribed radius of dark blobs, in px; None without blobs."""
    # Otsu's cut in all that is stained: no scale is known yet by which to smooth first, so
    # this is rougher than annotator.imaging.stains.nuclear_mask.
    levels = density_levels(density, _LEVELS_PER_OD)
    stained = levels[levels > _STAINED_LEVEL]
    if len(stained) < _FEWEST_PIXELS:
        return None
    dark = levels > otsu_level(stained)
    if dark.mean() > _MOST_DARK:
        return None

    # Pale chromatin leaves holes in large nuclei, and a hole halves the radius.
    dark = fill_holes(cv2.medianBlur(dark.astype(np.uint8), 3).astype(bool))

    # Maxima of the distance transform: nuclei that touch count one by one.
    distance = cv2.distanceTransform(dark.astype(np.uint8), cv2.DIST_L2, 5)
    peaks = distance[(distance == cv2.dilate(distance, np.ones((5, 5)))) & (distance >= 1)]
    if len(peaks) < _FEWEST_BLOBS:
        return None

    # Weighted by area: specks of dark stain are many, and say nothing about nuclei.
    peaks = np.sort(peaks)
    weight = np.cumsum(peaks.astype(np.float64) ** 2)
    return float(peaks[np.searchsorted(weight, weight[-1] / 2)])
