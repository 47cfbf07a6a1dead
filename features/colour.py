"""Colour inside the mask: RGB, HSV, CIELAB, stain densities, shares of white and stains."""

from __future__ import annotations

from annotator.core.arrays import Floats
from features._means import Mean
from features._planes import Planes
from features._segments import Segments
from features.table import Column

_STAIN = "colour deconvolution (Ruifrok & Johnston 2001), decadic, the image's white as I0"


def _rgb(name: str) -> tuple[Column, ...]:
    """Columns of one channel."""
    return (
        Column(f"{name}_mean", "1", "0..255", f"Mean of {name}."),
        Column(f"{name}_std", "1", "0..127.5", f"Standard deviation of {name} inside the mask."),
    )


COLUMNS = (
    *_rgb("red"),
    *_rgb("green"),
    *_rgb("blue"),
    Column("saturation_mean", "1", "0..1", "Mean HSV saturation."),
    Column("value_mean", "1", "0..1", "Mean HSV value."),
    Column("lab_l_mean", "CIELAB", "0..100", "Mean lightness L* (D65)."),
    Column("lab_l_std", "CIELAB", "0..50", "Standard deviation of L*."),
    Column("lab_l_p10", "CIELAB", "0..100", "10 % quantile of L*, to 0.2 units."),
    Column("lab_l_p50", "CIELAB", "0..100", "Median of L*, to 0.2 units."),
    Column("lab_l_p90", "CIELAB", "0..100", "90 % quantile of L*, to 0.2 units."),
    Column("lab_a_mean", "CIELAB", "-128..127", "Mean a* (green to red)."),
    Column("lab_a_std", "CIELAB", "0..128", "Standard deviation of a*."),
    Column("lab_b_mean", "CIELAB", "-128..127", "Mean b* (blue to yellow)."),
    Column("lab_b_std", "CIELAB", "0..128", "Standard deviation of b*."),
    Column("hematoxylin_mean_od", "OD", "0..4", f"Mean haematoxylin density; {_STAIN}."),
    Column("hematoxylin_p90_od", "OD", "0..2.5", "Its 90 % quantile, to 0.005 OD."),
    Column("eosin_mean_od", "OD", "0..4", f"Mean eosin density; {_STAIN}."),
    Column("eosin_std_od", "OD", "0..2", "Standard deviation of the eosin density."),
    Column("white_share", "1", "0..1", "Pixels within the image's own threshold of its white."),
    Column(
        "pink_share", "1", "0..1", "Stained pixels with at least as much eosin as haematoxylin."
    ),
    Column("purple_share", "1", "0..1", "Stained pixels with more haematoxylin than eosin."),
    Column(
        "white_distance_mean", "CIELAB", ">= 0", "Mean distance from the image's white reference."
    ),
    Column("white_distance_p90", "CIELAB", "0..100", "Its 90 % quantile, to 0.2 units."),
    Column(
        "nuclear_share", "1", "0..1", "Dark haematoxylin pixels (Otsu's cut in the stained part)."
    ),
    Column(
        "nuclear_count_density", "1/1000 px", "0..1000", "Centroids of nuclei (>= 12 px) inside."
    ),
)


MEANS = (
    Mean("red_mean", "red", "inside", std="red_std"),
    Mean("green_mean", "green", "inside", std="green_std"),
    Mean("blue_mean", "blue", "inside", std="blue_std"),
    Mean("saturation_mean", "saturation", "inside", 1 / 255),
    Mean("value_mean", "value", "inside", 1 / 255),
    Mean("lab_l_mean", "lab_l", "inside", std="lab_l_std"),
    Mean("lab_a_mean", "lab_a", "inside", std="lab_a_std"),
    Mean("lab_b_mean", "lab_b", "inside", std="lab_b_std"),
    Mean("hematoxylin_mean_od", "hematoxylin", "inside"),
    Mean("eosin_mean_od", "eosin", "inside", std="eosin_std_od"),
    Mean("white_share", "white", "inside"),
    Mean("pink_share", "pink", "inside"),
    Mean("purple_share", "purple", "inside"),
    Mean("white_distance_mean", "white_distance", "inside"),
    Mean("nuclear_share", "nuclear", "inside"),
    Mean("nuclear_count_density", "nucleus_centre", "inside", 1000),
)


def colour(planes: Planes, inside: Segments) -> dict[str, Floats]:
    """The quantiles among :data:`COLUMNS`; :data:`MEANS` gives the rest.

    Parameters
    ----------
    planes : Planes
        Of the image.
    inside : Segments
        Pixels of N objects of it.

    Returns
    -------
    dict of str to (N,) float64

    Examples
    --------
    >>> import numpy as np
    >>> from annotator.core.objects import Image
    >>> from annotator.imaging.appearance import Appearance
    >>> from features._planes import planes
    >>> from features._segments import joined
    >>> image = Image.from_pixels(np.full((8, 8, 3), 119, np.uint8), 0.5)
    >>> table = colour(planes(Appearance(image)), joined([np.arange(64)]))
    >>> table["lab_l_p50"].round().tolist()
    [50.0]
    """
    layers = planes.layers
    lightness = inside.quantiles(inside.gather(layers["lab_l"]), (0.1, 0.5, 0.9), 0, 100)
    hematoxylin = inside.quantiles(inside.gather(layers["hematoxylin"]), (0.9,), 0, 2.5)
    distance = inside.quantiles(inside.gather(layers["white_distance"]), (0.9,), 0, 100)
    return {
        "lab_l_p10": lightness[0],
        "lab_l_p50": lightness[1],
        "lab_l_p90": lightness[2],
        "hematoxylin_p90_od": hematoxylin[0],
        "white_distance_p90": distance[0],
    }
