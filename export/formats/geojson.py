"""Write GeoJSON that QuPath opens: one file for each image, with outlines along pixel edges.

Outlines run through the corners of the pixels, so an area measured in QuPath is the number of
pixels, and painting a polygon gives its mask back exactly. They are valid in the strict sense:
no ring touches itself, and holes are rings of their own. Coordinates are pixels of the
full-resolution image; y points down.

References
----------
RFC 7946, "The GeoJSON Format", section 3.1.6 for polygons; QuPath's documentation for the
members of ``properties``.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from annotator.core.classes import ClassSchema
from annotator.core.errors import ExportError
from annotator.core.objects import BoolMask
from export.archive import folder_at
from export.shapes import ExportImage, ExportOptions, ExportReport, Shape, shapes
from export.source_pictures import TURNED_ADVICE

Ring = list[tuple[int, int]]


def rings(mask: BoolMask) -> list[Ring]:
    """Closed outlines of a mask on the corners of its pixels.

    Parameters
    ----------
    mask : (H, W) bool

    Returns
    -------
    list of list of (int, int)
        ``x, y`` of the corners; the last is the first again. Outer rings have a
        positive area by the shoelace formula, holes a negative one. No corner
        comes twice in a ring.

    Notes
    -----
    Each corner of the outline ends one horizontal and one vertical edge. In raster order the
    corners of a row pair up as its horizontal edges (the first with the second, the third with
    the fourth), and those of a column as its vertical ones. Following the two kinds of partners
    in turn walks around an outline. Where two pixels touch by a corner only, two outlines
    meet: that corner is listed twice, once for each pixel.

    Examples
    --------
    >>> rings(np.array([[True, True]]))
    [[(0, 0), (2, 0), (2, 1), (0, 1), (0, 0)]]
    """
    x, y, along, across = _linked_corners(mask)
    found: list[Ring] = []
    seen = np.zeros(len(x), np.bool_)
    for first in range(len(x)):
        if not seen[first]:
            path = _walk(first, along, across, seen)
            points = [(x[k], y[k]) for k in path]
            # The mask must lie on one hand of the walk: where the first edge has it on the
            # other, the outline is turned round.
            left, row = min(points[:2])
            below = row < mask.shape[0] and bool(mask[row, left])
            if below != (points[0] == (left, row)):
                points = [points[1], points[0], *points[:1:-1]]
            found += _split(points)
    return found


def _linked_corners(mask: BoolMask) -> tuple[list[int], list[int], list[int], list[int]]:
    """Corners in raster order with the partner of each along its row and its column."""
    padded = np.pad(mask, 1).astype(np.int8)
    nw, ne, sw, se = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    # Of the four pixels around a corner an odd number is set, or two that face each other
    # across it (a saddle): only there do the outlines turn.
    saddle = (nw == se) & (ne == sw) & (nw != ne)
    times = ((nw + ne + sw + se) & 1) + 2 * saddle
    at = np.repeat(np.flatnonzero(times), times[times > 0])
    y, x = np.divmod(at, times.shape[1])
    along = np.arange(len(at)) ^ 1  # 0 with 1, 2 with 3, ...
    # The first of the two at a saddle ends the edge from the left. Its vertical edge
    # goes up when the upper left pixel is set, and down when the lower left one is.
    second = np.r_[False, at[1:] == at[:-1]]
    swap = saddle.ravel()[at] & (sw.ravel()[at] == 1)
    column = np.lexsort((second ^ swap, y, x))
    across = np.empty(len(at), np.int64)
    across[column] = column[np.arange(len(at)) ^ 1]
    return x.tolist(), y.tolist(), along.tolist(), across.tolist()


def _walk(first: int, along: list[int], across: list[int], seen: NDArray[np.bool_]) -> list[int]:
    """Follow an outline from a corner until it closes; starts with a horizontal edge."""
    path: list[int] = []
    at = first
    while not seen[at]:
        end = along[at]
        seen[at] = seen[end] = True
        path += [at, end]
        at = across[end]
    return path


def _split(points: Ring) -> list[Ring]:
    """Cut an outline that meets itself at corners into closed rings that do not."""
    done: list[Ring] = []
    open_at: dict[tuple[int, int], int] = {}
    path: Ring = []
    for point in [*points, points[0]]:
        if point in open_at:
            start = open_at[point]
            done.append([*path[start:], point])
            for left in path[start:]:
                del open_at[left]
            del path[start:]
        open_at[point] = len(path)
        path.append(point)
    return done


def signed_area(ring: Ring) -> int:
    """Area inside a closed ring by the shoelace formula, px; negative for a hole.

    Parameters
    ----------
    ring : list of (int, int)
        ``x, y`` of the corners; the last is the first again.

    Examples
    --------
    >>> signed_area([(0, 0), (2, 0), (2, 1), (0, 1), (0, 0)])
    2
    """
    corners = np.array(ring, np.int64)
    x, y = corners[:, 0], corners[:, 1]
    return int(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) // 2


def polygons(mask: BoolMask, corner: tuple[int, int] = (0, 0)) -> list[list[Ring]]:
    """Outlines of a mask, an outer ring and its holes for each 4-connected part.

    Parameters
    ----------
    mask : (h, w) bool
    corner : (int, int)
        ``x, y`` of the mask's upper left pixel in the image; added to all points.

    Returns
    -------
    list of list of rings
        For each part its outer ring, then its holes, as GeoJSON wants them.

    Examples
    --------
    >>> polygons(np.array([[True, False, True]]), (5, 3))[1]
    [[(7, 3), (8, 3), (8, 4), (7, 4), (7, 3)]]
    """
    parts, count = label(mask)
    found: list[list[Ring]] = [[] for _ in range(count)]
    # Holes have negative areas, so they come after all outer rings.
    for ring in sorted(rings(mask), key=signed_area, reverse=True):
        x, y = _pixel_inside(ring, mask)
        found[parts[y, x] - 1].append([(x + corner[0], y + corner[1]) for x, y in ring])
    return found


def _pixel_inside(ring: Ring, mask: BoolMask) -> tuple[int, int]:
    """A set pixel that lies at the first horizontal edge of a ring, as x and y."""
    (x0, y0), (x1, y1) = ring[:2] if ring[0][1] == ring[1][1] else ring[1:3]
    x = min(x0, x1)
    return (x, y0) if y0 < mask.shape[0] and mask[y0, x] else (x, y1 - 1)


def geometry(shape: Shape) -> dict[str, Any]:
    """The GeoJSON geometry of a shape: a Polygon, or a MultiPolygon of its parts."""
    found = polygons(shape.mask, shape.box[:2])
    if len(found) == 1:
        return {"type": "Polygon", "coordinates": found[0]}
    return {"type": "MultiPolygon", "coordinates": found}


def feature(shape: Shape, image: ExportImage, schema: ClassSchema, number: int) -> dict[str, Any]:
    """One annotation of QuPath.

    Parameters
    ----------
    shape : Shape
    image : ExportImage
    schema : ClassSchema
        For the colour of the class.
    number : int
        Position of the shape in the image, from 1; its id is derived from it, so that the same
        image gives the same file.
    """
    name = f"{shape.label} {shape.instance}" if shape.instance else shape.label
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{image.name}/{number}")),
        "geometry": geometry(shape),
        "properties": {
            "objectType": "annotation",
            "name": name,
            "classification": {"name": shape.label, "color": list(schema.rgb(shape.label))},
            "measurements": measurements(shape, image),
        },
    }


def measurements(shape: Shape, image: ExportImage) -> dict[str, float]:
    """Area in pixels, in square microns where the scale is known, and the confidence."""
    values = {"area_px": float(shape.area)}
    if image.um_per_px is not None:
        values["area_um2"] = round(shape.area * image.um_per_px**2, 3)
    if shape.instance in image.confidence:
        values["confidence"] = round(float(image.confidence[shape.instance]), 6)
    return values


def collection(image: ExportImage, drawn: Sequence[Shape], schema: ClassSchema) -> str:
    """The GeoJSON of one image: a FeatureCollection as compact JSON."""
    features = [feature(shape, image, schema, k) for k, shape in enumerate(drawn, start=1)]
    body = {"type": "FeatureCollection", "features": features}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")) + "\n"


def write_geojson(
    out: Path,
    images: Iterable[ExportImage],
    schema: ClassSchema,
    options: ExportOptions,
) -> ExportReport:
    """Write ``OUT/NAME.geojson`` for each image; see :func:`export.formats.write.write_export`."""
    count = total = 0
    notes: list[str] = []
    with folder_at(out, options.overwrite) as sink:
        for image in images:
            drawn = shapes(image.label_maps)
            sink.write(f"{image.name}.geojson", collection(image, drawn, schema))
            notes += [f"{image.name}: {TURNED_ADVICE}"] if image.is_turned else []
            count, total = count + 1, total + len(drawn)
        if not count:
            raise ExportError("no image to export: annotate some first")
    return ExportReport("geojson", (out,), count, total, notes=tuple(notes))
