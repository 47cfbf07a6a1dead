"""What lies around an object: the ring, the rim, the border, neighbours, cellularity.

A fat vacuole and a piece of bare slide look the same inside; the rim tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.objects import ImageObjects
from features._geometry import NEAR, PROFILE_INSIDE, PROFILE_OUTSIDE, Geometry
from features._means import Mean
from features._planes import Planes
from features._segments import Segments, divide
from features.table import Column

_NO_RING = "NaN where the object fills the image"
_RIM_STEPS = 8
NEIGHBOUR_COUNT = "neighbour_count"

COLUMNS = (
    Column("ring_lab_l_mean", "CIELAB", f"0..100, {_NO_RING}", "Mean L* in the ring."),
    Column("ring_lab_a_mean", "CIELAB", f"-128..127, {_NO_RING}", "Mean a* in the ring."),
    Column("ring_lab_b_mean", "CIELAB", f"-128..127, {_NO_RING}", "Mean b* in the ring."),
    Column("ring_hematoxylin_mean_od", "OD", f"0..4, {_NO_RING}", "Mean haematoxylin there."),
    Column("ring_eosin_mean_od", "OD", f"0..4, {_NO_RING}", "Mean eosin there."),
    Column("ring_white_share", "1", f"0..1, {_NO_RING}", "White pixels there."),
    Column("ring_nuclear_share", "1", f"0..1, {_NO_RING}", "Nuclear pixels there."),
    Column("ring_entropy_mean", "bit", f"0..4, {_NO_RING}", "Mean local entropy there."),
    Column("ring_local_std_fine", "CIELAB", f"0..50, {_NO_RING}", "Mean local spread of L* there."),
    Column(
        "rim_contrast",
        "CIELAB",
        f">= 0, {_NO_RING}",
        "CIELAB distance of ring mean and inside mean.",
    ),
    Column(
        "rim_darkness",
        "CIELAB",
        f"0..100, {_NO_RING}",
        "100 minus the least mean L* in 1 px steps across the outline, 4 px inside to 8 outside.",
    ),
    Column(
        "rim_eosin_max_od",
        "OD",
        f"0..4, {_NO_RING}",
        "Largest mean eosin density on the same steps.",
    ),
    Column(
        "rim_thickness",
        "1",
        f"0..., {_NO_RING}",
        "How far the stained rim (steps of a quarter ring, at least half stained) reaches "
        "out from the outline, at most two rings, over sqrt(area).",
    ),
    Column(
        "rim_continuity",
        "1",
        "0..1, NaN without free outline",
        "Share of the free outline with a stained pixel within 3 px.",
    ),
    Column("border_share", "1", "0..1", "Share of the outline on the border of the image."),
    Column("touches_border", "1", "0 or 1", "Whether any pixel lies on the border of the image."),
    Column(
        "white_neighbours_share",
        "1",
        f"0..1, {_NO_RING}",
        "White pixels between one and two ring widths away.",
    ),
    Column(
        "local_cellularity",
        "1",
        "0..1",
        "Stained share in a window of 1/8 of the image's longer side, mean over the object.",
    ),
    Column(
        NEIGHBOUR_COUNT,
        "1",
        ">= 0",
        "Other objects seen in the ring (where they overlap, the smaller is seen).",
    ),
)


MEANS = (
    Mean("ring_lab_l_mean", "lab_l", "ring"),
    Mean("ring_lab_a_mean", "lab_a", "ring"),
    Mean("ring_lab_b_mean", "lab_b", "ring"),
    Mean("ring_hematoxylin_mean_od", "hematoxylin", "ring"),
    Mean("ring_eosin_mean_od", "eosin", "ring"),
    Mean("ring_white_share", "white", "ring"),
    Mean("ring_nuclear_share", "nuclear", "ring"),
    Mean("ring_entropy_mean", "entropy", "ring"),
    Mean("ring_local_std_fine", "std_fine", "ring"),
    Mean("white_neighbours_share", "white", "beyond"),
    Mean("local_cellularity", "cellularity", "inside"),
)


def surround(planes: Planes, geometry: Geometry, seen: NDArray[np.int32]) -> dict[str, Floats]:
    """Rim, border and neighbours; :data:`MEANS` and :func:`contrast` give the rest.

    Parameters
    ----------
    planes, geometry
        Of the image and of N (some) of its objects.
    seen : (H, W) int32
        Id of the object seen at each pixel of the whole image, from :func:`seen_ids`.

    Returns
    -------
    dict of str to (N,) float64

    Examples
    --------
    A white square at the left border of stained tissue.

    >>> from annotator.core.objects import Image, objects_from_masks
    >>> from annotator.imaging.appearance import Appearance
    >>> from features import _geometry, _planes
    >>> pixels = np.full((40, 40, 3), (190, 90, 160), np.uint8)
    >>> pixels[10:30, :20] = 240
    >>> white = objects_from_masks("a1", (40, 40), [((10, 0), np.ones((20, 20), bool))])
    >>> where = _geometry.geometry(white, _geometry.pixel_numbers((40, 40)))
    >>> layers = _planes.planes(Appearance(Image.from_pixels(pixels, 0.5)))
    >>> table = surround(layers, where, seen_ids(white))
    >>> [float(table[name][0].round(2)) for name in ("border_share", "rim_continuity")]
    [0.26, 1.0]
    """
    return {
        **_rim(planes, geometry),
        **_border(planes, geometry),
        "rim_thickness": _thickness(planes, geometry),
        NEIGHBOUR_COUNT: neighbour_count(geometry, seen),
    }


def neighbour_count(geometry: Geometry, seen: NDArray[np.int32]) -> Floats:
    """How many other objects are seen in the ring of each object, (N,) float64.

    Parameters
    ----------
    geometry : Geometry
    seen : (H, W) int32
        Id of the object seen at each pixel of the whole image, from :func:`seen_ids`.

    Notes
    -----
    Of all that is known of an object by itself, only this depends on the other objects.
    """
    # Who is seen, not who is there: a neighbour hidden under a smaller object is none.
    ring = geometry.outside.select(geometry.in_ring())
    return _neighbours(ring, ring.gather(seen), geometry.objects.ids)


def contrast(columns: Mapping[str, Floats]) -> Floats:
    """CIELAB distance of the mean colours of ring and inside, from their columns.

    Parameters
    ----------
    columns : mapping of str to (N,) float64
        The means of L*, a* and b*, inside and in the ring.

    Returns
    -------
    (N,) float64
        CIELAB units; NaN where there is no ring.

    Examples
    --------
    >>> axes = ("lab_l_mean", "lab_a_mean", "lab_b_mean")
    >>> inside = {axis: np.array([value]) for axis, value in zip(axes, (3.0, 4.0, 0.0))}
    >>> contrast(inside | {f"ring_{axis}": np.zeros(1) for axis in axes}).tolist()
    [5.0]
    """
    axes = ("lab_l_mean", "lab_a_mean", "lab_b_mean")
    squares = [(columns[axis] - columns[f"ring_{axis}"]) ** 2 for axis in axes]
    distance: Floats = np.sqrt(np.sum(squares, axis=0))
    return distance


def _rim(planes: Planes, geometry: Geometry) -> dict[str, Floats]:
    """Darkest lightness and strongest eosin of the profile across the outline."""
    # Pixels near the outline, from both sides, and how many pixels they lie from it.
    shallow = np.flatnonzero(geometry.depth < PROFILE_INSIDE + 0.5)
    close = np.flatnonzero(geometry.distance < PROFILE_OUTSIDE + 0.5)
    owner = np.concatenate([geometry.inside.owner[shallow], geometry.outside.owner[close]])
    flat = np.concatenate([geometry.inside.flat[shallow], geometry.outside.flat[close]])
    # Steps 0..3 lie inside and 4..11 outside. Both distances begin at 1, the nearest pixel on
    # the other side, so the outline itself has no step.
    steps = np.concatenate(
        [
            PROFILE_INSIDE - np.rint(geometry.depth[shallow]).astype(np.int32),
            PROFILE_INSIDE - 1 + np.rint(geometry.distance[close]).astype(np.int32),
        ]
    )

    # One number for object and step, so that one count serves all objects.
    bins = PROFILE_INSIDE + PROFILE_OUTSIDE
    key = owner * np.int32(bins) + steps
    size = geometry.inside.count * bins
    number = np.bincount(key, minlength=size)

    def profile(plane: NDArray[np.float32]) -> Floats:
        """Mean in each step, (N, bins); NaN for an empty one."""
        total = np.bincount(key, np.take(plane.reshape(-1), flat), minlength=size)
        return divide(total, number).reshape(-1, bins)

    # A rim is one pixel or several, and not always on the outline: the extreme step finds it.
    return {
        "rim_darkness": 100 - np.fmin.reduce(profile(planes.layers["lab_l"]), axis=1),
        "rim_eosin_max_od": np.fmax.reduce(profile(planes.layers["eosin"]), axis=1),
    }


def _thickness(planes: Planes, geometry: Geometry) -> Floats:
    """Steps out from the outline until less than half is stained, over sqrt(area)."""
    per_step = NEAR / _RIM_STEPS  # in ring widths
    outside = geometry.outside
    step = np.minimum(
        geometry.distance / (geometry.widths() * np.float32(per_step)), _RIM_STEPS - 1
    )
    # Step and whether the pixel is white, in one code.
    code = step.astype(np.uint8) * np.uint8(2) + outside.gather(planes.layers["white"])
    # The last axis: stained and white pixels of a step.
    counts = outside.histograms(code, 2 * _RIM_STEPS).reshape(-1, _RIM_STEPS, 2)
    number = counts.sum(axis=2)
    # steps thinner than a pixel can be empty: they neither end the rim nor begin one
    bare = (counts[:, :, 1] > number / 2) & (number > 0)
    steps = np.where(bare.any(axis=1), bare.argmax(axis=1), _RIM_STEPS)
    reach = steps * per_step * geometry.ring / np.sqrt(geometry.areas)
    return np.where(number.sum(axis=1) > 0, reach, np.nan)


def _border(planes: Planes, geometry: Geometry) -> dict[str, Floats]:
    """Contact of the outline with the border of the image and with stained pixels."""
    # The border of the image is no rim: its points count neither for it nor against it.
    outer = geometry.outlines.outer
    free = outer.side == 0
    near = planes.layers["near_stain"][outer.y, outer.x]
    points = outer.groups.sum(np.ones(len(free)))
    on_border = outer.groups.sum(~free)
    return {
        "rim_continuity": divide(outer.groups.sum(near & free), points - on_border),
        "border_share": on_border / points,
        "touches_border": (on_border > 0).astype(np.float64),
    }


def seen_ids(objects: ImageObjects) -> NDArray[np.int32]:
    """Id of the object seen at each pixel: smaller ones lie on top.

    Free of the objects' order: ties go by box, then by mask.

    Parameters
    ----------
    objects : ImageObjects

    Returns
    -------
    (H, W) int32
        0 where there is none.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_masks
    >>> parts = [((0, 1), np.ones((1, 1), bool)), ((0, 0), np.ones((1, 3), bool))]
    >>> seen_ids(objects_from_masks("a1", (1, 4), parts)).tolist()
    [[2, 1, 2, 0]]
    """
    # Large ones are painted first, and the small ones over them.
    areas = objects.areas()
    order = sorted(
        range(len(objects)),
        key=lambda i: (-areas[i], objects.boxes[i].tolist(), objects.crops[i].tobytes()),
    )
    seen = np.zeros(objects.shape, np.int32)
    for i in order:
        x0, y0, x1, y1 = objects.boxes[i]
        seen[y0:y1, x0:x1][objects.crops[i]] = objects.ids[i]
    return seen


def _neighbours(ring: Segments, found: NDArray[np.int32], ids: NDArray[np.int32]) -> Floats:
    """How many different other ids each ring holds, (N,) float64."""
    # One number for ring and id, so that one sort counts the different ids of all rings.
    other = (found > 0) & (found != ids[ring.owner])
    span = np.int64(found.max(initial=0)) + 1
    pairs = np.unique(ring.owner[other] * span + found[other])
    return np.bincount(pairs // span, minlength=ring.count).astype(np.float64)
