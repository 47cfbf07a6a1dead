"""The white of one image: where the light of the slide comes through untouched.

A fixed threshold on RGB calls a pale stain white and a grey adipocyte tissue:
between 170 and 200 lies 8 % of the area of a typical field. So the reference is
found in each image, in CIELAB, where a distance means about the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
LabPlanes = tuple[Plane, Plane, Plane]

# Lightness counts less than colour: a fold or a thicker section greys an
# adipocyte's lumen (L falls, chroma stays), while stain moves the chroma.
LIGHTNESS_WEIGHT = 0.6

# The mode of white must be about this bright and pale to be believed at all.
_PALE_FROM, _BIN, _BINS = 40.0, 0.5, 120
_MODE_SHARE = 0.004
# More chroma than this is stain, however bright: slides reach about 11.
_STAIN_CHROMA = 14.0
# Where nothing is white the white is that of an ordinary slide.
_NO_WHITE = (93.0, 0.0, 0.0)
_THRESHOLD_RANGE = (9.0, 17.0)
_SAMPLE = 400_000

# sRGB primaries in CIE XYZ under D65, each row over its sum: white is (1, 1, 1), greys have
# neither a* nor b*.
_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_XYZ_OVER_WHITE = (_XYZ / _XYZ.sum(axis=1, keepdims=True)).astype(np.float32)
# Below this CIE puts a straight line in the place of the cube root, tangent to it.
_DARK = np.float32((6 / 29) ** 3)
_DARK_SLOPE = np.float32((29 / 6) ** 2 / 3)
_LAB_OF_ROOTS = np.array([[0, 116, 0, -16], [500, -500, 0, 0], [0, 200, -200, 0]], np.float32)
_BLOCK = 1 << 16  # pixels converted at a time: they stay in the processor's cache
_EXTRA = 64  # pixels at the end of them that only fill the processor's vectors


@dataclass(frozen=True, slots=True)
class WhiteReference:
    """The white of one image.

    Parameters
    ----------
    lab : (float, float, float)
        CIELAB (D65) of the white mode: L 0..100, a, b.
    rgb : (float, float, float)
        The same as RGB, 0..255.
    threshold : float
        Largest distance, in weighted CIELAB units, that still counts as white.
    found : bool
        Whether the image shows a white mode. If not, its few colourless bright pixels
        stand in, or the white of an ordinary slide.
    """

    lab: tuple[float, float, float]
    rgb: tuple[float, float, float]
    threshold: float
    found: bool


def to_lab(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIELAB (D65) of sRGB pixels.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.

    Returns
    -------
    (H, W, 3) float32
        L* 0..100, a* and b* about -128..127; within 0.001 of the formulas in float64.

    Notes
    -----
    Not by OpenCV: its ``cvtColor`` to Lab reads a stepped table (OpenCV 5), up to 0.4 off, in
    which neighbouring colours come out as one.

    References
    ----------
    CIE 15:2004, section 8.2.1; IEC 61966-2-1 for the curve and the primaries of sRGB.

    Examples
    --------
    >>> to_lab(np.array([[[255, 255, 255], [119, 119, 119]]], np.uint8))[0, :, 0].round().tolist()
    [100.0, 50.0]
    """
    flat = np.ascontiguousarray(pixels).reshape(-1, 3)
    # OpenCV rounds the last pixels of a row in another way. They are extra ones here, and
    # dropped: so equal colours are equal in CIELAB, too.
    padded = np.pad(flat, [(0, -len(flat) % _EXTRA + _EXTRA), (0, 0)])
    lab = np.empty((len(padded) - _EXTRA, 3), np.float32)
    for start in range(0, len(lab), _BLOCK):
        block = _lab_of_row(padded[None, start : start + _BLOCK + _EXTRA])
        lab[start : start + _BLOCK] = block[0, :-_EXTRA]
    return lab[: len(flat)].reshape(pixels.shape)


