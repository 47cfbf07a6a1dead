"""Shape of the mask: size, outline, holes, and measures of the free outline.

An adipocyte cut by the border of the image must still look round, so the measures
named *free* use the outline without the part that runs along the border.
"""

from __future__ import annotations

import numpy as np

from annotator.core.arrays import Floats
from features._fit import residuals, roughness
from features._geometry import Geometry
from features._outline import feret, hull_measures, perimeters
from features._segments import divide
from features.table import Column

COLUMNS = (
    Column("area_share", "1", "0..1", "Area as a share of the image."),
    Column("log_area_px", "ln px", ">= 0", "Natural logarithm of the area in pixels."),
    Column(
        "log_area_um2",
        "ln um2",
        "real, NaN when microns per pixel are unknown",
        "Natural logarithm of the area in square microns.",
    ),
    Column(
        "log_area_nominal_um2",
        "ln um2",
        "real",
        "The same where the scale is known, else by the scale that the nuclei suggest "
        "(annotator.imaging.scale): good enough to tell a gap from an adipocyte, not to report.",
    ),
    Column(
        "perimeter_share",
        "1",
        ">= 0",
        "Outline length (Vossepoel & Smeulders 1982) relative to the image's diagonal.",
    ),
    Column(
        "circularity",
        "1",
        "0..1",
        "4 pi area / perimeter^2 with holes filled, at most 1; few pixels count as round.",
    ),
    Column("solidity", "1", "0..1", "Area over the area of the convex hull, at most 1."),
    Column(
        "eccentricity",
        "1",
        "0..1",
        "Of the ellipse with the same second moments; pixels are unit squares.",
    ),
    Column("extent", "1", "0..1", "Area over the area of the box."),
    Column("feret_share", "1", "0..1", "Largest caliper width relative to the image's diagonal."),
    Column("min_feret_ratio", "1", "0..1", "Smallest over largest caliper width."),
    Column("holes_share", "1", "0..1", "Holes' share of the filled area."),
    Column("hole_count", "1", ">= 0", "Holes (4-connected background)."),
    Column("piece_count", "1", ">= 1", "Connected parts (8-connected)."),
    Column(
        "thickness",
        "1",
        "> 0",
        "Largest distance to a pixel outside (the image's border is none) over sqrt(area); "
        "a disc has 0.56.",
    ),
    Column(
        "free_convexity",
        "1",
        "0..1, NaN without free outline",
        "Free length of the convex hull over free length of the outline, at most 1.",
    ),
    Column(
        "ellipse_residual",
        "1",
        ">= 0, NaN with fewer than 8 free points or all on a line",
        "RMS distance of the free outline from its least-squares ellipse (Halir & Flusser "
        "1998, Sampson distance) over sqrt(filled area / pi).",
    ),
    Column(
        "circle_residual",
        "1",
        ">= 0, NaN with fewer than 8 free points or all on a line",
        "The same for its least-squares circle (Kasa 1976).",
    ),
    Column(
        "curvature_roughness",
        "1",
        ">= 0, NaN with fewer than 8 free points",
        "Standard deviation of the turning along the free outline, over 1/16 of its length "
        "each, relative to the turning of a circle.",
    ),
)


def shape(geometry: Geometry, um_per_px: float | None, working_um: float) -> dict[str, Floats]:
    """Columns of :data:`COLUMNS`.

    Parameters
    ----------
    geometry : Geometry
        Of N objects.
    um_per_px : float or None
        Microns per pixel, None where nobody says.
    working_um : float
        The same, or a guess: stands in where the scale is unknown.

    Returns
    -------
    dict of str to (N,) float64

    Examples
    --------
    >>> from annotator.core.objects import objects_from_masks
    >>> from features._geometry import geometry, pixel_numbers
    >>> square = objects_from_masks("a1", (40, 40), [((5, 5), np.ones((20, 20), bool))])
    >>> table = shape(geometry(square, pixel_numbers((40, 40))), 0.5, 0.5)
    >>> float(np.exp(table["log_area_um2"][0]).round()), table["circularity"].round(2).tolist()
    (100.0, [0.84])
    """
    areas = geometry.areas.astype(np.float64)
    height, width = geometry.objects.shape
    x0, y0, x1, y1 = geometry.objects.boxes.astype(np.float64).T
    # ln(area px x (um per px)^2) as a sum: one term for all objects.
    scale = 2 * np.log(um_per_px) if um_per_px else np.nan
    nominal = 2 * np.log(working_um)
    columns = {
        "area_share": areas / (height * width),
        "log_area_px": np.log(areas),
        "log_area_um2": np.log(areas) + scale,
        "log_area_nominal_um2": np.log(areas) + nominal,
        "eccentricity": eccentricity(geometry),
        "extent": areas / ((x1 - x0) * (y1 - y0)),
        "thickness": geometry.deepest() / np.sqrt(areas),
    }
    return columns | _outline(geometry, areas) | _free(geometry)


