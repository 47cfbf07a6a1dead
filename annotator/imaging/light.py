"""The colour of the light of one image: seen where nothing is in its way.

Slide and the lumens of adipocytes let the light through as it is. They are flat, and nothing
in the picture is brighter. Pale tissue can be flat as well, but eosin and haematoxylin take
green away before all else, and no lamp, filter or camera without a white balance does that.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.imaging.white import to_lab

# About so many pixels show the light; each is a mean, so that noise is no texture.
_SAMPLE = 200_000
# Largest standard deviation, of 255, in 5 x 5 of them where nothing but light is seen.
_FLAT = 4.0
# Share of the picture that the mode of light has at the least; bins of its density, OD.
_SHARE, _BIN, _BINS, _AROUND = 0.004, 0.01, 150, 0.04
# By how much, of 255, stray pixels of another colour are brighter, and the share that may be; of
# the same colour, within so much of one, is slide in a field that is lit unevenly.
_BRIGHTER, _MOST_BRIGHTER, _SAME_COLOUR = 12, 0.03, 0.06
# Green that light lacks at the most, against red and blue (natural logarithm): stain lacks
# more, from 0.12 in the palest eosin to 0.4.
_LACK_OF_GREEN = 0.08
# Darker than this no light is believed, of 255; light that is darker than `_DIM` is made as
# bright as that of an ordinary picture.
_DARKEST, _DIM, _ORDINARY = 50.0, 190.0, 235.0
# A stained pixel has a channel this low; one that is as high as can be is cut off.
_STAINED, _CUT_OFF = 225, 254
# Chroma (CIELAB) up to which light needs no correction: slides reach about 11.
_UNTINTED = 11.0


@dataclass(frozen=True, slots=True)
class Light:
    """The light of an image.

    Parameters
    ----------
    rgb : (float, float, float)
        Where nothing lies in its way, 0..255.
    cast : {"", "warm", "blue", "green"}
        What is wrong with its colour; empty where it is white, or nearly.
    """

    rgb: tuple[float, float, float]
    cast: str

    @property
    def is_dim(self) -> bool:
        """Whether the picture was taken with far too little light."""
        return max(self.rgb) < _DIM


def find_light(pixels: NDArray[np.uint8]) -> Light | None:
    """Find the light of an image: the brightest mode of its flat pixels.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB, without black that is no tissue.

    Returns
    -------
    Light or None
        None where neither slide nor the lumen of an adipocyte is seen.

    Examples
    --------
    Under a tungsten lamp slide is yellow; a pink picture shows no light.

    >>> pixels = np.full((80, 80, 3), (190, 90, 120), np.uint8)
    >>> find_light(pixels) is None
    True
    >>> pixels[:40] = 240, 223, 180
    >>> find_light(pixels)
    Light(rgb=(240.0, 223.0, 180.0), cast='warm')
    """
    few = _means(pixels)
    flat = few[_unevenness(few) <= _FLAT]
    density = -np.log10(np.maximum(flat, 1) / 255).sum(axis=1)
    count = few.shape[0] * few.shape[1]
    at = _lowest_mode(density, count)
    if at is None:
        return None
    rgb = np.median(flat[np.abs(density - at) <= _AROUND], axis=0)
    red, green, blue = np.log(np.maximum(rgb, 1))
    is_stained = green < (red + blue) / 2 - _LACK_OF_GREEN
    if is_stained or rgb.max() < _DARKEST or _brighter(few, rgb) / count > _MOST_BRIGHTER:
        return None
    return Light((float(rgb[0]), float(rgb[1]), float(rgb[2])), _cast(rgb))


def balanced(pixels: NDArray[np.uint8], light: Light | None) -> NDArray[np.uint8]:
    """The picture as it would be under white light.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.
    light : Light or None

    Returns
    -------
    (H, W, 3) uint8
        Each channel multiplied so that the light is grey, as bright as its brightest channel,
        or as that of an ordinary picture where it is dim; the very array where it is neither
        tinted nor dim.

    References
    ----------
    J. von Kries, "Die Gesichtsempfindungen", in: Handbuch der Physiologie des Menschen 3, 1905.

    Examples
    --------
    >>> pixels = np.array([[[200, 160, 100], [100, 80, 50]]], np.uint8)
    >>> balanced(pixels, Light((200.0, 160.0, 100.0), "warm")).tolist()
    [[[200, 200, 200], [100, 100, 100]]]
    """
    if light is None or not (light.cast or light.is_dim):
        return pixels
    target = _ORDINARY if light.is_dim else max(light.rgb)
    gains = target / np.maximum(np.array(light.rgb), 1)
    levels = np.arange(256)[None, :, None] * gains
    table = np.clip(np.round(levels), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table), np.uint8)


def cut_off_share(pixels: NDArray[np.uint8]) -> float:
    """Share of the stained pixels that are too bright for the camera in a channel, 0..1.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.

    Notes
    -----
    In ordinary pictures it is 0.03 or less; 1.5 times the light makes it 0.35 to 0.9.

    Examples
    --------
    >>> cut_off_share(np.array([[[255, 190, 240], [200, 90, 160], [255, 255, 255]]], np.uint8))
    0.5
    """
    few = np.ascontiguousarray(pixels[::2, ::2] if pixels.size > 3 * _SAMPLE else pixels)
    red, green, blue = cv2.split(few)
    stained = cv2.min(cv2.min(red, green), blue) <= _STAINED
    cut_off = (cv2.max(cv2.max(red, green), blue) >= _CUT_OFF) & stained
    count = np.count_nonzero(stained)
    return int(np.count_nonzero(cut_off)) / int(count) if count else 0.0


def _brighter(few: NDArray[np.float32], rgb: NDArray[np.float32]) -> int:
    """How many pixels are brighter than the light, and of another colour."""
    # Plane by plane: few pixels are brighter, and only their colour has to be looked at.
    planes = zip(cv2.split(few), rgb + _BRIGHTER, strict=True)
    bright = few[np.logical_or.reduce([plane > level for plane, level in planes])]
    ratio = bright / np.maximum(rgb, 1)
    return int(np.count_nonzero(np.ptp(ratio, axis=1) > _SAME_COLOUR))


def _means(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The picture in fewer pixels, each the mean of many, smoothed over three."""
    height, width = pixels.shape[:2]
    shrink = max(1.0, (height * width / _SAMPLE) ** 0.5)
    size = max(1, round(width / shrink)), max(1, round(height / shrink))
    few = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if shrink > 1 else pixels
    return np.asarray(cv2.blur(few.astype(np.float32), (3, 3)), np.float32)


