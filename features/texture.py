"""Texture inside the mask: co-occurrence, binary patterns, entropy, gradient, speckle.

No value comes from a blacked-out canvas. Co-occurrence counts pairs with both pixels
inside. Filters are taken at the core: the pixels so deep inside that the filter sees
nothing else, or the deepest ones of an object that has no such pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from features._geometry import Geometry
from features._means import Mean
from features._planes import GREY_LEVELS, PAIR_DISTANCES, SMOOTH_STD, Planes
from features._segments import Segments, divide
from features.table import Column

_GLCM = (
    "co-occurrence of 16 levels of L*, pairs {0} px apart across and down, both inside, "
    "symmetric (Haralick, Shanmugam & Dinstein 1973)"
)


def _glcm_columns(distance: int) -> tuple[Column, ...]:
    """Columns of one pixel distance."""
    how = _GLCM.format(distance)
    return (
        Column(f"glcm_contrast_{distance}px", "1", "0..225", f"Contrast of the {how}; no pair: 0."),
        Column(f"glcm_homogeneity_{distance}px", "1", "0..1", "Homogeneity of it; no pair: 1."),
        Column(f"glcm_energy_{distance}px", "1", "0..1", "Energy of it; no pair: 1."),
        Column(
            f"glcm_correlation_{distance}px", "1", "-1..1", "Correlation of it; 1 when all is flat."
        ),
    )


COLUMNS = (
    *_glcm_columns(1),
    *_glcm_columns(3),
    Column(
        "lbp_entropy",
        "bit",
        "0..3.33",
        "Entropy of the 10 uniform binary patterns of 8 neighbours (Ojala et al. 2002).",
    ),
    Column("lbp_flat_share", "1", "0..1", "Pixels with no darker neighbour: flat, or a dark spot."),
    Column("lbp_edge_share", "1", "0..1", "Pixels with 3 to 5 neighbours not darker: an edge."),
    Column("entropy_mean", "bit", "0..4", "Mean entropy of 16 levels of L* in 7 x 7 px."),
    Column("gradient_mean", "CIELAB/px", ">= 0", "Mean gradient of L* (Sobel)."),
    Column("gradient_p90", "CIELAB/px", "0..50", "Its 90 % quantile, to 0.1."),
    Column("local_std_fine", "CIELAB", "0..50", "Mean standard deviation of L* in 3 x 3 px."),
    Column("local_std_coarse", "CIELAB", "0..50", "Mean standard deviation of L* in 7 x 7 px."),
    Column(
        "speckle_density", "1/1000 px", "0..250", "Haematoxylin peaks 0.05 OD above a 9 x 9 window."
    ),
    Column(
        "smooth_share", "1", "0..1", f"Pixels with a 7 x 7 standard deviation under {SMOOTH_STD}."
    ),
)


MEANS = (
    Mean("entropy_mean", "entropy", "deep"),
    Mean("gradient_mean", "gradient", "near"),
    Mean("local_std_fine", "std_fine", "near"),
    Mean("local_std_coarse", "std_coarse", "deep"),
    Mean("speckle_density", "speckle", "near", 1000),
    Mean("smooth_share", "smooth", "deep"),
)


def texture(planes: Planes, geometry: Geometry) -> dict[str, Floats]:
    """Co-occurrence, patterns and quantiles; :data:`MEANS` gives the other columns.

    Parameters
    ----------
    planes : Planes
        Of the image.
    geometry : Geometry
        Of N of its objects.

    Returns
    -------
    dict of str to (N,) float64

    Examples
    --------
    An even grey has no texture: one pattern, no contrast.

    >>> from annotator.core.objects import Image, objects_from_masks
    >>> from annotator.imaging.appearance import Appearance
    >>> from features import _geometry, _planes
    >>> grey = Appearance(Image.from_pixels(np.full((20, 20, 3), 119, np.uint8), 0.5))
    >>> square = objects_from_masks("a1", (20, 20), [((2, 2), np.ones((15, 15), bool))])
    >>> where = _geometry.geometry(square, _geometry.pixel_numbers((20, 20)))
    >>> table = texture(_planes.planes(grey), where)
    >>> [float(table[name][0]) for name in ("glcm_contrast_1px", "lbp_flat_share")]
    [0.0, 1.0]
    """
    # Only where a 3 x 3 filter saw nothing but the object.
    near = geometry.inside.select(geometry.core(1))
    patterns = near.histograms(near.gather(planes.layers["lbp"]), 10)
    gradient = near.quantiles(near.gather(planes.layers["gradient"]), (0.9,), 0, 50)
    return {
        **_cooccurrence(planes, geometry),
        **_patterns(patterns),
        "gradient_p90": gradient[0],
    }


def _patterns(counts: NDArray[np.int64]) -> dict[str, Floats]:
    """Summary of (N, 10) pattern counts."""
    # Every object has a core, so no row is empty; a pattern that never occurs adds 0 bits.
    share = counts / counts.sum(axis=1, keepdims=True)
    logs = np.log2(share, out=np.zeros_like(share), where=share > 0)
    return {
        "lbp_entropy": -(share * logs).sum(axis=1),
        "lbp_flat_share": share[:, 8],
        "lbp_edge_share": share[:, 3:6].sum(axis=1),
    }


def _cooccurrence(planes: Planes, geometry: Geometry) -> dict[str, Floats]:
    """Grey-level co-occurrence across and down, summed, at each distance."""
    columns = {}
    for distance, (across, down) in zip(PAIR_DISTANCES, planes.pairs, strict=True):
        # Neither direction counts more: the two matrices are summed, then made symmetric.
        counts = _pairs(geometry.inside, across, geometry.across.tails(distance))
        counts += _pairs(geometry.columns, down, geometry.down.tails(distance))
        measures = haralick(counts + counts.transpose(0, 2, 1))
        for name, values in zip(measures.names, measures.values, strict=True):
            columns[f"glcm_{name}_{distance}px"] = values
    return columns


def _pairs(
    pixels: Segments, codes: NDArray[np.uint8], tails: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Pairs along rows, (N, 16, 16), from the pair codes of :mod:`features._planes`.

    Both pixels and all between them have to lie inside: every pixel of a run has its
    partner but those of its tail.
    """
    # A code is the level and its partner's in one byte: the histogram of codes is the matrix.
    counts = pixels.histograms(pixels.gather(codes), GREY_LEVELS**2, skip=tails)
    return counts.reshape(-1, GREY_LEVELS, GREY_LEVELS)


