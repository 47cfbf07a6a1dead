"""Read Label Studio's export as JSON: tasks with the annotations of each.

Of several annotations of a task the latest that was not cancelled counts. Predictions are no
truth. Measures are percents of the image's width and height; later regions lie on top.

References
----------
Label Studio, "Label Studio JSON format of annotated tasks", and the tags BrushLabels,
PolygonLabels, RectangleLabels, EllipseLabels and BitmaskLabels of its documentation. The corner
of a rectangle is what it is turned about; the point of an ellipse is its centre, although the
documentation calls it a corner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from annotator.core.errors import UsageError
from export.readers.corrected import Corrected, Expected, Reading, check_size
from export.readers.json_files import load_json
from export.readers.label_studio_regions import crop_of_region, has_area, label_of
from export.readers.labels import LabelReader
from export.readers.painting import Mark, paint
from export.readers.zip import Entries

LABEL_STUDIO = "Label Studio"
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif")


def is_label_studio(task: Mapping[str, Any]) -> bool:
    """Whether an object is a task as the export in JSON has it, or in JSON-MIN.

    Examples
    --------
    >>> is_label_studio({"data": {"image": "a.png"}, "annotations": []})
    True
    """
    return isinstance(task.get("annotations", task.get("completions")), list) or _is_minimal(task)


def _is_minimal(task: Mapping[str, Any]) -> bool:
    return "annotation_id" in task and "data" not in task


def read_label_studio(
    archive: Entries, names: Sequence[str], expected: Expected, labels: LabelReader
) -> Reading:
    """Read tasks, each alone: one that cannot be used does not stop the others.

    Parameters
    ----------
    archive : Entries
    names : sequence of str
        Of the files of tasks in it.
    expected : callable
        Height and width by the name of an image; None for one that the study does not know.
    labels : LabelReader

    Returns
    -------
    Reading
        Its images are read one by one as they are asked for.
    """
    return Reading(LABEL_STUDIO, _images(archive, names, expected, labels), by_hand=True)


def _images(
    archive: Entries, names: Sequence[str], expected: Expected, labels: LabelReader
) -> Iterator[Corrected]:
    for source in names:
        document = load_json(archive.read(source), source)
        for task in document if isinstance(document, list) else [document]:
            place = f"{source}, task {task.get('id') if isinstance(task, dict) else '?'}"
            try:
                yield _image(task, place, expected, labels)
            except UsageError as error:
                yield Corrected(place, None, source=place, refused=str(error))
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                why = f"not a task of Label Studio ({error!r})"
                yield Corrected(place, None, source=place, refused=why)


def _image(
    task: Mapping[str, Any], place: str, expected: Expected, labels: LabelReader
) -> Corrected:
    if _is_minimal(task):
        raise UsageError("expected Label Studio's export as JSON, got JSON-MIN: export as JSON")
    name, frame = _known(task, expected)
    if frame is None:
        return Corrected(name, None, source=place)
    annotation, notes = _latest(task)
    regions = annotation.get("result") or []
    for region in regions:
        _check_region(name, region, frame)
    marks, unused = _marks(name, regions, frame, labels)
    return Corrected(name, paint(marks, frame), unused, place, notes=tuple(notes))


def _marks(
    name: str, regions: Sequence[Mapping[str, Any]], frame: tuple[int, int], labels: LabelReader
) -> tuple[list[Mark], dict[str, int]]:
    marks: list[Mark] = []
    unused: Counter[str] = Counter()
    # With <Labels> beside <Brush> or the like, a region stands there twice, by one id: as what
    # was drawn, and as its label, which repeats the drawing.
    labelled = {r.get("id") for r in regions if label_of(r) is not None and has_area(r)}
    for order, region in enumerate(regions):
        label = label_of(region)
        if label is None or not has_area(region):
            if region.get("id") not in labelled:
                what = " without a label" if has_area(region) else ""
                unused[f"{region.get('type')}{what}"] += 1
            continue
        try:
            crop = crop_of_region(region["value"], frame)
        except UsageError as error:
            raise UsageError(f"region {region.get('id')} ({label}): {error}") from error
        if crop is None:
            unused["shape without a pixel"] += 1
        else:
            marks.append(Mark(labels.code(label, name), *crop, order, order))
    return marks, dict(unused)


def _known(task: Mapping[str, Any], expected: Expected) -> tuple[str, tuple[int, int] | None]:
    """Name and size of the image of a task."""
    names = _image_names(task)
    if not names:
        raise UsageError("expected the address of an image in the data of the task, got none")
    for name in names:
        frame = expected(name)
        if frame is not None:
            return name, frame
    return names[0], None


def _image_names(task: Mapping[str, Any]) -> list[str]:
    """Names that the image of a task can have, the likeliest first."""
    data = task.get("data") or {}
    values = [v for v in data.values() if isinstance(v, str)]
    places = [place for place in map(_place, values) if place.lower().endswith(_PICTURES)]
    upload = task.get("file_upload")
    # What was uploaded by hand has its name here, too.
    return [*places, *([upload] if isinstance(upload, str) and upload else [])]


def _place(address: str) -> str:
    """The path in an address: of a server, of a bucket, or ``/data/local-files/?d=folder/name``."""
    parts = urlsplit(address) if ":/" in address or address.startswith("/data/") else None
    if parts is None:
        return address
    local = [part[2:] for part in parts.query.split("&") if part.startswith("d=")]
    return unquote(local[0] if local else parts.path)


def _latest(task: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """The annotation that counts, and what is to be said about the others."""
    found = task.get("annotations", task.get("completions")) or []
    valid = [a for a in found if not (a.get("was_cancelled") or a.get("skipped"))]
    if not valid:
        what = "was cancelled" if found else "is not there"
        predictions = "; predictions are not taken as truth" if task.get("predictions") else ""
        return {}, [f"an annotation {what}{predictions}"] if found or predictions else []
    latest = max(valid, key=_time)
    if len(valid) == 1:
        return latest, []
    when = latest.get("updated_at") or latest.get("created_at")
    return latest, [
        f"{len(valid)} annotations of this image: the latest was taken, annotation "
        f"{latest.get('id')} of {when} by {_author(latest)}"
    ]


def _time(annotation: Mapping[str, Any]) -> tuple[str, int]:
    when = str(annotation.get("updated_at") or annotation.get("created_at") or "")
    ident = annotation.get("id")
    return when, ident if isinstance(ident, int) else 0


def _author(annotation: Mapping[str, Any]) -> str:
    author = annotation.get("completed_by")
    if isinstance(author, dict):
        author = author.get("email") or author.get("id")
    return f"user {author}"


def _check_region(name: str, region: Mapping[str, Any], frame: tuple[int, int]) -> None:
    if region.get("item_index"):
        raise UsageError("it has several pages; export each picture as a task of its own")
    if region.get("image_rotation"):
        raise UsageError("the image was turned in Label Studio; turn it back and export again")
    size = region.get("original_height"), region.get("original_width")
    if size != (None, None):
        check_size(name, size, frame)  # type: ignore[arg-type]
