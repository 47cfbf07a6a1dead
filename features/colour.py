"""Colour inside the mask: RGB, HSV, CIELAB, stain densities, shares of white and stains."""

from __future__ import annotations

from features._planes import Planes
from features._segments import Floats, Segments
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


def colour(planes: Planes, inside: Segments) -> dict[str, Floats]:
    """Columns of :data:`COLUMNS` for the objects whose pixels are `inside`."""
    c = planes.colours
    share = {
        "white_share": c.white,
        "pink_share": c.pink,
        "purple_share": c.purple,
        "nuclear_share": planes.nuclear,
    }
    columns = {name: inside.means(inside.gather(mask)) for name, mask in share.items()}
    columns["saturation_mean"] = inside.means(inside.gather(c.saturation)) / 255
    columns["value_mean"] = inside.means(inside.gather(c.value)) / 255
    columns["nuclear_count_density"] = 1000 * inside.means(inside.gather(planes.nucleus_centre))
    distance = inside.gather(c.white_distance)
    columns["white_distance_mean"] = inside.means(distance)
    columns["white_distance_p90"] = inside.quantiles(distance, (0.9,), 0, 100)[0]
    return columns | _channels(planes, inside) | _lab(planes, inside) | _stains(planes, inside)


def _channels(planes: Planes, inside: Segments) -> dict[str, Floats]:
    """Statistics of red, green and blue."""
    columns = {}
    for name, plane in zip(("red", "green", "blue"), planes.colours.rgb, strict=True):
        columns[f"{name}_mean"], columns[f"{name}_std"] = inside.moments(inside.gather(plane))
    return columns


def _lab(planes: Planes, inside: Segments) -> dict[str, Floats]:
    """Statistics of L*, a* and b*."""
    columns = {}
    for name, plane in zip("lab", planes.colours.lab, strict=True):
        values = inside.gather(plane)
        columns[f"lab_{name}_mean"], columns[f"lab_{name}_std"] = inside.moments(values)
        if name == "l":
            p10, p50, p90 = inside.quantiles(values, (0.1, 0.5, 0.9), 0, 100)
            columns |= {"lab_l_p10": p10, "lab_l_p50": p50, "lab_l_p90": p90}
    return columns


def _stains(planes: Planes, inside: Segments) -> dict[str, Floats]:
    """Statistics of the two stain densities."""
    hematoxylin = inside.gather(planes.colours.hematoxylin)
    mean, std = inside.moments(inside.gather(planes.colours.eosin))
    return {
        "hematoxylin_mean_od": inside.means(hematoxylin),
        "hematoxylin_p90_od": inside.quantiles(hematoxylin, (0.9,), 0, 2.5)[0],
        "eosin_mean_od": mean,
        "eosin_std_od": std,
    }