def _unevenness(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest standard deviation of the three channels in 5 x 5 pixels, (h, w) float32."""
    mean = cv2.blur(pixels, (5, 5))
    variance = cv2.blur(pixels * pixels, (5, 5)) - mean * mean
    red, green, blue = cv2.split(variance)
    largest = cv2.max(cv2.max(red, green), blue)
    return np.asarray(np.sqrt(np.maximum(largest, 0)), np.float32)


def _lowest_mode(density: NDArray[np.float32], pixels: int) -> float | None:
    """Density of the brightest mode of flat pixels, OD of all channels; None without one."""
    counts, _ = np.histogram(density, bins=_BINS, range=(0, _BIN * _BINS))
    # Smoothed over five bins: the noise of a camera makes many small peaks out of one mode.
    smooth = np.convolve(counts / pixels, np.ones(5), "same")
    for at in range(_BINS):
        around = smooth[max(0, at - 2) : at + 3]
        if smooth[at] >= _SHARE and smooth[at] == around.max():
            return (at + 0.5) * _BIN
    return None


def _cast(rgb: NDArray[np.float32]) -> str:
    _, red_green, yellow_blue = to_lab(np.round(rgb).astype(np.uint8).reshape(1, 1, 3))[0, 0]
    if np.hypot(red_green, yellow_blue) <= _UNTINTED:
        return ""
    red, green, blue = rgb
    if green >= max(red, blue):
        return "green"
    return "warm" if red > blue else "blue"