def _lab_of_row(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    xyz = cv2.transform(cv2.LUT(pixels, _linear_light()), _XYZ_OVER_WHITE)
    below = np.minimum(xyz - _DARK, 0)
    # As single numbers, which OpenCV cuts into pieces that fill its vectors.
    roots = cv2.pow(np.maximum(xyz, _DARK, out=xyz).reshape(1, -1), 1 / 3).reshape(xyz.shape)
    roots += np.multiply(below, _DARK_SLOPE, out=below)
    return np.asarray(cv2.transform(roots, _LAB_OF_ROOTS), np.float32)


@cache
def _linear_light() -> Plane:
    """Linear light, 0..1, of each sRGB value 0..255."""
    value = np.arange(256) / 255
    light = np.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)
    return light.astype(np.float32)


def white_reference(pixels: NDArray[np.uint8]) -> WhiteReference:
    """Find the brightest pale mode of an image, and how far white reaches from it.

    Paleness is L minus chroma. Its brightest mode that holds at least 0.4 % of
    the pixels is the white; the threshold lies in the valley towards the stained
    pixels (Otsu's cut of the distances below 40 units), bounded on both sides.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB. Of a large image every second or third row and column is looked at.

    References
    ----------
    N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. Syst.
    Man Cybern. 9, 1979.

    Examples
    --------
    >>> pixels = np.full((40, 60, 3), 240, np.uint8)
    >>> pixels[:20] = 190, 90, 160
    >>> reference = white_reference(pixels)
    >>> reference.found, [round(v) for v in reference.rgb]
    (True, [240, 240, 240])
    """
    # Some 400,000 pixels show the mode as well as all of them do.
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / _SAMPLE) ** 0.5))
    lab = to_lab(np.ascontiguousarray(pixels[::step, ::step])).reshape(-1, 3)
    paleness = lab[:, 0] - np.hypot(lab[:, 1], lab[:, 2])
    mode, found = _brightest_mode(paleness)

    # The median of what lies around the mode: its own bin is only half a unit wide.
    centre = lab[np.abs(paleness - mode) <= 2.0]
    white = np.median(centre, axis=0) if found else np.zeros(3)
    if not found or np.hypot(white[1], white[2]) > _STAIN_CHROMA:
        white, found = _stand_in(lab), False

    # Where no white was seen there is no valley either: the strictest threshold.
    distance = _distance((lab[:, 0], lab[:, 1], lab[:, 2]), white)
    threshold = _valley(distance) if found else _THRESHOLD_RANGE[0]
    rgb = cv2.cvtColor(white.astype(np.float32).reshape(1, 1, 3), cv2.COLOR_LAB2RGB).ravel()
    red, green, blue = (float(v) for v in np.clip(rgb * 255, 0, 255))
    lightness, a, b = (float(v) for v in white)
    return WhiteReference((lightness, a, b), (red, green, blue), threshold, found)


def whiteness(pixels: NDArray[np.uint8], reference: WhiteReference) -> Plane:
    """Distance of each pixel from the white of its image.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.
    reference : WhiteReference

    Returns
    -------
    (H, W) float32
        Weighted CIELAB units, see :data:`LIGHTNESS_WEIGHT`; 0 is white or brighter. White
        is where this is at most ``reference.threshold``.

    Examples
    --------
    >>> white = WhiteReference((93.0, 0.0, 0.0), (235.0, 235.0, 235.0), 10.0, True)
    >>> greys = np.array([[[240] * 3, [235] * 3, [200] * 3]], np.uint8)
    >>> whiteness(greys, white).round().tolist()
    [[0.0, 0.0, 7.0]]
    """
    return whiteness_of_lab(to_lab(pixels), reference)


def whiteness_of_lab(lab: NDArray[np.float32], reference: WhiteReference) -> Plane:
    """The same as :func:`whiteness` for pixels that are in CIELAB already.

    Parameters
    ----------
    lab : (H, W, 3) float32
        As :func:`to_lab` gives them.
    reference : WhiteReference

    Returns
    -------
    (H, W) float32

    Examples
    --------
    A fold is darker than white by 10, a pale stain redder by 10: the stain is further off.

    >>> white = WhiteReference((93.0, 0.0, 0.0), (235.0, 235.0, 235.0), 10.0, True)
    >>> lab = np.array([[[83, 0, 0], [93, 10, 0]]], np.float32)
    >>> whiteness_of_lab(lab, white).round(2).tolist()
    [[6.0, 10.0]]
    """
    return whiteness_of_planes((lab[..., 0], lab[..., 1], lab[..., 2]), reference)