def _outline(geometry: Geometry, areas: Floats) -> dict[str, Floats]:
    """Measures of the whole outline, the hull and the holes."""
    traced = geometry.outlines
    diagonal = np.hypot(*geometry.objects.shape)
    # Few pixels and estimated lengths can give more than a circle or a hull has: cut to 1.
    length, _ = perimeters(traced.outer)
    hull_area, _ = hull_measures(traced.hull)
    longest, shortest = feret(traced.hull)
    return {
        "perimeter_share": length / diagonal,
        "circularity": np.minimum(4 * np.pi * traced.filled / length**2, 1),
        "solidity": np.minimum(areas / hull_area, 1),
        "feret_share": np.minimum(longest / diagonal, 1),
        "min_feret_ratio": shortest / longest,
        "holes_share": 1 - areas / traced.filled,
        "hole_count": traced.holes.astype(np.float64),
        "piece_count": traced.pieces.astype(np.float64),
    }


def _free(geometry: Geometry) -> dict[str, Floats]:
    """Measures of the free outline."""
    traced = geometry.outlines
    _, free = perimeters(traced.outer)
    _, free_hull = hull_measures(traced.hull)
    # Residuals relative to the radius of a disc of that area: free of the image's scale.
    radius = np.sqrt(traced.filled / np.pi)
    circle, ellipse = residuals(traced.outer)
    return {
        "free_convexity": np.minimum(divide(free_hull, free), 1),
        "ellipse_residual": ellipse / radius,
        "circle_residual": circle / radius,
        "curvature_roughness": roughness(traced.outer),
    }


def eccentricity(geometry: Geometry) -> Floats:
    """Eccentricity of the ellipse with each object's second moments.

    A pixel is a unit square (1/12 on both moments), so that one pixel is round and a
    line of two is not endlessly thin; ``skimage.measure`` leaves that out.

    Parameters
    ----------
    geometry : Geometry
        Of N objects.

    Returns
    -------
    (N,) float64
        0 for a circle, towards 1 for a line.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_masks
    >>> from features._geometry import geometry, pixel_numbers
    >>> parts = [((0, 0), np.ones((1, 1), bool)), ((3, 3), np.ones((1, 2), bool))]
    >>> where = geometry(objects_from_masks("a1", (9, 9), parts), pixel_numbers((9, 9)))
    >>> eccentricity(where).round(3).tolist()
    [0.0, 0.866]
    """
    # Moments from the runs, and from the corner of the box: small numbers keep their digits.
    rows = geometry.across
    length = rows.length.astype(np.float64)
    y, x = np.divmod(rows.flat, geometry.objects.shape[1])
    centre = x - geometry.objects.boxes[rows.groups.owner, 0] + (length - 1) / 2
    y = (y - geometry.objects.boxes[rows.groups.owner, 1]).astype(np.float64)

    def mean(values: Floats) -> Floats:
        """Mean over the pixels of each object of what its runs have in sum."""
        return rows.groups.sum(values) / geometry.areas

    mean_x, mean_y = mean(length * centre), mean(length * y)
    # a run of n pixels has the second moment n (n^2 - 1) / 12 about its own centre
    xx = mean(length * (centre**2 + (length**2 - 1) / 12)) - mean_x**2 + 1 / 12
    yy = mean(length * y * y) - mean_y**2 + 1 / 12
    xy = mean(length * centre * y) - mean_x * mean_y
    # Half the difference of the two main moments; the larger one is middle + spread.
    spread = np.sqrt((xx - yy) ** 2 / 4 + xy**2)
    middle = (xx + yy) / 2
    return np.sqrt(np.clip(2 * spread / (middle + spread), 0, 1))