@dataclass(frozen=True, slots=True, eq=False)
class Haralick:
    """Four measures of N co-occurrence matrices, (N,) each."""

    values: tuple[Floats, Floats, Floats, Floats]
    names: tuple[str, str, str, str] = ("contrast", "homogeneity", "energy", "correlation")


def haralick(counts: NDArray[np.int64]) -> Haralick:
    """Contrast, homogeneity, energy and correlation as ``skimage.feature.graycoprops``.

    A matrix without pairs counts as flat: 0, 1, 1, 1.

    Parameters
    ----------
    counts : (N, G, G) int64
        Symmetric.

    References
    ----------
    R. M. Haralick, K. Shanmugam & I. Dinstein, "Textural features for image classification",
    IEEE Trans. Syst. Man Cybern. 3, 1973.

    Examples
    --------
    >>> stripes = np.array([[[0, 4], [4, 0]]])
    >>> [float(v[0].round(2)) for v in haralick(stripes).values]
    [1.0, 0.5, 0.71, -1.0]
    """
    levels = np.arange(counts.shape[1], dtype=np.float64)
    square = (levels[:, None] - levels[None, :]) ** 2
    total = counts.sum(axis=(1, 2))
    share = np.nan_to_num(divide(counts, total[:, None, None]))

    # No product of matrices: the last bit of those depends on how many objects there are.
    def weighted(weights: Floats) -> Floats:
        return np.asarray((share * weights).sum(axis=(1, 2)), np.float64)

    # Symmetric: rows and columns have one and the same mean and variance.
    marginal = share.sum(axis=2)
    mean = (marginal * levels).sum(axis=1)
    variance = (marginal * levels**2).sum(axis=1) - mean**2
    product = weighted(levels[:, None] * levels[None, :]) - mean**2
    # Of one level alone, correlation would be 0 / 0.
    flat = variance < 1e-12
    correlation = np.where(flat, 1.0, product / np.where(flat, 1.0, variance))
    empty = total == 0
    return Haralick(
        (
            weighted(square),
            np.where(empty, 1.0, weighted(1 / (1 + square))),
            np.where(empty, 1.0, np.sqrt((share**2).sum(axis=(1, 2)))),
            correlation,
        )
    )
