"""Read GeoJSON as QuPath writes it: our own export come back, and outlines drawn by hand.

A file holds the outlines of one image and does not name it: the file is called like the image,
``field_012.geojson``. Inside is a FeatureCollection, a bare list of features, or a single one.
Each feature has a Polygon or a MultiPolygon, and its class in ``classification``.

Where outlines overlap, the later one in the file lies on top. A pixel under no outline is
unlabelled, as in every other format: nobody judged it.

References
----------
RFC 7946, "The GeoJSON Format"; QuPath, ``PathObjectTypeAdapters.java`` for what it writes and
reads. Programs between, such as geopandas, move ``id`` among the properties, write ``isLocked``
as 1.0, and nested members as text: none of these matters here but the last.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from annotator.core.errors import UsageError
from annotator.core.label_names import EXCLUDE, OUR_NAMES, LabelNames
from export.readers.corrected import Corrected, Expected, Reading
from export.readers.json_files import load_json
from export.readers.labels import LabelReader
from export.readers.outlines import Rings, crop_of_polygons
from export.readers.painting import Crop, Mark, paint
from export.readers.zip import Entries

FORMAT = "GeoJSON"
SUFFIX = ".geojson"
_NO_Z = (
    "GeoJSON has no z_order: where outlines overlap, the later in the file was taken to lie on top"
)
_NAMING = (
    "a GeoJSON file does not say of which image it is: call it like the image, such as "
    "field_012.geojson"
)
_FEATURES = ("FeatureCollection", "Feature")
_WITHOUT_CLASS = "object without a class"


def is_geojson(document: object) -> bool:
    """Whether a document is GeoJSON with features.

    Examples
    --------
    >>> is_geojson([{"type": "Feature"}]), is_geojson({"images": []})
    (True, False)
    """
    first = document[0] if isinstance(document, list) and document else document
    return isinstance(first, dict) and first.get("type") in _FEATURES


def read_geojson(
    archive: Entries, names: Sequence[str], expected: Expected, labels: LabelReader
) -> Reading:
    """Read GeoJSON files, each alone: one that cannot be used does not stop the others.

    Parameters
    ----------
    archive : Entries
    names : sequence of str
        Of the files in it.
    expected : callable
        Height and width by the name of an image; None for one that the study does not know.
    labels : LabelReader

    Returns
    -------
    Reading
        Its images are read one by one as they are asked for.
    """
    images = _images(archive, names, expected, labels)
    return Reading(FORMAT, images, [_NO_Z], naming=_NAMING, by_hand=True)


def _images(
    archive: Entries, names: Sequence[str], expected: Expected, labels: LabelReader
) -> Iterator[Corrected]:
    for name in names:
        try:
            yield _image(archive, name, expected, labels)
        except UsageError as error:
            yield Corrected(name, None, source=name, refused=str(error))


def _image(archive: Entries, name: str, expected: Expected, labels: LabelReader) -> Corrected:
    image = PurePosixPath(name).stem
    frame = expected(image)
    if frame is None:
        return Corrected(image, None, source=name)
    marks: list[Mark] = []
    unused: Counter[str] = Counter()
    for order, feature in enumerate(features_of(archive.read(name), name)):
        what = f"{name}, feature {order + 1}"
        label = class_name(feature)
        if not label:
            unused[_WITHOUT_CLASS] += 1
            continue
        label = label_meant(label, labels.names)
        if is_passed_over(label, labels.names):
            continue
        crop = crop_of_feature(feature, what, frame)
        if isinstance(crop, str):
            unused[crop] += 1
        else:
            marks.append(Mark(labels.code(label, image), *crop, order=order))
    return Corrected(image, paint(marks, frame), dict(unused), name)


def features_of(data: bytes, name: str) -> list[Mapping[str, Any]]:
    """The features of a file, in its order.

    Parameters
    ----------
    data : bytes
    name : str
        Of the file, for messages.

    Raises
    ------
    UsageError
        When it is no GeoJSON.

    Examples
    --------
    >>> len(features_of(b'{"type": "FeatureCollection", "features": [{"type": "Feature"}]}', "x"))
    1
    """
    try:
        document = load_json(data, name)
    except UsageError as error:
        raise UsageError(f"{error}; expected GeoJSON") from error
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        document = document.get("features")
    features = [document] if isinstance(document, dict) else document
    if not isinstance(features, list) or not all(
        isinstance(one, dict) and one.get("type") == "Feature" for one in features
    ):
        raise UsageError(
            f"{name}: expected a FeatureCollection, a list of features or a feature, got other "
            "JSON; in QuPath: File, Export objects as GeoJSON"
        )
    return features


def class_name(feature: Mapping[str, Any]) -> str:
    """Name of the class of a feature; empty where it has none.

    Derived classes are written with colons, as QuPath shows them.

    Examples
    --------
    >>> class_name({"properties": {"classification": {"names": ["cell", "pale"]}}})
    'cell: pale'
    >>> class_name({"properties": {"classification": '{"name": "fat"}'}})
    'fat'
    """
    properties = feature.get("properties")
    found = properties.get("classification") if isinstance(properties, dict) else None
    if isinstance(found, str) and found.lstrip().startswith("{"):
        found = _as_json(found)
    if isinstance(found, dict):
        names = found.get("names")
        found = ": ".join(map(str, names)) if isinstance(names, list) else found.get("name")
    name = found.strip() if isinstance(found, str) else ""
    return "" if name.casefold() == "unclassified" else name


def _as_json(text: str) -> Any:
    """A member that a program between wrote as text."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def label_meant(name: str, names: LabelNames) -> str:
    """The part of a class's name that somebody explained; the whole name where nobody did.

    Of a derived class (``cell: pale``) without a meaning of its own, that of which it is derived.

    Examples
    --------
    >>> label_meant("cell: pale", OUR_NAMES), label_meant("tumour: pale", OUR_NAMES)
    ('cell', 'tumour: pale')
    """
    parts = name.split(":")
    wholes = (":".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((whole for whole in wholes if names.meaning(whole)), name)


def is_passed_over(name: str, names: LabelNames) -> bool:
    """Whether it is the class that QuPath itself passes over, and nobody said otherwise.

    Examples
    --------
    >>> is_passed_over("Ignore*", OUR_NAMES), is_passed_over("Tumor", OUR_NAMES)
    (True, False)
    """
    return name.casefold() == "ignore*" and names.meaning(name) is None


def crop_of_feature(feature: Mapping[str, Any], what: str, frame: tuple[int, int]) -> Crop | str:
    """The pixels of a feature, or its kind where it has none.

    Parameters
    ----------
    feature : mapping
    what : str
        Where it stands, for messages.
    frame : (int, int)
        Height and width of the image, px.

    Raises
    ------
    UsageError
        When its coordinates cannot be those of such an image.
    """
    geometry = feature.get("geometry")
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if not isinstance(geometry, dict) or kind not in ("Polygon", "MultiPolygon"):
        return f"{kind or 'object without an outline'}"
    coordinates = geometry.get("coordinates")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    try:
        rings = [_rings(polygon) for polygon in _list(polygons)]
        crop = crop_of_polygons(rings, frame)
    except UsageError as error:
        raise UsageError(
            f"{what}: {error}; coordinates are pixels of the image, from its upper left corner"
        ) from error
    return "shape without a pixel" if crop is None else crop


def _rings(polygon: Any) -> Rings:
    return [[_point(point) for point in _list(ring)] for ring in _list(polygon)]


def _point(values: Any) -> tuple[float, float]:
    """``x, y`` of a corner; what follows, such as a height, is not used."""
    numbers: Sequence[Any] = _list(values)[:2]
    if len(numbers) != 2 or not all(type(number) in (int, float) for number in numbers):
        raise UsageError(f"expected corners [x, y], got {str(values)[:60]}")
    try:
        return float(numbers[0]), float(numbers[1])
    except OverflowError as error:
        raise UsageError("expected numbers of a picture, got one beyond any") from error


def _list(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise UsageError(f"expected a list of coordinates, got {str(values)[:60]}")
    return values


def excluding_masks(
    data: bytes, name: str, frame: tuple[int, int], names: LabelNames = OUR_NAMES
) -> Iterator[Crop]:
    """The regions of a file that exclude: of class ``exclude``, or of none.

    Parameters
    ----------
    data : bytes
    name : str
        Of the file, for messages.
    frame : (int, int)
        Height and width of the image, px.
    names : LabelNames
        What other names of classes mean.

    Yields
    ------
    (box, mask)
        Tight half-open box ``x0 y0 x1 y1`` and (h, w) bool.

    Raises
    ------
    UsageError
        When it is no GeoJSON, or holds coordinates that cannot be of such an image.
    """
    for number, feature in enumerate(features_of(data, name), start=1):
        of_class = class_name(feature)
        if of_class and names.meaning(label_meant(of_class, names)) != EXCLUDE:
            continue
        crop = crop_of_feature(feature, f"{name}, feature {number}", frame)
        if not isinstance(crop, str):
            yield crop
