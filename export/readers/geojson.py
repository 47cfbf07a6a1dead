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
from export.readers.class_names import ClassOfName, Meaning, NoClass, class_of_name
from export.readers.corrected import Corrected, Expected, Reading
from export.readers.files import Files
from export.readers.outlines import Rings, crop_of_polygons
from export.readers.painting import EXCLUDED, Crop, Mark, paint

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


def geojson_names(files: Files) -> list[str]:
    """Names of the GeoJSON files among some files; ``.json`` counts where it holds GeoJSON."""
    return [
        name
        for name in files.names
        if name.lower().endswith(SUFFIX)
        or (name.lower().endswith(".json") and is_geojson(files.read(name)))
    ]


def is_geojson(data: bytes) -> bool:
    """Whether bytes are GeoJSON with features.

    Examples
    --------
    >>> is_geojson(b'[{"type": "Feature"}]'), is_geojson(b'{"images": []}'), is_geojson(b"no")
    (True, False, False)
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return False
    first = document[0] if isinstance(document, list) and document else document
    return isinstance(first, dict) and first.get("type") in _FEATURES


def read_geojson(
    files: Files, expected: Expected, class_of: ClassOfName = class_of_name
) -> Reading:
    """Read all GeoJSON files among some files.

    Parameters
    ----------
    files : Files
    expected : callable
        Height and width by the name of an image; None for one that the study does not know.
    class_of : callable
        What the name of a class stands for.

    Returns
    -------
    Reading
        Its images are read one by one as they are asked for.
    """
    names = geojson_names(files)
    reading = Reading(FORMAT, iter(()), [_NO_Z], naming=_NAMING)
    reading.images = (_image(files, name, expected, class_of) for name in names)
    return reading


def _image(files: Files, name: str, expected: Expected, class_of: ClassOfName) -> Corrected:
    image = PurePosixPath(name).stem
    frame = expected(image)
    if frame is None:
        return Corrected(image, None, source=name)
    marks: list[Mark] = []
    unused: Counter[str] = Counter()
    for order, feature in enumerate(features_of(files.read(name), name)):
        what = f"{name}, feature {order + 1}"
        code = _code(class_name(feature), class_of)
        if isinstance(code, str):
            unused[code] += 1
            continue
        if code is None:
            continue
        crop = crop_of_feature(feature, what, frame)
        if isinstance(crop, str):
            unused[crop] += 1
        else:
            marks.append(Mark(code, *crop, order=order))
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
        document = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{name}: expected GeoJSON, got no JSON ({error}); export again"
        ) from error
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


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


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


def _code(name: str, class_of: ClassOfName) -> int | str | None:
    """Code of a name; a text says why there is none, and None that it shall be passed over."""
    if not name:
        return _WITHOUT_CLASS
    meaning = meaning_of(name, class_of)
    if meaning is None:
        return f"of unknown class {name!r}"
    if meaning is NoClass.IGNORE:
        return None
    return EXCLUDED if meaning is NoClass.EXCLUDE else int(meaning)


def meaning_of(name: str, class_of: ClassOfName = class_of_name) -> Meaning:
    """What a class stands for; of a derived one (``cell: pale``) that of which it is derived.

    A star at the end, as in ``Ignore*``, marks a class that QuPath itself passes over.

    Examples
    --------
    >>> meaning_of("cell: pale"), meaning_of("tumour: pale") is None
    (2, True)
    """
    parts = name.split(":")
    for count in range(len(parts), 0, -1):
        meaning = class_of(":".join(parts[:count]))
        if meaning is not None:
            return meaning
    return NoClass.IGNORE if name.casefold() == "ignore*" else None


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


def excluding_masks(data: bytes, name: str, frame: tuple[int, int]) -> Iterator[Crop]:
    """The regions of a file that exclude: of class ``exclude``, or of none.

    Parameters
    ----------
    data : bytes
    name : str
        Of the file, for messages.
    frame : (int, int)
        Height and width of the image, px.

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
        if of_class and meaning_of(of_class) is not NoClass.EXCLUDE:
            continue
        crop = crop_of_feature(feature, f"{name}, feature {number}", frame)
        if not isinstance(crop, str):
            yield crop
