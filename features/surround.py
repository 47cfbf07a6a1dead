"""What lies around an object: the ring, the rim, the border, neighbours, cellularity.

A fat vacuole and a piece of bare slide look the same inside; the rim tells them apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotator.objects import ImageObjects
from features._geometry import NEAR, PROFILE_INSIDE, PROFILE_OUTSIDE, Geometry
from features._planes import Planes
from features._segments import Floats, Segments, divide
from features.table import Column

_NO_RING = "NaN where the object fills the image"
_RIM_STEPS = 12

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
        "0..100",
        "100 minus the least mean L* in 1 px steps across the outline, 4 px inside to 8 outside.",
    ),
    Column("rim_eosin_max_od", "OD", "0..4", "Largest mean eosin density on the same steps."),
    Column(
        "rim_thickness",
        "1",
        f"0..., {_NO_RING}",
        "How far the stained rim (steps of a quarter ring, at least half stained) reaches "
        "out from the outline, at most three rings, over sqrt(area).",
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
        "White pixels between one and three ring widths away.",
    ),
    Column(
        "local_cellularity",
        "1",
        "0..1",
        "Stained share in a window of 1/8 of the image's longer side, mean over the object.",
    ),
    Column(
        "neighbour_count",
        "1",
        ">= 0",
        "Other objects seen in the ring (where they overlap, the smaller is seen).",
    ),
)


def surround(planes: Planes, geometry: Geometry, seen: NDArray[np.int32]) -> dict[str, Floats]:
    """Columns of :data:`COLUMNS`.

    Parameters
    ----------
    planes, geometry
        Of the image and of (some of) its objects.
    seen : (H, W) int32
        Id of the object seen at each pixel of the whole image, from :func:`seen_ids`.
    """
    width = geometry.ring[geometry.outside.owner]
    in_ring = geometry.distance <= width
    ring = geometry.outside.where(in_ring)
    beyond = geometry.outside.where(~in_ring)
    white = planes.colours.white
    inside = geometry.inside
    return {
        **_ring(planes, ring, inside),
        **_rim(planes, geometry, width),
        **_border(planes, geometry),
        "white_neighbours_share": beyond.means(beyond.gather(white)),
        "local_cellularity": inside.means(inside.gather(planes.cellularity)),
        "neighbour_count": _neighbours(ring, ring.gather(seen), geometry.objects.ids),
    }


def _ring(planes: Planes, ring: Segments, inside: Segments) -> dict[str, Floats]:
    """Means over the ring, and its contrast with the inside."""
    c = planes.colours
    sources = {
        "ring_lab_l_mean": c.lab[0],
        "ring_lab_a_mean": c.lab[1],
        "ring_lab_b_mean": c.lab[2],
        "ring_hematoxylin_mean_od": c.hematoxylin,
        "ring_eosin_mean_od": c.eosin,
        "ring_white_share": c.white,
        "ring_nuclear_share": planes.nuclear,
        "ring_entropy_mean": planes.textures.entropy,
        "ring_local_std_fine": planes.textures.std_fine,
    }
    columns = {name: ring.means(ring.gather(plane)) for name, plane in sources.items()}
    squares = [
        (inside.means(inside.gather(plane)) - columns[f"ring_lab_{name}_mean"]) ** 2
        for name, plane in zip("lab", c.lab, strict=True)
    ]
    columns["rim_contrast"] = np.sqrt(np.sum(squares, axis=0))
    return columns


def _rim(planes: Planes, geometry: Geometry, width: Floats) -> dict[str, Floats]:
    """The profile across the outline, and how far the stained rim reaches."""
    shallow = geometry.inside.where(geometry.depth < PROFILE_INSIDE + 0.5)
    close = geometry.distance < PROFILE_OUTSIDE + 0.5
    around = geometry.outside.where(close)
    depth = geometry.depth[geometry.depth < PROFILE_INSIDE + 0.5]
    steps = (
        PROFILE_INSIDE - np.rint(depth).astype(np.int32).clip(1, PROFILE_INSIDE),
        PROFILE_INSIDE - 1 + np.rint(geometry.distance[close]).astype(np.int32),
    )
    bins = PROFILE_INSIDE + PROFILE_OUTSIDE
    lightness = _profile(planes.colours.lab[0], (shallow, around), steps, bins)
    eosin = _profile(planes.colours.eosin, (shallow, around), steps, bins)
    core = geometry.inside.means(geometry.inside.gather(planes.colours.lab[0]))
    core_eosin = geometry.inside.means(geometry.inside.gather(planes.colours.eosin))
    return {
        "rim_darkness": 100 - np.fmin(np.fmin.reduce(lightness, axis=1), core),
        "rim_eosin_max_od": np.fmax(np.fmax.reduce(eosin, axis=1), core_eosin),
        "rim_thickness": _thickness(planes, geometry, width),
    }


def _profile(
    plane: NDArray[np.float32],
    pixels: tuple[Segments, Segments],
    steps: tuple[NDArray[np.int32], NDArray[np.int32]],
    bins: int,
) -> Floats:
    """Mean of a plane in each step across the outline, (N, bins); NaN for an empty step."""
    count = pixels[0].count
    total, number = np.zeros(count * bins), np.zeros(count * bins)
    for part, step in zip(pixels, steps, strict=True):
        key = part.owner * np.int32(bins) + step
        total += np.bincount(key, part.gather(plane), minlength=count * bins)
        number += np.bincount(key, minlength=count * bins)
    return divide(total, number).reshape(count, bins)


def _thickness(planes: Planes, geometry: Geometry, width: Floats) -> Floats:
    """Steps out from the outline until less than half is stained, over sqrt(area)."""
    outside = geometry.outside
    per_step = NEAR / _RIM_STEPS  # in ring widths
    step = np.minimum(geometry.distance / (width * per_step), _RIM_STEPS - 1).astype(np.int32)
    key = outside.owner * np.int32(_RIM_STEPS) + step
    size = outside.count * _RIM_STEPS
    white = np.bincount(key, outside.gather(planes.colours.white), minlength=size)
    number = np.bincount(key, minlength=size).reshape(-1, _RIM_STEPS)
    # steps thinner than a pixel can be empty: they neither end the rim nor begin one
    bare = (white.reshape(-1, _RIM_STEPS) > number / 2) & (number > 0)
    steps = np.where(bare.any(axis=1), bare.argmax(axis=1), _RIM_STEPS)
    reach = steps * per_step * geometry.ring / np.sqrt(geometry.areas)
    return np.where(number.sum(axis=1) > 0, reach, np.nan)


def _border(planes: Planes, geometry: Geometry) -> dict[str, Floats]:
    """Contact of the outline with the border of the image and with stained pixels."""
    outer = geometry.outlines.outer
    free = outer.side == 0
    near = planes.near_stain[outer.y, outer.x]
    points = outer.per_object(np.ones(len(free)))
    on_border = outer.per_object(~free)
    return {
        "rim_continuity": divide(outer.per_object(near & free), points - on_border),
        "border_share": on_border / points,
        "touches_border": (on_border > 0).astype(np.float64),
    }


def seen_ids(objects: ImageObjects) -> NDArray[np.int32]:
    """Id of the object seen at each pixel, 0 for none: smaller ones lie on top.

    Free of the objects' order: ties go by box, then by mask.
    """
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
    other = (found > 0) & (found != ids[ring.owner])
    span = np.int64(found.max(initial=0)) + 1
    pairs = np.unique(ring.owner[other] * span + found[other])
    return np.bincount(pairs // span, minlength=ring.count).astype(np.float64)