def whiteness_of_planes(lab: LabPlanes, reference: WhiteReference) -> Plane:
    """The same as :func:`whiteness_of_lab` for L*, a* and b* as planes of their own.

    Parameters
    ----------
    lab : three (H, W) float32
    reference : WhiteReference

    Returns
    -------
    (H, W) float32

    Examples
    --------
    >>> white = WhiteReference((93.0, 0.0, 0.0), (235.0, 235.0, 235.0), 10.0, True)
    >>> lightness, red_green, yellow_blue = np.array([[[99]], [[3]], [[4]]], np.float32)
    >>> whiteness_of_planes((lightness, red_green, yellow_blue), white).tolist()
    [[5.0]]
    """
    return _distance(lab, np.array(reference.lab))


def blurred(plane: Plane, sigma: float) -> Plane:
    """Gaussian blur of a plane.

    Parameters
    ----------
    plane : (H, W) float32
    sigma : float
        px; under 0.3 it changes nothing, and the plane itself comes back.

    Returns
    -------
    (H, W) float32

    Examples
    --------
    >>> spot = np.zeros((7, 7), np.float32)
    >>> spot[3, 3] = 1
    >>> blurred(spot, 0.2) is spot, round(float(blurred(spot, 1.0)[3, 3]), 2)
    (True, 0.16)
    """
    if sigma < 0.3:
        return plane
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


def _distance(lab: LabPlanes, white: NDArray[Any]) -> Plane:
    """Weighted CIELAB distance from white; brighter than white is no distance."""
    # Plane by plane and in place: half the time of one (H, W, 3) array, and the same bits.
    lightness, a, b = white.astype(np.float32)
    darker = np.minimum(lab[0] - lightness, 0)
    darker *= np.float32(LIGHTNESS_WEIGHT)
    distance = np.square(darker, out=darker)
    for plane, of_white in ((lab[1], a), (lab[2], b)):
        chroma = plane - of_white
        distance += np.square(chroma, out=chroma)
    root: Plane = np.sqrt(distance, out=distance)
    return root


def _brightest_mode(paleness: NDArray[np.float32]) -> tuple[float, bool]:
    """Paleness of the brightest mode, and whether there is one worth the name."""
    # The paleness of 40 and more in bins of half a unit, smoothed over seven of them: the
    # noise of a camera makes many small peaks out of one mode.
    counts, edges = np.histogram(
        paleness, bins=_BINS, range=(_PALE_FROM, _PALE_FROM + _BIN * _BINS)
    )
    smooth = np.convolve(counts / max(len(paleness), 1), np.ones(7), "same")
    peaks = [
        i
        for i in range(3, _BINS - 3)
        if smooth[i] == smooth[i - 3 : i + 4].max() and smooth[i] >= _MODE_SHARE
    ]
    if not peaks:
        return 0.0, False
    # The brightest peak, not the highest: in a cellular field little is white.
    return float(edges[peaks[-1]] + _BIN / 2), True


def _stand_in(lab: NDArray[np.float32]) -> NDArray[Any]:
    """White of an image without a mode of white: nothing stained is ever taken for it."""
    # Bright and nearly colourless; 20 such pixels make a median, fewer may be dust.
    pale = lab[(np.hypot(lab[:, 1], lab[:, 2]) <= _STAIN_CHROMA) & (lab[:, 0] >= 75)]
    return np.median(pale, axis=0) if len(pale) >= 20 else np.array(_NO_WHITE)


def _valley(distance: NDArray[np.float32]) -> float:
    """Otsu's threshold between the white mode and the stained pixels, bounded."""
    # Nuclei lie far beyond 40 units, and would draw the cut into the stain.
    near = distance[distance < 40.0]
    if len(near) < 100:
        return _THRESHOLD_RANGE[0]
    # OpenCV cuts bytes: 0..40 units over 0..255.
    as_bytes = (near * np.float32(255 / 40)).astype(np.uint8).reshape(-1, 1)
    cut, _ = cv2.threshold(as_bytes, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(np.clip(cut * 40 / 255, *_THRESHOLD_RANGE))
