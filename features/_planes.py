"""The planes of a whole image that features are taken from: colours, stains, textures, nuclei.

Every plane is (H, W). The filters reach a few pixels, whatever the scale of the
image; the objects' own geometry scales with the objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask
from annotator.imaging.appearance import Appearance

Plane = NDArray[np.float32]
Bytes = NDArray[np.uint8]

GREY_LEVELS = 16
PAIR_DISTANCES = (1, 3)
SMOOTH_STD = 3.0  # L units: below this a 7 x 7 window has no structure that an eye would see
_ENTROPY_SIDE = 7
_PER_BIT = 4096  # 16 levels have at most 4 bits: their sum fits in 16
_MIN_NUCLEUS = 12  # px: fewer dark pixels than this are chromatin grain, not a nucleus


Layers = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """All planes of an image.

    Parameters
    ----------
    shape : (int, int)
        Height and width.
    layers : mapping of str to (H, W)
        uint8: red, green, blue, saturation, value, lbp. bool: white, purple and pink
        (which exclude each other), nuclear, nucleus_centre, speckle, smooth, near_stain.
        float32: lab_l, lab_a, lab_b, hematoxylin, eosin, white_distance, gradient,
        std_fine, std_coarse, entropy, cellularity.
    pairs : tuple of (codes across, codes down)
        For each of :data:`PAIR_DISTANCES`; see :func:`pair_codes`.
    """

    shape: tuple[int, int]
    layers: Layers
    pairs: tuple[tuple[Bytes, Bytes], ...]


def planes(appearance: Appearance) -> Planes:
    """Compute every plane of an image that its appearance does not hold already."""
    # From colours to textures of lightness; the appearance has the dear ones already.
    layers = colour_planes(appearance)
    layers |= texture_planes(layers["lab_l"], layers["hematoxylin"])
    layers |= tissue_planes(appearance.nuclei, layers["white"])

    # Co-occurrence and entropy need few grey levels: 16 x 16 pairs fit into one byte.
    level = grey_levels(layers["lab_l"])
    layers["entropy"] = local_entropy(level)
    pairs = tuple((pair_codes(level, d), pair_codes(level.T, d)) for d in PAIR_DISTANCES)
    return Planes(appearance.image.shape, layers, pairs)


def colour_planes(appearance: Appearance) -> Layers:
    """Colour spaces, optical densities and the three stain classes of an image."""
    pixels, white = appearance.image.pixels, appearance.white
    hematoxylin, eosin = appearance.stain_densities
    # White, purple and pink share out all pixels: a tie of the stains is pink.
    purple = ~white & (hematoxylin > eosin)
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    layers: Layers = dict(zip(("red", "green", "blue"), cv2.split(pixels), strict=True))
    layers |= zip(("saturation", "value"), cv2.split(hsv)[1:], strict=True)
    layers |= zip(("lab_l", "lab_a", "lab_b"), appearance.lab, strict=True)
    return layers | {
        "hematoxylin": hematoxylin,
        "eosin": eosin,
        "white_distance": appearance.whiteness,
        "white": white,
        "purple": purple,
        "pink": ~(white | purple),
    }


def tissue_planes(nuclear: BoolMask, white: BoolMask) -> Layers:
    """Nuclei, what lies within 3 px of stain, and the stained share of a wide window.

    Parameters
    ----------
    nuclear, white : (H, W) bool

    Returns
    -------
    mapping of str to (H, W)
        bool: nuclear, nucleus_centre, near_stain. float32, 0..1: cellularity, over a window
        of 1/8 of the longer side.

    Examples
    --------
    >>> white = np.ones((16, 16), bool)
    >>> white[8, 8] = False
    >>> layers = tissue_planes(~white, white)
    >>> layers["near_stain"][8, 4:13].astype(int).tolist()
    [0, 1, 1, 1, 1, 1, 1, 1, 0]
    """
    stained = (~white).view(np.uint8)
    # An odd side, so that the window has a middle.
    reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    side = max(3, max(white.shape) // 8) | 1
    return {
        "nuclear": nuclear,
        "nucleus_centre": centres(nuclear),
        "near_stain": cv2.dilate(stained, reach) > 0,
        "cellularity": _box(stained.astype(np.float32), side),
    }


def centres(nuclear: BoolMask) -> BoolMask:
    """One pixel at the centroid of each connected nucleus of at least 12 px.

    Parameters
    ----------
    nuclear : (H, W) bool
        Nuclei that touch are one; where only corners meet they are two (4-neighbours).

    Returns
    -------
    (H, W) bool

    Examples
    --------
    >>> nuclear = np.zeros((9, 9), bool)
    >>> nuclear[1:6, 1:6] = nuclear[8, 8] = True
    >>> np.argwhere(centres(nuclear)).tolist()
    [[3, 3]]
    """
    _, _, stats, centroids = cv2.connectedComponentsWithStats(
        nuclear.view(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    # The first component is the background.
    big = stats[1:, cv2.CC_STAT_AREA] >= _MIN_NUCLEUS
    x, y = np.rint(centroids[1:][big]).astype(np.int64).T
    points = np.zeros(nuclear.shape, np.bool_)
    points[y, x] = True
    return points


def texture_planes(lightness: Plane, hematoxylin: Plane) -> Layers:
    """Texture planes of lightness and of haematoxylin density.

    Parameters
    ----------
    lightness : (H, W) float32
        CIELAB L*, 0..100.
    hematoxylin : (H, W) float32
        OD.

    Returns
    -------
    mapping of str to (H, W)
        uint8: lbp. float32: gradient in L* a pixel, std_fine and std_coarse in L*. bool:
        smooth, speckle.

    Examples
    --------
    A slope of 2 units a pixel.

    >>> slope = np.tile(np.arange(0, 18, 2, dtype=np.float32), (9, 1))
    >>> layers = texture_planes(slope, np.zeros((9, 9), np.float32))
    >>> float(layers["gradient"][4, 4]), round(float(layers["std_coarse"][4, 4]), 2)
    (2.0, 4.0)
    """
    # Sobel's weights add up to 8: scaled, a slope of 1 unit a pixel gives 1.
    dx = cv2.Sobel(lightness, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(lightness, cv2.CV_32F, 0, 1, scale=1 / 8)
    coarse = local_std(lightness, 7)
    return {
        "lbp": local_binary_patterns(lightness),
        # not cv2.magnitude: its last bit depends on where the arrays lie in memory
        "gradient": np.sqrt(dx * dx + dy * dy),
        "std_fine": local_std(lightness, 3),
        "std_coarse": coarse,
        "smooth": coarse < SMOOTH_STD,
        "speckle": speckles(hematoxylin),
    }


def grey_levels(lightness: Plane) -> Bytes:
    """Lightness in 16 levels.

    Parameters
    ----------
    lightness : (H, W) float32
        CIELAB L*, 0..100.

    Returns
    -------
    (H, W) uint8
        0..15.

    Examples
    --------
    >>> grey_levels(np.array([[0, 6, 7, 100]], np.float32)).tolist()
    [[0, 0, 1, 15]]
    """
    level = np.clip(lightness * np.float32(GREY_LEVELS / 100), 0, GREY_LEVELS - 1)
    result: Bytes = level.astype(np.uint8)
    return result


def pair_codes(level: Bytes, distance: int) -> Bytes:
    """16 x level of each pixel + level of the one `distance` to its right.

    Past the end of a row stands something else: such pixels have no partner.

    Examples
    --------
    >>> pair_codes(np.array([[1, 2, 3]], np.uint8), 1)
    array([[18, 35, 48]], dtype=uint8)
    """
    # The upper four bits are the pixel, the lower four its partner.
    codes = level * np.uint8(GREY_LEVELS)
    codes[:, :-distance] |= level[:, distance:]
    return np.ascontiguousarray(codes)


def _box(plane: Plane, side: int) -> Plane:
    """Mean over a square window."""
    return cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def local_std(plane: Plane, side: int) -> Plane:
    """Standard deviation in a square window.

    Parameters
    ----------
    plane : (H, W) float32
    side : int
        Of the window, px, odd.

    Returns
    -------
    (H, W) float32

    Examples
    --------
    >>> plane = np.zeros((5, 5), np.float32)
    >>> plane[2, 2] = 9
    >>> round(float(local_std(plane, 3)[2, 2]), 2)
    2.83
    """
    # E[x2] - E[x]2, which rounding takes a little below 0 where all is flat.
    mean = _box(plane, side)
    square = _box(plane * plane, side)
    variance = square - mean * mean
    return np.sqrt(np.maximum(variance, 0, out=variance), out=variance)


def local_entropy(level: Bytes) -> Plane:
    """Shannon entropy of the grey levels in a 7 x 7 window.

    Parameters
    ----------
    level : (H, W) uint8
        0..15, from :func:`grey_levels`.

    Returns
    -------
    (H, W) float32
        Bits to 0.001, 0..4.

    Examples
    --------
    Four columns of a window are of one level and three of another; or all are of one.

    >>> level = np.zeros((9, 14), np.uint8)
    >>> level[:, 7:] = 1
    >>> round(float(local_entropy(level)[4, 6]), 3), float(local_entropy(level)[4, 2])
    (0.985, 0.0)
    """
    window = (_ENTROPY_SIDE, _ENTROPY_SIDE)
    size = _ENTROPY_SIDE * _ENTROPY_SIDE
    share = np.arange(256, dtype=np.float64) / size
    table = np.zeros(256, np.uint16)
    bits = -share[1 : size + 1] * np.log2(share[1 : size + 1])
    table[1 : size + 1] = np.rint(bits * _PER_BIT)

    # -p log2 p of a count comes from a table in steps of 1/4096 bit: a sum of whole numbers has no
    # rounding, so a window's entropy does not depend on the order of its levels.
    total = np.zeros(level.shape, np.uint16)
    for value in np.flatnonzero(np.bincount(level.ravel())):
        hits = (level == value).view(np.uint8)
        counts = cv2.boxFilter(hits, -1, window, normalize=False, borderType=cv2.BORDER_REFLECT)
        total += cv2.LUT(counts, table)  # type: ignore[arg-type]
    return total * np.float32(1 / _PER_BIT)


def speckles(hematoxylin: Plane) -> BoolMask:
    """Local maxima of haematoxylin at least 0.05 OD above their surroundings.

    Parameters
    ----------
    hematoxylin : (H, W) float32
        OD; it is smoothed by 1 px first.

    Returns
    -------
    (H, W) bool

    Examples
    --------
    >>> density = np.zeros((15, 15), np.float32)
    >>> density[7, 7] = 1.0
    >>> np.argwhere(speckles(density)).tolist()
    [[7, 7]]
    """
    # Equal to the highest of its 3 x 3 window: a maximum, or a plateau of them.
    smooth = cv2.GaussianBlur(hematoxylin, (0, 0), 1.0)
    peak = smooth == cv2.dilate(smooth, np.ones((3, 3), np.uint8))
    mask: BoolMask = peak & (smooth - _box(smooth, 9) > np.float32(0.05))  # type: ignore[arg-type]
    return mask


# Neighbours in order around the pixel: dy, dx.
_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def _uniform_table() -> Bytes:
    """Ones in the pattern for uniform patterns (at most two changes around), else 9."""
    table = np.full(256, 9, np.uint8)
    for code in range(256):
        bits = [code >> i & 1 for i in range(8)]
        # bits[-1] is the last one: the pattern is a ring.
        if sum(bits[i] != bits[i - 1] for i in range(8)) <= 2:
            table[code] = sum(bits)
    return table


def local_binary_patterns(lightness: Plane) -> Bytes:
    """Rotation-invariant uniform local binary patterns of the 8 direct neighbours.

    Code n <= 8: n neighbours that stand together are not darker than the pixel; 9: any other
    pattern.

    Parameters
    ----------
    lightness : (H, W) float32
        CIELAB L*, 0..100; rounded to whole units of 100/255, so that flat stays flat (8).

    Returns
    -------
    (H, W) uint8
        0..9.

    References
    ----------
    T. Ojala, M. Pietikäinen & T. Mäenpää, "Multiresolution gray-scale and rotation invariant
    texture classification with local binary patterns", IEEE PAMI 24, 2002.

    Examples
    --------
    All neighbours of a bright spot are darker; of a flat pixel, none is.

    >>> spot = np.full((5, 5), 50, np.float32)
    >>> spot[1, 1] = 90
    >>> local_binary_patterns(spot)[[1, 3], [1, 3]].tolist()
    [0, 8]
    """
    grey = np.rint(lightness * np.float32(2.55)).astype(np.uint8)
    height, width = grey.shape
    padded = cv2.copyMakeBorder(grey, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    # A bit for each neighbour; beyond the image's edge the edge is repeated.
    codes = np.zeros(grey.shape, np.uint8)
    for bit, (dy, dx) in enumerate(_AROUND):
        shifted = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        codes |= (shifted >= grey).view(np.uint8) << np.uint8(bit)
    return cv2.LUT(codes, _uniform_table())  # type: ignore[return-value]
