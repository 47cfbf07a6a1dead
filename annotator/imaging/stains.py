"""How much of each stain lies on a pixel, and where that makes it a nucleus.

Densities are optical and decadic: 1 OD lets a tenth of the light through. The light that
falls on the section is that of the image's own white, so a slide's tint is no stain.

References
----------
A. C. Ruifrok & D. A. Johnston, "Quantification of histochemical staining by color
deconvolution", Anal. Quant. Cytol. Histol. 23, 2001.
N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. Syst. Man
Cybern. 9, 1979.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask
from annotator.imaging.white import WhiteReference

Plane = NDArray[np.float32]

# Rows: optical density of haematoxylin, eosin and DAB in red, green and blue (Ruifrok &
# Johnston 2001; the values of skimage).
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])


@dataclass(frozen=True, slots=True)
class NucleusRule:
    """How dense stain must be to be a nucleus: Otsu's cut, kept within bounds.

    Parameters
    ----------
    least, most : float
        Bounds of the cut, OD. Where a field has no nuclei Otsu's cut parts the eosin in
        two; the lower bound keeps it from that.
    levels_per_od : float
        Resolution of the histogram in which the cut is sought, up to 255 levels.
    fewest : int
        With fewer stained pixels than this there is no nucleus.
    """

    least: float
    most: float
    levels_per_od: float
    fewest: int


BY_RED_LIGHT = NucleusRule(least=0.22, most=float("inf"), levels_per_od=170, fewest=100)
"""For :func:`red_density`, smoothed: which superpixels are full of nuclei."""
BY_HAEMATOXYLIN = NucleusRule(least=0.25, most=0.70, levels_per_od=200, fewest=1)
"""For the unmixed density, smoothed: which pixels the features count as nuclear."""


def red_density(pixels: NDArray[np.uint8], reference: WhiteReference) -> Plane:
    """Optical density of red light, which haematoxylin takes away and eosin lets through.

    Rougher than :func:`stain_densities` and free of its stain vectors: it holds for slides
    whose stains are none of the textbook's.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.
    reference : WhiteReference
        White of the image, whose density is 0.

    Returns
    -------
    (H, W) float32
        OD; below 0 where a pixel is redder than the white. One level is added to both, so
        that black has a density, too.

    Examples
    --------
    >>> white = WhiteReference((100.0, 0.0, 0.0), (255.0, 255.0, 255.0), 10.0, True)
    >>> red_density(np.array([[[255, 0, 0], [24, 0, 0]]], np.uint8), white).round(1).tolist()
    [[0.0, 1.0]]
    """
    # There are 256 levels of red: a table spares the logarithm of each pixel.
    levels = np.arange(256).astype(np.float32)
    table = np.log10((reference.rgb[0] + 1) / (levels + 1))
    return np.asarray(cv2.LUT(np.ascontiguousarray(pixels[..., 0]), table), np.float32)


def stain_densities(pixels: NDArray[np.uint8], reference: WhiteReference) -> tuple[Plane, Plane]:
    """Optical densities of haematoxylin and eosin, by colour deconvolution.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.
    reference : WhiteReference
        White of the image: the light before the section took any.

    Returns
    -------
    haematoxylin, eosin : (H, W) float32
        OD, not below 0.

    Notes
    -----
    -log10(I / I0) of the three channels, unmixed by the inverse of :data:`STAINS`
    (Ruifrok & Johnston 2001).

    Examples
    --------
    >>> white = WhiteReference((100.0, 0.0, 0.0), (255.0, 255.0, 255.0), 10.0, True)
    >>> pink = np.full((1, 1, 3), (217, 26, 198), np.uint8)
    >>> haematoxylin, eosin = stain_densities(pink, white)
    >>> float(haematoxylin[0, 0].round(1)), float(eosin[0, 0].round(1))
    (0.0, 1.0)
    """
    # A table for each level of each channel. Black counts as level 1, so that its density is
    # finite; what is brighter than white has none.
    levels = np.maximum(np.arange(256, dtype=np.float64), 1)[None, :, None]
    white = np.maximum(np.array(reference.rgb), 1.0)
    table = np.maximum(-np.log10(levels / white), 0).astype(np.float32)
    densities = cv2.LUT(pixels, table)
    # Three rows, although the third stain is not wanted: 3 x 3 has a fast path.
    unmix = np.linalg.inv(STAINS).T.astype(np.float32)
    stains = cv2.transform(densities, unmix)
    haematoxylin, eosin = (np.maximum(stains[:, :, i], 0) for i in range(2))
    return haematoxylin, eosin


def nuclear_mask(density: Plane, stained: BoolMask, rule: NucleusRule) -> BoolMask:
    """Pixels as dense as nuclei: above Otsu's cut among the stained ones.

    Parameters
    ----------
    density : (H, W) float32
        OD, a little smoothed: chromatin is grainy.
    stained : (H, W) bool
        Pixels among which the cut is sought: white would pull it down.
    rule : NucleusRule

    Returns
    -------
    (H, W) bool
        Pixels above the cut wherever they lie, in `stained` or not.

    Examples
    --------
    >>> density = np.full((20, 20), 0.1, np.float32)
    >>> density[5:10, 5:10] = 0.9
    >>> mask = nuclear_mask(density, np.ones((20, 20), bool), BY_HAEMATOXYLIN)
    >>> int(mask.sum())
    25
    """
    found = density[stained]
    if len(found) < rule.fewest:
        return np.zeros(density.shape, np.bool_)
    # The bounds hold where the stained part has no two classes to cut between.
    cut = otsu_level(density_levels(found, rule.levels_per_od)) / rule.levels_per_od
    result: BoolMask = density > min(max(cut, rule.least), rule.most)
    return result


def density_levels(density: Plane, levels_per_od: float) -> NDArray[np.uint8]:
    """Densities in levels for a histogram.

    Parameters
    ----------
    density : (H, W) or (n,) float32
        OD.
    levels_per_od : float

    Returns
    -------
    uint8 of the same shape
        0 for no density or less, 255 for all that is above.

    Examples
    --------
    >>> density_levels(np.array([-0.1, 0.5, 9.0], np.float32), 200).tolist()
    [0, 100, 255]
    """
    scaled = density * np.float32(levels_per_od)
    np.clip(scaled, 0, 255, out=scaled)
    return scaled.astype(np.uint8)


def otsu_level(levels: NDArray[np.uint8]) -> float:
    """Otsu's threshold: what is above it is the upper class.

    Parameters
    ----------
    levels : (n,) uint8, or of any other shape
        At least one.

    Returns
    -------
    float
        0..255.

    References
    ----------
    Otsu 1979, see above.

    Examples
    --------
    >>> otsu_level(np.array([10, 11, 12, 90, 91], np.uint8))
    12.0
    """
    as_column = levels.reshape(-1, 1)
    cut, _ = cv2.threshold(as_column, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(cut)
